from collections.abc import Callable
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import pytest
import torch

from lightning_modules.adaptation import (
    Lora,
    Quantization,
    adapt,
    load_base,
)
from lightning_modules.initialization import initialize

CPU = torch.device("cpu")
Build = Callable[..., Any]


def names_of(model: torch.nn.Module, kind: type) -> set[str]:
    return {name.rsplit(".", 1)[-1] for name, layer in model.named_modules() if isinstance(layer, kind)}


def adapted_layers(model: torch.nn.Module) -> set[str]:
    return {name.split(".lora_A")[0].rsplit(".", 1)[-1] for name, _ in model.named_parameters() if ".lora_A" in name}


def test_initialized_head_is_untied_and_survives_saving_and_loading(loaded: Build) -> None:
    model = loaded()
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    assert head.data_ptr() != embedding.data_ptr()
    assert not torch.allclose(head, embedding)
    # What initialize() draws for the head has this spread; the embedding's is 1.
    assert head.std().item() == pytest.approx(128**-0.5, rel=0.02)
    assert model.encoder.embed_tokens.weight.data_ptr() == embedding.data_ptr()
    assert model.decoder.embed_tokens.weight.data_ptr() == embedding.data_ptr()


def test_initialization_depends_on_its_seed_alone(tiny_base: str, random_mt5: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    for seed in (0, 1):
        initialize(str(random_mt5), str(tmp_path / str(seed)), seed)
    assert torch.equal(torch.get_rng_state(), before)
    first = (Path(tiny_base) / "model.safetensors").read_bytes()
    assert (tmp_path / "0" / "model.safetensors").read_bytes() == first
    assert (tmp_path / "1" / "model.safetensors").read_bytes() != first


def test_a_folder_without_weights_loads_as_if_it_had_been_initialized(random_mt5: Path, loaded: Build) -> None:
    direct = load_base(str(random_mt5), None, "full", Quantization(), torch.float32, CPU).state_dict()
    stored = loaded().state_dict()
    assert direct.keys() == stored.keys()
    assert all(torch.equal(direct[name], stored[name]) for name in stored)
    assert [path.name for path in random_mt5.glob("*.safetensors")] == []


@pytest.mark.parametrize("adaptation", ["full", "lora", "dora", "qlora"])
def test_a_loaded_model_trains_and_says_that_it_is_untied(loaded: Build, adaptation: str) -> None:
    model = loaded(adaptation)
    assert all(module.training for module in model.modules())
    assert model.config.tie_word_embeddings is False


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("adaptation", ["full", "lora", "dora", "qlora"])
def test_trained_weights_are_fp32_and_frozen_ones_keep_their_dtype(
    adapted: Build, adaptation: str, dtype: torch.dtype
) -> None:
    model = adapted(adaptation, dtype=dtype)
    trained = {p.dtype for p in model.parameters() if p.requires_grad}
    frozen = {p.dtype for p in model.parameters() if not p.requires_grad}
    assert trained == {torch.float32}
    assert frozen == {"full": set(), "qlora": {torch.uint8, dtype}}.get(adaptation, {dtype})
    expected = torch.float32 if adaptation == "full" else dtype
    assert model.get_input_embeddings().weight.dtype is expected
    assert model.get_output_embeddings().weight.dtype is expected


def test_qlora_quantizes_projections_but_neither_wo_nor_head(loaded: Build) -> None:
    model = loaded("qlora", torch.bfloat16)
    assert names_of(model, bnb.nn.Linear4bit) == {"q", "k", "v", "o", "wi_0", "wi_1"}
    float_layers = {
        name.rsplit(".", 1)[-1]
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and not isinstance(layer, bnb.nn.Linear4bit)
    }
    assert float_layers == {"wo", "lm_head"}


@pytest.mark.parametrize(("type_", "double"), [("nf4", True), ("fp4", False)])
def test_quantization_settings_reach_the_weights(tiny_base: str, type_: Any, double: bool) -> None:
    model = load_base(tiny_base, None, "qlora", Quantization(type_, double), torch.bfloat16, CPU)
    layer = next(layer for layer in model.modules() if isinstance(layer, bnb.nn.Linear4bit))
    assert (layer.weight.quant_state.quant_type, layer.weight.quant_state.nested) == (type_, double)
    assert layer.compute_dtype is torch.bfloat16


def test_four_bit_gradients_are_the_same_after_a_forward_pass_without_gradients(
    monkeypatch: pytest.MonkeyPatch, adapted: Build, gradients: Build
) -> None:
    monkeypatch.setattr(bnb.nn.modules, "has_avx512bf16", lambda: True)
    model = adapted("qlora", Lora(rank=4, dropout=0.0))
    assert bnb.nn.modules.has_avx512bf16() is False  # else such CPUs repack the weights in the next lines
    before = gradients(model)
    model.eval()
    with torch.no_grad():
        model(input_ids=torch.arange(10, 20)[None], labels=torch.arange(10, 15)[None])
    after = gradients(model.train())
    assert before
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_all_linear_means_every_linear_layer_but_the_head(adapted: Build) -> None:
    assert adapted_layers(adapted("lora")) == {"q", "k", "v", "o", "wi_0", "wi_1", "wo"}
    assert adapted_layers(adapted("qlora")) == {"q", "k", "v", "o", "wi_0", "wi_1", "wo"}


def test_named_targets_alone_are_adapted_and_only_adapters_are_trained(adapted: Build) -> None:
    model = adapted("lora", Lora(rank=4, targets=["q", "v"]))
    assert adapted_layers(model) == {"q", "v"}
    assert all("lora_" in name for name, p in model.named_parameters() if p.requires_grad)
    assert all(module.training for module in model.modules())


def test_unknown_target_lists_the_layers_that_there_are(loaded: Build) -> None:
    with pytest.raises(ValueError, match=r"'query' names no linear layer .* k, o, q, v, wi_0, wi_1, wo\."):
        adapt(loaded("lora"), "lora", Lora(targets=["query"]))


def test_dora_alone_trains_magnitudes(adapted: Build) -> None:
    def magnitudes(adaptation: str) -> int:
        named = adapted(adaptation).named_parameters()
        return sum("lora_magnitude_vector" in name and p.requires_grad for name, p in named)

    # 2 encoder blocks of 7 linear layers, 2 decoder blocks of 11.
    assert magnitudes("dora") == 2 * 7 + 2 * 11
    assert magnitudes("lora") == 0


@pytest.mark.parametrize(("rslora", "scaling"), [(False, 32 / 16), (True, 32 / 16**0.5)])
def test_scaling_is_alpha_over_rank_or_its_root(adapted: Build, rslora: bool, scaling: float) -> None:
    model = adapted("lora", Lora(rank=16, alpha=32, dropout=0.25, rslora=rslora))
    layer = model.base_model.model.encoder.block[0].layer[0].SelfAttention.q
    assert layer.scaling == {"default": scaling}
    assert layer.lora_dropout["default"].p == 0.25


@pytest.mark.parametrize("adaptation", ["full", "qlora"])
@pytest.mark.parametrize("base", ["nobody/has-this-model", "/no/such/folder", "assets/quickstart"])
def test_a_base_that_does_not_exist_is_named(adaptation: Any, base: str) -> None:
    with pytest.raises(ValueError, match=rf"model\.base '{base}'.*google/mt5-small"):
        load_base(base, None, adaptation, Quantization(), torch.float32, CPU)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("rank", 0), ("alpha", 0.0), ("alpha", -1.0), ("dropout", 1.0), ("dropout", -0.1), ("targets", [])],
)
def test_lora_settings_out_of_range_are_named(setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"lora\.{setting}"):
        Lora(**{setting: value})

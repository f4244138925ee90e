from collections.abc import Callable
from typing import Any

import bitsandbytes as bnb
import pytest
import torch
from torch import nn

from lightning_modules.adaptation import Lora, adapt, enable_gradient_checkpointing, load_base
from lightning_modules.checkpointing import base_fingerprint, load_trainable_state, trainable_state
from lightning_modules.quantization import (
    Quantization,
    count_parameters,
    quantize_rest,
    require_quantizable,
)
from lightning_modules.quantized_matrix import QuantizedEmbedding, QuantizedHead

CPU = torch.device("cpu")
Build = Callable[..., Any]
EVERYTHING = Quantization(wo=True, embedding_bits=4, head_bits=4)
DTYPES = [torch.float32, torch.bfloat16]
VOCABULARY, WIDTH = 8_064, 128
IDS, LABELS = torch.arange(300, 320).view(2, 10), torch.arange(400, 412).view(2, 6)


@pytest.fixture
def quantized(tiny_base: str) -> Build:
    def build(quantization: Quantization, dtype: torch.dtype = torch.float32) -> Any:
        model = load_base(tiny_base, None, "qlora", quantization, dtype, CPU)
        quantize_rest(model, quantization)
        return model

    return build


def dequantized(layer: Any) -> torch.Tensor:
    return bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)


def plain_twin(model: Any, tiny_base: str, dtype: torch.dtype) -> Any:
    """The unquantised model with the de-quantised weights of a quantised one."""
    twin = load_base(tiny_base, None, "lora", Quantization(), dtype, CPU)
    with torch.no_grad():
        for name, layer in model.named_modules():
            if isinstance(layer, bnb.nn.Linear4bit):
                twin.get_submodule(name).weight.copy_(dequantized(layer))
        twin.get_input_embeddings().weight.copy_(model.get_input_embeddings().weight[:])
        twin.get_output_embeddings().weight.copy_(model.get_output_embeddings().weight[:])
    return twin


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", [4, 8])
def test_everything_quantized_computes_what_the_dequantized_weights_do(
    quantized: Build, tiny_base: str, bits: Any, dtype: torch.dtype
) -> None:
    model = quantized(Quantization(wo=True, embedding_bits=bits, head_bits=bits), dtype)
    twin = plain_twin(model, tiny_base, dtype)
    own, plain = (each.eval()(input_ids=IDS, labels=LABELS).logits.detach().float() for each in (model, twin))
    assert ((own - plain).norm() / plain.norm()).item() < {torch.float32: 1e-5, torch.bfloat16: 0.03}[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_four_bit_wo_gets_what_was_computed_and_not_its_bytes(quantized: Build, dtype: torch.dtype) -> None:
    feed_forward = quantized(Quantization(wo=True), dtype).encoder.block[0].layer[1].DenseReluDense
    seen: list[torch.Tensor] = []
    feed_forward.wo.register_forward_hook(lambda layer, inputs, output: seen.extend([*inputs, output]))
    feed_forward.eval()(torch.randn(2, 5, WIDTH, dtype=dtype))
    inputs, output = seen
    assert inputs.dtype is output.dtype is dtype
    expected = inputs @ dequantized(feed_forward.wo).T
    torch.testing.assert_close(output, expected)
    assert expected.abs().max() > 0


def test_wo_is_held_in_four_bits_with_the_settings_of_the_other_layers(quantized: Build) -> None:
    model = quantized(Quantization("fp4", double=False, wo=True))
    layers = [module.wo for module in model.modules() if hasattr(module, "wo")]
    assert len(layers) == 4
    for layer in layers:
        assert isinstance(layer, bnb.nn.Linear4bit)
        assert (layer.weight.quant_state.quant_type, layer.weight.quant_state.nested) == ("fp4", False)
        assert layer.training


@pytest.mark.parametrize("quantization", [Quantization(embedding_bits=4), Quantization(head_bits=8)])
def test_what_is_not_asked_for_is_left_alone(quantized: Build, loaded: Build, quantization: Quantization) -> None:
    plain, state = loaded().state_dict(), quantized(quantization).state_dict()
    names = {name for name in plain if name in state and torch.equal(plain[name], state[name])}
    assert ("shared.weight" in names) is (quantization.embedding_bits is None)
    assert ("lm_head.weight" in names) is (quantization.head_bits is None)
    assert sum(name.endswith("wo.weight") for name in names) == 4


def test_encoder_and_decoder_share_one_quantized_embedding(quantized: Build) -> None:
    model = quantized(Quantization(embedding_bits=4))
    assert isinstance(model.shared, QuantizedEmbedding)
    assert model.encoder.embed_tokens is model.decoder.embed_tokens is model.shared
    assert isinstance(model.get_output_embeddings(), nn.Linear)


def test_four_bit_parameters_count_as_what_they_stand_for(loaded: Build, adapted: Build) -> None:
    full, quantized = count_parameters(loaded("full")), count_parameters(loaded("qlora"))
    assert quantized.total == full.total == full.trainable == 2_852_608
    # 6 attention blocks of 4 matrices 128 x 128, 4 feed-forward blocks of 2 matrices 256 x 128.
    assert quantized.four_bit == 6 * 4 * 128 * 128 + 4 * 2 * 256 * 128
    assert full.weight_bytes == 4 * full.total
    # A byte for 64 parameters, 4 for 256 of these, and code books of 16 and 256 numbers for each of 32 layers.
    scales = quantized.four_bit // 64 + (24 * 1 + 8 * 2) * 4 + 32 * (16 + 256) * 4
    assert quantized.weight_bytes == 4 * (full.total - quantized.four_bit) + quantized.four_bit // 2 + scales
    lora, qlora = count_parameters(adapted("lora")), count_parameters(adapted("qlora"))
    assert lora.trainable == qlora.trainable == lora.total - full.total


@pytest.mark.parametrize(
    ("quantization", "four", "eight"),
    [
        (Quantization(embedding_bits=4), 1, 0),
        (Quantization(embedding_bits=8, head_bits=8), 0, 2),
        (Quantization(embedding_bits=4, head_bits=8), 1, 1),
    ],
)
def test_memory_shrinks_by_what_is_saved_and_the_count_stays(
    quantized: Build, quantization: Quantization, four: int, eight: int
) -> None:
    before, after = count_parameters(quantized(Quantization())), count_parameters(quantized(quantization))
    numbers = VOCABULARY * WIDTH
    assert after.total == before.total == 2_852_608
    assert (after.four_bit - before.four_bit, after.eight_bit) == (four * numbers, eight * numbers)
    # A byte for 64 parameters, 4 for 256 of these, a code book of 256 and an offset; in 8 bits 4 bytes a row.
    held_in_4 = numbers // 2 + numbers // 64 + -(-numbers // 64 // 256) * 4 + 256 * 4 + 4
    held_in_8 = numbers + VOCABULARY * 4
    saved = four * (4 * numbers - held_in_4) + eight * (4 * numbers - held_in_8)
    assert before.weight_bytes - after.weight_bytes == saved


def test_count_of_a_quantized_wo_is_that_of_the_other_layers(quantized: Build) -> None:
    before, after = count_parameters(quantized(Quantization())), count_parameters(quantized(Quantization(wo=True)))
    assert after.total == before.total
    assert after.four_bit - before.four_bit == 4 * 256 * 128
    assert 0.5 < (before.weight_bytes - after.weight_bytes) / (4 * 4 * 256 * 128) < 0.9


@pytest.mark.parametrize("dtype", DTYPES)
def test_adapters_on_a_base_all_in_four_bits_learn(quantized: Build, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = quantized(EVERYTHING, dtype)
    enable_gradient_checkpointing(model)
    model = adapt(model, "qlora", Lora(rank=4, dropout=0.0))
    adapted = {name.split(".lora_A")[0].rsplit(".", 1)[-1] for name, _ in model.named_parameters() if "lora_A" in name}
    assert adapted == {"q", "k", "v", "o", "wi_0", "wi_1", "wo"}
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(4):
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            loss = model(input_ids=IDS, labels=LABELS).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.3
    assert all(p.grad is not None for name, p in model.named_parameters() if ".wo.lora_B" in name)


def test_gradients_are_those_of_the_dequantized_weights(quantized: Build, gradients: Build, tiny_base: str) -> None:
    model = quantized(EVERYTHING)
    twin = plain_twin(model, tiny_base, torch.float32)
    adapted = [adapt(each, kind, Lora(rank=4, dropout=0.0)) for each, kind in ((model, "qlora"), (twin, "lora"))]
    load_trainable_state(adapted[1], trainable_state(adapted[0]))
    for each in adapted:
        for module in each.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    own, plain = (gradients(each) for each in adapted)
    assert own.keys() == plain.keys()
    for name in own:
        torch.testing.assert_close(own[name], plain[name], rtol=1e-3, atol=1e-5)


def test_texts_are_generated_as_from_the_dequantized_weights(quantized: Build, tiny_base: str) -> None:
    model = quantized(EVERYTHING)
    twin = plain_twin(model, tiny_base, torch.float32)
    settings = {"max_new_tokens": 8, "num_beams": 3, "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    own, plain = (each.eval().generate(input_ids=IDS, **settings) for each in (model, twin))
    assert torch.equal(own, plain)


def test_a_checkpoint_holds_the_same_as_without(quantized: Build) -> None:
    plain, everything = (adapt(quantized(each), "qlora", Lora(rank=4)) for each in (Quantization(), EVERYTHING))
    state = trainable_state(plain)
    assert {name: tensor.shape for name, tensor in trainable_state(everything).items()} == {
        name: tensor.shape for name, tensor in state.items()
    }
    load_trainable_state(everything, state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in trainable_state(everything).items())


def test_loading_leaves_to_the_fingerprint_what_it_samples(tiny_base: str, loaded: Build) -> None:
    model = load_base(tiny_base, None, "qlora", EVERYTHING, torch.bfloat16, CPU)
    assert base_fingerprint(model) == base_fingerprint(loaded("full"))
    quantize_rest(model, EVERYTHING)
    assert isinstance(model.get_output_embeddings(), QuantizedHead)


@pytest.mark.parametrize("adaptation", ["full", "lora", "dora"])
@pytest.mark.parametrize("setting", [{"wo": True}, {"embedding_bits": 4}, {"head_bits": 8}])
def test_settings_that_nothing_would_heed_are_named(adaptation: str, setting: dict[str, Any]) -> None:
    name, value = next(iter(setting.items()))
    with pytest.raises(
        ValueError, match=rf"quantization\.{name} {value} needs model\.adaptation qlora, not {adaptation}"
    ):
        require_quantizable(Quantization(**setting), adaptation)
    require_quantizable(Quantization(**setting), "qlora")
    require_quantizable(Quantization(), adaptation)


def test_an_embedding_that_does_more_than_look_up_is_refused(loaded: Build) -> None:
    class Scaled(nn.Embedding):
        pass

    model = loaded("lora")
    model.set_input_embeddings(Scaled(10, 128))
    with pytest.raises(ValueError, match="a Scaled that scales"):
        quantize_rest(model, Quantization(embedding_bits=8))

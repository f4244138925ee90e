"""Nothing is counted as trained that learns nothing."""

import pytest
import torch
from command_line import run
from foreign_bases import write_t5
from torch import nn

from lightning_modules.adaptation import Lora, Quantization, adapt, load_base, require_gradients, require_targets
from lightning_modules.seq2seq import Seq2SeqModule


@pytest.mark.parametrize(
    "target",
    ["lm_head", "shared", "embed_tokens", "relative_attention_bias", "layer_norm", "vv", "q_proj", "SelfAttention", ""],
)
@pytest.mark.parametrize("others", [["q", "v"], []])
def test_target_that_would_learn_nothing_or_is_not_there_is_refused(loaded, target, others):
    with pytest.raises(
        ValueError, match=f"{target!r} names no linear layer of encoder or decoder; they are k, o, q, v"
    ):
        require_targets(loaded("lora"), [*others, target])


@pytest.mark.parametrize("targets", [["q"], ["SelfAttention.q"], ["decoder.block.1.layer.1.EncDecAttention.o"]])
def test_targets_may_name_a_layer_as_closely_as_wanted(loaded, targets):
    model = adapt(loaded("lora"), "lora", Lora(rank=2, targets=targets))
    assert any("lora_B" in name for name, _ in model.named_parameters())


def test_t5_lists_its_own_layers(random_mt5, tmp_path):
    folder = str(write_t5(random_mt5, tmp_path / "t5"))
    model = load_base(folder, None, "lora", Quantization(), torch.float32, torch.device("cpu"))
    with pytest.raises(ValueError, match="they are k, o, q, v, wi, wo"):
        require_targets(model, ["wi_0"])


@pytest.mark.parametrize("adaptation", ["full", "lora", "dora", "qlora"])
def test_every_trained_parameter_has_a_gradient(adapted, gradients, adaptation):
    model = adapted(adaptation)
    gradients(model)
    require_gradients(model)


def test_parameters_without_a_gradient_are_named():
    model = nn.ModuleDict({"used": nn.Linear(2, 2), "idle": nn.Linear(2, 2), "frozen": nn.Linear(2, 2)})
    model["frozen"].requires_grad_(False)
    model["used"](torch.ones(1, 2)).sum().backward()
    with pytest.raises(ValueError, match=r"2 of 4 trained parameters have no gradient, such as idle\.weight"):
        require_gradients(model)


class WithSpareLayer(Seq2SeqModule):
    """Trains a layer that no loss reads."""

    def configure_model(self) -> None:
        super().configure_model()
        self.model.spare = nn.Linear(2, 2)


@pytest.mark.parametrize("accumulated", [1, 3])
def test_run_stops_before_its_first_step_when_something_learns_nothing(tmp_path, accumulated):
    flags = (f"--trainer.accumulate_grad_batches={accumulated}", "--model.schedule.warmup_steps=0")
    with pytest.raises(ValueError, match=r"2 of \d+ trained parameters have no gradient, such as spare\.weight"):
        run("fit", tmp_path, "--model=test_trained_parameters.WithSpareLayer", *flags)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_target_is_refused_in_a_run(tmp_path):
    with pytest.raises(ValueError, match="'lm_head' names no linear layer"):
        run("fit", tmp_path, "--model.lora.targets=[q, v, lm_head]")

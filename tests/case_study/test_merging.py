"""What a merge keeps of adapters: all in bf16, little of a small update in NF4."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from small_mt5 import small_mt5, sources

from case_study.merging import FOUR_BIT, merge
from lightning_modules.dense_weights import replace_by_dense
from lightning_modules.quantization import Quantization, linear_4bit, prepare_bitsandbytes

IDS, MASK = sources()
QUANTIZATION = Quantization()


def adapted(size: float, dense: bool = False):
    """LoRA on 4-bit layers, its updates so many times as large as those of `size` 1."""
    prepare_bitsandbytes(torch.device("cpu"))
    base = small_mt5()
    for parent in list(base.modules()):
        for name, layer in list(parent.named_children()):
            if name in FOUR_BIT:
                setattr(parent, name, linear_4bit(layer, QUANTIZATION))
    if dense:
        replace_by_dense(base)
    targets = [*FOUR_BIT, "wo"]
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=4, target_modules=targets, task_type="SEQ_2_SEQ_LM"))
    generator = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data = size * torch.randn(parameter.shape, generator=generator)
    return model.eval()


@torch.no_grad()
def logits(model):
    return model(input_ids=IDS, attention_mask=MASK, decoder_input_ids=IDS).logits


def mean(layers, name):
    values = [getattr(one, name) for one in layers if one.layer.rpartition(".")[2] in FOUR_BIT]
    return sum(values) / len(values)


@pytest.mark.parametrize("dense", [False, True])
def test_merged_into_bf16_the_model_says_the_same(dense):
    model = adapted(0.1, dense)
    before, untuned = logits(model), logits(adapted(0.0, dense))
    merged, layers = merge(model, "bf16", QUANTIZATION)
    assert (logits(merged) - before).norm() < 0.1 * (untuned - before).norm()
    assert mean(layers, "cosine") > 0.95


def test_merged_into_nf4_a_small_update_is_lost_and_a_large_one_is_not():
    kept = {size: merge(adapted(size), "nf4", QUANTIZATION)[1] for size in (0.002, 0.5)}
    assert mean(kept[0.002], "relative_size") < 0.02 < mean(kept[0.5], "relative_size")
    assert mean(kept[0.002], "changed") < 0.2
    assert mean(kept[0.002], "cosine") < 0.5 < 0.9 < mean(kept[0.5], "cosine")
    # mT5's `wo` is not held in 4 bits.
    assert all(one.cosine > 0.9 for one in kept[0.5] if one.layer.endswith("wo"))


def test_untuned_is_the_base_without_its_adapters():
    model = adapted(0.1)
    with model.disable_adapter():
        base = logits(model)
    merged, layers = merge(model, "untuned", QUANTIZATION)
    assert torch.allclose(logits(merged), base, atol=0.1)
    assert all(one.relative_size == 0 for one in layers)


def test_a_model_without_adapters_is_refused():
    with pytest.raises(ValueError, match="no adapter to merge"):
        merge(small_mt5(), "nf4", QUANTIZATION)

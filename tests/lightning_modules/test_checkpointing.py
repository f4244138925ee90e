from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.adaptation import Lora
from lightning_modules.checkpointing import (
    base_fingerprint,
    load_trainable_state,
    require_same_base,
    trainable_state,
)

Build = Callable[..., Any]
IDENTITY = {"name": "base", "revision": None, "fingerprint": "aa", "tokenizer": "bb", "vocabulary_rows": 10}


@pytest.mark.parametrize("adaptation", ["full", "lora", "dora", "qlora"])
def test_trained_parameters_come_back_bit_for_bit(adapted: Build, tmp_path: Path, adaptation: str) -> None:
    source, target = adapted(adaptation), adapted(adaptation)
    with torch.no_grad():
        for parameter in source.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    saved = trainable_state(source)
    assert set(saved) == {name for name, parameter in source.named_parameters() if parameter.requires_grad}
    torch.save(saved, tmp_path / "state")
    load_trainable_state(target, torch.load(tmp_path / "state", weights_only=True))
    restored = dict(target.named_parameters())
    assert all(torch.equal(restored[name], saved[name]) for name in saved)


def test_a_missing_parameter_is_refused(adapted: Build) -> None:
    state = trainable_state(adapted("lora"))
    name = sorted(state)[0]
    del state[name]
    with pytest.raises(ValueError, match=rf"it lacks 1 of 72 trained parameters, such as {name}\. Use the adaptation"):
        load_trainable_state(adapted("lora"), state)


def test_a_surplus_parameter_is_refused(adapted: Build) -> None:
    state = trainable_state(adapted("lora")) | {"another.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"the model has no place for 1 of .*another\.weight"):
        load_trainable_state(adapted("lora"), state)


def test_a_parameter_of_another_shape_is_refused_and_nothing_is_loaded(adapted: Build) -> None:
    model = adapted("lora", Lora(rank=2))
    before = {name: tensor.clone() for name, tensor in trainable_state(model).items()}
    with pytest.raises(ValueError, match=r"has other shapes: 72 of 72 .*\(4, \d+\) instead of \(2, \d+\)"):
        load_trainable_state(model, trainable_state(adapted("lora", Lora(rank=4))))
    assert all(torch.equal(before[name], tensor) for name, tensor in trainable_state(model).items())


def test_a_base_has_one_fingerprint_in_every_adaptation(loaded: Build) -> None:
    dtypes = (torch.float32, torch.bfloat16)
    prints = {base_fingerprint(loaded(kind, dtype)) for kind in ("full", "lora", "qlora") for dtype in dtypes}
    assert len(prints) == 1
    assert len(prints.pop()) == 16


@pytest.mark.parametrize(
    "name",
    ["shared.weight", "lm_head.weight", "encoder.final_layer_norm.weight", "decoder.block.1.layer.2.layer_norm.weight"],
)
def test_another_embedding_head_or_norm_has_another_fingerprint(loaded: Build, name: str) -> None:
    model = loaded()
    before = base_fingerprint(model)
    with torch.no_grad():
        model.get_parameter(name).view(-1)[0] += 0.5
    assert base_fingerprint(model) != before


@pytest.mark.parametrize(
    ("key", "what"),
    [("fingerprint", "base model"), ("tokenizer", "tokenizer"), ("vocabulary_rows", "vocabulary")],
)
def test_another_base_is_refused_naming_both_sides(key: str, what: str) -> None:
    saved = IDENTITY | {"name": "google/mt5-small", "revision": "v2", key: "other"}
    with pytest.raises(ValueError) as caught:
        require_same_base(saved, IDENTITY)
    for part in (
        f"another {what}",
        "'google/mt5-small' (revision v2",
        f"{key} other",
        "'base' (revision main",
        str(IDENTITY[key]),
    ):
        assert part in str(caught.value)


def test_the_same_base_under_another_name_is_accepted_and_a_file_without_one_refused() -> None:
    assert require_same_base(IDENTITY | {"name": "moved/folder"}, IDENTITY) is None
    with pytest.raises(ValueError, match="no checkpoint of ozet"):
        require_same_base(None, IDENTITY)

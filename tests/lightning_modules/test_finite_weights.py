"""NaN and infinity in weights are named where the weights are loaded."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lightning_modules.adaptation import Quantization, load_base
from lightning_modules.finite_weights import require_finite
from lightning_modules.weight_files import stored_weights, weight_files

CPU = torch.device("cpu")
LAYER = "encoder.block.0.layer.0.SelfAttention.q.weight"


@pytest.fixture
def spoilt_base(tiny_base: str, tmp_path: Path) -> Path:
    """The tiny base with one NaN in a layer that 4-bit quantisation holds."""
    for file in Path(tiny_base).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights[LAYER][1, 2] = float("nan")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path


@pytest.mark.parametrize("adaptation", ["full", "lora", "qlora"])
def test_the_bases_are_told_apart_from_those_that_were_trained(spoilt_base: Path, adaptation) -> None:
    with pytest.raises(ValueError, match=rf"{LAYER} of model\.base '{spoilt_base}' holds 1 of [\d,]+ values"):
        load_base(str(spoilt_base), None, adaptation, Quantization(), torch.bfloat16, CPU)


def test_weights_of_pytorchs_own_format_are_looked_at_too(spoilt_base: Path) -> None:
    torch.save(load_file(spoilt_base / "model.safetensors"), spoilt_base / "pytorch_model.bin")
    (spoilt_base / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=rf"{LAYER} of model\.base"):
        load_base(str(spoilt_base), None, "lora", Quantization(), torch.float32, CPU)


@pytest.mark.parametrize("content", [b"", b"no tensor file", b"\x80\x04."])
def test_a_file_that_holds_no_tensors_is_refused_in_a_sentence(spoilt_base: Path, content: bytes) -> None:
    (spoilt_base / "model.safetensors").unlink()
    (spoilt_base / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ValueError, match=r"Cannot load model\.base .*\.bin' is damaged or holds no weights"):
        load_base(str(spoilt_base), None, "lora", Quantization(), torch.float32, CPU)


def test_finite_weights_are_accepted(tiny_base: str) -> None:
    weights = dict(stored_weights(weight_files(Path(tiny_base))))
    assert LAYER in weights
    require_finite(weights.items(), "the base")

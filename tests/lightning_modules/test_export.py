"""What cannot be exported; tests/test_pretraining.py exports a run."""

from pathlib import Path

import pytest
import torch

from lightning_modules.checkpointing import BASE_KEY
from lightning_modules.export import export

WEIGHTS = {"shared.weight": torch.zeros(2, 2)}


def checkpoint(folder: Path, **content) -> Path:
    base = {"name": "assets/tiny-mt5", "revision": None}
    torch.save({"state_dict": WEIGHTS, BASE_KEY: base, **content}, folder / "last.ckpt")
    return folder / "last.ckpt"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {"q.lora_A.weight": torch.zeros(2)}}, "holds adapters only"),
        ({"kept_pieces": torch.arange(3)}, "has a trimmed vocabulary; use `python"),
        (
            {BASE_KEY: {"name": "nowhere/at-all", "revision": None}},
            r"tokenizer of the checkpoint's base 'nowhere/at-all' .* cannot be found",
        ),
        ({BASE_KEY: None}, "no checkpoint of ozet"),
    ],
)
def test_what_is_no_whole_model_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        export(checkpoint(tmp_path, **content), tmp_path / "output")
    assert not (tmp_path / "output").exists()


def test_folder_with_something_in_it_is_left_alone(tmp_path):
    file = checkpoint(tmp_path)
    with pytest.raises(ValueError, match="is not empty"):
        export(file, tmp_path)


def test_checkpoint_without_a_configuration_takes_the_bases(tmp_path):
    export(checkpoint(tmp_path), tmp_path / "output", torch.float32)
    names = {file.name for file in (tmp_path / "output").iterdir()}
    assert {"generation_config.json", "model.safetensors", "spiece.model", "tokenizer_config.json"} <= names
    assert '"num_layers": 2' in (tmp_path / "output" / "config.json").read_text()

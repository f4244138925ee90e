"""The tiny model with random weights and its tokenizer: a folder that every command takes as a base or as trained."""

import shutil
from pathlib import Path

from lightning_modules.initialization import initialize

TOKENIZER = ("spiece.model", "tokenizer_config.json")


def write_random_model(random_mt5: Path, folder: Path) -> Path:
    initialize(str(random_mt5), str(folder))
    for name in TOKENIZER:
        shutil.copy(random_mt5 / name, folder)
    return folder

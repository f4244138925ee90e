"""Writes an encoder of BERT's shape with random weights, for measuring memory: its scores mean nothing.

python -m case_study.encoder FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertModel, BertTokenizer

from metrics.pretrained import load_pretrained

# bert-base-multilingual-cased, which seed A scored with; its 119,547 rows of vocabulary take half the memory.
MULTILINGUAL = {"vocab_size": 119_547, "hidden_size": 768, "num_hidden_layers": 12, "intermediate_size": 3072}
_PIECES = 4000
_STORIES = sorted((Path(__file__).resolve().parent.parent / "assets/quickstart").glob("*.jsonl"))


def write_encoder(folder: Path, **shape: int) -> None:
    """Writes a model and its tokenizer, unless they are there.

    Args:
        folder: Where to.
        **shape: Fields of `BertConfig` that are not those of `MULTILINGUAL`.
    """
    if (folder / "config.json").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    pieces = BertWordPieceTokenizer(lowercase=False)
    pieces.train([str(file) for file in _STORIES], vocab_size=_PIECES, show_progress=False)
    pieces.save_model(str(folder))
    load_pretrained(BertTokenizer, folder, do_lower_case=False).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(BertConfig(**(MULTILINGUAL | shape))).save_pretrained(folder)  # type: ignore[arg-type]


if __name__ == "__main__":
    write_encoder(Path(sys.argv[1]))

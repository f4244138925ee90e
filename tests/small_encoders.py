"""Encoders of random weights for BERTScore, made on the spot."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer
from transformers import BertConfig, BertModel, BertTokenizer, RobertaConfig, RobertaModel, RobertaTokenizer

LAYERS = 3
POSITIONS = 128
SHAPE = {"vocab_size": 500, "hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": 4} | {
    "intermediate_size": 64,
    # So that random layers change what they are given.
    "initializer_range": 0.2,
}


def save_bert(folder: Path, texts: Sequence[str]) -> str:
    """A BERT whose tokenizer, like many, names no maximal length."""
    folder.mkdir(parents=True)
    pieces = BertWordPieceTokenizer(lowercase=False)
    pieces.train_from_iterator(texts, vocab_size=SHAPE["vocab_size"], show_progress=False)
    pieces.save_model(str(folder))
    BertTokenizer.from_pretrained(str(folder), do_lower_case=False).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(BertConfig(max_position_embeddings=POSITIONS, **SHAPE)).save_pretrained(folder)
    return str(folder)


def save_roberta(folder: Path, texts: Sequence[str], add_prefix_space: bool) -> str:
    """A RoBERTa; `roberta-large` on the hub has no prefix space in its settings either."""
    folder.mkdir(parents=True)
    pieces = ByteLevelBPETokenizer()
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces.train_from_iterator(texts, SHAPE["vocab_size"], special_tokens=marks, show_progress=False)
    pieces.save_model(str(folder))
    RobertaTokenizer.from_pretrained(str(folder), add_prefix_space=add_prefix_space).save_pretrained(folder)
    torch.manual_seed(0)
    RobertaModel(RobertaConfig(max_position_embeddings=POSITIONS + 2, **SHAPE)).save_pretrained(folder)
    return str(folder)

"""A tokenizer is that of the model beside it, whole; what is missing or foreign is said before anything is encoded."""

import json
from pathlib import Path

import pytest
from random_model import write_random_model
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from datamodules.tokenizer import load_tokenizer, tokenizer_fingerprint

SENTENCE = "Köprü, nehrin iki yakasını bağlıyor."


@pytest.fixture
def base(random_mt5: Path, tmp_path: Path) -> Path:
    return write_random_model(random_mt5, tmp_path / "base")


def refusal(base: Path) -> str:
    with pytest.raises(ValueError) as caught:
        load_tokenizer(str(base))
    assert str(base) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def configure(base: Path, **values: object) -> None:
    (base / "config.json").write_text(json.dumps(json.loads((base / "config.json").read_text()) | values))


def save_foreign(base: Path, kind: str) -> None:
    """A tokenizer of pieces of its own: of XLM-RoBERTa's order, of BART's kind, of BERT's."""
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "bos_token": "<s>"}
    if kind == "unigram":
        pieces = [*special.values(), *(f"▁w{index}" for index in range(7900))]
        model = models.Unigram([("<s>", 0.0), *((piece, -9.0) for piece in pieces if piece != "<s>")], unk_id=3)
    elif kind == "bpe":
        model = models.BPE({piece: index for index, piece in enumerate([*special.values(), "a", "b"])}, [])
    else:
        model = models.WordPiece(
            {piece: index for index, piece in enumerate([*special.values(), "a"])}, unk_token="<unk>"
        )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), **special)
    for file in ("spiece.model", "tokenizer_config.json"):
        (base / file).unlink()
    tokenizer.save_pretrained(base)


@pytest.mark.parametrize("kept", [[], ["tokenizer_config.json"]])
def test_absent_files_are_refused_instead_of_104_pieces(base, kept):
    for file in {"spiece.model", "tokenizer_config.json"} - set(kept):
        (base / file).unlink()
    assert "it has neither tokenizer.json nor spiece.model" in refusal(base)


def test_pieces_alone_are_read_as_with_the_file_that_is_missing(base, tiny_tokenizer):
    (base / "tokenizer_config.json").unlink()
    alone = load_tokenizer(str(base))
    assert tokenizer_fingerprint(alone) == tokenizer_fingerprint(tiny_tokenizer)
    assert alone(SENTENCE).input_ids == tiny_tokenizer(SENTENCE).input_ids


def test_pieces_alone_of_a_t5_get_its_hundred_sentinels(base):
    (base / "tokenizer_config.json").unlink()
    configure(base, model_type="t5", vocab_size=8128)
    assert len(load_tokenizer(str(base))) == 8100
    configure(base, vocab_size=8064)
    assert "it has 8100 pieces, the model 8064 rows. Copy all files" in refusal(base)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", None])
def test_damaged_pieces_are_refused(base, content):
    whole = (base / "spiece.model").read_bytes()
    (base / "spiece.model").write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert "Cannot load a tokenizer from" in refusal(base)


def test_damaged_tokenizer_json_is_refused(base):
    (base / "tokenizer.json").write_text('{"model": {"type": "Unigram"')
    assert "Cannot load a tokenizer from" in refusal(base)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("unigram", "its pad_token_id is 1, the model's 0"), ("bpe", "is a BPE model"), ("wordpiece", "is a WordPiece")],
)
def test_tokenizer_of_another_family_is_refused(base, kind, message):
    save_foreign(base, kind)
    assert message in refusal(base)


@pytest.mark.parametrize("rows", [7999, 7000, 16001, 250_112])
def test_tokenizer_of_a_smaller_or_greater_model_is_refused(base, rows):
    configure(base, vocab_size=rows)
    assert f"it has 8000 pieces, the model {rows} rows" in refusal(base)


@pytest.mark.parametrize("rows", [8000, 8064, 8192])
def test_rows_beyond_the_pieces_are_usual(base, rows):
    configure(base, vocab_size=rows)
    assert len(load_tokenizer(str(base))) == 8000


def test_tokenizer_alone_needs_no_model_beside_it(base):
    (base / "config.json").unlink()
    assert len(load_tokenizer(str(base))) == 8000

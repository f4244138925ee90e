import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from datamodules import token_cache
from datamodules.cache import CONTENTS
from datamodules.corpus_sources import CorpusSource
from datamodules.token_cache import RECORD, encode_corpus
from datamodules.tokenizer import tokenizer_fingerprint

DOCUMENTS = [f"Belge {number}: vapur limandan geç ayrıldı." for number in range(40)]


@pytest.fixture
def encode(tiny_tokenizer, tmp_path):
    def run(path, hold_out=0.1, language="tr", fingerprint=None, **options):
        named = fingerprint or tokenizer_fingerprint(tiny_tokenizer)
        source = CorpusSource(language, str(path), **options)
        return encode_corpus(source, tiny_tokenizer, named, hold_out, tmp_path / "cache")

    return run


def write(path: Path, documents: list[str]) -> Path:
    """As the suffix says."""
    text = "".join(f"{document}\n" for document in documents).encode()
    if path.suffix == ".zst":
        with pa.output_stream(path, compression="zstd") as stream:
            stream.write(text)
    elif path.suffix == ".parquet":
        pa.parquet.write_table(pa.table({"text": documents}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": one}) + "\n" for one in documents), encoding="utf-8")
    elif path.suffix == ".csv":
        path.write_text("text\n" + "".join(f'"{one}"\n' for one in documents), encoding="utf-8")
    else:
        path.write_bytes(text)
    return path


def decoded(corpus, split, tokenizer) -> list[str]:
    ids = corpus.split(split).tokens
    ends = np.flatnonzero(ids == tokenizer.eos_token_id)
    assert ends[-1] == len(ids) - 1
    return [tokenizer.decode(part[part != tokenizer.eos_token_id]) for part in np.split(ids, ends[:-1] + 1)]


@pytest.mark.parametrize("suffix", [".txt", ".txt.zst", ".jsonl", ".csv", ".parquet"])
def test_documents_of_every_format_come_back_each_once(encode, tiny_tokenizer, tmp_path, suffix):
    corpus = encode(write(tmp_path / f"texts{suffix}", DOCUMENTS))
    found = {split: decoded(corpus, split, tiny_tokenizer) for split in ("train", "validation")}
    assert sorted(found["train"] + found["validation"]) == sorted(DOCUMENTS)
    assert 1 <= len(found["validation"]) <= 12
    assert corpus.split("train").tokens.dtype == np.uint16
    splits = corpus.record["splits"]
    assert {split: counts["documents"] for split, counts in splits.items()} == {s: len(d) for s, d in found.items()}


def test_held_out_documents_stay_so_when_others_are_added(encode, tiny_tokenizer, tmp_path):
    few = encode(write(tmp_path / "few.txt", DOCUMENTS[:20]))
    more = encode(write(tmp_path / "more.txt", DOCUMENTS))
    assert set(decoded(few, "validation", tiny_tokenizer)) <= set(decoded(more, "validation", tiny_tokenizer))


def test_bad_documents_are_left_out_and_counted(encode, tmp_path):
    file = write(
        tmp_path / "texts.txt", [*DOCUMENTS, "", "\u200b ", "12 ½", DOCUMENTS[3].upper(), f"{DOCUMENTS[4]}\u200f"]
    )
    file.write_bytes(file.read_bytes() + b"\xff\xfe kar\n")
    record = encode(file).record
    assert record["problems"] == {"unreadable": 1, "empty": 2, "not_text": 1, "duplicate": 2}
    assert record["read"] == len(DOCUMENTS) + 6
    assert sum(split["documents"] for split in record["splits"].values()) == len(DOCUMENTS)


def test_bad_records_are_left_out_and_counted(encode, tmp_path):
    file = tmp_path / "texts.jsonl"
    lines = [json.dumps({"metin": one}) for one in DOCUMENTS]
    file.write_text("\n".join([*lines, "{", '{"metin": 5}', '{"title": "kar"}']), encoding="utf-8")
    assert encode(file, column="metin").record["problems"] == {"unreadable": 2, "not_text": 1}


def test_special_tokens_in_a_text_are_text(encode, tiny_tokenizer, tmp_path):
    corpus = encode(write(tmp_path / "texts.txt", [*DOCUMENTS, "Yazar </s> ve <pad> yazdı.", "雪 yağdı."]))
    ids = np.concatenate([corpus.split(split).tokens for split in ("train", "validation")])
    assert (ids == tiny_tokenizer.eos_token_id).sum() == len(DOCUMENTS) + 2
    assert not np.isin(ids, [tiny_tokenizer.pad_token_id, tiny_tokenizer.unk_token_id]).any()


def test_texts_are_encoded_once_wherever_they_lie(encode, tmp_path, monkeypatch):
    first = encode(write(tmp_path / "texts.txt", DOCUMENTS))
    (tmp_path / "elsewhere").mkdir()
    moved = write(tmp_path / "elsewhere" / "texts.txt", DOCUMENTS)
    monkeypatch.setattr(token_cache, "read_documents", lambda source: pytest.fail("read again"))
    assert encode(moved).folder == first.folder
    with pytest.raises(pytest.fail.Exception, match="read again"):
        encode(moved, hold_out=0.2)


def test_failure_leaves_no_half_of_a_cache(encode, tmp_path, monkeypatch):
    file = write(tmp_path / "texts.txt", DOCUMENTS)

    def break_off(source):
        yield DOCUMENTS[0]
        raise OSError("disk")

    with monkeypatch.context() as broken:
        broken.setattr(token_cache, "read_documents", break_off)
        with pytest.raises(OSError, match="disk"):
            encode(file)
    assert list((tmp_path / "cache").iterdir()) == []
    assert encode(file).record["read"] == len(DOCUMENTS)


@pytest.mark.parametrize("name", ["train.bin", "validation.bin", RECORD, CONTENTS])
@pytest.mark.parametrize("harm", [bytes.upper, lambda content: content[:9], lambda content: b"", None])
def test_damaged_tokens_are_made_anew(encode, tmp_path, caplog, name, harm):
    file = write(tmp_path / "texts.txt", DOCUMENTS)
    first = encode(file)
    tokens = {split: first.split(split).tokens.tolist() for split in ("train", "validation")}
    damaged = first.folder / name
    if harm is None:
        damaged.unlink()
    else:
        damaged.write_bytes(harm(damaged.read_bytes()))
    again = encode(file)
    assert {split: again.split(split).tokens.tolist() for split in tokens} == tokens
    assert again.record == first.record
    assert ["made anew" in line for line in caplog.messages] == [True]


@pytest.mark.parametrize("name", ["train.bin", RECORD, CONTENTS])
def test_damaged_tokens_without_their_texts_are_refused(encode, tmp_path, name):
    folder = encode(write(tmp_path / "texts.txt", DOCUMENTS)).folder
    (folder / name).unlink()
    with pytest.raises(
        ValueError, match=rf"The tokens in '{folder}' are damaged \(.*{name}.*\)\. Copy the folder again"
    ):
        encode(folder)


def test_bad_cells_of_parquet_are_left_out_and_counted(encode, tmp_path):
    cells = [*(one.encode() for one in DOCUMENTS), b"A\xff kar", b"kar\0", None]
    pa.parquet.write_table(pa.table({"text": pa.array(cells, pa.binary()).view(pa.string())}), tmp_path / "a.parquet")
    record = encode(tmp_path / "a.parquet").record
    assert record["problems"] == {"unreadable": 3}
    assert record["read"] == len(DOCUMENTS) + 3


def test_folder_of_tokens_is_a_source_for_its_language_and_tokenizer_only(encode, tmp_path):
    folder = encode(write(tmp_path / "texts.txt", DOCUMENTS)).folder
    (tmp_path / "texts.txt").unlink()
    assert encode(folder).split("train").tokens.size
    with pytest.raises(ValueError, match="have the language tr, but it is needed"):
        encode(folder, language="it")
    with pytest.raises(ValueError, match=r"have the tokenizer .* but another is needed"):
        encode(folder, fingerprint="another")


@pytest.mark.parametrize(
    ("name", "documents", "options", "message"),
    [
        ("gone.txt", None, {}, r"No file '.*gone\.txt'"),
        ("texts.doc", DOCUMENTS, {}, r"its name must end in \.csv, .*, \.txt"),
        ("texts.jsonl", DOCUMENTS, {"column": "metin"}, r"no column 'metin' for the text\. It has: text"),
        ("texts.parquet", DOCUMENTS, {"column": "metin"}, r"no column 'metin' for the text\. It has: text"),
        ("texts.txt", ["", "12"], {}, "no usable document of 2"),
    ],
)
def test_what_cannot_be_read_is_explained(encode, tmp_path, name, documents, options, message):
    if documents is not None:
        write(tmp_path / name, documents)
    with pytest.raises(ValueError, match=message):
        encode(tmp_path / name, **options)


def test_language_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"'turkish!' .* is not a language code"):
        CorpusSource("turkish!", "texts.txt")

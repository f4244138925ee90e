"""What is done once and found again, and what is done anew."""

import multiprocessing
import os
import signal
from pathlib import Path

import datasets
import pytest
from corpora import TRAIN_ONLY, make_encoding, pair, write_jsonl, write_table

from datamodules import row_cache
from datamodules.preparation import prepare
from datamodules.sources import Columns, SummarizationSource


@pytest.mark.parametrize("step", ["audit_batch", "encode_batch"])
def test_second_call_finds_its_work_done(prepare_sources, train_source, monkeypatch, step):
    calls, original = [], getattr(row_cache, step)

    def counted(*args, **kwargs):
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(row_cache, step, counted)
    first, _ = prepare_sources(train_source(range(5)))
    assert calls == [1]
    second, _ = prepare_sources(train_source(range(5)))
    assert calls == [1]
    assert second["train"].to_list() == first["train"].to_list()
    prepare_sources(train_source(range(6)))
    assert calls == [1, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"max_source_tokens": 40},
        {"max_target_tokens": 16},
        {"truncate_targets": "token"},
        {"prefixes": {"en": "summarize: "}},
        {"train_caps": {"en": 5}},
    ],
    ids=str,
)
def test_whatever_changes_the_rows_changes_their_fingerprint(prepare_sources, train_source, change):
    _, (before,) = prepare_sources(train_source(range(6)))
    _, (after,) = prepare_sources(train_source(range(6)), **change)
    assert before.fingerprint != after.fingerprint


def test_other_rows_and_other_vocabularies_change_the_fingerprint(tiny_tokenizer, train_source):
    def fingerprint(numbers, vocabulary):
        _, report = prepare([train_source(numbers)], make_encoding(), tiny_tokenizer, vocabulary)
        return report.splits[0].fingerprint

    names = [fingerprint(range(5), "a"), fingerprint(range(6), "a"), fingerprint(range(5), "b")]
    assert len(set(names)) == 3
    assert fingerprint(range(5), "a") == names[0]


def test_two_processes_give_the_rows_of_one(tiny_tokenizer, train_source, monkeypatch):
    monkeypatch.setattr(row_cache, "ROWS_PER_PROCESS", 5)
    rows = {}
    for count in (1, 2):
        splits, _ = prepare([train_source(range(12))], make_encoding(), tiny_tokenizer, f"vocabulary {count}", count)
        rows[count] = splits["train"].to_list()
    assert rows[1] == rows[2]


def cut(file):
    os.truncate(file, file.stat().st_size // 2)


def zero(file):
    file.write_bytes(bytes(file.stat().st_size))


def zero_the_end(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))


def flip_one_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def garble(file):
    file.write_text("foreign")


@pytest.mark.parametrize("harm", [cut, zero, zero_the_end, flip_one_bit, garble, Path.unlink])
def test_whatever_is_damaged_in_the_cache_is_made_anew(prepare_sources, train_source, own_datasets_cache, caplog, harm):
    source = train_source(range(40))
    whole, (before,) = prepare_sources(source)
    rows = whole["train"].to_list()
    files = [path for path in own_datasets_cache.rglob("*") if path.is_file()]
    assert len(files) == 4  # rows and their checksums, of two steps
    for file in files:
        caplog.clear()
        harm(file)
        again, (after,) = prepare_sources(source)
        assert again["train"].to_list() == rows
        assert after == before
        assert ["made anew" in line for line in caplog.messages] == [True]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_file_rewritten_with_its_size_and_time_stamp_gives_the_new_rows(prepare_sources, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    source = SummarizationSource("en", str(path), columns=Columns(id="id"), splits=TRAIN_ONLY)
    fingerprints = []
    for word in ("ferry", "train"):
        rows = [row | {"article": row["article"].replace("ferry", word)} for row in (pair(0), pair(1))]
        if suffix == ".parquet":
            datasets.Dataset.from_list(rows).to_parquet(str(path))
        else:
            (write_jsonl if suffix == ".jsonl" else write_table)(path, rows)
        os.utime(path, (1, 1))
        splits, (report,) = prepare_sources(source)
        assert [word in article for article in splits["train"]["article"]] == [True, True]
        fingerprints.append(report.fingerprint)
    assert len(set(fingerprints)) == 2


@pytest.mark.parametrize("step", ["_write_raw", "audit_batch", "encode_batch"])
def test_next_start_after_a_kill_prepares_all_rows(prepare_sources, train_source, own_datasets_cache, step):
    source = train_source(range(12))

    def prepare_until_killed():
        setattr(row_cache, step, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        prepare_sources(source)

    start = multiprocessing.get_context("fork").Process(target=prepare_until_killed)
    start.start()
    start.join()
    assert start.exitcode == -signal.SIGKILL
    splits, _ = prepare_sources(source)
    assert len(splits["train"]) == 12
    assert [*own_datasets_cache.rglob("*.partial-*"), *own_datasets_cache.rglob("*.lock")] == []

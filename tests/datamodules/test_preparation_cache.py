"""What is done once and found again, and what is done anew."""

import pytest
from corpora import make_encoding

from datamodules import preparation
from datamodules.preparation import prepare


@pytest.mark.parametrize("step", ["audit_batch", "encode_batch"])
def test_second_call_finds_its_work_done(prepare_sources, train_source, monkeypatch, step):
    calls, original = [], getattr(preparation, step)

    def counted(*args, **kwargs):
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(preparation, step, counted)
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
    monkeypatch.setattr(preparation, "ROWS_PER_PROCESS", 5)
    rows = {}
    for count in (1, 2):
        splits, _ = prepare([train_source(range(12))], make_encoding(), tiny_tokenizer, f"vocabulary {count}", count)
        rows[count] = splits["train"].to_list()
    assert rows[1] == rows[2]

"""Texts without summaries become rows of training; what judges a model stays out of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import SAVE_EVERY_STEP, configured, last_checkpoint, records, run
from corpora import TRAIN_ONLY, write_jsonl
from interruptions import Crash

from datamodules.bilingual import BilingualDataModule
from datamodules.gap_sentences import GapSentences
from datamodules.shared_runs import RUN, SharedRuns
from datamodules.sources import Columns, SummarizationSource

SUBJECTS = ("ferry", "bridge", "school", "bakery", "museum", "market", "harbour", "library", "station", "garden")


def document(number: int) -> str:
    """Three sentences; seen by 13 words, no two documents share any."""
    subject = SUBJECTS[number % len(SUBJECTS)]
    return (
        f"The old {subject} number {number} in town {number + 1000} was closed for a week. "
        f"Nobody there had expected number {number} to be closed, said its owner {number + 2000} on Monday. "
        f"Repairs of number {number} cost more than {number + 3000} and took {number} days."
    )


@pytest.fixture
def texts(tmp_path):
    def make(documents, name="texts.txt", **options):
        path = tmp_path / name
        path.write_text("".join(f"{one}\n" for one in documents), encoding="utf-8")
        return SummarizationSource("en", str(path), **({"gap_sentences": GapSentences()} | options))

    return make


@pytest.fixture
def prepared(random_mt5, tmp_path):
    def make(*sources, **options):
        data = BilingualDataModule(list(sources), tokenizer=str(random_mt5), num_workers=0, num_proc=1, **options)
        data.setup("test")
        return data

    return make


def counted(data) -> dict[str, int]:
    (split,) = [one for one in data.report.splits if one.split == "train"]
    assert split.read == split.kept + split.over_limit + sum(split.problems.values())
    return split.problems


def test_every_text_is_a_row_or_is_counted(texts, prepared):
    data = prepared(texts([document(0), document(1), document(1), "Too short.", "", "4. 5. 6.", "nul\0 in it"]))
    assert [row["article"].count("number 0") > 0 for row in data.rows("train")] == [True, False]
    for row in data.rows("train"):
        assert row["summary"] in document(0) + document(1)
    assert counted(data) == {"no_gap_sentence": 3, "not_text": 1, "duplicate": 1}
    assert data.report.as_dict()["splits"][0]["read"] == 7


def test_a_column_of_a_table_holds_the_texts(tmp_path, prepared):
    path = write_jsonl(tmp_path / "news.jsonl", [{"text": document(0)}, {"text": None}, "no record"])
    source = SummarizationSource("en", path, columns=Columns(article="text"), gap_sentences=GapSentences())
    assert len(prepared(source).rows("train")) == 1


def test_passages_of_articles_that_judge_are_left_out_and_counted(texts, prepared, tmp_path):
    tail = " ".join(document(3).split()[-RUN:])
    judge = [
        {"split": "train", "article": document(0), "summary": "None."},
        {"split": "validation", "article": document(1).upper(), "summary": "None."},
        {"split": "test", "article": f"Elsewhere, {tail}", "summary": "None."},
        {"split": "test", "article": "Nothing.", "summary": document(4)},
        {"split": "test", "article": " ".join(document(5).split()[: RUN - 1]), "summary": "None."},
    ]
    path = write_jsonl(tmp_path / "judge.jsonl", judge)
    clear = SummarizationSource("en", path, columns=Columns(split="split"))
    source = texts(map(document, range(6)))
    data = prepared(source, keep_clear_of=[clear])
    assert counted(data) == {"judged": 3}
    kept = " ".join(row["article"] for row in data.rows("train"))
    assert [f"number {number} " in kept for number in range(6)] == [True, False, True, False, False, True]
    # A corpus without validation and test rows judges by all of them.
    whole = replace(clear, columns=Columns(), splits=TRAIN_ONLY)
    assert counted(prepared(source, keep_clear_of=[whole])) == {"judged": 4}


def test_pairs_keep_clear_too(prepared, tmp_path):
    rows = [{"article": document(number), "summary": "It was closed."} for number in range(4)]
    source = SummarizationSource("en", write_jsonl(tmp_path / "pairs.jsonl", rows), splits=TRAIN_ONLY)
    clear = SummarizationSource("en", write_jsonl(tmp_path / "judge.jsonl", rows[:1]), splits=TRAIN_ONLY)
    assert counted(prepared(source, keep_clear_of=[clear])) == {"leak": 1}


def test_runs_ignore_case_marks_and_spacing():
    runs = SharedRuns(["İstanbul'da IŞIK: " + " ".join(f"kelime{number}" for number in range(RUN - 3))])
    assert runs.shares("… istanbul da ışık, " + "  ".join(f"Kelime{number}" for number in range(RUN - 3)))
    assert not runs.shares("istanbul da ışık " + " ".join(f"kelime{number}" for number in range(RUN - 4)))
    assert not SharedRuns([]).shares(document(0))


def test_held_out_passages_never_stand_in_training_and_stay_when_texts_are_added(texts, prepared):
    def articles(source):
        data = prepared(source)
        return {split: set(data.rows(split)["article"]) for split in ("train", "validation", "test")}

    few, more = (texts(map(document, range(count)), f"{count}.txt", hold_out=0.1) for count in (120, 150))
    before, after = articles(few), articles(more)
    assert sum(map(len, before.values())) == len(set().union(*before.values())) == 120
    assert all(before[split] < after[split] or before[split] == after[split] for split in before)


def test_other_settings_and_other_judges_make_other_rows(texts, prepared, tmp_path):
    source = texts(map(document, range(20)))
    names = [prepared(source).report.splits[0].fingerprint for _ in range(2)]
    assert names[0] == names[1]
    other = replace(source, gap_sentences=GapSentences(choose="random"))
    clear = texts([document(0)], "judge.txt", splits=TRAIN_ONLY)
    assert len({names[0], prepared(other).report.splits[0].fingerprint}) == 2
    assert prepared(source, keep_clear_of=[clear]).report.splits[0].fingerprint not in names


def test_a_split_column_is_refused(texts):
    with pytest.raises(ValueError, match="has no meaning with gap_sentences"):
        texts([], columns=Columns(split="split"))


def test_crashed_run_on_gap_sentences_resumes_exactly(texts, tmp_path):
    path = texts(map(document, range(60))).path
    source = {"language": "en", "path": path, "gap_sentences": {"keep": 0.5}, "hold_out": 0.1}
    flags = [f"--data.sources={json.dumps([source])}", "--model.adaptation=full", "--trainer.max_steps=6"]
    run("fit", tmp_path / "whole", *flags)
    crash = configured("interruptions.CrashAt", step=3)
    with pytest.raises(Crash):
        run("fit", tmp_path / "broken", *flags, callbacks=(*SAVE_EVERY_STEP, crash))
    run("fit", tmp_path / "broken", *flags, "--ckpt_path=last")
    own, expected = records(tmp_path / "broken"), records(tmp_path / "whole")
    assert own["train/loss"] == expected["train/loss"]
    assert own["val/loss"] == expected["val/loss"]
    weights = [last_checkpoint(tmp_path / name)["state_dict"] for name in ("whole", "broken")]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    report = json.loads(next((tmp_path / "whole").glob("*/data_report.json")).read_text())
    assert {split["split"] for split in report["splits"]} == {"train", "validation", "test"}

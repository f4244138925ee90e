import datasets
import numpy as np
import pytest
from corpora import BY_COLUMN, TRAIN_ONLY, pair, write_jsonl, write_table

from datamodules import preparation
from datamodules.sources import Limits, Splits, SummarizationSource


def test_rows_are_encoded_and_named_by_language(prepare_sources, train_source, tiny_tokenizer):
    splits, _ = prepare_sources(train_source([0, 1], "tr", "a.jsonl"), train_source([2], "it", "b.jsonl"))
    rows = splits["train"]
    assert list(splits) == ["train"]
    assert list(rows["language"]) == ["tr", "tr", "it"]
    assert list(rows["id"]) == ["row-0", "row-1", "row-2"]
    assert tiny_tokenizer.decode(rows[2]["labels"][:-1]) == pair(2)["summary"] == rows[2]["summary"]
    assert rows[2]["source_tokens"] == len(rows[2]["input_ids"])


def test_every_bad_row_is_counted_under_its_reason(prepare_sources, tmp_path):
    rows = [
        pair(0),
        '{"article": "cut of',
        pair(1) | {"split": "trian"},
        pair(2) | {"summary": 3},
        pair(3) | {"article": " "},
        pair(4) | {"summary": None},
        pair(5) | {"article": "Short."},
        pair(7) | {"summary": pair(7)["article"]},
        pair(0),
        pair(6, "test"),
        pair(6),
    ]
    path = tmp_path / "a.jsonl"
    write_jsonl(path, rows)
    with path.open("a") as file:
        file.write('{"split": "train", "article": "Half an emoji.", "summary": "\\ud83d"}\n')
    source = SummarizationSource("en", str(path), columns=BY_COLUMN, splits=Splits(validation=None))
    splits, (train, test) = prepare_sources(source)
    assert train.problems == {
        "unreadable": 2,
        "other_split": 1,
        "not_text": 1,
        "empty_article": 1,
        "empty_summary": 1,
        "summary_equal": 1,
        "summary_longer": 1,
        "duplicate": 1,
        "leak": 1,
    }
    assert (train.read, train.kept, test.kept, test.problems) == (11, 1, 1, {})
    assert list(splits["train"]["id"]) == ["row-0"]


def test_surplus_cells_are_counted_as_unreadable(prepare_sources, tmp_path):
    path = write_table(tmp_path / "a.csv", [pair(0), pair(1)])
    with open(path, "a") as file:
        file.write("row-2,train,An article,with a comma,Its summary\n")
    _, (train,) = prepare_sources(SummarizationSource("en", path, splits=TRAIN_ONLY))
    assert (train.read, train.kept, train.problems) == (3, 2, {"unreadable": 1})


def test_column_called_problem_in_a_corpus_is_no_problem(prepare_sources, tmp_path):
    datasets.Dataset.from_list([pair(0) | {"problem": "late ferries"}]).to_parquet(str(tmp_path / "a.parquet"))
    _, (train,) = prepare_sources(SummarizationSource("en", str(tmp_path / "a.parquet"), splits=TRAIN_ONLY))
    assert train.kept == 1


def test_duplicates_and_leaks_are_found_across_sources(prepare_sources, tmp_path, train_source):
    splits = [pair(0), pair(1, "validation"), pair(2, "validation"), pair(2, "test"), pair(3, "test")]
    judged = SummarizationSource("tr", write_jsonl(tmp_path / "tr.jsonl", splits), columns=BY_COLUMN)
    rows, reports = prepare_sources(judged, train_source([0, 1, 2, 3, 4]))
    problems = {(report.language, report.split): report.problems for report in reports}
    assert problems == {
        ("tr", "train"): {},
        ("en", "train"): {"duplicate": 1, "leak": 3},
        ("tr", "validation"): {"leak": 1},
        ("tr", "test"): {},
    }
    assert list(rows["train"]["id"]) == ["row-0", "row-4"]
    assert list(rows["test"]["id"]) == ["row-2", "row-3"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("{}", "{}\u200f"), ("{}…", "{}..."), ("{} １２", "{} 12")],
    ids=["no width", "dots", "full width"],
)
def test_articles_of_equal_tokens_are_duplicates_and_leaks(prepare_sources, tiny_tokenizer, tmp_path, one, other):
    first, second = (pair(0) | {"article": form.format(pair(0)["article"])} for form in (one, other))
    ids = [tiny_tokenizer(row["article"], add_special_tokens=False).input_ids for row in (first, second)]
    assert ids[0] == ids[1]
    rows = [first, second, pair(1), first | {"split": "test"}]
    source = SummarizationSource(
        "en", write_jsonl(tmp_path / "a.jsonl", rows), columns=BY_COLUMN, splits=Splits(validation=None)
    )
    _, (train, _) = prepare_sources(source)
    assert (train.kept, train.problems) == (1, {"duplicate": 1, "leak": 1})


def test_limit_takes_a_fixed_sample_that_is_not_the_beginning(prepare_sources, train_source):
    source = train_source(range(60), limits=Limits(train=10))
    splits, (report,) = prepare_sources(source)
    numbers = [int(name.removeprefix("row-")) for name in splits["train"]["id"]]
    assert (report.kept, report.over_limit) == (10, 50)
    assert numbers == sorted(numbers)
    assert max(numbers) > 10
    assert list(prepare_sources(source)[0]["train"]["id"]) == list(splits["train"]["id"])


def test_limit_above_the_rows_keeps_all(prepare_sources, train_source):
    _, (report,) = prepare_sources(train_source(range(5), limits=Limits(train=9)))
    assert (report.kept, report.over_limit) == (5, 0)


@pytest.mark.parametrize(("cap", "kept"), [(20, [8, 5]), (10, [8, 2]), (6, [6, 0]), (0, [0, 0])])
def test_cap_counts_over_all_sources_of_a_language(prepare_sources, train_source, cap, kept):
    first = train_source(range(10), name="a.jsonl", limits=Limits(train=8))
    sources = (first, train_source(range(10, 15), name="b.jsonl"), train_source(range(15, 18), "it", "c.jsonl"))
    _, reports = prepare_sources(*sources, train_caps={"en": cap})
    assert [report.kept for report in reports] == [*kept, 3]


def test_caps_leave_validation_and_test_alone(prepare_sources, tmp_path):
    rows = [
        pair(number, split)
        for split, start in (("train", 0), ("validation", 9), ("test", 18))
        for number in range(start, start + 9)
    ]
    source = SummarizationSource("en", write_jsonl(tmp_path / "a.jsonl", rows), columns=BY_COLUMN)
    _, reports = prepare_sources(source, train_caps={"en": 4})
    assert {report.split: report.kept for report in reports} == {"train": 4, "validation": 9, "test": 9}


def test_held_out_rows_are_disjoint_and_stay_when_rows_are_added(prepare_sources, train_source):
    def held_out(numbers, name):
        splits, _ = prepare_sources(train_source(numbers, name=name, hold_out=0.2, splits=Splits()))
        return {split: set(rows["id"]) for split, rows in splits.items()}

    few, many = held_out(range(100), "few.jsonl"), held_out([*range(150, 99, -1), *range(100)], "many.jsonl")
    assert set.union(*few.values()) == {f"row-{number}" for number in range(100)}
    assert sum(map(len, few.values())) == 100
    assert 8 <= len(few["validation"]) <= 32
    assert 8 <= len(few["test"]) <= 32
    for split in few:
        assert few[split] < many[split]


def test_unusable_rows_are_not_held_out(prepare_sources, train_source):
    source = train_source(range(100), hold_out=0.1, splits=Splits())
    with open(source.path, "a") as file:
        file.write("{\n" * 30)
    _, reports = prepare_sources(source)
    assert {report.split: report.problems.get("unreadable", 0) for report in reports} == {
        "train": 30,
        "validation": 0,
        "test": 0,
    }


def test_share_that_leaves_a_split_empty_is_refused(prepare_sources, train_source):
    with pytest.raises(ValueError, match=r"hold_out 0.01 of the 3 usable rows .* leaves .* empty"):
        prepare_sources(train_source(range(3), hold_out=0.01, splits=Splits()))


def test_too_long_summaries_are_dropped_and_counted_or_cut(prepare_sources, tmp_path):
    long = pair(1) | {"summary": "The ferry left the harbour late, and nobody knew why"}
    source = SummarizationSource("en", write_jsonl(tmp_path / "a.jsonl", [pair(0), long]), splits=TRAIN_ONLY)
    _, (dropped,) = prepare_sources(source, max_target_tokens=12, truncate_targets="drop")
    assert (dropped.kept, dropped.problems, dropped.target_tokens.truncated) == (1, {"target_too_long": 1}, 0)
    splits, (cut,) = prepare_sources(source, max_target_tokens=12, truncate_targets="token")
    assert (cut.kept, cut.problems, cut.target_tokens.truncated) == (2, {}, 0.5)
    assert max(len(labels) for labels in splits["train"]["labels"]) == 12


def test_source_without_a_usable_row_does_not_disturb_another(prepare_sources, train_source, tmp_path):
    bad = SummarizationSource("it", write_jsonl(tmp_path / "bad.jsonl", ["{", "["]), splits=TRAIN_ONLY)
    splits, reports = prepare_sources(bad, train_source([0, 1]))
    assert [report.kept for report in reports] == [0, 2]
    assert all(isinstance(ids, list) for ids in splits["train"]["input_ids"])


def test_prefix_of_the_source_wins_over_that_of_the_language(prepare_sources, train_source, tiny_tokenizer):
    sources = (train_source([0], name="a.jsonl"), train_source([1], name="b.jsonl", prefix="short: "))
    splits, _ = prepare_sources(*sources, prefixes={"en": "summarize: "})
    texts = [tiny_tokenizer.decode(ids[:-1]) for ids in splits["train"]["input_ids"]]
    assert texts == ["summarize: " + pair(0)["article"], "short: " + pair(1)["article"]]
    assert list(splits["train"]["article"]) == [pair(0)["article"], pair(1)["article"]]


def test_column_of_no_rows_is_an_empty_array():
    empty = preparation.column(datasets.Dataset.from_dict({"other": []}), "target_tokens")
    assert empty.shape == (0,)
    assert empty.dtype == np.int64

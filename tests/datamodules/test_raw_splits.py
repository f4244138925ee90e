import datasets
import pytest
from corpora import BY_COLUMN, TRAIN_ONLY, pair, write_jsonl, write_table

from datamodules.raw_splits import open_split
from datamodules.sources import Columns, Splits, SummarizationSource

PAIRS = [pair(0), pair(1), pair(2, "validation"), pair(3, "test")]


def load(path, split="train", language="en", **options):
    opened = open_split(SummarizationSource(language, str(path), **options), split)
    return None if opened is None else list(opened.read())


def write(folder, name, rows):
    path = folder / name
    if path.suffix == ".jsonl":
        return write_jsonl(path, rows)
    if path.suffix == ".parquet":
        datasets.Dataset.from_list(rows).to_parquet(str(path))
        return str(path)
    return write_table(path, rows, delimiter="\t" if path.suffix == ".tsv" else ",")


def texts(rows):
    return [(row["id"], row["article"], row["summary"]) for row in rows]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("in_one_file", [True, False], ids=["split column", "{split} in path"])
def test_every_format_gives_the_same_rows(tmp_path, suffix, in_one_file):
    if in_one_file:
        path, columns = write(tmp_path, f"all{suffix}", PAIRS), BY_COLUMN
    else:
        for split in ("train", "validation", "test"):
            write(tmp_path, f"{split}{suffix}", [row for row in PAIRS if row["split"] == split])
        path, columns = str(tmp_path / f"{{split}}{suffix}"), Columns(id="id")
    for split in ("train", "validation", "test"):
        expected = [(row["id"], row["article"], row["summary"]) for row in PAIRS if row["split"] == split]
        assert texts(load(path, split, columns=columns)) == expected


def test_split_may_have_another_name_or_none(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [pair(0), pair(1, "dev")])
    options = {"columns": BY_COLUMN, "splits": Splits(validation="dev", test=None)}
    assert [row["id"] for row in load(path, "validation", **options)] == ["row-1"]
    assert load(path, "test", **options) is None


def test_held_out_splits_are_not_read(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [pair(0), pair(1)])
    assert len(load(path, hold_out=0.1)) == 2
    assert load(path, "validation", hold_out=0.1) is None


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(("role", "name"), [("article", "metin"), ("summary", "özet"), ("id", "no"), ("split", "kime")])
def test_missing_column_is_named_with_those_found(tmp_path, suffix, role, name):
    path = write(tmp_path, f"a{suffix}", [{"article": "A text.", "summary": "Text."}])
    with pytest.raises(ValueError, match=f"no column '{name}' for the {role}. It has: article, summary"):
        load(path, columns=Columns(**{role: name}), splits=TRAIN_ONLY)


@pytest.mark.parametrize("name", ["nowhere.jsonl", "nowhere.parquet", "{split}.csv"])
def test_missing_file_is_named(tmp_path, name):
    with pytest.raises(ValueError, match=f"No file .*{name.replace('{split}', 'train')}'.*Check the path"):
        load(tmp_path / name)


def test_file_in_another_encoding_is_named(tmp_path):
    path = tmp_path / "latin.jsonl"
    path.write_bytes('{"article": "Ağrı"}\n'.encode("iso8859-9"))
    with pytest.raises(
        ValueError, match=r"latin.jsonl' is not all UTF-8: line 1 has byte 0xf0.*cp1254 \(gives 'Ağrı'\)"
    ):
        load(path, splits=TRAIN_ONLY)


def test_corrupt_parquet_is_named_with_its_cause(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(ValueError, match=r"a.parquet' as Parquet: .*magic bytes"):
        load(path, splits=TRAIN_ONLY)


@pytest.mark.parametrize("name", ["a.doc", "a.txt"])
def test_file_of_another_kind_is_told_the_kinds_there_are(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(
        ValueError, match=rf"{name}': its name must end in .csv, .json, .jsonl, .ndjson, .parquet, .tsv"
    ):
        load(tmp_path / name, splits=TRAIN_ONLY)


@pytest.mark.parametrize(("name", "content"), [("a.jsonl", ""), ("a.jsonl", "\n\n"), ("a.csv", "article,summary\n")])
@pytest.mark.parametrize("columns", [Columns(), BY_COLUMN])
def test_empty_split_is_refused(tmp_path, name, content, columns):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match="no rows in split 'train'; name it null"):
        load(tmp_path / name, columns=columns, splits=TRAIN_ONLY)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_wrong_split_name_lists_those_found(tmp_path, suffix, split):
    path = write(tmp_path, f"a{suffix}", PAIRS)
    with pytest.raises(ValueError, match="no rows of split 'wrong' in column 'split'; it has test, train, validation"):
        load(path, split, columns=BY_COLUMN, splits=Splits(**{split: "wrong"}))


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("splits", [Splits(), Splits(test=None), Splits(train=None, validation="dev")])
def test_one_file_for_several_splits_needs_a_split_column(tmp_path, suffix, splits):
    path = write(tmp_path, f"a{suffix}", PAIRS)
    with pytest.raises(ValueError, match=r"one file, so its rows cannot be told apart by split.*hold_out"):
        load(path, "validation", splits=splits)


def test_one_file_may_be_all_of_one_split(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", PAIRS)
    assert len(load(path, "test", splits=Splits(train=None, validation=None))) == 4

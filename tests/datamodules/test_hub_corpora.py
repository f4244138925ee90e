import os

import datasets
import pyarrow as pa
import pytest

from datamodules.hub_corpora import PARQUET_BRANCH, XLSUM, XLSUM_CONFIGS, complete_hub_source
from datamodules.raw_splits import open_split
from datamodules.sources import Splits, SummarizationSource


@pytest.fixture
def requests(monkeypatch):
    """What was asked of the hub; each request is answered with one row."""
    asked = []

    def load_dataset(path, name, split, revision):
        asked.append((path, name, split, revision))
        return datasets.Dataset.from_list([{"article": "A long text.", "summary": "Text."}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def fail_with(monkeypatch, error):
    def load_dataset(*_, **__):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)


@pytest.mark.parametrize(("language", "name"), [("tr", "turkish"), ("en", "english"), ("sr-Latn", "serbian_latin")])
def test_xlsum_configuration_and_branch_follow_from_the_language(requests, language, name):
    open_split(SummarizationSource(language, XLSUM), "validation")
    assert requests == [(XLSUM, name, "validation", PARQUET_BRANCH)]


def test_revision_that_the_user_gives_wins(requests):
    open_split(SummarizationSource("tr", XLSUM, revision="abc123"), "test")
    assert requests == [(XLSUM, "turkish", "test", "abc123")]


def test_other_corpora_are_asked_for_as_configured(requests):
    source = SummarizationSource("en", "abisee/cnn_dailymail", name="3.0.0", revision="main")
    open_split(source, "train")
    assert requests == [("abisee/cnn_dailymail", "3.0.0", "train", "main")]


def test_xlsum_has_no_italian_and_says_where_some_is():
    with pytest.raises(ValueError, match=r"no language 'it'; it has am, ar, .*, yo, zh-Hans") as error:
        complete_hub_source(SummarizationSource("it", XLSUM))
    assert "ilpost" in str(error.value)
    assert "fanpage" in str(error.value)


def test_xlsum_without_german_gives_no_hint_for_italian():
    with pytest.raises(ValueError, match="no language 'de'") as error:
        complete_hub_source(SummarizationSource("de", XLSUM))
    assert "ilpost" not in str(error.value)


def test_xlsum_configuration_of_another_language_is_refused():
    with pytest.raises(ValueError, match="for language 'tr' is 'turkish', not 'english'"):
        complete_hub_source(SummarizationSource("tr", XLSUM, name="english"))


def test_every_xlsum_language_has_one_configuration_of_its_own():
    assert len(XLSUM_CONFIGS) == len(set(XLSUM_CONFIGS.values())) == 45
    for language in XLSUM_CONFIGS:
        assert SummarizationSource(language, XLSUM).language == language


def test_loading_script_is_explained_and_mlsum_has_a_fallback(monkeypatch):
    fail_with(monkeypatch, RuntimeError("Dataset scripts are no longer supported, but found mlsum.py"))
    with pytest.raises(ValueError, match=r"'reciTAL/mlsum \(tu\)', split 'train', revision 'main'") as error:
        open_split(SummarizationSource("tr", "reciTAL/mlsum", name="tu"), "train")
    for part in ("Dataset scripts are no longer supported", PARQUET_BRANCH, "configs/data/tr_news.yaml"):
        assert part in str(error.value)


def test_unreachable_hub_is_explained_by_its_root_cause(monkeypatch):
    outer = RuntimeError("could not load")
    outer.__cause__ = ConnectionError("Couldn't reach someone/transcripts\nlong trace")
    fail_with(monkeypatch, outer)
    with pytest.raises(ValueError, match="ConnectionError: Couldn't reach someone/transcripts") as error:
        open_split(SummarizationSource("tr", "someone/transcripts"), "train")
    assert "HF_HUB_OFFLINE" in str(error.value)
    assert "loading script" not in str(error.value)
    assert "long trace" not in str(error.value)


@pytest.mark.parametrize("path", ["a b/c", "one/two/three", "https://example.org/x"])
def test_path_that_is_neither_file_nor_hub_id_is_refused(requests, path):
    with pytest.raises(ValueError, match="neither a readable file"):
        open_split(SummarizationSource("tr", path), "train")
    assert requests == []


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A data set that lies in a folder, and is loaded as one of the hub, by way of the cache."""
    source = SummarizationSource("tr", "someone/transcripts", splits=Splits(validation=None, test=None))
    folder = tmp_path / "someone___transcripts"
    rows = [{"article": f"A long text {number}.", "summary": "Text."} for number in range(5)]
    folder.mkdir()
    datasets.Dataset.from_list(rows).to_parquet(str(folder / "train.parquet"))
    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda path, *args, **options: load(str(folder), *args, **options))
    return source


def cut(folder):
    os.truncate(next(folder.glob("*.arrow")), 100)


def zero(folder):
    file = next(folder.glob("*.arrow"))
    file.write_bytes(bytes(file.stat().st_size))


def lose_rows(folder):
    next(folder.glob("*.arrow")).unlink()


def lose_all(folder):
    for file in folder.iterdir():
        file.unlink()


def garble(text):
    return lambda folder: (folder / "dataset_info.json").write_text(text)


@pytest.mark.parametrize("harm", [cut, zero, lose_rows, lose_all, garble(""), garble("{"), garble('{"a": 1}')])
def test_damaged_copy_of_the_hubs_rows_is_made_anew(stored, own_datasets_cache, caplog, harm):
    first = list(open_split(stored, "train").read())
    harm(next(own_datasets_cache.rglob("*.arrow")).parent)
    assert list(open_split(stored, "train").read()) == first
    (warning,) = caplog.messages
    assert "is damaged" in warning or (harm is lose_all and "no data were found" in warning)


def test_rows_of_the_hub_with_bad_cells_are_counted(stored, monkeypatch):
    cells = pa.array([b"A \xff text.", b"A text.", None], pa.binary()).view(pa.string())
    table = datasets.table.InMemoryTable(pa.table({"article": cells, "summary": [["a list"], ["b"], ["c"]]}))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.Dataset(table))
    rows = list(open_split(stored, "train").read())
    assert [row["reading_problem"] for row in rows] == ["unreadable", "not_text", "not_text"]
    assert [row["id"] for row in rows] == ["0", "1", "2"]

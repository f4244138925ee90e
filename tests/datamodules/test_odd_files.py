"""Each odd file is read, counted or refused as docs/files.md says."""

import re
from collections import Counter
from pathlib import Path

import pytest
from corpora import TRAIN_ONLY
from odd_delimited_files import DELIMITED, ENCODINGS
from odd_files import OddFile, article
from odd_other_files import COMPRESSED, FOLDERS, JSON, PARQUET

from datamodules.articles import ArticleReader
from datamodules.corpus_sources import CorpusSource, read_documents
from datamodules.sources import SummarizationSource

GROUPS = {
    "Encodings": ENCODINGS,
    "Delimited text": DELIMITED,
    "JSON": JSON,
    "Parquet": PARQUET,
    "Compressed files and others": COMPRESSED,
    "Folders and patterns": FOLDERS,
}
ODD = [odd for group in GROUPS.values() for odd in group]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "files.md"


def source_of(odd: OddFile, folder: Path) -> SummarizationSource:
    for name, content in odd.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    path = folder / (odd.path or next(iter(odd.files)))
    return SummarizationSource("tr", str(path), **({"splits": TRAIN_ONLY} | odd.options))


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.what)
def test_odd_file(prepare_sources, tmp_path, odd):
    if odd.message:
        with pytest.raises(ValueError) as error:
            prepare_sources(source_of(odd, tmp_path))
        assert odd.message in str(error.value)
        assert "\n" not in str(error.value)
        return
    splits, reports = prepare_sources(source_of(odd, tmp_path))
    assert sum(report.read for report in reports) == odd.given
    assert sum((Counter(report.problems) for report in reports), Counter()) == odd.counted
    kept = [row for rows in splits.values() for row in rows]
    assert len(kept) == odd.kept
    assert not kept or kept[0]["article"].strip() == (odd.first or article(1)).strip()


READ = [odd for odd in ODD if not odd.message]
OF_THE_FILE = ("unreadable", "repeated_header", "not_utf8")


@pytest.mark.parametrize("odd", [odd for odd in READ if odd.path != "d"], ids=lambda odd: odd.what)
def test_summarising_reads_the_same_rows(tmp_path, odd):
    source = source_of(odd, tmp_path)
    reader = ArticleReader(encoding=source.encoding)
    problems = Counter(article.problem for article in reader.read([source.path]))
    assert problems.total() == reader.count([source.path]) == odd.given
    assert {reason: problems[reason] for reason in OF_THE_FILE if problems[reason]} == {
        reason: count for reason, count in odd.counted.items() if reason in OF_THE_FILE
    }


@pytest.mark.parametrize("odd", READ, ids=lambda odd: odd.what)
def test_pretraining_reads_the_same_rows(tmp_path, odd):
    source = source_of(odd, tmp_path)
    texts = list(read_documents(CorpusSource("tr", source.path, "article", encoding=source.encoding)))
    assert len(texts) == odd.given
    lost = odd.counted.get("unreadable", 0) + odd.counted.get("repeated_header", 0)
    assert texts.count(None) == lost + odd.counted.get("empty_article", 0)


def lines_of_table() -> list[str]:
    lines = []
    for title, group in GROUPS.items():
        lines += [f"### {title}", "", "| file | given | kept | counted, or the message |", "|---|---|---|---|"]
        for odd in group:
            counted = ", ".join(f"{reason} {count}" for reason, count in odd.counted.items())
            told = f"refused: … {odd.message} …" if odd.message else counted
            cells = f"{odd.what} (`{odd.path or next(iter(odd.files))}`)", str(odd.given), str(odd.kept), told
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return lines


def test_page_shows_this_table():
    page = PAGE.read_text(encoding="utf-8")
    assert "\n".join(lines_of_table()).strip() in page
    (number,) = re.findall(r"The (\d+) files below", page)
    assert int(number) == len(ODD)

import json
from pathlib import Path

import pytest

from reports.corpus_description import main, read_corpus

ROWS = [
    {"article": "Rain fell. Roads closed. Trains stopped. Ships sailed home.", "summary": "Trains stopped."},
    {"article": "Sun shone on all of us.", "summary": "People were glad."},
    {"article": "  ", "summary": "No article."},
    {"article": "No summary.", "summary": None},
]


def save(path: Path) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def test_table_describes_the_pairs_and_counts_what_is_left_out(tmp_path: Path) -> None:
    main([f"en={save(tmp_path / 'a.jsonl')}", "--output", str(tmp_path / "out")])
    page = (tmp_path / "out" / "corpora.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith("| en ")]
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    # By hand: (1 + 0) / 2 copied; ROUGE-L of "Rain fell Roads closed Trains stopped" and "Trains stopped" is 50.
    assert cells == ["2", "2", "7.5", "2.5", "50.0%", "50.0%", "25.00"]
    assert "data:image/svg+xml" in (tmp_path / "out" / "corpora.html").read_text()


def test_other_tables_and_columns_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,title\nA long text,Short\n,Lacking\n")
    corpus = read_corpus(tmp_path / "a.csv", "text", "title")
    assert corpus.pairs == [("A long text", "Short")] and corpus.left_out == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["en=nowhere.jsonl"], "Cannot read 'article' and 'summary' of 'nowhere.jsonl'"),
        (["{file}"], "Name each file by its language"),
        (["en={file}", "en={file}"], "each once"),
        (["en={file}", "--article", "body"], "Cannot read 'body'"),
    ],
)
def test_what_cannot_be_described_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    file = save(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match=message):
        main([argument.format(file=file) for argument in arguments])

"""Marks within a quoted cell that are not doubled cost nothing where the cells can still be told apart."""

import pytest

from datamodules.local_files import raw_rows


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_marks_within_a_quoted_cell_need_not_be_doubled(tmp_path, delimiter):
    file = tmp_path / "a.csv"
    cell = f'He said "no"{delimiter} and left'
    lines = [f"article{delimiter}summary", f'"{cell}"{delimiter}"He ""left"""', f'"Two"{delimiter}"2"']
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = [row for _, row in raw_rows(str(file), ["article", "summary"], None)]
    assert rows == [{"article": cell, "summary": 'He "left"'}, {"article": "Two", "summary": "2"}]

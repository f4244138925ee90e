import sys

import pytest
import zstandard

from metrics import known_words, list_words


def listed(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["list_words", *map(str, arguments)])
    list_words.main()


def test_words_seen_twice_in_any_files_are_listed(tmp_path, monkeypatch, capsys):
    plain, packed = tmp_path / "a.txt", tmp_path / "b.txt.zst"
    plain.write_text("Ilık ILIK 12 İki\nvapur 4x4 東京 東京\n", encoding="utf-8")
    packed.write_bytes(zstandard.compress(b"iki vapurr <extra_id_0>\n"))
    listed(monkeypatch, "tr", plain, packed, "--output", tmp_path / "tr.txt.xz")
    shown = capsys.readouterr()
    assert "2 words" in shown.out and "Too few" in shown.err
    monkeypatch.setattr(known_words, "LISTS", tmp_path)
    assert known_words.shipped_words.__wrapped__("tr") == {"ılık", "iki"}
    first = (tmp_path / "tr.txt.xz").read_bytes()
    listed(monkeypatch, "tr", packed, plain, "--output", tmp_path / "tr.txt.xz")
    assert (tmp_path / "tr.txt.xz").read_bytes() == first
    listed(monkeypatch, "tr", plain, packed, "--times=1", "--output", tmp_path / "tr.txt.xz")
    assert known_words.shipped_words.__wrapped__("tr") == {"ılık", "iki", "vapur", "vapurr"}


def test_a_missing_file_is_named(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        listed(monkeypatch, "tr", tmp_path / "none.txt", "--output", tmp_path / "tr.txt.xz")
    assert f"no such file: {tmp_path / 'none.txt'}" in capsys.readouterr().err
    assert not (tmp_path / "tr.txt.xz").exists()

import re
from pathlib import Path

import pytest
from predictions import row, save

from reports.side_by_side import best_and_worst, common_examples, main, side_by_side_section
from reports.word_differences import marked_pieces


def marks(text: str, reference: str, other: str, language: str = "en") -> list[tuple[str, bool, bool]]:
    pieces = marked_pieces(text, reference, other, language)
    assert "".join(piece.text for piece in pieces) == text
    return [(piece.text, piece.in_reference, piece.in_other) for piece in pieces if piece.text[0].isalnum()]


def test_words_are_matched_in_order_and_in_the_casing_of_the_language() -> None:
    assert marks("IRMAK taştı, dün", "Dün ırmak taştı", "ırmak dün", "tr") == [
        ("IRMAK", True, True),
        ("taştı", True, False),
        ("dün", False, True),  # before the match in the reference
    ]
    assert marks("I", "ı", "i", "en") == [("I", False, True)]
    decomposed = "น้\u0e4d\u0e32"  # as the tokenizer spells it; shown as it is
    assert marks(f"{decomposed}ท่วม １０", "น้ำท่วม 10", "x", "th") == [
        (decomposed, True, False),
        ("ท่วม", True, False),
        ("１０", True, False),
    ]


def scored(name: str, score: float, prediction: str = "x", **changed: object) -> dict:
    return row(name, prediction, scores={"rougeL": score}, **changed)


def test_best_and_worst_are_by_the_mean_over_runs() -> None:
    runs = {
        "full": [scored("a", 10), scored("b", 50), scored("c", 20), scored("only here", 99)],
        "lora": [scored("c", 90), scored("a", 20), scored("b", 10)],
    }
    chosen = best_and_worst(common_examples(runs), "rougeL", 1)
    assert {title: [one["lora"]["id"] for one in rows] for title, rows in chosen.items()} == {
        "en: best by ROUGE-L": ["c"],
        "en: worst by ROUGE-L": ["a"],
    }
    both = best_and_worst(common_examples(runs), "rougeL", 2)
    assert [one["full"]["id"] for one in both["en: best by ROUGE-L"]] == ["c", "b"]
    assert [one["full"]["id"] for one in both["en: worst by ROUGE-L"]] == ["a"]  # none is shown twice


def test_repetitions_are_counted_in_words_that_nobody_marks() -> None:
    one = {"full": scored("a", 1, "6 storms"), "lora": scored("a", 1, "A storm was was was was was was here")}
    section = side_by_side_section({"worst": [one]}, "rougeL")
    assert "was_ … (×6) _here" in section.markdown
    assert ">was</span> … (×6) <span" in section.html


def test_section_marks_words_of_the_reference_and_new_ones() -> None:
    one = {
        "full": scored("a", 10, "The <b>storm</b> came"),
        "lora": scored("a", 20, "A storm stopped Rome"),
    }
    section = side_by_side_section({"best": [one]}, "rougeL")
    assert "- full (ROUGE-L 10.0): **The** \\<b\\>**storm**\\</b\\> came" in section.markdown
    assert "- lora (ROUGE-L 20.0): _A_ **storm** **_stopped_** _Rome_" in section.markdown
    assert "&lt;" in section.html and "<b>" not in section.html
    cell = re.findall(r"<td style=[^>]*>(.*?)</td>", section.html)[2]
    assert [bool(re.search(f'<span style="([^"]*)">{word}<', cell)) for word in ("A", "storm", "stopped", "Rome")] == [
        True
    ] * 4
    (style,) = re.findall(r'style="([^"]*)">stopped<', cell)
    assert "background" in style and "dotted" in style


def test_command_shows_the_articles_that_all_runs_have(tmp_path: Path) -> None:
    files = [save(tmp_path / f"{name}.jsonl", scored("a", 10), scored("b", 20), scored(name, 0)) for name in ("x", "y")]
    main([*files, "--output", str(tmp_path / "out"), "--count", "1"])
    page = (tmp_path / "out" / "side_by_side.md").read_text()
    assert page.index("**b**") < page.index("**a**") and "**x**" not in page


@pytest.mark.parametrize(
    ("second", "arguments", "message"),
    [
        (scored("b", 1), [], "No article is in all of"),
        (scored("a", 1, reference="other"), [], "1 of 1 references differ between the runs, such as en/a"),
        (scored("a", 1), ["--score", "bertscore"], "2 summaries have no score 'bertscore'"),
        (scored("a", 1), ["--count", "0"], "--count 0 must be at least 1"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path: Path, second: dict, arguments: list[str], message: str) -> None:
    files = [save(tmp_path / "x.jsonl", scored("a", 10)), save(tmp_path / "y.jsonl", second)]
    with pytest.raises(ValueError, match=message):
        main([*files, *arguments])

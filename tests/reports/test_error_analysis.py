import subprocess
import sys
from pathlib import Path

import pytest
from predictions import row, save

from reports.conventions import conventions, conventions_note
from reports.error_analysis import error_counts, error_section, judged, main
from reports.page import markdown_to_html

ROWS = [
    row("a", "A storm stopped 4 ferries in Izmir today"),
    row("b", "Schools closed.", ended=False),
    row("c", ""),
    row("d", "Rain <b>fell</b> in Rome *today*"),
    row("e", "Der Hund hat in Rom gebellt und geschlafen", "de", article="Der Hund und Ankara schlafen im Haus."),
]


def test_errors_are_counted_by_language() -> None:
    counts = error_counts(judged(ROWS))
    assert counts["en"] == {
        "hallucinated_number": 1,
        "hallucinated_name": 1,
        "wrong_language": 0,
        "repetition": 0,
        "truncated": 1,
        "empty": 1,
        "sentinel": 0,
        "copied_lead": 1,
        "uniform": 0,
    }
    assert counts["de"]["hallucinated_name"] is None  # German capitalises every noun
    assert counts["de"]["hallucinated_number"] == 0


def test_section_has_shares_and_examples_with_what_shows_the_error() -> None:
    section = error_section({"full": judged(ROWS), "lora": judged(ROWS[:1])}, examples=1)
    lines = [[cell.strip() for cell in line.split("|")] for line in section.markdown.splitlines() if "|" in line]
    number, name, none = (lines[0].index(one) for one in ("hallucinated number", "hallucinated name", "none of these"))
    found = {(line[1], line[2]): (line[3], line[number], line[name], line[none]) for line in lines[2:]}
    assert found == {
        ("full", "de"): ("1", "0 (0%)", "–", "1 (100%)"),
        ("full", "en"): ("4", "1 (25%)", "1 (25%)", "0 (0%)"),
        ("lora", "en"): ("1", "1 (100%)", "0 (0%)", "0 (0%)"),
    }
    assert section.markdown.count("(**4**)") == 2  # of each run
    assert "full, d, en (**Rome**): Rain \\<b\\>fell\\</b\\> in Rome \\*today\\*" in section.markdown
    assert "<b>fell" not in markdown_to_html(section.markdown, Path())
    assert "### Empty\n\n- full, c, en: (empty)" in section.markdown
    assert "### sentinel" not in section.markdown


def test_every_language_has_examples_from_the_whole_list_and_repetitions_are_shortened() -> None:
    rows = [row(str(number), "Rain fell in Rome", code) for code in ("en", "it") for number in range(5)]
    rows += [row("r", "and then " * 20, "en")]
    text = error_section({"full": judged(rows)}).markdown
    shown = [line for line in text.splitlines() if line.startswith("- full")]
    assert [line.split(" (")[0] for line in shown[:2]] == ["- full, 2, en", "- full, 2, it"]
    assert "- full, r, en: and then … (×20)" in shown
    two = error_section({"full": judged(rows)}, examples=2).markdown
    assert [number in two for number in ("full, 1, en", "full, 3, it", "full, 2, en")] == [True, True, False]


def test_conventions_are_no_errors_and_the_references_are_counted_beside() -> None:
    reference = "Yesterday our Deputy Smith spoke"
    rows = [
        row(str(number), "Today our Deputy Jones spoke", article="Here SMITH spoke.", reference=reference, ended=False)
        for number in range(100)
    ]
    known = conventions(rows)
    assert known == {"en": {"deputy"}} and "en: deputy." in conventions_note(known)
    assert judged(rows[:1], known)[0].errors["hallucinated_name"] == "Jones"
    assert judged(rows[:1])[0].errors["hallucinated_name"] == "Deputy, Jones"
    section = error_section({"full": judged(rows, known)}, baseline=judged(rows, known, "reference"))
    counts = {line.split(" | ")[0]: line.split(" | ")[4:8] for line in section.markdown.splitlines() if " | " in line}
    assert counts["| full"] == ["100 (100%)", "0 (0%)", "0 (0%)", "100 (100%)"]
    assert counts["| references"] == ["0 (0%)", "0 (0%)", "0 (0%)", "0 (0%)"]
    assert "- references" not in section.markdown


def test_command_writes_both_forms_and_loads_no_training_code(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run" / "test"
    save(run / "predictions.jsonl", *ROWS)
    main([f"full={run.parent}", "--output", str(tmp_path / "out")])
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "out" / f"error_analysis.{kind}") for kind in ("html", "md")
    ]
    assert "hallucinated number" in (tmp_path / "out" / "error_analysis.html").read_text()
    modules = "reports.error_analysis, reports.side_by_side, reports.faithfulness, reports.attention"
    code = f"import sys, {modules}; print({{'torch', 'lightning'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_two_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    file = save(tmp_path / "a.jsonl", *ROWS)
    with pytest.raises(ValueError, match="Two runs are called 'x'"):
        main([f"x={file}", f"x={file}"])
    with pytest.raises(ValueError, match="Cannot read"):
        main([str(tmp_path)])

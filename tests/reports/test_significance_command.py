import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reports.results import write_predictions
from reports.significance import main


def predictions(path: Path, better: float = 0.0, count: int = 60, first: int = 0, **changed: object) -> str:
    """Two languages; `better` is added to the Turkish ROUGE-1, which is else the same in every file but for noise."""
    noise = random.Random(str(path.name))
    rows = []
    for language in ("tr", "en"):
        for number in range(first, first + count):
            rouge1 = number % 17 + noise.random() + (better if language == "tr" else 0)
            scores = {"rouge1": rouge1, "rougeL": float(number % 5), "copied": 0.0}
            row = {"id": f"story-{number}", "language": language, "article": "a", "reference": f"r{number}"}
            rows.append(row | {"prediction": "p", "scores": scores} | changed)
    noise.shuffle(rows)
    write_predictions(path, rows)
    return str(path)


def table(output: str) -> dict[tuple[str, str], list[str]]:
    """Cells by language and score."""
    rows = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in output.splitlines() if "│" in line]
    return {(row[0], row[1]): row[2:] for row in rows}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def test_a_better_system_is_found_where_it_is_better(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = predictions(tmp_path / "a", better=1.0), predictions(tmp_path / "b")
    main([a, b])
    output = capsys.readouterr().out
    rows = table(output)
    assert rows.keys() == {(language, score) for language in ("tr", "en") for score in ("rouge1", "rougeL")}
    count, mean_a, mean_b, difference, bootstrap, randomization, holm = rows["tr", "rouge1"]
    assert count == "60"
    low, high = (float(bound) for bound in re.findall(r"[+-][\d.]+", difference)[1:])
    assert float(mean_a) - float(mean_b) == pytest.approx(float(difference.split()[0]), abs=0.011)
    assert 0.7 < low < float(difference.split()[0]) < high < 1.3
    assert float(bootstrap) < 0.01 and float(randomization) == 0.0001 and holm == "0.0004"
    assert float(rows["en", "rouge1"][-2]) > 0.05
    assert rows["en", "rougeL"][3:] == ["+0.00 [+0.00, +0.00]", "1.0000", "1.0000", "1.0000"]
    assert "all 4 tests" in output
    assert "Left out" not in output


def test_swapped_files_give_the_opposite_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = predictions(tmp_path / "a", better=1.0), predictions(tmp_path / "b")
    found = []
    for pair in ([a, b], [b, a]):
        main([*pair, "--metrics", "rouge1"])
        found.append(table(capsys.readouterr().out)["tr", "rouge1"])
    assert found[0][1:3] == found[1][2:0:-1]
    assert found[0][4:] == found[1][4:]
    assert found[0][3].split()[0].replace("+", "-") == found[1][3].split()[0]


def test_any_score_can_be_tested_and_the_seed_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = predictions(tmp_path / "a", better=0.05), predictions(tmp_path / "b")
    found = []
    for seed in ("0", "0", "1"):
        main([a, b, "--metrics", "copied", "rouge1", "--seed", seed])
        found.append(table(capsys.readouterr().out))
    assert found[0].keys() == {(code, score) for code in ("tr", "en") for score in ("copied", "rouge1")}
    assert found[0] == found[1]
    first, other = found[0]["tr", "rouge1"], found[2]["tr", "rouge1"]
    assert first[:3] == other[:3]
    assert all(first[cell] != other[cell] for cell in (3, 4, 5))  # interval, both p


def test_files_of_other_articles_are_refused_unless_only_the_common_ones_are_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = predictions(tmp_path / "a", count=50), predictions(tmp_path / "b", count=60, first=10)
    with pytest.raises(ValueError, match=r"20 ids are in .*a only and 40 in .*b only; see --common"):
        main([a, b])
    main([a, b, "--common"])
    output = capsys.readouterr().out
    assert table(output)["tr", "rouge1"][0] == "40"
    assert "20 summaries that only A has, 40 that only B has" in output
    with pytest.raises(ValueError, match="no id in common"):
        main([a, predictions(tmp_path / "c", first=100), "--common"])


@pytest.mark.parametrize(
    ("changed", "arguments", "message"),
    [
        ({"reference": "other"}, [], "120 of 120 references differ"),
        ({"id": "1"}, [], "has 118 rows whose language and id another row has too"),
        ({}, ["--metrics", "bertscore"], "no score 'bertscore'. The first has: copied, rouge1, rougeL"),
        ({"scores": {"other": 1.0}}, [], "No summary has a score of rouge1"),
        ({"scores": {"rouge1": None}}, ["--metrics", "rouge1"], "60 summaries in en have no score 'rouge1'"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, changed: dict, arguments: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        main([predictions(tmp_path / "a"), predictions(tmp_path / "b", **changed), *arguments])


def test_the_command_loads_no_training_code_and_ends_with_its_error(tmp_path: Path) -> None:
    code = "import sys, reports.significance, reports.results_table; print({'torch', 'lightning'} & sys.modules.keys())"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"
    command = [sys.executable, "-m", "reports.significance", predictions(tmp_path / "a"), str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: Cannot read") and "Traceback" not in done.stderr

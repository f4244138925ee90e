import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from member_names import compare, figures, main

REFERENCES = [
    "İzmir Milletvekili Ali Veli’nin, tarıma ilişkin açıklaması",
    "Van Milletvekili Can Er’in, suya ilişkin açıklaması",
    "Van Milletvekili Can Er'in, yola ilişkin konuşması",
    "Oturumun kapatılması",
]


def rows(*predictions: str) -> list[dict[str, Any]]:
    return [
        {"id": str(place), "language": "tr", "article": "", "prediction": said, "reference": wanted, "scores": {}}
        for place, (said, wanted) in enumerate(zip(predictions, REFERENCES, strict=True))
    ]


def test_opening_and_rest_are_counted_apart():
    said = (
        "İzmir Milletvekili Ali Veli’nin, suya",
        "İzmir Milletvekili Can Kaya’nın, suya ilişkin açıklaması",
        "yol",
        "yol",
    )
    counts, scores = figures(rows(*said))
    assert (counts["count"], counts["right_name"], counts["right_province"]) == (3, 1, 1)
    assert counts["commonest_wrong_names"] == [("Can Kaya", 1)]
    assert scores["rest"] == pytest.approx([0, 100, 0])
    assert scores["whole"][0] > 0 and 0 < scores["whole"][1] < 100


def test_difference_is_a_minus_b():
    better, worse = ({"rest": values} for values in ([50.0, 60.0, 70.0], [40.0, 50.0, 60.0]))
    assert compare(better, worse)["rest"] == pytest.approx([10, 10, 10])


def test_result_holds_runs_and_comparisons(tmp_path, capsys):
    for name, said in (("a", REFERENCES), ("b", ["Van"] * 4)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(*said))
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    output = tmp_path / "out.json"
    main([f"a={tmp_path / 'a.jsonl'}", f"b={tmp_path / 'b.jsonl'}", "--compare", "a:b", "--output", str(output)])
    result = json.loads(output.read_text(encoding="utf-8"))
    assert result["runs"]["a"]["right_name"] == 3 and result["runs"]["b"]["right_name"] == 0
    assert result["differences"]["a:b"]["rest"][0] == 100
    assert "a:b" in capsys.readouterr().out

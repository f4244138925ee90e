import json
from pathlib import Path

import pytest
from predictions import row, save

from reports.faithfulness import main

ROWS = [
    row("a", "A storm stopped 3 ferries and 4 trains in Izmir"),
    row("b", "It was calm"),
    row("c", "Der Hund", "de", article="Der Hund"),
]


def cells(output: Path) -> dict[tuple[str, str], list[str]]:
    lines = (output / "faithfulness.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    return {(one[0], one[1]): one[2:] for one in rows}


def test_command_writes_precision_by_language_and_values_by_summary(tmp_path: Path) -> None:
    main([f"full={save(tmp_path / 'p.jsonl', *ROWS)}", "--output", str(tmp_path)])
    found = cells(tmp_path)
    assert found["full", "en"] == ["0.500 [0.500, 0.500] of 2", "1.000 [1.000, 1.000] of 1"]
    assert found["full", "de"] == ["none mentioned", "not checked: spelling"]
    assert found["references", "en"] == ["none mentioned", "none mentioned"]
    values = {one["id"]: one for one in map(json.loads, (tmp_path / "faithfulness.jsonl").read_text().splitlines())}
    assert values["a"]["scores"] == {"numbers": 2, "supported_numbers": 1, "names": 1, "supported_names": 1}
    assert values["c"] == {"run": "full", "id": "c", "language": "de", "scores": {"numbers": 0, "supported_numbers": 0}}


def test_entailment_is_scored_in_the_languages_of_its_model(tmp_path: Path) -> None:
    from small_encoders import SHAPE, save_bert
    from transformers import BertConfig, BertForSequenceClassification

    folder = save_bert(tmp_path / "model", [ROWS[0]["article"]])
    labels = {0: "entailment", 1: "not_entailment"}
    config = BertConfig(max_position_embeddings=64, id2label=labels, **SHAPE)
    BertForSequenceClassification(config).save_pretrained(folder)
    file = save(tmp_path / "p.jsonl", *ROWS)
    main([file, "--output", str(tmp_path), "--entailment", folder, "--languages", "en"])
    found = cells(tmp_path)
    mean = float(found[file.replace("_", r"\_"), "en"][2].split()[0])
    values = [json.loads(line)["scores"] for line in (tmp_path / "faithfulness.jsonl").read_text().splitlines()]
    scores = [one["entailment"] for one in values if "entailment" in one]
    assert len(scores) == 2 and mean == pytest.approx(sum(scores) / 2, abs=6e-4)
    assert found[file.replace("_", r"\_"), "de"][2] == "not checked: language"
    with pytest.raises(ValueError, match="Name the languages"):
        main([file, "--output", str(tmp_path), "--entailment", folder])

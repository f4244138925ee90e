"""The project's own cards: filled from records, complete without them, and true about licences."""

import itertools
import json
from pathlib import Path

import pytest
import yaml
from fake_runs import scores, write_run

from reports.known_corpora import known_corpora
from reports.project_cards import main

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIGURATION = {
    "seed_everything": 5,
    "model": {
        "class_path": "lightning_modules.span_corruption.SpanCorruptionModule",
        "init_args": {"optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.002}}},
    },
    "data": {"init_args": {"batch_size": 64, "input_tokens": 512, "density": 0.15, "mean_span": 3.0}},
    "trainer": {"max_steps": 6000, "precision": "bf16-mixed"},
}
SPLIT = {"language": "it", "split": "train", "documents": 1_234, "tokens": 5_678_901, "blocks": 9, "fingerprint": "0f"}


def write_pretraining(folder: Path, **changes) -> Path:
    (folder / "metrics/version_0").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIGURATION | changes))
    splits = [SPLIT | {"source": name} for name in ("it-dice-crime-news.txt.zst", "unheard-of.txt")]
    (folder / "data_report.json").write_text(json.dumps({"splits": splits}))
    environment = {"git": {"commit": "abc", "changed": True}, "hardware": {"gpus": [{"name": "NVIDIA H200"}]}}
    (folder / "environment.json").write_text(json.dumps(environment))
    lines = ["step,train/tokens,val/loss/it", "9,1000000,", "9,,4.5", "5999,218000000,", "5999,,4.2471"]
    (folder / "metrics/version_0/metrics.csv").write_text("\n".join(lines) + "\n")
    return folder


def cards(output: Path, *arguments: object) -> tuple[str, str]:
    main([*map(str, arguments), "--output", str(output)])
    model, data = ((output / f"{name}_CARD.md").read_text(encoding="utf-8") for name in ("MODEL", "DATA"))
    return model, data


def test_without_records_the_cards_are_complete_and_claim_nothing(tmp_path):
    model, data = cards(tmp_path)
    config = json.loads((ROOT / "assets/tiny-mt5/config.json").read_text())
    assert f"| `d_model` | `{config['d_model']}` |" in model
    assert "Not recorded yet" in model and "Not measured yet" in model and "Not recorded yet" in data
    assert "{{" not in model + data and "None" not in model + data
    for text in (model, data):
        assert all(not before for before, line in itertools.pairwise(text.split("\n")) if line.startswith("## "))


def test_every_corpus_has_its_licence_and_none_of_its_texts(tmp_path):
    model, data = cards(tmp_path)
    for name, one in (known_corpora().pairs | known_corpora().texts).items():
        (row,) = [line for line in data.splitlines() if line.startswith(f"| `{name}` |")]
        assert f"| {one['licence']} |" in row
    assert "  - it-dice-crime-news: CC BY-NC-SA 4.0" in model
    assert "| `tr-tbmm` | tr |" in data and "| 15,952 | 2,532 | 5,640 | 252 / 22.7 |" in data
    assert "| `csebuetnlp/xlsum` | tr | cc-by-nc-sa-4.0 | `xlsum.yaml` |" in data
    assert "my_data" not in data


def test_a_pretraining_run_fills_its_section(tmp_path):
    model, _ = cards(tmp_path / "out", "--pretraining", write_pretraining(tmp_path / "run"))
    assert "| `it-dice-crime-news.txt.zst` | it | train | 1,234 | 5,678,901 | CC BY-NC-SA 4.0 |" in model
    assert "| `unheard-of.txt` | it | train | 1,234 | 5,678,901 | not recorded |" in model
    assert "| it | 4.500 | 4.247 |" in model and "seen: 218 million" in model
    assert "NVIDIA H200" in model and "commit `abc` with local changes" in model
    assert "  - unheard-of: not recorded" in model and "tr-tbmm" not in model


def test_stretches_of_one_pretraining_follow_each_other(tmp_path):
    runs = [write_pretraining(tmp_path / name) for name in ("first", "second")]
    model, _ = cards(tmp_path / "out", "--pretraining", *runs)
    assert model.index("### Stretch 1 of 2") < model.index("### Stretch 2 of 2")
    assert model.count("| `steps` | `6000` |") == model.count("seen: 218 million") == 2
    assert model.count("| `it-dice-crime-news.txt.zst` |") == model.count("NVIDIA H200") == 1


def test_studies_fill_both_cards_with_the_numbers_of_their_runs(tmp_path):
    for name, mean in (("full", 30), ("lora", 28)):
        write_run(tmp_path / "runs" / name, {"tr": scores(mean, 0)}, name)
    model, data = cards(tmp_path / "out", "--studies", tmp_path / "runs")
    results = json.loads((tmp_path / "runs/lora/test/results.json").read_text())["languages"]["tr"]["rougeL"]
    (row,) = [line for line in model.splitlines() if line.startswith("| tr | adaptation=lora |")]
    assert row.endswith(f"{results['mean']:.2f} [{results['low']:.2f}, {results['high']:.2f}] |")
    assert "| `news.tr.jsonl` | tr | train | 110 | 100 | duplicate 4, over limit 6 |" in data
    assert "Not measured yet" not in model and "Not recorded yet" not in data


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"model": {"class_path": "lightning_modules.seq2seq.Seq2SeqModule"}}, "--studies"), ({"model": 3}, "no run")],
)
def test_another_run_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        cards(tmp_path / "out", "--pretraining", write_pretraining(tmp_path / "run", **changes))

"""Folders that look like those of trained and tested runs, with scores that a test chooses."""

import json
from pathlib import Path

import numpy as np
import yaml

from metrics.score_intervals import Bootstrap, score_intervals
from reports.results import Results, write_predictions, write_results
from reports.study_record import StudyRun, write_study_run

PREDICTIONS = {
    "tr": "Vapur seferleri fırtına nedeniyle iki gün boyunca durduruldu.",
    "en": "Ferry services were suspended for two days because of the storm.",
}


def scores(mean: float, seed: int, count: int = 40) -> list[float]:
    """One number for each article, alike between systems since articles differ in difficulty."""
    difficulty = np.random.default_rng(7).normal(0, 5, count)
    return list(mean + difficulty + np.random.default_rng(seed).normal(0, 1, count))


def write_run(
    folder: Path,
    rouge: dict[str, list[float]],
    adaptation: str = "full",
    seed: int = 0,
    rank: int = 8,
    learning_rate: float = 1e-3,
    predictions: dict[str, str] | None = None,
    trained_on: tuple[str, ...] = ("en", "tr"),
    trainable: int = 1000,
) -> Path:
    """A run with ROUGE scores by language, one for each article."""
    (folder / "metrics/version_0").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/last.ckpt").write_bytes(b"0" * 2**20)
    model = {
        "adaptation": adaptation,
        "lora": {"rank": rank, "targets": "all-linear"},
        "optimizer": {"init_args": {"lr": learning_rate}},
    }
    configuration = {
        "seed_everything": seed,
        "model": {"init_args": model},
        "trainer": {"default_root_dir": str(folder)},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration))
    environment = {"git": {"commit": "0123456789ab", "changed": False}, "hardware": {"processor": "x", "cpus": 2}}
    (folder / "environment.json").write_text(json.dumps(environment))
    splits = [
        _split(code, name) for code in rouge for name in ("train", "validation", "test") if _has(code, name, trained_on)
    ]
    (folder / "data_report.json").write_text(json.dumps({"splits": splits}))
    (folder / "metrics/version_0/hparams.yaml").write_text(
        yaml.safe_dump({"parameters/trainable": trainable, "parameters/total": 1000})
    )
    best = float(np.mean([np.mean(values) for values in rouge.values()]))
    lines = ["step,train/loss,train/learning_rate,val/loss,val/rougeL,perf/articles_per_s,perf/validation_seconds"]
    lines += ["9,4.0,0.001,,,,", f"9,,,3.5,{best / 2},,", "9,,,,,,2.0", "19,3.0,0.0005,,,50.0,"]
    lines += [f"19,,,3.0,{best},,", "19,,,,,,2.0"]
    (folder / "metrics/version_0/metrics.csv").write_text("\n".join(lines) + "\n")
    _write_test(folder / "test", rouge, predictions or PREDICTIONS)
    return folder


def write_study_folder(
    root: Path, study: str, label: str, run_seed: int, rate: float | None, status: str = "finished", **run
) -> Path:
    """The same as a part of a study, in which `full` is the reference."""
    folder = root / label / f"lr-{rate}" / f"seed-{run_seed}"
    write_run(folder / "20260101-000000", seed=run_seed, learning_rate=rate or 1e-3, **run)
    record = StudyRun(
        study, "Which?", {"method": label}, label == "full", rate, run_seed, "val/rougeL", [], [], status, []
    )
    write_study_run(folder, record)
    return folder


def _write_test(folder: Path, rouge: dict[str, list[float]], predictions: dict[str, str]) -> None:
    summaries, tables = [], {}
    for language, values in rouge.items():
        own = {"rouge1": [value + 10 for value in values], "rouge2": [value / 2 for value in values], "rougeL": values}
        own |= {"lead_rougeL": [5.0] * len(values), "wrong_language": [0.0] * len(values)}
        tables[language] = {name: (column, [1.0] * len(column)) for name, column in own.items()}
        summaries += [
            {
                "id": str(number),
                "language": language,
                "article": f"Article {number} " * (number + 3),
                "reference": f"Reference {number}",
                "prediction": predictions[language],
                "scores": {name: column[number] for name, column in own.items()},
            }
            for number in range(len(values))
        ]
    languages, overall = score_intervals(tables, Bootstrap())
    counts = {language: len(values) for language, values in rouge.items()}
    model = {"checkpoint": None, "step": 20, "base": {}}
    write_results(folder / "results.json", Results(counts, languages, overall, {}, {}, {}, model, {}, {}))
    write_predictions(folder / "predictions.jsonl", summaries)


def _has(language: str, split: str, trained_on: tuple[str, ...]) -> bool:
    return split == "test" or language in trained_on


def _split(language: str, split: str) -> dict:
    lengths = {"percentiles": {"p50": 100, "p90": 200, "p99": 300, "p100": 400}, "limit": 512, "truncated": 0.25}
    found = {"source": f"news.{language}.jsonl", "language": language, "split": split, "read": 110}
    found |= {"problems": {"duplicate": 4}, "over_limit": 6, "kept": 100, "fingerprint": f"{language}{split}"}
    return {**found, "source_tokens": lengths, "target_tokens": lengths}

"""Each subcommand through the real command line, with a 4-bit model on the CPU."""

import json
from pathlib import Path

import pytest
from command_line import SAVE_AFTER_VALIDATION, configured, last_checkpoint, records, run, run_folder

pytestmark = pytest.mark.xdist_group("subcommands")  # one run serves most of these tests
PREDICTIONS = configured("callbacks.prediction_writer.PredictionWriter")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    run("fit", root, callbacks=(*SAVE_AFTER_VALIDATION, configured("callbacks.closing_summary.ClosingSummary")))
    return root


def test_fit_logs_losses_and_scores_by_language(trained):
    logged = records(trained)
    for key in ("train/loss/tr", "train/loss/en", "val/loss/tr", "val/loss/en", "val/rougeL/tr", "val/ended/en"):
        assert logged[key], key
    assert sorted(logged["val/loss"]) == [2, 5, 8, 11]


def test_fit_leaves_config_report_curves_and_checkpoints(trained):
    folder = run_folder(trained)
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads((folder / "data_report.json").read_text())["splits"]) == 6
    assert "rank: 4" in (folder / "config.yaml").read_text()
    assert len(list((folder / "checkpoints").glob("best-*.ckpt"))) == 1


def test_checkpoint_holds_adapters_and_the_name_of_the_base_only(trained):
    checkpoint = last_checkpoint(trained)
    assert checkpoint["state_dict"]
    assert all("lora_" in name for name in checkpoint["state_dict"])
    assert checkpoint["base_model"]["name"] == "tests/random-mt5"
    assert (run_folder(trained) / "checkpoints" / "last.ckpt").stat().st_size < 2 * 2**20


def test_validate_repeats_the_scores_of_the_checkpoint(trained, capsys):
    expected = records(trained)["val/loss"][11]
    run("validate", trained, "--ckpt_path=last")
    assert f"{expected:.4f}"[:6] in capsys.readouterr().out


def test_test_reports_scores_beside_the_lead_baseline(trained):
    run("test", trained, "--ckpt_path=best")
    logged = records(trained, "test")
    for language in ("tr", "en"):
        assert logged[f"test/rougeL/{language}"]
        assert max(logged[f"test/lead_rouge1/{language}"].values()) > 1


def test_predict_writes_every_row_once(trained):
    run("predict", trained, "--ckpt_path=last", callbacks=(*SAVE_AFTER_VALIDATION, PREDICTIONS))
    rows = [json.loads(line) for line in (run_folder(trained) / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 6
    assert {row["language"] for row in rows} == {"tr", "en"}
    assert len({(row["language"], row["id"]) for row in rows}) == 6
    assert all(row["reference"] and "<extra_id_" not in row["prediction"] for row in rows)


def test_prepare_prints_the_report_and_starts_no_run(tmp_path, capsys):
    run("prepare", tmp_path / "runs", "--trainer.logger=callbacks.wandb_logger.ResumableWandbLogger")
    assert "tr.jsonl" in capsys.readouterr().out
    assert [file for file in (tmp_path / "runs").rglob("*") if file.is_file()] == [
        tmp_path / "runs" / "prepare" / "data_report.json"
    ]
    assert not Path("wandb_run_id.txt").exists()


@pytest.mark.parametrize(
    "adaptation",
    ["full", "lora", "dora"],
)
@pytest.mark.slow
def test_other_adaptations_train_and_reload(tmp_path, adaptation):
    few = ("--trainer.max_steps=3", f"--model.adaptation={adaptation}", "--model.gradient_checkpointing=true")
    run("fit", tmp_path, *few)
    expected = records(tmp_path)["val/loss"][2]
    run("validate", tmp_path, "--ckpt_path=last", *few)
    assert records(tmp_path, "validate")["val/loss"] == {0: expected}

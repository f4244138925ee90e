"""The case study on the tiny model: one training, every form of its merge, one fault that ends a run, and the page."""

import json

import pytest

from case_study.evaluate import FORMS, Evaluated, make
from case_study.run import MEANT_TO_FAIL
from reports.case_study.page import write_case_study
from reports.results import read_predictions, read_results
from reports.study_record import StudyRun, write_study_run
from train import main

SHORT = (
    "--config=configs/case_study/good.yaml",
    "--trainer.max_steps=2",
    "--trainer.val_check_interval=2",
    "--trainer.accelerator=cpu",
    "--trainer.precision=32-true",
    "--trainer.limit_val_batches=1",
    "--trainer.limit_test_batches=1",
    "--data.eval_batch_size=2",
    "--data.eval_batch_growth=1",
    "--data.max_source_tokens=32",
    "--data.batch_size=2",
    "--model.schedule={name: linear, warmup_steps: 0}",
    "--model.generation={max_new_tokens: 4, suppress_sentinels: false}",
    "--trainer.enable_progress_bar=false",
)


@pytest.mark.slow
def test_a_training_is_merged_tested_and_reported(tmp_path):
    run = tmp_path / "collapse/lr-1e-3_all-linear_with-end/seed-0"
    main(["fit", *SHORT, f"--trainer.default_root_dir={run}"])
    labels = {"rate": "lr-1e-3", "targets": "all-linear", "labels": "with-end"}
    write_study_run(run, StudyRun("collapse", "", labels, True, None, 0, "val/rougeL", [], [], "fitted"))
    for form in FORMS:
        make(Evaluated(run, form, "allowed"))
    found = {form: Evaluated(run, form, "allowed").folder for form in FORMS}
    assert (
        len({tuple(sorted(read_results(folder / "test/results.json").counts.items())) for folder in found.values()})
        == 1
    )
    rows = {form: read_predictions(folder / "test/predictions.jsonl") for form, folder in found.items()}
    assert len({tuple(row["id"] for row in own) for own in rows.values()}) == 1
    assert all(row["article"] == "" and "sentinel_start" in row["scores"] for own in rows.values() for row in own)
    layers = {form: json.loads((found[form] / "merge.json").read_text()) for form in FORMS if form != "adapters"}
    assert {len(own) for own in layers.values()} == {len(layers["nf4"])}
    assert all(layer["relative_size"] == 0 for layer in layers["untuned"])
    assert all(layer["relative_size"] > 0 for layer in layers["nf4"])
    text = write_case_study(tmp_path, tmp_path / "docs").read_text(encoding="utf-8")
    assert "1 trainings of 2 steps in 1 cells with 1 seed, 4 tests" in text


@pytest.mark.slow
def test_decoding_minus_100_ends_the_first_validation(tmp_path):
    fault = "--config=configs/case_study/minus_100_in_decoding.yaml"
    with pytest.raises(OverflowError) as raised:
        main(["fit", SHORT[0], fault, *SHORT[1:], f"--trainer.default_root_dir={tmp_path}"])
    assert raised.typename == MEANT_TO_FAIL["minus-100-in-decoding"]


@pytest.mark.slow
@pytest.mark.parametrize("watched", [True, False])
def test_fp16_is_stopped_where_somebody_watches(tmp_path, watched):
    fault = "--config=configs/case_study/fp16_overflow.yaml"
    flags = ["fit", SHORT[0], fault, *SHORT[1:], "--model.factor=1e9", f"--trainer.default_root_dir={tmp_path}"]
    if watched:
        with pytest.raises(ValueError, match=MEANT_TO_FAIL["fp16-overflow"]):
            main(flags)
        return
    without = [{"class_path": "case_study.gradient_spike.Without", "init_args": {"watcher": "NanMonitor"}}]
    cli = main([*flags, f"--trainer.callbacks+={json.dumps(without)}"])
    assert any(parameter.isnan().any() for parameter in cli.model.parameters() if parameter.requires_grad)

"""CTranslate2's format gives the same summaries, and is opened like any other trained model."""

import json
from unittest import mock

import pytest
import torch
from test_trained_model import CPU, summarise
from trained_runs import SETTINGS

import export as command
from lightning_modules.exported_folder import require_ctranslate2
from lightning_modules.trained_model import load_trained

pytest.importorskip("ctranslate2")
pytestmark = pytest.mark.xdist_group("trained runs")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "qlora" else pytest.mark.slow) for name in SETTINGS]
)
def test_summaries_are_those_of_training(trained_run, tmp_path, name):
    run = trained_run(name)
    with mock.patch.object(command, "COMPARED", 2):
        command.main([str(run.folder), f"--output={tmp_path / 'ct2'}", "--format=ctranslate2", "--dtype=fp32"])
    found = json.loads((tmp_path / "ct2" / "verification.json").read_text())
    assert (found["equal_greedy_outputs"], found["greatest_logit_difference"]) == (1.0, None)
    trained = load_trained(str(tmp_path / "ct2"), CPU)
    assert trained.languages == ["tr", "en"]
    assert summarise(trained, run.articles) == run.summaries


@pytest.mark.slow
def test_int8_is_the_default_and_a_quarter_as_large(trained_run, tmp_path):
    sizes = {}
    for flags in ([], ["--dtype=fp32"]):
        output = tmp_path / str(len(flags))
        with mock.patch.object(command, "COMPARED", 2):
            command.main([str(trained_run("full").folder), f"--output={output}", "--format=ctranslate2", *flags])
        sizes[len(flags)] = (output / "model.bin").stat().st_size
    assert sizes[0] < 0.3 * sizes[1]
    with pytest.raises(ValueError, match="used on CPUs here, not on cuda"):
        load_trained(str(tmp_path / "0"), torch.device("cuda"))


def test_missing_library_is_named():
    with (
        mock.patch("importlib.util.find_spec", return_value=None),
        pytest.raises(ValueError, match="pip install ctran"),
    ):
        require_ctranslate2()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dtype=bf16"], "with --format ctranslate2 give int8 or fp32"),
        (["--adapter-only"], "leave out --dtype and --format"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, flags, message):
    with pytest.raises(ValueError, match=message):
        command.main(["nowhere.ckpt", f"--output={tmp_path / 'out'}", "--format=ctranslate2", *flags])

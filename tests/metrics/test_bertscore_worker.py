import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_encoders import save_bert
from transformers import AutoConfig

from metrics.bertscore import BertScorer, Encoder
from metrics.bertscore_worker import Scorers

ROOT = Path(__file__).parent.parent.parent
PREDICTIONS, REFERENCES = ["Kar yağdı.", "", "Okullar açıldı."], ["Kar dindi.", "Boş", "Okullar tatil."]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_bert(tmp_path_factory.mktemp("encoders") / "bert", PREDICTIONS + REFERENCES)


def request(number: int, language: str, predictions=PREDICTIONS) -> dict:
    return {"id": number, "language": language, "predictions": predictions, "references": REFERENCES}


def test_each_language_has_its_encoder_and_what_must_be_known_is_said_once(bert):
    encoders = {"tr": {"model": bert, "num_layers": 1}, "it": {"model": bert}}
    scorers = Scorers(encoders, rescale=False, batch_size=2)
    turkish, italian, again = (scorers.answer(request(n, code)) for n, code in enumerate(("tr", "it", "it")))
    for reply, encoder in ((turkish, Encoder(bert, num_layers=1)), (italian, Encoder(bert))):
        assert reply["scores"] == BertScorer("tr", encoder, batch_size=2).score(PREDICTIONS, REFERENCES)
    assert turkish["scores"] != italian["scores"] == again["scores"]
    assert [len(reply["remarks"]) for reply in (turkish, italian, again)] == [0, 1, 0]


def test_a_missing_encoder_is_an_answer_and_is_looked_for_once(bert, monkeypatch):
    scorers = Scorers({"tr": {"model": "nobody/nothing"}, "en": {"model": bert}}, rescale=False, batch_size=2)
    first = scorers.answer(request(1, "tr"))
    assert first["id"] == 1
    assert first["error"].startswith("OSError: no encoder 'nobody/nothing' for BERTScore: ")
    assert "scores" in scorers.answer(request(2, "en"))
    monkeypatch.setattr(AutoConfig, "from_pretrained", None)
    assert scorers.answer(request(3, "tr")) == {"id": 3, "error": first["error"]}


def test_a_bad_request_does_not_spoil_the_next(bert):
    scorers = Scorers({"tr": {"model": bert}}, rescale=False, batch_size=2)
    assert "got 1 predictions" in scorers.answer(request(1, "tr", ["a"]))["error"]
    assert "scores" in scorers.answer(request(2, "tr"))


def test_the_process_keeps_what_libraries_print_apart_imports_no_lightning_and_ends_with_its_stdin(bert, tmp_path):
    """Also while it is busy."""
    (tmp_path / "bert_score").mkdir()
    # A library that prints when imported, and is slow for ever.
    (tmp_path / "bert_score" / "__init__.py").write_text(
        "import os, sys, threading\nos.write(1, b'noise')\n"
        "print('lightning' in sys.modules, file=sys.stderr, flush=True)\n"
        "threading.Event().wait()\n"
    )
    settings = json.dumps({"encoders": {"tr": {"model": bert}}, "rescale": False, "batch_size": 2})
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "metrics.bertscore_worker", settings],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        text=True,
    )
    process.stdin.write(json.dumps(request(1, "tr")) + "\n")
    process.stdin.flush()
    assert process.stderr.readline() == "noiseFalse\n"
    output, _ = process.communicate(timeout=60)
    assert (output, process.returncode) == ("", 0)

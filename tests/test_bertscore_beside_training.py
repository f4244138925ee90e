"""The command line, the process and an encoder, all real."""

from statistics import mean

import pytest
from command_line import SAVE_AFTER_VALIDATION, configured, records, run
from small_encoders import save_bert

from callbacks.bertscore import BertScore
from metrics.bertscore import BertScorer, Encoder


@pytest.mark.slow
def test_scores_in_the_record_are_those_of_the_summaries_of_their_step(tmp_path, quickstart, monkeypatch):
    """Here the summaries grow with the steps."""
    texts = (quickstart / "tr.jsonl").read_text(encoding="utf-8").splitlines()
    encoder = save_bert(tmp_path / "bert", texts)
    seen = {}
    evaluate = BertScore._evaluate

    def spy(self, trainer, stage, evaluation):
        for one in evaluation.summaries:
            one.prediction = one.article[: 10 * trainer.global_step]
        seen[trainer.global_step - 1] = evaluation.by_language()
        evaluate(self, trainer, stage, evaluation)

    monkeypatch.setattr(BertScore, "_evaluate", spy)
    encoders = {"tr": {"model": encoder}, "en": {"model": encoder, "num_layers": 1}}
    watch = configured("callbacks.bertscore.BertScore", encoders=encoders, threads=1, timeout_minutes=2)
    root = tmp_path / "runs"
    run("fit", root, callbacks=(watch, *SAVE_AFTER_VALIDATION))
    series = records(root)
    assert list(series["val/bertscore"]) == list(series["val/rougeL"]) == sorted(seen)
    for language, layer in (("tr", None), ("en", 1)):
        scorer = BertScorer(language, Encoder(encoder, layer))
        for step, summaries in seen.items():
            pairs = ([one.prediction for one in summaries[language]], [one.reference for one in summaries[language]])
            expected = mean(scorer.score(*pairs)["bertscore"])
            assert series[f"val/bertscore/{language}"][step] == pytest.approx(expected, abs=1e-6)
    assert len({round(value, 6) for value in series["val/bertscore/tr"].values()}) > 1

import pytest
import torch

from metrics.rouge import KEYS, rouge
from metrics.rouge_metric import Rouge

PREDICTIONS = ["ISPARTA'da kar yağdı", "yollar kapandı", "hava soğuk"]
REFERENCES = ["ısparta'da kar", "yollar açıldı bugün", "sıcak"]


def expected(**settings) -> dict[str, float]:
    scores = rouge(PREDICTIONS, REFERENCES, "tr", **settings)
    return {key: pytest.approx(sum(scores[key]) / 3, abs=1e-4) for key in KEYS}


@pytest.mark.parametrize("settings", [{}, {"tokenizer": "rouge155"}, {"stemming": True}])
def test_batches_add_up_to_the_mean_of_all_pairs(settings):
    metric = Rouge("tr", **settings)
    metric.update(PREDICTIONS[:1], REFERENCES[:1])
    metric.update(PREDICTIONS[1:], REFERENCES[1:])
    assert {key: value.item() for key, value in metric.compute().items()} == expected(**settings)


def test_devices_of_unequal_share_add_up_too():
    parts = [Rouge("tr"), Rouge("tr")]
    parts[0].update(PREDICTIONS[:2], REFERENCES[:2])
    parts[1].update(PREDICTIONS[2:], REFERENCES[2:])
    parts[0]._reduce_states(parts[1].metric_state)
    assert {key: value.item() for key, value in parts[0].compute().items()} == expected()


def test_a_reset_metric_begins_anew_and_an_empty_one_is_nan():
    metric = Rouge("tr")
    metric.update(PREDICTIONS, REFERENCES)
    metric.reset()
    assert all(torch.isnan(value) for value in metric.compute().values())
    metric.update(["kar"], ["kar"])
    assert metric.compute()["rouge1"] == 100

from dataclasses import astuple

import numpy as np
import pytest

from metrics.score_intervals import Bootstrap, score_intervals
from metrics.significance import interval, ratio_interval

GENERATOR = np.random.default_rng(0)
TR, EN = GENERATOR.normal(30, 5, size=60), GENERATOR.normal(20, 2, size=200)
LOSSES, TOKENS = GENERATOR.uniform(10, 90, size=60), GENERATOR.integers(5, 30, size=60)


def plain(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return values, np.ones(len(values))


def test_each_score_of_each_language_has_its_own_interval() -> None:
    languages, _ = score_intervals({"tr": {"rouge1": plain(TR), "loss": (LOSSES, TOKENS)}}, Bootstrap(seed=5))
    assert astuple(languages["tr"]["rouge1"]) == pytest.approx(astuple(interval(TR, seed=[5, *b"tr"])))
    assert astuple(languages["tr"]["loss"]) == pytest.approx(astuple(ratio_interval(LOSSES, TOKENS, seed=[5, *b"tr"])))


def test_overall_is_the_plain_mean_over_languages() -> None:
    languages, overall = score_intervals({"tr": {"rouge1": plain(TR)}, "en": {"rouge1": plain(EN)}}, Bootstrap())
    mean = (TR.mean() + EN.mean()) / 2
    half = 1.96 * np.hypot(TR.std() / np.sqrt(60), EN.std() / np.sqrt(200)) / 2
    assert astuple(overall["rouge1"]) == pytest.approx((mean, mean - half, mean + half), abs=0.15 * half)
    assert languages["en"]["rouge1"].mean == pytest.approx(EN.mean())


def test_languages_are_drawn_independently() -> None:
    _, overall = score_intervals({"tr": {"rouge1": plain(TR)}, "en": {"rouge1": plain(-TR)}}, Bootstrap())
    assert overall["rouge1"].high - overall["rouge1"].low > 1  # drawn alike, they would cancel out


def test_a_score_that_one_language_lacks_is_the_mean_of_the_others() -> None:
    tables = {"tr": {"rouge1": plain(TR), "wrong_language": plain(TR > 30)}, "ti": {"rouge1": plain(EN)}, "xx": {}}
    languages, overall = score_intervals(tables, Bootstrap())
    assert overall["wrong_language"] == languages["tr"]["wrong_language"]
    assert languages["ti"].keys() == {"rouge1"}
    assert languages["xx"] == {}


def test_settings_count() -> None:
    table = {"tr": {"rouge1": plain(TR)}}

    def width(bootstrap: Bootstrap) -> float:
        found = score_intervals(table, bootstrap)[1]["rouge1"]
        return found.high - found.low

    assert width(Bootstrap(confidence=0.5)) < width(Bootstrap()) < width(Bootstrap(confidence=0.999))
    assert width(Bootstrap(resamples=1)) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"confidence": 95}, "bootstrap.confidence 95"), ({"resamples": 0}, "bootstrap.resamples 0")],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Bootstrap(**settings)

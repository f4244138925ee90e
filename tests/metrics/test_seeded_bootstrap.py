"""Intervals over articles and seeds: equal to the plain ones with one seed, wider with seeds that differ."""

import numpy as np
import pytest

from metrics.score_intervals import Bootstrap, score_intervals
from metrics.seeded_bootstrap import compare_systems, resampled_systems, system_interval
from metrics.significance import paired_bootstrap

ARTICLES = np.random.default_rng(0).normal(30, 8, 200)


def seeds(*shifts: float, noise: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(1)
    return np.array([ARTICLES + shift + noise * generator.normal(size=len(ARTICLES)) for shift in shifts])


def test_one_seed_has_the_interval_of_its_results_file():
    table = {
        "tr": {"rougeL": (list(ARTICLES), [1.0] * len(ARTICLES)), "other": (list(ARTICLES), [1.0] * len(ARTICLES))}
    }
    expected = score_intervals(table, Bootstrap())[0]["tr"]["rougeL"]
    found = system_interval(seeds(0.0), 0.95, 2000, [0, *b"tr"])
    assert vars(found) == pytest.approx(vars(expected))


def test_one_seed_each_is_the_paired_bootstrap():
    better, worse = seeds(0.3, noise=2.0), seeds(0.0)
    expected, found = paired_bootstrap(better[0], worse[0]), compare_systems(better, worse)
    assert vars(found.difference) == pytest.approx(vars(expected.difference))
    assert found.p == expected.p


def test_alike_seeds_add_nothing_and_differing_ones_widen():
    one, alike, differing = (
        system_interval(scores, 0.95, 2000, 0) for scores in (seeds(0), seeds(0, 0, 0), seeds(-4, 0, 4))
    )
    assert (alike.low, alike.high) == pytest.approx((one.low, one.high))
    assert differing.mean == pytest.approx(one.mean)
    assert differing.high - differing.low > 2 * (one.high - one.low)


def test_variance_is_that_of_articles_plus_that_of_drawn_seeds():
    scores = seeds(-4, 0, 4)
    means = resampled_systems([scores], 20_000, 0)[:, 0]
    expected = ARTICLES.var() / len(ARTICLES) + np.array([-4, 0, 4]).var() / 3
    assert means.var() == pytest.approx(expected, rel=0.05)


def test_articles_are_paired_and_seeds_are_not():
    same_articles = compare_systems(seeds(1), seeds(0))
    assert same_articles.difference.low == pytest.approx(same_articles.difference.high) == pytest.approx(1)
    same_seeds = compare_systems(seeds(-3, 3), seeds(-3, 3))
    assert same_seeds.difference.low < -2 < 2 < same_seeds.difference.high


def test_a_difference_smaller_than_that_between_seeds_is_not_significant():
    assert compare_systems(seeds(1.0), seeds(0.0)).p < 0.01
    assert compare_systems(seeds(-3.0, 5.0), seeds(-4.0, 4.0)).p > 0.2


def test_ratio_is_of_the_means():
    found = compare_systems(0.84 * seeds(0, 0), seeds(0, 0, 0)).ratio
    assert found is not None
    assert vars(found) == pytest.approx({"mean": 0.84, "low": 0.84, "high": 0.84})


def test_there_is_no_ratio_to_nothing():
    found = compare_systems(seeds(0), np.zeros((1, len(ARTICLES))))
    assert found.ratio is None
    assert found.difference.mean == pytest.approx(ARTICLES.mean())


def test_equal_systems_do_not_differ():
    found = compare_systems(seeds(0), seeds(0))
    assert found.p == 1
    assert found.difference.low == found.difference.high == 0


@pytest.mark.parametrize(
    "other", [np.zeros((1, 3)), np.zeros((0, 200)), np.full((1, 200), np.nan)], ids=["articles", "no seeds", "nan"]
)
def test_unusable_scores_are_refused(other):
    with pytest.raises(ValueError, match=r"same articles|not finite"):
        compare_systems(seeds(0), other)

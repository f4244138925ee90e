"""Effects of a factorial design are those that a test builds in, and chance shows in their intervals."""

import numpy as np
import pytest

from metrics.factorial import contrast, explained, explained_intervals, resampled_cells

RATE, TARGETS = (0,), (1,)


def scores(effect, noise=0.0, seeds=3, articles=20):
    """(L1, L2, S, N) numbers around the given (L1, L2) cell means."""
    cells = np.asarray(effect, dtype=float)[:, :, None, None]
    return cells + noise * np.random.default_rng(3).normal(size=(*cells.shape[:2], seeds, articles))


def test_a_factor_that_does_everything_explains_everything():
    found = explained(np.array([[[1.0, 1.0], [0.0, 0.0], [0.5, 0.5]]]))
    assert {name: round(float(share[0]), 12) for name, share in found.items()} == {RATE: 1.0, TARGETS: 0.0, (0, 1): 0.0}


def test_an_interaction_is_told_from_the_factors():
    found = explained(np.array([[[1.0, 0.0], [0.0, 1.0]]]))
    assert {name: float(share[0]) for name, share in found.items()} == {RATE: 0.0, TARGETS: 0.0, (0, 1): 1.0}


def test_shares_add_up_to_one_whatever_the_cells():
    cells = np.random.default_rng(0).normal(size=(5, 3, 2, 2))
    found = explained(cells)
    assert len(found) == 7
    assert np.allclose(sum(found.values()), 1)


def test_equal_cells_explain_nothing():
    assert all(share == 0 for shares in explained(np.ones((1, 2, 2))).values() for share in shares)


def test_a_contrast_is_the_mean_difference_with_an_interval_around_it():
    found = contrast(scores([[3.0, 5.0], [1.0, 2.0]], noise=0.5), factor=0, level=0, against=1)
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx(2.5, abs=0.4)
    assert found.low < 2.5 < found.high
    other = contrast(scores([[3.0, 5.0], [1.0, 2.0]]), factor=1, level=1, against=0)
    assert (other.mean, other.low, other.high) == pytest.approx((1.5, 1.5, 1.5))


def test_levels_of_one_training_share_its_seeds():
    # Each seed has its own level, equal in both forms: only drawn together do their differences stay 0.
    seeds = np.broadcast_to(np.array([0.0, 10.0, 20.0])[:, None], (2, 3, 4))
    paired, unpaired = (resampled_cells(seeds, paired=count, resamples=200) for count in (1, 0))
    assert np.allclose(paired[:, 0], paired[:, 1])
    assert not np.allclose(unpaired[:, 0], unpaired[:, 1])


def test_intervals_hold_the_shares_found():
    found = explained_intervals(scores([[1.0, 0.9], [0.1, 0.2]], noise=0.3), resamples=300)
    assert found[RATE].mean > 0.9
    assert all(0 <= one.low <= one.high <= 1 for one in found.values())


def test_a_score_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        resampled_cells(np.full((2, 1, 3), np.nan))

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.significance import (
    approximate_randomization,
    holm,
    interval,
    paired_bootstrap,
    percentile_interval,
    ratio_interval,
    resampled_means,
)

scores = st.floats(0, 100, allow_subnormal=False)
columns = st.lists(scores, min_size=1, max_size=30)
pairs = st.lists(st.tuples(scores, scores), min_size=1, max_size=30).map(lambda rows: tuple(zip(*rows, strict=True)))


@given(columns)
def test_interval_holds_the_mean_and_lies_within_the_values(values: list[float]) -> None:
    found = interval(values, resamples=200)
    assert found.mean == pytest.approx(np.mean(values))
    assert min(values) - 1e-6 <= found.low <= found.mean + 1e-6
    assert found.mean - 1e-6 <= found.high <= max(values) + 1e-6


@given(columns, st.integers(-50, 50), st.integers(1, 9))
def test_interval_moves_and_stretches_with_its_values(values: list[float], shift: int, scale: int) -> None:
    found, moved = interval(values, resamples=50), interval(scale * np.array(values) + shift, resamples=50)
    for name in ("mean", "low", "high"):
        assert getattr(moved, name) == pytest.approx(scale * getattr(found, name) + shift, abs=1e-6)


def test_interval_of_many_values_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(10, 2, size=4000)
    found = interval(values)
    half = 1.96 * values.std() / np.sqrt(4000)
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_more_confidence_is_a_wider_interval_and_a_seed_fixes_it() -> None:
    values = np.arange(20.0)
    widths = [interval(values, confidence).high - interval(values, confidence).low for confidence in (0.5, 0.9, 0.99)]
    assert widths == sorted(widths) and widths[0] < widths[2]
    assert interval(values, seed=3) == interval(values, seed=3) != interval(values, seed=4)


def test_nineteen_of_twenty_intervals_hold_the_true_mean() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for trial in range(400):
        found = interval(generator.exponential(5.0, size=80), resamples=300, seed=trial)
        held += found.low <= 5.0 <= found.high
    assert 0.91 <= held / 400 <= 0.97


@given(st.lists(st.tuples(scores, st.integers(1, 50)), min_size=1, max_size=20))
def test_ratio_is_one_of_sums(rows: list[tuple[float, int]]) -> None:
    losses, tokens = zip(*rows, strict=True)
    found = ratio_interval(losses, tokens, resamples=100)
    ratios = [loss / count for loss, count in rows]
    assert found.mean == pytest.approx(sum(losses) / sum(tokens))
    assert min(ratios) - 1e-6 <= found.low <= found.high <= max(ratios) + 1e-6


def test_a_ratio_of_equal_parts_has_no_width_however_long_the_texts() -> None:
    found = ratio_interval([2.0, 20.0, 200.0], [1, 10, 100])
    assert (found.low, found.mean, found.high) == pytest.approx((2, 2, 2))


def test_all_columns_of_a_resample_hold_the_same_items() -> None:
    column = np.arange(7.0)
    means = resampled_means(np.column_stack([column, 3 * column + 1]), resamples=40, seed=0)
    assert means.shape == (40, 2)
    assert len(np.unique(means[:, 0])) > 5
    np.testing.assert_allclose(means[:, 1], 3 * means[:, 0] + 1)


def test_resamples_do_not_repeat_from_chunk_to_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metrics.significance._CHUNK", 100)
    means = resampled_means(np.random.default_rng(0).random((40, 1)), resamples=11, seed=0)  # chunks of 2
    assert means.shape == (11, 1)
    assert len(np.unique(means)) == 11


def test_percentiles_leave_out_the_same_share_on_either_side() -> None:
    found = percentile_interval(7.0, np.arange(101.0), 0.9)
    assert (found.mean, found.low, found.high) == pytest.approx((7, 5, 95))


@given(columns)
def test_identical_systems_do_not_differ(values: list[float]) -> None:
    found = paired_bootstrap(values, values, resamples=50)
    assert (found.p, found.share_not_above, found.difference.mean) == (1, 1, 0)
    assert approximate_randomization(values, values, resamples=50) == 1


@given(pairs)
def test_swapping_the_systems_turns_the_sign_and_keeps_p(systems: tuple) -> None:
    a, b = systems
    there, back = paired_bootstrap(a, b, resamples=100), paired_bootstrap(b, a, resamples=100)
    assert there.p == back.p
    assert there.difference.mean == pytest.approx(-back.difference.mean)
    assert there.difference.low == pytest.approx(-back.difference.high, abs=1e-9)
    assert approximate_randomization(a, b, resamples=100) == approximate_randomization(b, a, resamples=100)


def test_a_clear_difference_is_found_and_noise_is_not() -> None:
    generator = np.random.default_rng(0)
    b = generator.normal(30, 10, size=200)
    better, alike = b + generator.normal(3, 5, size=200), b + generator.normal(0, 5, size=200)
    assert paired_bootstrap(better, b).p < 0.01
    assert paired_bootstrap(better, b).share_not_above == 0
    assert paired_bootstrap(b, better).share_not_above == 1
    assert approximate_randomization(better, b) < 0.01
    assert paired_bootstrap(alike, b).p > 0.1
    assert approximate_randomization(alike, b) > 0.1


def test_p_is_never_zero() -> None:
    a, b = np.full(50, 2.0), np.zeros(50)
    assert paired_bootstrap(a, b, resamples=99).p == 2 / 100
    assert approximate_randomization(a, b, resamples=99) == 1 / 100


def test_chance_finds_a_difference_as_often_as_p_says() -> None:
    generator = np.random.default_rng(0)
    found = {"randomisation": 0, "bootstrap": 0}
    for trial in range(300):
        a, b = generator.normal(size=(2, 40))
        found["randomisation"] += approximate_randomization(a, b, resamples=200, seed=trial) <= 0.1
        found["bootstrap"] += paired_bootstrap(a, b, resamples=200, seed=trial).p <= 0.1
    assert 0.06 <= found["randomisation"] / 300 <= 0.14
    assert 0.06 <= found["bootstrap"] / 300 <= 0.16  # a bootstrap of few items finds a little too much


@pytest.mark.parametrize(
    "differences",
    [[1.0, 2.0, 3.0, -0.5, 0.7, 1.1, -0.2, 0.4], [0.1] * 6, [0.3, -0.1, -0.2], [5.0], [0.0, 0.0, 1.0, -1.0, 2.0]],
)
def test_randomization_equals_the_enumeration_of_all_swappings(differences: list[float]) -> None:
    sums = [
        abs(sum(sign * one for sign, one in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    exact = np.mean([one >= abs(sum(differences)) - 1e-9 for one in sums])
    found = approximate_randomization(differences, [0.0] * len(differences), resamples=40_000)
    assert found == pytest.approx(exact, abs=0.01)


def test_bootstrap_share_equals_the_enumeration_of_all_resamples() -> None:
    differences = [3.0, -1.0, -1.5]
    means = [sum(drawn) for drawn in itertools.product(differences, repeat=3)]
    exact = np.mean([one <= 0 for one in means])
    found = paired_bootstrap(differences, [0.0] * 3, resamples=40_000)
    assert found.share_not_above == pytest.approx(exact, abs=0.01)
    assert found.p == pytest.approx(min(1, 2 * min(exact, np.mean([one >= 0 for one in means]))), abs=0.02)


def test_many_values_need_little_memory() -> None:
    a, b = np.random.default_rng(0).random((2, 10_000))
    tracemalloc.start()
    paired_bootstrap(a, b)
    approximate_randomization(a, b, resamples=2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # Holm by hand: 4 x .005, 3 x .01, 2 x .03, .04 raised
        ([0.6, 0.5], [1.0, 1.0]),
        ([0.2], [0.2]),
        ([], []),
    ],
)
def test_holm(p_values: list[float], adjusted: list[float]) -> None:
    assert holm(p_values) == pytest.approx(adjusted)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interval([]), "no values"),
        (lambda: interval([1.0, float("nan")]), "Value 1 is not finite"),
        (lambda: interval([1.0], confidence=95), "confidence 95 must be between 0 and 1"),
        (lambda: interval([1.0], resamples=0), "resamples 0 must be at least 1"),
        (lambda: ratio_interval([1.0], [0.0]), "Denominators must be above 0"),
        (lambda: ratio_interval([1.0], [1.0, 2.0]), "got 1 and 2 of them"),
        (lambda: paired_bootstrap([1.0, 2.0], [1.0]), "got 2 and 1 of them"),
        (lambda: approximate_randomization([1.0], [1.0], resamples=0), "resamples 0"),
    ],
)
def test_what_cannot_be_resampled_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.sampling import LengthBucketSampler, bucket_batches, sample_epoch

language_counts = st.lists(st.integers(1, 60), min_size=1, max_size=5)
temperatures = st.one_of(st.floats(1, 20), st.just(float("inf")))


def groups_of(counts):
    return np.repeat(np.arange(len(counts)), counts)


def make_sampler(rows=230, **changes):
    rng = np.random.default_rng(7)
    options = {"batch_size": 4, "shuffle": True, "seed": 3} | changes
    return LengthBucketSampler(rng.integers(5, 500, rows), rng.integers(0, 3, rows), **options)


def padding_share(batches, lengths):
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    return 1 - lengths.sum() / padded


@given(counts=language_counts, seed=st.integers(0, 100))
def test_temperature_1_takes_every_row_once(counts, seed):
    rows = sample_epoch(groups_of(counts), 1, np.random.default_rng(seed))
    assert sorted(rows) == list(range(sum(counts)))


@given(counts=language_counts, temperature=temperatures, seed=st.integers(0, 100))
def test_any_temperature_keeps_the_epoch_length_and_every_language(counts, temperature, seed):
    groups = groups_of(counts)
    rows = sample_epoch(groups, temperature, np.random.default_rng(seed))
    assert len(rows) == len(groups)
    assert set(groups[rows]) == set(groups)


@given(counts=language_counts, temperature=temperatures, seed=st.integers(0, 100))
def test_rows_of_a_language_are_repeated_evenly(counts, temperature, seed):
    groups = groups_of(counts)
    times = np.bincount(sample_epoch(groups, temperature, np.random.default_rng(seed)), minlength=len(groups))
    for language in range(len(counts)):
        own = times[groups == language]
        assert own.max() - own.min() <= 1


@given(counts=language_counts, temperature=temperatures)
def test_languages_are_drawn_in_proportion_to_their_size_to_the_power_of_1_over_temperature(counts, temperature):
    groups = groups_of(counts)
    drawn = np.bincount(groups[sample_epoch(groups, temperature, np.random.default_rng(0))])
    weights = np.array(counts, dtype=float) ** (1 / temperature)
    expected = weights / weights.sum() * len(groups)
    assert np.all(np.abs(drawn - expected) < 1 + 1e-6)


def test_infinite_temperature_makes_languages_equal():
    groups = groups_of([96, 3, 1])
    rows = sample_epoch(groups, float("inf"), np.random.default_rng(0))
    assert sorted(np.bincount(groups[rows])) == [33, 33, 34]


@pytest.mark.parametrize("temperature", [0.99, 0, -1, float("nan")])
def test_temperature_below_1_is_refused(temperature):
    with pytest.raises(ValueError, match="must be at least 1"):
        sample_epoch(groups_of([2, 3]), temperature, np.random.default_rng(0))


@given(count=st.integers(1, 700), batch_size=st.integers(1, 9), seed=st.integers(0, 50))
def test_buckets_hold_every_row_once_in_full_batches_but_one(count, batch_size, seed):
    rng = np.random.default_rng(seed)
    batches = bucket_batches(rng.permutation(count), rng.integers(1, 90, count), batch_size, rng)
    assert sorted(np.concatenate(batches)) == list(range(count))
    assert sorted(len(batch) == batch_size for batch in batches).count(False) == (count % batch_size > 0)


def test_buckets_of_like_length_waste_far_less_padding_than_random_batches():
    rng = np.random.default_rng(0)
    lengths, order = rng.integers(10, 512, 2000), rng.permutation(2000)
    random_share = padding_share(np.split(order, 250), lengths)
    assert padding_share(bucket_batches(order, lengths, 8, rng), lengths) < random_share / 4


def test_lengths_follow_neither_the_position_in_the_epoch_nor_the_batch_before():
    sampler = make_sampler(4000)
    means = [sampler.lengths[batch].mean() for batch in sampler]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.1
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.1


def test_evaluation_takes_every_row_once_longest_first():
    sampler = make_sampler(shuffle=False, temperature=5.0)
    rows = [row for batch in sampler for row in batch]
    assert sorted(rows) == list(range(230))
    assert list(sampler.lengths[rows]) == sorted(sampler.lengths, reverse=True)


def test_order_is_decided_by_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = make_sampler(seed=seed, temperature=2.0)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(3, 1) == order(3, 1)
    assert order(3, 1) != order(3, 2)
    assert order(3, 1) != order(4, 1)


@given(epoch=st.integers(0, 5), taken=st.integers(0, 58), world_size=st.integers(1, 3), shuffle=st.booleans())
@settings(max_examples=40)
def test_resuming_yields_exactly_the_rest_of_the_epoch_and_whole_epochs_after(epoch, taken, world_size, shuffle):
    options = {"world_size": world_size, "rank": world_size - 1, "shuffle": shuffle, "temperature": 3.0}
    uninterrupted, resumed = make_sampler(**options), make_sampler(**options)
    resumed.resume_at(epoch, taken)
    uninterrupted.set_epoch(epoch)
    assert list(resumed) == list(uninterrupted)[taken:]
    for sampler in (resumed, uninterrupted):
        sampler.set_epoch(epoch + 1)
    assert list(resumed) == list(uninterrupted)


@given(rows=st.integers(1, 60), batch_size=st.integers(1, 7), world_size=st.integers(1, 4))
def test_devices_train_equally_long_and_together_on_every_row(rows, batch_size, world_size):
    ranks = [make_sampler(rows, batch_size=batch_size, world_size=world_size, rank=rank) for rank in range(world_size)]
    epochs = [list(sampler) for sampler in ranks]
    assert {len(epoch) for epoch in epochs} == {len(ranks[0])}
    assert {row for epoch in epochs for batch in epoch for row in batch} == set(range(rows))


@given(rows=st.integers(1, 60), batch_size=st.integers(1, 7), world_size=st.integers(1, 4))
def test_devices_evaluate_every_row_exactly_once_between_them(rows, batch_size, world_size):
    options = {"batch_size": batch_size, "world_size": world_size, "shuffle": False}
    ranks = [make_sampler(rows, rank=rank, **options) for rank in range(world_size)]
    epochs = [list(sampler) for sampler in ranks]
    assert sorted(row for epoch in epochs for batch in epoch for row in batch) == list(range(rows))
    assert [len(epoch) for epoch in epochs] == [len(sampler) for sampler in ranks]

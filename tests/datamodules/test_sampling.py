from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.sampling import EvaluationSampler, TrainingSampler, bucket_batches, sample_epoch

language_counts = st.lists(st.integers(1, 60), min_size=1, max_size=5)
temperatures = st.one_of(st.floats(1, 20), st.just(float("inf")))


def groups_of(counts):
    return np.repeat(np.arange(len(counts)), counts)


def make_sampler(rows=230, **changes):
    rng = np.random.default_rng(7)
    columns = rng.integers(5, 500, rows), rng.integers(0, 3, rows), rng.integers(1, 100, rows)
    return TrainingSampler(*columns, **({"batch_size": 4, "seed": 3} | changes))


def make_ranks(world_size, rows=230, **changes):
    return [make_sampler(rows, world_size=world_size, rank=rank, **changes) for rank in range(world_size)]


def rows_of(sampler):
    return [share.rows for share in sampler]


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
    means = [sampler.lengths[batch].mean() for batch in rows_of(sampler)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.1
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.1


def test_order_is_decided_by_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = make_sampler(seed=seed, temperature=2.0)
        sampler.set_epoch(epoch)
        return rows_of(sampler)

    assert order(3, 1) == order(3, 1)
    assert order(3, 1) != order(3, 2)
    assert order(3, 1) != order(4, 1)


@given(epoch=st.integers(0, 5), taken=st.integers(0, 58), world_size=st.integers(1, 3), accumulated=st.integers(1, 3))
@settings(max_examples=40)
def test_resuming_yields_exactly_the_rest_of_the_epoch_and_whole_epochs_after(epoch, taken, world_size, accumulated):
    options = {"world_size": world_size, "rank": world_size - 1, "temperature": 3.0, "accumulated_batches": accumulated}
    uninterrupted, resumed = make_sampler(**options), make_sampler(**options)
    resumed.resume_at(epoch, taken)
    uninterrupted.set_epoch(epoch)
    assert list(resumed) == list(uninterrupted)[taken:]
    for sampler in (resumed, uninterrupted):
        sampler.set_epoch(epoch + 1)
    assert list(resumed) == list(uninterrupted)


@given(rows=st.integers(1, 60), batch_size=st.integers(1, 7), world_size=st.integers(1, 4))
def test_devices_share_the_batches_of_one_device_with_as_many_rows(rows, batch_size, world_size):
    whole = rows_of(make_sampler(rows, batch_size=batch_size * world_size))
    shares = [rows_of(sampler) for sampler in make_ranks(world_size, rows, batch_size=batch_size)]
    assert [sorted(chain(*parts)) for parts in zip(*shares, strict=True)] == [sorted(batch) for batch in whole]
    assert {len(sampler) for sampler in make_ranks(world_size, rows, batch_size=batch_size)} == {len(whole)}
    sizes = [[len(part) for part in parts] for parts in zip(*shares, strict=True)]
    assert max(max(size) - min(size) for size in sizes) <= 1


def test_devices_get_rows_of_like_length():
    shares = [rows_of(sampler) for sampler in make_ranks(2, 4000, batch_size=16)]
    lengths = make_sampler(4000).lengths
    first, second = ([lengths[rows].mean() for rows in share] for share in shares)
    assert np.abs(np.subtract(first, second)).max() < 20
    assert np.std(first) > 100


@given(rows=st.integers(1, 60), world_size=st.integers(1, 3), accumulated=st.integers(1, 4))
def test_mean_over_devices_and_accumulated_batches_is_the_mean_over_the_label_tokens_of_a_step(
    rows, world_size, accumulated
):
    ranks = make_ranks(world_size, rows, batch_size=2, accumulated_batches=accumulated)
    label_tokens, losses = ranks[0].label_tokens, np.random.default_rng(1).random(rows)
    steps = {}
    for sampler in ranks:
        for index, share in enumerate(sampler):
            steps.setdefault(index // accumulated, []).append(share)
    for shares in steps.values():
        chosen = list(chain(*(share.rows for share in shares)))
        quotients = sum(losses[share.rows].sum() / share.loss_divisor for share in shares)
        assert quotients / (world_size * accumulated) == pytest.approx(
            losses[chosen].sum() / label_tokens[chosen].sum()
        )


@given(
    lengths=st.lists(st.integers(1, 512), min_size=1, max_size=90),
    batch_size=st.integers(1, 7),
    world_size=st.integers(1, 4),
    growth=st.integers(1, 5),
)
def test_evaluation_takes_every_row_once_longest_first(lengths, batch_size, world_size, growth):
    lengths = np.array(lengths)
    ranks = [EvaluationSampler(lengths, batch_size, 512, growth, rank, world_size) for rank in range(world_size)]
    assert sorted(chain(*(chain(*rows_of(sampler)) for sampler in ranks))) == list(range(len(lengths)))
    for sampler in ranks:
        taken = lengths[list(chain(*rows_of(sampler)))]
        assert len(list(sampler)) == len(sampler)
        assert list(taken) == sorted(taken, reverse=True)
    assert all(ranks[0])


def test_evaluation_takes_more_rows_of_short_sources():
    lengths = np.repeat([512, 257, 256, 129, 128, 3], 32)
    sampler = EvaluationSampler(lengths, batch_size=8, max_length=512, growth=4)
    sizes = [(max(lengths[rows]), len(rows)) for rows in rows_of(sampler)]
    assert sizes == [(512, 8)] * 4 + [(257, 8)] * 4 + [(256, 16)] * 2 + [(129, 16)] * 2 + [(128, 32), (3, 32)]
    assert {len(rows) for rows in rows_of(EvaluationSampler(lengths, 8, 512, growth=1))} == {8}
    assert {len(rows) for rows in rows_of(EvaluationSampler(lengths, 8, 512, growth=3))} == {8, 16}

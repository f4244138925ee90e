import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.span_corruption import BlockLengths, block_lengths, corrupt, random_spans

EOS = 1
SENTINELS = np.arange(999, 899, -1)


def draws(rows: int, lengths: BlockLengths, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((rows, lengths.raw - 2))


def spans(noise: np.ndarray) -> list[int]:
    """Lengths of the runs of one row, text and noise in turn."""
    bounds = [0, *(np.flatnonzero(np.diff(noise.astype(int))) + 1), len(noise)]
    return np.diff(bounds).tolist()


def test_t5s_own_lengths():
    lengths = block_lengths(512, density=0.15, mean_span=3)
    assert (lengths.raw, lengths.inputs, lengths.targets) == (568, 512, 114)


@given(st.integers(8, 700), st.floats(0.05, 0.5), st.floats(1, 10))
def test_inputs_have_exactly_the_wished_length(input_tokens, density, mean_span):
    lengths = block_lengths(input_tokens, density, mean_span)
    assert lengths.inputs == input_tokens
    assert 1 <= lengths.spans <= lengths.noise < lengths.raw
    noise = random_spans(draws(3, lengths), lengths)
    inputs, targets = corrupt(np.full(noise.shape, 5), noise, np.arange(1000, 2000), EOS)
    assert (inputs.shape, targets.shape) == ((3, lengths.inputs), (3, lengths.targets))


@pytest.mark.parametrize("setting", [{"input_tokens": 7}, {"density": 0.0}, {"density": 0.6}, {"mean_span": 0.5}])
def test_number_out_of_range_is_named(setting):
    with pytest.raises(ValueError, match=rf"data\.{next(iter(setting))} .* must be"):
        block_lengths(**{"input_tokens": 64, "density": 0.15, "mean_span": 3, **setting})


def test_every_row_has_as_many_spans_and_begins_with_text():
    lengths = block_lengths(128, 0.15, 3)
    noise = random_spans(draws(50, lengths), lengths)
    assert (noise.sum(axis=1) == lengths.noise).all()
    assert not noise[:, 0].any()
    assert {len(spans(row)) for row in noise} == {2 * lengths.spans}


def test_all_ways_to_cut_are_equally_likely():
    lengths = BlockLengths(raw=8, noise=3, spans=2)  # 4 ways to cut the text of 5, 2 to cut the noise of 3
    noise = random_spans(draws(8_000, lengths), lengths)
    _, counts = np.unique(noise, axis=0, return_counts=True)
    assert len(counts) == 8
    assert counts.min() > 850
    assert counts.max() < 1_150


def test_example_of_the_paper():
    # Raffel et al. 2020, figure 2, with one number a word.
    thank_you_for_inviting_me_to_your_party_last_week = np.arange(10, 20)[None]
    noise = np.zeros((1, 10), dtype=bool)
    noise[0, [2, 3, 8, 9]] = True
    inputs, targets = corrupt(thank_you_for_inviting_me_to_your_party_last_week, noise, SENTINELS, EOS)
    assert inputs.tolist() == [[10, 11, 999, 14, 15, 16, 17, 998, EOS]]
    assert targets.tolist() == [[999, 12, 13, 998, 18, 19, EOS]]


def test_inputs_and_targets_together_are_the_text():
    lengths = block_lengths(200, 0.15, 3)
    tokens = np.random.default_rng(1).integers(2, 800, (20, lengths.raw)).astype(np.uint16)
    inputs, targets = corrupt(tokens, random_spans(draws(20, lengths), lengths), SENTINELS, EOS)
    for text, visible, hidden in zip(tokens.tolist(), inputs.tolist(), targets.tolist(), strict=True):
        assert (visible.pop(), hidden.pop()) == (EOS, EOS)
        assert [token for token in visible if token > 800] == SENTINELS[: lengths.spans].tolist()
        filled = []
        for token in visible:
            if token <= 800:
                filled.append(token)
                continue
            assert hidden.pop(0) == token
            while hidden and hidden[0] <= 800:
                filled.append(hidden.pop(0))
        assert filled == text

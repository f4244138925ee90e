import numpy as np
import pytest

from metrics.attention_distance import attention_distance, jensen_shannon


def test_divergence_is_in_bits_between_equal_and_disjoint():
    a = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    b = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    # The last by hand: H(.75, .25) - (H(.5, .5) + H(1)) / 2 = 0.8113 - 0.5
    assert jensen_shannon(a, b) == pytest.approx([0.0, 1.0, 0.311278], abs=1e-6)
    assert jensen_shannon(b, a) == pytest.approx(jensen_shannon(a, b))


def test_distance_is_by_layer_and_head_averaged_over_rows():
    a = np.zeros((2, 3, 4, 5))
    a[..., 0] = 1
    b = a.copy()
    b[1, 2, :2] = np.eye(5)[1]
    expected = np.zeros((2, 3))
    expected[1, 2] = 0.5  # two of four rows look elsewhere
    assert attention_distance(a, b) == pytest.approx(expected)


def test_what_only_one_model_read_counts():
    a, b = np.full((1, 1, 1, 2), 0.5), np.array([[[[0.5, 0.0, 0.5]]]])
    assert attention_distance(a, b) == pytest.approx(np.array([[0.5]]))


def test_other_architectures_and_summaries_are_refused():
    with pytest.raises(ValueError, match="layers, heads and rows cannot be compared"):
        attention_distance(np.ones((1, 2, 3, 4)), np.ones((1, 2, 4, 4)))

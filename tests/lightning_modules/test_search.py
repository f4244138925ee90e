import pytest
import torch
from small_mt5 import EOS, PAD, settings
from transformers import NoRepeatNGramLogitsProcessor

from lightning_modules.search import GreedySearch, ban_repeated_ngrams

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_same_tokens_are_banned_as_by_transformers(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    banned = 0
    for newest in range(9):
        history = torch.randint(0, 3, (40, 10), generator=generator)  # what comes later must not count
        logits = torch.randn(40, 5, generator=generator)
        expected = NoRepeatNGramLogitsProcessor(size)(history[:, : newest + 1], logits.clone())
        ban_repeated_ngrams(logits, history, torch.tensor([newest]), size)
        assert torch.equal(logits, expected)
        banned += int(logits.isinf().sum())
    assert banned > 0


def test_summaries_shorter_than_an_ngram_are_left_alone() -> None:
    logits = torch.zeros(1, 5)
    ban_repeated_ngrams(logits, torch.zeros(1, 3, dtype=torch.int64), torch.tensor([1]), 4)
    assert torch.equal(logits, torch.zeros(1, 5))


def advance(search: GreedySearch, wanted: list[list[int]]) -> None:
    """Feeds one token a row and step."""
    for step, tokens in enumerate(wanted):
        logits = torch.nn.functional.one_hot(torch.tensor(tokens), 9).float()
        position = torch.tensor([step])
        search.update(*search.continuations(logits, search.history.flatten(0, 1), position), position)


def test_rows_that_ended_are_padded_and_unused_rows_do_not_count() -> None:
    search = GreedySearch(settings(limit=5), 3, CPU)
    search.start(2)
    advance(search, [[4, EOS, 8], [EOS, 7, 8]])
    assert bool(search.over())
    assert search.result(2).tolist() == [[PAD, 4, EOS], [PAD, EOS, PAD]]
    search.start(3)
    advance(search, [[4, EOS, 8], [EOS, 7, 8]])
    assert not bool(search.over())
    assert search.result(3).tolist() == [[PAD, 4, EOS], [PAD, EOS, PAD], [PAD, 8, 8]]


def test_suppressed_tokens_are_never_chosen() -> None:
    search = GreedySearch(settings(limit=3, suppressed=[4, 8]), 1, CPU)
    search.start(1)
    advance(search, [[4], [5], [8]])
    assert search.result(1).tolist() == [[PAD, 0, 5, 0]]

import math

import pytest
import torch
from small_mt5 import EOS, PAD, settings

from lightning_modules.beam_search import BeamSearch

CPU = torch.device("cpu")
A, B, C = 2, 3, 4
Table = dict[tuple[int, ...], dict[int, float]]


def search_for(table: Table, beams: int, limit: int, penalty: float) -> BeamSearch:
    """Searches where the probabilities of the next token after a prefix are given; after others all are alike."""
    search = BeamSearch(settings(limit, beams, penalty), 2, CPU)
    search.start(1)
    for step in range(limit):
        position, rows = torch.tensor([step]), search.history.flatten(0, 1)
        logits = torch.full((len(rows), 12), math.log(1e-4))
        for beam, row in enumerate(rows.tolist()):
            for token, probability in table.get(tuple(row[1 : step + 1]), {}).items():
                logits[beam, token] = math.log(probability)
        search.visible(position, limit)
        search.update(*search.continuations(logits, rows, position), position)
        if bool(search.over()):
            break
    return search


def test_the_better_summary_may_begin_with_the_worse_token() -> None:
    table = {(): {A: 0.6, B: 0.4}, (A,): {A: 0.5, EOS: 0.5}, (B,): {C: 1.0}, (B, C): {EOS: 1.0}}
    search = search_for(table, beams=2, limit=4, penalty=1.0)
    assert search.result(1).tolist() == [[PAD, B, C, EOS]]
    assert search.ended_scores[0, 0].item() == pytest.approx(math.log(0.4) / 3, abs=0.01)


@pytest.mark.parametrize(("penalty", "expected"), [(0.1, [PAD, EOS]), (2.0, [PAD, A, A, EOS])])
def test_the_length_penalty_chooses_between_short_and_long(penalty: float, expected: list[int]) -> None:
    table = {(): {EOS: 0.45, A: 0.55}, (A,): {A: 0.7, B: 0.3}, (A, A): {EOS: 0.7, B: 0.3}}
    assert search_for(table, beams=2, limit=4, penalty=penalty).result(1).tolist() == [expected]


def test_a_row_stops_when_nothing_can_improve_and_unused_rows_at_once() -> None:
    table = {(): {EOS: 0.9, A: 0.1}, (A,): {EOS: 0.9, B: 0.1}}
    search = search_for(table, beams=2, limit=30, penalty=0.5)
    assert bool(search.over())
    assert search.result(1).tolist() == [[PAD, EOS]]
    search.start(0)
    assert bool(search.over())


def test_a_beam_sees_what_its_ancestors_read_and_nothing_else() -> None:
    search = BeamSearch(settings(limit=4, beams=2), 1, CPU)
    search.start(1)
    first = search.visible(torch.tensor([0]), 4)
    assert first[0].nonzero().tolist() == [[0, 0, 0], [1, 0, 1]]  # beam, position, whose
    logits = torch.full((2, 9), -30.0)
    logits[0, [A, B]] = torch.tensor([2.0, 1.0])  # both go on from the first beam
    search.update(*search.continuations(logits, search.history.flatten(0, 1), torch.tensor([0])), torch.tensor([0]))
    second = search.visible(torch.tensor([1]), 4)
    assert second[0].nonzero().tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 1]]

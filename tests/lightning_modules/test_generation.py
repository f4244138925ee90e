from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from lightning_modules.adaptation import Quantization, load_base
from lightning_modules.generation import (
    Generation,
    decode,
    ended,
    generation_config,
    sentinel_ids,
    starts_with_sentinel,
)

ROWS = 8064  # of the tiny model's head; its tokenizer has 8,000 pieces
EOS, PAD = 1, 0
Rig = Callable[[Any, dict[int, float]], Any]


def generate(model: Any, tokenizer: PreTrainedTokenizerBase, **settings: Any) -> torch.Tensor:
    config = generation_config(Generation(**{"max_new_tokens": 6, **settings}), tokenizer, ROWS)
    return model.eval().generate(input_ids=torch.tensor([[300, 301, EOS]]), generation_config=config)


def rig(model: Any, bonus: dict[int, float]) -> Any:
    """Makes the head prefer these ids by these amounts to all others."""

    def add(head: Any, inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.clone()
        for index, amount in bonus.items():
            logits[..., index] += amount
        return logits

    model.get_output_embeddings().register_forward_hook(add)
    return model


def test_sentinels_are_the_hundred_last_pieces(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    ids = sentinel_ids(tiny_tokenizer)
    assert ids == list(range(len(tiny_tokenizer) - 100, len(tiny_tokenizer)))
    assert tiny_tokenizer.convert_ids_to_tokens(ids[-1]) == "▁<extra_id_0>"


@pytest.mark.parametrize("suppress", [True, False])
def test_sentinels_and_rows_without_a_piece_are_suppressed_by_id(
    tiny_tokenizer: PreTrainedTokenizerBase, suppress: bool
) -> None:
    config = generation_config(Generation(suppress_sentinels=suppress), tiny_tokenizer, ROWS)
    assert sorted(config.suppress_tokens) == list(range(7900 if suppress else 8000, ROWS))


def test_nothing_is_suppressed_where_nothing_is_to_be(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    config = generation_config(Generation(suppress_sentinels=False), tiny_tokenizer, len(tiny_tokenizer))
    assert config.suppress_tokens is None


@pytest.mark.parametrize("beams", [1, 3])
def test_a_preferred_sentinel_is_generated_only_if_it_is_not_suppressed(
    loaded: Callable[..., Any], tiny_tokenizer: PreTrainedTokenizerBase, beams: int
) -> None:
    sentinel = sentinel_ids(tiny_tokenizer)[-1]
    model = rig(loaded(), {sentinel: 1000.0, ROWS - 1: 2000.0})
    free = generate(model, tiny_tokenizer, suppress_sentinels=False, num_beams=beams)
    assert free[0, 1:].tolist() == [sentinel] * 6
    assert "<extra_id_0>" in decode(free, tiny_tokenizer)[0]
    assert starts_with_sentinel(free, sentinel_ids(tiny_tokenizer)) == [True]
    suppressed = generate(model, tiny_tokenizer, num_beams=beams)
    assert 0 <= suppressed.min() <= suppressed.max() < sentinel_ids(tiny_tokenizer)[0]
    assert starts_with_sentinel(suppressed, sentinel_ids(tiny_tokenizer)) == [False]


def test_generation_starts_from_padding_and_stops_at_the_limit_or_the_end(
    loaded: Callable[..., Any], tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    endless = generate(rig(loaded(), {500: 1000.0}), tiny_tokenizer, max_new_tokens=30)
    assert endless.tolist() == [[PAD] + [500] * 30]
    assert ended(endless, EOS) == [False]
    ending = generate(rig(loaded(), {EOS: 1000.0}), tiny_tokenizer)
    assert ending.tolist() == [[PAD, EOS]]
    assert ended(ending, EOS) == [True]


def test_no_repeat_ngram_size_forbids_a_second_time(
    loaded: Callable[..., Any], tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    ids = generate(rig(loaded(), {500: 1000.0}), tiny_tokenizer, no_repeat_ngram_size=1)[0, 1:].tolist()
    assert ids[0] == 500
    assert len(set(ids)) == len(ids)


def test_the_bases_own_generation_settings_do_not_leak_in(
    loaded: Callable[..., Any], tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    base = loaded()
    base.generation_config = GenerationConfig(
        no_repeat_ngram_size=1, forced_bos_token_id=77, repetition_penalty=9.0, min_length=3, decoder_start_token_id=0
    )
    base.save_pretrained(tmp_path)
    assert "forced_bos_token_id" in (tmp_path / "generation_config.json").read_text()
    model = load_base(str(tmp_path), None, "full", Quantization(), torch.float32, torch.device("cpu"))
    assert generate(rig(model, {500: 1000.0}), tiny_tokenizer).tolist() == [[PAD] + [500] * 6]


def test_length_penalty_reaches_beam_search_only(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    beams = generation_config(Generation(num_beams=4, length_penalty=0.6), tiny_tokenizer, ROWS)
    greedy = generation_config(Generation(length_penalty=0.6), tiny_tokenizer, ROWS)
    assert (beams.num_beams, beams.length_penalty) == (4, 0.6)
    assert greedy.length_penalty is None


def test_decoding_leaves_out_ids_that_the_tokenizer_does_not_have(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    text = "Ankara'da kar yağdı"
    ids = tiny_tokenizer(text).input_ids
    assert ids[-1] == EOS
    rows = torch.tensor([[PAD, *ids, PAD, -100], [-100, *ids, ROWS - 1, 10**9]])
    assert decode(rows, tiny_tokenizer) == [text, text]
    assert decode(torch.full((2, 3), -100), tiny_tokenizer) == ["", ""]


@pytest.mark.parametrize(
    ("row", "expected"), [([0, 5, EOS, 0], True), ([0, 5, 6, EOS], True), ([0, 5, 6, 7], False), ([0, 0, 0, 0], False)]
)
def test_ended_asks_whether_the_end_was_generated(row: list[int], expected: bool) -> None:
    assert ended(torch.tensor([[0, EOS, 0, 0], row]), EOS) == [True, expected]


def test_starts_with_sentinel_looks_at_the_first_generated_token_alone() -> None:
    ids = torch.tensor([[0, 90, 5], [0, 5, 90], [90, 5, 5]])
    assert starts_with_sentinel(ids, [90, 91]) == [True, False, False]
    assert starts_with_sentinel(ids, []) == [False, False, False]
    assert starts_with_sentinel(ids[:, :1], [90]) == [False, False, True]


@pytest.mark.parametrize(("setting", "value"), [("max_new_tokens", 1), ("num_beams", 0), ("no_repeat_ngram_size", -1)])
def test_settings_out_of_range_are_named(setting: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"generation\.{setting} {value} must be at least"):
        Generation(**{setting: value})

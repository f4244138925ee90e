from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lightning_modules.initialization import Sizes, write_random
from lightning_modules.span_corruption import SpanCorruptionModule, set_dropout

SMALL = Sizes(d_model=16, d_ff=24, num_layers=1, num_heads=2, d_kv=8)


def test_dropout_is_off_in_every_layer_and_stays_in_the_configuration(loaded) -> None:
    model = loaded().train()
    ids = torch.arange(300, 320).view(2, 10)

    def logits() -> torch.Tensor:
        return model(input_ids=ids, labels=ids).logits

    assert not torch.equal(logits(), logits())
    set_dropout(model, 0.0)
    assert torch.equal(logits(), logits())
    assert model.config.dropout_rate == 0.1
    set_dropout(model, 0.5)
    assert not torch.equal(logits(), logits())


@pytest.mark.parametrize(("pieces", "rows"), [(8_000, 8_064), (16_000, 16_128), (250_100, 250_112)])
def test_new_model_has_some_rows_more_than_pieces_as_mt5_has(pieces: int, rows: int) -> None:
    config = SMALL.config(pieces)
    assert config.vocab_size == rows
    assert (config.pad_token_id, config.eos_token_id, config.decoder_start_token_id) == (0, 1, 0)
    assert config.is_gated_act


def test_new_model_is_written_with_a_head_of_its_own(tmp_path: Path) -> None:
    write_random(SMALL.config(300), str(tmp_path))
    weights = load_file(tmp_path / "model.safetensors")
    assert weights["shared.weight"].shape == weights["lm_head.weight"].shape == (384, 16)
    assert not torch.equal(weights["shared.weight"], weights["lm_head.weight"])


@pytest.mark.parametrize("name", ["d_model", "d_ff", "num_layers", "num_heads", "d_kv"])
def test_size_below_one_is_named(name: str) -> None:
    sizes = {"d_model": 16, "d_ff": 24, "num_layers": 1, "num_heads": 2, "d_kv": 8}
    with pytest.raises(ValueError, match=rf"model\.from_scratch\.{name} 0 must be at least 1"):
        Sizes(**{**sizes, name: 0})


def test_dropout_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match=r"model\.dropout 1\.0 must be in \[0, 1\)"):
        SpanCorruptionModule("base", dropout=1.0)

"""The estimate, against what the real model holds: autograd's tensors, the compiler's choice, and a GPU's record."""

from dataclasses import replace

import pytest
import torch
from fake_step import compiled_block_bytes, step_peak

from lightning_modules.adaptation import Adaptation, Lora
from lightning_modules.architecture import MT5_SMALL as SMALL
from lightning_modules.architecture import Architecture
from lightning_modules.memory import (
    MemoryEstimate,
    MemorySettings,
    _decoder_block,
    _encoder_block,
    estimate,
    generation_bytes,
    largest_batch,
)
from lightning_modules.memory_settings import planned_settings

# Of few layers, since what each holds is what is tested.
SHORT = replace(SMALL, layers=1, decoder_layers=2, vocabulary=32_000)
BASE = Architecture(2, 1, 768, 64, 12, 2048, 32_000)
MIB = 2**20


def settings(one: Architecture = SHORT, adaptation: Adaptation = "lora", lora: Lora = Lora(), **changes):
    return planned_settings(one, adaptation, lora, **({"optimizer_bytes": 0.0} | changes))


QV = Lora(targets=["q", "v"])


SLOW = pytest.mark.slow
CASES = [
    pytest.param({}, (8, 512, 128)),
    pytest.param({"adaptation": "full"}, (8, 512, 128)),
    pytest.param({"gradient_checkpointing": True, "chunk_tokens": 512}, (16, 512, 128)),
    pytest.param({"chunk_tokens": None, "lora": QV}, (4, 512, 128)),
    pytest.param({"attention": "eager"}, (8, 512, 128), marks=SLOW),
    pytest.param({}, (2, 1024, 64), marks=SLOW),
    pytest.param({"one": BASE}, (4, 256, 64), marks=SLOW),
    pytest.param({"one": SMALL}, (8, 512, 128), marks=SLOW),
    pytest.param({"lora": QV}, (16, 512, 128), marks=SLOW),
    pytest.param({"lora": Lora(rank=64, dropout=0.0)}, (8, 512, 128), marks=SLOW),
    pytest.param({"adaptation": "dora"}, (8, 512, 128), marks=SLOW),
    pytest.param({"adaptation": "full", "gradient_checkpointing": True}, (16, 512, 128), marks=SLOW),
    pytest.param({"adaptation": "full", "chunk_tokens": None}, (16, 512, 128), marks=SLOW),
    pytest.param({"compute_bytes": 4}, (8, 512, 128), marks=SLOW),
    pytest.param({"dropout": 0.0}, (8, 512, 128), marks=SLOW),
]


@pytest.mark.parametrize(("changed", "shape"), CASES, ids=str)
def test_the_estimate_is_what_a_step_holds(changed, shape):
    chosen = settings(**changed)
    assert estimate(chosen, *shape).total == pytest.approx(step_peak(chosen, *shape), rel=0.03)


@pytest.mark.parametrize("decoder", [pytest.param(False, marks=SLOW), True], ids=["encoder", "decoder"])
@pytest.mark.parametrize(
    "changed",
    [
        {"lora": QV},
        pytest.param({}, marks=SLOW),
        pytest.param({"lora": Lora(dropout=0.0)}, marks=SLOW),
        pytest.param({"adaptation": "full"}, marks=SLOW),
    ],
    ids=str,
)
def test_a_compiled_block_holds_what_the_compiler_keeps(changed, decoder):
    chosen, block = settings(compiled=True, **changed), _decoder_block if decoder else _encoder_block
    assert block(chosen, 6, 512, 128) == pytest.approx(compiled_block_bytes(chosen, 6, 512, 128, decoder), rel=0.05)


# Seed A's recipe on an NVIDIA H200: peak allocated MiB by batch and gradient checkpointing; targets of mean 60 and
# standard deviation 25, so that the longest of a batch has about 110 tokens.
@pytest.mark.parametrize(
    ("rows", "checkpointing", "measured"), [(8, True, 3932), (64, True, 21968), (64, False, 40300)]
)
def test_the_estimate_of_the_seed_is_near_its_measurement(rows, checkpointing, measured):
    seed = MemorySettings(
        SMALL,
        weight_bytes=1027 * MIB,
        trainable=688_128,
        adaptation="qlora",
        lora=QV,
        fp32_embeddings=True,
        gradient_checkpointing=checkpointing,
        attention="eager",
        chunk_tokens=None,
    )
    assert estimate(seed, rows, 512, 110).total / MIB == pytest.approx(measured, rel=0.1)


def test_full_training_is_near_its_measurement():
    full = planned_settings(SMALL, "full", chunk_tokens=None)
    assert estimate(full, 8, 512, 110).total / MIB == pytest.approx(9001, rel=0.1)


def test_compiled_a_chunk_of_logits_is_held_once():
    logits = estimate(settings(compiled=True, chunk_tokens=100), 8, 512, 128).logits
    hidden = 8 * 128 * SHORT.d_model
    assert logits == 2 * (100 * SHORT.vocabulary + hidden)


def test_a_quantised_head_is_dense_while_a_long_batch_passes():
    short, long = (estimate(settings(quantized_head=True), rows, 512, 128) for rows in (8, 9))
    assert short == estimate(settings(), 8, 512, 128)
    assert long.logits - estimate(settings(), 9, 512, 128).logits == 2 * SHORT.vocabulary * SHORT.d_model


def test_parts_that_do_not_meet_are_not_added():
    parts = MemoryEstimate(1, 2, 3, activations=10, recomputed=4, logits=5, update=7, generation=8)
    assert parts.total == 1 + 2 + 3 + 10 + 5
    assert replace(parts, recomputed=6).total == 6 + 10 + 6
    assert replace(parts, update=100).total == 6 + 100
    assert replace(parts, generation=200).total == 6 + 200


def test_optimizer_and_devices_count():
    plain = estimate(settings(optimizer_bytes=8.0), 1, 64, 16)
    assert plain.optimizer == 2 * plain.gradients == 8 * settings().trainable
    assert estimate(settings(distributed=True), 1, 64, 16).gradients == 2 * plain.gradients


@pytest.mark.parametrize("rows", [1, 7, 64, 100])
def test_the_largest_batch_is_the_last_that_fits(rows):
    needed = estimate(settings(), rows, 512, 128).total
    assert largest_batch(settings(), needed, 512, 128) == rows
    assert largest_batch(settings(), needed - 1, 512, 128) == rows - 1


def test_generation_holds_keys_and_values_of_every_beam():
    one = replace(SMALL, vocabulary=0)
    tensors = [torch.empty(4 * 3, 6, 512 + 64, 64, dtype=torch.bfloat16) for _ in range(2 * 8)]
    assert generation_bytes(one, 4, 3, 512, 64) == sum(tensor.nbytes for tensor in tensors)
    scores = generation_bytes(SMALL, 4, 3, 512, 64) - generation_bytes(one, 4, 3, 512, 64)
    assert scores == 12 * 250_112 * 10

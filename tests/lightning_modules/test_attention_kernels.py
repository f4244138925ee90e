import json
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from test_acceleration import build, collated

from lightning_modules import attention_kernels
from lightning_modules.acceleration import Acceleration
from lightning_modules.adaptation import enable_gradient_checkpointing
from lightning_modules.attention_kernels import (
    BY_KEY_COUNT,
    attention_by_key_count,
    choose_kernels_by_key_count,
)
from lightning_modules.seq2seq import Seq2SeqModule
from lightning_modules.span_corruption import SpanCorruptionModule

GPU = pytest.param("cuda", marks=pytest.mark.gpu)
ROWS, HEADS, QUERIES, WIDTH = 2, 3, 24, 16


def plain_attention(query: Any, key: Any, value: Any, bias: Any) -> torch.Tensor:
    """(rows, heads, queries, width) in fp32."""
    query, key, value, bias = (tensor.float() for tensor in (query, key, value, bias))
    return torch.softmax(query @ key.mT + bias, -1) @ value


@pytest.fixture
def asked(monkeypatch):
    """Key counts of the calls of the memory-efficient kernel, which has no version for a CPU; checks what it needs."""
    calls = []

    def kernel(query, key, value, bias, dropout, scaling):
        calls.append(key.shape[2])
        assert scaling == 1.0
        assert bias.shape == (*query.shape[:3], key.shape[2])
        assert bias.stride(-1) == 1 and not any(step % 8 for step in bias.stride()[:3])
        assert query.dtype == key.dtype == value.dtype == bias.dtype
        attended = plain_attention(query, key, value, bias).to(query.dtype)
        return torch.nn.functional.dropout(attended, dropout)

    monkeypatch.setattr(attention_kernels, "_DEVICE_TYPE", "cpu")
    monkeypatch.setattr(attention_kernels, "efficient_attention", kernel)
    return calls


def tensors(keys: int, bias: tuple[int, ...], device: str = "cpu", dtype: Any = torch.float32) -> list[torch.Tensor]:
    """Query, key, value, and a bias whose last two dimensions are swapped in memory."""
    generator = torch.Generator().manual_seed(keys)
    shapes = (ROWS, HEADS, QUERIES, WIDTH), (ROWS, HEADS, keys, WIDTH), (ROWS, HEADS, keys, WIDTH)
    made = [torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes]
    made.append(torch.randn(*bias[:2], bias[3], bias[2], generator=generator).mT.to(device, dtype))
    return [tensor.requires_grad_() for tensor in made]


def attend(query: Any, key: Any, value: Any, bias: Any, mask: Any = None, is_causal: Any = False) -> torch.Tensor:
    """(rows, queries, heads, width)"""
    layer = torch.nn.Identity()
    return attention_by_key_count(
        layer, query, key, value, mask, dropout=0.0, scaling=1.0, position_bias=bias, is_causal=is_causal
    )[0]


@pytest.mark.parametrize("keys", [64, 128, 192, 200, 256])
def test_kernel_is_chosen_by_the_number_of_keys(asked, keys):
    attend(*tensors(keys, (1, HEADS, QUERIES, keys)))
    assert asked == ([] if keys in (128, 256) else [keys])


def test_everything_else_is_left_to_pytorch(asked, monkeypatch):
    query, key, value, bias = tensors(64, (1, HEADS, QUERIES, 64))
    attend(query, key, value, None)
    attend(query, key, value, bias, torch.ones(ROWS, 1, QUERIES, 64, dtype=torch.bool))
    attend(query, key, value, bias, is_causal=None)
    attend(query[..., :12], key[..., :12], value[..., :12], bias)
    monkeypatch.setattr(attention_kernels, "_DEVICE_TYPE", "cuda")
    attend(query, key, value, bias)
    assert not asked


def test_compiled_code_asks_for_the_number_of_keys_even_if_it_varies(asked):
    torch._dynamo.reset()
    compiled = torch.compile(attend, backend="aot_eager")
    for keys in (64, 128, 192, 256, 320, 384, 448, 200):
        given, asked[:] = tensors(keys, (1, HEADS, QUERIES, keys)), []
        torch.testing.assert_close(compiled(*given), plain_attention(*given).transpose(1, 2))
        assert asked == ([keys] if keys % 128 else []), keys


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("bias", [(1, HEADS, QUERIES), (ROWS, 1, 1), (ROWS, HEADS, QUERIES)])
@pytest.mark.parametrize("keys", [64, 69, 72, 192, 200, 256])
def test_forward_and_gradients_are_those_of_plain_attention(request, device, bias, keys):
    if device == "cpu":
        request.getfixturevalue("asked")
    given = tensors(keys, (*bias, keys), device, torch.float32 if device == "cpu" else torch.bfloat16)
    got, wanted = attend(*given), plain_attention(*given).transpose(1, 2)
    upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(0)).to(device)
    results = [got, *torch.autograd.grad((got * upstream).sum(), given)]
    expected = [wanted, *torch.autograd.grad((wanted * upstream).sum(), given)]
    for one, other in zip(results, expected, strict=True):
        assert (one.float() - other.float()).norm() < (1e-5 if device == "cpu" else 2e-2) * other.float().norm()


@pytest.mark.parametrize("device", ["cpu", GPU])
def test_number_format_is_autocast_s(request, device):
    if device == "cpu":
        request.getfixturevalue("asked")
    with torch.autocast(device, torch.bfloat16):
        assert attend(*tensors(64, (1, HEADS, QUERIES, 64), device)).dtype is torch.bfloat16


@pytest.mark.parametrize("kind", [Seq2SeqModule, SpanCorruptionModule])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_training_attends_by_key_count_in_every_layer_and_learns_the_same(asked, random_mt5, kind, checkpointing):
    gradients = {}
    for by_pytorch in (True, False):
        model = build(random_mt5, adaptation="full")
        if checkpointing:
            enable_gradient_checkpointing(model)
        module = kind("a-base", acceleration=Acceleration(False, False, cudnn_attention=by_pytorch))
        module.model = model
        module.batch_loss(collated())[0].backward()
        used = {stack.config._attn_implementation for stack in (model.encoder, model.decoder)}
        assert used == {"sdpa" if by_pytorch else BY_KEY_COUNT}
        # In each block of the decoder twice; of 24 source tokens and 8 targets.
        expected = ([24] * 4 + [8] * 2) * (2 if checkpointing else 1)
        assert sorted(asked) == sorted([] if by_pytorch else expected)
        gradients[by_pytorch] = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    assert (gradients[False] - gradients[True]).norm() < 1e-4 * gradients[True].norm()


def test_dropout_of_training_reaches_the_kernel(asked, random_mt5):
    model = build(random_mt5, adaptation="full")
    layer = model.encoder.block[0].layer[0].SelfAttention
    layer.dropout = 1.0
    choose_kernels_by_key_count(model)
    for training, dropped in ((True, True), (False, False)):
        states = layer.train(training)(torch.randn(1, 8, model.config.d_model), is_causal=False)[0]
        assert (states == 0).all() == dropped
    assert asked == [8, 8]


def test_model_still_generates_and_saves_a_configuration_that_anybody_can_load(random_mt5, tmp_path):
    model = build(random_mt5, adaptation="full").eval()
    ids, mask = torch.arange(300, 320).view(2, 10), torch.ones(2, 10, dtype=torch.int64)
    mask[1, 4:] = 0
    before = model.generate(ids, attention_mask=mask, max_new_tokens=8, decoder_start_token_id=0)
    saved = model.config.to_dict()
    choose_kernels_by_key_count(model)
    after = model.generate(ids, attention_mask=mask, max_new_tokens=8, decoder_start_token_id=0)
    assert torch.equal(after, before)
    model.save_pretrained(tmp_path)
    assert model.config.to_dict() == saved
    assert BY_KEY_COUNT not in (tmp_path / "config.json").read_text() + json.dumps(saved)
    for stack in (model.encoder, model.decoder):
        assert BY_KEY_COUNT not in stack.config.to_json_string(use_diff=False)


def test_eager_attention_and_older_gpus_are_left_alone(random_mt5, monkeypatch):
    model = build(random_mt5, adaptation="full")
    model.decoder.set_attn_implementation("eager")
    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    capability = (8, 9)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    choose_kernels_by_key_count(model)
    assert model.encoder.config._attn_implementation == "sdpa"
    capability = (9, 0)
    choose_kernels_by_key_count(model)
    assert model.encoder.config._attn_implementation == BY_KEY_COUNT
    assert model.decoder.config._attn_implementation == "eager"


@pytest.mark.gpu
@pytest.mark.parametrize("keys", [64, 192, 256])
def test_gradients_of_very_negative_scores_are_finite(keys):
    query, key, value = (torch.randn(1, 4, keys, 64, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    query[..., 0], key[..., 0] = 1, -200
    key[..., 1:] *= 0.1  # all scores are near -200
    query.requires_grad_()
    attended = attend(query, key, value, value.new_zeros(1, 4, keys, keys))
    (gradient,) = torch.autograd.grad(attended.square().sum(), query)
    assert gradient.isfinite().all()


# Prints the GPU's kernels, and how often the cache of compiled code was asked in vain, or not at all.
COMPILED = """
import sys, json, torch
from torch._dynamo.utils import counters
from torch.profiler import ProfilerActivity, profile
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from lightning_modules.attention_kernels import attention_by_key_count

attention = {"plain": sdpa_attention_forward, "chosen": attention_by_key_count}[sys.argv[1]]
shapes = (2, 4, 64, 64), (2, 4, int(sys.argv[2]), 64), (2, 4, int(sys.argv[2]), 64)
given = [torch.randn(shape, device="cuda", dtype=torch.bfloat16, requires_grad=True) for shape in shapes]
bias = torch.zeros(2, 1, 1, int(sys.argv[2]), device="cuda", dtype=torch.bfloat16)

@torch.compile
def attend(query, key, value, bias):
    return attention(torch.nn.Identity(), query, key, value, None, scaling=1.0, is_causal=False, position_bias=bias)[0]

with profile(activities=[ProfilerActivity.CUDA]) as record:
    attend(*given, bias).sum().backward()
    torch.cuda.synchronize()
names = [event.name for event in record.events()]
print(json.dumps({"kernels": names, **counters["aot_autograd"]}))
"""


@pytest.mark.gpu
def test_compiled_code_of_an_older_cache_is_not_taken_and_its_own_is(tmp_path):
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}

    def run(attention: str, keys: int) -> tuple[bool, dict[str, Any]]:
        command = [sys.executable, "-c", COMPILED, attention, str(keys)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        return any("fmha_cutlass" in name for name in found["kernels"]), found

    run("plain", 192)
    for hits in (0, 1):
        efficient, counts = run("chosen", 192)
        assert efficient
        assert counts.get("autograd_cache_hit", 0) == hits
        assert not counts.get("autograd_cache_bypass", 0)
    plain, chosen = run("plain", 256)[0], run("chosen", 256)[0]
    assert plain == chosen

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_mt5 import EOS, PAD, VOCABULARY, plain, settings, small_mt5, sources
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

import lightning_modules.summarizer as module
from lightning_modules.adaptation import Lora, Quantization, adapt, load_base
from lightning_modules.summarizer import Decoding, Summarizer


def lengths(ids: torch.Tensor) -> list[int]:
    return ((ids == EOS).cumsum(dim=1) == 0).sum(dim=1).tolist()


@pytest.mark.parametrize(
    ("beams", "penalty", "end_bonus"), [(1, 1.0, 3.0), (2, 0.6, 2.0), (4, 1.0, 4.0), (4, 2.0, 6.0), (5, 0.6, 3.0)]
)
def test_summaries_are_those_of_generate(beams: int, penalty: float, end_bonus: float) -> None:
    seen = []
    for seed, (ngram, limit, suppressed) in enumerate([(0, 12, [5, 7, 59]), (2, 12, None), (3, 5, None)]):
        model = small_mt5(seed, end_bonus)
        ids, mask = sources(seed=seed)
        config = settings(limit, beams, penalty, ngram, suppressed)
        summaries = Summarizer(model, config).generate(ids, mask)
        assert torch.equal(summaries, plain(model, ids, mask, config))
        assert not suppressed or not torch.isin(summaries, torch.tensor(suppressed)).any()
        seen += lengths(summaries)
    assert len(set(seen)) > 3  # or this would show little


def test_beams_find_other_summaries_than_greedy_search() -> None:
    ids, mask = sources()
    found = [Summarizer(small_mt5(), settings(12, beams)).generate(ids, mask) for beams in (1, 2, 4)]
    assert len({str(summaries.tolist()) for summaries in found}) == 3


@pytest.mark.parametrize("beams", [1, 3])
def test_the_limit_of_two_tokens_and_rows_that_all_end_at_once(beams: int) -> None:
    ids, mask = sources()
    for bonus, limit in ((-50.0, 2), (50.0, 30)):
        model, config = small_mt5(end_bonus=bonus), settings(limit, beams)
        assert torch.equal(Summarizer(model, config).generate(ids, mask), plain(model, ids, mask, config))
    assert Summarizer(model, config).generate(ids, mask).tolist() == [[PAD, EOS]] * 4


@pytest.mark.parametrize(("adaptation", "beams"), [("lora", 1), ("dora", 2), ("qlora", 1), ("qlora", 2)])
def test_adapted_and_quantised_layers_compute_as_ever(adapted: Callable[..., Any], adaptation: str, beams: int) -> None:
    model = adapted(adaptation).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)  # untrained adapters do nothing
    ids, mask = sources(3, 20)
    summarizer = Summarizer(model, settings(5, beams, suppressed=[5]))
    first = summarizer.generate(ids, mask)
    assert torch.equal(first, plain(model, ids, mask, summarizer.config))
    model.disable_adapter_layers()
    assert not torch.equal(first, plain(model, ids, mask, summarizer.config))


@pytest.mark.parametrize("beams", [1, 4])
def test_batches_smaller_than_the_caches_and_logits_in_pieces(monkeypatch: pytest.MonkeyPatch, beams: int) -> None:
    monkeypatch.setattr(module, "LOGITS_AT_ONCE", 3 * VOCABULARY)
    model, config = small_mt5(), settings(6, beams)
    decoding = Decoding(model, config, rows=5, width=32, dtype=torch.float32, device=torch.device("cpu"))
    with torch.inference_mode():
        for seed, (rows, width) in enumerate([(5, 32), (3, 11), (1, 5), (4, 32)]):
            ids, mask = sources(rows, width, seed)
            states = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
            assert torch.equal(decoding.run(states, mask), plain(model, ids, mask, config))
            decoding.run(torch.full_like(states, torch.nan), mask)  # must leave nothing behind


@pytest.mark.parametrize("beams", [1, 4])
def test_decoding_stops_soon_after_all_rows_have_ended(monkeypatch: pytest.MonkeyPatch, beams: int) -> None:
    monkeypatch.setattr(module, "STEPS_BETWEEN_CHECKS", 4)
    ids, mask = sources()
    summarizer = Summarizer(small_mt5(end_bonus=50.0), settings(40, beams))
    summarizer.generate(ids, mask)
    assert summarizer._decoding is not None
    assert 0 < int(summarizer._decoding.position) <= 8


def test_weights_that_training_changes_are_read_anew() -> None:
    model, config = small_mt5(), settings(8, 2)
    ids, mask = sources()
    summarizer = Summarizer(model, config)
    before = summarizer.generate(ids, mask)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.3)
    after = summarizer.generate(ids, mask)
    assert torch.equal(after, plain(model, ids, mask, config))
    assert not torch.equal(after, before)


def test_copies_are_made_again_where_the_weights_have_moved() -> None:
    model = small_mt5()
    ids, mask = sources()
    summarizer = Summarizer(model, settings(8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        before = summarizer.generate(ids, mask)
        model.load_state_dict({name: value * 1.5 for name, value in model.state_dict().items()}, assign=True)
        after = summarizer.generate(ids, mask)
        assert torch.equal(after, Summarizer(model, settings(8)).generate(ids, mask))
    assert not torch.equal(after, before)


def test_summaries_are_ordinary_tensors_and_what_was_held_is_freed() -> None:
    ids, mask = sources()
    summarizer = Summarizer(small_mt5(), settings())
    first = summarizer.generate(ids, mask)
    first += 0  # fails for tensors of inference mode
    summarizer.release()
    assert (summarizer._decoding, summarizer._weights) == (None, None)
    assert torch.equal(summarizer.generate(ids, mask), first)


def test_t5_works_too_with_a_head_of_its_own_or_a_scaled_one() -> None:
    sizes = {"vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 1, "num_heads": 4}
    torch.manual_seed(0)
    ids, mask = sources()
    for tied in (False, True):
        model = T5ForConditionalGeneration(T5Config(**sizes, tie_word_embeddings=tied)).eval()
        summarizer = Summarizer(model, settings(8, 2))
        assert summarizer.fast
        assert torch.equal(summarizer.generate(ids, mask)[:, :2], plain(model, ids, mask, settings(8, 2))[:, :2])


def test_other_models_generate_in_the_plain_way_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    sizes = dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim", "d_model"), 16)
    counts = dict.fromkeys(
        ("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"), 1
    )
    model = BartForConditionalGeneration(BartConfig(vocab_size=VOCABULARY, **sizes, **counts)).eval()
    ids, mask = sources()
    with caplog.at_level("INFO"):
        summarizer = Summarizer(model, settings())
    assert "BartForConditionalGeneration generates in the plain way" in caplog.text
    assert torch.equal(
        summarizer.generate(ids, mask),
        model.generate(input_ids=ids, attention_mask=mask, generation_config=settings()),
    )


def test_fast_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_mt5()
    ids, mask = sources()
    fast = Summarizer(model, settings()).generate(ids, mask)
    monkeypatch.setattr(Decoding, "run", None)
    assert torch.equal(Summarizer(model, settings(), fast=False).generate(ids, mask), fast)


@pytest.mark.gpu
@pytest.mark.parametrize("beams", [1, 4])
def test_a_captured_graph_gives_the_same_summaries(beams: int) -> None:
    model, config = small_mt5(), settings(20, beams, ngram=2, suppressed=[5, 7])
    summarizer = Summarizer(copy.deepcopy(model).cuda(), config)
    graphs = set()
    for seed, (rows, width) in enumerate([(6, 30), (6, 30), (3, 17), (1, 5), (8, 11), (2, 140)]):
        ids, mask = sources(rows, width, seed)
        eager = Summarizer(model, config).generate(ids, mask)
        assert torch.equal(summarizer.generate(ids.cuda(), mask.cuda()).cpu(), eager)
        assert summarizer._decoding is not None
        graphs.add(summarizer._decoding.graph)
    assert len(graphs) == 3  # of 6 x 128, 8 x 128 and 2 x 256


@pytest.mark.gpu
@pytest.mark.parametrize("dequantize", [True, False])
@pytest.mark.parametrize("adaptation", ["full", "lora", "dora", "qlora"])
def test_a_captured_graph_follows_training(tiny_base: str, adaptation: Any, dequantize: bool) -> None:
    cuda = torch.device("cuda")
    base = load_base(tiny_base, None, adaptation, Quantization(), torch.bfloat16, cuda)
    model = adapt(base, adaptation, Lora(rank=4)).to(cuda)
    ids, mask = (part.cuda() for part in sources(4, 20))
    summarizer = Summarizer(model.eval(), settings(8, 2), dequantize=dequantize)
    outputs = []
    for _ in range(3):
        with torch.autocast("cuda", dtype=torch.bfloat16):
            outputs.append(summarizer.generate(ids, mask))
            captured_anew = Summarizer(model, settings(8, 2), dequantize=dequantize)
            assert torch.equal(outputs[-1], captured_anew.generate(ids, mask))
        with torch.no_grad():
            for parameter in (p for p in model.parameters() if p.requires_grad):
                parameter.add_(torch.randn_like(parameter) * 0.2)
    assert not torch.equal(outputs[0], outputs[-1])


@pytest.mark.gpu
def test_released_memory_is_free_again() -> None:
    ids, mask = (part.cuda() for part in sources(64, 512))
    summarizer = Summarizer(small_mt5().cuda(), settings(64, 4))
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    summarizer.generate(ids, mask)
    assert torch.cuda.memory_reserved() > before + 2**20
    summarizer.release()
    assert torch.cuda.memory_reserved() <= before + 2**25  # workspaces of the libraries stay

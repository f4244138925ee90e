"""What is recorded is what the model computes, summed up to words and sentences."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_mt5 import small_mt5

from lightning_modules.attention import record_attention
from lightning_modules.attention_kernels import BY_KEY_COUNT, choose_kernels_by_key_count
from lightning_modules.generation import Generation
from lightning_modules.trained_model import TrainedModel

ARTICLE = "Vapur seferleri Kadıköy'de durdu. Okullar ve iş yerleri kapandı! Yarın hava açık olacak."
SUMMARY = "Fırtına vapurları durdurdu."


@pytest.fixture(scope="module")
def trained(tiny_tokenizer) -> TrainedModel:
    model = small_mt5()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.set_input_embeddings(torch.nn.Embedding(len(tiny_tokenizer), 32))
    return TrainedModel(model, tiny_tokenizer, Generation(), "", 512, ["tr"])


def weights(trained: TrainedModel, source: str, summary: str) -> tuple[list, list, list[int], list[int]]:
    """transformers' own weights, by layer (H, T, S) and (H, S, S), and the ids."""
    sources, targets = (trained.tokenizer(text).input_ids for text in (source, summary))
    for part in (trained.model, trained.model.encoder, trained.model.decoder):
        part.set_attn_implementation("eager")
    output = trained.model(
        input_ids=torch.tensor([sources]),
        decoder_input_ids=torch.tensor([[0, *targets[:-1]]]),
        output_attentions=True,
    )
    return (
        [one[0].numpy() for one in output.cross_attentions],
        [one[0].numpy() for one in output.encoder_attentions],
        sources,
        targets,
    )


def word_numbers(tokenizer, ids: list[int]) -> list[int]:
    """Of texts in which no word is cut by an apostrophe: a piece that begins with a space begins a word."""
    pieces = tokenizer.convert_ids_to_tokens(ids[:-1])
    return (np.cumsum([piece.startswith("▁") for piece in pieces]) - 1).tolist()


@torch.inference_mode()
def test_weights_are_the_models_own_summed_over_source_and_averaged_over_summary_tokens(trained):
    article = ARTICLE.replace("'", "")
    record = record_attention(trained, article, SUMMARY, "tr")
    cross, encoder, sources, targets = weights(trained, article, SUMMARY)
    columns, rows = word_numbers(trained.tokenizer, sources), word_numbers(trained.tokenizer, targets)
    assert record.cross.shape == (len(cross), cross[0].shape[0], 4, 2 + 13)
    assert len(rows) > 3  # else no word has several tokens
    for layer, own in enumerate(cross):
        expected = np.zeros_like(record.cross[layer])
        for token, row in enumerate([*rows, 3]):
            share = 1 / [*rows, 3].count(row)
            expected[:, row, 1] += own[:, token, -1] * share
            for place, column in enumerate(columns):
                expected[:, row, 2 + column] += own[:, token, place] * share
        np.testing.assert_allclose(record.cross[layer], expected, atol=1e-5)
    # From the tokens of the first sentence (4 words) to those of the last.
    first = [place for place, column in enumerate(columns) if column < 4]
    last = [place for place, column in enumerate(columns) if column >= 9]
    for layer, own in enumerate(encoder):
        expected = own[:, first][:, :, last].sum(-1).mean(-1)
        np.testing.assert_allclose(record.encoder[layer][:, 2, 4], expected, atol=1e-5)


def test_words_and_sentences_are_those_of_the_texts(trained):
    record = record_attention(trained, ARTICLE, SUMMARY, "tr", "lora", "row-1")
    assert "".join(record.source_words) == ARTICLE
    assert [word.strip() for word in record.source_words[:5]] == ["Vapur", "seferleri", "Kadıköy'", "de", "durdu."]
    assert [sentence.strip() for sentence in record.sentences] == [
        "Vapur seferleri Kadıköy'de durdu.",
        "Okullar ve iş yerleri kapandı!",
        "Yarın hava açık olacak.",
    ]
    assert record.summary_words == ["Fırtına ", "vapurları ", "durdurdu.", "</s>"]
    assert (record.model, record.id, record.cut) == ("lora", "row-1", False)
    np.testing.assert_allclose(record.cross.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(record.encoder[:, :, 1:].sum(-1), 1, atol=1e-5)
    assert record.cross[..., 0].max() == 0  # no prefix
    np.testing.assert_allclose(record.cross_by_sentence().sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "text", ["今日は東京で雨が降った。明日は晴れる。", "<extra_id_0> Yağdı  mı?", "«Дождь» 3,5 мм 🌧"]
)
def test_any_script_is_tiled_and_every_word_has_weights(trained, text):
    record = record_attention(trained, text, text, "ja")
    assert "".join(record.source_words) == text == "".join(record.summary_words[:-1])
    np.testing.assert_allclose(record.cross.sum(-1), 1, atol=1e-5)


def test_the_prefix_is_apart_and_a_long_article_is_cut_as_in_training(trained):
    prefixed = replace(trained, prefixes={"tr": "özetle: "})
    record = record_attention(prefixed, ARTICLE, SUMMARY, "tr")
    assert "".join(record.source_words) == ARTICLE
    assert record.cross[..., 0].min() > 0
    short = record_attention(replace(trained, max_source_tokens=9), ARTICLE, SUMMARY, "tr")
    assert short.cut and ARTICLE.startswith("".join(short.source_words))
    assert len(short.source_words) < len(record.source_words)


def test_the_model_is_left_as_it_was(trained):
    parts = (trained.model, trained.model.encoder, trained.model.decoder)
    for part in parts:  # transformers 5.17 does not reach the others from the model
        part.set_attn_implementation("sdpa")
    choose_kernels_by_key_count(trained.model)
    hooks = [len(module._forward_hooks) for module in trained.model.modules()]
    record_attention(trained, ARTICLE, SUMMARY, "tr")
    assert [part.config._attn_implementation for part in parts] == ["sdpa", BY_KEY_COUNT, BY_KEY_COUNT]
    assert [len(module._forward_hooks) for module in trained.model.modules()] == hooks


def test_what_cannot_be_recorded_is_refused(trained):
    for article, summary in (("", SUMMARY), (ARTICLE, " "), (ARTICLE, "...")):
        with pytest.raises(ValueError, match="no word to attend to"):
            record_attention(trained, article, summary, "tr")
    with pytest.raises(ValueError, match="of an mT5 or T5, not of Linear"):
        record_attention(replace(trained, model=torch.nn.Linear(1, 1)), ARTICLE, SUMMARY, "tr")

import json
import shutil
import sys
from pathlib import Path

import bert_score
import pytest
import torch
from small_encoders import LAYERS, POSITIONS, save_bert, save_roberta
from transformers import AutoConfig, AutoModel, AutoTokenizer

from metrics.bertscore import BertScorer, Encoder

EXACT = {"abs": 1e-6}


@pytest.fixture(scope="module")
def pairs(quickstart: Path) -> tuple[list[str], list[str]]:
    """Predictions (the articles' beginnings, of many lengths) and references."""
    rows = [json.loads(line) for line in (quickstart / "tr.jsonl").open(encoding="utf-8")][:9]
    beginnings = [row["article"][: 20 + 13 * index] for index, row in enumerate(rows)]
    return beginnings, [row["summary"] for row in rows]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory, pairs: tuple[list[str], list[str]]) -> str:
    return save_bert(tmp_path_factory.mktemp("encoders") / "bert", pairs[0] + pairs[1])


def by_hand(predictions, references, model, num_layers, **settings) -> list[float]:
    """bert-score itself, with a tokenizer that has a limit: without one it ends in an OverflowError."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.model_max_length = POSITIONS - 2
    with pytest.MonkeyPatch.context() as patch:
        # By its place in the package stands the function of the same name.
        patch.setattr(sys.modules["bert_score.score"], "get_tokenizer", lambda *_: tokenizer)
        found = bert_score.score(
            predictions, references, model_type=model, num_layers=num_layers, device="cpu", **settings
        )
    return found[2].tolist()


@pytest.mark.parametrize("batch_size", [1, 4, 32])
@pytest.mark.parametrize("num_layers", [1, LAYERS])
def test_scores_are_those_of_bert_score(pairs, bert, num_layers, batch_size):
    scores = BertScorer("tr", Encoder(bert, num_layers), batch_size=batch_size).score(*pairs)
    expected = by_hand(*pairs, bert, num_layers)
    assert scores == {"bertscore": pytest.approx(expected, **EXACT)}
    assert max(expected) - min(expected) > 1000 * EXACT["abs"]


def test_an_empty_text_scores_0_and_leaves_its_neighbours_alone(pairs, bert):
    predictions, references = list(pairs[0]), list(pairs[1])
    expected = by_hand(predictions, references, bert, LAYERS)
    for texts, index, empty in ((predictions, 0, ""), (references, 4, " \n"), (predictions, 8, "\u200b")):
        texts[index], expected[index] = empty, 0.0
    scorer = BertScorer("it", Encoder(bert, known_as="bert-base-multilingual-cased", num_layers=LAYERS), rescale=True)
    scores = scorer.score(predictions, references)
    assert scores["bertscore"] == pytest.approx(expected, **EXACT)
    assert [index for index, score in enumerate(scores["bertscore_rescaled"]) if score == 0] == [0, 4, 8]


def test_nothing_but_empty_texts(bert):
    assert BertScorer("tr", Encoder(bert)).score(["", "a"], ["a", ""]) == {"bertscore": [0.0, 0.0]}
    assert BertScorer("tr", Encoder(bert)).score([], []) == {"bertscore": []}


def test_each_prediction_meets_its_own_reference(pairs, bert):
    """Another library sorts by length and scores other pairs."""
    _, references = pairs
    scorer = BertScorer("tr", Encoder(bert), batch_size=2)
    assert scorer.score(references, references)["bertscore"] == pytest.approx([1.0] * len(references), abs=1e-5)
    assert max(scorer.score(references, references[1:] + references[:1])["bertscore"]) < 0.99


def test_rescaled_scores_are_those_of_bert_score(pairs, bert):
    name = "bert-base-multilingual-cased"
    baseline = Path(bert_score.__file__).parent / "rescale_baseline" / "pt" / f"{name}.tsv"
    scorer = BertScorer("pt-br", Encoder(bert, num_layers=2, known_as=name), rescale=True)
    expected = by_hand(*pairs, bert, 2, lang="pt", rescale_with_baseline=True, baseline_path=str(baseline))
    assert scorer.score(*pairs)["bertscore_rescaled"] == pytest.approx(expected, abs=5e-6)
    assert scorer.remarks == []


def test_a_missing_baseline_is_named_and_nothing_passes_for_rescaled(pairs, bert):
    scorer = BertScorer("tr", Encoder(bert, num_layers=1), rescale=True)
    (remark,) = scorer.remarks
    assert f"no baseline for {bert} in language 'tr'" in remark
    assert list(scorer.score(*pairs)) == ["bertscore"]
    (remark,) = BertScorer("it", Encoder(bert, num_layers=1), rescale=True).remarks
    assert "xlm-roberta-base" in remark


def test_layer_of_a_model_that_bert_score_knows_and_of_one_that_it_does_not(pairs, bert):
    known = BertScorer("tr", Encoder(bert, known_as="google/bert_uncased_L-4_H-256_A-4"))
    assert known.remarks == []
    with pytest.raises(ValueError, match="num_layers 9 is more than the 3 layers of bert-base-multilingual-cased"):
        BertScorer("tr", Encoder(bert, known_as="bert-base-multilingual-cased"))
    unknown = BertScorer("tr", Encoder(bert))
    assert f"its last layer ({LAYERS}) is used" in unknown.remarks[0]
    last = BertScorer("tr", Encoder(bert, num_layers=LAYERS)).score(*pairs)
    assert unknown.score(*pairs) == last == known.score(*pairs)


@pytest.mark.parametrize(
    ("language", "model"),
    [
        ("tr", "dbmdz/bert-base-turkish-cased"),
        ("en", "roberta-large"),
        ("en-GB", "roberta-large"),
        ("en-sci", "allenai/scibert_scivocab_uncased"),
        ("zh-hant", "bert-base-chinese"),
        ("it", "bert-base-multilingual-cased"),
    ],
)
def test_default_encoder_of_a_language(language, model, monkeypatch):
    asked = []

    def refuse(name, trust_remote_code):
        asked.append(name)
        raise OSError("no network")

    monkeypatch.setattr(AutoConfig, "from_pretrained", refuse)
    with pytest.raises(OSError, match="no network"):
        BertScorer(language)
    assert asked == [model]


def test_long_texts_are_cut_where_the_model_ends(bert):
    long = "kar yağdı " * POSITIONS
    scorer = BertScorer("tr", Encoder(bert))
    assert scorer.score([long + "ve dindi"], [long])["bertscore"] == pytest.approx([1.0], abs=1e-5)


def test_long_texts_are_cut_where_the_user_says(bert):
    one, other = "Ankara'da kar yağdı, okullar tatil.", "Ankara'da kar yağdı, oyunlar bitti gitti."
    assert BertScorer("tr", Encoder(bert, max_tokens=5)).score([one], [other])["bertscore"] == pytest.approx([1.0])
    assert BertScorer("tr", Encoder(bert)).score([one], [other])["bertscore"][0] < 0.99


def test_a_path_with_t5_in_it_is_no_t5(pairs, bert, tmp_path):
    copy = shutil.copytree(bert, tmp_path / "ozet-mt5" / "bert")
    assert BertScorer("tr", Encoder(str(copy))).score(*pairs) == BertScorer("tr", Encoder(bert)).score(*pairs)


def test_weights_in_bf16_are_computed_in_fp32(pairs, bert, tmp_path):
    for dtype in (torch.bfloat16, torch.float32):  # the second holds the same numbers
        source = bert if dtype == torch.bfloat16 else str(tmp_path / str(torch.bfloat16))
        folder = shutil.copytree(bert, tmp_path / str(dtype))
        AutoModel.from_pretrained(source, dtype=dtype).save_pretrained(folder)
    half, full = (BertScorer("tr", Encoder(str(tmp_path / str(dtype)))) for dtype in (torch.bfloat16, torch.float32))
    assert half.score(*pairs) == full.score(*pairs) != BertScorer("tr", Encoder(bert)).score(*pairs)


def test_the_first_word_of_a_roberta_is_a_word_like_others(pairs, tmp_path):
    """bert-score asks for a prefix space in a way that transformers 5 ignores."""
    without, having = (
        save_roberta(tmp_path / str(add_prefix_space), pairs[0] + pairs[1], add_prefix_space)
        for add_prefix_space in (False, True)
    )
    expected = by_hand(*pairs, having, LAYERS)
    assert BertScorer("en", Encoder(without)).score(*pairs)["bertscore"] == pytest.approx(expected, **EXACT)
    assert by_hand(*pairs, without, LAYERS) != pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_layers": -1}, "num_layers -1 must be at least 0"),
        ({"max_tokens": 2}, "max_tokens 2 must be at least 3"),
        ({"known_as": "bert"}, "knows no model 'bert'"),
    ],
)
def test_impossible_encoder_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Encoder(**settings)


def test_impossible_scoring_is_refused(bert):
    with pytest.raises(ValueError, match="batch_size 0 must be at least 1"):
        BertScorer("tr", Encoder(bert), batch_size=0)
    with pytest.raises(ValueError, match="got 2 predictions and 1 references"):
        BertScorer("tr", Encoder(bert)).score(["a", "b"], ["a"])
    with pytest.raises(OSError, match="nowhere"):
        BertScorer("tr", Encoder("nowhere/at-all"))

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from metrics.rouge import KEYS, rouge, rouge_words
from metrics.sentences import sentences

ROOT = Path(__file__).parents[2]
TOKENIZERS = ("unicode", "rouge155", "xlsum")
# Sentences of a few words in several scripts: short enough to match by chance, with traps for each tokenizer.
WORDS = st.sampled_from(
    ["İstanbul", "ISPARTA", "ışık", "Ankara'da", "kar", "karlar", "yağdı", "runs", "3,5%", "снег", "5€"]
)
TEXTS = st.lists(WORDS | st.sampled_from([". ", "! ", "\n"]), max_size=14).map(" ".join)
FOREIGN = {
    "ru": ("Москва засыпана снегом. Движение в городе стоит.", "В Москве снег. Движение стоит с утра!"),
    "hi": ("दिल्ली में भारी बारिश हुई। स्कूल बंद हैं।", "भारी बारिश से दिल्ली में स्कूल बंद।"),
    "ja": ("今日は東京で雪が降った。電車が止まった。", "東京で大雪。電車は今日も止まる。"),
    "th": ("วันนี้กรุงเทพมีฝนตกหนัก", "ฝนตกหนักในกรุงเทพวันนี้"),
}


def pairs(language: str) -> tuple[list[str], list[str]]:
    """Lead-like predictions and references that share some words, with several sentences each."""
    if language in FOREIGN:
        return [FOREIGN[language][0]] * 2, [FOREIGN[language][1], FOREIGN[language][0]]
    lines = (ROOT / f"assets/quickstart/{language}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    articles = [". ".join(row["article"].split(". ")[:3]) for row in rows]
    return articles, [f"{row['summary']} {row['article'][:150]}" for row in rows]


class Tokens:
    """Any function from text to words as rouge-score wants it."""

    def __init__(self, tokenize):
        self.tokenize = tokenize


def reference_scores(predictions, references, **settings):
    scorer = RougeScorer(list(KEYS), **settings)
    texts = [["\n".join(sentences(text)) for text in side] for side in (references, predictions)]
    scores = [scorer.score(reference, prediction) for reference, prediction in zip(*texts, strict=True)]
    return {key: pytest.approx([100 * score[key].fmeasure for score in scores], abs=1e-5) for key in KEYS}


@pytest.mark.parametrize(
    ("language", "tokenizer", "stemming"),
    [
        *((language, "unicode", False) for language in ("tr", "en", "it", *FOREIGN)),
        *((language, "unicode", True) for language in ("tr", "en", "it", "ru", "hi")),
        *((language, "xlsum", False) for language in ("tr", "en", "it", "ru", "hi")),
        ("tr", "xlsum", True),
        *((language, "rouge155", stemming) for language in ("tr", "en", "it", "ru") for stemming in (False, True)),
    ],
)
def test_scores_equal_rouge_score_on_the_same_words(language, tokenizer, stemming):
    predictions, references = pairs(language)
    words = Tokens(rouge_words(language, tokenizer, stemming))
    scores = rouge(predictions, references, language, tokenizer, stemming)
    assert scores == reference_scores(predictions, references, tokenizer=words)
    if language != "ru" or tokenizer != "rouge155":
        assert max(scores["rouge2"]) > 0


@pytest.mark.parametrize("stemming", [False, True])
@pytest.mark.parametrize("language", ["tr", "en", "it"])
def test_rouge155_is_rouge_score_as_it_comes(language, stemming):
    predictions, references = pairs(language)
    expected = reference_scores(predictions, references, use_stemmer=stemming)
    assert rouge(predictions, references, language, "rouge155", stemming) == expected


@given(prediction=TEXTS, reference=TEXTS, tokenizer=st.sampled_from(TOKENIZERS), stemming=st.booleans())
def test_any_pair_scores_as_rouge_score_does(prediction, reference, tokenizer, stemming):
    scores = rouge([prediction], [reference], "tr", tokenizer, stemming)
    words = Tokens(rouge_words("tr", tokenizer, stemming))
    assert scores == reference_scores([prediction], [reference], tokenizer=words)
    assert all(0 <= value <= 100 for values in scores.values() for value in values)


@given(left=TEXTS, right=TEXTS, tokenizer=st.sampled_from(TOKENIZERS))
def test_swapping_prediction_and_reference_changes_nothing(left, right, tokenizer):
    one, other = rouge([left], [right], "tr", tokenizer), rouge([right], [left], "tr", tokenizer)
    for key in ("rouge1", "rouge2", "rougeL"):  # rougeLsum joins the matches of each reference sentence
        assert one[key] == pytest.approx(other[key])


@given(text=st.text(max_size=40) | TEXTS, tokenizer=st.sampled_from(TOKENIZERS))
def test_a_text_matches_itself(text, tokenizer):
    count = len(rouge_words("tr", tokenizer, False)(text))
    scores = rouge([text], [text], "tr", tokenizer)
    assert scores["rouge1"] == scores["rougeL"] == scores["rougeLsum"] == pytest.approx([100 if count else 0])
    assert scores["rouge2"] == pytest.approx([100 if count > 1 else 0])


def test_scores_have_their_textbook_values():
    # 2 of 4 predicted words among 5: P 1/2, R 2/5. No common pair. The longest common subsequence is "cat mat".
    scores = rouge(["a cat my mat"], ["the cat on the mat"], "en")
    f = [pytest.approx(100 * 2 * 2 / 9)]
    assert scores == {"rouge1": f, "rouge2": [0], "rougeL": f, "rougeLsum": f}
    # Order counts for L and pairs only: "b a" and "a b" share two words, no pair, a subsequence of one.
    assert rouge(["b a"], ["a b"], "en") == {"rouge1": [100], "rouge2": [0], "rougeL": [50], "rougeLsum": [50]}


def test_summary_level_compares_sentence_by_sentence():
    # The same two sentences in another order: each is found whole, but only one of them in order.
    scores = rouge(["Kar yağdı. Yollar kapandı."], ["Yollar kapandı. Kar yağdı."], "tr")
    assert (scores["rougeL"], scores["rougeLsum"]) == ([50], [100])


def test_repeated_words_count_as_often_as_in_the_reference():
    assert rouge(["the the the the"], ["the cat"], "en")["rouge1"] == [pytest.approx(100 * 2 * 1 / 6)]


@pytest.mark.parametrize(
    ("prediction", "reference", "language", "score"),
    [
        ("İstanbul", "istanbul", "tr", 100),
        ("İSTANBUL", "istanbul", "az", 100),
        ("ISLAK", "ıslak", "tr", 100),
        ("ISLAK", "ıslak", "en", 0),
        ("ISLAND", "island", "tr", 0),
        ("ışık", "ş k", "tr", 0),
        ("ışık", "şık", "tr", 0),
        ("Ankara'da", "Ankara’da", "tr", 100),
        ("Ankara'da", "Ankara", "tr", 100 * 2 / 3),
        ("снег идёт в городе", "сильный снег в городе", "ru", 75),
        ("今日は雪", "今日は雨", "ja", 100 * 2 / 3),
        ("มีฝนตก", "มีหิมะตก", "th", 100 * 2 / 3),
        ("北京 kar", "kar 北京", "tr", 100),
    ],
)
def test_unicode_words_match_as_a_reader_would(prediction, reference, language, score):
    assert rouge([prediction], [reference], language)["rouge1"] == [pytest.approx(score)]


def test_unrelated_turkish_articles_share_less_than_ascii_shards_do():
    articles, _ = pairs("tr")
    unicode, ascii_only = (rouge(articles, articles[1:] + articles[:1], "tr", name) for name in ("unicode", "rouge155"))
    assert 2 * sum(unicode["rouge1"]) < sum(ascii_only["rouge1"])


def test_stems_match_where_words_do_not():
    texts = ["Kitaplarımızdan"], ["kitap"]
    scores = [
        rouge(*texts, "tr", tokenizer, stemming)["rouge1"]
        for tokenizer in ("unicode", "xlsum")
        for stemming in (False, True)
    ]
    assert scores == [[0], [100], [0], [100]]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize(("prediction", "reference"), [("", "kar yağdı"), ("kar yağdı", ""), ("", ""), ("!", "?")])
def test_texts_without_words_score_zero(prediction, reference, tokenizer):
    assert rouge([prediction], [reference], "tr", tokenizer) == {key: [0.0] for key in KEYS}


def test_words_beyond_the_first_4096_do_not_count():
    """The table of a longest common subsequence of 100,000 words and as many takes 40 GB."""
    beginning = "Kar yağdı. " * 2048
    for rest in ("dün. " * 100_000, "dün " * 100_000):
        assert rouge([beginning + rest], [beginning], "tr") == rouge([beginning], [beginning], "tr")


def test_scores_come_in_the_order_of_the_pairs():
    assert rouge(["a b", "c", "d"], ["a b", "d", "d"], "en")["rouge1"] == [100, 0, 100]


def test_settings_do_not_share_remembered_words():
    text = ["ISLAK kitaplar"], ["ıslak kitap"]
    settings = [("tr", "unicode", False), ("tr", "unicode", True), ("en", "unicode", False), ("tr", "xlsum", False)]
    assert [rouge(*text, *chosen)["rouge1"] for chosen in settings * 2] == [[50], [100], [0], [0]] * 2


@pytest.mark.parametrize(("predictions", "references"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_anything_but_pairs_is_refused(predictions, references):
    message = rf"{len(predictions)} predictions and {len(references)} references"
    with pytest.raises(ValueError, match=message):
        rouge(predictions, references, "en")


@pytest.mark.parametrize(
    ("language", "tokenizer", "stemming", "message"),
    [
        ("tr", "ascii", False, "'ascii' is none of unicode, rouge155, xlsum"),
        ("az", "unicode", True, "no stemmer for 'az', only for ar"),
        ("ja", "xlsum", False, "own segmenter for 'ja'; use 'unicode'"),
        ("bn", "xlsum", True, "own stemmer for 'bn'"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(language, tokenizer, stemming, message):
    with pytest.raises(ValueError, match=message):
        rouge(["a"], ["a"], language, tokenizer, stemming)
    with pytest.raises(ValueError, match=message):
        rouge_words(language, tokenizer, stemming)

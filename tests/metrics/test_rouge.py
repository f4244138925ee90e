import pytest
from torchmetrics.functional.text.rouge import rouge_score

from metrics.rouge import KEYS, rouge

SENTENCES = [
    "The cat sat on the mat and looked at the dog.",
    "Prices rose by 3.5% in March, the bank said on Monday.",
    "The dog looked at the cat; the cat did not look back.",
]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Işık, İzmir'de söndü mü?", "tr"),
        ("The lights went out.", "en"),
        ("L'università è chiusa.", "it"),
        ("Москва засыпана снегом.", "ru"),
    ],
)
def test_identical_texts_score_a_hundred(text: str, language: str) -> None:
    assert rouge([text], [text], language) == pytest.approx(dict.fromkeys(KEYS, 100.0))


def test_scores_have_their_textbook_values() -> None:
    # 2 of 4 predicted words among 5: P 1/2, R 2/5. No common pair. The longest common subsequence is "cat mat".
    scores = rouge(["a cat my mat"], ["the cat on the mat"], "en")
    assert scores == pytest.approx({"rouge1": 100 * 2 * 2 / 9, "rouge2": 0.0, "rougeL": 100 * 2 * 2 / 9})
    # Order counts for L and pairs only: "b a" and "a b" share two words, no pair, a subsequence of one.
    assert rouge(["b a"], ["a b"], "en") == pytest.approx({"rouge1": 100.0, "rouge2": 0.0, "rougeL": 50.0})


def test_repeated_words_count_as_often_as_in_the_reference() -> None:
    assert rouge(["the the the the"], ["the cat"], "en")["rouge1"] == pytest.approx(100 * 2 * 1 / 6)


def test_letters_beyond_ascii_are_no_gaps() -> None:
    # The usual tokenizer turns both into "k", a perfect match.
    assert rouge(["ş k"], ["ışık"], "tr")["rouge1"] == 0
    assert rouge(["ışık"], ["şık"], "tr")["rouge1"] == 0


def test_turkish_casing_matches_in_turkish_alone() -> None:
    assert rouge(["İstanbul"], ["istanbul"], "tr")["rouge1"] == pytest.approx(100)
    assert rouge(["ISLAK"], ["ıslak"], "tr")["rouge1"] == pytest.approx(100)
    assert rouge(["ISLAK"], ["ıslak"], "en")["rouge1"] == 0
    assert rouge(["ISLAND"], ["island"], "tr")["rouge1"] == 0


def test_cyrillic_words_are_words() -> None:
    scores = rouge(["снег идёт в городе"], ["сильный снег в городе"], "ru")
    assert scores["rouge1"] == pytest.approx(75)
    assert scores["rouge2"] == pytest.approx(100 / 3)


def test_plain_ascii_scores_as_the_usual_implementation_does() -> None:
    references = SENTENCES[1:] + SENTENCES[:1]
    usual = rouge_score(SENTENCES, references, rouge_keys=KEYS)
    ours = rouge(SENTENCES, references, "en")
    assert ours == pytest.approx({key: 100 * usual[f"{key}_fmeasure"].item() for key in KEYS}, abs=1e-4)
    assert min(ours["rouge1"], ours["rougeL"]) > 0


def test_scores_are_the_mean_over_pairs() -> None:
    assert rouge(["a b", "c"], ["a b", "d"], "en") == pytest.approx({"rouge1": 50, "rouge2": 50, "rougeL": 50})


@pytest.mark.parametrize(("prediction", "reference"), [("", "kar yağdı"), ("kar yağdı", ""), ("", ""), ("!", "?")])
def test_texts_without_words_score_zero(prediction: str, reference: str) -> None:
    assert rouge([prediction], [reference], "tr") == dict.fromkeys(KEYS, 0.0)


@pytest.mark.parametrize(("predictions", "references"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_anything_but_pairs_is_refused(predictions: list[str], references: list[str]) -> None:
    message = rf"{len(predictions)} predictions and {len(references)} references"
    with pytest.raises(ValueError, match=message):
        rouge(predictions, references, "en")

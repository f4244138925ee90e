import pytest
import torch

from lightning_modules.evaluation import EvaluatedSummary, Evaluation, Scoring

ROUGE = {"rouge1", "rouge2", "rougeL", "rougeLsum"}
COLLAPSE = {"ended", "sentinel_start", "sentinel", "empty", "repetition", "length_ratio", "wrong_language"}
COLLAPSE |= {"copied", "uniform", "invented_words"}
NOVELTY = {"novel_unigrams", "novel_bigrams", "novel_trigrams", "compression", "coverage", "density"}


def summary(language: str, prediction: str, reference: str = "kar yağdı bugün", **changed: object) -> EvaluatedSummary:
    fields = {"id": "1", "article": "kar yağdı bugün çok", "ended": True, "starts_with_sentinel": False} | changed
    return EvaluatedSummary(language=language, prediction=prediction, reference=reference, **fields)


def metrics(*summaries: EvaluatedSummary, whole: bool = False, scoring: Scoring = Scoring()) -> dict[str, float]:
    evaluation = Evaluation(list(summaries))
    evaluation.score(scoring, whole)
    return evaluation.metrics()


def test_loss_is_weighted_by_tokens_within_a_language_and_by_language_overall() -> None:
    evaluation = Evaluation()
    evaluation.add(
        [summary("tr", "a"), summary("en", "a")],
        torch.tensor([[1.0, 1.0, 1.0, 1.0], [8.0, 0.0, 0.0, 0.0]]),
        torch.tensor([[True] * 4, [True, False, False, False]]),
    )
    evaluation.add([summary("tr", "a")], torch.tensor([[6.0, 0.0]]), torch.tensor([[True, False]]))
    assert evaluation.metrics() == {"loss/tr": pytest.approx(10 / 5), "loss/en": 8.0, "loss": pytest.approx(5)}


def test_a_counted_token_without_loss_still_counts() -> None:
    evaluation = Evaluation()
    evaluation.add([summary("tr", "a")], torch.tensor([[3.0, 0.0]]), torch.tensor([[True, True]]))
    assert evaluation.metrics()["loss"] == 1.5


def test_each_language_counts_the_same_however_many_summaries_it_has() -> None:
    right, wrong = summary("tr", "kar yağdı bugün"), summary("en", "rain")
    found = metrics(right, right, right, wrong)
    assert found["rouge1/tr"] == pytest.approx(100)
    assert found["rouge1/en"] == 0
    assert found["rouge1"] == pytest.approx(50)


def test_a_validation_has_scores_baselines_and_collapse_figures_and_a_test_has_more() -> None:
    expected = ROUGE | {f"lead_{key}" for key in ROUGE} | COLLAPSE
    assert {name for name in metrics(summary("tr", "kar")) if "/" not in name} == expected
    more = NOVELTY | {f"lead{count}_{key}" for count in (1, 2, 3) for key in ROUGE}
    assert {name for name in metrics(summary("tr", "kar"), whole=True) if "/" not in name} == expected | more


def test_every_mean_is_that_of_the_summaries_own_scores() -> None:
    evaluation = Evaluation([summary("tr", "kar"), summary("tr", "yağmur")])
    evaluation.score(Scoring(), whole=True)
    for name, value in evaluation.metrics().items():
        if "/" not in name:
            assert value == pytest.approx(sum(one.scores[name] for one in evaluation.summaries) / 2), name


def test_shares_of_ended_and_sentinel_summaries() -> None:
    found = metrics(
        summary("tr", "a", ended=False),
        summary("tr", "a", starts_with_sentinel=True),
        summary("tr", "a"),
        summary("tr", "a", ended=False),
    )
    assert found["ended/tr"] == 0.5
    assert found["sentinel_start/tr"] == 0.25


@pytest.mark.parametrize("prediction", ["", " ", "...", "<>"])
def test_predictions_without_words_score_zero(prediction: str) -> None:
    found = metrics(summary("tr", prediction), whole=True)
    assert {found[name] for name in ROUGE} == {0.0}
    assert all(value == value for value in found.values())


def test_a_reference_without_words_scores_zero_beside_others() -> None:
    assert metrics(summary("tr", "kar", "..."), summary("tr", "kar", "kar"))["rouge1"] == pytest.approx(50)


def test_scoring_uses_the_casing_of_each_language() -> None:
    found = metrics(summary("tr", "ISLAK", "ıslak", article="ISLAK yol"), summary("en", "ISLAND", "island"))
    assert found["rouge1/tr"] == found["rouge1/en"] == found["lead_rouge1/tr"] == pytest.approx(100)


def test_the_chosen_tokenizer_is_used() -> None:
    pair = summary("tr", "ışık", "ş k")
    assert metrics(pair)["rouge1"] == 0
    assert metrics(pair, scoring=Scoring(rouge_tokenizer="rouge155"))["rouge1"] == pytest.approx(100)


def test_lead_scores_as_many_first_words_as_the_mean_reference_has() -> None:
    found = metrics(summary("tr", "yok"))
    assert found["rouge1/tr"] == 0
    assert found["lead_rouge1/tr"] == pytest.approx(100)  # "kar yağdı bugün" of "kar yağdı bugün çok"


def test_first_sentences_are_baselines_too() -> None:
    found = metrics(summary("tr", "yok", "Bir. İki.", article="Bir. İki. Üç."), whole=True)
    assert found["lead2_rouge1"] == pytest.approx(100)
    assert found["lead1_rouge1"] < 100


def test_an_empty_evaluation_has_no_metrics_and_one_process_gathers_itself() -> None:
    evaluation = Evaluation()
    evaluation.score(Scoring())
    assert evaluation.metrics() == {}
    assert evaluation.gathered() is evaluation


def test_invented_words_are_measured_where_enough_words_are_known() -> None:
    texts = {"article": "The reef.", "reference": "the reef"}
    both = summary("en", "the snaides", **texts), summary("de", "die snaides", **texts)
    found = metrics(*both)
    assert found["invented_words/en"] == found["invented_words"] == 0.5
    assert "invented_words/de" not in found
    evaluation = Evaluation(list(both))
    known = frozenset(f"wort{number}" for number in range(30_000))
    evaluation.score(Scoring(), known_words=lambda language: known | {"snaides"} if language == "de" else known)
    assert evaluation.metrics()["invented_words/de"] == 0.5  # "die"
    assert evaluation.metrics()["invented_words/en"] == 0.5  # "snaides"

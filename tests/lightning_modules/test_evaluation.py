import pytest
import torch

from lightning_modules.evaluation import EvaluatedSummary, Evaluation

ROUGE = {"rouge1", "rouge2", "rougeL"}


def summary(language: str, prediction: str, reference: str = "kar yağdı bugün", **changed: object) -> EvaluatedSummary:
    fields = {"id": "1", "article": "kar yağdı bugün çok", "ended": True, "starts_with_sentinel": False} | changed
    return EvaluatedSummary(language=language, prediction=prediction, reference=reference, **fields)


def test_loss_is_weighted_by_tokens_within_a_language_and_by_language_overall() -> None:
    evaluation = Evaluation()
    evaluation.add_losses(
        torch.tensor([[1.0, 1.0, 1.0, 1.0], [8.0, 0.0, 0.0, 0.0]]),
        torch.tensor([[True] * 4, [True, False, False, False]]),
        ["tr", "en"],
    )
    evaluation.add_losses(torch.tensor([[6.0, 0.0]]), torch.tensor([[True, False]]), ["tr"])
    metrics = evaluation.metrics()
    assert metrics == {"loss/tr": pytest.approx(10 / 5), "loss/en": 8.0, "loss": pytest.approx((2 + 8) / 2)}


def test_a_counted_token_without_loss_still_counts() -> None:
    evaluation = Evaluation()
    evaluation.add_losses(torch.tensor([[3.0, 0.0]]), torch.tensor([[True, True]]), ["tr"])
    assert evaluation.metrics()["loss"] == 1.5


def test_each_language_counts_the_same_however_many_summaries_it_has() -> None:
    right, wrong = summary("tr", "kar yağdı bugün"), summary("en", "rain")
    metrics = Evaluation(summaries=[right, right, right, wrong]).metrics()
    assert metrics["rouge1/tr"] == pytest.approx(100)
    assert metrics["rouge1/en"] == 0
    assert metrics["rouge1"] == pytest.approx(50)
    assert set(metrics) == {
        f"{name}{suffix}" for name in ROUGE | {"ended", "sentinel_start"} for suffix in ("", "/tr", "/en")
    }


def test_shares_of_ended_and_sentinel_summaries() -> None:
    evaluation = Evaluation(
        summaries=[
            summary("tr", "a", ended=False),
            summary("tr", "a", starts_with_sentinel=True),
            summary("tr", "a"),
            summary("tr", "a", ended=False),
        ]
    )
    metrics = evaluation.metrics()
    assert metrics["ended/tr"] == 0.5
    assert metrics["sentinel_start/tr"] == 0.25


@pytest.mark.parametrize("prediction", ["", " ", "...", "<>"])
def test_predictions_without_words_score_zero(prediction: str) -> None:
    metrics = Evaluation(summaries=[summary("tr", prediction)]).metrics()
    assert {metrics[name] for name in ROUGE} == {0.0}


def test_a_reference_without_words_scores_zero_beside_others() -> None:
    metrics = Evaluation(summaries=[summary("tr", "kar", "..."), summary("tr", "kar", "kar")]).metrics(lead=True)
    assert metrics["rouge1"] == pytest.approx(50)


def test_scoring_uses_the_casing_of_each_language() -> None:
    metrics = Evaluation(
        summaries=[summary("tr", "ISLAK", "ıslak"), summary("en", "ISLAND", "island")],
    ).metrics()
    assert metrics["rouge1/tr"] == metrics["rouge1/en"] == pytest.approx(100)
    lead = Evaluation(summaries=[summary("tr", "yok", "ıslak", article="ISLAK yol")]).metrics(lead=True)
    assert lead["lead_rouge1/tr"] == pytest.approx(100)


def test_lead_scores_as_many_first_words_as_the_mean_reference_has() -> None:
    metrics = Evaluation(summaries=[summary("tr", "yok")]).metrics(lead=True)
    assert metrics["rouge1/tr"] == 0
    assert metrics["lead_rouge1/tr"] == pytest.approx(100)  # "kar yağdı bugün" of "kar yağdı bugün çok"
    assert {name for name in metrics if name.startswith("lead_") and "/" not in name} == {
        f"lead_{key}" for key in ROUGE
    }
    assert not any(name.startswith("lead_") for name in Evaluation(summaries=[summary("tr", "yok")]).metrics())


def test_an_empty_evaluation_has_no_metrics_and_one_process_gathers_itself() -> None:
    evaluation = Evaluation()
    assert evaluation.metrics(lead=True) == {}
    assert evaluation.gathered() is evaluation

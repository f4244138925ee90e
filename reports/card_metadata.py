"""The head of a card: what the Hugging Face hub sorts and filters by."""

from __future__ import annotations

from huggingface_hub import DatasetCardData, EvalResult, ModelCardData

from reports.card_record import CardRecord
from reports.published_names import is_hub_id, language_name, published_path
from reports.score_names import SCORE_NAMES

_LIBRARIES = {"merged": "transformers", "adapter": "peft", "ctranslate2": "ctranslate2"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def model_metadata(record: CardRecord) -> ModelCardData:
    """Of a model; what is unknown is left out."""
    base = record.base.get("name", "")
    return ModelCardData(
        language=_languages(record),
        license=record.license,
        library_name=_LIBRARIES[record.form],
        pipeline_tag="summarization",
        base_model=base if is_hub_id(base) else None,
        datasets=_hub_sources(record) or None,
        metrics=["rouge"],
        tags=["summarization", "mt5", "ozet"],
        model_name=record.name,
        eval_results=_results(record) or None,
    )


def data_metadata(record: CardRecord) -> DatasetCardData:
    """Of the data that a model was trained on."""
    rows = sum(split["kept"] for split in record.splits)
    licences = {source.get("licence") for source in record.sources}
    return DatasetCardData(
        language=_languages(record),
        license=licences.pop() if len(licences) == 1 else None,
        multilinguality="multilingual" if len(record.languages) > 1 else "monolingual",
        size_categories=next((name for bound, name in _SIZES if rows < bound), "n>1M"),
        source_datasets=_hub_sources(record) or None,
        task_categories=["summarization"],
        pretty_name=f"Data of {record.name}",
    )


def _languages(record: CardRecord) -> list[str]:
    return list(dict.fromkeys(code.split("-")[0].lower() for code in record.languages))


def _hub_sources(record: CardRecord) -> list[str]:
    return list(dict.fromkeys(source["path"] for source in record.sources if is_hub_id(source["path"])))


def _results(record: CardRecord) -> list[EvalResult]:
    if record.results is None:
        return []
    found = []
    for language, scores in record.results.languages.items():
        own = [source["path"] for source in record.sources if source["language"] == language]
        kind = own[0] if len(own) == 1 and is_hub_id(own[0]) else "custom"
        name = f"{', '.join(map(published_path, own))} ({language_name(language)})"
        found += [
            EvalResult(
                task_type="summarization",
                dataset_type=kind,
                dataset_name=name,
                dataset_config=language,  # results of one data set and configuration are shown as one table
                dataset_split="test",
                metric_type="rouge" if metric.startswith("rouge") else "bertscore",
                metric_name=title,
                metric_value=round(scores[metric].mean, 4),
            )
            for metric, title in SCORE_NAMES.items()
            if metric in scores
        ]
    return found

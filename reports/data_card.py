"""A card of the data that a model was trained on, from the run's data report."""

from __future__ import annotations

from typing import Any

from huggingface_hub import DatasetCard

from reports.card_metadata import data_metadata
from reports.card_record import CardRecord
from reports.card_tables import UNKNOWN, data_table, shown_splits, table
from reports.published_names import language_name, language_names, published_path


def data_card(record: CardRecord) -> DatasetCard:
    """The card; no row of the data is in it."""
    sections = (_opening, _lengths, _handling, _limits)
    body = "\n\n".join(section(record) for section in sections)
    return DatasetCard(f"---\n{data_metadata(record).to_yaml()}\n---\n\n{body}\n")


def _opening(record: CardRecord) -> str:
    return (
        f"# Data of {record.name}\n\nArticles and their summaries in {language_names(record.languages)}, as they were "
        "used for training, validation and test. The data themselves are not in this repository.\n\n"
        + data_table(record)
    )


def _lengths(record: CardRecord) -> str:
    if not record.splits:
        return f"## Lengths\n\n{UNKNOWN.capitalize()}: the run's folder has no data report."
    head = [
        "corpus",
        "language",
        "split",
        "read",
        "used",
        "article tokens",
        "cut",
        "summary tokens",
        "cut",
        "fingerprint",
    ]
    return (
        "## Lengths\n\nTokens before cutting: median / 90% / 99% / longest; cut is the share of longer texts.\n\n"
        + table(head, (_row(split) for split in shown_splits(record)))
    )


def _row(split: dict[str, Any]) -> list[object]:
    cells: list[object] = [f"`{split['source']}`", language_name(split["language"]), split["split"]]
    cells += [f"{split['read']:,}", f"{split['kept']:,}"]
    for lengths in (split["source_tokens"], split["target_tokens"]):
        cells += ["/".join(str(value) for value in lengths["percentiles"].values()), f"{lengths['truncated']:.1%}"]
    return [*cells, f"`{split['fingerprint']}`"]


def _handling(record: CardRecord) -> str:
    data = record.configuration["data"]["init_args"]
    return (
        "## Handling\n\nRows without an article or a summary, with a summary longer than its article, and repeated "
        "articles were left out; an article of the test or validation rows is never in the training rows. Articles are "
        f"cut after {data.get('max_source_tokens', UNKNOWN)} tokens, summaries after "
        f"{data.get('max_target_tokens', UNKNOWN)} (`truncate_targets: {data.get('truncate_targets', UNKNOWN)}`)."
    )


def _limits(record: CardRecord) -> str:
    lacking = [published_path(source["path"]) for source in record.sources if not source.get("licence")]
    text = "## Limits\n\nThe texts are as published, errors and opinions included, and may name people."
    if lacking:
        text += f" The licence is not recorded of: {', '.join(f'`{path}`' for path in lacking)}."
    return text

"""A few real articles of a run's corpora, to try a model on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from jsonargparse import ArgumentParser

from datamodules.raw_splits import open_split
from datamodules.sources import SummarizationSource


def validation_articles(sources: Sequence[Mapping[str, Any]], prefixes: Mapping[str, str], count: int) -> list[str]:
    """The first articles of each corpus' validation rows (of its training rows if it has none of its own).

    Args:
        sources: `data.init_args.sources` of a run's configuration.
        prefixes: Text before each article by language.
        count: How many articles in all, at least; each corpus gives as many as any other.

    Raises:
        ValueError: If a corpus cannot be read.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--sources", type=list[SummarizationSource])
    parsed = parser.instantiate_classes(parser.parse_object({"sources": [dict(source) for source in sources]})).sources
    share = -(-count // len(parsed))
    return [
        prefixes.get(source.language, "") + article for source in parsed for article in islice(_articles(source), share)
    ]


def _articles(source: SummarizationSource) -> list[str]:
    split = open_split(source, "validation") or open_split(source, "train")
    articles = [row["article"] for row in islice(split.read(), 100)] if split is not None else []
    return [article for article in articles if article and article.strip()]

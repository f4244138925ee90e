"""Rows of a source whose pairs are made of its texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from datamodules.code_fingerprint import cache_key
from datamodules.corpus_sources import CorpusSource, fingerprint_texts, read_documents
from datamodules.gap_sentences import make_pair, passages
from datamodules.shared_runs import SharedRuns
from datamodules.sources import SummarizationSource
from datamodules.validation import is_utf8


def fingerprint_pairs(source: SummarizationSource, judges: list[str]) -> str:
    """Name the pairs of a source.

    Args:
        source: With `gap_sentences`.
        judges: Names of the texts that they keep clear of.
    """
    return cache_key(__name__, fingerprint_texts(_texts(source)), source.language, source.gap_sentences, judges)


def made_rows(source: SummarizationSource, judges: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield a row for each passage of a source's texts, as `local_files.raw_row` makes them.

    Args:
        source: With `gap_sentences`.
        judges: Texts to keep clear of: a passage that shares a run of words with one is left out as `judged`.
    """
    settings = source.gap_sentences
    assert settings is not None
    clear = SharedRuns(judges)
    for number, document in enumerate(read_documents(_texts(source))):
        if not isinstance(document, str) or not is_utf8(document):
            yield _row(f"{number}", None, "unreadable" if document is None else "not_text")
            continue
        found = list(passages(document, settings.passage_words))
        if not found:
            yield _row(f"{number}", None, "no_gap_sentence")
        for place, passage in enumerate(found):
            name = f"{number}-{place}"
            if clear.shares(" ".join(passage)):
                yield _row(name, None, "judged")
            else:
                pair = make_pair(passage, source.language, settings, opens=place == 0)
                yield _row(name, pair, "" if pair else "no_gap_sentence")


def _texts(source: SummarizationSource) -> CorpusSource:
    return CorpusSource(
        source.language,
        source.path,
        source.columns.article,
        source.name,
        source.revision,
        source.splits.train or "train",
        source.encoding,
    )


def _row(name: str, pair: tuple[str, str] | None, problem: str) -> dict[str, Any]:
    article, summary = pair or (None, None)
    return {"id": name, "split": None, "article": article, "summary": summary, "reading_problem": problem}

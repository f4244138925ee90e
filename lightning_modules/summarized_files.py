"""From files to summaries: a progress bar, results as they come, and a report of all that was cut or passed over."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from datamodules.articles import PROBLEMS, ArticleReader
from datamodules.summary_file import SummaryFile
from lightning_modules.article_summarizer import ArticleSummarizer, ArticleSummary, article_hash
from metrics.summary_warnings import WARNINGS

# Rows of one problem that are named as they come; a binary file may have thousands.
NAMED = 20


def summarize_files(
    reader: ArticleReader,
    inputs: Sequence[str],
    total: int | None,
    summarizer: ArticleSummarizer,
    output: Path | None = None,
) -> None:
    """Writes summaries to a file or to standard output, and what happened to standard error.

    Standard output gets one line for each article, empty where there is no summary, so that lines and articles
    correspond.

    Args:
        reader: How inputs are read.
        inputs: See `ArticleReader.read`.
        total: From `ArticleReader.count`.
        summarizer: The model.
        output: File for JSON lines; results that it has already are not made again.

    Raises:
        ValueError: If no article of the input could be summarised, or `output` holds something else.
    """
    tally = Tally(summarizer.trained.max_source_tokens)
    with ExitStack() as stack:
        articles = reader.read(inputs)
        file = stack.enter_context(SummaryFile(output, summarizer.settings)) if output else None
        if file:
            articles = (article for article in articles if not file.holds(article.id, article_hash(article)))
        resumed = file.resumed if file else 0
        bar = stack.enter_context(tqdm(total=total, unit=" articles", disable=None, initial=resumed))
        for result in summarizer.summarize(articles):
            if result.problem and tally.problems[result.problem] < NAMED:
                tqdm.write(f"passed over: {result.id}: {result.problem} {result.detail}".rstrip(), file=sys.stderr)
            if file:
                file.write(asdict(result))
            else:
                tqdm.write(result.summary or "", file=sys.stdout)
                sys.stdout.flush()
            tally.add(result)
            bar.update()
    print(*tally.lines(resumed), sep="\n", file=sys.stderr)
    if tally.problems and not (tally.summarized or resumed):
        raise ValueError("No article could be summarised.")


class Tally:
    """Counts results.

    Args:
        limit: Greatest length of an input in tokens, for the report.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.problems: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()
        self.summarized = self.truncated = self.chunked = 0

    def add(self, result: ArticleSummary) -> None:
        """Counts one result."""
        if result.problem:
            self.problems[result.problem] += 1
            return
        self.summarized += 1
        self.truncated += result.truncated
        self.chunked += result.chunks > 1
        self.warnings.update(result.warnings)

    def lines(self, resumed: int = 0) -> Iterator[str]:
        """The report; `resumed` is the number of results that an earlier start had written."""
        lost = self.problems.total()
        yield f"{self.summarized + lost:,} articles: {self.summarized:,} summarised, {lost:,} passed over."
        if resumed:
            yield f"{resumed:,} results were in the output already."
        if self.truncated:
            yield f"{self.truncated:,} cut at the model's input of {self.limit} tokens; `--long chunk` reads all."
        if self.chunked:
            yield f"{self.chunked:,} longer than the model's input of {self.limit} tokens, and read in chunks."
        for key, count in self.problems.most_common():
            named = f"; the first {NAMED} are named above, all in --output" if count > NAMED else ""
            yield f"Passed over, {key}: {count:,} ({PROBLEMS[key]}{named})."
        for key, count in self.warnings.most_common():
            yield f"Warning, {key}: {count:,} (the summary {WARNINGS[key]})."

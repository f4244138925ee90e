"""What the texts of a corpus are like: lengths, how much of a summary is new, and what the article's beginning scores.

python -m reports.corpus_description tr=haber.jsonl en=news.csv --output DIR
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import pandas
from matplotlib import pyplot as plt

from commands.arguments import ArgumentParser
from commands.failures import answer
from metrics.lead import lead_sentences
from metrics.novelty import novelty
from metrics.rouge import rouge
from metrics.words import words
from reports.card_tables import table
from reports.figure_style import COLOURS, save_figure
from reports.markdown_text import plain
from reports.page import write_page
from reports.section import Section

_BINS = 30
_LEAD_SENTENCES = 3
_READERS = {".csv": pandas.read_csv, ".parquet": pandas.read_parquet}
_NOTE = (
    "Words as ROUGE counts them. *New bigrams*: pairs of words of the summary that the article lacks. *Copied*: words "
    "of the summary in fragments of the article (Grusky et al. 2018). *Lead* is what a summariser must beat: ROUGE-L "
    "of the article's first three sentences. *Left out*: rows without an article or a summary."
)


@dataclass(frozen=True)
class Corpus:
    """Texts of one language.

    Attributes:
        pairs: Articles and their summaries.
        left_out: Rows that lack one of them.
    """

    pairs: list[tuple[str, str]]
    left_out: int = 0


def read_corpus(path: Path, article: str = "article", summary: str = "summary") -> Corpus:
    """Articles and summaries of a table: `.jsonl`, `.csv` or `.parquet`.

    Args:
        path: The file.
        article: Name of the column.
        summary: Name of the column.

    Raises:
        ValueError: If the file cannot be read, lacks a column or has no pair.
    """
    try:
        rows = _READERS.get(path.suffix, lambda file: pandas.read_json(file, lines=True))(path)
        pairs = list(rows[[article, summary]].itertuples(index=False, name=None))
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"Cannot read {article!r} and {summary!r} of {str(path)!r}: {error}") from error
    found = [pair for pair in pairs if all(isinstance(text, str) and text.strip() for text in pair)]
    if not found:
        raise ValueError(f"{str(path)!r} has no row with {article!r} and {summary!r}.")
    return Corpus(found, len(pairs) - len(found))


def corpus_section(corpora: Mapping[str, Corpus], folder: Path) -> Section:
    """Describes corpora by language.

    Args:
        corpora: By language code, from `read_corpus`.
        folder: Where the picture goes.
    """
    head = [
        "language",
        "pairs",
        "left out",
        "words of the article",
        "of the summary",
        "new bigrams",
        "copied",
        "lead ROUGE-L",
    ]
    rows = [[plain(language), *_cells(language, corpus)] for language, corpus in corpora.items()]
    picture = f"![Words of articles and summaries]({_draw(corpora, folder)})"
    return Section("Corpora", f"{table(head, rows)}\n\n{_NOTE}\n\n{picture}")


def _cells(language: str, corpus: Corpus) -> list[str]:
    articles, summaries = map(list, zip(*corpus.pairs, strict=True))
    new = novelty(articles, summaries, language)
    lead = rouge(lead_sentences(articles, _LEAD_SENTENCES), summaries, language)["rougeL"]
    return [
        f"{len(corpus.pairs):,}",
        f"{corpus.left_out:,}",
        f"{median(len(words(text)) for text in articles):g}",
        f"{median(len(words(text)) for text in summaries):g}",
        f"{mean(new['novel_bigrams']):.1%}",
        f"{mean(new['coverage']):.1%}",
        f"{mean(lead):.2f}",
    ]


def _draw(corpora: Mapping[str, Corpus], folder: Path) -> str:
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for column, (axis, title) in enumerate(zip(axes, ("articles", "summaries"), strict=True)):
        for number, (language, corpus) in enumerate(corpora.items()):
            lengths = [len(words(pair[column])) for pair in corpus.pairs]
            colour = COLOURS[number % len(COLOURS)]
            axis.hist(lengths, bins=_BINS, histtype="step", density=True, label=language, color=colour, linewidth=1.5)
        axis.set(title=f"Words of the {title}", ylabel="share of texts a word", xlim=(0, None))
        axis.legend(frameon=False)
    return save_figure(figure, folder, "corpora")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = ArgumentParser(prog="python -m reports.corpus_description", description=__doc__.splitlines()[0])
    parser.add_argument("corpora", nargs="+", metavar="LANGUAGE=FILE", help="a .jsonl, .csv or .parquet file")
    parser.add_argument("--article", default="article", help="name of the column; default: article")
    parser.add_argument("--summary", default="summary", help="name of the column; default: summary")
    parser.add_argument("--output", type=Path, default=Path("runs/analysis/corpora"), help="folder to write")
    options = parser.parse_args(arguments)
    named = [one.partition("=") for one in options.corpora]
    if not all(path for _, _, path in named) or len({language for language, _, _ in named}) < len(named):
        raise ValueError("Name each file by its language, each once: LANGUAGE=FILE, such as tr=haber.jsonl.")
    corpora = {language: read_corpus(Path(path), options.article, options.summary) for language, _, path in named}
    for path in write_page("Corpora", [corpus_section(corpora, options.output)], options.output, "corpora"):
        print(path)


if __name__ == "__main__":
    answer(main)

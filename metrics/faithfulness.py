"""Whether the numbers and names of a summary stand in its article: precision without a model.

It finds what is written otherwise than in the source, not what is wrong: a true name in the wrong role passes, and a
number that is rounded, or spelled in the article, is called unsupported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from metrics.names import is_title_case, knows_names, names
from metrics.normal_form import normal_form
from metrics.numerals import knows_numerals, numerals
from metrics.score_intervals import Bootstrap, Scores, score_intervals
from metrics.significance import Values
from metrics.stemming import word_stems
from metrics.words import lowercase, without_sentinels, words

Kind = Literal["number", "name"]
KINDS: tuple[Kind, ...] = ("number", "name")


@dataclass(frozen=True)
class Mention:
    """A number, or a word of a name, in a summary.

    Attributes:
        kind: Which of the two.
        text: Its normal form.
        supported: Whether the article has it.
    """

    kind: Kind
    text: str
    supported: bool


def checked_kinds(language: str) -> dict[Kind, bool]:
    """Which mentions can be checked in a language, by its rules of spelling; see `numerals` and `names`."""
    return {"number": knows_numerals(language), "name": knows_names(language)}


def mentions(article: str, summary: str, language: str, conventional: Set[str] = frozenset()) -> list[Mention]:
    """Numbers and words of names in a summary, each checked against the article.

    A number is supported if the article has one of the same value. Names are checked word by word, since titles and
    forenames are often added to a surname or left out: a word is supported if it, or a word of the same Snowball stem,
    stands anywhere in the article, whatever its capitals. Kinds that cannot be checked in the language are left out,
    and so are the names of a summary that is set like a title.

    Args:
        article: The source.
        summary: What is checked; `<extra_id_N>` count as nothing.
        language: Their language; casing and separators are its own.
        conventional: From `conventional_words`; these are not mentions of anything.
    """
    source, summary = normal_form(article), normal_form(without_sentinels(summary))
    checked = checked_kinds(language)
    # As written the article also tells which spaces join thousands: in the normal form all spaces are equal.
    found = _numbers((source, article), summary, language) if checked["number"] else []
    if checked["name"] and not is_title_case(summary):
        found += _names(source, summary, language, conventional)
    return found


def faithfulness(
    articles: Sequence[str], predictions: Sequence[str], language: str, conventional: Set[str] = frozenset()
) -> dict[str, list[float]]:
    """Counts for each summary of one language.

    Args:
        articles: Source texts.
        predictions: Generated summaries.
        language: Their language.
        conventional: From `conventional_words`.

    Returns:
        By name, one number for each summary: `numbers` and `supported_numbers`, and of the words of its names `names`
        and `supported_names`. A kind that cannot be checked in the language is left out.

    Raises:
        ValueError: If the numbers of texts differ.
    """
    if len(articles) != len(predictions):
        raise ValueError(f"Faithfulness got {len(articles)} articles and {len(predictions)} summaries.")
    rows = [mentions(*pair, language, conventional) for pair in zip(articles, predictions, strict=True)]
    figures: dict[str, list[float]] = {}
    for kind in KINDS:
        if checked_kinds(language)[kind]:
            figures[f"{kind}s"] = [float(sum(one.kind == kind for one in row)) for row in rows]
            supported = [float(sum(one.kind == kind and one.supported for one in row)) for row in rows]
            figures[f"supported_{kind}s"] = supported
    return figures


def precision_intervals(
    figures: Mapping[str, Mapping[str, Sequence[float]]], bootstrap: Bootstrap
) -> dict[str, Scores]:
    """Precision of numbers and of names by language, with bootstrap intervals over summaries.

    Precision is the number of supported mentions over that of all mentions, of the summaries that have any. So a model
    that mentions nothing has no precision rather than a perfect one: read it beside the number of mentions.

    Args:
        figures: By language, from `faithfulness`.
        bootstrap: Settings of the intervals.

    Returns:
        By language, `number_precision` and `name_precision` in [0, 1]; left out where nothing was mentioned.
    """
    found: dict[str, Scores] = {language: {} for language in figures}
    for kind in KINDS:
        tables = {language: _with_mentions(rows, kind) for language, rows in figures.items() if f"{kind}s" in rows}
        some = {language: {f"{kind}_precision": pair} for language, pair in tables.items() if len(pair[1])}
        for language, scores in score_intervals(some, bootstrap)[0].items():
            found[language] |= scores
    return found


def _with_mentions(rows: Mapping[str, Sequence[float]], kind: Kind) -> tuple[Values, Values]:
    pairs = zip(rows[f"supported_{kind}s"], rows[f"{kind}s"], strict=True)
    some = [pair for pair in pairs if pair[1]]
    return [supported for supported, _ in some], [count for _, count in some]


def _numbers(articles: Sequence[str], summary: str, language: str) -> list[Mention]:
    known = {one.value for article in articles for one in numerals(article, language)}
    return [Mention("number", summary[one.start : one.end], one.value in known) for one in numerals(summary, language)]


def _names(article: str, summary: str, language: str, conventional: Set[str]) -> list[Mention]:
    stems = word_stems(language)
    known = {*words(lowercase(article, language)), *stems(article)}
    found = []
    for word in (word for name in names(summary, language) for word in name.words):
        spelled = lowercase(word, language)
        if len(word) > 1 and spelled not in conventional:
            found.append(Mention("name", word, spelled in known or stems(word)[0] in known))
    return found

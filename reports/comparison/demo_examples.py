"""Some articles with the summaries of every system, and what each did well or badly: `demo_examples.md`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from metrics.faithfulness import mentions
from metrics.summary_errors import ERRORS
from reports.atomic_write import write_text
from reports.card_tables import table
from reports.comparison.findings import Findings
from reports.comparison.systems import System, first_predictions, seeds_shown
from reports.conventions import Conventions, conventions, references, words_of_style
from reports.error_analysis import judged
from reports.markdown_text import plain
from reports.repeated_phrases import SHORTENED, shortened
from reports.side_by_side import Example, common_examples, opening

SCORE = "rougeL"
_NAME = "ROUGE-L"
_NOTE = (
    "Chosen by score, not by hand: for each language the article on which the systems differ most, "
    "the best and the worst by their mean, and the one in the middle. *Well* and *badly* are what rules can see "
    "(docs/analysis.md): a summary with nothing under *badly* can still be wrong, and one that is far from the "
    f"reference's words can be right. {SHORTENED}"
)


def write_demo_examples(findings: Findings, folder: Path) -> Path:
    """Writes `demo_examples.md`; returns its path."""
    parts = [f"# Examples: {plain(findings.title)}", _NOTE, seeds_shown(findings.systems)]
    known = conventions(references(first_predictions(findings.systems)))
    for title, example in telling_examples(findings.systems).items():
        parts.append(f"## {plain(title)}\n\n{_shown(example, known)}")
    path = folder / "demo_examples.md"
    write_text(path, "\n\n".join(part for part in parts if part) + "\n")
    return path


def telling_examples(systems: Sequence[System]) -> dict[str, Example]:
    """Up to four articles of each language, by what they show; of each system the summary of its first seed.

    Raises:
        ValueError: If no article is in all runs.
    """
    found: dict[str, Example] = {}
    examples = common_examples(first_predictions(systems))
    for language in sorted({_any(one)["language"] for one in examples}):
        left = [one for one in examples if _any(one)["language"] == language]
        for title, choose in _CHOICES.items():
            if left and (len(systems) > 1 or title != DIFFERENT):
                found[f"{language}: {title}"] = chosen = choose(left)
                left = [one for one in left if one is not chosen]
    return found


def verdict(example: Example, name: str, known: Conventions | None = None) -> tuple[list[str], list[str]]:
    """What a system did well and what badly on an article, as far as rules can see.

    Args:
        example: Rows of all systems.
        name: Of the system.
        known: From `conventions`; None checks all words.
    """
    row = example[name]
    well, badly = [], []
    named = mentions(row["article"], row["prediction"], row["language"], words_of_style(known, row["language"]))
    if named and all(one.supported for one in named):
        count = len({(one.kind, one.text) for one in named})
        well.append(f"every number and word of a name that it mentions ({count}) is in the article")
    for error, evidence in judged([row], known)[0].errors.items():
        badly.append(f"{error.replace('_', ' ')}: {evidence or ERRORS[error]}")
    score, lead = row["scores"][SCORE], row["scores"].get(f"lead_{SCORE}")
    if lead is not None and score != lead:
        text = f"{_NAME} {abs(score - lead):.1f} {'above' if score > lead else 'below'} the article's first words"
        (well if score > lead else badly).append(text)
    scores = [one["scores"][SCORE] for one in example.values()]
    if max(scores) > min(scores) and score in (max(scores), min(scores)):
        is_best = score == max(scores)
        (well if is_best else badly).append("nearest to the reference" if is_best else "farthest from the reference")
    return well, badly


def _shown(example: Example, known: Conventions) -> str:
    first = _any(example)
    head = ["system", _NAME, "summary", "well", "badly"]
    rows = []
    for name, row in example.items():
        judgement = ("; ".join(map(plain, said)) or "–" for said in verdict(example, name, known))
        rows.append(
            [plain(name), f"{row['scores'][SCORE]:.1f}", plain(shortened(row["prediction"])) or "(empty)", *judgement]
        )
    article, reference = plain(opening(first["article"])), plain(first["reference"])
    return f"**Article** {plain(first['id'])}: {article}\n\n**Reference:** {reference}\n\n{table(head, rows)}"


def _any(example: Example) -> dict[str, Any]:
    """The row of the first system; article, language and reference are those of all."""
    return next(iter(example.values()))


def _mean(example: Example) -> float:
    return mean(row["scores"][SCORE] for row in example.values())


def _spread(example: Example) -> float:
    scores = [row["scores"][SCORE] for row in example.values()]
    return max(scores) - min(scores)


DIFFERENT = "where the systems differ most"
_CHOICES: Mapping[str, Callable[[list[Any]], Example]] = {
    DIFFERENT: lambda own: max(own, key=_spread),
    "best on average": lambda own: max(own, key=_mean),
    "worst on average": lambda own: min(own, key=_mean),
    "in the middle": lambda own: sorted(own, key=_mean)[len(own) // 2],
}

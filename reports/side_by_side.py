"""Summaries of the same articles by several runs, best and worst by score, with differences marked word by word.

python -m reports.side_by_side full=RUN_A lora=RUN_B --output DIR [--score rougeL --count 3]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from commands.arguments import ArgumentParser
from commands.failures import answer
from reports.markdown_text import plain
from reports.page import write_page
from reports.prediction_files import Predictions, add_prediction_arguments, read_named
from reports.repeated_phrases import COUNT, SHORTENED, shortened
from reports.score_names import SCORE_NAMES
from reports.section import Section
from reports.significance import Rows, by_name
from reports.word_differences import MarkedPiece, marked_pieces

# Light blue, grey on paper, behind words of the reference, and a dotted line under new ones.
_STYLES = {
    "reference": "background: #cfe3f5; print-color-adjust: exact",
    "new": "border-bottom: 2px dotted #b34700",
}
_ARTICLE_CHARACTERS = 400

Example = dict[str, dict[str, Any]]


def common_examples(runs: Predictions) -> list[Example]:
    """Rows of the same article in all runs, by name of the run.

    Raises:
        ValueError: If no article is in all of them, a run has a name twice, or references differ.
    """
    named: dict[str, Rows] = {name: by_name(rows, name) for name, rows in runs.items()}
    first = next(iter(named.values()))
    keys = [key for key in first if all(key in rows for rows in named.values())]
    if not keys:
        raise ValueError(f"No article is in all of {', '.join(runs)}: they were tested on other data.")
    examples = [{name: rows[key] for name, rows in named.items()} for key in keys]
    other = [
        key for key, one in zip(keys, examples, strict=True) if len({row["reference"] for row in one.values()}) > 1
    ]
    if other:
        raise ValueError(
            f"{len(other)} of {len(keys)} references differ between the runs, such as {'/'.join(other[0])}."
        )
    return examples


def best_and_worst(examples: Sequence[Example], score: str, count: int) -> dict[str, list[Example]]:
    """Examples of each language with the greatest and the least mean score over the runs, best first.

    Raises:
        ValueError: If a summary has no such score, or `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"--count {count} must be at least 1.")
    lacking = [row for one in examples for row in one.values() if row["scores"].get(score) is None]
    if lacking:
        raise ValueError(f"{len(lacking)} summaries have no score {score!r}; files of `predict` have none, use `test`.")
    found, named = {}, SCORE_NAMES.get(score, score)
    for language in sorted({_any(one)["language"] for one in examples}):
        own = [one for one in examples if _any(one)["language"] == language]
        ranked = sorted(own, key=lambda one: _mean(one, score), reverse=True)
        best = ranked[:count]
        found[f"{language}: best by {named}"] = best
        found[f"{language}: worst by {named}"] = ranked[len(best) :][-count:][::-1]
    return {title: chosen for title, chosen in found.items() if chosen}


def side_by_side_section(examples: Mapping[str, Sequence[Example]], score: str) -> Section:
    """Shows examples.

    Args:
        examples: By heading, from `best_and_worst` or chosen otherwise.
        score: Shown beside each summary, where it has it.
    """
    names = list(next(iter(next(iter(examples.values())))))
    legend = "Words that match the reference in order are {}; words that {} does not have at that place are {}."
    markdown = [f"{legend.format('**bold**', plain(names[0]), '_in italics_')} {SHORTENED}"]
    spans = [
        f'<span style="{style}">{word}</span>'
        for style, word in ((_STYLES["reference"], "shaded"), (_STYLES["new"], "underlined"))
    ]
    html = [f"<p>{legend.format(spans[0], escape(names[0]), spans[1])} {SHORTENED}</p>"]
    for title, chosen in examples.items():
        markdown += [f"### {plain(title)}", *(_markdown(one, score) for one in chosen)]
        html += [f"<h3>{escape(title)}</h3>", *(_html(one, score) for one in chosen)]
    return Section("Side by side", "\n\n".join(markdown), "\n".join(html))


def _marked(example: Example) -> dict[str, list[MarkedPiece]]:
    other = shortened(_any(example)["prediction"])
    return {
        name: _without_counts(marked_pieces(shortened(row["prediction"]), row["reference"], other, row["language"]))
        for name, row in example.items()
    }


def _without_counts(pieces: Sequence[MarkedPiece]) -> list[MarkedPiece]:
    """Counts of repetitions are not the model's words."""
    before = [MarkedPiece(""), *pieces]
    return [
        MarkedPiece(piece.text, in_other=True) if last.text.endswith(COUNT) else piece
        for last, piece in zip(before, pieces, strict=False)
    ]


def _markdown(example: Example, score: str) -> str:
    first = _any(example)
    lines = [
        f"**{plain(first['id'])}** {plain(opening(first['article']))}",
        f"- reference: {plain(first['reference'])}",
    ]
    for name, pieces in _marked(example).items():
        text = "".join(map(_markdown_piece, pieces)) or "(empty)"
        lines.append(f"- {plain(name)}{_score(example[name], score)}: {text}")
    return lines[0] + "\n\n" + "\n".join(lines[1:])


def _markdown_piece(piece: MarkedPiece) -> str:
    if not piece.text[0].isalnum():
        return plain(f"|{piece.text}|")[1:-1]  # bars keep the spaces at the ends
    text = plain(piece.text)
    text = text if piece.in_other else f"_{text}_"
    return f"**{text}**" if piece.in_reference else text


def _html(example: Example, score: str) -> str:
    first = _any(example)
    rows = [("reference", escape(first["reference"]))]
    for name, pieces in _marked(example).items():
        rows.append((escape(name + _score(example[name], score)), "".join(map(_html_piece, pieces)) or "(empty)"))
    cell = '<td style="white-space: normal">'  # pages keep the cells of other tables in one line
    cells = "".join(f"<tr><th>{name}</th>{cell}{text}</td></tr>" for name, text in rows)
    lang = escape(first["language"])
    return (
        f"<p><strong>{escape(first['id'])}</strong> {escape(opening(first['article']))}</p>"
        f'<table lang="{lang}">{cells}</table>'
    )


def _html_piece(piece: MarkedPiece) -> str:
    if not piece.text[0].isalnum():
        return escape(piece.text)
    styles = [_STYLES["reference"]] * piece.in_reference + [_STYLES["new"]] * (not piece.in_other)
    return f'<span style="{"; ".join(styles)}">{escape(piece.text)}</span>' if styles else escape(piece.text)


def opening(article: str) -> str:
    """The first words of an article, in one line."""
    text = " ".join(article.split())
    return text if len(text) <= _ARTICLE_CHARACTERS else text[:_ARTICLE_CHARACTERS].rsplit(" ", 1)[0] + " …"


def _score(row: dict[str, Any], score: str) -> str:
    value = row["scores"].get(score)
    return "" if value is None else f" ({SCORE_NAMES.get(score, score)} {value:.1f})"


def _mean(example: Example, score: str) -> float:
    return sum(row["scores"][score] for row in example.values()) / len(example)


def _any(example: Example) -> dict[str, Any]:
    """The row of the first run; article, language and reference are those of all."""
    return next(iter(example.values()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = ArgumentParser(prog="python -m reports.side_by_side", description=__doc__.splitlines()[0])
    add_prediction_arguments(parser, "runs/analysis/side_by_side")
    parser.add_argument("--score", default="rougeL", help="that ranks the articles; default: rougeL")
    parser.add_argument("--count", type=int, default=3, help="best and worst articles of each language; default: 3")
    options = parser.parse_args(arguments)
    chosen = best_and_worst(common_examples(read_named(options.runs)), options.score, options.count)
    sections = [side_by_side_section(chosen, options.score)]
    for path in write_page("Summaries side by side", sections, options.output, "side_by_side"):
        print(path)


if __name__ == "__main__":
    answer(main)

"""What models look at while they summarise, from the records of record_attention.py: heat maps and an interactive view.

python -m reports.attention RECORDS [--output DIR]
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from commands.arguments import ArgumentParser
from commands.failures import answer
from metrics.attention_distance import attention_distance
from reports.attention_maps import draw_distances, draw_encoder, draw_sentences, draw_words, encoder_distance
from reports.attention_record import AttentionRecord, by_example, read_attention, same_summary
from reports.attention_view import attention_view, leanings
from reports.card_tables import table
from reports.markdown_text import plain
from reports.page import markdown_to_html, write_page
from reports.section import Section

_NOTE = (
    "A row is the decoder's attention when it chose the tokens of a word. Attention tells where a layer read, not why "
    "the model said something: a word can rest on a sentence for its grammar alone. Distance is the Jensen-Shannon "
    "divergence in bits (0: alike, 1: nothing in common) over the article's words (encoder: its sentences), prefix and "
    "`</s>` included, averaged over the summary's words (encoder: the sentences); it needs models of one architecture "
    "and the same summary. Pictures show the mean over layers and heads."
)


def attention_section(records: Sequence[AttentionRecord], output: Path) -> Section:
    """Shows the records of one article, models side by side; the second and later are compared with the first.

    Args:
        records: Of one article, from `read_attention`.
        output: Folder of the page; pictures go to its `figures`.
    """
    first = records[0]
    name = re.sub(r"\W+", "-", f"attention-{first.language}-{first.id}")
    comparable = same_summary(records)
    groups = [list(records)] if comparable else [[record] for record in records]
    pictures: dict[str, str] = {}
    for number, group in enumerate(groups, start=1):
        pictures |= _pictures(group, output, f"{name}-{number}")
    numbers = ""
    if comparable and len(records) > 1:
        pictures |= _distances(records, output, name)
        numbers = _distance_table(records) + _warning(records)
    shown = [f"![{plain(title)}]({path})\n\n*{plain(title)}.*" for path, title in pictures.items()]
    body = "\n\n".join([*shown, numbers, *map(_leanings, groups)])
    html = [markdown_to_html(_NOTE, output), attention_view(records, name), markdown_to_html(body, output)]
    return Section(f"Attention: {first.id} ({first.language})", f"{_NOTE}\n\n{body}", "\n".join(html))


def _pictures(records: Sequence[AttentionRecord], output: Path, name: str) -> dict[str, str]:
    """Titles by path."""
    models = ", ".join(record.model for record in records)
    return {
        draw_words(records, output, f"{name}-words"): f"Decoder on the article's words: {models}",
        draw_sentences(records, output, f"{name}-sentences"): f"Decoder on the article's sentences: {models}",
        draw_encoder(records, output, f"{name}-encoder"): f"Encoder, from sentences (rows) to sentences: {models}",
    }


def _distances(records: Sequence[AttentionRecord], output: Path, name: str) -> dict[str, str]:
    first, *others = records
    found = {}
    for number, other in enumerate(others, start=1):
        path = draw_distances(first, other, output, f"{name}-distance-{number}")
        found[path] = f"Distance of {first.model} and {other.model}, each layer and head"
    return found


def _distance_table(records: Sequence[AttentionRecord]) -> str:
    """Means over the heads of each layer."""
    rows = []
    for other in records[1:]:
        parts = {
            "decoder": attention_distance(records[0].cross, other.cross),
            "encoder": encoder_distance(records[0], other),
        }
        for part, grid in parts.items():
            models = f"{plain(records[0].model)} and {plain(other.model)}"
            rows.append([models, part, *(f"{value:.3f}" for value in grid.mean(axis=1)), f"{grid.mean():.3f}"])
    layers = max(len(row) for row in rows) - 3
    head = ["models", "part", *(f"layer {layer + 1}" for layer in range(layers)), "mean"]
    return table(head, ([*row[:-1], *["–"] * (len(head) - len(row)), row[-1]] for row in rows))


def _warning(records: Sequence[AttentionRecord]) -> str:
    """Models that read different parts of an article differ for that reason alone."""
    if len({len(record.source_words) for record in records}) == 1:
        return ""
    lengths = ", ".join(f"{plain(record.model)} {len(record.source_words):,}" for record in records)
    return f"\n\n**The models read different numbers of the article's words ({lengths}), which adds to the distance.**"


def _leanings(records: Sequence[AttentionRecord]) -> str:
    """Of records of one summary: a row for each of its words."""
    head = ["word"]
    columns = [[plain(word) for word in records[0].summary_words]]
    for record in records:
        head += [f"{plain(record.model)} leans most on sentence", "of its attention on the article", "outside it"]
        found = leanings(record)
        columns += [
            [str(place + 1) for place, _, _ in found],
            [f"{share:.0%}" for _, share, _ in found],
            [f"{outside:.0%}" for _, _, outside in found],
        ]
    return table(head, zip(*columns, strict=True))


def read_records(folder: Path) -> list[AttentionRecord]:
    """All records of a folder, in the order of their file names.

    Raises:
        ValueError: If there are none, or one is damaged.
    """
    found = [read_attention(path) for path in sorted(folder.glob("*.npz"))]
    if not found:
        raise ValueError(f"{str(folder)!r} holds no records of attention; record_attention.py writes them.")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = ArgumentParser(prog="python -m reports.attention", description=__doc__.splitlines()[0])
    parser.add_argument("records", type=Path, help="folder that record_attention.py wrote")
    parser.add_argument("--output", type=Path, help="folder to write; default: that of the records")
    options = parser.parse_args(arguments)
    output = options.output or options.records
    sections = [attention_section(own, output) for own in by_example(read_records(options.records)).values()]
    for path in write_page("Attention", sections, output, "attention"):
        print(path)


if __name__ == "__main__":
    answer(main)

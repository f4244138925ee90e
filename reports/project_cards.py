"""The project's own cards, `MODEL_CARD.md` and `DATA_CARD.md`, from the records of its runs.

python -m reports.project_cards --model FOLDER --pretraining RUN ... --studies runs/studies/adaptation ... --output docs

Parts whose records are not given say so, so that the cards are complete at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from commands.arguments import ArgumentParser
from commands.failures import answer
from reports.atomic_write import write_text
from reports.comparison.findings import find
from reports.known_corpora import known_corpora
from reports.pretraining_record import read_pretraining
from reports.project_data_card import project_data_card
from reports.project_model_card import project_model_card

ROOT = Path(__file__).parent.parent


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = ArgumentParser(prog="python -m reports.project_cards", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / "assets" / "tiny-mt5", help="folder of the small mT5")
    parser.add_argument(
        "--pretraining",
        type=Path,
        nargs="+",
        default=[],
        metavar="RUN",
        help="folders of the runs that made it, in turn",
    )
    parser.add_argument("--studies", type=Path, nargs="+", default=[], metavar="DIR", help="a section for each")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="folder to write; default: docs")
    options = parser.parse_args(arguments)
    corpora = known_corpora()
    pretraining = [read_pretraining(run) for run in options.pretraining]
    studies = [find([folder]) for folder in options.studies]
    cards = {
        "MODEL_CARD.md": project_model_card(options.model, pretraining, studies, corpora),
        "DATA_CARD.md": project_data_card(corpora, studies, ROOT / "configs" / "data"),
    }
    for name, text in cards.items():
        write_text(options.output / name, text)
        print(options.output / name)


if __name__ == "__main__":
    answer(main)

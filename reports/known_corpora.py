"""The corpora that the project itself measured with: `assets/corpora.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent.parent / "assets" / "corpora.yaml"


@dataclass(frozen=True)
class KnownCorpora:
    """What is known of them, by name.

    Attributes:
        pairs: With summaries: `language`, `what`, `rows`, `words`, `licence` and `flaws` of each.
        texts: Without: `mb` instead of `rows`.
    """

    pairs: dict[str, dict[str, Any]]
    texts: dict[str, dict[str, Any]]

    def licence(self, source: str) -> str | None:
        """Of a file or a path, by its name without endings; None if it is not known."""
        known = self.pairs | self.texts
        return known.get(Path(source).name.split(".")[0], {}).get("licence")


def known_corpora(file: Path = FILE) -> KnownCorpora:
    """Reads the file."""
    return KnownCorpora(**yaml.safe_load(file.read_text(encoding="utf-8")))

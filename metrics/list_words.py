"""List the words of a language for `metrics.invented_words`, from texts in it.

    python -m metrics.list_words tr news.txt speeches.txt.zst --output metrics/word_lists/tr.txt.xz

Files are UTF-8, plain or packed with zstd (needs the package zstandard). Words seen only once are left out, since
slips of the pen are among them; of Italian, whose texts are few, the project lists all (`--times 1`). The same files
give the same list.
"""

from __future__ import annotations

import argparse
import lzma
import sys
from collections import Counter
from pathlib import Path
from typing import TextIO

from metrics.known_words import LEAST_WORDS, spelled_words

LEAST_TIMES = 2


def main() -> None:
    """Reads the arguments, counts and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("language", help="code of the language, such as tr")
    parser.add_argument("texts", type=Path, nargs="+", help="text files, plain or .zst")
    parser.add_argument("--times", type=int, default=LEAST_TIMES, help="leave out words seen less often (%(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="list to write, packed with xz")
    arguments = parser.parse_args()
    missing = [str(path) for path in arguments.texts if not path.is_file()]
    if missing:
        parser.error(f"no such file: {', '.join(missing)}")

    listed = list_words(arguments.language, arguments.texts, arguments.times)
    arguments.output.write_bytes(lzma.compress("\n".join(listed).encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(listed):,} words, {arguments.output.stat().st_size:,} bytes: {arguments.output}")
    if len(listed) < LEAST_WORDS:
        print(f"Too few to tell invented words, which takes {LEAST_WORDS:,}: add texts.", file=sys.stderr)


def list_words(language: str, paths: list[Path], times: int = LEAST_TIMES) -> list[str]:
    """The words that occur at least so many times in some files, in order.

    Args:
        language: Decides the casing.
        paths: UTF-8 texts, plain or `.zst`.
        times: Least number of occurrences in all files together.
    """
    counts: Counter[str] = Counter()
    for path in paths:
        with _open(path) as lines:
            for line in lines:
                counts.update(spelled_words(line, language))
    return sorted(word for word, count in counts.items() if count >= times)


def _open(path: Path) -> TextIO:
    if path.suffix != ".zst":
        return path.open(encoding="utf-8")
    import zstandard  # only whoever makes a list anew needs this package

    return zstandard.open(path, "rt", encoding="utf-8")


if __name__ == "__main__":
    main()

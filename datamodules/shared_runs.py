"""Which texts share a run of words with texts that judge a model, so that they must not be learnt from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import xxhash

from metrics.words import words

# Brown et al. 2020 (GPT-3), appendix C, found overlaps of benchmarks with training texts by runs of 13 words.
RUN = 13


class SharedRuns:
    """Runs of 13 words of some texts.

    Words are compared in the tokenizer's form without case, so that quotes and spacing do not matter.

    Args:
        texts: Articles and summaries.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._runs = {run for text in texts for run in _runs(text)}

    def shares(self, text: str) -> bool:
        """Return whether a text has one of the runs; a text of fewer words has none."""
        return bool(self._runs) and any(run in self._runs for run in _runs(text))


def _runs(text: str) -> Iterator[int]:
    # İ and I are capitals of i and ı in Turkish, not elsewhere.
    found = [word.casefold().replace("i\u0307", "i").replace("ı", "i") for word in words(text)]
    for place in range(len(found) - RUN + 1):
        yield xxhash.xxh64_intdigest(" ".join(found[place : place + RUN]).encode())

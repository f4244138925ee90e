"""Make pairs of texts without summaries: a sentence of a passage is its summary (PEGASUS, Zhang et al. 2020, 3.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import regex
import xxhash

from metrics.sentences import sentences
from metrics.words import lowercase, words

Choice = Literal["ind_orig", "lead", "random"]
_LEAST_SENTENCES = 3  # of a passage: a choice, and something to choose it by
_MARK = regex.compile(r"(?V1)(?<![?؟？])[\p{Sentence_Terminal}--[?؟？⁇⁈‽]][\"'”’»)\]]*$")  # a question is no summary
_OPENING = regex.compile(r"^[\"'“‘«(\[]*(?:\p{Lu}|\p{Lt}|\p{Lo}|\p{N})")
# What stands before a full stop that ends no sentence: an initial, a short title such as Dr., an ordinal such as 15. or
# an abbreviation that looks like a word.
_WORDS = "prof|doç|dott|sig|avv|ing|geom|capt|art|approx|est|vs|bkz"
_ABBREVIATED = regex.compile(rf"(?:^|[\s(\"“/])(?:\p{{Lu}}\p{{L}}{{0,2}}|\p{{N}}{{1,2}}|(?i:{_WORDS}))\.$")
_CONTINUED = regex.compile(r"^[\p{Ll},;:)]")
_ITEM = regex.compile(r"^(?:\p{N}+\s*(?:[.)]\P{N}|[-–/])|\p{L}{1,2}\))")
# Marks of a page, placeholders such as formula_1, and two sentences without a space between them.
_BROKEN = regex.compile(r"&#?\w+;|<\w|_|\p{Ll}[.!?]\p{Lu}\p{Ll}")
_PAIRS = (("(", ")"), ("[", "]"), ("“", "”"), ("«", "»"))
# A heading that was glued to the sentence: two words in capitals, or a beginning that the sentence repeats.
_HEADING = regex.compile(r"\b\p{Lu}{3,}\W+\p{Lu}{3,}\b|^(?:\S+\s+){0,3}\p{Lu}{4,}\b\W+\p{Lu}")
_TITLE = regex.compile(r"^(\S{3,}(?:\s\S+){0,5}?)[\s:–-]+(?:(?:The|An|A|Il|La)\s+)?\1\b", regex.IGNORECASE)


@dataclass(frozen=True)
class GapSentences:
    """How pairs are made of a text.

    Args:
        choose: Which sentences are the summary: `ind_orig`, those whose words overlap most with the rest of the passage
            (ROUGE-1 F of each by itself: PEGASUS' Ind-Orig); `lead`, the first; `random`, as a control.
        sentences: How many, at least 1.
        share: Of the passage's sentences, in (0, 0.5], rounded; wins over `sentences`. PEGASUS took 0.3.
        keep: Share of the passages in which the summary also stays in the article, in [0, 1]. Where it is taken out, a
            model learns to write what the rest implies; where it stays, to find it.
        passage_words: Greatest length of a passage; at least 50.
        shortest: Least words of a sentence that is chosen; at least 1.
        longest: Most words of it; at least `shortest`.
        skip_first: Never choose the first sentence of a document: for texts in which a headline stands before it on the
            same line.

    Raises:
        ValueError: If a value is out of range.
    """

    choose: Choice = "ind_orig"
    sentences: int = 1
    share: float | None = None
    keep: float = 0.5
    passage_words: int = 300
    shortest: int = 7
    longest: int = 40
    skip_first: bool = False

    def __post_init__(self) -> None:
        for name, value, legal, bound in (
            ("sentences", self.sentences, self.sentences >= 1, "at least 1"),
            ("share", self.share, self.share is None or 0 < self.share <= 0.5, "in (0, 0.5], or null"),
            ("keep", self.keep, 0 <= self.keep <= 1, "in [0, 1]"),
            ("passage_words", self.passage_words, self.passage_words >= 50, "at least 50"),
            ("shortest", self.shortest, self.shortest >= 1, "at least 1"),
            ("longest", self.longest, self.longest >= self.shortest, f"at least shortest, {self.shortest}"),
        ):
            if not legal:
                raise ValueError(f"gap_sentences.{name} {value} must be {bound}.")


def passages(document: str, most_words: int) -> Iterator[list[str]]:
    """Cut a document at sentences into passages without overlap.

    Args:
        document: Of any script that has marks at the end of sentences.
        most_words: Greatest length of a passage; a longer sentence is left out.

    Yields:
        The sentences of each passage of at least three.
    """
    passage: list[str] = []
    length = 0
    for sentence in whole_sentences(document):
        count = len(words(sentence))
        if count > most_words:
            continue
        if length + count > most_words:
            if len(passage) >= _LEAST_SENTENCES:
                yield passage
            passage, length = [], 0
        passage.append(sentence)
        length += count
    if len(passage) >= _LEAST_SENTENCES:
        yield passage


def whole_sentences(document: str) -> list[str]:
    """Return the sentences of a document; one that ends in an abbreviation is joined with the next."""
    joined: list[str] = []
    for sentence in sentences(document):
        if joined and (_ABBREVIATED.search(joined[-1]) or _CONTINUED.search(sentence)):
            joined[-1] = f"{joined[-1]} {sentence}"
        else:
            joined.append(sentence)
    return joined


def make_pair(
    passage: Sequence[str], language: str, settings: GapSentences, opens: bool = False
) -> tuple[str, str] | None:
    """Return article and summary of a passage; None where no sentence of it can be a summary.

    The same passage always gives the same pair.

    Args:
        passage: Its sentences.
        language: Code that decides what is a capital of what.
        settings: How to choose.
        opens: Whether it begins its document; see `GapSentences.skip_first`.
    """
    counts = [Counter(words(lowercase(sentence, language))) for sentence in passage]
    first = int(opens and settings.skip_first)
    fitting = [place for place in range(first, len(passage)) if _can_be_chosen(passage[place], counts[place], settings)]
    wanted = settings.sentences if settings.share is None else max(1, round(settings.share * len(passage)))
    if len(fitting) < wanted or len(passage) - wanted < _LEAST_SENTENCES - 1:
        return None
    digest = xxhash.xxh64_intdigest(" ".join(passage).encode())
    chosen = sorted(sorted(fitting, key=_order(counts, settings.choose, digest))[:wanted])
    kept = digest / 2**64 < settings.keep
    article = [sentence for place, sentence in enumerate(passage) if kept or place not in chosen]
    return " ".join(article), " ".join(passage[place] for place in chosen)


def _order(counts: list[Counter[str]], choose: Choice, digest: int) -> Callable[[int], Any]:
    if choose == "lead":
        return lambda place: place
    if choose == "random":
        return lambda place: xxhash.xxh64_intdigest(place.to_bytes(4, "little"), seed=digest)
    whole = sum(counts, Counter())
    return lambda place: (-_overlap(counts[place], whole - counts[place]), place)


def _overlap(sentence: Counter[str], rest: Counter[str]) -> float:
    """Return ROUGE-1 F of a sentence against the rest, in [0, 1]."""
    common, total = (sentence & rest).total(), sentence.total() + rest.total()
    return 2 * common / total if total else 0.0


def _can_be_chosen(sentence: str, counts: Counter[str], settings: GapSentences) -> bool:
    """Return whether a sentence reads as one by itself: of fitting length, whole, of words rather than numbers."""
    if not settings.shortest <= counts.total() <= settings.longest:
        return False
    if not (_OPENING.match(sentence) and _MARK.search(sentence)) or _ABBREVIATED.search(sentence):
        return False
    if any(pattern.search(sentence) for pattern in (_ITEM, _BROKEN, _HEADING, _TITLE)):
        return False
    numbers = sum(count for word, count in counts.items() if word[0].isdigit())
    balanced = all(sentence.count(left) == sentence.count(right) for left, right in _PAIRS)
    return balanced and sentence.count('"') % 2 == 0 and numbers <= counts.total() / 3

"""ROUGE (Lin 2004) on Unicode words: the usual tokenizer knows only a-z and cuts Turkish words to pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Literal, get_args

from rouge_score_rs import RougeScorer
from rouge_score_rs.tokenizers import DefaultTokenizer

from metrics.normal_form import normal_form
from metrics.sentences import sentences
from metrics.stemming import snowball_stemmer
from metrics.words import MOST_WORDS, lowercase, words
from metrics.xlsum import check_xlsum, xlsum_stemmer, xlsum_words

RougeTokenizer = Literal["unicode", "rouge155", "xlsum"]
KEYS = ("rouge1", "rouge2", "rougeL", "rougeLsum")


def rouge(
    predictions: Sequence[str],
    references: Sequence[str],
    language: str,
    tokenizer: RougeTokenizer = "unicode",
    stemming: bool = False,
) -> dict[str, list[float]]:
    """F-measures of ROUGE-1, ROUGE-2, ROUGE-L and summary-level ROUGE-L for pairs of one language.

    Equal to rouge-score on the same words. `rougeLsum` compares sentence by sentence, as `sentences` cuts them. A text
    without words scores 0, as does ROUGE-2 where a text has only one word. Of a longer text the first 4,096 words are
    compared.

    Args:
        predictions: Generated summaries.
        references: Reference summaries, one for each prediction.
        language: Code that decides casing and stemmer.
        tokenizer: What a word is; see `rouge_words`.
        stemming: Compare stems instead of words.

    Returns:
        For each pair a score in [0, 100] under `rouge1`, `rouge2`, `rougeL` and `rougeLsum`.

    Raises:
        ValueError: If there are no pairs, the numbers of texts differ, or `rouge_words` refuses the settings.
    """
    if not predictions or len(predictions) != len(references):
        raise ValueError(f"ROUGE needs pairs, got {len(predictions)} predictions and {len(references)} references.")
    rouge_words(language, tokenizer, stemming)
    encoded = [[_encode(text, language, tokenizer, stemming) for text in texts] for texts in (references, predictions)]
    scores = RougeScorer(KEYS).score_batch(*encoded)
    return {key: [100 * score[key].fmeasure for score in scores] for key in KEYS}


@cache
def rouge_words(language: str, tokenizer: RougeTokenizer, stemming: bool) -> Callable[[str], list[str]]:
    """The function that cuts a text into the words that ROUGE compares. Cheap: call it early to refuse bad settings.

    Args:
        language: Code of the texts' language.
        tokenizer: `unicode`: `normal_form`, lower-casing by language, letters and digits of all scripts, dictionaries
            where a script has no spaces, Snowball stems. `rouge155`: rouge-score's, a-z and 0-9 only, Porter stems.
            `xlsum`: the XL-Sum paper's, see `metrics.xlsum` for what is equal.
        stemming: Whether words are stemmed.

    Raises:
        ValueError: If the tokenizer is unknown, or has no stemmer or segmenter for the language.
    """
    if tokenizer not in get_args(RougeTokenizer):
        raise ValueError(f"tokenizer {tokenizer!r} is none of {', '.join(get_args(RougeTokenizer))}.")
    if tokenizer == "rouge155":
        return DefaultTokenizer(use_stemmer=stemming).tokenize
    if tokenizer == "xlsum":
        check_xlsum(language, stemming)
        stem = xlsum_stemmer(language) if stemming else str
        return lambda text: [stem(word) for word in xlsum_words(text)]
    stem = snowball_stemmer(language) if stemming else str
    return lambda text: [stem(word) for word in words(lowercase(text, language))]


@lru_cache(maxsize=2**14)  # a reference is scored against the model and several baselines
def _encode(text: str, language: str, tokenizer: RougeTokenizer, stemming: bool) -> str:
    """Words as hexadecimal numbers, which pass any tokenizer whole, so that native code scores all pairs at once."""
    text = normal_form(text) if tokenizer == "unicode" else text  # published scores have their own form
    cut, room, lines = rouge_words(language, tokenizer, stemming), MOST_WORDS, []
    for sentence in sentences(text):
        line = cut(sentence)[:room]
        lines.append(" ".join(word.encode().hex() for word in line))
        room -= len(line)
    return "\n".join(lines)

"""Loads a tokenizer that does what its SentencePiece model does: transformers' own loading loses some of its traits."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

from tokenizers import decoders, models, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from metrics.pretrained import OwnCodeError, load_pretrained

# Far below any piece's log-probability, so that no segmentation uses such a piece.
_NEVER = -1000.0
# SentencePiece keeps this one of all that NFKC changes; U+FFFF stands for no character, and so in no text.
_FULL_WIDTH_TILDE, _SET_ASIDE = "\uff5e", "\uffff"
# mT5's sentinels are ordinary pieces to its tokenizer, with SentencePiece's word mark in front.
_SENTINEL = re.compile(r"▁?<extra_id_(\d+)>")


def load_tokenizer(path: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load a fast T5 tokenizer; restore byte fallback, the literal reading of special tokens and composed characters.

    transformers 5 turns characters without a piece into `<unk>`, where SentencePiece spells them in bytes; reads a
    literal `</s>` in an article as the end of the text; and loses marks of letters that are written with several, as
    in decomposed Vietnamese (Việt becomes Viẹt).

    Args:
        path: Folder or hub id.
        revision: Branch, tag or commit on the hub.

    Returns:
        The tokenizer; saved and loaded by others it falls back to transformers' behaviour.

    Raises:
        ValueError: If there is no such tokenizer, or it is no SentencePiece unigram model with `</s>` and padding.
    """
    try:
        tokenizer = load_pretrained(AutoTokenizer, path, revision=revision, split_special_tokens=True)
        model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    except OwnCodeError:
        raise
    except (OSError, ValueError, KeyError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"Cannot load a tokenizer from {path!r} (revision {revision or 'main'!r}): {reason} model.base must be a "
            "folder with config.json and the tokenizer's files, or the hub id of an mT5, such as google/mt5-small."
        ) from error
    if model["type"] != "Unigram" or tokenizer.eos_token_id is None or tokenizer.pad_token_id is None:
        raise ValueError(f"The tokenizer of {path!r} is a {model['type']} model; a unigram model with </s> is needed.")
    _restore_sentencepiece(tokenizer, model["vocab"])
    return tokenizer


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Name pieces, ids, scores and the model's own map of characters; 16 hexadecimal digits."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    normalizer = state["normalizer"]
    if normalizer and normalizer["type"] == "Sequence" and {"type": "NFKC"} in normalizer["normalizers"]:
        normalizer = normalizer["normalizers"][-1]  # so that a base has one name, however it is loaded
    return hashlib.sha256(json.dumps([state["model"], normalizer]).encode()).hexdigest()[:16]


def vocabulary_of(tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, float]]:
    """Pieces and their scores (log-probabilities; 0 for sentinels, far below all others for special pieces), by id."""
    return [(piece, score) for piece, score in json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"]]


def sentinels(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids of `<extra_id_0>`, `<extra_id_1>`, ...; by id, since the tokenizer does not call them special."""
    found = [(_SENTINEL.fullmatch(piece), index) for piece, index in tokenizer.get_vocab().items()]
    return [index for _, index in sorted((int(match[1]), index) for match, index in found if match)]


def trim_tokenizer(tokenizer: PreTrainedTokenizerBase, kept: Sequence[int]) -> None:
    """Leaves a tokenizer only some of its pieces; in place, since a copy through JSON would round the scores.

    A text whose pieces are all kept is cut as before: its best segmentation is still there, and nothing better has
    come. Other texts are cut into smaller pieces, or bytes where a character has no piece.

    Args:
        tokenizer: From `load_tokenizer`.
        kept: Ids of the pieces to keep, ascending, bytes and special pieces included; the piece at place i gets id i.

    Raises:
        ValueError: If the special tokens would get other ids, as where they are not the vocabulary's first pieces.
    """
    special = sorted(tokenizer.get_added_vocab().values())
    if list(kept[: len(special)]) != special or special != list(range(len(special))):
        raise ValueError(
            f"The vocabulary of this tokenizer cannot be trimmed: its special tokens have the ids {special[:5]}, and "
            "they must be the first pieces, as in mT5. Set data.vocabulary to null."
        )
    vocabulary = vocabulary_of(tokenizer)
    _restore_sentencepiece(tokenizer, [vocabulary[index] for index in kept])


def _restore_sentencepiece(tokenizer: PreTrainedTokenizerBase, vocabulary: Sequence[Sequence]) -> None:
    pieces = {piece for piece, _ in vocabulary}
    bytes_ = {f"<0x{byte:02X}>" for byte in range(256)}
    # The unigram model knows no piece types: unless they score low, "</s>" or "<0x41>" in a text are one piece to it.
    hidden = {tokenizer.pad_token, tokenizer.eos_token, tokenizer.unk_token} | bytes_
    lowest = min(score for piece, score in vocabulary if piece not in hidden) + _NEVER
    scored = [(piece, lowest if piece in hidden else score) for piece, score in vocabulary]
    backend = tokenizer.backend_tokenizer
    backend.model = models.Unigram(scored, unk_id=tokenizer.unk_token_id, byte_fallback=bytes_ <= pieces)
    if isinstance(backend.normalizer, normalizers.Precompiled):
        backend.normalizer = _composed_first(backend.normalizer)
    backend.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(replacement="▁", prepend_scheme="always")]
    )


def _composed_first(own: normalizers.Precompiled) -> normalizers.Sequence:
    """Return a normalizer that applies NFKC before the model's own map of characters.

    `tokenizers` applies the map to a letter with all its marks at once if they take up to five bytes, and then takes
    the first entry that fits a part of them; else it composes nothing, as Korean in single letters. SentencePiece maps
    the longest parts, which after NFKC are single characters.
    """
    aside, back = (_FULL_WIDTH_TILDE, _SET_ASIDE), (_SET_ASIDE, _FULL_WIDTH_TILDE)
    return normalizers.Sequence([normalizers.Replace(*aside), normalizers.NFKC(), normalizers.Replace(*back), own])

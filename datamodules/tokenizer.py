"""Loads a tokenizer that does what its SentencePiece model does: transformers' own loading loses some of its traits."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from tokenizers import decoders, models, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from metrics.pretrained import OwnCodeError, base_of, load_pretrained, read_settings

_FILES = ("tokenizer.json", "spiece.model", "tokenizer_config.json")
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
        ValueError: If there is no such tokenizer, it is no SentencePiece unigram model with `</s>` and padding, or it
            does not belong to the model beside it.
    """
    path, revision = base_of(path, revision)
    settings = read_settings(path, "config.json", revision=revision)
    settings = settings if isinstance(settings, dict) else {}
    try:
        options = _options(path, revision, settings)
        tokenizer = load_pretrained(AutoTokenizer, path, revision=revision, split_special_tokens=True, **options)
        model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    except OwnCodeError:
        raise
    except Exception as error:  # a damaged or foreign file may raise anything
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise ValueError(
            f"Cannot load a tokenizer from {path!r} (revision {revision or 'main'!r}): {reason}. An mT5's or T5's own "
            "tokenizer files must be there: spiece.model and tokenizer_config.json, or tokenizer.json."
        ) from error
    if model["type"] != "Unigram" or tokenizer.eos_token_id is None or tokenizer.pad_token_id is None:
        raise ValueError(f"The tokenizer of {path!r} is a {model['type']} model; a unigram model with </s> is needed.")
    _restore_sentencepiece(tokenizer, model["vocab"])
    _require_own(tokenizer, path, settings)
    return tokenizer


def _options(path: str, revision: str | None, settings: dict[str, Any]) -> dict[str, Any]:
    """What `from_pretrained` must be told. Without a tokenizer's files it would make one of 104 pieces."""
    found = [cached_file(path, name, revision=revision, _raise_exceptions_for_missing_entries=False) for name in _FILES]
    if not any(found[:2]):
        raise ValueError(f"it has neither {_FILES[0]} nor {_FILES[1]}")
    # Only tokenizer_config.json says that mT5's sentinels are pieces already; else 100 more are added.
    return {"extra_ids": 0} if found[2] is None and settings.get("model_type") == "mt5" else {}


def _require_own(tokenizer: PreTrainedTokenizerBase, path: str, settings: dict[str, Any]) -> None:
    """Refuse a tokenizer that belongs to another model than the one beside it."""
    pieces, rows = len(tokenizer), settings.get("vocab_size", len(tokenizer))
    faults = [
        f"its {name} is {getattr(tokenizer, name)}, the model's {settings[name]}"
        for name in ("pad_token_id", "eos_token_id")
        if settings.get(name) not in (None, getattr(tokenizer, name))
    ]
    # Models have a few rows more than pieces, to make a round number.
    if not pieces <= rows <= 2 * pieces:
        faults.append(f"it has {pieces} pieces, the model {rows} rows")
    if faults:
        raise ValueError(
            f"The tokenizer in {path!r} is not the one of the model there: {' and '.join(faults)}. Copy all files of "
            "the model's own tokenizer there, tokenizer_config.json too."
        )


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

"""What a model must hold to be trained, exported or used: checked in one place, before its weights are loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from transformers import AutoConfig, AutoModelForSeq2SeqLM, PreTrainedConfig, PreTrainedModel

from lightning_modules.error_reason import reason
from lightning_modules.weight_files import lacks_weights, model_folder, tensor_shapes, weight_files
from metrics.pretrained import ADAPTER, OwnCodeError, build_model, load_pretrained, read_settings, refuse_own_code

FAMILIES = ("mt5", "t5")
_NEEDED = "It must be a folder with config.json, weights and tokenizer, or a hub id, such as google/mt5-small."
_EMBEDDING, _HEAD = "shared.weight", "lm_head.weight"
_COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")

Shapes = Mapping[str, tuple[int, ...]]


def check_base(base: str, revision: str | None = None, who: str = "model.base") -> None:
    """Refuse a model that ozet cannot train, or whose files are not whole; download a hub id.

    Reads configuration and headers only. A folder without weights, to be initialised at random, passes.

    Args:
        base: Folder or hub id.
        revision: Branch, tag or commit on the hub.
        who: What the base is, for messages.

    Raises:
        ValueError: If it is of another family, quantised, an adapter, or lacks or has more tensors than it should.
    """
    who = f"{who} {base!r}"
    download(base, revision, who)
    refuse_own_code(base, revision=revision)
    config = _config(base, revision, who)
    expected, copies = _expected(config, who)
    if lacks_weights(base):
        return
    try:
        stored = tensor_shapes(weight_files(model_folder(base, revision)))
    except ValueError as error:
        raise ValueError(f"Cannot load {who}: {error}") from error
    for name in _COPIES:  # safetensors may save one matrix under any of its names
        if name in stored:
            stored.setdefault(_EMBEDDING, stored[name])
    if expected.keys() - stored.keys() == {_HEAD}:
        raise ValueError(
            f"{who} lacks {_HEAD}: its head is not its embeddings, but transformers 5 leaves it out of what it saves "
            "after resize_token_embeddings. Set model.config.tie_word_embeddings = False before resizing, and save it "
            "again."
        )
    require_tensors(stored, expected, who, "Download it again, or save it again by save_pretrained.", copies)


def download(base: str, revision: str | None, who: str) -> None:
    """Fetch a model or an adapter from the hub into its cache; do nothing for a folder.

    Args:
        base: Folder or hub id.
        revision: Branch, tag or commit on the hub.
        who: Its name, for messages.

    Raises:
        ValueError: If the hub has none such or cannot be reached, and the cache does not hold it.
    """
    if Path(base).is_dir():
        return
    if Path(base).exists():
        raise ValueError(f"{who} is a file. {_NEEDED} Of a checkpoint, export.py makes such a folder.")
    try:
        snapshot_download(base, revision=revision, ignore_patterns=["*.h5", "*.msgpack", "*.ot", "*.onnx"])
    except HFValidationError as error:
        raise ValueError(f"{who} is not there. {_NEEDED}") from error
    except (OSError, ValueError) as error:
        raise ValueError(
            f"Cannot download {who} (revision {revision or 'main'!r}): {reason(error)}. {_NEEDED}"
        ) from error


def require_tensors(stored: Shapes, expected: Shapes, who: str, remedy: str, optional: Collection[str] = ()) -> None:
    """Refuse files whose tensors are not those of a model.

    Args:
        stored: Shapes by name in the files.
        expected: The same of the model.
        who: Whose files they are.
        remedy: What to do.
        optional: Names that the files may have besides.

    Raises:
        ValueError: If a name is missing or too many, or a shape differs; says how many, and one of each.
    """
    missing, surplus = sorted(expected.keys() - stored.keys()), sorted(stored.keys() - expected.keys() - set(optional))
    other = sorted(name for name in expected.keys() & stored.keys() if stored[name] != expected[name])
    faults = []
    if missing:
        faults.append(f"lacks {len(missing)} of {len(expected)} tensors, such as {missing[0]}")
    if surplus:
        faults.append(f"has {len(surplus)} for which its configuration has no place, such as {surplus[0]}")
    if other:
        shapes = f"{stored[other[0]]} instead of {expected[other[0]]}"
        faults.append(f"has {len(other)} of another shape than its configuration says, such as {other[0]}, {shapes}")
    if faults:
        raise ValueError(f"{who} {', and '.join(faults)}. {remedy}")


def set_tied(model: PreTrainedModel) -> None:
    """Let the configuration say whether the head is the embeddings.

    transformers 5 says so of every T5 and mT5. It is true of T5 v1.0 alone, whose outputs are scaled; of any other, a
    later resize or tie would overwrite the head with the embeddings.
    """
    model.config.tie_word_embeddings = has_tied_head(model.config)


def require_one_embedding(model: Any, who: str) -> None:
    """Refuse a model whose encoder or decoder has embeddings of its own.

    Raises:
        ValueError: If it has.
    """
    for name in ("encoder", "decoder"):
        if getattr(model, name).embed_tokens.weight is not model.shared.weight:
            raise ValueError(f"{who} has other embeddings in its {name} than in {_EMBEDDING}; ozet works with one set.")


def has_tied_head(config: PreTrainedConfig) -> bool:
    """Return whether a configuration is one of T5 v1.0."""
    return getattr(config, "scale_decoder_outputs", False)


def _config(base: str, revision: str | None, who: str) -> PreTrainedConfig:
    if read_settings(base, ADAPTER, revision=revision) is not None:
        raise ValueError(
            f"{who} is an adapter where a whole model is needed: merge it with its base first (export.py or peft's "
            "merge_and_unload); model.adaptation lora, dora and qlora go on from adapters."
        )
    settings = read_settings(base, "config.json", revision=revision)
    if not isinstance(settings, dict):
        raise ValueError(f"{who} has no config.json, or a damaged one. {_NEEDED}")
    family = settings.get("model_type")
    if family not in FAMILIES:
        raise ValueError(
            f"{who} is of the family {family!r} (model_type in its config.json); ozet works with mT5 (mt5: mT5, mT0) "
            "and T5 (t5: T5 v1.0, v1.1, FLAN-T5), such as google/mt5-small."
        )
    if settings.get("quantization_config"):
        raise ValueError(f"{who} is quantised already (quantization_config); give the model that it was made from.")
    try:
        config = load_pretrained(AutoConfig, base, revision=revision)
    except OwnCodeError:
        raise
    except Exception as error:  # values of other kinds raise anything
        raise ValueError(f"The config.json of {who} is unusable: {reason(error)}.") from error
    start, pad = getattr(config, "decoder_start_token_id", None), config.pad_token_id
    if start not in (None, pad):
        raise ValueError(f"{who} starts its decoder with token {start}; ozet works with those that start with padding.")
    return config


def _expected(config: PreTrainedConfig, who: str) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """Shapes by name, and names that files may have besides."""
    try:
        with torch.device("meta"):
            model: Any = build_model(AutoModelForSeq2SeqLM, config)
    except Exception as error:  # sizes that do not go together raise anything
        raise ValueError(f"The config.json of {who} is unusable: {reason(error)}.") from error
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    copies = {*_COPIES, *model._keys_to_ignore_on_load_unexpected}
    if has_tied_head(config):
        copies.add(_HEAD)
    else:
        shapes[_HEAD] = shapes[_EMBEDDING]
    return shapes, copies

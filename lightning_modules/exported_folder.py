"""Reads the folders that export writes: a Hugging Face model, or an adapter for one."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForSeq2SeqLM, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from datamodules.pieces import KEPT_KEY, RECORD
from datamodules.tokenizer import load_tokenizer
from lightning_modules.adaptation import Adaptation
from lightning_modules.adapter_folder import adapter_config, require_whole
from lightning_modules.base_check import check_base, require_one_embedding, set_tied
from lightning_modules.error_reason import reason
from lightning_modules.finite_weights import require_finite
from lightning_modules.generation import Generation
from lightning_modules.quantization import Quantization, cast_weights
from lightning_modules.recorded_base import RecordedBase
from lightning_modules.run_settings import known
from lightning_modules.weight_files import stored_weights, weight_files
from metrics.pretrained import OwnCodeError, load_adapter, load_pretrained

OZET = "ozet.json"
CTRANSLATE2 = "shared_vocabulary.json"  # stands in a folder of CTranslate2's format


@dataclass(frozen=True)
class ExportRecord:
    """Contents of `ozet.json`: what Hugging Face's files have no place for.

    Attributes:
        source_prefix: Text before each article, if it is the same in all languages.
        max_source_tokens: Greatest length of an encoded article, `</s>` included.
        languages: Those that the model was trained on.
        prefixes: Text before each article by language.
        adaptation: What was trained.
        base: Identity of the base, see `checkpointing.base_identity`.
        quantization: The 4-bit format that adapters were trained on, None without.
        frozen_dtype: Format of frozen weights in training: `float32` or `bfloat16`.
    """

    source_prefix: str = ""
    max_source_tokens: int = 512
    languages: list[str] = field(default_factory=list)
    prefixes: dict[str, str] = field(default_factory=dict)
    adaptation: Adaptation = "full"
    base: Mapping[str, Any] = field(default_factory=dict)
    quantization: dict[str, Any] | None = None
    frozen_dtype: str = "float32"

    def write(self, folder: Path) -> None:
        """Writes the file."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
        (folder / OZET).write_text(text, encoding="utf-8")


def read_record(folder: Path) -> ExportRecord:
    """The `ozet.json` of a folder; defaults where it has none.

    Raises:
        ValueError: If it is damaged.
    """
    file = folder / OZET
    if not file.is_file():
        return ExportRecord()
    try:
        return known(ExportRecord, json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{str(file)!r} is damaged ({error}); export the model again.") from error


def generation_of(folder: Path) -> Generation:
    """The settings of generation in a folder's `generation_config.json`; those of `Generation` that it leaves open."""
    if not (folder / "generation_config.json").is_file():
        return Generation()
    config = load_pretrained(GenerationConfig, folder)
    default = Generation()
    return Generation(
        max_new_tokens=config.max_new_tokens or default.max_new_tokens,
        num_beams=config.num_beams or default.num_beams,
        length_penalty=default.length_penalty if config.length_penalty is None else config.length_penalty,
        no_repeat_ngram_size=config.no_repeat_ngram_size or default.no_repeat_ngram_size,
    )


def model_of_folder(
    folder: Path, record: ExportRecord, device: torch.device, dtype: torch.dtype | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and tokenizer of a Hugging Face folder; see `load_trained`.

    Raises:
        ValueError: If a file is missing or damaged.
    """
    check_base(str(folder), who="The model")
    tokenizer = load_tokenizer(str(folder))
    try:
        model = load_pretrained(AutoModelForSeq2SeqLM, folder, dtype=dtype or "auto")
    except OwnCodeError:
        raise
    except Exception as error:  # a damaged or foreign file may raise anything
        raise _unusable("model", folder, error) from error
    who = f"the model in {str(folder)!r}"
    require_finite(stored_weights(weight_files(folder)), who)
    require_one_embedding(model, who)
    set_tied(model)
    model.generation_config = GenerationConfig()
    return model, tokenizer


def model_of_adapter(
    folder: Path, record: ExportRecord, device: torch.device, dtype: torch.dtype | None
) -> tuple[PeftModel, PreTrainedTokenizerBase]:
    """The base with a folder's adapters, quantised and trimmed as in training, and its tokenizer; see `load_trained`.

    Raises:
        ValueError: If the adapter is damaged, or its base missing or another.
    """
    config = adapter_config(folder)
    identity = dict(record.base) or {"name": config.base_model_name_or_path, "revision": config.revision}
    base = RecordedBase(identity, _kept_pieces(folder))
    quantization = known(Quantization, record.quantization)
    adaptation: Adaptation = "lora" if record.quantization is None else "qlora"
    tokenizer = base.tokenizer()
    trained_in = torch.bfloat16 if record.frozen_dtype == "bfloat16" else torch.float32
    model = base.model(adaptation, quantization, trained_in, device)
    cast_weights(model, dtype or trained_in)
    try:
        adapted = load_adapter(PeftModel, model, folder)
    except Exception as error:
        raise _unusable("adapter", folder, error) from error
    require_whole(adapted, folder)
    return adapted, tokenizer


def model_of_ctranslate2(
    folder: Path, record: ExportRecord, device: torch.device, dtype: torch.dtype | None
) -> tuple[Any, PreTrainedTokenizerBase]:
    """A model in CTranslate2's format, and its tokenizer; see `load_trained`.

    Raises:
        ValueError: If CTranslate2 is not installed, the device is no CPU, or a file is missing or damaged.
    """
    if device.type != "cpu":
        raise ValueError(f"{str(folder)!r} is in CTranslate2's format, which is used on CPUs here, not on {device}.")
    require_ctranslate2()
    from lightning_modules.ctranslate2_format import CTranslate2Model

    tokenizer = load_tokenizer(str(folder))
    try:
        return CTranslate2Model(folder, tokenizer), tokenizer
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"Cannot load the model in {str(folder)!r}: {error} Export it again.") from error


def require_ctranslate2() -> None:
    """Refuses to go on without the optional library.

    Raises:
        ValueError: If it is not installed.
    """
    if importlib.util.find_spec("ctranslate2") is None:
        raise ValueError("CTranslate2 is not installed; `pip install ctranslate2`, or `pip install -e .[cpu]`.")


def _unusable(what: str, folder: Path, error: Exception) -> ValueError:
    return ValueError(f"Cannot load the {what} in {str(folder)!r}: {reason(error)}. Export it again.")


def _kept_pieces(folder: Path) -> torch.Tensor | None:
    file = folder / RECORD
    if not file.is_file():
        return None
    return torch.tensor(json.loads(file.read_text(encoding="utf-8"))[KEPT_KEY])

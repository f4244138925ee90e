"""Turns a checkpoint into a plain Hugging Face folder: a whole model, or an adapter for its base."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import HfApi
from peft import AutoPeftModelForSeq2SeqLM
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig
from transformers.utils import cached_file

from datamodules.pieces import RECORD, write_record
from datamodules.tokenizer import tokenizer_fingerprint
from lightning_modules.adaptation import frozen_dtype
from lightning_modules.checkpoint_model import Checkpoint, model_of_checkpoint
from lightning_modules.exported_folder import ExportRecord, require_ctranslate2
from lightning_modules.generation import generation_config
from lightning_modules.merging import merged_model
from lightning_modules.model_folder import write_model
from lightning_modules.portable_tokenizer import save_portable
from lightning_modules.trained_model import load_trained
from lightning_modules.verification import Exported, Verification, verify
from lightning_modules.weight_files import lacks_weights
from metrics.pretrained import load_pretrained

FORMATS = {"transformers": ("bf16", "fp32"), "ctranslate2": ("int8", "fp32")}
FOUR_BIT = ("nf4", "fp4", "4bit", "int4")
_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
VERIFICATION = "verification.json"
# Whichever of them a base has: a tokenizer that transformers writes anew is not quite the same.
TOKENIZER_FILES = ("spiece.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class Form:
    """What is exported.

    Args:
        adapter_only: The adapters alone; they load with `peft`, onto their base.
        format: `transformers`, or `ctranslate2` for fast generation on CPUs.
        dtype: Format of the weights of a whole model: `bf16` or `fp32`, of `ctranslate2` `int8` or `fp32`; null is the
            first. Adapters stay fp32.

    Raises:
        ValueError: If they do not go together.
    """

    adapter_only: bool = False
    format: Literal["transformers", "ctranslate2"] = "transformers"
    dtype: str | None = None

    def __post_init__(self) -> None:
        if self.dtype in FOUR_BIT:
            raise ValueError(
                f"--dtype {self.dtype}: an adapter cannot be merged into 4-bit weights: their steps are far greater "
                "than most of what it learnt, which is rounded away (a summariser fell back to its untuned state). "
                "Export bf16 or fp32, and quantise the merged model where it is used, or use --adapter-only and load "
                "it on a 4-bit base."
            )
        known = FORMATS[self.format]
        if self.dtype is not None and self.dtype not in known:
            raise ValueError(f"--dtype {self.dtype} is unknown; with --format {self.format} give {' or '.join(known)}.")
        if self.adapter_only and (self.dtype or self.format == "ctranslate2"):
            raise ValueError("--adapter-only writes fp32 adapters for peft; leave out --dtype and --format.")

    @property
    def weights(self) -> str:
        """The format of the weights."""
        return self.dtype or FORMATS[self.format][0]


def require_exportable(checkpoint: Checkpoint, output: Path, form: Form) -> None:
    """Refuses what cannot be exported, before the model is loaded.

    Raises:
        ValueError: If the output exists, or an adapter is asked for that is not there or that nobody could load.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{str(output)!r} exists and is not empty; name another folder.")
    if form.format == "ctranslate2":
        require_ctranslate2()
        if checkpoint.settings.pretraining:
            raise ValueError("A pretrained model is a base for training; leave out --format ctranslate2.")
    if not form.adapter_only:
        return
    if not checkpoint.adapted:
        raise ValueError(
            f"{str(checkpoint.file)!r} has no adapter: all parameters were trained (model.adaptation full). Leave out "
            "--adapter-only."
        )
    if lacks_weights(checkpoint.base.name):
        raise ValueError(
            f"The base {checkpoint.base.name!r} holds no weights (it was initialised at random), so that nobody could "
            "load an adapter for it. Use --merge."
        )


def export(checkpoint: Checkpoint, output: Path, form: Form, texts: Sequence[str]) -> Verification | None:
    """Writes a folder, and compares what others load from it with the trained model.

    Args:
        checkpoint: From `read_checkpoint`.
        output: Folder to be made; nothing is left there if anything fails.
        form: What is exported.
        texts: Articles to compare on, their prefix included; none of pretraining, whose model is only a base.

    Returns:
        The comparison, also in `verification.json`; None of pretraining.

    Raises:
        ValueError: See `require_exportable`, `RecordedBase` and `verify`.
    """
    require_exportable(checkpoint, output, form)
    partial = output.with_name(f"{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        verification = _write(checkpoint, partial, form, texts)
        if output.exists():
            output.rmdir()
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return verification


def _write(checkpoint: Checkpoint, folder: Path, form: Form, texts: Sequence[str]) -> Verification | None:
    if form.adapter_only:
        _write_adapter(checkpoint, folder)
    elif form.format == "ctranslate2":
        _write_ctranslate2(checkpoint, folder, form.weights)
    else:
        write_model(merged_model(checkpoint), folder, _DTYPES[form.weights])
    if checkpoint.settings.pretraining:
        _copy_tokenizer(checkpoint, folder)
        return None
    _write_tokenizer(checkpoint, folder, trimmed=not form.adapter_only)
    _record(checkpoint, form).write(folder)
    trained = load_trained(str(checkpoint.file), torch.device("cpu"))
    kept = checkpoint.base.kept if form.adapter_only else None
    verification = verify(trained, open_as_others(folder, form, kept), texts)
    text = json.dumps(asdict(verification), indent=2) + "\n"
    (folder / VERIFICATION).write_text(text, encoding="utf-8")
    return verification


def push(folder: Path, repository: str) -> str:
    """Uploads an exported folder to the hub, as a private repository if it is new.

    Args:
        folder: From `export`.
        repository: `owner/name`.

    Returns:
        The address of the upload.

    Raises:
        ValueError: If the hub refuses it or cannot be reached.
    """
    hub = HfApi()
    try:
        hub.create_repo(repository, private=True, exist_ok=True)
        return str(hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="Exported by ozet"))
    except Exception as error:  # of the network, of rights, of names: each ends in one message with the remedy
        raise ValueError(
            f"Cannot upload to {repository!r}: {str(error).splitlines()[0]} The folder {str(folder)!r} is complete; "
            "log in by `hf auth login` and upload it by `hf upload`."
        ) from error


def open_as_others(folder: Path, form: Form, kept: torch.Tensor | None = None) -> Exported:
    """Loads a folder, in fp32, with nothing but transformers, peft or CTranslate2."""
    tokenizer, settings = load_pretrained(AutoTokenizer, folder), load_pretrained(GenerationConfig, folder)
    if form.format == "ctranslate2":
        from lightning_modules.ctranslate2_format import CTranslate2Model

        return Exported(CTranslate2Model(folder, tokenizer), tokenizer, settings)
    loader: Any = AutoPeftModelForSeq2SeqLM if form.adapter_only else AutoModelForSeq2SeqLM
    return Exported(load_pretrained(loader, str(folder), dtype=torch.float32).eval(), tokenizer, settings, kept)


def _write_ctranslate2(checkpoint: Checkpoint, folder: Path, weights: str) -> None:
    from lightning_modules.ctranslate2_format import convert

    with tempfile.TemporaryDirectory(dir=folder) as plain:
        write_model(merged_model(checkpoint), Path(plain), torch.float32)
        _write_tokenizer(checkpoint, Path(plain), trimmed=True)
        convert(Path(plain), folder / "converted", weights)
    for file in (folder / "converted").iterdir():
        file.rename(folder / file.name)
    (folder / "converted").rmdir()


def _write_adapter(checkpoint: Checkpoint, folder: Path) -> None:
    model: Any = model_of_checkpoint(checkpoint, torch.device("cpu"), torch.float32)
    settings = model.peft_config["default"]
    name = Path(checkpoint.base.name)
    settings.base_model_name_or_path = str(name.resolve()) if name.is_dir() else checkpoint.base.name
    settings.revision = checkpoint.base.revision
    # Embeddings and head are the base's, even if some of their rows were left out.
    model.save_pretrained(folder, save_embedding_layers=False)
    shutil.copymode(folder / "adapter_config.json", folder / "adapter_model.safetensors")  # else the owner's alone
    if checkpoint.base.kept is not None:
        write_record(folder / RECORD, checkpoint.base.kept.numpy(), tokenizer_fingerprint(checkpoint.base.tokenizer()))


def _write_tokenizer(checkpoint: Checkpoint, folder: Path, trimmed: bool) -> None:
    """And the settings of generation, which name pieces by their ids."""
    settings = checkpoint.settings
    tokenizer = checkpoint.base.tokenizer(trimmed)
    save_portable(tokenizer, folder, settings.max_source_tokens)
    rows = checkpoint.vocabulary_rows if trimmed else checkpoint.base.rows()
    generation_config(settings.generation, tokenizer, rows).save_pretrained(folder)


def _copy_tokenizer(checkpoint: Checkpoint, folder: Path) -> None:
    """As it is: what goes on training from the folder finds its texts encoded already."""
    base = checkpoint.base
    options = {"revision": base.revision, "_raise_exceptions_for_missing_entries": False}
    base.tokenizer()  # says what is wrong if it cannot be found
    for file in (cached_file(base.name, name, **options) for name in TOKENIZER_FILES):
        if file is not None:
            shutil.copy(file, folder / Path(file).name)


def _record(checkpoint: Checkpoint, form: Form) -> ExportRecord:
    settings, base = checkpoint.settings, dict(checkpoint.base.identity)
    if form.adapter_only and Path(base["name"]).is_dir():
        base["name"] = str(Path(base["name"]).resolve())
    return ExportRecord(
        source_prefix=settings.source_prefix,
        max_source_tokens=settings.max_source_tokens,
        languages=settings.languages,
        prefixes=settings.prefixes,
        adaptation=settings.adaptation,
        base=base,
        quantization=asdict(settings.quantization) if settings.adaptation == "qlora" else None,
        frozen_dtype=str(frozen_dtype(settings.precision)).removeprefix("torch."),
    )

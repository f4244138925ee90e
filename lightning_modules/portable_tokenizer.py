"""Writes a tokenizer that plain `AutoTokenizer` reads as ours works: with byte fallback, `</s>` in a text as text."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast


def save_portable(tokenizer: PreTrainedTokenizerBase, folder: Path, max_source_tokens: int) -> None:
    """Writes `tokenizer.json` and `tokenizer_config.json`.

    T5's own class would build the tokenizer anew and lose both traits; the general one takes the file as it is.

    Args:
        tokenizer: From `load_tokenizer`.
        folder: An existing one.
        max_source_tokens: What `truncation=True` cuts to, `</s>` included.
    """
    portable = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        eos_token=tokenizer.eos_token,
        unk_token=tokenizer.unk_token,
        pad_token=tokenizer.pad_token,
        split_special_tokens=True,
        model_max_length=max_source_tokens,
    )
    portable.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    # transformers 5 writes its new name of the class, which transformers 4 does not know.
    settings = json.loads(file.read_text(encoding="utf-8")) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    file.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

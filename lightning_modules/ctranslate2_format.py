"""A model in the format of CTranslate2, which generates several times faster on CPUs; needs the extra `cpu`.

Shapes: B rows, S source tokens, T summary tokens.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import ctranslate2
import torch
from ctranslate2.converters import TransformersConverter
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerBase

from lightning_modules.base_check import set_tied
from metrics.pretrained import load_pretrained

MODEL = "model.bin"
# Our names of the formats of weights; arithmetic between them is fp32.
QUANTIZATIONS = {"int8": "int8", "fp32": "float32"}


class _Converter(TransformersConverter):
    def load_model(self, model_class: Any, name: str, **options: Any) -> Any:
        model = load_pretrained(model_class, name, **options)
        set_tied(model)  # the converter scales the logits of tied heads
        return model

    def load_tokenizer(self, tokenizer_class: Any, name: str, **options: Any) -> Any:
        return load_pretrained(tokenizer_class, name, **options)


def convert(folder: Path, output: Path, dtype: str) -> None:
    """Writes a Hugging Face folder's model in CTranslate2's format.

    Args:
        folder: From `export`.
        output: Folder to be made.
        dtype: One of `QUANTIZATIONS`.
    """
    _Converter(str(folder)).convert(str(output), quantization=QUANTIZATIONS[dtype])


class CTranslate2Model(nn.Module):
    """Generates as a transformers model does, on the CPU.

    Args:
        folder: From `convert`, with the tokenizer's files.
        tokenizer: Of that folder.
        threads: Null is torch's number.
    """

    def __init__(self, folder: Path, tokenizer: PreTrainedTokenizerBase, threads: int | None = None) -> None:
        super().__init__()
        self.device = torch.device("cpu")
        self.threads = threads or torch.get_num_threads()
        # Each thread takes rows of its own: two that share a matrix product in int8 are slower than one.
        self.translator = ctranslate2.Translator(str(folder), device="cpu", inter_threads=self.threads, intra_threads=1)
        self.pieces: list[str] = json.loads((folder / "shared_vocabulary.json").read_text(encoding="utf-8"))
        self.ids = {piece: index for index, piece in enumerate(self.pieces)}
        # It has no parameters to be known by, as in `ArticleSummarizer.settings`.
        with (folder / MODEL).open("rb") as file:
            name = hashlib.file_digest(file, "sha256").digest()
        self.register_buffer("fingerprint", torch.tensor(list(name), dtype=torch.uint8))
        self.pad_token, self.eos_id = tokenizer.pad_token, tokenizer.eos_token_id

    def get_output_embeddings(self) -> nn.Module:
        """A stand-in that has as many rows as the head."""
        return nn.Linear(1, len(self.pieces), bias=False, device="meta")

    def generate(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, generation_config: GenerationConfig
    ) -> torch.Tensor:
        """Summarises a batch.

        Args:
            input_ids: (B, S) int64.
            attention_mask: (B, S) int64, 1 for tokens and 0 for padding.
            generation_config: From `generation.generation_config`.

        Returns:
            (B, T) int64: the decoder start, the summary, `</s>` unless the limit was reached, padding.
        """
        settings = generation_config
        sources = [
            [self.pieces[index] for index in row[mask.bool()].tolist()]
            for row, mask in zip(input_ids, attention_mask, strict=True)
        ]
        results = self.translator.translate_batch(
            sources,
            max_batch_size=-(-len(sources) // self.threads),
            beam_size=settings.num_beams or 1,
            length_penalty=1.0 if settings.length_penalty is None else settings.length_penalty,
            no_repeat_ngram_size=settings.no_repeat_ngram_size or 0,
            suppress_sequences=[[self.pieces[index]] for index in settings.suppress_tokens or ()],
            max_decoding_length=settings.max_new_tokens,
            max_input_length=0,
            return_end_token=True,
        )
        start, pad = settings.decoder_start_token_id, settings.pad_token_id
        rows = [torch.tensor([start, *(self.ids[piece] for piece in one.hypotheses[0])]) for one in results]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)

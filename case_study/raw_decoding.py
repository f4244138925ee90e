"""Test-only fault: generated ids padded with -100 go into the tokenizer as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from datamodules.collate import IGNORED_LABEL
from lightning_modules.evaluation import EvaluatedSummary
from lightning_modules.seq2seq import Seq2SeqModule

if TYPE_CHECKING:
    from datamodules.collate import SummarizationBatch


class RawDecoding(Seq2SeqModule):
    """Decodes as trainers that gather predictions of different lengths do: filled up with -100, undefended.

    The project's own `decode` leaves out every id that the tokenizer does not have.
    """

    def summarize(self, batch: SummarizationBatch) -> list[EvaluatedSummary]:
        """Summaries of a batch.

        Raises:
            OverflowError: From the tokenizer, for -100.
        """
        ids = self._summarizer.generate(batch["input_ids"], batch["attention_mask"])
        padded = ids.masked_fill(ids == self.tokenizer.pad_token_id, IGNORED_LABEL)
        texts = self.tokenizer.batch_decode(padded, skip_special_tokens=True)
        return [replace(one, prediction=text) for one, text in zip(super().summarize(batch), texts, strict=True)]

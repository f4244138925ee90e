"""The data module of pretraining: texts in any number of languages as batches of span corruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
from torch.utils.data import DataLoader, Sampler

from datamodules.blocks import BlockSampler, CorruptedBlocks, FixedBlockSampler
from datamodules.corpus_report import CorpusReport
from datamodules.corpus_sources import CorpusSource
from datamodules.loading import build_loader
from datamodules.position import ResumableDataModule
from datamodules.report_file import report_file
from datamodules.span_corruption import block_lengths
from datamodules.token_cache import EncodedCorpus, encode_corpus
from datamodules.tokenizer import load_tokenizer, sentinels, tokenizer_fingerprint


class CorpusDataModule(ResumableDataModule):
    """Packs texts into blocks and corrupts them as in T5 (Raffel et al. 2020, section 3.1.4).

    Every text is encoded once, into a cache that is read without copying. Blocks, their order and their corruption
    follow from seed, epoch and position alone, so that a run resumes exactly with any number of workers.

    Args:
        sources: The texts.
        tokenizer: Folder or hub id of the tokenizer; the command line takes it from `model.base`.
        revision: Branch, tag or commit of the tokenizer on the hub; taken from `model.revision`.
        input_tokens: Length of the corrupted inputs, sentinels and `</s>` included; at least 8. What a block holds of
            text, and the length of the targets, follow from it: nothing is padded.
        density: Share of the tokens that are masked, in (0, 0.5].
        mean_span: Mean tokens of a masked span, at least 1.
        batch_size: Blocks of a training batch on each device; at least 1.
        eval_batch_size: Blocks of a validation batch on each device; at least 1.
        temperature: Language sampling temperature of an epoch, at least 1: 1 keeps the natural proportions, mT5 has
            3.33, .inf makes all equal.
        hold_out: Share of the documents for validation, in (0, 0.5), chosen by a hash of the document.
        validation_blocks: Most blocks of each language in a validation; at least 1.
        cache: Folder for the encoded texts; null is one in the cache of `datasets`.
        num_workers: Processes that make batches; at least 0, which makes them in between.
        seed: Fixes blocks, order and corruption.

    Raises:
        ValueError: If a number is out of range.
    """

    kept_pieces = None  # the whole vocabulary is pretrained

    def __init__(
        self,
        sources: list[CorpusSource],
        tokenizer: str,
        revision: str | None = None,
        input_tokens: int = 512,
        density: float = 0.15,
        mean_span: float = 3.0,
        batch_size: int = 8,
        eval_batch_size: int = 32,
        temperature: float = 1.0,
        hold_out: float = 0.005,
        validation_blocks: int = 256,
        cache: str | None = None,
        num_workers: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not sources:
            raise ValueError("data.sources is empty; name at least one text (see docs/pretraining.md).")
        for name, value, bound in (
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("temperature", temperature, 1),
            ("validation_blocks", validation_blocks, 1),
            ("num_workers", num_workers, 0),
        ):
            if not value >= bound:
                raise ValueError(f"data.{name} is {value}; it must be at least {bound}.")
        if not 0 < hold_out < 0.5:
            raise ValueError(f"data.hold_out is {hold_out}; it must be in (0, 0.5), such as 0.005.")
        self.lengths = block_lengths(input_tokens, density, mean_span)
        self.sources = sources
        self.tokenizer_path, self.tokenizer_revision = tokenizer, revision
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.temperature, self.hold_out, self.validation_blocks = temperature, hold_out, validation_blocks
        self.cache, self.num_workers, self.seed = cache, num_workers, seed
        self.report: CorpusReport | None = None
        self._corpora: list[EncodedCorpus] = []

    @property
    def languages(self) -> list[str]:
        """The languages, each once, in the order of the sources."""
        return list(dict.fromkeys(source.language for source in self.sources))

    def prepare_data(self) -> None:
        """Downloads, checks and encodes everything into the cache, shows the report; on one process of each node."""
        self._load()
        assert self.report is not None
        self.report.print()
        if self.trainer is not None:
            self.report.save(report_file(self.trainer))

    def setup(self, stage: str) -> None:
        """Opens what `prepare_data` left in the cache."""
        if not self._corpora:
            self._load()
        assert self.report is not None
        if stage == "fit" and self.trainer is not None:
            for logger in self.trainer.loggers:
                logger.log_metrics(self.report.scalars(), step=self.trainer.global_step)

    def open_tokenizer(self) -> None:
        """Sets `tokenizer` and `tokenizer_fingerprint`.

        Raises:
            ValueError: If there is no such tokenizer, or it has too few sentinels.
        """
        self.tokenizer = load_tokenizer(self.tokenizer_path, self.tokenizer_revision)
        self.tokenizer_fingerprint = tokenizer_fingerprint(self.tokenizer)
        self._sentinels = sentinels(self.tokenizer)
        if len(self._sentinels) < self.lengths.spans:
            raise ValueError(
                f"A block of data.input_tokens {self.lengths.inputs} has {self.lengths.spans} masked spans, but the "
                f"tokenizer has {len(self._sentinels)} sentinels; lower data.input_tokens or raise data.mean_span."
            )

    def train_dataloader(self) -> DataLoader:
        """Batches of blocks, drawn anew each epoch; begins where a loaded checkpoint stopped.

        Raises:
            ValueError: If the texts do not fill one batch.
        """
        blocks = self._blocks("train")
        sampler = BlockSampler(
            blocks.languages, self.lengths.raw, self.batch_size, self.temperature, self.seed, **self._place()
        )
        if not len(sampler):
            raise ValueError(
                f"The texts make {len(blocks)} blocks, too few for one batch of {sampler.global_batch_size}"
                "; lower data.batch_size, or add texts."
            )
        self._take_up(sampler)
        return self._loader(blocks, sampler)

    def val_dataloader(self) -> DataLoader:
        """Always the same blocks of held-out documents, language after language, always corrupted in the same way.

        Raises:
            ValueError: If a language has none.
        """
        blocks, chosen = self._blocks("validation"), []
        for index, language in enumerate(self.languages):
            own = np.flatnonzero(blocks.languages == index)[: self.validation_blocks]
            if not len(own):
                raise ValueError(
                    f"The held-out documents of {language} do not make one block of {self.lengths.raw} tokens; raise "
                    "data.hold_out, or add texts."
                )
            chosen.append(own)
        return self._loader(blocks, FixedBlockSampler(np.concatenate(chosen), self.eval_batch_size, **self._place()))

    def _order(self) -> dict[str, Any]:
        lengths = self.lengths
        return {
            "texts": ",".join(corpus.record["fingerprint"] for corpus in self._corpora),
            "global_batch_size": self.batch_size * self._place()["world_size"],
            "block": [lengths.raw, lengths.noise, lengths.spans],
            "temperature": float(self.temperature),
            "seed": self.seed,
        }

    def _load(self) -> None:
        self.open_tokenizer()
        cache = Path(self.cache or Path(datasets.config.HF_DATASETS_CACHE) / "ozet-tokens")
        self._corpora = [
            encode_corpus(source, self.tokenizer, self.tokenizer_fingerprint, self.hold_out, cache)
            for source in self.sources
        ]
        self.report = CorpusReport.of(self._corpora, self.lengths.raw)

    def _blocks(self, split: str) -> CorruptedBlocks:
        languages = [self.languages.index(source.language) for source in self.sources]
        return CorruptedBlocks(
            [corpus.split(split) for corpus in self._corpora],
            languages,
            self.languages,
            self.lengths,
            self._sentinels,
            self.tokenizer.eos_token_id,  # type: ignore[arg-type]
            self.tokenizer.pad_token_id,  # type: ignore[arg-type]
        )

    def _loader(self, blocks: CorruptedBlocks, sampler: Sampler) -> DataLoader:
        return build_loader(blocks, sampler, dict, self.num_workers, self.seed)

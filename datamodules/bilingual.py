"""The data module: any number of languages, concatenated, as batches that resume exactly."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import lightning as L
import torch
from torch.utils.data import DataLoader

from datamodules.collate import SummarizationCollator
from datamodules.preparation import Encoding, column, prepare
from datamodules.report import DataReport
from datamodules.sampling import LengthBucketSampler
from datamodules.sources import SummarizationSource
from datamodules.tokenize import TruncateTargets
from datamodules.tokenizer import load_tokenizer, tokenizer_fingerprint


class BilingualDataModule(L.LightningDataModule):
    """Concatenates summarisation corpora of two or more languages (or one).

    Args:
        sources: The corpora; every language's rows of a split stand one after the other.
        tokenizer: Folder or hub id of the tokenizer; the command line takes it from `model.base`.
        revision: Branch, tag or commit of the tokenizer on the hub; taken from `model.revision`.
        max_source_tokens: Greatest length of an encoded article, `</s>` included; at least 2.
        max_target_tokens: Greatest length of an encoded summary, `</s>` included; at least 2.
        truncate_targets: What becomes of a longer summary: `sentence` keeps the whole sentences that fit, `token` cuts
            anywhere (both still end in `</s>`), `drop` leaves the row out.
        batch_size: Rows of a training batch on each device.
        eval_batch_size: Rows of a batch in validation, test and prediction on each device.
        temperature: Language sampling temperature of an epoch, at least 1: 1 keeps the natural proportions, 3 lifts
            small languages, .inf makes all equal.
        train_caps: Greatest number of training rows by language, over all its sources.
        prefixes: Text before each article by language.
        strict: Refuse to start when any row had to be left out, instead of reporting it.
        num_workers: Processes that collate batches.
        num_proc: Processes for checking and encoding; null is one for each CPU.
        seed: Fixes the order of the training rows.

    Raises:
        ValueError: If a number is out of range or `strict` refuses the data.
    """

    def __init__(
        self,
        sources: list[SummarizationSource],
        tokenizer: str,
        revision: str | None = None,
        max_source_tokens: int = 512,
        max_target_tokens: int = 128,
        truncate_targets: TruncateTargets = "sentence",
        batch_size: int = 8,
        eval_batch_size: int = 32,
        temperature: float = 1.0,
        train_caps: dict[str, int] | None = None,
        prefixes: dict[str, str] | None = None,
        strict: bool = False,
        num_workers: int = 2,
        num_proc: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not sources:
            raise ValueError("data.sources is empty; name at least one corpus (see configs/data/).")
        for name, value, bound in (
            ("max_source_tokens", max_source_tokens, 2),
            ("max_target_tokens", max_target_tokens, 2),
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("temperature", temperature, 1),
            ("num_workers", num_workers, 0),
            *((f"train_caps.{language}", cap, 0) for language, cap in (train_caps or {}).items()),
        ):
            if not value >= bound:
                raise ValueError(f"data.{name} is {value}; it must be at least {bound}.")
        _require_known_languages("train_caps", train_caps, sources)
        _require_known_languages("prefixes", prefixes, sources)
        self.sources = sources
        self.tokenizer_path, self.tokenizer_revision = tokenizer, revision
        self.encoding = Encoding(
            max_source_tokens, max_target_tokens, truncate_targets, prefixes or {}, train_caps or {}
        )
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.temperature, self.seed, self.strict = temperature, seed, strict
        self.num_workers, self.num_proc = num_workers, num_proc
        self.report: DataReport | None = None
        self._splits: dict[str, datasets.Dataset] = {}
        self._train_sampler: LengthBucketSampler | None = None
        self._resume: Mapping[str, Any] | None = None

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
            self.report.save(Path(self.trainer.default_root_dir) / "data_report.json")
        problems = self.report.problems()
        if self.strict and problems:
            counts = ", ".join(f"{reason} {count}" for reason, count in problems.items())
            raise ValueError(f"data.strict refuses rows that would be left out: {counts}. Mend them, or strict: false.")

    def setup(self, stage: str) -> None:
        """Opens what `prepare_data` left in the cache."""
        if not self._splits:
            self._load()
        assert self.report is not None
        if stage == "fit" and self.trainer is not None:
            for logger in self.trainer.loggers:
                logger.log_metrics(self.report.scalars(), step=self.trainer.global_step)

    def rows(self, split: str) -> datasets.Dataset:
        """The encoded rows of `train`, `validation` or `test`.

        Raises:
            ValueError: If no source has a usable row of it.
        """
        if not len(self._splits.get(split, ())):
            raise ValueError(f"No source has a usable row of {split}; it is needed here. Add one, or set `hold_out`.")
        return self._splits[split]

    def train_dataloader(self) -> DataLoader:
        """Batches of the training rows, drawn anew each epoch; begins where a loaded checkpoint stopped."""
        self._train_sampler = self._sampler("train", self.batch_size, shuffle=True)
        if self._resume is not None:
            self._continue(self._train_sampler, self._resume)
        return self._loader("train", self._train_sampler)

    def val_dataloader(self) -> DataLoader:
        """Batches of the validation rows, longest first."""
        return self._loader("validation", self._sampler("validation", self.eval_batch_size, shuffle=False))

    def test_dataloader(self) -> DataLoader:
        """Batches of the test rows, longest first."""
        return self._loader("test", self._sampler("test", self.eval_batch_size, shuffle=False))

    def predict_dataloader(self) -> DataLoader:
        """Batches of the test rows, longest first."""
        return self.test_dataloader()

    def state_dict(self) -> dict[str, Any]:
        """Position in the training rows: the epoch, the batches taken of all of it, and what makes their order."""
        if self.trainer is None or self._train_sampler is None:
            return {}
        loop = self.trainer.fit_loop
        taken = loop.epoch_loop.batch_progress.current.ready
        sampler = self._train_sampler
        return {"epoch": sampler.epoch, "batch": taken, "batches": len(sampler), "order": self._order()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remembers the position for `train_dataloader`."""
        self._resume = state_dict or None

    def _order(self) -> dict[str, Any]:
        assert self.report is not None
        rows = ",".join(split.fingerprint for split in self.report.splits if split.split == "train")
        world_size = self.trainer.world_size if self.trainer is not None else 1
        return {
            "rows": rows,
            "batch_size": self.batch_size,
            "temperature": float(self.temperature),
            "seed": self.seed,
            "world_size": world_size,
        }

    def _continue(self, sampler: LengthBucketSampler, state: Mapping[str, Any]) -> None:
        changed = {key: (state["order"].get(key), now) for key, now in self._order().items()}
        changed = {key: pair for key, pair in changed.items() if pair[0] != pair[1]}
        # Lightning cannot know that the sampler goes on exactly where the checkpoint stopped.
        warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
        finished = state["batch"] >= state["batches"]  # in the length of then: other settings make other lengths
        if changed and state["batch"] > 0 and not finished:
            details = "; ".join(f"{key} was {old}, is {new}" for key, (old, new) in changed.items())
            raise ValueError(
                f"The checkpoint stopped inside epoch {state['epoch']} (batch {state['batch']}), and its rows would "
                f"come in another order now: {details}. Restore these, or resume from a checkpoint at an epoch's end."
            )
        sampler.resume_at(state["epoch"] + finished, 0 if finished else state["batch"])

    def _load(self) -> None:
        tokenizer = load_tokenizer(self.tokenizer_path, self.tokenizer_revision)
        self.tokenizer, self.tokenizer_fingerprint = tokenizer, tokenizer_fingerprint(tokenizer)
        self._splits, self.report = prepare(
            self.sources, self.encoding, tokenizer, self.tokenizer_fingerprint, self.num_proc
        )

    def _sampler(self, split: str, batch_size: int, shuffle: bool) -> LengthBucketSampler:
        rows = self.rows(split)
        trainer = self.trainer
        if trainer is not None and trainer.world_size > 1 and trainer._accelerator_connector.use_distributed_sampler:
            raise ValueError("Set trainer.use_distributed_sampler to false: this data module shares out its batches.")
        if trainer is not None and not shuffle and len(rows) <= batch_size * (trainer.world_size - 1):
            raise ValueError(
                f"{len(rows)} {split} rows in batches of {batch_size} leave some of {trainer.world_size} devices "
                "without any; lower data.eval_batch_size."
            )
        return LengthBucketSampler(
            lengths=column(rows, "source_tokens").clip(max=self.encoding.max_source_tokens),
            languages=column(rows, "language"),
            batch_size=batch_size,
            shuffle=shuffle,
            temperature=self.temperature,
            seed=self.seed,
            rank=trainer.global_rank if trainer is not None else 0,
            world_size=trainer.world_size if trainer is not None else 1,
        )

    def _loader(self, split: str, sampler: LengthBucketSampler) -> DataLoader:
        return DataLoader(
            self.rows(split).remove_columns(["source_tokens", "target_tokens"]),  # type: ignore[arg-type]
            sampler=sampler,
            batch_size=None,  # the sampler yields whole batches, and Lightning finds its `set_epoch` there
            collate_fn=SummarizationCollator(self.tokenizer.pad_token_id, self.tokenizer.eos_token_id),  # type: ignore[arg-type]
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Its own generator: making an iterator must not draw from the global one that dropout uses.
            generator=torch.Generator().manual_seed(self.seed),
        )


def _require_known_languages(name: str, values: dict[str, Any] | None, sources: list[SummarizationSource]) -> None:
    known = list(dict.fromkeys(source.language for source in sources))
    for language in values or {}:
        if language not in known:
            raise ValueError(f"data.{name} names language {language!r}, but the sources have {', '.join(known)}.")

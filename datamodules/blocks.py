"""Blocks of text and the batches of span corruption that they make: a pure function of the settings and the position.

Shapes: B blocks, L raw tokens, S inputs, T targets; see `span_corruption`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from datamodules.collate import SummarizationBatch
from datamodules.position import ResumableSampler
from datamodules.sampling import sample_epoch
from datamodules.span_corruption import BlockLengths, corrupt, random_spans
from datamodules.token_cache import TokenFile

_VALIDATION_SEED = 20200101  # of the corruption, whatever the seed of a run, so that its losses can be compared


class BlockShare(NamedTuple):
    """One device's part of a batch.

    Attributes:
        blocks: Block numbers, over all sources.
        offset: Tokens by which all blocks are shifted.
        seeds: Of each block's corruption.
    """

    blocks: list[int]
    offset: int
    seeds: list[tuple[int, ...]]


class BlockSampler(ResumableSampler[BlockShare]):
    """Yields one device's share of each batch of an epoch, from any position.

    A batch is the one that a single device would take that has as many blocks as all devices together, corruption
    included. The last blocks of an epoch, too few for a batch, are left out: every batch has the same shapes.

    Args:
        languages: (blocks,) language of each block.
        block_tokens: L; each epoch begins its blocks at another token, so that they are cut elsewhere.
        batch_size: Blocks for one device.
        temperature: See `sampling.sample_epoch`.
        seed: Fixes the order, the cuts and the corruption of every epoch.
        rank: This device's number.
        world_size: Number of devices.
    """

    def __init__(
        self,
        languages: np.ndarray,
        block_tokens: int,
        batch_size: int,
        temperature: float = 1.0,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(batch_size, seed, rank, world_size)
        self.languages, self.block_tokens, self.temperature = languages, block_tokens, temperature

    def __len__(self) -> int:
        return len(self.languages) // self.global_batch_size

    def __iter__(self) -> Iterator[BlockShare]:
        rng = np.random.default_rng((self.seed, self.epoch))
        offset = int(rng.integers(self.block_tokens))
        blocks = sample_epoch(self.languages, self.temperature, rng)
        for batch in range(self.first_batch, len(self)):
            places = range(batch * self.global_batch_size + self.rank, (batch + 1) * self.global_batch_size)
            own = places[:: self.world_size]
            yield BlockShare(blocks[own].tolist(), offset, [(self.seed, self.epoch, place) for place in own])


class FixedBlockSampler(Sampler[BlockShare]):
    """Yields one device's share of some blocks, always with the same corruption.

    Args:
        blocks: (blocks,) their numbers.
        batch_size: Blocks for one device.
        rank: This device's number.
        world_size: Number of devices; one may get a batch fewer than another.
    """

    def __init__(self, blocks: np.ndarray, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        own = blocks[rank::world_size].tolist()
        self._shares = [own[first : first + batch_size] for first in range(0, len(own), batch_size)]

    def __len__(self) -> int:
        return len(self._shares)

    def __iter__(self) -> Iterator[BlockShare]:
        for share in self._shares:
            yield BlockShare(share, 0, [(_VALIDATION_SEED, block) for block in share])


class CorruptedBlocks(Dataset[SummarizationBatch]):
    """Makes the batch of a share.

    Args:
        files: The tokens of each source; a source of n tokens has n // L blocks, and goes round at its end.
        languages: Place of each source's language among all languages.
        codes: All language codes.
        lengths: Of the blocks.
        sentinels: Ids of `<extra_id_0>`, `<extra_id_1>`, ...; as many as spans, or more.
        eos_id: Id of `</s>`.
        pad_id: Id of padding, with which a decoder starts.
    """

    def __init__(
        self,
        files: Sequence[TokenFile],
        languages: Sequence[int],
        codes: Sequence[str],
        lengths: BlockLengths,
        sentinels: Sequence[int],
        eos_id: int,
        pad_id: int,
    ) -> None:
        self.files, self.codes, self.lengths = files, codes, lengths
        self.sentinels, self.eos_id, self.pad_id = np.array(sentinels), eos_id, pad_id
        counts = [file.count // lengths.raw for file in files]
        self._ends = np.cumsum(counts)
        self.languages = np.repeat(languages, counts)  # of each block

    def __len__(self) -> int:
        return len(self.languages)

    def __getitem__(self, share: BlockShare) -> SummarizationBatch:
        tokens, names = zip(*(self._block(block, share.offset) for block in share.blocks), strict=True)
        draws = np.stack([np.random.default_rng(seed).random(self.lengths.raw - 2) for seed in share.seeds])
        noise = random_spans(draws, self.lengths)
        inputs, targets = corrupt(np.stack(tokens), noise, self.sentinels, self.eos_id)
        decoder_inputs = np.pad(targets[:, :-1], ((0, 0), (1, 0)), constant_values=self.pad_id)
        languages = self.languages[share.blocks]
        return {
            "input_ids": torch.from_numpy(inputs),
            "attention_mask": torch.ones(inputs.shape, dtype=torch.int64),
            "labels": torch.from_numpy(targets),
            "decoder_input_ids": torch.from_numpy(decoder_inputs),
            "label_positions": torch.arange(targets.size),
            "label_ids": torch.from_numpy(targets.reshape(-1)),
            "language_index": torch.from_numpy(languages),
            "tokens": len(tokens) * self.lengths.raw,
            "ids": list(names),
            "languages": [self.codes[language] for language in languages],
        }

    def _block(self, block: int, offset: int) -> tuple[np.ndarray, str]:
        source = int(np.searchsorted(self._ends, block, side="right"))
        file = self.files[source]
        start = (block - (self._ends[source - 1] if source else 0)) * self.lengths.raw + offset
        name = f"{file.path.parent.name}@{start % file.count}"
        return file.tokens.take(np.arange(start, start + self.lengths.raw), mode="wrap"), name

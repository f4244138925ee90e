"""Generates summaries several times faster than `model.generate`, and the same ones.

Shapes: B rows of a batch, S source tokens, T summary tokens, M size of the model.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from transformers import GenerationConfig, MT5ForConditionalGeneration, T5ForConditionalGeneration

from lightning_modules.beam_search import BeamSearch
from lightning_modules.cuda_graphs import warm_up
from lightning_modules.dense_weights import DenseWeights
from lightning_modules.hidden_states import base_model, encoder_hidden_states
from lightning_modules.incremental_decoding import IncrementalDecoder
from lightning_modules.search import GreedySearch

STEPS_BETWEEN_CHECKS = 8  # each check makes the host wait for the device
LOGITS_AT_ONCE = 2**25  # 64 MiB in bf16, and twice 128 MiB to normalise them in fp32
WIDTH_MULTIPLE = 128  # of a captured graph's source width, so that few are captured


class Summarizer:
    """Generation with an mT5 that goes on being trained.

    The model's own layers compute, so that adapted and quantised ones work too. On CUDA one step of all rows (decoder,
    head, search) is one graph, captured once and replayed for every step of every batch that fits in it.

    Args:
        model: A sequence-to-sequence model, or a `PeftModel` around it.
        config: Settings of `model.generate`; greedy or beam search without `early_stopping`.
        fast: Off, or for a model that is neither mT5 nor T5, `model.generate` does the work.
        dequantize: Hold the weights in the format that they compute in until `release`, where memory allows.
    """

    def __init__(self, model: Any, config: GenerationConfig, fast: bool = True, dequantize: bool = True) -> None:
        self.model, self.config, self.dequantize = model, config, dequantize
        self.base = base_model(model)
        self.fast = fast and _is_supported(self.base)
        if fast and not self.fast:
            rank_zero_info(f"generation.fast knows mT5 and T5; {type(self.base).__name__} generates in the plain way.")
        self._weights: DenseWeights | None = None
        self._decoding: Decoding | None = None
        self._captured: tuple[Any, ...] = ()

    def generate(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Summarises a batch.

        Args:
            input_ids: (B, S) int64.
            attention_mask: (B, S) int64, 1 for tokens and 0 for padding.

        Returns:
            (B, T) int64: the decoder start, the summary, `</s>` unless the limit was reached, padding (where the beam
            search of `generate` puts more `</s>`).
        """
        if not self.fast:
            return self.model.generate(
                input_ids=input_ids, attention_mask=attention_mask, generation_config=self.config
            )
        with torch.inference_mode():
            ids = self._generate(input_ids, attention_mask)
        return ids.clone()  # outside, so that it is an ordinary tensor

    def release(self) -> None:
        """Frees graphs, caches and copies of weights; the next `generate` makes them again."""
        self._weights, self._decoding, self._captured = None, None, ()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def _generate(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        kind = input_ids.device.type
        autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        # A graph would read autocast's cached copies after they are freed.
        with torch.autocast(kind, dtype=autocast, enabled=autocast is not None, cache_enabled=False):
            self._forget_moved_weights(autocast)
            if self._weights is None and self.dequantize:
                self._weights = DenseWeights(self.base, autocast)
            with self._weights.applied() if self._weights else nullcontext():
                states = encoder_hidden_states(self.base, input_ids, mask)
                return self._decoding_for(states, autocast or states.dtype).run(states, mask)

    def _forget_moved_weights(self, autocast: torch.dtype | None) -> None:
        captured = (autocast, *(parameter.data_ptr() for parameter in self.base.parameters()))
        if captured != self._captured:
            self.release()
            self._captured = captured

    def _decoding_for(self, states: torch.Tensor, dtype: torch.dtype) -> Decoding:
        rows, width = states.shape[:2]
        if states.is_cuda:
            width = -(-width // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
        if self._decoding is None or not self._decoding.takes(rows, width):
            self._decoding = None  # frees its memory before the new one asks for it
            self._decoding = Decoding(self.base, self.config, rows, width, dtype, states.device)
        return self._decoding


class Decoding:
    """Caches and search for batches up to one size, and the graph of a step.

    Args:
        model: An mT5 or T5.
        config: Settings of generation.
        rows: Greatest B.
        width: Greatest S.
        dtype: Of the caches.
        device: Where; on CUDA a step is captured as a graph.
    """

    def __init__(
        self, model: Any, config: GenerationConfig, rows: int, width: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        beams = config.num_beams or 1
        search = GreedySearch if beams == 1 else BeamSearch
        self.rows, self.width = rows, width
        self.head = model.get_output_embeddings()
        self.steps = config.max_new_tokens
        self.decoder = IncrementalDecoder(model, rows, beams, width, self.steps, dtype, device)
        self.search = search(config, rows, device)
        self.position = torch.zeros(1, dtype=torch.int64, device=device)
        self.graph: torch.cuda.CUDAGraph | None = None

    def takes(self, rows: int, width: int) -> bool:
        """Whether a batch of `rows` x `width` is better padded than given new caches, and on CUDA a new graph."""
        if self.position.is_cuda:
            return rows <= self.rows and width <= self.width
        return (rows, width) == (self.rows, self.width)

    def run(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Summaries (B, T) int64 of (B, S, M) encoder states under a (B, S) mask."""
        self.decoder.load(states, mask)
        if states.is_cuda and self.graph is None:
            self._start(len(mask))
            self.graph = self._capture()
        self._start(len(mask))
        for step in range(1, self.steps + 1):
            if self.graph is None:
                self._step()
            else:
                self.graph.replay()
            if step % STEPS_BETWEEN_CHECKS == 0 and bool(self.search.over()):
                break
        return self.search.result(len(mask))

    def _start(self, rows: int) -> None:
        self.search.start(rows)
        self.position.zero_()

    def _step(self) -> None:
        search, position = self.search, self.position
        visible = search.visible(position, self.decoder.positions)
        states = self.decoder.step(search.tokens(position), visible, position).flatten(0, 1)
        piece = max(1, LOGITS_AT_ONCE // self.head.weight.shape[0])  # rows of logits that are held at once
        parts = [
            search.continuations(self.head(some), history, position)
            for some, history in zip(states.split(piece), search.history.flatten(0, 1).split(piece), strict=True)
        ]
        scores, tokens = (torch.cat(part) for part in zip(*parts, strict=True))
        search.update(scores, tokens, position)
        position.add_(1)

    def _capture(self) -> torch.cuda.CUDAGraph:
        warm_up(self._step, 2)
        graph = torch.cuda.CUDAGraph()
        # Other threads, such as the data loader's, may go on using the device meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._step()
        return graph


def _is_supported(model: Any) -> bool:
    return isinstance(model, MT5ForConditionalGeneration | T5ForConditionalGeneration)

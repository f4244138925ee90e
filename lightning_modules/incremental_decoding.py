"""The decoder of an mT5, one token at a time, with caches of fixed size: every step has the same shapes.

Shapes: R rows (sources), K beams of each row, S source positions, T summary positions, H heads, D size of a head, M
size of the model.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lightning_modules.hidden_states import scaled_for_head


class IncrementalDecoder:
    """Caches around the decoder of a loaded model, whose own layers (quantised, adapted or plain) do the computing.

    Keys and values of a source are computed once and shared by its beams, which are query positions of one row. Those
    of the beams stay where they were written: a beam sees its ancestors' by a mask, so that nothing is reordered.

    Args:
        model: An mT5 or T5 with a head.
        rows: R.
        beams: K.
        width: S.
        steps: Greatest number of tokens of a summary; T is the next multiple of 8, as fast attention kernels want it.
        dtype: Of the caches.
        device: Of the caches.

    Attributes:
        positions: T.
    """

    def __init__(
        self, model: Any, rows: int, beams: int, width: int, steps: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.stack = model.get_decoder()
        heads, size, blocks = self.stack.config.num_heads, self.stack.config.d_kv, self.stack.block
        self.positions = -(-steps // 8) * 8

        def empty(*shape: int) -> torch.Tensor:
            return torch.empty(shape, dtype=dtype, device=device)

        own, source = (rows, heads, self.positions, beams, size), (rows, heads, width, size)
        self.own = [(empty(*own), empty(*own)) for _ in blocks]
        self.source = [(empty(*source), empty(*source)) for _ in blocks]
        self.source_bias = empty(rows, 1, 1, width)
        self.position_bias = empty(self.positions, heads, self.positions)

    def load(self, states: torch.Tensor, mask: torch.Tensor) -> None:
        """Starts new summaries.

        Args:
            states: (B, s, M) encoder states, B <= R and s <= S. The other rows get empty sources.
            mask: (B, s), 1 for tokens and 0 for padding.
        """
        rows, width = mask.shape
        # mT5 has its position bias in the first block, for all of them.
        bias = self.stack.block[0].layer[0].SelfAttention.compute_bias(self.positions, self.positions)
        self.position_bias.copy_(bias[0].transpose(0, 1))
        self.source_bias.zero_()
        self.source_bias[:rows] = torch.finfo(self.source_bias.dtype).min
        self.source_bias[:rows, 0, 0, :width].masked_fill_(mask.bool(), 0.0)
        for block, own, source in zip(self.stack.block, self.own, self.source, strict=True):
            attention = block.layer[1].EncDecAttention
            for cache, projection in zip(source, (attention.k, attention.v), strict=True):
                cache.zero_()  # a masked NaN of an earlier batch would still be one
                cache[:rows, :, :width] = self._split(projection(states))
            for cache in own:
                cache.zero_()

    def step(self, tokens: torch.Tensor, visible: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """Reads one token of each beam.

        Args:
            tokens: (R, K) int64.
            visible: (R or 1, K, T, K) bool: whether beam k sees position t of beam j; itself included.
            position: (1,) int64, the same for all, on the device: no value ever waits for the host.

        Returns:
            (R, K, M) states for the head.
        """
        bias = self.position_bias.index_select(0, position)[:, :, None, :, None]  # (1, H, 1, T, 1)
        own_bias = torch.where(visible[:, None], bias, torch.finfo(bias.dtype).min).flatten(3)  # (R or 1, H, K, T*K)
        states = self.stack.embed_tokens(tokens)
        for block, own, source in zip(self.stack.block, self.own, self.source, strict=True):
            states = self._attend_own(block.layer[0], states, own, own_bias, position)
            states = self._attend_source(block.layer[1], states, source)
            states = block.layer[2](states)
        return scaled_for_head(self.stack, self.stack.final_layer_norm(states))

    def _attend_own(
        self,
        layer: Any,
        states: torch.Tensor,
        cache: tuple[torch.Tensor, torch.Tensor],
        bias: torch.Tensor,
        position: torch.Tensor,
    ) -> torch.Tensor:
        attention, normed = layer.SelfAttention, layer.layer_norm(states)
        for part, projection in zip(cache, (attention.k, attention.v), strict=True):
            part.index_copy_(2, position, self._split(projection(normed)).unsqueeze(2).to(part.dtype))
        keys, values = (part.flatten(2, 3) for part in cache)
        return states + attention.o(self._attend(attention.q(normed), keys, values, bias))

    def _attend_source(
        self, layer: Any, states: torch.Tensor, cache: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        attention = layer.EncDecAttention
        return states + attention.o(self._attend(attention.q(layer.layer_norm(states)), *cache, self.source_bias))

    def _attend(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        queries = self._split(queries).to(keys.dtype)
        # mT5 does not scale its scores (Raffel et al. 2020, arXiv:1910.10683, do so in the initialisation).
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)
        return attended.transpose(1, 2).flatten(2)

    def _split(self, projected: torch.Tensor) -> torch.Tensor:
        return projected.unflatten(-1, (self.stack.config.num_heads, -1)).transpose(1, 2)

"""The sizes of an mT5, and how many parameters follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """Sizes of an mT5, named as in its configuration.

    Attributes:
        layers: In the encoder.
        decoder_layers: In the decoder.
        d_model: Width of the hidden states.
        d_kv: Width of an attention head.
        heads: Of each attention.
        d_ff: Width of the feed-forward layers.
        vocabulary: Rows of embeddings and head.
    """

    layers: int
    decoder_layers: int
    d_model: int
    d_kv: int
    heads: int
    d_ff: int
    vocabulary: int

    @classmethod
    def of(cls, config: Any) -> Architecture:
        """From a transformers configuration."""
        widths = config.d_model, config.d_kv, config.num_heads, config.d_ff
        return cls(config.num_layers, config.num_decoder_layers, *widths, config.vocab_size)

    @property
    def block_weights(self) -> int:
        """Parameters of all linear layers but the head."""
        blocks = self.layers + self.decoder_layers
        return self._attention_weights + 3 * blocks * self.d_model * self.d_ff

    @property
    def four_bit_weights(self) -> int:
        """Of them, those that transformers holds in 4 bits: all but the last of each feed-forward layer."""
        return self.block_weights - (self.layers + self.decoder_layers) * self.d_model * self.d_ff

    @property
    def weights(self) -> int:
        """All parameters: head, embeddings, norms, and a bias for each of 32 distances and each head besides."""
        norms = 2 * self.layers + 3 * self.decoder_layers + 2
        return self.block_weights + (2 * self.vocabulary + norms) * self.d_model + 2 * 32 * self.heads

    @property
    def _attention_weights(self) -> int:
        return 4 * self.d_model * self.heads * self.d_kv * (self.layers + 2 * self.decoder_layers)


MT5_SMALL = Architecture(8, 8, 512, 64, 6, 1024, 250_112)
MT5_BASE = Architecture(12, 12, 768, 64, 12, 2048, 250_112)
MT5_LARGE = Architecture(24, 24, 1024, 64, 16, 2816, 250_112)
MT5_XL = Architecture(24, 24, 2048, 64, 32, 5120, 250_112)

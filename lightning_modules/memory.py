"""What a training step holds in a GPU's memory, computed before it runs.

Shapes: B rows, S source tokens, T target tokens, V vocabulary rows. Units: bytes, unless a name says otherwise.
`docs/memory.md` explains the terms; the tests compare them with what autograd keeps of the real model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lightning_modules.adaptation import Adaptation, Lora
from lightning_modules.architecture import Architecture

AttentionKernel = Literal["efficient", "math", "eager"]

# Of a logit in the plain loss, all at once in its backward pass: log-softmax, its gradient, and the logits' own.
_PLAIN_LOGIT_BYTES = 12
# Of a score (one query, one key, one head) that is kept: with fp32 softmax its result, the same after dropout, and a
# mask (the math kernel computes in fp32); transformers' eager attention keeps bf16 and the mask.
_SCORE_BYTES: dict[AttentionKernel, int] = {"efficient": 0, "math": 9, "eager": 7}


@dataclass(frozen=True)
class MemorySettings:
    """What decides how much memory a step takes, but for the batch.

    Attributes:
        architecture: Sizes of the model.
        weight_bytes: Of all weights as they are held, see `count_parameters`.
        trainable: Parameters that the optimizer updates.
        adaptation: What is trained.
        lora: The adapters, unused by `full`.
        optimizer_bytes: State of the optimizer for each trained parameter.
        compute_bytes: Of a number in matrix products: 2 under bf16-mixed, 4 under 32-true.
        fp32_embeddings: Whether frozen embeddings are held in fp32, as peft's preparation for 4-bit training makes
            them; all hidden states are fp32 then. Those of `full` are always.
        quantized_head: Whether the head is held in 4 or 8 bits, and de-quantised once for a long batch.
        dropout: Rate of the model's own dropout.
        gradient_checkpointing: Whether only the inputs of blocks are kept.
        compiled: Whether the loss and, without gradient checkpointing, the blocks are compiled: then cheap steps are
            computed again instead of kept.
        attention: `efficient` keeps no scores, `math` and `eager` keep several numbers for each.
        chunk_tokens: Label tokens whose logits are held at once; None holds all.
        distributed: Whether gradients are held once more to be averaged over devices.
    """

    architecture: Architecture
    weight_bytes: int
    trainable: int
    adaptation: Adaptation = "lora"
    lora: Lora = field(default_factory=Lora)
    optimizer_bytes: float = 8.0
    compute_bytes: int = 2
    fp32_embeddings: bool = False
    quantized_head: bool = False
    dropout: float = 0.1
    gradient_checkpointing: bool = False
    compiled: bool = False
    attention: AttentionKernel = "efficient"
    chunk_tokens: int | None = 512
    distributed: bool = False

    @property
    def hidden_bytes(self) -> int:
        """Of a number in the hidden states between layers: fp32 where the embeddings are."""
        return 4 if self.fp32_embeddings or self.adaptation == "full" else self.compute_bytes

    @property
    def compiled_blocks(self) -> bool:
        """Whether the blocks are compiled, too (see `Acceleration`)."""
        return self.compiled and not self.gradient_checkpointing

    def targets(self, layer: str) -> bool:
        """Whether a linear layer, such as `wi_0`, has an adapter."""
        chosen = self.lora.targets
        return self.adaptation != "full" and (chosen == "all-linear" or layer in chosen)


@dataclass(frozen=True)
class MemoryEstimate:
    """Greatest memory of a training step, by what it is spent on.

    Attributes:
        weights: As they are held, and copies in the format of matrix products where trained weights are fp32.
        gradients: Of the trained parameters, fp32.
        optimizer: State of the optimizer.
        activations: What the forward pass keeps for the backward pass.
        recomputed: What gradient checkpointing makes again, for one block at a time.
        logits: Of the chunk (or the batch) whose loss is computed, with their gradients.
        update: Transient copies while the optimizer steps.
        generation: Caches and scores while summaries are generated.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    recomputed: int
    logits: int
    update: int
    generation: int = 0

    @property
    def total(self) -> int:
        """The peak: loss, recomputed block, update and generation are not there at the same time."""
        step = self.activations + max(self.logits, self.recomputed)
        return self.weights + self.gradients + self.optimizer + max(step, self.update, self.generation)


def estimate(settings: MemorySettings, rows: int, source_tokens: int, target_tokens: int) -> MemoryEstimate:
    """Estimates the peak of training steps on batches of (`rows`, `source_tokens`) and (`rows`, `target_tokens`)."""
    shape, architecture = (rows, source_tokens, target_tokens), settings.architecture
    encoder, decoder = _encoder_block(settings, *shape), _decoder_block(settings, *shape)
    kept, recomputed = architecture.layers * encoder + architecture.decoder_layers * decoder, 0
    if settings.gradient_checkpointing:
        kept = _block_inputs(settings, *shape)
        recomputed = max(encoder, decoder) + _block_gradients(settings, rows * max(source_tokens, target_tokens))
    copies = 0
    if settings.adaptation == "full" and settings.compute_bytes < 4:
        copies = settings.compute_bytes * (architecture.block_weights + architecture.vocabulary * architecture.d_model)
    gradients = 4 * settings.trainable
    return MemoryEstimate(
        weights=settings.weight_bytes + copies,
        gradients=gradients * (2 if settings.distributed else 1),
        optimizer=round(settings.optimizer_bytes * settings.trainable),
        activations=kept + _around_blocks(settings, *shape),
        recomputed=recomputed,
        logits=_logits(settings, rows * target_tokens),
        update=gradients,  # torch.optim's for-each kernels hold one number for each parameter
    )


def largest_batch(settings: MemorySettings, available: float, source_tokens: int, target_tokens: int) -> int:
    """The greatest number of rows whose estimate is at most `available` bytes; 0 if not even one fits."""
    if estimate(settings, 1, source_tokens, target_tokens).total > available:
        return 0
    low, high = 1, 2
    while estimate(settings, high, source_tokens, target_tokens).total <= available:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        fits = estimate(settings, middle, source_tokens, target_tokens).total <= available
        low, high = (middle, high) if fits else (low, middle)
    return low


def generation_bytes(architecture: Architecture, rows: int, beams: int, source_tokens: int, new_tokens: int) -> int:
    """Keys and values of all decoder layers in bf16 (Vaswani et al. 2017's decoder, cached), and one step's scores.

    Args:
        architecture: Sizes of the model.
        rows: Articles that are summarised at once.
        beams: Kept for each.
        source_tokens: Of the articles; each beam has its keys and values.
        new_tokens: Greatest length of a summary.
    """
    inner = architecture.heads * architecture.d_kv
    cached = 2 * 2 * architecture.decoder_layers * inner * (source_tokens + new_tokens)
    scores = architecture.vocabulary * (2 + 4 + 4)  # logits, in fp32, and their log-softmax
    return rows * beams * (cached + scores)


def _around_blocks(settings: MemorySettings, rows: int, sources: int, targets: int) -> int:
    """Dropout of embeddings, last norms, and the attention biases that all layers share."""
    one, mask = settings.architecture, 1 if settings.dropout else 0
    ends = _norm(settings) + mask * one.d_model
    if settings.adaptation == "full":
        ends += mask * one.d_model
    elif not settings.gradient_checkpointing:
        ends -= _norm(settings)  # frozen embeddings need no gradient, and so neither does the first norm
    shared = settings.attention == "efficient" and settings.hidden_bytes == settings.compute_bytes
    biases = 0  # other kernels keep none, and fp32 ones are cast in each layer
    if shared or (settings.gradient_checkpointing and settings.attention != "eager"):
        # A decoder's is the same for all rows.
        biases = settings.hidden_bytes * one.heads * (rows * sources**2 + targets**2)
    return rows * (sources + targets) * ends + biases


def _block_inputs(settings: MemorySettings, rows: int, sources: int, targets: int) -> int:
    one = settings.architecture
    tokens = rows * (one.layers * sources + one.decoder_layers * targets)
    return settings.hidden_bytes * one.d_model * tokens


def _block_gradients(settings: MemorySettings, tokens: int) -> int:
    """Gradients inside a feed-forward layer: of the gate and of what it is multiplied by, in fp32."""
    return 2 * 4 * settings.architecture.d_ff * tokens


def _encoder_block(settings: MemorySettings, rows: int, sources: int, _: int) -> int:
    tokens = rows * sources
    projected = _queries(settings, ("q", "k", "v")) + _keys(settings)
    return tokens * (projected + _feed_forward(settings)) + _scores(settings, rows, sources, sources, rows)


def _decoder_block(settings: MemorySettings, rows: int, sources: int, targets: int) -> int:
    itself = _queries(settings, ("q", "k", "v")) + _keys(settings) + _queries(settings, ("q",))
    encoded = _keys(settings) + _encoded(settings)
    scores = _scores(settings, rows, targets, targets, 1) + _scores(settings, rows, targets, sources, 0)
    return rows * targets * (itself + _feed_forward(settings)) + rows * sources * encoded + scores


def _scores(settings: MemorySettings, rows: int, queries: int, keys: int, biases: int) -> int:
    """Whatever an attention keeps for pairs of tokens; `biases` are cast in each layer where they are fp32."""
    pairs = settings.architecture.heads * queries * keys
    cast = settings.compute_bytes if settings.hidden_bytes != settings.compute_bytes else 0
    return pairs * (rows * _SCORE_BYTES[settings.attention] + biases * cast)


def _norm(settings: MemorySettings) -> int:
    """Of a token: what a norm keeps. Frozen bf16 ones keep an fp32 copy too, trained ones the normalised states."""
    extra = 4 if settings.hidden_bytes == 2 or settings.adaptation == "full" else 0
    return settings.architecture.d_model * (settings.hidden_bytes + (0 if settings.compiled_blocks else extra))


def _inputs(settings: MemorySettings, width: int, layers: Sequence[str], output: int, held: bool = False) -> int:
    """Of a token: what linear layers of one input keep; `held` if the input is kept anyway.

    A frozen layer keeps nothing, a trained one its input, an adapter its own, after dropout, and the mask; DoRA the
    two outputs (each of width `output`) that it scales.
    """
    number, adapted = settings.compute_bytes, sum(settings.targets(layer) for layer in layers)
    if settings.adaptation == "full":
        casts = len(layers) if settings.hidden_bytes > number and not settings.compiled_blocks else 1
        return 0 if held else number * width * casts
    # Adapters make their inputs fp32, and autocast bf16 again: a copy, eagerly of each adapter's own.
    if settings.lora.dropout or (number == 2 and not settings.compiled_blocks):
        copies = adapted
    else:
        copies = int(adapted > 0 and not (held and number == 4))
    masks = adapted if settings.lora.dropout else 0
    scaled = 2 * number * output * adapted if settings.adaptation == "dora" else 0
    return (number * copies + masks) * width + number * settings.lora.rank * adapted + scaled


def _queries(settings: MemorySettings, layers: Sequence[str]) -> int:
    """Of a token that attends: norm, queries, outcome, the linear layers' inputs, dropout."""
    one, inner = settings.architecture, settings.architecture.heads * settings.architecture.d_kv
    linear = _inputs(settings, one.d_model, layers, inner)
    linear += _inputs(settings, inner, ("o",), one.d_model, held=True)
    return _norm(settings) + 2 * settings.compute_bytes * inner + linear + (one.d_model if settings.dropout else 0)


def _keys(settings: MemorySettings) -> int:
    """Of a token that is attended to."""
    return 2 * settings.compute_bytes * settings.architecture.heads * settings.architecture.d_kv


def _encoded(settings: MemorySettings) -> int:
    """Of a source token in a decoder layer: inputs of its keys and values."""
    one, held = settings.architecture, settings.hidden_bytes == settings.compute_bytes
    return _inputs(settings, one.d_model, ("k", "v"), one.heads * one.d_kv, held)


def _feed_forward(settings: MemorySettings) -> int:
    """Of a token: norm, gated GELU, the linear layers' inputs, dropout."""
    one, number = settings.architecture, settings.compute_bytes
    linear = _inputs(settings, one.d_model, ("wi_0", "wi_1"), one.d_ff)
    linear += _inputs(settings, one.d_ff, ("wo",), one.d_model)
    # transformers' GELU keeps five intermediate results; autocast makes a power, and what follows, fp32.
    gated = 2 * number if settings.compiled_blocks else 2 * number + 4 * 4
    masks = one.d_ff + one.d_model if settings.dropout else 0
    return _norm(settings) + one.d_ff * gated + linear + masks


def _logits(settings: MemorySettings, tokens: int) -> int:
    one, number = settings.architecture, settings.compute_bytes
    if settings.chunk_tokens is None:
        return _PLAIN_LOGIT_BYTES * tokens * one.vocabulary
    held = number if settings.compiled or number == 4 else number + 4  # and a copy in fp32
    chunk = held * min(tokens, settings.chunk_tokens) * one.vocabulary
    trained = 4 * one.vocabulary * one.d_model if settings.adaptation == "full" else 0  # the head's gradient
    whole = settings.quantized_head and tokens > 2 * settings.chunk_tokens
    dense = number * one.vocabulary * one.d_model if whole else 0
    return chunk + trained + dense + tokens * one.d_model * number

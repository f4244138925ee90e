"""Which frozen weights of an mT5 are held in 4 or 8 bits, and what all weights take."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import bitsandbytes.nn
import torch
from bitsandbytes.nn import Linear4bit, Params4bit
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel

from lightning_modules.dense_weights import hold_dense
from lightning_modules.quantized_matrix import QuantizedEmbedding, QuantizedHead, QuantizedMatrix


@dataclass(frozen=True)
class Quantization:
    """Storage of frozen weights in 4 bits (Dettmers et al. 2023, arXiv:2305.14314, section 3) or 8.

    The layers q, k, v, o, wi_0 and wi_1 are always held in 4 bits; embeddings and head are 85% of mT5-small.

    Args:
        type: 4-bit code: `nf4` (quantiles of a normal distribution) or `fp4`.
        double: Quantise the scales too; saves 0.4 bit a parameter.
        wo: Hold the feed-forward outputs `wo` in 4 bits too.
        embedding_bits: Hold the embeddings, which encoder and decoder share, in 4 or 8 bits; null leaves them alone.
        head_bits: The same of the head, de-quantised in blocks of rows where it is used.
        dense: Hold the layers' 4-bit numbers in the format of matrix products, so that no step de-quantises them: the
            same numbers in four times the memory. null is yes on a GPU of whose memory they take 2% or less.
    """

    type: Literal["nf4", "fp4"] = "nf4"
    double: bool = True
    wo: bool = False
    embedding_bits: Literal[4, 8] | None = None
    head_bits: Literal[4, 8] | None = None
    dense: bool | None = None


@dataclass(frozen=True)
class ParameterCount:
    """Sizes of a model.

    Attributes:
        trainable: Parameters that an optimizer updates.
        total: All parameters; quantised ones count as what they stand for.
        four_bit: Parameters held in 4 bits.
        eight_bit: Parameters held in 8 bits.
        weight_bytes: Memory of all parameters, quantisation scales included.
    """

    trainable: int
    total: int
    four_bit: int
    eight_bit: int
    weight_bytes: int


def require_quantizable(quantization: Quantization, adaptation: str) -> None:
    """Refuses settings that an adaptation would not heed.

    Args:
        quantization: The settings.
        adaptation: `full`, `lora`, `dora` or `qlora`.

    Raises:
        ValueError: If `wo`, `embedding_bits`, `head_bits` or `dense` is set without `qlora`.
    """
    for name in ("wo", "embedding_bits", "head_bits", "dense"):
        value = getattr(quantization, name)
        if value and adaptation != "qlora":
            raise ValueError(
                f"model.quantization.{name} {value} needs model.adaptation qlora, not {adaptation}: "
                f"{'all weights are trained there' if adaptation == 'full' else 'nothing is quantised there'}."
            )


def bitsandbytes_config(quantization: Quantization, dtype: torch.dtype) -> BitsAndBytesConfig:
    """What `from_pretrained` quantises: all linear layers but the head and, in mT5, `wo`."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization.type,
        bnb_4bit_use_double_quant=quantization.double,
        bnb_4bit_compute_dtype=dtype,
    )


def prepare_bitsandbytes(device: torch.device) -> None:
    """Keeps 4-bit layers on CPUs from going wrong silently; call before they are made."""
    if device.type != "cpu":
        return
    # On CPUs with AVX512-BF16 a forward pass without gradients repacks the weights, and later gradients are wrong.
    bitsandbytes.nn.modules.has_avx512bf16 = lambda: False
    warnings.filterwarnings("ignore", message=".*bitsandbytes.*not compiled with GPU.*")


def quantize_rest(model: PreTrainedModel, quantization: Quantization) -> None:
    """Quantises, in place, what `from_pretrained` leaves alone; then `dense` is heeded.

    To be called after the vocabulary was trimmed and the base's fingerprint taken, before adapters are attached. One
    matrix at a time is there twice.

    Args:
        model: From `load_base`, where its weights are to stay. Encoder and decoder share one embedding afterwards.
        quantization: The settings.

    Raises:
        ValueError: If a matrix cannot be held in 4 bits, or its layer does more than to look up or multiply.
    """
    prepare_bitsandbytes(model.device)
    if quantization.wo:
        for layer in [module for module in model.modules() if hasattr(module, "wo")]:
            # mT5 casts what enters `wo` to the dtype of its weight, which must not look like bytes.
            layer.wo = linear_4bit(layer.wo, quantization, storage=layer.wo.weight.dtype)
    if quantization.embedding_bits:
        weight = _matrix(model.get_input_embeddings(), quantization, quantization.embedding_bits)
        model.set_input_embeddings(QuantizedEmbedding(weight))
    if quantization.head_bits:
        weight = _matrix(model.get_output_embeddings(), quantization, quantization.head_bits)
        model.set_output_embeddings(QuantizedHead(weight))
    hold_dense(model, quantization.dense)


def _matrix(layer: nn.Module, quantization: Quantization, bits: Literal[4, 8]) -> QuantizedMatrix:
    if type(layer) not in (nn.Embedding, nn.Linear) or getattr(layer, "bias", None) is not None:
        raise ValueError(
            f"model.quantization: a {type(layer).__name__} that scales or has a bias cannot be quantised. Leave out "
            "embedding_bits and head_bits; they are made for mT5."
        )
    weight: torch.Tensor = layer.weight  # type: ignore[assignment]
    return QuantizedMatrix(weight, bits, quantization.type, quantization.double)


def linear_4bit(layer: nn.Linear, quantization: Quantization, storage: torch.dtype = torch.uint8) -> Linear4bit:
    """A frozen 4-bit layer in place of a linear one without bias; computes in the dtype of its weight.

    Args:
        layer: The layer, where it is to stay.
        quantization: The settings.
        storage: What the packed bytes pose as.

    Returns:
        The new layer.
    """
    weight = layer.weight.detach()
    settings = {"quant_type": quantization.type, "quant_storage": storage}
    quantized = Linear4bit(layer.in_features, layer.out_features, False, weight.dtype, device="meta", **settings)
    quantized.weight = Params4bit(
        weight, requires_grad=False, compress_statistics=quantization.double, module=quantized, **settings
    ).to(weight.device)
    return quantized.train(layer.training)


def cast_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Changes, in place, the format of weights that are not quantised, and of arithmetic with those that are.

    transformers refuses to cast a model that has 4-bit layers. Quantised numbers stay what they are.
    """
    for module in model.modules():
        if isinstance(module, QuantizedMatrix):
            module.dtype = dtype
            continue
        if isinstance(module, Linear4bit):
            module.compute_dtype = dtype
        for parameter in module.parameters(recurse=False):
            if parameter.is_floating_point() and not isinstance(parameter, Params4bit):
                parameter.data = parameter.data.to(dtype)


def count_parameters(model: nn.Module) -> ParameterCount:
    """Counts each parameter once, quantised ones by what they stand for."""
    matrices = [module for module in model.modules() if isinstance(module, QuantizedMatrix)]
    parts = {parameter for matrix in matrices for parameter in matrix.parameters()}
    held = {bits: sum(matrix.shape.numel() for matrix in matrices if matrix.bits == bits) for bits in (4, 8)}
    trainable = plain = size = 0
    for parameter in model.parameters():
        size += _bytes(parameter)
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            held[4] += state.shape.numel()
            size += sum(_bytes(scales) for scales in _scales(state))
        elif parameter not in parts:
            plain += parameter.numel()
            trainable += parameter.numel() if parameter.requires_grad else 0
    return ParameterCount(trainable, plain + sum(held.values()), held[4], held[8], size)


def _scales(state: Any) -> Iterator[torch.Tensor]:
    yield from (state.absmax, state.code)
    if state.nested:
        yield from _scales(state.state2)


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()

import itertools
from typing import Any

import bitsandbytes as bnb
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lightning_modules import quantized_matrix
from lightning_modules.quantized_matrix import (
    QuantizedEmbedding,
    QuantizedHead,
    QuantizedMatrix,
    input_gradient,
    linear,
)

# More than 256 * 64 numbers, so that scales have more than one group, and no multiple of it.
ROWS, COLUMNS = 300, 128
DTYPES = [torch.float32, torch.bfloat16]


def weight(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    scale = torch.logspace(-2, 2, ROWS)[:, None]
    return (torch.randn(ROWS, COLUMNS, generator=generator) * scale).to(dtype)


def relative_error(values: torch.Tensor, reference: torch.Tensor) -> float:
    return ((values.float() - reference.float()).norm() / reference.float().norm()).item()


@pytest.fixture
def blocks_of_100_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized_matrix, "_BLOCK", 100 * COLUMNS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("type_", "double"), list(itertools.product(["nf4", "fp4"], [True, False])))
def test_four_bits_are_those_of_bitsandbytes(dtype: torch.dtype, type_: Any, double: bool) -> None:
    packed, state = bnb.functional.quantize_4bit(weight(dtype), quant_type=type_, compress_statistics=double)
    expected = bnb.functional.dequantize_4bit(packed, state)
    matrix = QuantizedMatrix(weight(dtype), 4, type_, double)
    assert matrix[:].dtype is dtype
    assert torch.equal(matrix[:], expected)


def test_four_bit_rows_are_those_of_the_embedding_of_bitsandbytes() -> None:
    embedding = bnb.nn.EmbeddingNF4(ROWS, COLUMNS, dtype=torch.bfloat16)
    embedding.weight.data = weight(torch.bfloat16)
    ids = torch.tensor([[0, 299, 7], [7, 150, 1]])
    assert torch.equal(QuantizedMatrix(weight(torch.bfloat16), 4, double=False)[ids], embedding.to("cpu")(ids))


@pytest.mark.parametrize("dtype", DTYPES)
def test_eight_bits_are_off_by_half_a_step_of_their_row_at_most(dtype: torch.dtype) -> None:
    rows = weight(dtype)
    rows[3] = 0
    error = (QuantizedMatrix(rows, 8, dtype=torch.float32)[:] - rows.float()).abs()
    step = rows.float().abs().amax(dim=1, keepdim=True) / 127
    assert (error <= step * 0.5001).all()
    assert not torch.equal(error, torch.zeros_like(error))
    rounded = QuantizedMatrix(rows, 8)[:]
    assert rounded.dtype is dtype
    assert torch.equal(rounded, QuantizedMatrix(rows, 8, dtype=torch.float32)[:].to(dtype))


@pytest.mark.parametrize(("bits", "bound"), [(4, 0.1), (8, 0.01)])
def test_more_bits_are_nearer_to_the_weight(bits: Any, bound: float) -> None:
    assert bound / 3 < relative_error(QuantizedMatrix(weight(), bits)[:], weight()) < bound


@pytest.mark.parametrize(("bits", "double"), [(4, True), (4, False), (8, True)])
def test_any_rows_are_those_of_the_whole(bits: Any, double: bool) -> None:
    matrix = QuantizedMatrix(weight(), bits, "nf4", double)
    whole = matrix[:]
    assert whole.shape == matrix.shape == (ROWS, COLUMNS)
    for rows in (slice(0, 1), slice(37, 301), slice(299, None), slice(128, 256), slice(5, 5)):
        assert torch.equal(matrix[rows], whole[rows])
    ids = torch.tensor([[[299, 0]], [[17, 17]], [[128, 3]]])
    assert torch.equal(matrix[ids], whole[ids])
    assert torch.equal(QuantizedEmbedding(matrix)(ids), whole[ids])


@pytest.mark.parametrize("bits", [4, 8])
def test_blocks_cover_every_row_once(bits: Any, blocks_of_100_rows: None) -> None:
    matrix = QuantizedMatrix(weight()[:250], bits)
    assert list(matrix.blocks()) == [slice(0, 100), slice(100, 200), slice(200, 250)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", [4, 8])
def test_a_head_and_its_gradient_are_those_of_the_whole_matrix(
    bits: Any, dtype: torch.dtype, blocks_of_100_rows: None
) -> None:
    matrix = QuantizedMatrix(weight(dtype), bits)
    hidden = torch.randn(2, 5, COLUMNS, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
    output = QuantizedHead(matrix)(hidden)
    expected = F.linear(hidden, matrix[:])
    assert output.dtype is dtype
    tolerance = {torch.float32: 1e-6, torch.bfloat16: 5e-3}[dtype]
    assert relative_error(output, expected) < tolerance
    gradient = torch.randn(output.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    (own,) = torch.autograd.grad(output, hidden, gradient)
    (plain,) = torch.autograd.grad(expected, hidden, gradient)
    assert own.dtype is dtype
    assert relative_error(own, plain) < tolerance
    assert torch.equal(own, input_gradient(gradient, matrix))


def test_a_gradient_over_many_blocks_is_summed_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized_matrix, "_BLOCK", COLUMNS)
    matrix = QuantizedMatrix(torch.randn(ROWS, COLUMNS, dtype=torch.bfloat16), 8)
    gradient = torch.randn(3, ROWS, dtype=torch.bfloat16)
    assert relative_error(input_gradient(gradient, matrix), gradient.float() @ matrix[:].float()) < 4e-3


def test_a_plain_weight_is_multiplied_as_ever() -> None:
    hidden, gradient = torch.randn(3, COLUMNS), torch.randn(3, ROWS)
    assert torch.equal(linear(hidden, weight()), F.linear(hidden, weight()))
    assert torch.equal(input_gradient(gradient, weight()), gradient @ weight())


def test_under_autocast_a_head_takes_fp32_and_gives_its_own_dtype() -> None:
    matrix = QuantizedMatrix(weight(torch.bfloat16), 4)
    hidden = torch.randn(3, COLUMNS, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        output = QuantizedHead(matrix)(hidden)
    assert output.dtype is torch.bfloat16
    output.float().sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.dtype is torch.float32
    assert relative_error(hidden.grad, matrix[:].float().sum(0).expand(3, -1)) < 5e-3


def test_no_more_than_a_block_is_dequantized_at_a_time(
    monkeypatch: pytest.MonkeyPatch, blocks_of_100_rows: None
) -> None:
    seen = []
    plain = quantized_matrix.dequantize_4bit
    monkeypatch.setattr(
        quantized_matrix, "dequantize_4bit", lambda *given: seen.append(given[1].shape[0]) or plain(*given)
    )
    hidden = torch.randn(1, COLUMNS, requires_grad=True)
    linear(hidden, QuantizedMatrix(weight(), 4)).sum().backward()
    assert seen == [100] * 6


@pytest.mark.parametrize(("bits", "double", "size"), [(4, False, 4 + 32 / 64), (4, True, 4 + 8 / 64), (8, True, 8)])
def test_memory_is_that_of_the_bits(bits: Any, double: bool, size: float) -> None:
    matrix = QuantizedMatrix(torch.randn(2048, 512), bits, "nf4", double)
    held = sum(part.numel() * part.element_size() for part in matrix.parameters())
    # At most 1% more for second scales, or for a scale a row, and a code book of 256.
    assert 2048 * 512 * size / 8 <= held < 2048 * 512 * size / 8 * 1.01 + 1030
    assert not any(part.requires_grad for part in matrix.parameters())
    assert list(matrix.buffers()) == []


def test_it_moves_but_is_never_cast_and_compiles_without_a_break() -> None:
    matrix = QuantizedMatrix(weight(), 4)
    ids = torch.tensor([3, 299])
    assert torch.equal(torch.compile(QuantizedEmbedding(matrix), backend="eager", fullgraph=True)(ids), matrix[ids])
    before = matrix[:]
    assert torch.equal(nn.Sequential(matrix).to(torch.bfloat16)[0][:], before)
    assert torch.equal(matrix.double()[:], before)
    assert {part.device.type for part in matrix.to("meta").parameters()} == {"meta"}


def test_columns_that_four_bits_cannot_hold_are_named() -> None:
    with pytest.raises(ValueError, match=r"96 columns.*use 8"):
        QuantizedMatrix(torch.randn(4, 96), 4)
    assert QuantizedMatrix(torch.randn(4, 96), 8)[:].shape == (4, 96)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("bits", "double"), [(4, True), (4, False), (8, True)])
def test_on_a_gpu_rows_are_those_of_the_whole_and_of_the_cpu(bits: Any, double: bool, dtype: torch.dtype) -> None:
    matrix = QuantizedMatrix(weight(dtype).cuda(), bits, "nf4", double)
    ids = torch.tensor([[299, 0], [17, 128]], device="cuda")
    assert torch.equal(matrix[ids], matrix[:][ids])
    assert torch.equal(matrix[37:299], matrix[:][37:299])
    assert relative_error(matrix[:].cpu(), QuantizedMatrix(weight(dtype), bits, "nf4", double)[:]) < 0.01
    assert relative_error(QuantizedMatrix(weight(dtype), bits, "nf4", double).cuda()[:], matrix[:]) < 0.01
    if bits == 4:
        packed, state = bnb.functional.quantize_4bit(weight(dtype).cuda(), quant_type="nf4", compress_statistics=double)
        torch.testing.assert_close(matrix[:], bnb.functional.dequantize_4bit(packed, state), rtol=1e-2, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("bits", [4, 8])
def test_on_a_gpu_a_head_multiplies_without_a_copy_of_itself(bits: Any) -> None:
    matrix = QuantizedMatrix(torch.randn(250_112, 512, dtype=torch.bfloat16, device="cuda"), bits)
    hidden = torch.randn(4, 512, dtype=torch.bfloat16, device="cuda", requires_grad=True)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    output = QuantizedHead(matrix)(hidden)
    assert torch.cuda.max_memory_allocated() - before < 120 * 2**20  # whole: 244 MiB
    assert relative_error(output, hidden @ matrix[:].T) < 5e-3
    output.float().square().sum().backward()
    assert hidden.grad is not None and hidden.grad.isfinite().all()

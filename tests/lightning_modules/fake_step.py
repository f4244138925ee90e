"""What a training step of the real model holds, counted on tensors without memory: of any size, on any machine.

Some operations keep other tensors on a CPU than on a GPU; they are replaced by what a GPU runs: attention by its
memory-efficient kernel, dropout by the fused one, and autocast computes powers and softmax in fp32.
"""

import contextlib
import weakref
from collections.abc import Iterator
from unittest import mock

import torch
import torch.nn.functional as F
from torch import nn
from torch._functorch.aot_autograd import aot_function
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch._inductor.decomposition import select_decomp_table
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import MT5Config, MT5ForConditionalGeneration

from lightning_modules.adaptation import adapt, enable_gradient_checkpointing
from lightning_modules.hidden_states import decoder_hidden_states, run_block
from lightning_modules.losses import linear_cross_entropy, plain_cross_entropy

BF16 = torch.bfloat16
_NAMES = ("view", "permute", "t", "expand", "alias", "unsqueeze", "_unsafe_view")
_VIEWS = {getattr(torch.ops.aten, name).default for name in _NAMES}
_VIEWS.add(torch.ops.aten.transpose.int)


class LiveBytes(TorchDispatchMode):
    """Bytes of all tensors that are alive, now and at most; `held` before exist already."""

    def __init__(self, held: list[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.storages = {id(t.untyped_storage()): t.untyped_storage() for t in held}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and id(tensor.untyped_storage()) not in self.storages:
                self._count(tensor.untyped_storage())
        if operation is torch.ops.aten.logsumexp.default:  # allocates inside
            self.peak = max(self.peak, self.now + args[0].untyped_storage().nbytes())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()

        def gone(_: weakref.ref) -> None:
            del self.storages[key]
            self.now -= size

        self.storages[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


def step_peak(settings, rows: int, source_tokens: int, target_tokens: int) -> int:
    """Greatest number of bytes during forward and backward pass of a step in which gradients are accumulated."""
    model = _model(settings)
    with FakeTensorMode(allow_non_fake_inputs=True):
        _fill(model)
        parameters = list(model.parameters())
        for parameter in parameters:
            parameter.grad = torch.empty_like(parameter) if parameter.requires_grad else None
        sources, targets = _ones(rows, source_tokens), _ones(rows, target_tokens)
        head = getattr(model, "base_model", model).get_output_embeddings().weight
        held = [*parameters, *(p.grad for p in parameters if p.grad is not None)]
        with LiveBytes(held) as live, _as_on_a_gpu(settings.compute_bytes == 2):
            hidden = decoder_hidden_states(model, sources, sources, targets).flatten(0, 1)
            divisor, labels = torch.tensor(float(targets.numel())), targets.flatten()
            if settings.chunk_tokens is None:
                loss = plain_cross_entropy(hidden, head, labels, 0.0, divisor)[0]
            else:
                loss = linear_cross_entropy(hidden, head, labels, 0.0, divisor, settings.chunk_tokens)[0]
            del hidden
            loss.backward()
        return live.peak + sum(tensor.untyped_storage().nbytes() for tensor in {id(t): t for t in held}.values())


def compiled_block_bytes(settings, rows: int, source_tokens: int, target_tokens: int, decoder: bool) -> int:
    """What a compiled block keeps besides weights and biases, its input included, by the compiler's own choice."""
    model, one = _model(settings), settings.architecture
    base = model.get_base_model() if settings.adaptation != "full" else model
    block = (base.decoder if decoder else base.encoder).block[-1]
    with FakeTensorMode(allow_non_fake_inputs=True):
        _fill(block)
        width, dtype = (target_tokens if decoder else source_tokens), block.layer[0].layer_norm.weight.dtype
        new = torch.empty(rows, width, one.d_model, dtype=dtype, requires_grad=True)
        bias = torch.empty(1 if decoder else rows, one.heads, width, width, dtype=dtype)
        inputs = [new, bias]
        if decoder:
            inputs.append(torch.empty(rows, source_tokens, one.d_model, dtype=dtype, requires_grad=True))
            inputs.append(torch.empty(rows, 1, 1, source_tokens, dtype=dtype))
        names, weights = zip(*block.named_parameters(), strict=True)
        kept = {_root(node) for node in _kept_by_compiler(block, names, weights, inputs)}
    shapes = {tuple(weight.shape) for weight in weights}
    tensors = [node.meta["val"] for node in kept if isinstance(node.meta.get("val"), torch.Tensor)]
    fresh = [one for one in tensors if not {tuple(one.shape), tuple(one.shape)[::-1]} & shapes]
    return sum(tensor.nbytes for tensor in fresh) + new.nbytes


def _root(node) -> torch.fx.Node | None:
    """The node of which another is a view; a dropped one for inputs."""
    while node.op == "call_function" and node.target in _VIEWS:
        node = node.args[0]
    return torch.fx.Graph().placeholder("given") if node.op == "placeholder" else node


def _kept_by_compiler(block, names, weights, inputs) -> list:
    graphs = []

    def function(values, *arguments):
        with torch.autocast("cpu", BF16):
            hooked = dict(zip(names, values, strict=True))
            return torch.func.functional_call(_Run(block), {f"block.{k}": v for k, v in hooked.items()}, arguments)

    def partition(*arguments, **options):
        return min_cut_rematerialization_partition(*arguments, compiler="inductor", **options)

    def keep_graph(graph, _):
        graphs.append(graph)
        return graph

    with _as_on_a_gpu(autocast=False):
        compiled = aot_function(
            function, keep_graph, lambda graph, _: graph, partition, decompositions=dict(select_decomp_table())
        )
        compiled(list(weights), *inputs)
    return graphs[0].graph.output_node().args[0][1:]


class _Run(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, *arguments):
        return run_block(self.block, *arguments)


def _model(settings):
    one = settings.architecture
    config = MT5Config(
        vocab_size=one.vocabulary, d_model=one.d_model, d_kv=one.d_kv, d_ff=one.d_ff, num_heads=one.heads,
        num_layers=one.layers, num_decoder_layers=one.decoder_layers, dropout_rate=settings.dropout,
        tie_word_embeddings=False, attn_implementation="eager" if settings.attention == "eager" else "sdpa",
    )  # fmt: skip
    with torch.device("meta"):
        model = MT5ForConditionalGeneration(config)
    model.lm_head.weight = nn.Parameter(torch.empty_like(model.lm_head.weight))
    if settings.adaptation != "full" and settings.compute_bytes == 2:
        model = model.to(BF16)
    if settings.gradient_checkpointing:
        enable_gradient_checkpointing(model)
    return adapt(model, settings.adaptation, settings.lora)


def _fill(module: nn.Module) -> None:
    """Fake weights in place of those without a device; trained ones fp32."""
    made = {}
    for layer in module.modules():
        for name, old in layer._parameters.items():
            if old is not None and id(old) not in made:
                dtype = torch.float32 if old.requires_grad else old.dtype
                made[id(old)] = nn.Parameter(torch.empty(old.shape, dtype=dtype), old.requires_grad), old
            if old is not None:
                layer._parameters[name] = made[id(old)][0]


def _ones(rows: int, width: int) -> torch.Tensor:
    return torch.ones(rows, width, dtype=torch.int64)


@contextlib.contextmanager
def _as_on_a_gpu(autocast: bool) -> Iterator[None]:
    power, softmax = torch.pow, F.softmax

    def wide(tensor):
        return tensor.float() if tensor.dtype == BF16 else tensor

    def attention(query, key, value, attn_mask, dropout_p, **options):
        if torch.is_autocast_enabled("cpu"):
            query, key, value, attn_mask = (tensor.to(BF16) for tensor in (query, key, value, attn_mask))
        bias = attn_mask.expand(*query.shape[:3], key.shape[2])
        scale = options.get("scale")
        kernel = torch.ops.aten._scaled_dot_product_efficient_attention
        return kernel(query, key, value, bias, True, dropout_p, False, scale=scale)[0]

    def dropout(tensor, p=0.5, training=True, inplace=False):
        return torch.native_dropout(tensor, p, True)[0] if training and p else tensor

    with (
        mock.patch.object(F, "scaled_dot_product_attention", attention),
        mock.patch.object(F, "dropout", dropout),
        mock.patch.object(torch, "pow", lambda tensor, exponent: power(wide(tensor), exponent)),
        mock.patch.object(F, "softmax", lambda tensor, dim, **_: softmax(wide(tensor), dim=dim)),
        torch.autocast("cpu", BF16, enabled=autocast),
    ):
        yield

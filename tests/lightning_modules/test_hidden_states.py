import pytest
import torch
import torch.nn.functional as F

from lightning_modules.adaptation import Lora, Quantization, adapt, load_base
from lightning_modules.hidden_states import decoder_hidden_states

CPU = torch.device("cpu")


@pytest.fixture(params=[("full", torch.float32), ("lora", torch.float32), ("qlora", torch.bfloat16)])
def model(request, random_mt5):
    adaptation, dtype = request.param
    model = adapt(load_base(str(random_mt5), None, adaptation, Quantization(), dtype, CPU), adaptation, Lora())
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad:  # adapters begin at 0
            parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    return model


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(3, 24, dtype=torch.int64)
    mask[1, 10:] = mask[2, 20:] = 0
    return {
        "input_ids": torch.randint(5, 300, (3, 24), generator=generator),
        "attention_mask": mask,
        "decoder_input_ids": torch.randint(5, 300, (3, 8), generator=generator),
    }


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_equal_to_the_model_s_own_pass_dropout_included(model, batch, mode):
    getattr(model, mode)()
    head = model.get_output_embeddings()
    with torch.autocast("cpu", torch.bfloat16, enabled=head.weight.dtype is torch.bfloat16):
        torch.manual_seed(0)
        expected = model(**batch).logits
        torch.manual_seed(0)
        found = head(decoder_hidden_states(model, **batch))
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_gradients_too(model, batch):
    gradients = []
    for logits in (
        lambda: model(**batch).logits,
        lambda: model.get_output_embeddings()(decoder_hidden_states(model, **batch)),
    ):
        model.zero_grad()
        torch.manual_seed(0)
        logits().float().log_softmax(-1)[..., 7].mean().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        assert (gradients[1][name] - expected).norm() <= 2e-2 * expected.norm() + 1e-7, name


def test_a_row_of_padding_alone_is_finite(model, batch):
    batch["attention_mask"][1] = 0
    assert decoder_hidden_states(model, **batch).isfinite().all()


def test_masks_are_laid_out_as_fused_attention_needs_them(model, batch, monkeypatch):
    strides = []
    attend = F.scaled_dot_product_attention

    def watch(query, key, value, attn_mask, **settings):
        strides.append(attn_mask.stride(-1))
        return attend(query, key, value, attn_mask=attn_mask, **settings)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watch)
    decoder_hidden_states(model, **batch)
    assert strides == [1] * 6  # 2 layers: self-attention of each stack, cross-attention

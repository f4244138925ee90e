import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from lightning_modules.adaptation import Lora, adapt
from lightning_modules.vocabulary_rows import expand_model, trim_model

KEPT = torch.tensor([*range(0, 3), *range(259, 4_000, 2), *range(7_900, 8_000)])


def logits(model, ids, labels):
    with torch.no_grad():
        return model.eval()(input_ids=ids, decoder_input_ids=labels).logits


@pytest.mark.parametrize("adaptation", ["full", "qlora"])
def test_logits_of_kept_pieces_are_those_of_the_whole_model(loaded, adaptation):
    whole, trimmed = loaded(adaptation), loaded(adaptation)
    trim_model(trimmed, KEPT)
    generator = torch.Generator().manual_seed(0)
    ids, labels = (torch.randint(len(KEPT), (3, size), generator=generator) for size in (40, 20))
    expected = logits(whole, KEPT[ids], KEPT[labels])[..., KEPT]
    torch.testing.assert_close(logits(trimmed, ids, labels), expected, rtol=0, atol=1e-6)
    assert expected.abs().max() > 1
    assert torch.equal(trimmed.get_input_embeddings().weight, whole.get_input_embeddings().weight[KEPT])
    assert torch.equal(trimmed.get_output_embeddings().weight, whole.get_output_embeddings().weight[KEPT])


def test_embeddings_stay_one_matrix_and_the_head_another(loaded):
    model = loaded()
    whole = sum(parameter.numel() for parameter in model.parameters())
    trim_model(model, KEPT)
    embedding = model.get_input_embeddings().weight
    assert model.encoder.embed_tokens.weight is embedding is model.decoder.embed_tokens.weight
    assert model.get_output_embeddings().weight is not embedding
    assert model.config.vocab_size == model.encoder.config.vocab_size == len(KEPT)
    assert model.get_input_embeddings().num_embeddings == model.get_output_embeddings().out_features == len(KEPT)
    assert whole - sum(parameter.numel() for parameter in model.parameters()) == 2 * (8_064 - len(KEPT)) * 128


def test_trimmed_model_trains_generates_and_loads_again(loaded, gradients, tmp_path):
    model = loaded()
    trim_model(model, KEPT)
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())
    assert "lm_head.weight" in gradients(model)
    assert model.generate(torch.arange(3, 20)[None], max_new_tokens=5, decoder_start_token_id=0).max() < len(KEPT)
    model.save_pretrained(tmp_path)
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(again[name], value) for name, value in model.state_dict().items())
    assert not torch.equal(again["lm_head.weight"], again["shared.weight"])


def test_expanding_writes_trained_rows_back_and_leaves_the_others(loaded):
    base, model = loaded(), loaded()
    trim_model(model, KEPT)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.125)
    expand_model(model, base, KEPT)
    others = torch.ones(8_064, dtype=torch.bool)
    others[KEPT] = False
    for name, value in base.state_dict().items():
        trained = model.state_dict()[name]
        if name.endswith(("shared.weight", "embed_tokens.weight", "lm_head.weight")):
            assert torch.equal(trained[KEPT], value[KEPT] + 0.125)
            assert torch.equal(trained[others], value[others])
        else:
            assert torch.equal(trained, value + 0.125)
    assert model.config.vocab_size == 8_064
    assert model.encoder.embed_tokens.weight is model.shared.weight


def test_adapters_trained_on_few_pieces_work_on_all(loaded):
    trimmed, whole = loaded("lora"), loaded("lora")
    trim_model(trimmed, KEPT)
    adapters = [adapt(model, "lora", Lora(rank=2)) for model in (trimmed, whole)]
    state = {name: torch.randn_like(p) for name, p in adapters[0].named_parameters() if p.requires_grad}
    for model in adapters:
        model.load_state_dict(state, strict=False)
    ids = torch.arange(100, 130).view(2, 15)
    outputs = logits(adapters[0], ids, ids), logits(adapters[1], KEPT[ids], KEPT[ids])[..., KEPT]
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-4)


def test_piece_without_a_row_is_refused(loaded):
    with pytest.raises(ValueError, match="has a piece 9000, but the model only 8064 rows"):
        trim_model(loaded(), torch.tensor([0, 9_000]))


def test_other_number_of_rows_is_refused(loaded):
    with pytest.raises(ValueError, match="has 8064 rows, but 1974 kept pieces"):
        expand_model(loaded(), loaded(), KEPT)

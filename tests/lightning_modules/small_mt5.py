"""An mT5 of 60 pieces whose random weights disagree enough for beams to compete and for `</s>` to come at any step."""

import torch
from torch import nn
from transformers import GenerationConfig, MT5Config, MT5ForConditionalGeneration

PAD, EOS, VOCABULARY = 0, 1, 60


def small_mt5(seed: int = 0, end_bonus: float = 2.0) -> MT5ForConditionalGeneration:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MT5ForConditionalGeneration(
            MT5Config(
                vocab_size=VOCABULARY,
                d_model=32,
                d_kv=8,
                d_ff=48,
                num_layers=2,
                num_heads=4,
                decoder_start_token_id=PAD,
            )
        )
        head = nn.Linear(32, VOCABULARY)
        nn.init.normal_(head.weight, std=1.5 / 32**0.5)
        nn.init.zeros_(head.bias)
        for name, parameter in model.named_parameters():
            if "relative" in name:
                nn.init.normal_(parameter)  # positions would hardly matter
            elif name.endswith(("v.weight", "o.weight", "wo.weight")):
                parameter.data *= 2
    head.bias.data[EOS] = end_bonus
    model.lm_head = head
    model.config.tie_word_embeddings = False
    model.generation_config = GenerationConfig()
    return model.eval()


def sources(rows: int = 4, width: int = 11, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random token ids and their mask; the first row is the longest, the last has one token."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, VOCABULARY, (rows, width), generator=generator)
    lengths = torch.randint(2, width, (rows,), generator=generator)
    lengths[0], lengths[-1] = width, 1
    mask = (torch.arange(width) < lengths[:, None]).long()
    return ids * mask, mask


def settings(
    limit: int = 12, beams: int = 1, penalty: float = 1.0, ngram: int = 0, suppressed: list[int] | None = None
) -> GenerationConfig:
    return GenerationConfig(
        max_new_tokens=limit,
        num_beams=beams,
        length_penalty=penalty if beams > 1 else None,
        no_repeat_ngram_size=ngram or None,
        suppress_tokens=suppressed,
        do_sample=False,
        pad_token_id=PAD,
        eos_token_id=EOS,
        decoder_start_token_id=PAD,
    )


def plain(model: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor, config: GenerationConfig) -> torch.Tensor:
    """What `generate` gives, with padding after the end, where its beam search puts more `</s>`."""
    rows = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    ended = (rows == EOS).cumsum(dim=1) - (rows == EOS).int()
    return rows.masked_fill(ended > 0, PAD)

import torch
from small_mt5 import small_mt5, sources

from lightning_modules.incremental_decoding import IncrementalDecoder

ROWS, BEAMS, WIDTH, STEPS = 4, 3, 11, 6
CPU = torch.device("cpu")


@torch.no_grad()
def test_states_are_those_of_the_whole_decoder_also_where_beams_share_their_past() -> None:
    model = small_mt5()
    ids, mask = sources(ROWS, WIDTH)
    encoded = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    decoder = IncrementalDecoder(model, ROWS, BEAMS, WIDTH, STEPS, torch.float32, CPU)
    decoder.load(encoded, mask)
    assert decoder.positions == 8

    generator = torch.Generator().manual_seed(0)
    history = torch.zeros(ROWS, BEAMS, 0, dtype=torch.int64)
    ancestors = torch.full((ROWS, BEAMS, decoder.positions), -1)
    for step in range(STEPS):
        parents = torch.randint(0, BEAMS, (ROWS, BEAMS, 1), generator=generator)
        tokens = torch.randint(2, 60, (ROWS, BEAMS, 1), generator=generator)
        history = torch.cat([history.take_along_dim(parents, 1), tokens], dim=2)
        ancestors = ancestors.take_along_dim(parents, 1)
        ancestors[:, :, step] = torch.arange(BEAMS)
        states = decoder.step(tokens[:, :, 0], ancestors[..., None] == torch.arange(BEAMS), torch.tensor([step]))
        whole = model.get_decoder()(
            input_ids=history.flatten(0, 1),
            encoder_hidden_states=encoded.repeat_interleave(BEAMS, 0),
            encoder_attention_mask=mask.repeat_interleave(BEAMS, 0),
        ).last_hidden_state[:, -1]
        torch.testing.assert_close(states.flatten(0, 1), whole, rtol=1e-4, atol=1e-4)

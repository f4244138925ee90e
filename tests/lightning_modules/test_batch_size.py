from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.plugins.precision import Precision

import lightning_modules.batch_size as batch_size
from datamodules.collate import Padding, SummarizationCollator
from datamodules.longest_batch import longest_batch
from lightning_modules.acceleration import Acceleration, BatchLoss
from lightning_modules.adaptation import Lora
from lightning_modules.batch_size import find_batch_size, largest_working, passes


@pytest.mark.parametrize("greatest", [1, 2, 3, 7, 15, 16, 30, 100, 1000])
@pytest.mark.parametrize("first", [0, 1, 5, 16, 24, 300, 5000])
def test_what_is_found_works_and_a_quarter_more_does_not(greatest, first):
    tried = []

    def works(size):
        tried.append(size)
        return size <= greatest

    found = largest_working(works, first, limit=10_000)
    assert 1 <= found <= greatest
    assert found * 1.25 + 8 >= greatest
    assert len(tried) == len(set(tried)) and found in tried
    assert all(size % 8 == 0 for size in tried if size >= 24)


def test_a_good_first_guess_takes_two_trials():
    tried = []
    assert largest_working(lambda size: tried.append(size) or size <= 100, 96, 1000) == 96
    assert tried == [96, 120]


@pytest.mark.parametrize("first", [1, 17, 100])
def test_no_more_rows_than_there_are(first):
    assert largest_working(lambda size: True, first, limit=17) == 17


def test_not_even_one_row_is_an_error_that_says_what_to_change():
    with pytest.raises(ValueError, match=r"not even one row.*gradient_checkpointing.*max_source_tokens"):
        largest_working(lambda size: False, 100, 1000)


@pytest.fixture
def module(adapted):
    model = adapted("lora")
    loss = BatchLoss(model, model.get_output_embeddings().weight, Acceleration(False, False), 0.0)
    logged = {}
    logger = SimpleNamespace(log_hyperparams=logged.update)
    return SimpleNamespace(
        model=model,
        batch_loss=loss,
        label_smoothing=0.0,
        device=torch.device("cpu"),
        adaptation="lora",
        lora=Lora(rank=4),
        gradient_checkpointing=False,
        optimizer=torch.optim.AdamW,
        loggers=[logger],
        logged=logged,
        trainer=SimpleNamespace(
            precision_plugin=Precision(),
            precision="32-true",
            world_size=1,
            strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor),
        ),
    )


def longest(rows: int):
    return longest_batch(SummarizationCollator(0, 1, ["tr"], rows, Padding()), rows, 60, 14)


def test_a_trial_leaves_weights_gradients_and_random_numbers_as_they_were(module):
    weights = {name: p.clone() for name, p in module.model.named_parameters()}
    state = torch.get_rng_state()
    assert passes(module, longest(3), reserve=1000)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(p, weights[name]) for name, p in module.model.named_parameters())
    assert all(p.grad is None for p in module.model.parameters())


def test_running_out_of_memory_is_an_answer_and_any_other_error_is_not(module, monkeypatch):
    def fail(error):
        def call(self, batch):
            raise error

        monkeypatch.setattr(BatchLoss, "__call__", call)

    fail(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert not passes(module, longest(3), reserve=0)
    fail(RuntimeError("shapes"))
    with pytest.raises(RuntimeError, match="shapes"):
        passes(module, longest(3), reserve=0)


def test_it_tries_the_longest_batch_beside_the_optimizers_state(module, monkeypatch):
    shapes, reserves = [], set()

    def limited(module, batch, reserve):
        shapes.append(tuple(batch["input_ids"].shape))
        reserves.add(reserve)
        return len(batch["input_ids"]) <= 9

    monkeypatch.setattr(batch_size, "available_bytes", lambda device: 2**28)
    monkeypatch.setattr(batch_size, "passes", limited)
    trainable = sum(p.numel() for p in module.model.parameters() if p.requires_grad)
    found = find_batch_size(module, longest, limit=100)
    assert module.logged == {"data/batch_size": found} and 7 <= found <= 9
    assert {width for _, width in shapes} == {64}
    assert reserves == {round(12 * trainable + 0.05 * 2**28)}


def test_all_devices_take_the_smallest_answer(module, monkeypatch):
    def smallest(tensor, reduce_op):
        assert reduce_op == "min"
        return torch.minimum(tensor, torch.tensor(5))

    module.trainer.strategy.reduce = smallest
    monkeypatch.setattr(batch_size, "available_bytes", lambda device: 2**28)
    monkeypatch.setattr(batch_size, "passes", lambda module, batch, reserve: len(batch["input_ids"]) <= 16)
    assert find_batch_size(module, longest, limit=100) == 5

"""Where a resumed run begins; tests/test_resume.py shows that it then equals an uninterrupted one."""

from types import SimpleNamespace

import pytest
from corpora import names_of


def one_of(devices, **attributes):
    connector = SimpleNamespace(use_distributed_sampler=False)
    options = {
        "world_size": devices,
        "global_rank": 0,
        "accumulate_grad_batches": 1,
        "num_training_batches": float("inf"),
        "_accelerator_connector": connector,
    }
    return SimpleNamespace(**options, **attributes)


@pytest.fixture
def save_after():
    """Iterates the training rows and returns the state after some batches of an epoch, as a checkpoint holds it."""

    def save(data, batches, epoch=0):
        current = SimpleNamespace(ready=batches, processed=batches)
        progress = SimpleNamespace(current=current, is_last_batch=False)
        loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
        data.trainer = one_of(1, fit_loop=loop)
        data.train_dataloader().sampler.set_epoch(epoch)
        return data.state_dict()

    return save


@pytest.mark.parametrize(("epoch", "taken"), [(0, 5), (3, 1)])
def test_resumed_run_gets_the_rest_of_the_epoch(make_data, save_after, epoch, taken):
    data, resumed = make_data(), make_data()
    resumed.load_state_dict(save_after(data, taken, epoch))
    whole = data.train_dataloader()
    whole.sampler.set_epoch(epoch)
    assert names_of(resumed.train_dataloader()) == names_of(whole)[taken:]


def test_run_that_stopped_at_an_epochs_end_gets_the_whole_next_one(make_data, save_after):
    data, resumed = make_data(), make_data()
    resumed.load_state_dict(save_after(data, 13, epoch=2))
    whole = data.train_dataloader()
    whole.sampler.set_epoch(3)
    assert names_of(resumed.train_dataloader()) == names_of(whole)


CHANGES = [
    {"batch_size": 2},
    {"batch_size": 40},
    {"seed": 1},
    {"temperature": 2.0},
    {"max_source_tokens": 20},
    {"train_caps": {"tr": 5}},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_change_of_the_order_inside_an_epoch_is_refused(make_data, save_after, change):
    resumed = make_data(**change)
    resumed.load_state_dict(save_after(make_data(), 5))
    name = next(iter(change)) if next(iter(change)) in ("batch_size", "seed", "temperature") else "rows"
    with pytest.raises(ValueError, match=rf"stopped inside epoch 0 \(batch 5\).*{name} was .*, is "):
        resumed.train_dataloader()


def test_other_number_of_devices_goes_on_with_as_many_rows_over_all(make_data, save_after):
    state = save_after(make_data(batch_size=8), 2)
    resumed = make_data(batch_size=4)
    resumed.trainer = one_of(2)
    resumed.load_state_dict(state)
    sampler = resumed.train_dataloader().sampler
    assert (sampler.epoch, sampler.world_size, len(list(sampler))) == (0, 2, 5)
    resumed.trainer = one_of(3)
    with pytest.raises(ValueError, match="global_batch_size was 8, is 12"):
        resumed.train_dataloader()


@pytest.mark.parametrize("change", [{"batch_size": 2}, {"train_caps": {"tr": 5}}], ids=str)
@pytest.mark.parametrize("taken", [0, 13])
def test_change_of_the_order_between_epochs_is_accepted(make_data, save_after, change, taken):
    resumed = make_data(**change)
    resumed.load_state_dict(save_after(make_data(), taken))
    sampler = resumed.train_dataloader().sampler
    assert len(list(sampler)) == len(sampler)
    assert sampler.epoch == (taken == 13)


def test_module_without_a_trainer_has_no_position(make_data):
    data = make_data()
    assert data.state_dict() == {}
    data.load_state_dict({})
    assert len(names_of(data.train_dataloader())) == 13

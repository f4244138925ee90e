from types import SimpleNamespace

import pytest
import torch

from datamodules.collate import IGNORED_LABEL
from datamodules.longest_batch import require_gpu, resumed_batch_size


@pytest.mark.parametrize(("source_tokens", "target_tokens"), [(64, 16), (9, 5)])
def test_the_longest_batch_is_as_wide_as_any_of_an_epoch_and_full(make_data, source_tokens, target_tokens):
    data = make_data(max_source_tokens=source_tokens, max_target_tokens=target_tokens, truncate_targets="token")
    batch, batches = data.longest_batch(4), list(data.train_dataloader())
    for name in ("input_ids", "labels", "decoder_input_ids"):
        assert batch[name].shape[1] == max(one[name].shape[1] for one in batches)
    assert batch.keys() == batches[0].keys()
    lengths = column_maxima(data)
    assert batch["attention_mask"].sum(1).tolist() == [lengths["input_ids"]] * 4
    assert (batch["labels"] != IGNORED_LABEL).sum(1).tolist() == [lengths["labels"]] * 4


def column_maxima(data):
    rows = data.rows("train")
    return {name: max(map(len, rows[name])) for name in ("input_ids", "labels")}


def test_a_resumed_run_keeps_its_batches(make_data):
    data = make_data(batch_size="auto")
    data.load_state_dict({"epoch": 0, "batch": 0, "batches": 9, "order": {"global_batch_size": 6}})
    data.trainer = SimpleNamespace(
        world_size=2,
        global_rank=0,
        accumulate_grad_batches=1,
        _accelerator_connector=SimpleNamespace(use_distributed_sampler=False),
    )
    assert {len(batch["input_ids"]) for batch in data.train_dataloader()} == {3}


def test_batches_that_devices_cannot_share_are_refused():
    assert resumed_batch_size(12, 3) == 4
    with pytest.raises(ValueError, match=r"12 rows cannot be shared out among 5 devices.*trainer.devices"):
        resumed_batch_size(12, 5)


def test_without_a_trainer_there_is_no_gpu_to_fill(make_data):
    with pytest.raises(ValueError, match="needs a trainer"):
        make_data(batch_size="auto").train_dataloader()


def test_only_a_gpu_is_filled():
    require_gpu(torch.device("cuda", 1))
    with pytest.raises(ValueError, match="device cpu"):
        require_gpu(torch.device("cpu"))


def test_a_number_or_auto(make_data):
    with pytest.raises(ValueError, match="batch_size is 0"):
        make_data(batch_size=0)

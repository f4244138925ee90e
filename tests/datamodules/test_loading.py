import io
import os
import pickle
import signal
import subprocess
import sys
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datamodules.collate import SummarizationCollator
from datamodules.loading import EncodedRows, build_loader, label_counts
from datamodules.packed_batch import PackedBatch
from datamodules.sampling import Share
from datamodules.storage import explain_storage_failure

ROOT = Path(__file__).parents[2]
BATCH = {
    "ids": ["a", "b"],
    "input_ids": torch.arange(6).view(2, 3),
    "loss_divisor": torch.tensor(3.5),
    "flags": torch.tensor([True, False, True]),
    "languages": ["tr", "en"],
    "labels": torch.arange(4).view(2, 2),
}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == second[name].dtype
            assert torch.equal(value, second[name])
        else:
            assert value == second[name]


@pytest.fixture
def rows(prepare_sources, sources):
    splits, _ = prepare_sources(*sources)
    return splits["train"]


def test_packed_batch_holds_the_same_in_one_buffer():
    packed = PackedBatch.pack(BATCH)
    assert_equal(packed, BATCH)
    assert (
        len({value.untyped_storage().data_ptr() for value in packed.values() if isinstance(value, torch.Tensor)}) == 1
    )


def test_batch_is_handed_over_as_one_tensor():
    buffer = io.BytesIO()
    ForkingPickler(buffer).dump(PackedBatch.pack(BATCH))
    assert buffer.getvalue().count(b"rebuild_tensor") == 1
    assert_equal(pickle.loads(buffer.getvalue()), BATCH)


def test_batch_on_a_device_can_be_saved_without_code(tmp_path):
    torch.save(PackedBatch.pack(BATCH).to(torch.device("cpu")), tmp_path / "batch.pt")
    assert_equal(torch.load(tmp_path / "batch.pt", weights_only=True), BATCH)


@pytest.mark.gpu
def test_batch_comes_to_the_gpu_from_pinned_memory():
    pinned = PackedBatch.pack(BATCH).pin_memory()
    assert pinned["labels"].is_pinned()
    moved = pinned.to(torch.device("cuda"))
    assert moved["labels"].is_cuda
    assert_equal(
        {name: value.cpu() if isinstance(value, torch.Tensor) else value for name, value in moved.items()}, BATCH
    )


def test_full_shared_memory_ends_the_run_instead_of_stopping_it_for_ever(rows, tiny_tokenizer, monkeypatch):
    def share(tensor):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_7>: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", share)
    collator = SummarizationCollator(0, tiny_tokenizer.eos_token_id, ["tr", "it"], rows=2)
    with pytest.raises(RuntimeError) as caught:
        next(iter(build_loader(EncodedRows(rows, texts=False), [Share([0, 30], 4.0)], collator, 1, seed=0)))
    assert "Set data.num_workers to 0" in explain_storage_failure(caught.value)


@given(sizes=st.lists(st.integers(0, 20), min_size=1, max_size=6), dtype=st.sampled_from([torch.int8, torch.float32]))
def test_tensors_of_any_size_lie_apart(sizes, dtype):
    batch = {f"{index}": torch.full((size,), index, dtype=dtype) for index, size in enumerate(sizes)}
    batch["last"] = torch.arange(3)
    assert_equal(PackedBatch.pack(batch), batch)


def test_rows_come_in_the_order_of_the_share(rows):
    table, divisor = EncodedRows(rows, texts=True)[Share([3, 1], 2.5)]
    assert divisor == 2.5
    assert table["id"].to_pylist() == [rows[3]["id"], rows[1]["id"]]
    assert table["article"].to_pylist() == [rows[3]["article"], rows[1]["article"]]
    assert "article" not in EncodedRows(rows, texts=False)[Share([3])][0].column_names


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_collates_every_share_even_an_empty_one(rows, tiny_tokenizer, workers):
    collator = SummarizationCollator(0, tiny_tokenizer.eos_token_id, ["tr", "it"], rows=2)
    shares = [Share([0, 30], 4.0), Share([], 1.0)]
    batches = list(build_loader(EncodedRows(rows, texts=False), shares, collator, workers, seed=0))
    assert [batch["ids"] for batch in batches] == [[rows[0]["id"], rows[30]["id"]], []]
    assert [batch["loss_divisor"].item() for batch in batches] == [4.0, 1.0]
    assert batches[0]["labels"][1, : len(rows[30]["labels"])].tolist() == rows[30]["labels"]


def test_workers_leave_it_to_the_training_process_to_answer_sigterm(rows, tiny_tokenizer):
    collator = SummarizationCollator(0, tiny_tokenizer.eos_token_id, ["tr", "it"])
    shares = [Share([row]) for row in range(8)]
    batches = iter(build_loader(EncodedRows(rows, texts=False), shares, collator, 1, seed=0))
    first = next(batches)
    os.kill(batches._workers[0].pid, signal.SIGTERM)
    assert [batch["ids"] for batch in (first, *batches)] == [[rows[row]["id"]] for row in range(8)]


@pytest.mark.slow
def test_a_process_ends_while_its_loader_still_works():
    script = """
from datamodules.loading import build_loader
batches = iter(build_loader([{}] * 100, range(100), lambda row: row, 1, seed=0))
next(batches)
raise SystemExit(3)
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=30).returncode == 3


def test_labels_are_counted_also_of_chosen_rows(rows):
    chosen = rows.select([5, 2, 9])
    assert label_counts(chosen).tolist() == [len(labels) for labels in chosen["labels"]]
    assert label_counts(rows).tolist() == [len(labels) for labels in rows["labels"]]

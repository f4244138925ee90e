"""Memory is capped in mid-run by what the training took, and let go again; BERTScore on the GPU begins after that."""

from types import SimpleNamespace

import pytest
import torch

from case_study import gpu_memory
from case_study.gpu_memory import PEAK, BertScoreOnGpu, MemoryCap

GPU, CPU = torch.device("cuda", 1), torch.device("cpu")


def at(step: int, peak: float | None = 2.0, fn: str = "fit") -> SimpleNamespace:
    """A trainer in a validation, of 60 steps."""
    metrics = {} if peak is None else {PEAK: torch.tensor(peak)}
    state = SimpleNamespace(fn=fn)
    settings = {"callback_metrics": metrics, "state": state, "sanity_checking": False, "loggers": []}
    return SimpleNamespace(global_step=step, max_steps=60, **settings)


@pytest.fixture
def fractions(monkeypatch) -> list[tuple[float, torch.device]]:
    """What the process is allowed of a GPU of 8 GiB."""
    found: list[tuple[float, torch.device]] = []
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=8 * 2**30))

    def allow(fraction: float, device: torch.device) -> None:
        torch.cuda._utils._get_device_index(device)  # as PyTorch's own, which refuses a CPU
        found.append((fraction, device))

    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", allow)
    return found


def test_memory_is_capped_once_and_let_go_when_the_model_is_on_the_cpu(fractions):
    cap = MemoryCap(spare_gib=0.5)
    for step, peak in ((10, 1.0), (20, None), (30, 2.0), (40, 3.0)):
        cap.on_validation_end(at(step, peak), SimpleNamespace(device=GPU))
    assert fractions == [(2.5 / 8, GPU)]
    cap.teardown(at(60), SimpleNamespace(device=CPU), "fit")
    assert fractions[1:] == [(1.0, GPU)]


def test_what_was_not_capped_is_not_let_go(fractions):
    cap = MemoryCap(spare_gib=0.5)
    cap.on_validation_end(at(40, fn="validate"), SimpleNamespace(device=GPU))
    cap.teardown(at(40), SimpleNamespace(device=CPU), "validate")
    assert fractions == []


def test_bertscore_comes_to_the_gpu_after_the_cap(monkeypatch):
    scored: list[int] = []
    monkeypatch.setattr(gpu_memory, "_GpuScorer", lambda *_, **__: SimpleNamespace(score=lambda *_: scored.append(now)))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 0)
    callback = BertScoreOnGpu("encoder")
    module = SimpleNamespace(device=GPU, evaluation=SimpleNamespace(summaries=[]))
    for now in (10, 20, 30, 40):
        callback.on_validation_epoch_end(at(now), module)
    assert scored == [30, 40]


@pytest.mark.parametrize("callback", [MemoryCap(spare_gib=0.5), BertScoreOnGpu("encoder")])
def test_without_a_gpu_there_is_nothing_to_run_out_of(callback):
    with pytest.raises(ValueError, match=r"chose cpu\. Use gpu"):
        callback.on_fit_start(None, SimpleNamespace(device=CPU))

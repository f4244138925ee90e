"""A rehearsal of the speed benchmark on a CPU: that it measures the right thing, not how fast that is."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForSeq2SeqLM
from transformers.modeling_layers import GradientCheckpointingLayer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import recipe_rows  # noqa: E402
import seed_recipe  # noqa: E402
import training_speed  # noqa: E402
from main_job import with_weights  # noqa: E402
from step_clock import StepClock  # noqa: E402
from step_flops import forward_flops, step_flops  # noqa: E402
from step_profile import count_events  # noqa: E402
from synthetic_rows import synthetic_rows  # noqa: E402
from training_recipes import RowsDataModule, parse_variant, train_ozet, train_seed  # noqa: E402

TINY = ROOT / "tests" / "random-mt5"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(with_weights(TINY, tmp_path_factory.mktemp("base")))


def options(**changes) -> SimpleNamespace:
    settings = {"only": "ozet", "batch_sizes": [1, 2], "warmup": 1, "steps": 3, "row_seconds": 30.0, "profile": False}
    settings |= {"batches": 2, "source_tokens": 8, "memory_cap_gib": None, "matrix_size": 16}
    return SimpleNamespace(**(settings | {"variants": {"ozet": []}} | changes))


# -- the seed's recipe -------------------------------------------------------------------------------------------------


def test_the_seed_is_adapted_and_held_as_in_the_notebook(base: str, tmp_path: Path) -> None:
    rows = synthetic_rows(3, 8)
    trainer = seed_recipe.make_trainer(base, rows, seed_recipe.training_arguments(str(tmp_path)))
    model = trainer.model
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert {name.split(".")[-4] for name in trained} == {"q", "v"}
    assert sum(p.numel() for p in trained.values()) == 6 * 2 * 16 * (128 + 128)  # attentions, layers, rank, widths
    four_bit = [p for p in model.parameters() if hasattr(p, "quant_state")]
    assert {(p.quant_state.quant_type, p.quant_state.nested) for p in four_bit} == {("nf4", False)}
    assert {p.dtype for p in model.parameters()} == {torch.uint8, torch.float32}
    assert model.config._attn_implementation == "eager"
    assert not torch.equal(model.get_input_embeddings().weight, model.get_output_embeddings().weight)
    assert trainer.args.gradient_accumulation_steps * trainer.args.per_device_train_batch_size == 64
    blocks = [block for block in model.modules() if isinstance(block, GradientCheckpointingLayer)]
    assert all(block.gradient_checkpointing for block in blocks)
    assert blocks
    assert seed_recipe.summarize(trainer, rows, beams=2, new_tokens=3).shape == (3, 20)  # padded to its usual length


# -- both, side by side ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["seed", "ozet"])
def test_every_step_is_timed_and_takes_a_batch(base: str, recipe: str) -> None:
    clock = StepClock(warmup=1, steps=3, seconds=60)
    rows = synthetic_rows(8, 8)
    if recipe == "seed":
        config = train_seed(base, rows, 2, clock)
    else:
        config = train_ozet(base, rows, 2, clock, ["model.lora.targets=[q,v]", "data.num_workers=0"])
    result = clock.result()
    assert len(result["ms"]) == 3
    assert 4 <= len(clock.waits) <= 5  # perhaps one ahead
    assert 0 < result["wait_share"] < 1
    assert clock.sizes["gradients"] == 4 * 6 * 2 * 16 * (128 + 128)
    assert clock.sizes["optimizer"] == pytest.approx(2 * clock.sizes["gradients"], rel=0.01)  # AdamW's two moments
    assert config.d_model == 128


def test_both_take_the_same_rows_in_their_order(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = synthetic_rows(4, 8)
    data = RowsDataModule(num_workers=0).bind(base, rows, 2, waits := [])
    ours = [row[row >= 0].tolist() for batch in data.train_dataloader() for row in batch["labels"]]
    seen: list[list[int]] = []
    collate = seed_recipe.DataCollatorForSeq2Seq.__call__

    def spy(self, features, *arguments):
        seen.extend(list(feature["labels"]) for feature in features)
        return collate(self, features, *arguments)

    monkeypatch.setattr(seed_recipe.DataCollatorForSeq2Seq, "__call__", spy)
    clock = StepClock(1, 1, 60)
    train_seed(base, rows, 2, clock)
    assert ours == seen == rows["labels"][:]
    assert len(waits) == 2


def test_targets_are_as_long_as_stated() -> None:
    lengths = [len(labels) for labels in synthetic_rows(4000, 2)["labels"]]
    assert mean(lengths) == pytest.approx(60, abs=1.5)
    assert (min(lengths), max(lengths)) == (4, 128)


def test_a_variant_takes_the_settings_of_train_py() -> None:
    variant = parse_variant(
        ["model.base=x", "model.lora.rank=3", "model.optimizer=torch.optim.SGD", "data.num_workers=0"]
    )
    assert (variant.model.lora.rank, variant.data.num_workers) == (3, 0)
    assert isinstance(variant.model.optimizer([torch.nn.Parameter(torch.ones(1))]), torch.optim.SGD)
    with pytest.raises(SystemExit):
        parse_variant(["model.base=x", "model.lora.rnak=3"])


def test_a_recipes_own_process_prints_its_rows_alone(base: str, tmp_path: Path, monkeypatch, capfd) -> None:
    sizes = ["--batch-sizes", "1", "--source-tokens", "8", "--warmup", "1", "--steps", "3", "--matrix-size", "16"]
    variant = ["--only", "plain", "--variant", "plain", "data.num_workers=0", "model.lora.rank=2"]
    stdout = os.dup(1)
    with open(1, "w", closefd=False) as real:
        monkeypatch.setattr(sys, "stdout", real)  # as in a process that pytest does not watch
        training_speed.main(["--base", base, "--output", str(tmp_path / "unused.json"), *sizes, *variant])
    os.dup2(stdout, 1)
    os.close(stdout)
    printed = capfd.readouterr()
    machine, row = map(json.loads, printed.out.splitlines())
    assert machine["machine"]["versions"]["torch"] == torch.__version__
    assert (row["row"]["recipe"], row["row"]["batch_size"], len(row["row"]["ms"])) == ("plain", 1, 3)
    assert row["row"]["matrix_share"] > 0
    assert "loss=" in printed.err  # the progress bar


def test_recipes_take_turns_and_what_they_print_is_collected(tmp_path: Path, monkeypatch, capsys) -> None:
    recipe = tmp_path / "recipe.sh"  # instead of Python
    recipe.write_text(
        """#!/bin/sh
        for name; do true; done  # the last argument
        echo '{"machine": {"device": "H200"}, "matrix_tflops": 790}'
        echo '{"row": {"recipe": "'$name'", "batch_size": 2, "ms": [10, 30, 20], '\\
        '"warm_up_seconds": 0, "wait_share": 0}}'
        echo "in $2" >&2
        test $name = seed
        """
    )
    recipe.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(recipe))
    output = tmp_path / "result.json"
    training_speed.main(["--base", str(TINY), "--output", str(output), "--rounds", "2", "--recipes", "seed", "ozet"])
    result = json.loads(output.read_text())
    assert [(end["recipe"], end["round"], end["exit_code"]) for end in result["ended"]] == [
        ("seed", 0, 0),
        ("ozet", 0, 1),
        ("seed", 1, 0),
        ("ozet", 1, 1),
    ]
    assert [(one["recipe"], one["rounds"], one["articles_per_s"]) for one in result["summary"]] == [
        ("ozet", 2, 100),
        ("seed", 2, 100),
    ]
    assert (result["device"], result["matrix_tflops"], result["base"]) == ("H200", [790] * 4, "random-mt5")
    assert output.with_suffix(".log").read_text() == "in --base\n" * 4
    printed = capsys.readouterr().out
    assert printed.count("100.0 articles/s") == 4
    assert "ozet, round 1: exit code 1; see the log" in printed


def test_time_that_is_up_ends_a_recipe_and_leaves_the_result(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    training_speed.main(["--base", str(TINY), "--output", str(output), "--seconds", "0.3", "--recipes", "seed", "ozet"])
    assert [end["exit_code"] for end in json.loads(output.read_text())["ended"]] == [-9, -9]


def test_unknown_recipes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        training_speed.main(["--base", "x", "--output", "y", "--recipes", "sede"])
    assert "['seed', 'ozet, q and v', 'ozet']" in capsys.readouterr().err


# -- what is out of memory ---------------------------------------------------------------------------------------------


def test_out_of_memory_is_a_row_and_the_next_size_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_, batch_size, rate):
        if batch_size == 1:
            raise ValueError("Lower data.batch_size.") from torch.OutOfMemoryError("CUDA out of memory.")
        return {"ms": [1.0]}

    monkeypatch.setattr(recipe_rows, "measure_row", run)
    messages: list[dict] = []
    recipe_rows.measure_recipe(options(), messages.append)
    assert [message["row"].get("out_of_memory") for message in messages[1:]] == [True, None]


def test_other_errors_are_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(recipe_rows, "measure_row", run)
    with pytest.raises(RuntimeError, match="shapes"):
        recipe_rows.measure_recipe(options(), lambda message: None)


# -- arithmetic --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapted", [["q", "v"], "all-linear"])
def test_operations_are_those_that_torch_counts(adapted) -> None:
    config = AutoConfig.from_pretrained(TINY)
    model = AutoModelForSeq2SeqLM.from_config(config, attn_implementation="eager")
    lora = LoraConfig(r=4, target_modules=adapted, task_type="SEQ_2_SEQ_LM")
    model = get_peft_model(model, lora).train()
    with FlopCounterMode(display=False) as forward:
        loss = model(input_ids=torch.full((2, 24), 300), labels=torch.full((2, 8), 300)).loss
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    counted = forward.get_total_flops()
    assert forward_flops(config, [24] * 2, [8] * 2, adapted, 4) == counted
    # Torch leaves out a little more: the first layer's keys, and inputs of its adapters, need no gradient.
    assert step_flops(config, [24] * 2, [8] * 2, adapted, 4) == pytest.approx(
        counted + backward.get_total_flops(), rel=0.004
    )


def test_rows_of_unequal_lengths_add_up() -> None:
    config = AutoConfig.from_pretrained(TINY)
    whole = step_flops(config, [24, 16], [8, 5], ["q"], 4)
    assert whole == step_flops(config, [24], [8], ["q"], 4) + step_flops(config, [16], [5], ["q"], 4)


def test_the_warm_up_ends_with_its_last_slow_step() -> None:
    clock = StepClock(warmup=4, steps=3, seconds=60)
    clock.started, clock.waits = clock.created + 2, [9.0] * 4 + [0.1, 0.2, 0.3]
    clock.marks = [0, 5, 6, 16, 17, 18, 19, 22]  # 5 s, 1, 10, 1; then 1, 1, 3 that count
    result = clock.result()
    assert result["ms"] == [1000, 1000, 3000]
    assert (result["warm_up_seconds"], result["load_seconds"]) == (16, pytest.approx(2))
    assert result["wait_share"] == pytest.approx(0.6 / 5)


def test_a_clock_stops_when_its_time_is_up_and_three_steps_count() -> None:
    clock = StepClock(warmup=1, steps=100, seconds=0)
    layer = torch.nn.Linear(1, 1)
    clock.start(layer, torch.optim.SGD(layer.parameters()))
    assert [clock.step() for _ in range(4)] == [False, False, False, True]


def test_rounds_are_pooled() -> None:
    def row(batch_size: int, *ms: float, **more: float) -> dict:
        return {"recipe": "ozet", "batch_size": batch_size, "ms": ms, "warm_up_seconds": 1.0, "wait_share": 0.5, **more}

    lost = {"recipe": "ozet", "batch_size": 16, "out_of_memory": True}
    small, large, none = training_speed.summarize(
        [row(2, 9, 10, 11, matrix_share=0.1), row(8, 40, 40, 40), lost, row(2, 20, 30, 40, matrix_share=0.3)]
    )
    assert (small["ms_per_step"], small["ms_least"], small["ms_greatest"]) == (15.5, 9, 40)
    assert (small["rounds"], small["round_medians"], small["warm_up_seconds"]) == (2, [10, 30], [1.0, 1.0])
    assert small["articles_per_s"] == pytest.approx(2000 / 15.5)
    assert small["matrix_share"] == pytest.approx(0.2)
    assert (large["articles_per_s"], none["out_of_memory"], none["batch_size"]) == (200, True, 16)


def test_a_profile_is_summed_up_by_step() -> None:
    def event(name: str, start: int, end: int, device: DeviceType = DeviceType.CUDA, **more) -> FunctionEvent:
        return FunctionEvent(0, name, 0, start, end, device_type=device, **more)

    host = ("cudaLaunchKernel", "cudaGraphLaunch", "cudaStreamSynchronize", "aten::item", "aten::_local_scalar_dense")
    counts = count_events(
        [
            event("ampere_gemm", 1000, 3000),
            event("softmax", 2000, 4000),  # beside the former
            event("Memcpy DtoH (Device -> Pinned)", 8000, 9000),
            event("Optimizer.step#AdamW.step", 0, 9000, is_user_annotation=True),
            *(event(name, 0, 1, DeviceType.CPU) for name in (*host, "cudaDeviceSynchronize")),
        ],
        steps=2,
    )
    assert (counts["kernels"], counts["launches"], counts["copies_to_host"], counts["items"]) == (1, 1, 0.5, 0.5)
    assert (counts["gpu_busy_ms"], counts["span_ms"], counts["busy_share"]) == (2, 4, 0.5)
    assert counts["synchronisations"] == 0.5  # without the one that ends the profile

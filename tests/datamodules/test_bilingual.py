from types import SimpleNamespace

import numpy as np
import pytest
import torch
from corpora import SPLIT_SIZES, TRAIN_ONLY, names_of, pair, write_jsonl

from datamodules.bilingual import BilingualDataModule
from datamodules.collate import IGNORED_LABEL, Padding
from datamodules.sources import SummarizationSource


def assert_equal_batches(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]) if isinstance(value, torch.Tensor) else value == second[name]


@pytest.mark.parametrize("stage", ["train", "val", "test", "predict"])
def test_worker_processes_change_no_batch(make_data, stage):
    batches = {}
    for workers in (0, 2):
        data = make_data(num_workers=workers, eval_batch_growth=1)
        batches[workers] = next(iter(getattr(data, f"{stage}_dataloader")()))
    assert_equal_batches(batches[0], batches[2])
    rows, eos = (4 if stage == "train" else 6), data.tokenizer.eos_token_id
    assert batches[0]["input_ids"].shape == batches[0]["attention_mask"].shape == (rows, 64)
    assert batches[0]["labels"].shape == (rows, 16)
    last = (batches[0]["labels"] != IGNORED_LABEL).sum(1) - 1
    assert batches[0]["labels"][torch.arange(rows), last].tolist() == [eos] * rows


def test_only_evaluation_has_texts_and_only_training_divisors(make_data):
    data = make_data()
    training, evaluation = (next(iter(loader)) for loader in (data.train_dataloader(), data.val_dataloader()))
    assert training.keys() - evaluation.keys() == {"loss_divisor"}
    assert evaluation.keys() - training.keys() == {"articles", "summaries"}
    labels = (training["labels"] != IGNORED_LABEL).sum()
    assert training["loss_divisor"] == labels == (training["label_ids"] != IGNORED_LABEL).sum()


def test_every_training_batch_has_the_same_number_of_rows(make_data):
    batches = list(make_data(batch_size=5).train_dataloader())
    assert {len(batch["input_ids"]) for batch in batches} == {5}
    assert sorted({len(batch["ids"]) for batch in batches}) == [2, 5]


def test_batches_of_short_articles_hold_more_rows(make_data):
    sizes = {
        growth: [len(ids) for ids in names_of(make_data(eval_batch_growth=growth).val_dataloader())]
        for growth in (1, 2)
    }
    assert sizes == {1: [6, 6, 2], 2: [12, 2]}


def test_shapes_are_configurable(make_data):
    data = make_data(padding=Padding(source_multiple=100, target_multiple=30, label_multiple=70))
    batch = next(iter(data.train_dataloader()))
    assert batch["input_ids"].shape == (4, 100)
    assert batch["labels"].shape == (4, 30)
    assert batch["label_ids"].shape == (70,)


def test_batch_on_its_device_is_an_ordinary_one(make_data):
    data = make_data()
    batch = next(iter(data.val_dataloader()))
    moved = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert type(moved) is dict
    assert moved.keys() == batch.keys()
    for name, value in moved.items():
        assert value.is_meta if isinstance(value, torch.Tensor) else value is batch[name]


def test_fewer_rows_than_devices_are_refused(make_data):
    data = make_data()
    connector = SimpleNamespace(use_distributed_sampler=False)
    data.trainer = SimpleNamespace(world_size=11, global_rank=0, _accelerator_connector=connector)
    assert len(data.val_dataloader()) == 1
    with pytest.raises(ValueError, match="10 test rows leave some of 11 devices without any"):
        data.test_dataloader()


@pytest.mark.parametrize(("stage", "size"), [("train", 52), ("val", 14), ("test", 10), ("predict", 10)])
def test_loader_yields_every_row_of_both_languages_once(make_data, stage, size):
    loader = getattr(make_data(), f"{stage}_dataloader")()
    names = [name for batch in names_of(loader) for name in batch]
    assert len(names) == len(set(names)) == size
    assert {language for batch in loader for language in batch["languages"]} == {"tr", "it"}


def test_languages_come_once_in_the_order_of_the_sources(sources, random_mt5):
    assert BilingualDataModule([*sources, sources[0]], str(random_mt5)).languages == ["tr", "it"]


def test_seed_decides_the_training_order(make_data):
    first, same, other = (names_of(make_data(seed=seed).train_dataloader()) for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_temperature_lifts_the_smaller_language(make_data):
    data = make_data(train_caps={"it": 4}, temperature=float("inf"))
    languages = [language for batch in data.train_dataloader() for language in batch["languages"]]
    assert np.unique(languages, return_counts=True)[1].tolist() == [15, 15]


def test_reading_batches_draws_nothing_from_the_global_generator(make_data):
    before = torch.get_rng_state()
    next(iter(make_data().train_dataloader()))
    assert torch.equal(torch.get_rng_state(), before)


def test_report_tells_every_split(make_data, capsys):
    report = make_data().report
    assert {(split.language, split.split): split.kept for split in report.splits} == {
        (language, split): size for language in ("tr", "it") for split, size in SPLIT_SIZES.items()
    }
    assert "tr.jsonl" in capsys.readouterr().out


def test_strict_refuses_with_counts(make_data, sources):
    with open(sources[0].path, "a") as file:
        file.write('{"split": "test"}\n{\n{\n')
    assert make_data(strict=False).report.problems() == {"unreadable": 2, "empty_article": 1}
    with pytest.raises(ValueError, match=r"strict refuses .*: unreadable 2, empty_article 1"):
        make_data(strict=True)


def test_strict_accepts_clean_data_and_caps(make_data):
    assert make_data(strict=True, train_caps={"tr": 3}).report.problems() == {}


@pytest.mark.parametrize(
    "setting", [{"train_caps": {"de": 5}}, {"prefixes": {"de": "Fasse: "}}, {"known_texts": {"de": []}}], ids=str
)
def test_unknown_language_is_refused(sources, setting):
    with pytest.raises(ValueError, match=f"data.{next(iter(setting))} names language 'de', .* have tr, it"):
        BilingualDataModule(sources, "nowhere", **setting)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_source_tokens", 1),
        ("max_target_tokens", 1),
        ("batch_size", 0),
        ("eval_batch_size", 0),
        ("eval_batch_growth", 0),
        ("temperature", 0.5),
        ("temperature", float("nan")),
        ("num_workers", -1),
    ],
)
def test_number_out_of_range_is_refused(sources, name, value):
    with pytest.raises(ValueError, match=f"data.{name} is {value}; it must be at least"):
        BilingualDataModule(sources, "nowhere", **{name: value})


def test_negative_cap_is_refused(sources):
    with pytest.raises(ValueError, match=r"data.train_caps.it is -1; it must be at least 0"):
        BilingualDataModule(sources, "nowhere", train_caps={"it": -1})


def test_no_sources_are_refused():
    with pytest.raises(ValueError, match=r"data.sources is empty"):
        BilingualDataModule([], "nowhere")


@pytest.mark.parametrize("rows", [[pair(0)], ["{"]], ids=["no such split", "no usable row"])
def test_split_without_rows_is_refused_where_it_is_needed(make_data, tmp_path, rows):
    data = make_data(sources=[SummarizationSource("en", write_jsonl(tmp_path / "a.jsonl", rows), splits=TRAIN_ONLY)])
    with pytest.raises(ValueError, match="No source has a usable row of test"):
        data.test_dataloader()
    if rows == ["{"]:
        with pytest.raises(ValueError, match="No source has a usable row of train"):
            data.train_dataloader()

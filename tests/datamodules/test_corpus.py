from types import SimpleNamespace

import numpy as np
import pytest
import torch
from corpora import names_of

from datamodules.corpus import CorpusDataModule
from datamodules.corpus_sources import CorpusSource


def sentences(language: str, count: int) -> str:
    return "".join(f"{language} {number} vapuru limandan geç ayrıldı ve döndü.\n" for number in range(count))


@pytest.fixture
def make_data(tmp_path, random_mt5, tiny_tokenizer, monkeypatch):
    monkeypatch.setattr(
        "datamodules.corpus.load_tokenizer", lambda path, revision: tiny_tokenizer
    )  # loading takes long
    for language, count in {"tr": 600, "it": 150}.items():
        (tmp_path / f"{language}.txt").write_text(sentences(language, count), encoding="utf-8")
    sources = [CorpusSource(language, str(tmp_path / f"{language}.txt")) for language in ("tr", "it")]

    def make(**changes):
        options = {"sources": sources, "input_tokens": 32, "batch_size": 4, "num_workers": 0, "hold_out": 0.1}
        data = CorpusDataModule(tokenizer=str(random_mt5), cache=str(tmp_path / "cache"), **(options | changes))
        data.prepare_data()
        data.setup("fit")
        return data

    return make


def trainer(devices: int = 1, rank: int = 0, taken: int = 0):
    """What a data module sees of one."""
    current = SimpleNamespace(ready=taken, processed=taken)
    progress = SimpleNamespace(current=current, is_last_batch=False)
    return SimpleNamespace(
        world_size=devices,
        global_rank=rank,
        accumulate_grad_batches=1,
        num_training_batches=10**9,
        _accelerator_connector=SimpleNamespace(use_distributed_sampler=False),
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
    )


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]
        for key, value in one.items()
    )


def test_every_batch_has_the_same_shapes_and_no_padding(make_data, tiny_tokenizer):
    data = make_data()
    batches = list(data.train_dataloader())
    assert len(batches) > 20
    shapes = {tuple(value.shape for value in one.values() if isinstance(value, torch.Tensor)) for one in batches}
    lengths = data.lengths
    inputs, targets = (4, lengths.inputs), (4, lengths.targets)
    assert shapes == {(inputs, inputs, targets, targets, (4 * lengths.targets,), (4 * lengths.targets,), (4,))}
    for batch in batches:
        assert batch["tokens"] == 4 * lengths.raw
        assert (batch["attention_mask"] == 1).all()
        assert (batch["input_ids"] != tiny_tokenizer.pad_token_id).all()
        assert (batch["input_ids"][:, -1] == tiny_tokenizer.eos_token_id).all()
        assert torch.equal(batch["labels"].flatten()[batch["label_positions"]], batch["label_ids"])
        assert (batch["decoder_input_ids"][:, 0] == 0).all()
        assert torch.equal(batch["decoder_input_ids"][:, 1:], batch["labels"][:, :-1])


def test_sentinels_descend_from_the_end_of_the_vocabulary(make_data):
    data = make_data(input_tokens=64)
    batch = next(iter(data.train_dataloader()))
    assert data.lengths.spans == 3
    for row in batch["input_ids"].tolist():
        assert [token for token in row if 7_900 <= token < 8_000] == [7_999, 7_998, 7_997]


def test_an_epoch_has_every_block_once_at_temperature_one(make_data):
    data = make_data(batch_size=1)
    names = [name for (name,) in names_of(data.train_dataloader())]
    starts = {name.rsplit("@", 1)[0]: [] for name in names}
    for name in names:
        starts[name.rsplit("@", 1)[0]].append(int(name.rsplit("@", 1)[1]))
    assert len(starts) == 2
    for found in starts.values():
        assert len(set(found)) == len(found)
        assert set(np.diff(np.sort(found))) <= {data.lengths.raw, *range(data.lengths.raw, 2 * data.lengths.raw)}


def test_epochs_differ_in_order_cuts_and_corruption_and_seeds_too(make_data):
    loader, other = make_data().train_dataloader(), make_data(seed=1).train_dataloader()
    first = next(iter(loader))
    assert same(first, next(iter(loader)))
    loader.sampler.set_epoch(1)
    for batch in (next(iter(loader)), next(iter(other))):
        assert batch["ids"] != first["ids"]
        assert not torch.equal(batch["input_ids"], first["input_ids"])
    offsets = set()
    for epoch in range(4):
        loader.sampler.set_epoch(epoch)
        offsets.add(next(iter(loader.sampler)).offset)
    assert len(offsets) > 1


def test_temperature_lifts_the_small_language(make_data):
    def share(temperature):
        batches = list(make_data(temperature=temperature).train_dataloader())
        return np.mean([language == "it" for batch in batches for language in batch["languages"]])

    assert share(1.0) == pytest.approx(0.2, abs=0.04)
    assert share(float("inf")) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("epoch", "taken", "workers"), [(0, 5, 0), (3, 1, 2)])
def test_resumed_run_gets_the_rest_of_the_epoch(make_data, epoch, taken, workers):
    data, resumed = make_data(), make_data(num_workers=workers)
    data.trainer = trainer(taken=taken)
    whole = data.train_dataloader()
    whole.sampler.set_epoch(epoch)
    resumed.load_state_dict(data.state_dict())
    rest = list(whole)[taken:]
    found = list(resumed.train_dataloader())
    assert len(found) == len(rest) > 10
    assert all(same(one, other) for one, other in zip(found, rest, strict=True))


@pytest.mark.parametrize("change", [{"batch_size": 2}, {"seed": 1}, {"temperature": 2.0}, {"hold_out": 0.2}], ids=str)
def test_change_of_the_order_inside_an_epoch_is_refused(make_data, change):
    data, resumed = make_data(), make_data(**change)
    data.trainer = trainer(taken=5)
    data.train_dataloader()
    resumed.load_state_dict(data.state_dict())
    with pytest.raises(ValueError, match=r"stopped inside epoch 0 \(batch 5\)"):
        resumed.train_dataloader()


def test_two_devices_share_the_batches_of_one(make_data):
    alone = list(make_data(batch_size=8).train_dataloader())
    shares = []
    for rank in range(2):
        data = make_data()
        data.trainer = trainer(2, rank)
        shares.append(list(data.train_dataloader()))
    assert len(shares[0]) == len(shares[1]) == len(alone)
    for whole, *parts in zip(alone, *shares, strict=True):
        for rank, part in enumerate(parts):
            assert part["ids"] == whole["ids"][rank::2]
            assert torch.equal(part["labels"], whole["labels"][rank::2])


def test_validation_is_the_same_in_every_run_and_holds_every_language(make_data):
    first, again = (list(make_data(seed=seed, validation_blocks=3).val_dataloader()) for seed in (0, 1))
    assert all(same(one, other) for one, other in zip(first, again, strict=True))
    assert [language for batch in first for language in batch["languages"]] == ["tr"] * 3 + ["it"] * 3


def test_report_counts_documents_tokens_and_blocks(make_data, capsys):
    data = make_data()
    assert "tokens of tr.txt" in capsys.readouterr().out
    assert sum(split.documents for split in data.report.splits) == 750
    train = next(split for split in data.report.splits if (split.language, split.split) == ("tr", "train"))
    assert train.blocks == train.tokens // data.lengths.raw
    assert data.report.scalars()["data/train/tokens/tr"] == train.tokens


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": []}, r"data\.sources is empty"),
        ({"batch_size": 0}, r"data\.batch_size is 0; it must be at least 1"),
        ({"temperature": 0.5}, r"data\.temperature is 0\.5"),
        ({"hold_out": 0.0}, r"data\.hold_out is 0\.0"),
        ({"input_tokens": 4_000, "mean_span": 1.0}, "masked spans, but the tokenizer has 100 sentinels"),
    ],
)
def test_illegal_setting_is_named(make_data, changes, message):
    with pytest.raises(ValueError, match=message):
        make_data(**changes)


def test_texts_that_are_too_few_are_refused(make_data):
    with pytest.raises(ValueError, match="too few for one batch of 4000"):
        make_data(batch_size=4_000).train_dataloader()
    with pytest.raises(ValueError, match="held-out documents of tr do not make one block"):
        make_data(hold_out=0.001, input_tokens=200).val_dataloader()

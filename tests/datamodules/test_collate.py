import pyarrow as pa
import pytest
import torch

from datamodules.collate import IGNORED_LABEL, Padding, SummarizationCollator

PAD, EOS = 0, 1
LANGUAGES = ["en", "it", "tr"]


def rows_of(sources, targets, texts=True):
    names = [f"row-{index}" for index in range(len(sources))]
    written = {"article": [f"article of {name}" for name in names], "summary": [f"summary of {name}" for name in names]}
    ids = pa.list_(pa.int32())
    columns = {
        "id": pa.array(names, pa.string()),
        "language": pa.array(["tr", "it", "en"][: len(names)], pa.string()),
        "input_ids": pa.array(sources, ids),
        "labels": pa.array(targets, ids),
    }
    return pa.table(columns | (written if texts else {}))


def collate(sources, targets, rows=None, padding=Padding(), loss_divisor=None, texts=True):
    collator = SummarizationCollator(PAD, EOS, LANGUAGES, rows, padding)
    return collator((rows_of(sources, targets, texts), loss_divisor))


def text(length, first=5):
    return [*range(first, first + length - 1), EOS]


SOURCES, TARGETS = [text(7), text(3), text(1)], [text(2), text(5), text(4)]
SMALL = Padding(source_multiple=8, target_multiple=4, label_multiple=16)


@pytest.fixture
def batch():
    return collate(SOURCES, TARGETS, padding=SMALL)


def test_labels_are_ignored_only_after_eos(batch):
    for row, target in zip(batch["labels"].tolist(), TARGETS, strict=True):
        assert row == target + [IGNORED_LABEL] * (8 - len(target))


def test_sources_are_padded_and_the_mask_covers_exactly_their_tokens(batch):
    for ids, mask, source in zip(batch["input_ids"].tolist(), batch["attention_mask"].tolist(), SOURCES, strict=True):
        assert ids == source + [PAD] * (8 - len(source))
        assert mask == [1] * len(source) + [0] * (8 - len(source))


def test_decoder_sees_the_labels_before_its_own(batch):
    for ids, target in zip(batch["decoder_input_ids"].tolist(), TARGETS, strict=True):
        assert ids == ([PAD] + target + [PAD] * 8)[:8]


def test_label_positions_select_exactly_the_labels_that_count(batch):
    flat, positions, ids = batch["labels"].flatten(), batch["label_positions"], batch["label_ids"]
    counting = torch.tensor([index for target in TARGETS for index in target])
    assert positions.shape == ids.shape == (16,)
    assert positions[:11].tolist() == (flat != IGNORED_LABEL).nonzero().flatten().tolist()
    assert torch.equal(flat[positions[:11]], counting)
    assert torch.equal(ids[:11], counting)
    assert positions[11:].tolist() == [0] * 5
    assert ids[11:].tolist() == [IGNORED_LABEL] * 5


def test_tensors_are_int64_and_texts_keep_their_order(batch):
    tensors = [value for value in batch.values() if isinstance(value, torch.Tensor)]
    assert {tensor.dtype for tensor in tensors} == {torch.int64}
    assert len(tensors) == 7
    assert batch["ids"] == ["row-0", "row-1", "row-2"]
    assert batch["languages"] == ["tr", "it", "en"]
    assert [LANGUAGES[index] for index in batch["language_index"]] == ["tr", "it", "en"]
    assert batch["articles"][1] == "article of row-1"
    assert batch["summaries"][2] == "summary of row-2"


def test_divisor_comes_along_and_texts_do_not_where_there_are_none():
    batch = collate(SOURCES, TARGETS, texts=False, loss_divisor=16_777_217.5)
    assert batch["loss_divisor"].dtype == torch.float32
    assert batch["loss_divisor"].shape == ()
    assert batch["loss_divisor"].item() == pytest.approx(16_777_217.5)
    assert not {"articles", "summaries"} & batch.keys()


@pytest.mark.parametrize("given", [0, 1, 3])
def test_missing_rows_are_made_up_without_labels(given):
    batch = collate(SOURCES[:given], TARGETS[:given], rows=4, padding=SMALL)
    assert {len(batch[name]) for name in ("input_ids", "attention_mask", "labels", "language_index")} == {4}
    assert len(batch["ids"]) == len(batch["languages"]) == given
    assert batch["input_ids"][given:].tolist() == [[EOS] + [PAD] * 7] * (4 - given)
    assert batch["attention_mask"].sum(1).tolist() == [len(source) for source in SOURCES[:given]] + [1] * (4 - given)
    assert (batch["labels"][given:] == IGNORED_LABEL).all()
    assert (batch["label_ids"] != IGNORED_LABEL).sum() == sum(len(target) for target in TARGETS[:given])
    real = collate(SOURCES[:given], TARGETS[:given], padding=SMALL) if given else {}
    for name in ("input_ids", "attention_mask", "labels", "decoder_input_ids", "language_index"):
        assert not given or torch.equal(batch[name][:given], real[name])


@pytest.mark.parametrize(("length", "width"), [(1, 64), (63, 64), (64, 64), (65, 128), (512, 512)])
def test_sources_are_padded_to_multiples_of_64(length, width):
    batch = collate([text(length)], [text(2)])
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (1, width)


@pytest.mark.parametrize(("length", "width"), [(1, 16), (16, 16), (17, 32), (128, 128)])
def test_targets_are_padded_to_multiples_of_16(length, width):
    batch = collate([text(2)], [text(length)])
    assert batch["labels"].shape == batch["decoder_input_ids"].shape == (1, width)


@pytest.mark.parametrize(("rows", "count"), [(2, 256), (3, 512)])
def test_label_positions_are_filled_up_to_multiples_of_256(rows, count):
    assert collate([text(2)] * rows, [text(128)] * rows)["label_positions"].shape == (count,)


@pytest.mark.parametrize("name", ["source_multiple", "target_multiple", "label_multiple"])
def test_multiple_below_1_is_refused(name):
    with pytest.raises(ValueError, match=f"padding.{name} is 0; it must be at least 1"):
        Padding(**{name: 0})


@pytest.mark.parametrize("name", ["input_ids", "labels"])
@pytest.mark.parametrize("wrong", [[], [5, 6], [EOS, 5], [5, EOS, EOS], [5, EOS, 6, EOS]])
@pytest.mark.parametrize("place", [0, 1])
def test_row_that_does_not_end_in_one_eos_is_refused_by_name(name, wrong, place):
    columns = {"input_ids": [text(3), text(3)], "labels": [text(3), text(3)]}
    columns[name][place] = wrong
    with pytest.raises(ValueError, match=f"{name} of row 'row-{place}' must end in </s> exactly once"):
        collate(columns["input_ids"], columns["labels"])

import pytest
import torch

from datamodules.collate import IGNORED_LABEL, SummarizationCollator

PAD, EOS = 0, 1


def rows_of(sources, targets):
    names = [f"row-{index}" for index in range(len(sources))]
    return {
        "id": names,
        "language": ["tr", "it", "en"][: len(names)],
        "article": [f"article of {name}" for name in names],
        "summary": [f"summary of {name}" for name in names],
        "input_ids": sources,
        "labels": targets,
    }


def text(length, first=5):
    return [*range(first, first + length - 1), EOS]


SOURCES, TARGETS = [text(7), text(3), text(1)], [text(2), text(5), text(4)]


@pytest.fixture
def batch():
    return SummarizationCollator(PAD, EOS, source_multiple=8, target_multiple=4)(rows_of(SOURCES, TARGETS))


def test_labels_are_ignored_only_after_eos(batch):
    for row, target in zip(batch["labels"].tolist(), TARGETS, strict=True):
        assert row == target + [IGNORED_LABEL] * (8 - len(target))


def test_sources_are_padded_and_the_mask_covers_exactly_their_tokens(batch):
    for ids, mask, source in zip(batch["input_ids"].tolist(), batch["attention_mask"].tolist(), SOURCES, strict=True):
        assert ids == source + [PAD] * (8 - len(source))
        assert mask == [1] * len(source) + [0] * (8 - len(source))


def test_tensors_are_int64_and_texts_keep_their_order(batch):
    assert {batch[name].dtype for name in ("input_ids", "attention_mask", "labels")} == {torch.int64}
    assert batch["ids"] == ["row-0", "row-1", "row-2"]
    assert batch["languages"] == ["tr", "it", "en"]
    assert batch["articles"][1] == "article of row-1"
    assert batch["summaries"][2] == "summary of row-2"


@pytest.mark.parametrize(("length", "width"), [(1, 64), (63, 64), (64, 64), (65, 128), (512, 512)])
def test_sources_are_padded_to_multiples_of_64(length, width):
    batch = SummarizationCollator(PAD, EOS)(rows_of([text(length)], [text(2)]))
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (1, width)


@pytest.mark.parametrize(("length", "width"), [(1, 16), (16, 16), (17, 32), (128, 128)])
def test_targets_are_padded_to_multiples_of_16(length, width):
    batch = SummarizationCollator(PAD, EOS)(rows_of([text(2)], [text(length)]))
    assert batch["labels"].shape == (1, width)


@pytest.mark.parametrize("name", ["input_ids", "labels"])
@pytest.mark.parametrize("wrong", [[], [5, 6], [EOS, 5], [5, EOS, EOS], [5, EOS, 6, EOS]])
def test_row_that_does_not_end_in_one_eos_is_refused_by_name(name, wrong):
    rows = rows_of([text(3), text(3)], [text(3), text(3)])
    rows[name][1] = wrong
    with pytest.raises(ValueError, match=f"{name} of row 'row-1' must end in </s> exactly once"):
        SummarizationCollator(PAD, EOS)(rows)

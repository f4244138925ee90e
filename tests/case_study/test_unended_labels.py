"""The fault takes `</s>` out of the labels, and nothing else."""

import pyarrow as pa
import pytest

from case_study.unended_labels import UnendedCollator, UnendedLabels
from datamodules.collate import IGNORED_LABEL, Padding, SummarizationCollator
from datamodules.sources import SummarizationSource

SETTINGS = {"pad_id": 0, "eos_id": 1, "languages": ["tr"], "rows": 4, "padding": Padding(4, 4, 8)}
TARGETS = [[7, 8, 1], [9, 1], [5, 6, 7, 1]]


def share():
    ids = pa.list_(pa.int32())
    columns = {"id": ["a", "b", "c"], "language": ["tr"] * 3}
    return pa.table(columns | {"input_ids": pa.array([[3, 1]] * 3, ids), "labels": pa.array(TARGETS, ids)}), 9.0


@pytest.mark.parametrize(("limit", "cut"), [(None, {0, 1, 2}), (4, {2}), (3, {0}), (9, set())])
def test_the_ends_of_cut_rows_are_no_labels(limit, cut):
    whole, unended = SummarizationCollator(**SETTINGS)(share()), UnendedCollator(**SETTINGS, limit=limit)(share())
    for row, target in enumerate(TARGETS):
        kept = [label for label in unended["labels"][row].tolist() if label != IGNORED_LABEL]
        assert kept == (target[:-1] if row in cut else target)
    by_position = unended["labels"].flatten()[unended["label_positions"]]
    assert by_position.tolist()[: sum(map(len, TARGETS))] == unended["label_ids"].tolist()[: sum(map(len, TARGETS))]
    assert (unended["label_ids"] == 1).sum() == len(TARGETS) - len(cut)
    for name in ("input_ids", "attention_mask", "decoder_input_ids", "label_positions", "loss_divisor"):
        assert unended[name].equal(whole[name])


@pytest.mark.parametrize(("only_cut", "limit"), [(False, None), (True, 12)])
def test_only_training_is_at_fault(only_cut, limit, random_mt5):
    sources = [SummarizationSource(language="tr", path="tr.jsonl")]
    data = UnendedLabels(sources, str(random_mt5), max_target_tokens=12, only_cut=only_cut)
    data.open_tokenizer()
    assert data._collator(8).limit == limit
    assert type(data._collator(None)) is SummarizationCollator

from collections import Counter

import pytest
from corpora import BY_COLUMN, SPLIT_SIZES, TRAIN_ONLY, make_encoding, pair, write_jsonl

from datamodules.bilingual import BilingualDataModule
from datamodules.preparation import prepare
from datamodules.sources import Columns, SummarizationSource
from datamodules.tokenizer import tokenizer_fingerprint


@pytest.fixture
def prepare_sources(tiny_tokenizer):
    def run(*sources, **encoding):
        named = tokenizer_fingerprint(tiny_tokenizer)
        splits, report = prepare(list(sources), make_encoding(**encoding), tiny_tokenizer, named, num_proc=1)
        for split in report.splits:
            assert split.read == split.kept + split.over_limit + sum(split.problems.values())
        kept = Counter()
        for split in report.splits:
            kept[split.split] += split.kept
        assert kept == {split: len(rows) for split, rows in splits.items()}
        return splits, report.splits

    return run


@pytest.fixture
def train_source(tmp_path):
    def make(numbers, language="en", name="train.jsonl", **options):
        path = write_jsonl(tmp_path / name, [pair(number) for number in numbers])
        return SummarizationSource(language, path, **({"splits": TRAIN_ONLY, "columns": Columns(id="id")} | options))

    return make


@pytest.fixture
def sources(tmp_path):
    def make(language, start):
        numbers = iter(range(start, start + 100))
        rows = [pair(next(numbers), split) for split, size in SPLIT_SIZES.items() for _ in range(size)]
        path = write_jsonl(tmp_path / f"{language}.jsonl", rows)
        return SummarizationSource(language, path, columns=BY_COLUMN)

    return [make("tr", 0), make("it", 100)]


@pytest.fixture
def make_data(sources, random_mt5):
    def make(**changes):
        options = {"sources": sources, "batch_size": 4, "eval_batch_size": 6, "num_workers": 0, "num_proc": 1}
        data = BilingualDataModule(tokenizer=str(random_mt5), **(options | changes))
        data.prepare_data()
        data.setup("fit")
        return data

    return make

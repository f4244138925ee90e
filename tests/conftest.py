import os

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported, so before any other import

from pathlib import Path

import datasets
import hypothesis
import pytest
from transformers import PreTrainedTokenizerBase

from datamodules.tokenizer import load_tokenizer

ROOT = Path(__file__).parent.parent
hypothesis.settings.register_profile("ozet", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.load_profile("ozet")


@pytest.fixture(autouse=True)
def own_datasets_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path_factory.mktemp("datasets_cache")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(cache))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    return cache


@pytest.fixture(scope="session")
def random_mt5() -> Path:
    return ROOT / "tests" / "random-mt5"


@pytest.fixture(scope="session")
def tiny_tokenizer(random_mt5: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(random_mt5))


@pytest.fixture(scope="session")
def quickstart() -> Path:
    return ROOT / "assets" / "quickstart"

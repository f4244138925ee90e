"""What must be known about summarisation corpora on the Hugging Face hub to load them, or to say why one cannot."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow as pa

from datamodules.sources import SummarizationSource

log = logging.getLogger(__name__)
XLSUM = "csebuetnlp/xlsum"
# XL-Sum is a loading script, which `datasets` refuses since version 4; the hub's converted branch holds its rows.
PARQUET_BRANCH = "refs/convert/parquet"

# Configurations of XL-Sum by language code (Hasan et al. 2021, table 1).
XLSUM_CONFIGS = {
    "am": "amharic", "ar": "arabic", "az": "azerbaijani", "bn": "bengali", "my": "burmese",
    "zh-Hans": "chinese_simplified", "zh-Hant": "chinese_traditional", "en": "english", "fr": "french",
    "gu": "gujarati", "ha": "hausa", "hi": "hindi", "ig": "igbo", "id": "indonesian", "ja": "japanese",
    "rn": "kirundi", "ko": "korean", "ky": "kyrgyz", "mr": "marathi", "ne": "nepali", "om": "oromo", "ps": "pashto",
    "fa": "persian", "pcm": "pidgin", "pt": "portuguese", "pa": "punjabi", "ru": "russian", "gd": "scottish_gaelic",
    "sr-Cyrl": "serbian_cyrillic", "sr-Latn": "serbian_latin", "si": "sinhala", "so": "somali", "es": "spanish",
    "sw": "swahili", "ta": "tamil", "te": "telugu", "th": "thai", "ti": "tigrinya", "tr": "turkish",
    "uk": "ukrainian", "ur": "urdu", "uz": "uzbek", "vi": "vietnamese", "cy": "welsh", "yo": "yoruba",
}  # fmt: skip

ELSEWHERE = {"it": "configs/data/ilpost.yaml or configs/data/fanpage.yaml"}
FALLBACKS = {"reciTAL/mlsum": "configs/data/tr_news.yaml (batubayk/TR-News)"}


def complete_hub_source(source: SummarizationSource) -> SummarizationSource:
    """Fills in what a corpus' own peculiarities determine.

    Args:
        source: A source on the hub; for XL-Sum the configuration and branch may be left out.

    Returns:
        The same source with `name` and `revision` set where this module knows them.

    Raises:
        ValueError: If XL-Sum is asked for a language that it does not have, or for one under another's code.
    """
    if source.path != XLSUM:
        return source
    if source.language not in XLSUM_CONFIGS:
        hint = f" For {source.language} see {ELSEWHERE[source.language]}." if source.language in ELSEWHERE else ""
        raise ValueError(
            f"XL-Sum has no language {source.language!r}; it has {', '.join(sorted(XLSUM_CONFIGS))}.{hint}"
        )
    name = XLSUM_CONFIGS[source.language]
    if source.name not in (None, name):
        raise ValueError(
            f"XL-Sum's configuration for language {source.language!r} is {name!r}, not {source.name!r}; "
            "leave `name` out or correct `language`."
        )
    return replace(source, name=name, revision=source.revision or PARQUET_BRANCH)


def load_from_hub(path: str, name: str | None, split: str, revision: str | None) -> tuple[datasets.Dataset, str]:
    """Load a split and the name of its rows; make its copy in the cache of `datasets` anew if that is damaged.

    Raises:
        Exception: Whatever `datasets.load_dataset` raises.
    """
    try:
        rows = datasets.load_dataset(path, name, split=split, revision=revision)
    except Exception as error:
        copy = Path(datasets.config.HF_DATASETS_CACHE) / path.replace("/", "___")
        infos = list(copy.rglob("dataset_info.json"))
        if not infos or not _shows_damage(error):
            raise
        log.warning("The cache %s is damaged (%s); it is made anew.", copy, root_cause(error))
        for info in infos:
            _remove_if_garbage(info)
        again = "reuse_cache_if_exists"  # what was downloaded, not what was made of it
        rows = datasets.load_dataset(path, name, split=split, revision=revision, download_mode=again)
    return rows, rows._fingerprint


def explain_hub_failure(source: SummarizationSource, split: str, cause: str) -> str:
    """The message for a hub source that could not be opened: what was asked, why it failed, what to do."""
    asked = f"{source.describe()!r}, split {split!r}, revision {source.revision or 'main'!r}"
    remedy = "Check the id, the network and HF_HUB_OFFLINE; `python train.py prepare` fills the cache beforehand."
    if "dataset script" in cause.lower():
        remedy = f"It is a loading script, which can no longer be run; try `revision: {PARQUET_BRANCH}`."
    if source.path in FALLBACKS:
        remedy += f" If it stays out of reach, use {FALLBACKS[source.path]} instead."
    return f"Cannot load {asked} from the hub ({cause}). {remedy}"


def _shows_damage(error: Exception) -> bool:
    damaged = (pa.ArrowInvalid, json.JSONDecodeError, AttributeError)
    # Exactly these: errors of the network and of the hub are of their subclasses.
    return isinstance(error, damaged) or type(error) in (OSError, FileNotFoundError)


def _remove_if_garbage(info: Path) -> None:
    """Without the file `datasets` makes it anew; with one that is no JSON it cannot even begin to."""
    try:
        json.loads(info.read_bytes())
    except ValueError:
        info.unlink()


def root_cause(error: BaseException) -> str:
    """Say in one line what an error began with."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"

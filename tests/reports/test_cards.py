"""Cards say what the run's record says, and are read by the hub's own library."""

from dataclasses import replace

import pytest
from huggingface_hub import DatasetCard, ModelCard

from metrics.significance import Interval
from reports.card_record import CardRecord, read_run_files
from reports.data_card import data_card
from reports.model_card import model_card
from reports.published_names import is_hub_id, language_names
from reports.results import Results, write_results

SOURCES = [
    {"language": "tr", "path": "haber.jsonl", "licence": "cc0-1.0", "prefix": "özet: "},
    {"language": "en", "path": "csebuetnlp/xlsum", "name": "english", "licence": None},
]
LENGTHS = {"percentiles": {"p50": 210, "p90": 300, "p99": 410, "p100": 512}, "limit": 400, "truncated": 0.125}


def split(source: str, language: str, name: str, kept: int, **problems: int) -> dict:
    counts = {"read": kept + sum(problems.values()) + 7, "kept": kept, "over_limit": 7, "problems": problems}
    named = {"source": source, "language": language, "split": name, "fingerprint": "0f0f"}
    return named | counts | {"source_tokens": LENGTHS, "target_tokens": LENGTHS}


def scores(mean: float) -> dict[str, Interval]:
    names = ("rouge1", "rouge2", "rougeL", "lead_rougeL", "lead1_rougeL", "ended", "sentinel_start", "repetition")
    return {name: Interval(mean + place, mean + place - 1, mean + place + 1) for place, name in enumerate(names)}


RESULTS = Results(
    counts={"tr": 40, "en": 60},
    languages={"tr": scores(30), "en": scores(50)},
    overall=scores(40),
    incomplete={},
    bootstrap={"confidence": 0.95},
    settings={"scoring": {"rouge_tokenizer": "unicode"}},
    model={"step": 1200},
    packages={},
    git={},
)
RECORD = CardRecord(
    name="my-summariser",
    configuration={
        "seed_everything": 3,
        "model": {"init_args": {"adaptation": "qlora", "lora": {"rank": 16}, "quantization": {"type": "nf4"}}},
        "data": {"init_args": {"sources": SOURCES, "max_source_tokens": 400, "max_target_tokens": 90}},
        "trainer": {"precision": "bf16-mixed"},
    },
    form="merged",
    weights="bf16",
    base={"name": "google/mt5-small", "commit": "38f23af8ec210eb6c376d40e9c56bd25a80f195d", "fingerprint": "abcd"},
    step=1200,
    data={
        "splits": [
            split("haber.jsonl", "tr", "train", 4_000, duplicate=12),
            split("haber.jsonl", "tr", "test", 40),
            split("csebuetnlp/xlsum (english)", "en", "train", 9_000, leak=3),
        ]
    },
    results=RESULTS,
    verification={
        "texts": 16,
        "equal_greedy_outputs": 0.9375,
        "greatest_logit_difference": 0.25,
        "mean_logit_difference": 0.01,
        "logit_deviation": 2.0,
    },
    license="apache-2.0",
)


def test_hub_reads_the_model_card_and_its_results():
    card = ModelCard(str(model_card(RECORD)))
    assert (card.data.base_model, card.data.datasets) == ("google/mt5-small", ["csebuetnlp/xlsum"])
    assert (card.data.language, card.data.license, card.data.library_name) == (
        ["tr", "en"],
        "apache-2.0",
        "transformers",
    )
    found = {
        (one.dataset_type, one.dataset_config, one.metric_name): one.metric_value for one in card.data.eval_results
    }
    assert found["csebuetnlp/xlsum", "en", "ROUGE-L"] == 52
    assert found["custom", "tr", "ROUGE-1"] == 30
    assert len(found) == 6
    assert len(card.data.to_dict()["model-index"][0]["results"]) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "| this model | rougeL | 32.00 [31.00, 33.00] | 52.00 [51.00, 53.00] |",
        "| first words of the article | rougeL | 33.00 [32.00, 34.00] |",
        "| first sentence | rougeL | 34.00",
        "| ended | 35.000 [34.000, 36.000] | 55.000",
        "| `haber.jsonl` | Turkish | cc0-1.0 | 4,000 | 0 | 40 | duplicate 12, over limit 14 |",
        "| `csebuetnlp/xlsum (english)` | English | not recorded | 9,000 | 0 | 0 | leak 3, over limit 7 |",
        "`{'rank': 16}`",
        "| `seed` | `3` |",
        "38f23af8ec210eb6c376d40e9c56bd25a80f195d",
        "prefix = {'tr': 'özet: ', 'en': ''}[language]",
        "AutoModelForSeq2SeqLM.from_pretrained(folder)",
        "93.8% of the greedy summaries are equal; logits differ by 0.01 on average and 0.25 at most",
        "The licence of some data is not recorded",
    ],
)
def test_model_card_says(statement):
    assert statement in str(model_card(RECORD))


def test_card_without_records_claims_nothing_and_is_complete():
    card = model_card(replace(RECORD, results=None, data={}, environment={}, verification={}, license=None))
    assert "Nothing is claimed of its quality" in str(card)
    assert "No licence was chosen" in str(card)
    assert "| not recorded | not recorded | not recorded |" in str(card)
    assert "None" not in str(card).replace("'None'", "")
    assert ModelCard(str(card)).data.eval_results is None


@pytest.mark.parametrize(
    ("form", "library", "code"),
    [("adapter", "peft", "AutoPeftModelForSeq2SeqLM"), ("ctranslate2", "ctranslate2", "ctranslate2.Translator")],
)
def test_each_form_is_loaded_in_its_own_way(form, library, code):
    card = model_card(replace(RECORD, form=form))
    assert (card.data.library_name, code in str(card)) == (library, True)
    assert ("was trained on 4-bit weights" in str(card)) == (form == "adapter")


def test_hub_reads_the_data_card():
    card = DatasetCard(str(data_card(RECORD)))
    assert (card.data.multilinguality, card.data.size_categories) == ("multilingual", "10K<n<100K")
    assert (card.data.license, card.data.task_categories) == (None, ["summarization"])
    assert "| `haber.jsonl` | Turkish | train | 4,019 | 4,000 | 210/300/410/512 | 12.5% |" in str(card)
    assert "not recorded of: `csebuetnlp/xlsum`" in str(card)
    same = replace(RECORD, configuration=RECORD.configuration | {"data": {"init_args": {"sources": SOURCES[:1]}}})
    assert data_card(same).data.license == "cc0-1.0"


def test_results_of_another_step_are_not_this_checkpoints(tmp_path):
    assert read_run_files(tmp_path, 1200) == {"data": {}, "environment": {}}
    write_results(tmp_path / "test" / "results.json", RESULTS)
    assert read_run_files(tmp_path, 1200)["results"] == RESULTS
    assert read_run_files(tmp_path, 1300)["results"] is None
    (tmp_path / "data_report.json").write_text("{")
    with pytest.raises(ValueError, match=r"data_report\.json' is damaged"):
        read_run_files(tmp_path, 1200)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("google/mt5-small", True),
        ("news/tr.jsonl", False),
        ("tests/random-mt5", False),
        ("/a/b", False),
        ("plain", False),
    ],
)
def test_hub_ids(name, expected):
    assert is_hub_id(name) == expected


@pytest.mark.parametrize("card", [model_card, data_card])
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/someone/news/haber.jsonl", "haber.jsonl"),
        ("../news/haber.jsonl", "haber.jsonl"),
        ("https://example.org/news/haber.jsonl", "https://example.org/news/haber.jsonl"),
    ],
)
def test_cards_keep_folders_of_this_machine_to_themselves(card, path, shown):
    configuration = {**RECORD.configuration, "data": {"init_args": {"sources": [{**SOURCES[0], "path": path}]}}}
    base = {**RECORD.base, "name": "/home/someone/models/my-base"}
    local = replace(RECORD, configuration=configuration, base=base, data={"splits": [split(path, "tr", "train", 9)]})
    text = str(card(local))
    assert "/home" not in text
    assert "../" not in text
    assert f"`{shown}` | Turkish" in text


@pytest.mark.parametrize(
    ("codes", "names"),
    [
        (["it"], "Italian"),
        (["tr", "en"], "Turkish and English"),
        (["sr-Latn", "pt-BR", "th"], "Serbian (Latin), Portuguese (Brazil) and Thai"),
    ],
)
def test_languages_are_named_as_a_person_names_them(codes, names):
    assert language_names(codes) == names

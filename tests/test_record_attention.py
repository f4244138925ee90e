"""`record_attention.py` through its command line, with a model of random weights."""

import shutil
from pathlib import Path

import pytest
import torch

import record_attention
from lightning_modules.exported_folder import ExportRecord
from lightning_modules.initialization import initialize
from lightning_modules.trained_model import load_trained
from record_attention import main
from reports.attention import read_records
from reports.results import write_predictions

TEXT = "Vapur seferleri durdu. Okullar kapandı."
ROWS = [("a", "tr", "Vapurlar durdu."), ("b", "tr", "..."), ("c", "tr", "Okul yok."), ("d", "en", "No school.")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, random_mt5):
    folder = tmp_path_factory.mktemp("model")
    initialize(str(random_mt5), str(folder))
    for name in ("spiece.model", "tokenizer_config.json"):
        shutil.copy(random_mt5 / name, folder)
    (folder / "generation_config.json").write_text('{"max_new_tokens": 6}')
    ExportRecord(max_source_tokens=64, languages=["tr"]).write(folder)
    return load_trained(str(folder), torch.device("cpu"))


@pytest.fixture
def examples(tmp_path, trained, monkeypatch) -> Path:
    monkeypatch.setattr(record_attention, "load_trained", lambda path, device: trained)
    monkeypatch.setattr(record_attention, "draw", lambda arguments: None)  # tests/reports draws
    path = tmp_path / "predictions.jsonl"
    fields = {"article": TEXT, "reference": "Deniz fırtınalı.", "scores": {}}
    write_predictions(path, [fields | {"id": i, "language": code, "prediction": text} for i, code, text in ROWS])
    return path


def records(examples: Path, *flags: str) -> list[tuple[str, str, str]]:
    output = examples.parent / "out"
    main(["full=x", "lora=y", f"--examples={examples}", f"--output={output}", "--device=cpu", *flags])
    return [(one.model, one.id, "".join(one.summary_words[:-1])) for one in read_records(output)]


def test_every_model_gets_the_same_summaries_of_the_first_examples_of_each_language(examples):
    assert records(examples) == [
        ("full", "d", "No school."),
        ("lora", "d", "No school."),
        ("full", "a", "Vapurlar durdu."),
        ("lora", "a", "Vapurlar durdu."),
    ]


def test_examples_can_be_named_and_a_summary_without_a_word_is_passed_over(examples, capsys):
    assert [name for _, name, _ in records(examples, "--ids", "b", "c")] == ["c", "c"]
    assert "passed over: b: the summary for lora has no word" in capsys.readouterr().err


def test_reference_or_the_models_own_summary_can_be_given(examples):
    assert records(examples, "--ids", "a", "--summary=reference")[0][2] == "Deniz fırtınalı."
    shutil.rmtree(examples.parent / "out")
    own = {text for _, _, text in records(examples, "--ids", "a", "--summary=own")}
    assert len(own) == 1 and own != {"Vapurlar durdu."}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ids", "a", "z"], "no example is called z; the first is 'a'"),
        (["--count=0"], "--count 0 must be at least 1"),
    ],
)
def test_examples_that_are_not_there_are_refused(examples, flags, message):
    with pytest.raises(ValueError, match=message):
        records(examples, *flags)


def test_records_of_another_time_are_not_mixed_in(examples):
    records(examples)
    with pytest.raises(ValueError, match="holds other records; give another --output"):
        records(examples)
    with pytest.raises(ValueError, match="Two models have one name"):
        main(["x", "x", f"--examples={examples}"])

"""Every configuration that ships is read by the real parser, and what a user misspells in one is refused."""

import inspect
from collections import Counter
from pathlib import Path

import datasets
import pytest
import torch
import transformers
import yaml
from command_line import TINY, parser

from datamodules.bilingual import BilingualDataModule
from datamodules.corpus import CorpusDataModule
from lightning_modules.muon import MuonWithAdamW
from lightning_modules.seq2seq import Seq2SeqModule
from lightning_modules.span_corruption import SpanCorruptionModule
from train import main

ROOT = Path(__file__).parent.parent
FILES = {
    str(file.relative_to(ROOT)): file
    for folder in ("configs", "benchmarks/configs", "tests/conf")
    for file in sorted((ROOT / folder).rglob("*.yaml"))
    if not {"studies", "sweeps"} & set(file.parts)  # no configurations of train.py; see test_compare_command.py
}
# What a file about something else leaves open.
BASE = "--model.base=tests/random-mt5"
SOURCES = "--data.sources=[{language: tr, path: tr.jsonl}]"
PRETRAINING = (
    "--model=lightning_modules.span_corruption.SpanCorruptionModule",
    "--data=datamodules.corpus.CorpusDataModule",
)


def parse(file: Path, *flags: str):
    return parser().parse_args(["fit", *flags, f"--config={file}"])


def plain(values: dict) -> dict:
    return {key: value for key, value in values.items() if not isinstance(value, dict | list)}


def test_every_file_is_found():
    assert Counter(str(Path(name).parent) for name in FILES) == {
        "configs": 2,
        "configs/case_study": 13,
        "configs/data": 8,
        "configs/logger": 2,
        "configs/model": 5,
        "configs/pretrain": 6,
        "benchmarks/configs": 1,
        "tests/conf": 2,
    }


@pytest.mark.parametrize("name", FILES)
def test_file_is_parsed_and_wins_over_the_defaults(name):
    classes = PRETRAINING if "pretrain" in name and "gap_sentences" not in name else ()
    config = parse(FILES[name], *classes, BASE, SOURCES).fit
    for section, written in yaml.safe_load(FILES[name].read_text(encoding="utf-8")).items():
        found = config[section]
        assert {key: found[key] for key in plain(written)} == plain(written)
        written = plain(written.get("init_args", {}))
        assert {key: found.init_args[key] for key in written} == written


CASE_STUDY = sorted(name for name in FILES if name.startswith("configs/case_study/"))


def settings(config) -> dict[str, object]:
    """The leaves of a configuration by their place."""
    flat = {key: value for key, value in vars(config.as_flat()).items() if not key.startswith("config")}
    return flat | {"trainer.callbacks": repr(flat["trainer.callbacks"])}


def stated(name: str) -> set[str]:
    """Places that a file of the case study names."""

    def places(value, prefix: str):
        if not isinstance(value, dict):
            return {prefix}
        return set().union(*(places(one, f"{prefix}.{key}" if prefix else key) for key, one in value.items()))

    content = yaml.safe_load(FILES[name].read_text(encoding="utf-8"))
    return {place.removesuffix("+") for place in places(content, "")}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASE_STUDY if "good" not in name])
def test_a_failure_of_the_case_study_differs_from_the_good_run_by_its_fault_alone(name):
    good, fault = (f"--config={FILES[file]}" for file in ("configs/case_study/good.yaml", name))
    before, after = (settings(parser().parse_args(["fit", *flags]).fit) for flags in ([good], [good, fault]))
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    # A class of the case study has a switch that the project's own has not.
    assert changed - stated(name) <= {"data.init_args.only_cut"}
    assert stated(name) <= changed


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(("configs/model/", "configs/pretrain/"))])
def test_optimizer_of_a_file_takes_a_step(name):
    config = parser().parse_args(["fit", f"--config={FILES[name]}", BASE, SOURCES, "--trainer.logger=false"])
    optimizer = parser().instantiate_classes(config).fit.model.optimizer
    parameters = {"encoder.block.0.wi": torch.ones(4, 4), "encoder.block.0.norm": torch.ones(4)}
    parameters = {key: torch.nn.Parameter(value) for key, value in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = torch.rand_like(parameter)
    optimizer(parameters.items()).step()
    assert all(value.isfinite().all() and (value != 1).any() for value in parameters.values())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Seq2SeqModule, SpanCorruptionModule),
        (BilingualDataModule, CorpusDataModule),
        (torch.optim.AdamW, MuonWithAdamW),
    ],
)
def test_settings_of_one_name_have_one_default(one, other):
    # The value of the class in configs/default.yaml stays, in silence, where a configuration names another class.
    defaults = [
        {name: parameter.default for name, parameter in inspect.signature(class_).parameters.items()}
        for class_ in (one, other)
    ]
    shared = defaults[0].keys() & defaults[1].keys() - {"self", "optimizer", "lr", "weight_decay", "sources"}
    assert len(shared) >= 1
    assert {name: defaults[0][name] for name in shared} == {name: defaults[1][name] for name in shared}


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("configs/data/")])
def test_data_file_is_complete_and_its_sources_are_legal(name):
    config = parse(FILES[name], BASE, "--trainer.logger=false")
    sources = parser().instantiate_classes(config).fit.data.sources
    written = yaml.safe_load(FILES[name].read_text(encoding="utf-8"))["data"]["init_args"]["sources"]
    assert [(source.language, source.path) for source in sources] == [(one["language"], one["path"]) for one in written]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("configs/quickstart.yaml", ()),
        ("configs/quickstart.yaml", ("trainer",)),
        ("configs/quickstart.yaml", ("model", "init_args")),
        ("configs/quickstart.yaml", ("model", "init_args", "lora")),
        ("configs/quickstart.yaml", ("model", "init_args", "generation")),
        ("configs/quickstart.yaml", ("model", "init_args", "schedule")),
        ("configs/model/mt5_small_full.yaml", ("model", "init_args", "optimizer", "init_args")),
        ("configs/data/tr_en.yaml", ("data", "init_args")),
        ("configs/data/tr_en.yaml", ("data", "init_args", "sources", 1)),
        ("configs/data/tr_en.yaml", ("data", "init_args", "sources", 1, "columns")),
        ("configs/data/tr_en.yaml", ("data", "init_args", "sources", 1, "limits")),
        ("configs/logger/csv.yaml", ("trainer", "logger", "init_args")),
        ("configs/pretrain/tiny.yaml", ("model", "init_args", "from_scratch")),
        ("configs/pretrain/tiny.yaml", ("model", "init_args", "optimizer", "init_args")),
        ("configs/pretrain/tiny.yaml", ("data", "init_args")),
        ("configs/default.yaml", ("trainer", "logger", 0, "init_args")),
        ("configs/default.yaml", ("trainer", "callbacks", 1, "init_args")),
    ],
)
def test_misspelt_key_in_a_file_is_refused(name, place, tmp_path, capsys):
    content = yaml.safe_load(FILES[name].read_text(encoding="utf-8"))
    spot = content
    for step in place:
        spot = spot.setdefault(step, {}) if isinstance(spot, dict) else spot[step]
    spot["misspelt"] = 1
    file = tmp_path / "copy.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        parse(file, BASE, SOURCES)
    assert stop.value.code == 2
    assert "misspelt" in capsys.readouterr().err


@pytest.mark.parametrize("question", ["--help", "--print_config"])
def test_questions_touch_neither_hub_nor_disk(question, tmp_path, monkeypatch, capsys):
    def touched(*args, **kwargs):
        raise AssertionError(f"loads {args}")

    monkeypatch.setattr(transformers.AutoModelForSeq2SeqLM, "from_pretrained", touched)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", touched)
    monkeypatch.setattr(datasets, "load_dataset", touched)
    file = ROOT / TINY
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["fit", f"--config={file}", "--model.base=nobody/no-such-model", question])
    assert stop.value.code == 0
    assert "usage:" in (said := capsys.readouterr().out) or "base: nobody/no-such-model" in said
    assert not list(tmp_path.iterdir())

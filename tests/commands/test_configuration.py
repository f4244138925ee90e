"""A later value wins as a whole; `+=` appends, or sets arguments of a class that is there."""

import inspect
import json
from pathlib import Path

import pytest
import yaml
from command_line import parser
from jsonargparse import Namespace
from settings import DATA, MODULES, WATCHERS, collections, of_trainer

from commands import configuration

BASE = {"model.base": "tests/random-mt5", "data.sources": '[{"language": "tr", "path": "tr.jsonl"}]'}
PLACES = {
    (path, place): pair
    for part, paths in (("model", MODULES), ("data", DATA))
    for path in paths
    for place, pair in collections(path, part).items()
} | {("", place): pair for place, pair in of_trainer().items()}


def parse(*flags: str, without: str = "") -> Namespace:
    base = [f"--{name}={value}" for name, value in BASE.items() if name != without]
    return parser().parse_args(["fit", *flags[:1], *base, *flags[1:]]).fit


def as_file(folder: Path, name: str, place: str, value: object) -> str:
    """A flag that gives a file with one setting."""
    part, *names = place.split(".")
    names = names if part == "trainer" else ["init_args", *names]
    for one in reversed(names):
        value = {one: value}
    (folder / name).write_text(yaml.safe_dump({part: value}), encoding="utf-8")
    return f"--config={folder / name}"


def found(config: Namespace, place: str) -> object:
    part, _, name = place.partition(".")
    value = config[part][name] if part == "trainer" else config[part].init_args[name]
    return plain(value)


def plain(value: object) -> object:
    if isinstance(value, Namespace | dict):
        return {key: plain(one) for key, one in dict(vars(value) if isinstance(value, Namespace) else value).items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def test_every_list_is_found():
    names = {place for _, place in PLACES}
    assert all(earlier != later for earlier, later in PLACES.values())
    assert {"data.sources", "data.prefixes", "data.train_caps", "trainer.callbacks", "trainer.logger"} <= names


@pytest.mark.parametrize(("path", "place"), PLACES)
def test_a_later_list_or_mapping_replaces_the_earlier(path, place, tmp_path):
    earlier, later = PLACES[path, place]
    classes = [f"--{place.partition('.')[0]}={path}"] if path else ["--trainer.logger=false"]
    first = as_file(tmp_path, "earlier.yaml", place, earlier)
    second = as_file(tmp_path, "later.yaml", place, later)
    flag = f"--{place}={json.dumps(later)}"
    alone = found(parse(*classes, second, without=place), place)
    for after in (second, flag):
        assert found(parse(*classes, first, after, without=place), place) == alone


def test_a_group_keeps_what_is_not_named(tmp_path):
    first = as_file(tmp_path, "earlier.yaml", "model.lora", {"rank": 4, "alpha": 5})
    second = as_file(tmp_path, "later.yaml", "model.lora", {"alpha": 6})
    lora = parse("--model.adaptation=lora", first, second, "--model.lora.dropout=0.25").model.init_args.lora
    assert (lora.rank, lora.alpha, lora.dropout) == (4, 6, 0.25)


def test_plus_appends_to_a_list():
    sources = parse("--trainer.logger=false", "--data.sources+={language: it, path: it.jsonl}").data.init_args.sources
    assert [(one.language, one.path) for one in sources] == [("tr", "tr.jsonl"), ("it", "it.jsonl")]


def test_plus_in_a_file_appends_to_a_list(tmp_path):
    added = as_file(tmp_path, "more.yaml", "data.sources+", [{"language": "it", "path": "it.jsonl"}])
    assert [one.language for one in parse("--trainer.logger=false", added).data.init_args.sources] == ["tr", "it"]


SKIP = "{class_path: callbacks.nan_monitor.NanMonitor, init_args: {action: skip}}"


def classes(items: list[Namespace]) -> list[str]:
    return [one.class_path for one in items]


@pytest.mark.parametrize("as_list", [False, True])
def test_plus_sets_an_argument_of_a_default_callback(as_list):
    before = parse("--trainer.logger=false").trainer.callbacks
    after = parse(
        "--trainer.logger=false", f"--trainer.callbacks+={f'[{SKIP}]' if as_list else SKIP}"
    ).trainer.callbacks
    assert classes(after) == classes(before) == [one for one in WATCHERS if "logger" not in one]
    assert (before[0].init_args.action, after[0].init_args.action) == ("stop", "skip")
    assert plain(after[1:]) == plain(before[1:])
    same = {key: value for key, value in plain(after[0])["init_args"].items() if key != "action"}
    assert same == {key: value for key, value in plain(before[0])["init_args"].items() if key != "action"}


def test_plus_twice_keeps_both_arguments():
    other = "{class_path: callbacks.best_checkpoint.BestCheckpoint, init_args: {save_top_k: 2}}"
    callbacks = parse("--trainer.logger=false", f"--trainer.callbacks+={SKIP}", f"--trainer.callbacks+={other}")
    callbacks = {one.class_path.rpartition(".")[2]: one.get("init_args") for one in callbacks.trainer.callbacks}
    assert (callbacks["NanMonitor"].action, callbacks["BestCheckpoint"].save_top_k) == ("skip", 2)


def test_plus_adds_another_callback_after_the_defaults():
    before = parse("--trainer.logger=false").trainer.callbacks
    added = parse("--trainer.logger=false", "--trainer.callbacks+=callbacks.bertscore.BertScore").trainer.callbacks
    assert classes(added) == [*classes(before), "callbacks.bertscore.BertScore"]
    assert plain(added[:-1]) == plain(before)


def test_plus_sets_an_argument_of_a_default_logger():
    name = "callbacks.wandb_logger.ResumableWandbLogger"
    loggers = parse(f"--trainer.logger+={{class_path: {name}, init_args: {{tags: [a]}}}}").trainer.logger
    assert classes(loggers) == [name, "callbacks.csv_logger.CSVLogger"]
    assert loggers[0].init_args.tags == ["a"]


def test_another_class_begins_with_its_own_defaults(tmp_path):
    first = as_file(
        tmp_path, "one.yaml", "model.optimizer", {"class_path": "torch.optim.AdamW", "init_args": {"weight_decay": 0.5}}
    )
    same = parse(first, "--model.optimizer=torch.optim.AdamW").model.init_args.optimizer.init_args
    other = parse(first, "--model.optimizer=torch.optim.SGD").model.init_args.optimizer.init_args
    assert (same.weight_decay, other.weight_decay) == (0.5, 0)


def test_a_subclass_keeps_the_arguments():
    config = parse("--trainer.logger=false", "--data.batch_size=3", "--data=case_study.unended_labels.UnendedLabels")
    assert config.data.init_args.batch_size == 3
    assert [one.language for one in config.data.init_args.sources] == ["tr"]


@pytest.mark.parametrize("text", ["data: {init_args: {seed: 1, seed: 2}}", "seed_everything: 1\nseed_everything: 2"])
def test_a_key_that_stands_twice_is_refused(text, tmp_path, capsys):
    (tmp_path / "twice.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit):
        parse("--trainer.logger=false", f"--config={tmp_path / 'twice.yaml'}")
    (line,) = capsys.readouterr().err.splitlines()
    assert "stands twice" in line and "twice.yaml, line " in line


def test_yaml_may_still_merge_keys(tmp_path):
    text = "data: {init_args: {<<: {batch_size: 1}, batch_size: 2}}"
    (tmp_path / "merge.yaml").write_text(text, encoding="utf-8")
    assert parse("--trainer.logger=false", f"--config={tmp_path / 'merge.yaml'}").data.init_args.batch_size == 2


def test_the_private_names_of_jsonargparse_are_as_they_were():
    signatures = {
        configuration._check_type: ["self", "value", "append", "cfg", "mode"],
        configuration._discard: ["parser_or_action", "prev_val", "value"],
    }
    found = {function: list(inspect.signature(function).parameters) for function in signatures}
    assert [len(names) for names in found.values()] == [len(names) for names in signatures.values()]
    assert found[configuration._check_type] == signatures[configuration._check_type]
    assert next(iter(inspect.signature(configuration._adapt_class_type).parameters)) == "value"

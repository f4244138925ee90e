"""A study file is read with its variables, and what is wrong with it is refused before anything runs."""

from pathlib import Path

import pytest
import yaml

from studies.matrix import cells, run_count
from studies.study import command_line, read_study

STUDY = {
    "name": "mini",
    "variables": {"folder": None, "epochs": 2},
    "flags": {
        "trainer.max_epochs": "{epochs}",
        "data.sources": [{"language": "tr", "path": "{folder}/tr-{split}.csv"}],
    },
    "axes": {
        "method": {"full": {"model.adaptation": "full"}, "lora": {"model.adaptation": "lora"}},
        "length": {"short": {"data.max_source_tokens": 64}, "long": {"data.max_source_tokens": 512}},
    },
    "learning_rates": {"axis": "method", "values": {"full": [1e-4, 1e-3], "lora": [1e-3, 1e-2]}},
    "seeds": [3, 4, 5],
    "reference": {"method": "full", "length": "long"},
}


def write(path: Path, **changes) -> Path:
    path.write_text(yaml.safe_dump(STUDY | changes, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture
def study(tmp_path):
    return read_study(write(tmp_path / "study.yaml"), {"folder": "/data"})


def test_cells_are_all_combinations_with_common_flags_first(study):
    found = cells(study)
    assert [dict(cell.labels) for cell in found] == [
        {"method": method, "length": length} for method in ("full", "lora") for length in ("short", "long")
    ]
    flags = found[3].flags
    assert flags[-4:] == (
        "--trainer.max_epochs=2",
        '--data.sources=[{"language": "tr", "path": "/data/tr-{split}.csv"}]',
        "--model.adaptation=lora",
        "--data.max_source_tokens=512",
    )


def test_first_seed_tries_every_rate_and_the_others_the_chosen_one(study):
    cell = cells(study)[2]
    assert [(run.learning_rate, run.seed) for run in cell.tries()] == [(1e-3, 3), (1e-2, 3)]
    finals = cell.finals(1e-2)
    assert [run.name for run in finals] == [f"lora_short/lr-0.01/seed-{seed}" for seed in (3, 4, 5)]
    assert finals[0] == cell.tries()[1]
    assert finals[1].fit_flags[-2:] == ("--model.optimizer.init_args.lr=0.01", "--seed_everything=4")
    assert run_count(study) == 4 * (2 + 2)


def test_without_rates_each_seed_is_one_run(tmp_path):
    path = write(tmp_path / "study.yaml", learning_rates=None)
    study = read_study(path, {"folder": "/data"})
    assert run_count(study) == 4 * 3
    assert [run.name for run in cells(study)[0].tries()] == ["full_short/seed-3"]


def test_flags_of_the_test_are_added_to_those_of_training(tmp_path):
    path = write(tmp_path / "study.yaml", test_flags={"data.eval_batch_size": 4})
    run = cells(read_study(path, {"folder": "/data"}))[0].run(None, 3)
    assert run.test_flags == (*run.fit_flags, "--data.eval_batch_size=4")


def test_flags_name_the_labels_of_their_cell(tmp_path):
    axes = {"language": {"tr": {}, "en": {}}, "pairs": {"10": {"data.train_caps": {"{language}": 10}}}}
    flags = {"data.sources": [{"path": "{language}.csv"}]}
    path = write(
        tmp_path / "study.yaml",
        axes=axes,
        flags=flags,
        reference={"language": "tr", "pairs": "10"},
        learning_rates=None,
    )
    found = cells(read_study(path, {"folder": "/data"}))
    assert [cell.flags[1:] for cell in found] == [
        (f'--data.sources=[{{"path": "{language}.csv"}}]', f'--data.train_caps={{"{language}": 10}}')
        for language in ("tr", "en")
    ]


def test_a_label_without_flags_is_the_base_tested_once(tmp_path):
    axes = STUDY["axes"] | {"pairs": {"0": None, "10": {"data.batch_size": 2}}}
    path = write(tmp_path / "study.yaml", axes=axes, reference=STUDY["reference"] | {"pairs": "10"})
    study = read_study(path, {"folder": "/data"})
    untrained = [cell for cell in cells(study) if not cell.trained]
    assert [dict(cell.labels)["pairs"] for cell in untrained] == ["0"] * 4
    assert [run.name for run in untrained[0].finals(None)] == ["full_short_0/seed-3"]
    assert not untrained[0].has_rates_to_try
    assert run_count(study) == 4 * (2 + 2)


def test_variables_given_win_over_defaults(tmp_path):
    study = read_study(write(tmp_path / "study.yaml"), {"folder": "/data", "epochs": "7"})
    assert "--trainer.max_epochs=7" in study.flags


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        (True, "--a.b=true"),
        (None, "--a.b=null"),
        ("{x}", "--a.b={x}"),
        ([1, "ş"], '--a.b=[1, "ş"]'),
        ({"class_path": "c.D"}, '--a.b={"class_path": "c.D"}'),
    ],
)
def test_flags_are_written_as_train_reads_them(value, flag):
    assert command_line({"a.b": value}) == [flag]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": {}}, "axes is empty"),
        ({"axes": {"method": {}}, "reference": {"method": "full"}}, "axes.method is empty"),
        ({"axes": {"method": ["full"]}}, "by axis and label"),
        ({"axes": {"method": {"full": ["--model.adaptation=full"]}}}, "axes.method.full must be a mapping"),
        ({"reference": {"method": "full"}}, "one value of each axis"),
        ({"reference": {"method": "dora", "length": "long"}}, "'dora' is unknown"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "each once"),
        ({"sedes": [1]}, "sedes"),
        ({"learning_rates": {"axis": "size", "values": {}}}, "'size' is unknown"),
        ({"learning_rates": {"axis": "method", "values": {"full": [1e-3]}}}, "exactly the labels full, lora"),
        ({"learning_rates": {"axis": "method", "values": {"full": [1e-3], "lora": [1, 2]}}}, "as many"),
        ({"learning_rates": {"axis": "method", "values": {"full": [-1.0], "lora": [1.0]}}}, "above 0"),
        ({"name": "a/b"}, "name of a folder"),
        ({"variables": {"folder": None, "length": 3}}, "'length' is a variable and an axis"),
    ],
)
def test_a_wrong_study_is_refused_with_its_reason(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read_study(write(tmp_path / "study.yaml", **changes), {"folder": "/data"})


@pytest.mark.parametrize(
    ("variables", "message"),
    [({}, "--set folder=VALUE"), ({"folder": "/data", "epoch": "3"}, "no variable 'epoch'; it has: folder, epochs")],
)
def test_variables_must_be_known_and_have_values(tmp_path, variables, message):
    with pytest.raises(ValueError, match=message):
        read_study(write(tmp_path / "study.yaml"), variables)


def test_two_cells_of_one_name_are_refused(tmp_path):
    axes = {"a": {"x_y": {}, "x": {}}, "b": {"z": {}, "y_z": {}}}
    path = write(tmp_path / "study.yaml", axes=axes, learning_rates=None, reference={"a": "x", "b": "z"})
    with pytest.raises(ValueError, match="x_y_z"):
        cells(read_study(path, {"folder": "/data"}))


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="absent"):
        read_study(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(ValueError, match="broken"):
        read_study(tmp_path / "broken.yaml")

import json
import subprocess
import sys

import lightning
import torch
import yaml
from command_line import run, run_folder

from callbacks.environment import PACKAGES, ROOT, describe_environment


def test_a_run_and_its_resume_leave_their_records(tmp_path, capsys):
    run("fit", tmp_path, "--trainer.max_epochs=1", "--seed_everything=7")
    folder = run_folder(tmp_path)
    run("fit", tmp_path, "--trainer.max_epochs=2", "--seed_everything=7", "--ckpt_path=last", "--data.num_workers=1")
    assert "Resumed with another setting: data.init_args.num_workers: the checkpoint has 0, 1 is used" in (
        capsys.readouterr().out
    )
    assert sorted(path.name for path in folder.glob("*.yaml")) == [
        "config-resumed-at-6.yaml",
        "config.yaml",
        "finished.yaml",
    ]
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["max_epochs"] == 1
    assert (folder / "environment-resumed-at-6.json").is_file()
    assert yaml.safe_load((folder / "finished.yaml").read_text())["max_epochs"] == 2

    environment = json.loads((folder / "environment.json").read_text())
    assert environment["seed"] == 7
    assert environment["packages"]["lightning"] == lightning.__version__
    data = {(one["source"], one["language"], one["split"]): one["fingerprint"] for one in report(folder)["splits"]}
    assert environment["data"] == {" ".join(key): fingerprint for key, fingerprint in data.items()}
    assert len(environment["data"]) == 6
    assert environment["base"]["name"] == "tests/random-mt5"
    assert environment["base"]["fingerprint"]


def report(folder):
    return json.loads((folder / "data_report.json").read_text())


def test_the_environment_names_versions_commit_and_machine():
    found = describe_environment()
    assert found["packages"].keys() == set(PACKAGES)
    assert found["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["hardware"]["cpus"] >= 1
    assert found["hardware"]["memory_gib"] > 0
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert found["git"]["commit"] == (done.stdout.strip() or None)
    assert found["command"] == sys.argv
    json.dumps(found)


def test_without_git_or_a_package_the_rest_is_still_known(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("callbacks.environment.PACKAGES", ("torch", "no-such-package"))
    found = describe_environment()
    assert found["git"] == {"commit": None, "changed": None}
    assert found["packages"]["no-such-package"] is None
    assert found["packages"]["torch"]

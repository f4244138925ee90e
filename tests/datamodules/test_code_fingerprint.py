import ast
from pathlib import Path

import pytest

from datamodules import code_fingerprint
from datamodules.code_fingerprint import PACKAGES, ROOT, cache_key, imported_files


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Three modules, each of which imports the next, and a library beside them."""
    for folder in ("datamodules", "metrics", "library"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    (tmp_path / "datamodules" / "first.py").write_text("from datamodules.second import value\nimport library\n")
    (tmp_path / "datamodules" / "second.py").write_text("def value():\n    import metrics.third\n")
    (tmp_path / "metrics" / "third.py").write_text("SENTENCE_END = '.'\n")
    (tmp_path / "metrics" / "apart.py").write_text("")
    return tmp_path


def test_files_are_those_of_all_modules_imported_directly_or_not(project):
    found = imported_files("datamodules.first", project)
    assert [str(path.relative_to(project)) for path in found] == [
        "datamodules/__init__.py",
        "datamodules/first.py",
        "datamodules/second.py",
        "metrics/__init__.py",
        "metrics/third.py",
    ]


@pytest.mark.parametrize(("changed", "differs"), [("metrics/third.py", True), ("metrics/apart.py", False)])
def test_key_follows_all_code_that_is_imported(project, monkeypatch, changed, differs):
    def key():
        code_fingerprint._code.cache_clear()
        return cache_key("datamodules.first")

    monkeypatch.setattr(code_fingerprint, "imported_files", lambda module: imported_files(module, project))
    before = key()
    (project / changed).write_text("SENTENCE_END = '!'\n")
    assert (key() != before) is differs
    code_fingerprint._code.cache_clear()


def test_label_cutting_decides_the_key_of_encoded_rows():
    files = {str(path.relative_to(ROOT)) for path in imported_files("datamodules.row_cache")}
    assert {f"datamodules/{name}.py" for name in ("raw_splits", "local_files", "validation", "tokenize")} <= files
    assert "metrics/sentences.py" in files


def test_data_modules_import_nothing_of_the_project_but_what_keys_cover():
    project = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()} - set(PACKAGES)
    for path in [path for package in PACKAGES for path in Path(ROOT, package).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not project & {name.split(".")[0] for name in names}, path


def test_parts_decide_the_key_one_by_one():
    keys = [cache_key("datamodules.tokenize", *parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], [1], ["1"])]
    assert len(set(keys)) == 5

# Every target sets up .venv by itself, from nothing.
PYTHON ?= python3
BIN := .venv/bin
# No network beyond the package registry: everything that these targets load is in the project.
OFFLINE := HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1

.PHONY: quickstart test check lint types coverage clean

quickstart: .venv/installed
	$(OFFLINE) $(BIN)/python train.py

test: .venv/installed
	$(OFFLINE) $(BIN)/python -m pytest -n 2

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

check: lint types test

coverage: .venv/installed
	$(OFFLINE) $(BIN)/python -m pytest -n 2 --cov --cov-report=term-missing

.venv/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv runs

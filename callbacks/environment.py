"""What a run ran on: versions, commit, machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    *("torch", "lightning", "transformers", "peft", "bitsandbytes", "accelerate", "datasets", "tokenizers"),
    *("sentencepiece", "torchmetrics", "bert-score", "rouge-score-rs", "snowballstemmer", "icu4py", "py3langid"),
    *("wandb", "numpy"),
)


def describe_environment() -> dict[str, Any]:
    """Everything about program and machine that a number may depend on, as plain data."""
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "packages": package_versions(),
        "git": git_state(),
        "hardware": hardware(),
    }


def package_versions() -> dict[str, str | None]:
    """Installed versions of the packages that results depend on; None where one is missing."""
    return {name: _version(name) for name in PACKAGES}


def git_state() -> dict[str, Any]:
    """Commit of the program, and whether its files differ from it; None outside a repository."""
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "changed": None if commit is None else bool(_git("status", "--porcelain"))}


def hardware() -> dict[str, Any]:
    """Processor, main memory and GPUs."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "cuda": torch.version.cuda,
        "gpus": [{"name": gpu.name, "memory_gib": round(gpu.total_memory / 2**30, 1)} for gpu in gpus],
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

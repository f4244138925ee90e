"""Which runs a report is made of, and which are not in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from reports.card_tables import table
from reports.comparison.runs import Collection, TrainedRun
from reports.comparison.systems import System
from reports.results import Results
from reports.score_names import SCORE_NAMES, digits
from reports.section import Section


def runs_section(systems: Sequence[System], collection: Collection) -> Section:
    """Every run with its own `results.json`, then failures and what was left out."""
    languages = sorted({code for system in systems for run in system.runs for code in _results(run).counts})
    folders = [run.folder.resolve() for system in systems for run in system.runs]
    root = Path(os.path.commonpath([folder.parent for folder in folders]))
    rows = [
        [
            *(system.name, run.seed, _rate(run), _results(run).model.get("step"), _commit(run)),
            *_scores(run, languages),
            f"`{run.folder.resolve().relative_to(root)}`",
        ]
        for system in systems
        for run in system.runs
    ]
    head = ["system", "seed", "learning rate", "step", "commit", *languages, "folder"]
    parts = [
        f"Means of each run's `results.json`: {' / '.join(_named(systems))} by language. Folders lie in `{root}`.",
        table(head, rows),
    ]
    if collection.failed:
        parts.append(f"### Failed: {len(collection.failed)}")
        for one in collection.failed:
            name = f"{' '.join(one.labels.values())}, learning rate {one.learning_rate}, seed {one.seed}"
            parts += [f"{name}:", "```\n" + "\n".join(one.error).replace("```", "'''") + "\n```"]
    if collection.left_out:
        lines = "\n".join(f"- {reason}" for reason in collection.left_out)
        parts.append(f"### Not compared: {len(collection.left_out)}\n\n{lines}")
    return Section("Runs", "\n\n".join(parts))


def _named(systems: Sequence[System]) -> list[str]:
    """The scores that any run has."""
    tables = [scores for system in systems for run in system.runs for scores in _results(run).languages.values()]
    return [title for name, title in SCORE_NAMES.items() if any(name in scores for scores in tables)]


def _results(run: TrainedRun) -> Results:
    assert run.results is not None  # `collect` takes tested runs only
    return run.results


def _scores(run: TrainedRun, languages: Sequence[str]) -> list[str]:
    found = [_results(run).languages.get(code, {}) for code in languages]
    return [
        " / ".join(f"{scores[name].mean:.{digits(name)}f}" for name in SCORE_NAMES if name in scores) or "–"
        for scores in found
    ]


def _rate(run: TrainedRun) -> str:
    rate = ((run.model.get("optimizer") or {}).get("init_args") or {}).get("lr")
    return "–" if rate is None else f"{rate:g}"


def _commit(run: TrainedRun) -> str:
    git = run.environment.get("git") or {}
    return f"`{(git.get('commit') or 'unknown')[:10]}`{' (changed)' if git.get('changed') else ''}"

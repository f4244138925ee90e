"""The card of the small mT5 that the project pretrained itself, and of what studies with it showed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports.card_tables import UNKNOWN, settings_table, table
from reports.comparison.cost import cost_section
from reports.comparison.findings import Findings
from reports.comparison.learning_rates import edge_warnings, rates_tried
from reports.comparison.quality import headline_section, quality_rows
from reports.known_corpora import KnownCorpora
from reports.pretraining_record import PretrainingRecord
from reports.template import markdown_template

_SIZES = ("d_model", "d_ff", "d_kv", "num_layers", "num_decoder_layers", "num_heads", "vocab_size")


def project_model_card(
    model: Path, pretraining: Sequence[PretrainingRecord], studies: Sequence[Findings], corpora: KnownCorpora
) -> str:
    """The card in Markdown.

    Args:
        model: Folder with its `config.json`.
        pretraining: Of the runs that made it, each with the weights of the one before; none leaves a note of that.
        studies: Comparisons of runs with it.
        corpora: For licences.

    Raises:
        ValueError: If the folder has no readable `config.json`.
    """
    return markdown_template("project_model_card.md.j2").render(
        architecture=_architecture(model),
        pretraining=_pretraining(pretraining, corpora) if pretraining else None,
        studies=[(one.title, _study(one)) for one in studies],
        licences=_licences(pretraining, corpora),
    )


def _architecture(model: Path) -> str:
    try:
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"--model {str(model)!r} has no readable config.json: {error}.") from error
    sizes = {name: config.get(name, UNKNOWN) for name in _SIZES}
    return settings_table(sizes)


def _pretraining(stretches: Sequence[PretrainingRecord], corpora: KnownCorpora) -> str:
    parts = [_texts(stretches[0], corpora)]
    for number, record in enumerate(stretches, start=1):
        title = f"### Stretch {number} of {len(stretches)}\n\n" if len(stretches) > 1 else ""
        parts.append(title + _stretch(record))
    return "\n\n".join([*parts, _provenance(stretches[-1].environment)])


def _stretch(record: PretrainingRecord) -> str:
    model, data = (record.configuration[part]["init_args"] for part in ("model", "data"))
    settings: dict[str, Any] = {
        "optimizer": f"{model['optimizer']['class_path']} {model['optimizer'].get('init_args', '')}",
        "schedule": model.get("schedule"),
        "steps": record.steps,
        **{name: data.get(name) for name in ("batch_size", "input_tokens", "density", "mean_span", "temperature")},
        "precision": record.configuration["trainer"].get("precision"),
        "seed": record.configuration.get("seed_everything"),
    }
    losses = [[language, f"{first:.3f}", f"{last:.3f}"] for language, (first, last) in record.losses.items()]
    seen = UNKNOWN if record.tokens is None else f"{record.tokens / 1e6:,.0f} million"
    return (
        f"{settings_table(settings)}\n\nTokens of text seen: {seen}. "
        "Validation loss on held-out documents, nats a target token:\n\n"
        f"{table(['language', 'first validation', 'last'], losses)}"
    )


def _texts(record: PretrainingRecord, corpora: KnownCorpora) -> str:
    rows = [
        [
            f"`{Path(split['source']).name}`",
            split["language"],
            split["split"],
            f"{split['documents']:,}",
            f"{split['tokens']:,}",
            corpora.licence(split["source"]) or UNKNOWN,
        ]
        for split in record.splits
    ]
    return table(["corpus", "language", "split", "documents", "tokens", "licence of the texts"], rows)


def _provenance(environment: dict[str, Any]) -> str:
    packages, git = environment.get("packages") or {}, environment.get("git") or {}
    named = ", ".join(
        f"{name} {packages[name]}" for name in ("torch", "transformers", "lightning") if packages.get(name)
    )
    gpus = ", ".join(gpu["name"] for gpu in (environment.get("hardware") or {}).get("gpus", []))
    changed = " with local changes" * bool(git.get("changed"))
    program = f"commit `{git.get('commit') or UNKNOWN}`{changed}"
    return f"Hardware: {gpus or 'CPU'}. Packages: {named or UNKNOWN}. Program: {program}."


def _study(findings: Findings) -> str:
    head, *rows = quality_rows(findings.systems, findings.scores)
    costs = cost_section(findings.systems, findings.costs).markdown
    warnings = edge_warnings(rates_tried(findings.collection.tries, findings.systems))
    summary = headline_section(findings.tests, findings.systems, findings.scores, findings.question, warnings).markdown
    return (
        f"{summary}\n\nTest scores with 95% intervals over articles and seeds:\n\n{table(head, rows)}\n\nCosts. {costs}"
    )


def _licences(stretches: Sequence[PretrainingRecord], corpora: KnownCorpora) -> list[tuple[str, str]]:
    """Of the texts that it read; of all that are known, without a record."""
    names = [Path(one["source"]).name for record in stretches for one in record.splits] or list(corpora.texts)
    return [(name, corpora.licence(name) or UNKNOWN) for name in dict.fromkeys(name.split(".")[0] for name in names)]

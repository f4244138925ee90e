"""Writes docs/case_study.md and its figures from what the runs of the case study recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reports.atomic_write import write_text
from reports.card_tables import table
from reports.case_study import figures
from reports.case_study.accounts import Account, accounts, good_run
from reports.case_study.alphabets import alphabets_table
from reports.case_study.collapse import NOT_MEASURED, Collapse, read_collapse
from reports.case_study.failures import Failures, read_failures
from reports.case_study.statements import endings, merge_by_rate, price_of_no_end
from reports.case_study.tables import effects_table, merge_table, suppression_table, suppression_verdict, verdict
from reports.template import markdown_template

IMAGES = Path("images/case_study")


def write_case_study(runs: Path, docs: Path) -> Path:
    """Writes the page.

    Args:
        runs: Folder of `case_study.run`; whatever is missing in it appears as not measured yet.
        docs: Folder of the page; its figures go under `images/case_study`.

    Returns:
        The page.
    """
    collapse, failures = read_collapse(runs / "collapse"), read_failures(runs)
    told = accounts(failures, collapse)
    text = markdown_template("case_study.md.j2").render(
        verdict=verdict(collapse),
        provenance=provenance(collapse, failures),
        figures=_figures(collapse, failures, docs / IMAGES),
        endings=endings(collapse),
        merge_by_rate=merge_by_rate(collapse),
        effects=effects_table(collapse),
        price_of_no_end=price_of_no_end(collapse),
        merges=merge_table(collapse),
        suppression=suppression_table(collapse),
        suppression_verdict=suppression_verdict(collapse),
        good=good_run(failures),
        failures=failures_table(told),
        messages=messages(told),
        alphabets=alphabets_table(failures.trained_summaries()),
    )
    write_text(docs / "case_study.md", text.strip() + "\n")
    return docs / "case_study.md"


def failures_table(told: Sequence[Account]) -> str:
    """One row a failure."""
    head = [
        "file in `configs/case_study/`",
        "what one sees first",
        "measured cause",
        "guard",
        "the fix, and its effect",
    ]
    return table(head, [[f"`{one.name}`", one.sees, one.cause, one.guard, one.fix] for one in told])


def messages(told: Sequence[Account]) -> str:
    """What each guard printed when it was run into."""
    return "\n\n".join(f"`{one.name}`:\n\n```text\n{one.message or NOT_MEASURED}\n```" for one in told)


def provenance(collapse: Collapse, failures: Failures) -> str:
    """What the numbers were measured with: data, steps and seeds, from the records."""
    results = [one.results for one in collapse.evaluations]
    if not results:
        return f"Trainings and their tests: {NOT_MEASURED}."
    base = results[0].model["base"].get("name")
    counts = ", ".join(f"{count} {code}" for code, count in results[0].counts.items())
    steps = sorted({one.model["step"] for one in results})
    seeds = {study.seed for _, study in collapse.trainings}
    commits = sorted({(one.git.get("commit") or "unknown")[:10] for one in results})
    return (
        f"Base: `{Path(base).name}`, {len(collapse.trainings)} trainings of "
        f"{' or '.join(map(str, steps))} steps in {len(collapse.cells)} cells with {len(seeds)} "
        f"seed{'s' * (len(seeds) != 1)}, {len(results)} tests on {counts} articles, greedy, commit "
        f"{', '.join(commits)}; and {len(failures.runs)} runs of single failures, one seed each."
    )


def _figures(collapse: Collapse, failures: Failures, folder: Path) -> dict[str, str]:
    made = {
        "sentinels": (
            figures.sentinel_curves(collapse),
            "Validation summaries (48 a language) that begin with a sentinel, against training steps, labels with "
            "`</s>`; bands reach from the least to "
            "the greatest seed; at step 0 the test summaries of the untuned model",
        ),
        "ended": (
            figures.ended_shares(collapse),
            "Test summaries that end by themselves and have words; bars reach from the least to the greatest seed",
        ),
        "merges": (
            figures.surviving_updates(collapse),
            "Cosine between each 4-bit layer's update and what an NF4 merge keeps of it (1: all of its direction), "
            "against the update's size; one mark a layer and run",
        ),
        "clipping": (
            figures.clipping_losses(failures.folders),
            "Training loss, where the gradients of one step are 10,000 times as great",
        ),
        "memory": (
            figures.bertscore_memory(failures.folders),
            "Peak of the GPU's memory with BERTScore's encoder (the shape of multilingual BERT, random weights) on the "
            "GPU and in a CPU process",
        ),
    }
    return {name: "\n\n".join(figures.drawn(figure, folder, name, caption)) for name, (figure, caption) in made.items()}

"""Each failure in words: what one sees first, the measured cause, the guard and its message, the fix and its effect."""

from __future__ import annotations

from dataclasses import dataclass

from reports.case_study.collapse import LANGUAGES, NOT_MEASURED, Collapse, mean_over_seeds
from reports.case_study.failures import FailureRun, Failures, diagnosis
from reports.case_study.statements import changed_weights

_SILENT = "(nothing to say: the fault cannot happen)"
_NOTHING_FOUND = "(nothing about this)"
# Cells of the same training: what differs between them is noise.
_REPEATED = ("good", "sentinels-allowed", "bertscore-on-cpu", "bertscore-on-gpu-roomy")


@dataclass(frozen=True)
class Account:
    """One failure.

    Attributes:
        name: Of the file in configs/case_study/, without its ending.
        sees: What one sees first.
        cause: What was measured to cause it.
        guard: What of the project catches it.
        message: What the guard printed when it was run into.
        fix: What helps, and what that did.
    """

    name: str
    sees: str
    cause: str
    guard: str
    message: str
    fix: str


def accounts(failures: Failures, collapse: Collapse) -> list[Account]:
    """All failures, in the order in which a run would meet them."""
    return [
        _half_precision(failures),
        _spike(failures),
        _decoding(failures),
        _memory(failures),
        _unended(failures),
        _cut(failures),
        _seed_rate(failures, collapse),
        _merge(failures, collapse),
        _cap(failures),
        _sentinels(failures),
    ]


def good_run(failures: Failures) -> str:
    """What the run without a fault came to, and how much its repetitions differ."""
    run = _good(failures)
    if run.results is None:
        return f"`good`: {NOT_MEASURED}."
    scores = [one.languages for name in _REPEATED if (one := failures.run(name).results) is not None]
    found = [[score[code]["rouge1"].mean for score in scores if code in score] for code in LANGUAGES]
    spreads = " / ".join(f"{max(one) - min(one):.1f}" for one in found if one)
    return (
        f"`good` is good beside the faults only: ROUGE-1 {run.score('rouge1')}, where the articles' first words score "
        f"{run.score('lead_rouge1')}; {run.score('ended', 0, True)}% of its summaries end. (They have at most 64 "
        f"tokens, which {run.cut('tr', 'test')} of the Turkish references and {run.cut('en', 'test')} of the English "
        f"ones exceed.) One seed: {len(scores)} runs of the same training differ by up to {spreads} in ROUGE-1, so "
        "smaller differences mean nothing."
    )


def _good(failures: Failures) -> FailureRun:
    return failures.run("good")


def _half_precision(failures: Failures) -> Account:
    unwatched = failures.run("fp16-unwatched")
    return Account(
        "fp16_overflow",
        f"training loss {unwatched.last('train/loss')}, then summaries of no use (ROUGE-1 {unwatched.score('rouge1')})",
        "a feed-forward output beyond 65,504, the greatest fp16 number; the fault makes this small model's numbers "
        "large enough to exceed it",
        "the precision is refused; `NanMonitor` stops any other way in before the weights are touched",
        "\n".join(filter(None, [failures.refusal("fp16-overflow"), failures.run("fp16-overflow").error])),
        f"bf16: loss {_good(failures).last('train/loss')}, ROUGE-1 {_good(failures).score('rouge1')}",
    )


def _spike(failures: Failures) -> Account:
    free, clipped = failures.run("gradient-explosion"), failures.run("gradient-spike-clipped")
    norm = clipped.greatest("train/gradient_norm", 0)
    return Account(
        "gradient_explosion",
        f"no NaN; the training loss ends at {free.last('train/loss')} instead of {clipped.last('train/loss')}",
        "presumably AdamW's second moment, which keeps one step's 10,000-fold gradients, so that its steps stay tiny",
        "`GradientClipping`, on by default",
        "" if norm == NOT_MEASURED else f"It logs, and prints nothing: train/gradient_norm {norm}, clipped to 1.",
        f"the same spike, clipped: ROUGE-1 {clipped.score('rouge1')} against {free.score('rouge1')}",
    )


def _decoding(failures: Failures) -> Account:
    error = failures.run("minus-100-in-decoding").error
    return Account(
        "minus_100_in_decoding",
        f"`{error.splitlines()[0]}` in the first validation" if error else NOT_MEASURED,
        "-100, which pads predictions of different lengths, goes into the tokenizer; no NaN is needed for that",
        "`decode` leaves out every id that the tokenizer does not have",
        _SILENT,
        f"validation runs: ROUGE-1 {_good(failures).score('rouge1')}",
    )


def _memory(failures: Failures) -> Account:
    gpu, cpu = failures.run("bertscore-on-gpu").error, failures.run("bertscore-on-cpu")
    ended = gpu if "Out of memory" in gpu else ""  # on a CPU the fault is refused
    return Account(
        "bertscore_on_gpu",
        "out of memory, on a card capped at what training takes and 0.5 GiB more" if ended else NOT_MEASURED,
        "the encoder stays in the GPU's memory beside the model: "
        f"{failures.run('bertscore-on-gpu-roomy').greatest('perf/peak_memory_gib')} GiB in training instead of "
        f"{cpu.greatest('perf/peak_memory_gib')}",
        "`BertScore` runs in a CPU process; `MemoryGuard` explains",
        ended,
        f"on the CPU, with the same memory: ROUGE-1 {cpu.score('rouge1')}",
    )


def _unended(failures: Failures) -> Account:
    run, good, same = failures.run("labels-without-end"), _good(failures), failures.run("labels-cut-at-30")
    messages = [failures.refusal("labels-without-end"), _diagnoses(run, "ended")]
    return Account(
        "labels_without_end",
        f"summaries that go on to the limit, most of all in English: {run.score('ended', 0, True)}% end by `</s>`, "
        f"{_length(run, same, 'cut with `</s>`')}",
        f"labels are cut at 30 tokens ({run.cut('tr')} / {run.cut('en')} of them) and lose their `</s>`: the model "
        "never sees a long summary end",
        "truncation reserves the place of `</s>`, and the collator refuses labels without it; `CollapseMonitor`",
        "\n".join(filter(None, messages)),
        f"the same cut with `</s>`: {same.score('ended', 0, True)}% end, ROUGE-1 {same.score('rouge1')} against "
        f"{run.score('rouge1')}; no cut at 30: {good.score('ended', 0, True)}%, {good.score('rouge1')}",
    )


def _cut(failures: Failures) -> Account:
    run, good = failures.run("labels-cut-at-30"), _good(failures)
    cut = run.cut("tr")
    return Account(
        "labels_cut_at_30",
        f"nothing odd: {_length(run, good)}",
        "the labels stop in mid-sentence; they do end in `</s>`, so nothing is endless for it "
        f"({run.score('ended', 0, True)}% end by themselves, without the fault {good.score('ended', 0, True)}%)",
        "the data report counts cut summaries; `truncate_targets: sentence` is the default",
        "" if cut == NOT_MEASURED else f"summary tokens … cut {cut} (tr), {run.cut('en')} (en)",
        f"64 tokens: ROUGE-1 {good.score('rouge1')} against {run.score('rouge1')}",
    )


def _seed_rate(failures: Failures, collapse: Collapse) -> Account:
    cell = ("lr-5.6e-5", "q-v", "with-end")
    folder = next((path for path, study in collapse.trainings if tuple(study.labels.values()) == cell), None)
    share = _percent(mean_over_seeds(collapse.of("adapters", cell=cell), "sentinel_start"))
    good = _percent(mean_over_seeds(collapse.of("adapters", cell=collapse.reference), "sentinel_start"))
    run = failures.run("seed-rate-and-targets")
    return Account(
        "seed_rate_and_targets",
        f"`<extra_id_0>` at the beginning of {share} of the summaries, or, where sentinels are suppressed, ROUGE-1 "
        f"{run.score('rouge1')}",
        "adapters at a learning rate meant for all parameters have not moved the model off its pretraining task within "
        "so few steps",
        "`CollapseMonitor` in every validation",
        diagnosis(folder, "sentinel_start") or _diagnoses(run, "ended"),
        f"1e-3 on all linear layers: {good} begin so, ROUGE-1 {_good(failures).score('rouge1')}",
    )


def _merge(failures: Failures, collapse: Collapse) -> Account:
    run, good = failures.run("nf4-merge"), _good(failures)
    changed = changed_weights(collapse.of("nf4", cell=collapse.reference))
    return Account(
        "nf4_merge",
        f"a good run, then ROUGE-1 {run.score('rouge1')} from the merged model",
        f"rounding to 4 bits again: {changed} of the 4-bit weights change at all",
        "`export.py` refuses, and compares every export with the trained model",
        failures.refusal("nf4-merge"),
        f"left apart: ROUGE-1 {good.score('rouge1')}; merged into bf16, in the large experiment, as unmerged",
    )


def _cap(failures: Failures) -> Account:
    run, good = failures.run("cap-20"), _good(failures)
    return Account(
        "cap_20",
        f"short summaries: {_length(run, good)}; {run.score('ended', 0, True)}% end by themselves, "
        f"without the fault {good.score('ended', 0, True)}%",
        "`generate` stops at 20 new tokens unless it is told otherwise",
        "the limit is always set; `CollapseMonitor`",
        _diagnoses(run, "ended", "length_ratio"),
        f"64 tokens: ROUGE-1 {good.score('rouge1')} against {run.score('rouge1')}",
    )


def _sentinels(failures: Failures) -> Account:
    run, good = failures.run("sentinels-allowed"), _good(failures)
    return Account(
        "sentinels_allowed",
        f"after good training nothing: {run.score('sentinel_start', 0, True)}% begin with a sentinel; it hurts models "
        "that have not left pretraining behind",
        "sentinels are ordinary pieces to mT5's tokenizer, so that `skip_special_tokens` keeps them",
        "they are suppressed by id; `CollapseMonitor` where they are allowed",
        _diagnoses(run, "sentinel_start"),
        f"suppressed: ROUGE-1 {good.score('rouge1')} against {run.score('rouge1')}",
    )


def _length(run: FailureRun, other: FailureRun, name: str = "without the fault") -> str:
    ratio = "length_ratio"
    return f"{run.score(ratio, 2)} times the words of their references, {name} {other.score(ratio, 2)}"


def _diagnoses(run: FailureRun, *figures: str) -> str:
    """What CollapseMonitor said of these figures, or that it said nothing; empty where the run was not made."""
    said = "\n".join(filter(None, map(run.diagnosis, figures)))
    return said or (_NOTHING_FOUND if run.results is not None else "")


def _percent(share: float | None) -> str:
    return NOT_MEASURED if share is None else f"{share:.0%}"

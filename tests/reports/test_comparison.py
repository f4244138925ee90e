"""The report of several runs: its numbers are those of the runs, and nothing is left out in silence."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fake_runs import scores, write_run, write_study_folder

from metrics.significance import holm
from reports.comparison.cost import cost, machines
from reports.comparison.languages import language_section
from reports.comparison.learning_rates import edge_warnings, learning_rates_section, rates_tried
from reports.comparison.provenance import runs_section
from reports.comparison.quality import uniform_warnings
from reports.comparison.report import write_report
from reports.comparison.runs import collect
from reports.comparison.scores import LanguageScores, scores_by_language, significance
from reports.comparison.systems import group
from reports.page import write_page
from reports.section import Section
from reports.study_record import read_study_run, write_study_run

pytestmark = pytest.mark.xdist_group("comparison")  # one report serves all of these tests


def rouge(mean: float, seed: int = 0) -> dict[str, list[float]]:
    return {"tr": scores(mean, seed), "en": scores(mean - 5, seed + 10)}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("study")
    for label, mean, adaptation, rank in (("full", 30, "full", 8), ("r4", 20, "lora", 4), ("r16", 29, "lora", 16)):
        for seed in (0, 1):
            write_study_folder(
                root, "demo", label, seed, 1e-3, rouge=rouge(mean, seed), adaptation=adaptation, rank=rank
            )
        write_study_folder(root, "demo", label, 0, 1e-2, status="fitted", rouge=rouge(mean - 4))
    write_study_folder(root, "demo", "r64", 0, 1e-3, status="failed", rouge=rouge(9))
    return root


@pytest.fixture(scope="module")
def report(study, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    further = [lambda systems, folder: Section("Further", f"{len(systems)} systems"), lambda systems, folder: None]
    write_report([study], folder, further=further)
    return folder


def section(report: Path, title: str) -> str:
    text = (report / "report.md").read_text(encoding="utf-8")
    return re.search(rf"## {title}\n\n(.*?)(?=\n## |\Z)", text, re.DOTALL)[1]


def row(text: str, *starts: str) -> list[str]:
    (found,) = [line for line in text.splitlines() if line.startswith("| " + " | ".join(starts) + " |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_systems_are_the_cells_with_their_seeds_the_reference_first(study):
    systems = group(collect([study]).runs)
    assert [(one.name, [run.seed for run in one.runs]) for one in systems] == [
        ("full", [0, 1]), ("r4", [0, 1]), ("r16", [0, 1]),
    ]  # fmt: skip
    assert [one.is_reference for one in systems] == [True, False, False]


def test_means_are_those_of_the_results_files(study, report):
    files = sorted(study.glob("r4/lr-0.001/*/*/test/results.json"))
    means = [json.loads(file.read_text())["languages"]["tr"]["rougeL"]["mean"] for file in files]
    turkish = section(report, "Quality").split("### tr")[1]
    assert row(turkish, "r4")[5].startswith(f"{np.mean(means):.2f} [")
    assert row(turkish, "r4")[5].endswith(f"±{np.std(means, ddof=1):.2f}")
    assert row(turkish, r"*first words of the article*")[5] == "5.00 [5.00, 5.00]"
    own = row(section(report, "Runs"), "r4", "1")[6]
    assert own.split(" / ")[2] == f"{means[1]:.2f}"


def test_every_mean_of_the_results_files_is_in_markdown_and_page(study, report):
    page = re.sub(r"</t[dh]>\s*<t[dh][^>]*>", " | ", (report / "report.html").read_text(encoding="utf-8"))
    lines = [re.sub(r"<[^>]+>", "", line).strip() for line in page.splitlines()]
    for system, language, score in itertools.product(
        ("full", "r4", "r16"), ("en", "tr"), ("rouge1", "rouge2", "rougeL")
    ):
        files = study.glob(f"{system}/lr-0.001/*/*/test/results.json")
        means = [json.loads(file.read_text())["languages"][language][score]["mean"] for file in files]
        place = 3 + ("rouge1", "rouge2", "rougeL").index(score)
        name = f"**{system}**" if system == "full" else system
        cells = row(section(report, "Quality").split(f"### {language}")[1].split("###")[0], name)
        assert len(means) == 2 and cells[place].startswith(f"{np.mean(means):.2f} [")
        assert " | ".join([system, *cells[1:]]) in lines


def test_a_single_run_has_the_interval_of_its_results_file(tmp_path):
    folder = write_run(tmp_path / "one", rouge(30))
    expected = json.loads((folder / "test/results.json").read_text())["languages"]["en"]["rougeL"]
    (scores_of_en, _) = scores_by_language(group(collect([tmp_path]).runs))
    found = scores_of_en.interval("full", "rougeL")
    assert vars(found) == pytest.approx(expected, abs=1e-5)


def test_differences_ratios_and_p_values_are_paired(study, report):
    systems = group(collect([study]).runs)
    tests = significance(scores_by_language(systems), "full")
    assert {(one.language, one.system) for one in tests} == {
        (code, name) for code in ("en", "tr") for name in ("r4", "r16")
    }
    one = next(test for test in tests if (test.language, test.system, test.score) == ("tr", "r4", "rougeL"))
    assert one.outcome.difference.mean == pytest.approx(-10)
    assert one.outcome.ratio.mean == pytest.approx(1 - 10 / np.mean([scores(30, 0), scores(30, 1)]))
    assert one.adjusted_p < 0.05
    assert [test.adjusted_p for test in tests] == holm([max(test.outcome.p, test.randomization_p) for test in tests])
    assert f"{one.outcome.ratio.mean:.1%}" in section(report, "In short").split("tr: **r4** reaches ")[1][:10]


def test_many_tests_together_can_still_find_a_clear_difference():
    noise = np.random.default_rng(0)
    better, worse = (level + noise.random((1, 40)) for level in (10.0, 1.0))
    tables = {"full": {"rougeL": better}} | {f"r{number}": {"rougeL": worse} for number in range(100)}
    tests = significance([LanguageScores("en", [str(number) for number in range(40)], tables, 0)], "full")
    assert len(tests) == 100
    assert max(one.adjusted_p for one in tests) < 0.05


def test_chosen_rates_are_those_with_the_best_validation(report):
    cells = row(section(report, "Learning rates"), "r16")
    assert cells[1:4] == ["2", "0.001", "yes"]


def test_the_same_cell_of_two_studies_is_not_mixed_up(tmp_path):
    for study, means in (("one", (30, 20)), ("two", (10, 15))):
        for rate, mean in zip((1e-3, 1e-2), means, strict=True):
            write_study_folder(tmp_path / study, study, "full", 0, rate, rouge=rouge(mean))
    found = collect([tmp_path])
    systems = group(found.runs)
    text = learning_rates_section(rates_tried(found.tries, systems), systems, tmp_path / "out").markdown
    assert (row(text, "one full")[2], row(text, "two full")[2]) == ("0.001", "0.01")


def test_costs_are_derived_from_what_was_logged(study, report):
    found = cost(group(collect([study]).runs)[1])
    assert (found.trained, found.total, found.articles_per_s) == (1000, 1000, 50)
    assert found.epoch_seconds == 200 / 50
    assert found.summaries_per_s == 200 / 2
    assert found.weights_mib == 4 * 1000 / 2**20
    assert found.checkpoint_mib == 1
    assert found.peak_memory_gib is None
    text = section(report, "Costs")
    named = dict(zip(row(text, "system"), row(text, "r4"), strict=True))
    assert (named["articles/s"], named["summaries/s"]) == ("50.0", "100.0")
    assert "peak GiB, training" not in named  # nobody recorded any: a column of dashes


def test_costs_say_how_many_runs_shared_a_device(tmp_path):
    alone = write_study_folder(tmp_path, "demo", "full", 0, None, rouge=rouge(30))
    shared = write_study_folder(tmp_path, "demo", "r4", 0, None, rouge=rouge(20))
    write_study_run(shared, replace(read_study_run(shared), at_a_time=5))
    assert machines(group(collect([alone]).runs)) == ["CPU x (2 cores)"]
    (found,) = machines(group(collect([shared]).runs))
    assert found.startswith("CPU x (2 cores), 5 runs at a time")


def test_systems_that_give_many_articles_one_summary_are_named():
    tables = {
        name: {"rougeL": np.full((1, 10), 20.0), "uniform": np.array([[1.0] * count + [0.0] * (10 - count)])}
        for name, count in (("reads", 2), ("recites", 9))
    }
    systems = [SimpleNamespace(name=name) for name in ("reads", "recites", "elsewhere")]
    one = LanguageScores("tr", [str(number) for number in range(10)], tables, 0)
    (warning,) = uniform_warnings(systems, [one])
    assert warning.startswith("tr: 90% of the summaries of recites are")


def test_steps_to_a_quality_are_those_of_the_first_validation_that_has_it(report):
    text = section(report, "Convergence")
    assert row(text, "full")[1:4] == ["15", "20", "20"]  # the better seed's half comes before its first validation's
    assert row(text, "r4")[1:4] == ["20", "–", "–"]


def test_languages_of_outputs_are_identified(tmp_path):
    predictions = {"tr": "The ferry did not sail today at all.", "en": "x"}
    write_run(tmp_path / "a", rouge(30), trained_on=("en",), predictions=predictions)
    systems = group(collect([tmp_path]).runs)
    text = language_section(systems, scores_by_language(systems), tmp_path).markdown
    assert row(text, "tr")[2:5] == ["en", "100.0% [100.0, 100.0]", "en 100.0%"]
    assert row(text, "en")[4] == "too short 100.0%"
    assert "in no other language [95%]" in text and "right" not in text
    assert "transfer" not in text and not (tmp_path / "figures").exists()


def test_transfer_is_drawn_where_languages_of_training_differ(tmp_path):
    for number, language in enumerate(("tr", "en")):
        write_run(tmp_path / language, rouge(30), rank=4 + number, trained_on=(language,))
    systems = group(collect([tmp_path]).runs)
    text = language_section(systems, scores_by_language(systems), tmp_path).markdown
    assert "(figures/transfer.png)" in text
    assert (tmp_path / "figures/transfer.png").stat().st_size > 5000


def test_best_rates_at_an_edge_are_told_with_their_side():
    tried = {"a": {1e-3: 2.0, 1e-2: 1.0}, "b": {1e-3: 1.0, 1e-2: 2.0}, "c": {1e-3: 1.0, 2e-3: 3.0, 1e-2: 2.0}}
    highest, lowest = edge_warnings(tried)
    assert highest.startswith("The best learning rate of b is the highest tried")
    assert lowest.startswith("The best learning rate of a is the lowest tried")


def test_failures_and_further_sections_are_in_the_report(report):
    assert "### Failed: 1" in section(report, "Runs")
    assert section(report, "Further").strip() == "3 systems"


def test_slides_and_examples_lie_beside_the_page(report):
    assert (report / "slides.pdf").read_bytes().startswith(b"%PDF")
    assert "## tr: in the middle" in (report / "demo_examples.md").read_text(encoding="utf-8")


def test_page_needs_no_other_file_and_has_every_section(report):
    page = (report / "report.html").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)$", (report / "report.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.findall(r"<h2>(.*?)</h2>", page) == titles
    assert set(re.findall(r'(?:src|href)="([^"]{,24})', page)) <= {
        "data:image/svg+xml;base6", *(f"#section-{number}" for number in range(1, len(titles) + 1))
    }  # fmt: skip
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", (report / "report.md").read_text(encoding="utf-8"))
    assert len(pictures) == page.count("<img") == 6
    for picture in pictures:
        assert (report / picture).read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (report / picture).with_suffix(".svg").read_text(encoding="utf-8")


def test_texts_cannot_put_html_into_the_page(tmp_path):
    page, text = write_page("<b>bold", [Section("<i>", "a | <u>under")], tmp_path)
    written = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;bold" in written and "&lt;i&gt;" in written and "&lt;u&gt;under" in written
    assert not re.search(r"<[biu]>", written)
    assert text.read_text(encoding="utf-8") == "# <b>bold\n\n## <i>\n\na | <u>under\n"


def test_runs_without_a_study_are_named_by_their_differences(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / f"a{seed}", rouge(30, seed), seed=seed)
        write_run(tmp_path / f"b{seed}", rouge(28, seed), adaptation="lora", rank=16, learning_rate=3e-3, seed=seed)
    systems = group(collect([tmp_path]).runs)
    assert [(one.name, len(one.runs)) for one in systems] == [
        ("adaptation=full, rank=8, lr=0.001", 2),
        ("adaptation=lora, rank=16, lr=0.003", 2),
    ]
    chosen = group(collect([tmp_path]).runs, "adaptation=lora, rank=16, lr=0.003")
    assert chosen[0].is_reference and chosen[0].first.adaptation == "lora"
    with pytest.raises(ValueError, match="nobody"):
        group(collect([tmp_path]).runs, "nobody")


def test_cells_of_a_study_without_rates_and_of_two_studies_are_told_apart(tmp_path):
    for study in ("one", "two"):
        write_study_folder(tmp_path / study, study, "full", 0, None, rouge=rouge(30))
    for rate in (1e-3, 1e-4):  # the choice fell on another rate when a failed try was made again
        write_study_folder(tmp_path / "one", "one", "lora", 0, rate, rouge=rouge(29), adaptation="lora")
    names = [one.name for one in group(collect([tmp_path]).runs)]
    assert names == ["one full", "one lora lr 0.0001", "one lora lr 0.001", "two full"]


def test_untested_and_damaged_runs_are_named_and_passed_over(tmp_path):
    write_run(tmp_path / "good", rouge(30))
    for name, file in (("untested", "results.json"), ("damaged", "predictions.jsonl")):
        write_run(tmp_path / name, rouge(30))
        (tmp_path / name / "test" / file).unlink()
    found = collect([tmp_path])
    assert [run.folder.name for run in found.runs] == ["good"]
    assert sorted(reason.split("`")[1].rsplit("/", 1)[1] for reason in found.left_out) == ["damaged", "untested"]
    assert "### Not compared: 2" in runs_section(group(found.runs), found).markdown


def test_only_common_articles_are_compared_and_the_others_counted(tmp_path):
    write_run(tmp_path / "a", {"tr": scores(30, 0)})
    write_run(tmp_path / "b", {"tr": scores(30, 0)[:25], "en": scores(30, 1)}, adaptation="lora")
    english, turkish = scores_by_language(group(collect([tmp_path]).runs))
    assert (len(turkish.ids), turkish.lacking, len(turkish.tables)) == (25, 15, 2)
    assert (len(english.ids), len(english.tables)) == (40, 1)


def test_other_references_are_refused(tmp_path):
    for name, adaptation in (("a", "full"), ("b", "lora")):
        write_run(tmp_path / name, {"tr": scores(30, 0)}, adaptation=adaptation)
    file = tmp_path / "b/test/predictions.jsonl"
    file.write_text(file.read_text().replace("Reference 3", "Another"))
    with pytest.raises(ValueError, match="another reference"):
        scores_by_language(group(collect([tmp_path]).runs))


@pytest.mark.parametrize(("folder", "message"), [("absent", "no folder"), (".", "no run at all")])
def test_nothing_to_compare_is_said(tmp_path, folder, message):
    with pytest.raises(ValueError, match=message):
        collect([tmp_path / folder])

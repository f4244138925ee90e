"""The comparison's slides and examples say what the runs' files say."""

import json
from pathlib import Path

import numpy as np
import pytest
from fake_runs import scores, write_run

from reports.comparison.deck import comparison_slides
from reports.comparison.demo_examples import telling_examples, verdict, write_demo_examples
from reports.comparison.findings import Findings, find
from reports.comparison.quality import lead_warnings
from reports.comparison.scores import LanguageScores
from reports.comparison.systems import System
from reports.section import Section
from reports.slides import Slide

ARTICLE = "Ahmet Yılmaz 12 ev aldı. Vapur seferleri iki gün boyunca durduruldu."
TEXTS = {"full": "Dün Ahmet Yılmaz 12 ev aldı.", "lora": "Dün Mehmet Kaya 99 ev aldı."}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    root = tmp_path_factory.mktemp("runs")
    for name, mean in (("full", 30), ("lora", 27)):
        for seed in (0, 1):
            rouge = {"tr": scores(mean, seed), "en": scores(mean - 5, seed + 10)}
            trained = ("tr", "en") if name == "full" else ("tr",)
            texts = {"tr": TEXTS[name], "en": "A story."}
            folder = write_run(root / f"{name}{seed}", rouge, name, seed, trained_on=trained, predictions=texts)
            file = folder / "test/predictions.jsonl"
            rows = [json.loads(line) | {"article": ARTICLE} for line in file.read_text().splitlines()]
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return find([root])


def slide(findings: Findings, title: str) -> Slide:
    (found,) = [one for one in comparison_slides(findings, [], Path()) if title in one.title]
    return found


def test_slides_begin_with_the_question_and_end_with_the_limits(findings):
    titles = [one.title for one in comparison_slides(findings, [], Path())]
    assert titles[:5] == [
        findings.title,
        "Data",
        "Quality by language",
        "What the others keep of “adaptation=full”",
        "What each costs",
    ]
    assert titles[5:] == [
        "What crosses languages",
        "Example, en: where the systems differ most",
        "Example, tr: where the systems differ most",
        "What this does not show",
    ]


def test_numbers_on_slides_are_those_of_the_runs(findings):
    runs = [run.results.languages["tr"]["rougeL"].mean for run in findings.systems[1].runs]
    (row,) = [row for row in slide(findings, "Quality").table if row[:2] == ("tr", "adaptation=lora")]
    assert row[2] == "2"
    assert row[-1].startswith(f"{np.mean(runs):.2f} [")
    (kept,) = [row for row in slide(findings, "keep").table if row[0] == "tr"]
    best = [run.results.languages["tr"]["rougeL"].mean for run in findings.systems[0].runs]
    assert kept[2].startswith(f"{100 * np.mean(runs) / np.mean(best):.1f}% [")
    assert ("tr", "news.tr.jsonl", "100", "100", "100", "100", "100") in slide(findings, "Data").table
    assert slide(findings, "crosses").table[2][1] == "tr"


def test_it_is_said_where_a_cut_would_do(findings):
    assert lead_warnings(findings.systems, findings.scores) == []
    low = LanguageScores("tr", ["1"], {"a": _table(4.0), "b": _table(6.0)}, 0)
    systems = [System(name, findings.systems[0].runs) for name in ("a", "b")]
    (warning,) = lead_warnings(systems, [low])
    assert "first words (5.00 in ROUGE-L)" in warning and warning.endswith("better than a: a cut would do.")
    (warning,) = lead_warnings(systems[:1], [LanguageScores("tr", ["1"], {"a": _table(4.0)}, 0)])
    assert "every system" in warning
    sentences = {"a": _table(4.0) | {"lead2_rougeL": np.array([[7.0]])}, "b": _table(6.0)}
    (warning,) = lead_warnings(systems, [LanguageScores("tr", ["1"], sentences, 0)])
    assert "first 2 sentences (7.00 in ROUGE-L)" in warning and "every system" in warning  # of the best of the cuts


def _table(score: float) -> dict:
    return {"rougeL": np.array([[score]]), "lead_rougeL": np.array([[5.0]])}


def test_pictures_are_those_of_the_sections(findings):
    sections = [Section("Rank", "What it shows.\n\n![Rank](figures/rank.png)"), Section("Quality", "![q](q.png)")]
    (rank,) = [one for one in comparison_slides(findings, sections, Path("out")) if one.picture]
    assert (rank.title, rank.picture, rank.note) == ("Rank", Path("out/figures/rank.png"), "What it shows.")


def test_examples_are_chosen_by_score_and_each_article_once(findings):
    chosen = telling_examples(findings.systems)
    assert (
        len(chosen)
        == len({(next(iter(one.values()))["language"], next(iter(one.values()))["id"]) for one in chosen.values()})
        == 8
    )
    means = {title: np.mean([row["scores"]["rougeL"] for row in one.values()]) for title, one in chosen.items()}
    assert means["tr: best on average"] > means["tr: in the middle"] > means["tr: worst on average"]
    rows = findings.systems[0].first.predictions, findings.systems[1].first.predictions
    spread = {name: abs(rows[0][name]["scores"]["rougeL"] - rows[1][name]["scores"]["rougeL"]) for name in rows[0]}
    first = next(iter(chosen["tr: where the systems differ most"].values()))
    assert spread["tr", first["id"]] == max(value for (language, _), value in spread.items() if language == "tr")


def test_a_verdict_names_what_is_invented_and_what_is_not(findings):
    example = telling_examples(findings.systems)["tr: best on average"]
    well, badly = verdict(example, "adaptation=full")
    assert "every number and word of a name that it mentions (3) is in the article" in well
    assert "nearest to the reference" in well and not badly
    well, badly = verdict(example, "adaptation=lora")
    assert {"hallucinated number: 99", "hallucinated name: Mehmet, Kaya"} <= set(badly)
    lead = example["adaptation=lora"]["scores"]["rougeL"] - 5
    assert well == [f"ROUGE-L {lead:.1f} above the article's first words"]
    assert badly[-1] == "farthest from the reference"


def test_the_examples_file_says_which_seed_and_shows_every_system(findings, tmp_path):
    text = write_demo_examples(findings, tmp_path).read_text(encoding="utf-8")
    assert "first seed of each system (adaptation=full: 0, adaptation=lora: 0)" in text
    assert text.count("| adaptation=lora |") == text.count("| adaptation=full |") == 8
    assert "Dün Mehmet Kaya 99 ev aldı." in text and "**Reference:** Reference" in text

"""Markup in articles, summaries and their ids is text in every page that shows them."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_runs import scores, write_study_folder

from compare import main

HOSTILE = "<script>planted()</script><img src=planted onerror=planted()>\"'></textarea>[x](javascript:planted()) &lt;b>"


class Elements(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(f"{tag} {attrs}")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    root, folder = tmp_path_factory.mktemp("study"), tmp_path_factory.mktemp("report")
    for label, mean in (("full", 30), ("lora", 20)):
        predictions = {"tr": f"{HOSTILE} {label} Vapur geç kaldı.", "en": f"{HOSTILE} {label} The ferry was late."}
        rouge = {language: scores(mean, 0) for language in predictions}
        write_study_folder(root, "demo", label, 0, 1e-3, rouge=rouge, predictions=predictions)
    main(["report", str(root), "--output", str(folder)])
    return folder


def test_report_shows_hostile_summaries_as_text(report):
    pages = list(report.rglob("*.html"))
    shown = 0
    for page in pages:
        elements = Elements()
        elements.feed(page.read_text(encoding="utf-8"))
        assert not [element for element in elements.found if "planted" in element]
        whole = elements.text.count("<script>planted()</script><img src=planted onerror=planted()>")
        assert whole == elements.text.count("planted()</script>")
        shown += whole
    assert shown > 0

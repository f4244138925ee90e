"""The page of `summarize.py --serve` in a real browser: needs the extras `web` and `browser`, and Chromium."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from random_model import write_random_model

gradio = pytest.importorskip("gradio")
playwright = pytest.importorskip("playwright.sync_api")

from lightning_modules.exported_folder import ExportRecord  # noqa: E402
from summarize import main  # noqa: E402

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")]


@pytest.fixture(scope="module")
def model(tmp_path_factory, random_mt5) -> str:
    folder = write_random_model(random_mt5, tmp_path_factory.mktemp("model"))
    (folder / "generation_config.json").write_text('{"max_new_tokens": 16}')
    ExportRecord(max_source_tokens=128, languages=["tr", "en"]).write(folder)
    return str(folder)


@pytest.fixture(scope="module")
def port(model) -> Iterator[int]:
    """Of a running page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    command = [sys.executable, "summarize.py", model, "--device=cpu", "--serve", f"--port={number}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert f"http://127.0.0.1:{number} shows the page" in server.stdout.readline()
            yield number
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, port) -> Iterator:
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.goto(f"http://127.0.0.1:{port}")
    yield page
    page.close()


@pytest.fixture(scope="module")
def article(quickstart) -> str:
    return json.loads((quickstart / "tr.jsonl").read_text().splitlines()[0])["article"]


def summarise(page, article: str) -> None:
    page.locator("#article textarea").fill(article)
    page.locator("#summarise").click()


def test_article_gives_summary_warnings_and_sources(page, article, tmp_path):
    summarise(page, article)
    page.locator("#sources mark").first.wait_for()
    assert page.locator("#summary textarea").input_value()
    assert page.locator("#sources").inner_text().split() == article.split()
    notes = page.locator("#notes").inner_text()
    assert "unended: the summary was cut off" in notes
    assert "its end was not read" in notes
    assert "Language: tr." in notes
    page.screenshot(path=tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size < 300_000


def test_chosen_settings_are_used(page, article):
    page.get_by_label("chunk").check()
    page.get_by_label("Language").click()
    page.get_by_role("option", name="en", exact=True).click()
    summarise(page, article)
    page.locator("#sources mark").first.wait_for()
    notes = page.locator("#notes").inner_text()
    assert "was read in" in notes and "not read" not in notes
    assert "Language: en." in notes
    assert "wrong_language" in notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Not summarised: the article is missing or blank."),
        ("12 345", "Not summarised: no letter."),
        ("kar " * 12_501, "Not summarised: more than 50,000 characters."),
    ],
    ids=["empty", "digits", "too long"],
)
def test_what_cannot_be_summarised_is_said(page, text, message):
    summarise(page, text)
    page.get_by_text(message).wait_for()
    assert not page.locator("#summary textarea").input_value()


def test_markup_in_an_article_is_shown_and_not_run(page):
    summarise(page, "<img src=x onerror=\"document.title='broken in'\"> Vapur geç kaldı. <b>Sonra</b> geldi.")
    page.locator("#sources mark").first.wait_for()
    assert page.locator("#sources img, #sources b").count() == 0
    assert page.title() == "ozet"


def test_two_readers_are_served_one_after_the_other(browser, port, article):
    pages = [browser.new_page() for _ in range(2)]
    for number, page in enumerate(pages):
        page.goto(f"http://127.0.0.1:{port}")
        page.locator("#article textarea").fill(f"Sayfa {number}. {article}")
    for page in pages:
        page.locator("#summarise").click()
    for number, page in enumerate(pages):
        page.locator("#sources mark").first.wait_for()
        assert page.locator("#sources").inner_text().startswith(f"Sayfa {number}.")
        assert page.locator("#summary textarea").input_value()
        page.close()


def test_nothing_but_this_machine_is_asked_and_answered(browser, port, article):
    page = browser.new_page()
    hosts = []
    page.on("request", lambda request: hosts.append(request.url.split("/")[2]))
    page.goto(f"http://127.0.0.1:{port}")
    summarise(page, article)
    page.locator("#sources mark").first.wait_for()
    page.close()
    assert set(hosts) == {f"127.0.0.1:{port}"}
    with pytest.raises(ConnectionRefusedError):  # a server of all addresses would answer here, too
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_port_that_cannot_be_used_is_refused_before_the_model_is_loaded(port):
    for number in (port, 0, 65_536):
        with pytest.raises(ValueError, match=f"--port {number} "):
            main(["no/such/model", "--serve", f"--port={number}"])

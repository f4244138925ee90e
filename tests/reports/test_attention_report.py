import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reports.attention import attention_section, main
from reports.attention_maps import draw_distances, draw_encoder, draw_sentences, draw_words
from reports.attention_record import AttentionRecord, read_attention, write_attention
from reports.attention_view import attention_view, leanings

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WORDS = ["Yağmur ", "durdu. ", "Okul ", "<b>açıldı</b> ", "yine."]
SENTENCES = [0, 0, 1, 1, 1]


def record(model: str = "full", strongest: tuple[int, ...] = (0, 4, 2), identity: str = "row 1") -> AttentionRecord:
    """Two layers of two heads; each word of the summary gives half of its attention to one word of the article."""
    cross = np.full((2, 2, 3, 7), 0.5 / 6, np.float32)
    for row, column in enumerate(strongest):
        cross[:, :, row, 2 + column] = 0.5
    encoder = np.full((2, 2, 4, 4), 0.25, np.float32)
    return AttentionRecord(model, identity, "tr", ["Hava ", "açtı ", "</s>"], WORDS, SENTENCES, False, cross, encoder)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_attention(tmp_path / "a.npz", record())
    found = read_attention(tmp_path / "a.npz")
    assert replace(found, cross=None, encoder=None) == replace(record(), cross=None, encoder=None)
    np.testing.assert_allclose(found.cross, record().cross, atol=1e-3)
    assert found.sentences == ["Yağmur durdu. ", "Okul <b>açıldı</b> yine."]
    (tmp_path / "b.npz").write_bytes(b"no archive")
    for name in ("b", "c"):
        with pytest.raises(ValueError, match="is no record of attention"):
            read_attention(tmp_path / f"{name}.npz")


def test_each_word_leans_on_the_sentence_with_the_most_weight() -> None:
    found = leanings(record())
    assert [place for place, _, _ in found] == [0, 1, 1]
    shares = [share for _, share, _ in found]
    inside = 0.5 + 4 * 0.5 / 6
    assert shares == pytest.approx([(0.5 + 0.5 / 6) / inside] + [(0.5 + 2 * 0.5 / 6) / inside] * 2, abs=1e-5)
    assert [outside for _, _, outside in found] == pytest.approx([2 * 0.5 / 6] * 3)


def test_map_is_dark_where_the_attention_is(tmp_path: Path) -> None:
    path = draw_words([record(strongest=(0, 0, 0)), record("lora", (4, 4, 4))], tmp_path, "map")
    assert path == "figures/map.png"
    with Image.open(tmp_path / path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    # matplotlib's darkest blue, (8, 48, 107); the rightmost is the colour bar's.
    columns = np.flatnonzero((np.abs(pixels - (8, 48, 107)).sum(axis=2) < 6).sum(axis=0) > 20) / pixels.shape[1]
    panels = [columns[columns < 0.45], columns[(columns > 0.45) & (columns < 0.86)]]
    assert panels[0].max() < 0.25 < 0.6 < panels[1].min()


@pytest.mark.parametrize("draw", [draw_words, draw_sentences, draw_encoder])
def test_no_text_is_cut_at_the_edge_of_a_map(draw, tmp_path: Path, monkeypatch) -> None:
    def check(figure, folder: Path, name: str) -> str:
        figure.canvas.draw()
        assert "share of attention" in figure.axes[-1].get_ylabel()
        whole, drawn = figure.bbox.padded(1), [axes.get_tightbbox() for axes in figure.axes]
        assert all(whole.x0 <= box.x0 and whole.y0 <= box.y0 for box in drawn)
        assert all(box.x1 <= whole.x1 and box.y1 <= whole.y1 for box in drawn)
        return name

    monkeypatch.setattr("reports.attention_maps.save_figure", check)
    draw([record(), record("lora", (4, 4, 4))], tmp_path, "map")


def test_a_long_article_shows_the_words_attended_to_most(tmp_path: Path) -> None:
    weights = np.full((1, 1, 1, 202), 0.001, np.float32)
    weights[..., 150] = 0.7
    words = [f"w{number} " for number in range(200)]
    long = replace(record(), source_words=words, source_sentences=[0] * 200, summary_words=["x"], cross=weights)
    draw_words([long], tmp_path, "map")
    svg = (tmp_path / "figures" / "map.svg").read_text()
    labels = re.findall(r"<!-- (w\d+) -->", svg)
    assert len(labels) == 20 and "w148" in labels  # two columns stand before the article


def test_distances_need_the_same_summary(tmp_path: Path) -> None:
    other = replace(record("lora"), summary_words=["Hava "], cross=record().cross[:, :, :1])
    with pytest.raises(ValueError, match="cannot be compared"):
        draw_distances(record(), other, tmp_path, "map")


def test_section_compares_models_of_one_summary(tmp_path: Path) -> None:
    section = attention_section([record(), record("lora", (4, 4, 2))], tmp_path)
    assert section.title == "Attention: row 1 (tr)"
    # One of three words looks elsewhere: by hand 0.5 log2(12/7) + log2(2/7) / 12 = 0.238 bits for it.
    row = next(line for line in section.markdown.splitlines() if line.startswith("| full and lora | decoder"))
    assert [cell.strip() for cell in row.split("|")[3:6]] == ["0.079", "0.079", "0.079"]
    assert "different numbers" not in section.markdown
    pictures = re.findall(r"\]\((.*?)\)", section.markdown)
    assert len(pictures) == 4 and all((tmp_path / picture).is_file() for picture in pictures)
    assert section.html.count('<img src="data:image/svg+xml') == 4


@pytest.mark.slow
def test_models_that_read_different_lengths_are_told(tmp_path: Path) -> None:
    short = replace(
        record("lora"),
        source_words=WORDS[:3],
        source_sentences=SENTENCES[:3],
        cross=record("lora", (0, 1, 2)).cross[..., :5]
        / record("lora", (0, 1, 2)).cross[..., :5].sum(-1, keepdims=True),
    )
    section = attention_section([record(), short], tmp_path)
    assert "different numbers of the article's words (full 5, lora 3)" in section.markdown


@pytest.mark.slow
def test_other_summaries_are_shown_apart(tmp_path: Path) -> None:
    own = attention_section([record(), replace(record("lora"), summary_words=["Yaz ", "açtı ", "</s>"])], tmp_path)
    assert "full and lora" not in own.markdown and own.html.count('<img src="data:image/svg+xml') == 6


def test_view_holds_texts_as_data_and_loads_nothing() -> None:
    html = attention_view([record(), replace(record("lora"), source_words=["</script>", *WORDS[1:]])], "view-1")
    assert html.count("</script>") == 2 and "http" not in html and "src=" not in html
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.S)[1])
    assert data[1]["words"][0] == "</script>" and data[0]["shared"] is True
    assert data[0]["layers"] == ["mean of all", "1", "2"]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_pointing_at_a_word_shades_the_article(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    for number, one in enumerate([record(), record("lora", (4, 0, 2)), record(identity="other")]):
        write_attention(tmp_path / f"{number}.npz", one)
    main([str(tmp_path)])
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page()
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto((tmp_path / "attention.html").as_uri())
        view = page.locator("#attention-tr-row-1")
        view.locator(".summary span").nth(1).hover()
        shades = [
            [float(one.evaluate("e => getComputedStyle(e).backgroundColor.match(/[\\d.]+/g)[3] ?? 1")) for one in spans]
            for spans in (panel.locator(".article span").all() for panel in view.locator(".panel").all())
        ]
        notes = view.locator(".note").all_inner_texts()
        most = view.locator(".article .most").all_inner_texts()
        view.locator("select").select_option(label="2")
        assert view.locator(".summary span.chosen").all_inner_texts() == ["açtı "] * 2
        browser.close()
    assert problems == []
    assert [row.index(max(row)) for row in shades] == [4, 0]
    assert sorted(shades[0])[:4] == pytest.approx([1 / 6] * 4, abs=0.01)
    assert notes[0].startswith("“açtı” leans most on sentence 2") and "sentence 1" in notes[1]
    assert "".join(most) == "".join(WORDS[2:] + WORDS[:2])


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no records of attention"):
        main([str(tmp_path)])

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from reports import speed
from reports.speed import draw_components, draw_memory, draw_speed, main, read_summary


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """The figures that were saved, instead of pictures."""
    figures: list[Figure] = []
    monkeypatch.setattr(speed, "_save", lambda figure, output: figures.append(figure) or output)
    yield figures
    plt.close("all")


def entry(recipe: str, batch_size: int, rate: float, peak: float = 1000.0) -> dict:
    return {
        "recipe": recipe,
        "batch_size": batch_size,
        "articles_per_s": rate,
        "round_medians": [1000 * batch_size / rate],
        "peak_allocated_mib": peak,
        "components": {"weights": 0.25 * peak, "optimizer": 0.0, "activations": 0.75 * peak},
    }


def out_of_memory(recipe: str, batch_size: int) -> dict:
    return {"recipe": recipe, "batch_size": batch_size, "out_of_memory": True}


SUMMARY = [
    *(entry("seed", size, 10.0 * size, 500.0 * size) for size in (1, 2, 4)),
    out_of_memory("seed", 8),
    *(entry("ozet", size, 80.0 * size, 100.0 * size) for size in (1, 2, 4, 8)),
]


def written(folder: Path, **content: object) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "h200.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(("draw", "key"), [(draw_speed, "articles_per_s"), (draw_memory, "peak_allocated_mib")])
def test_each_recipe_has_a_curve_over_its_batch_sizes(drawn: list[Figure], draw, key: str) -> None:
    assert draw(SUMMARY[::-1], Path("picture.png")) == Path("picture.png")
    (axis,) = drawn[0].axes
    assert axis.get_xscale() == axis.get_yscale() == "log"
    curves = {
        line.get_label(): line.get_xydata().tolist() for line in axis.lines if line.get_label() in ("seed", "ozet")
    }
    for recipe, points in curves.items():
        entries = [one for one in SUMMARY if one["recipe"] == recipe and key in one]
        assert points == [[one["batch_size"], one[key]] for one in entries]


def test_bars_span_the_rounds(drawn: list[Figure]) -> None:
    draw_speed([entry("ozet", 8, 100.0) | {"round_medians": [100.0, 80.0, 50.0]}], Path("picture.png"))
    (bar,) = drawn[0].axes[0].containers[0].lines[2]
    assert bar.get_segments()[0][:, 1].tolist() == [80.0, 160.0]


@pytest.mark.parametrize("summary", [SUMMARY, [out_of_memory("seed", 8), entry("ozet", 8, 100.0)]])
def test_what_ran_out_of_memory_is_marked_below_the_curves(drawn: list[Figure], summary: list[dict]) -> None:
    draw_speed(summary, Path("picture.png"))
    (axis,) = drawn[0].axes
    scattered = [collection for collection in axis.collections if isinstance(collection, PathCollection)]
    ((batch_size, height),) = [mark for marks in scattered for mark in marks.get_offsets().tolist()]
    assert batch_size == 8
    assert axis.get_ylim()[0] < height < min(one["articles_per_s"] for one in summary if "articles_per_s" in one)
    assert [text.get_text().strip() for text in axis.texts] == ["out of memory"]


def test_bars_are_as_long_as_their_parts(drawn: list[Figure]) -> None:
    draw_components(SUMMARY, 4, Path("picture.png"))
    bars = {
        container.get_label(): [(bar.get_x(), bar.get_width()) for bar in container]
        for container in drawn[0].axes[0].containers
    }
    # The optimizer's part is empty, so it is left out.
    assert bars == {"weights": [(0, 500), (0, 100)], "activations": [(500, 1500), (100, 300)]}


def test_the_command_draws_everything_there_is(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    main([str(written(tmp_path, summary=SUMMARY)), "--output", str(tmp_path / "figures")])
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {"h200_speed.png", "h200_memory.png", "h200_components.png"}
    assert capsys.readouterr().out.count(".png") == 3


def test_several_results_make_one_curve(tmp_path: Path, drawn: list[Figure]) -> None:
    parts = [SUMMARY[:2], SUMMARY[2:]]
    paths = [str(written(tmp_path / str(number), summary=part)) for number, part in enumerate(parts)]
    main([*paths, "--output", str(tmp_path)])
    seed = drawn[0].axes[0].lines[0]
    assert (seed.get_label(), list(seed.get_xdata())) == ("seed", [1, 2, 4])


def test_bars_show_the_greatest_batch_that_every_recipe_can_take(tmp_path: Path, monkeypatch, drawn) -> None:
    shown: list[int] = []
    monkeypatch.setattr("reports.speed.draw_components", lambda summary, size, output: shown.append(size))
    path = str(written(tmp_path, summary=SUMMARY))
    main([path, "--output", str(tmp_path)])
    main([path, "--output", str(tmp_path), "--batch-size", "8"])
    assert shown == [4, 8]


def test_a_result_of_a_cpu_has_no_memory_to_draw(tmp_path: Path) -> None:
    rows = [{key: value for key, value in one.items() if key[:4] not in ("peak", "comp")} for one in SUMMARY]
    main([str(written(tmp_path, summary=rows)), "--output", str(tmp_path)])
    assert [path.name for path in tmp_path.glob("*.png")] == ["h200_speed.png"]


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"h200\.json has no summary"):
        read_summary(written(tmp_path, rows=[]))
    (tmp_path / "text").write_text("not JSON")
    with pytest.raises(ValueError, match=r"text is no result of benchmarks/training_speed\.py"):
        read_summary(tmp_path / "text")

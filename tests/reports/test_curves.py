from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from reports.curves import draw_curves, read_metrics, read_run


def record(run: Path, rows: list[tuple[int, dict[str, float]]]) -> Path:
    """Writes metrics as Lightning does; a second call is the next version, as in a resumed run."""
    logger = CSVLogger(save_dir=run, name="metrics")
    for step, metrics in rows:
        logger.log_metrics(metrics, step)
    logger.save()
    return Path(logger.log_dir) / "metrics.csv"


def blue_pixels(picture: Path) -> int:
    """Pixels near the colour of the first line of each panel."""
    with Image.open(picture) as image:
        return sum(count for count, (r, g, b) in image.convert("RGB").getcolors(2**24) if r < 40 and g > 90 and b > 150)


def test_points_are_read_by_key_and_gaps_left_out(tmp_path: Path) -> None:
    path = record(tmp_path, [(1, {"train/loss/tr": 5.0}), (2, {"train/loss/tr": 4.5, "val/rougeL/tr": 12.5})])
    assert read_metrics(path) == {"train/loss/tr": [(1, 5.0), (2, 4.5)], "val/rougeL/tr": [(2, 12.5)]}


def test_later_records_of_a_resumed_run_replace_repeated_steps(tmp_path: Path) -> None:
    for first in (1, 3):
        record(tmp_path, [(step, {"val/loss/tr": first + step / 10}) for step in range(first, first + 3)])
    assert read_run(tmp_path) == {"val/loss/tr": [(1, 1.1), (2, 1.2), (3, 3.3), (4, 3.4), (5, 3.5)]}


def test_versions_are_ordered_by_number_not_by_name(tmp_path: Path) -> None:
    for version in range(11):
        record(tmp_path, [(7, {"val/loss/tr": float(version)})])
    assert read_run(tmp_path) == {"val/loss/tr": [(7, 10.0)]}


@pytest.mark.parametrize("metrics", [{"val/loss/tr": 2.0}, {"val/rougeL/tr": 20.0}, {"train/loss/tr": 3.0}])
def test_picture_shows_the_curve_of_each_panel(tmp_path: Path, metrics: dict[str, float]) -> None:
    record(tmp_path, [(step, {key: value + step for key, value in metrics.items()}) for step in range(1, 30)])
    picture = draw_curves(tmp_path, tmp_path / "curves.png")
    assert picture == tmp_path / "curves.png"
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert blue_pixels(picture) > 200


def test_a_run_without_any_record_gives_empty_panels(tmp_path: Path) -> None:
    picture = draw_curves(tmp_path, tmp_path / "curves.png")
    with Image.open(picture) as image:
        assert image.width > image.height > 300
    assert blue_pixels(picture) == 0


def test_a_step_without_a_number_is_a_gap_and_the_curve_goes_on(tmp_path: Path) -> None:
    rows = [(step, {"train/loss/tr": float("nan") if step == 3 else 2.0}) for step in range(1, 40)]
    record(tmp_path, rows)
    picture = draw_curves(tmp_path, tmp_path / "curves.png")
    assert blue_pixels(picture) > 200


def test_a_line_that_a_killed_run_cut_off_is_left_out(tmp_path: Path) -> None:
    path = record(tmp_path, [(1, {"val/loss/tr": 2.5}), (2, {"val/loss/tr": 2.25})])
    path.write_bytes(path.read_bytes().rstrip()[:-1])
    assert read_metrics(path) == {"val/loss/tr": [(1, 2.5)]}

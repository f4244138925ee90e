import numpy as np
import pytest
from test_curves import record

from reports.curves import read_run
from reports.pretraining import main, trajectory

RATE = 1_000.0  # tokens a second


def rows(first: int, last: int) -> list[tuple[int, dict[str, float]]]:
    """600 tokens a step, so 100 steps a minute; twice as fast from step 200 on; a validation every 100 steps."""
    found = []
    for step in range(first, last):
        metrics = {"train/tokens": 600.0 * (step + 1), "perf/tokens_per_s": RATE * (1 if step < 200 else 2)}
        if step % 100 == 99:
            metrics |= {"val/loss/tr": 9 - step / 100, "val/loss/en": 8 - step / 100, "val/loss": 8.5 - step / 100}
        found.append((step, metrics))
    return found


def test_tokens_and_minutes_go_on_over_a_resume(tmp_path):
    record(tmp_path, rows(0, 150))
    record(tmp_path, rows(120, 300))
    found = trajectory(read_run(tmp_path))
    np.testing.assert_allclose(found.tokens, [0.06, 0.12, 0.18])
    np.testing.assert_allclose(found.minutes, [1, 2, 2.5], rtol=1e-6)
    assert found.losses.keys() == {"tr", "en"}
    np.testing.assert_allclose(found.losses["tr"], [8.01, 7.01, 6.01])


def test_a_further_stretch_goes_on_where_the_one_before_ended(tmp_path):
    for name in ("one", "two"):
        record(tmp_path / name, rows(0, 150))
    found = trajectory(*(read_run(tmp_path / name) for name in ("one", "two")))
    np.testing.assert_allclose(found.tokens, [0.06, 0.09 + 0.06])
    np.testing.assert_allclose(found.minutes, [1, 1.5 + 1], rtol=1e-6)
    np.testing.assert_allclose(found.losses["tr"], [8.01, 8.01])


def test_picture_is_drawn_of_several_runs(tmp_path):
    runs = [tmp_path / "one", tmp_path / "two"]
    for run in runs:
        record(run, rows(0, 200))
    main([f"first={runs[0]}", str(runs[1]), f"--output={tmp_path / 'curves.png'}"])
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_run_of_something_else_is_refused(tmp_path, capsys):
    record(tmp_path, [(1, {"train/loss": 3.0})])
    with pytest.raises(SystemExit):
        main([str(tmp_path), f"--output={tmp_path / 'curves.png'}"])
    assert "no record of a validation in pretraining" in capsys.readouterr().err

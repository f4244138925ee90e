import pytest
from lightning.fabric.loggers import csv_logs

from callbacks.csv_logger import CSVLogger
from reports.curves import read_metrics


class Killed(BaseException):
    pass


def test_rows_survive_a_kill_while_the_header_is_renewed(tmp_path, monkeypatch):
    logger = CSVLogger(tmp_path, "metrics")
    logger.log_metrics({"train/loss": 1.5}, step=0)
    logger.save()
    logger.log_metrics({"val/loss": 2.5}, step=1)

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(csv_logs.csv.DictWriter, "writerows", killed)
        with pytest.raises(Killed):
            logger.save()
    (file,) = tmp_path.glob("metrics/version_0/metrics.csv")
    assert read_metrics(file) == {"train/loss": [(0, 1.5)]}


def test_new_keys_get_columns(tmp_path):
    logger = CSVLogger(tmp_path, "metrics")
    for step, key in enumerate(("train/loss", "val/loss", "perf/articles_per_s")):
        logger.log_metrics({key: float(step)}, step=step)
        logger.save()
    (file,) = tmp_path.glob("metrics/version_0/*")
    assert read_metrics(file) == {"train/loss": [(0, 0)], "val/loss": [(1, 1)], "perf/articles_per_s": [(2, 2)]}

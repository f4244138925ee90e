"""Lightning's CSV logger, whose file a killed process leaves whole."""

from __future__ import annotations

import os
import shutil

from lightning.pytorch.loggers import CSVLogger as LightningCSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter


class CSVLogger(LightningCSVLogger):
    """Writes `metrics.csv`; takes what Lightning's logger takes.

    When a validation brings the first values of new keys, the file gets a new header. Lightning empties it and writes
    all rows again: a process killed there loses them. Here the new file replaces the old one at once.
    """

    @property
    def experiment(self) -> ExperimentWriter:  # type: ignore[override]
        """Return the writer of this run's file."""
        writer: ExperimentWriter | None = self._experiment  # type: ignore[has-type]
        if writer is None:
            self._fs.makedirs(self.root_dir, exist_ok=True)
            writer = self._experiment = _Writer(log_dir=self.log_dir)
        return writer


class _Writer(ExperimentWriter):
    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        whole: str = self.metrics_file_path  # type: ignore[has-type]
        partial = f"{whole}.partial"
        self.metrics_file_path = partial
        try:
            shutil.copyfile(whole, partial)
            super()._rewrite_with_new_header(fieldnames)
            os.replace(partial, whole)
        finally:
            self.metrics_file_path = whole

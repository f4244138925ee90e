"""Names the code that derives data, so that changed code never meets an old cache."""

from __future__ import annotations

import hashlib
from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# All that code of this folder may import of this project.
PACKAGES = ("datamodules", "metrics")


def cache_key(module: str, *parts: object) -> str:
    """Name what the code of a module derives from the arguments; 16 hexadecimal digits.

    Args:
        module: Its name, such as `datamodules.tokenize`; what it imports of this project counts as well.
        parts: Everything else that decides the result; what differs must have another `repr`.
    """
    return hashlib.sha256(repr((_code(module), *parts)).encode()).hexdigest()[:16]


def imported_files(module: str, root: Path = ROOT, packages: tuple[str, ...] = PACKAGES) -> list[Path]:
    """Find the files of a module and of all modules in `packages` that it imports, directly or not."""
    finder = _ProjectFinder(packages, root)
    finder.import_hook(module)
    found = (vars(one)["__file__"] for one in finder.modules.values())
    return sorted(Path(file) for file in found if file)


@cache
def _code(module: str) -> str:
    digest = hashlib.sha256()
    for path in imported_files(module):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _ProjectFinder(ModuleFinder):
    """Leaves libraries out: their files may lie in the same folder."""

    def __init__(self, packages: tuple[str, ...], root: Path) -> None:
        super().__init__(path=[str(root)])
        self._packages = packages

    def find_module(self, name: str, path: Any, parent: Any = None) -> Any:
        if path is None and name not in self._packages:
            raise ImportError(name)
        return super().find_module(name, path, parent)

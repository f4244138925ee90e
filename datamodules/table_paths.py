"""Which files a path names, and of what kind they are."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Final

JSON_SUFFIXES: Final = (".jsonl", ".ndjson", ".json")
DELIMITED_SUFFIXES: Final = (".csv", ".tsv")
COMPRESSED_SUFFIXES: Final = (".gz", ".bz2", ".xz", ".zst")
TABLE_SUFFIXES: Final = frozenset({*JSON_SUFFIXES, *DELIMITED_SUFFIXES, ".parquet"})
READ: Final = (
    f"{', '.join(sorted(TABLE_SUFFIXES))} (all but Parquet also with {', '.join(COMPRESSED_SUFFIXES)} after it)"
)
_REMEDIES = dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), "Save its sheet as CSV UTF-8")
_REMEDIES |= dict.fromkeys((".zip", ".tar", ".tgz", ".rar", ".7z"), "Unpack it and name its folder")
_REMEDIES |= dict.fromkeys((".arrow", ".feather", ".orc", ".avro", ".pkl", ".xml", ".yaml"), "Write it as Parquet")


def table_suffix(path: str | Path, kinds: frozenset[str] = TABLE_SUFFIXES) -> str:
    """Tell the kind of a file by its name: one of `kinds`, "" for another file; compression is left out."""
    name = Path(path).name.lower()
    for compressed in COMPRESSED_SUFFIXES:
        name = name.removesuffix(compressed)
    suffix = Path(name).suffix
    return suffix if suffix in kinds else ""


def named_ends(kinds: frozenset[str]) -> str:
    """List the ends that names may have, for messages."""
    return f"{', '.join(sorted(kinds))} (all but Parquet also with {', '.join(COMPRESSED_SUFFIXES)} after it)"


def is_local(path: str) -> bool:
    """Whether a path names files of this machine rather than a data set of the hub, be they there or not."""
    return bool(table_suffix(path)) or Path(path).suffix.lower() in _REMEDIES or _is_there(path) or _is_pattern(path)


def table_files(path: str, kinds: frozenset[str] = TABLE_SUFFIXES) -> list[Path]:
    """Find the files of a table.

    Args:
        path: A file; a folder, of which all tables are taken; or a pattern such as `news/*.csv`. Names that begin with
            a dot or an underscore are left out of folders.
        kinds: Ends of their names.

    Returns:
        At least one file, by name, all of one kind.

    Raises:
        ValueError: If there is none, or their kinds differ or are none that can be read.
    """
    if Path(path).is_file():
        return [_checked(Path(path), kinds)]
    files = _in_folder(Path(path), kinds) if Path(path).is_dir() else _matching(path, kinds)
    found = sorted({table_suffix(file, kinds) for file in files})
    if len(found) > 1:
        raise ValueError(
            f"{path!r} holds files of {len(found)} kinds ({', '.join(found)}), but a source has one; name those that "
            f"are meant, such as {str(Path(path) / f'*{found[0]}')!r}."
        )
    return files


def _in_folder(folder: Path, kinds: frozenset[str]) -> list[Path]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and table_suffix(file, kinds)]
    files = [file for file in files if not any(part[0] in "._" for part in file.relative_to(folder).parts)]
    if not files:
        raise ValueError(f"The folder {str(folder)!r} has no file whose name ends in {named_ends(kinds)}.")
    return files


def _matching(path: str, kinds: frozenset[str]) -> list[Path]:
    if not _is_pattern(path):
        raise ValueError(f"No file {path!r}. Check the path.")
    files = [Path(name) for name in sorted(glob.glob(path, recursive=True)) if Path(name).is_file()]
    if not files:
        raise ValueError(f"The pattern {path!r} matches no file. Check the path; ** stands for folders of any depth.")
    return [_checked(file, kinds) for file in files]


def _checked(file: Path, kinds: frozenset[str]) -> Path:
    remedy = _REMEDIES.get(file.suffix.lower())
    if remedy:
        raise ValueError(f"Cannot read {str(file)!r}: {file.suffix.lower()} is no table that ozet reads. {remedy}.")
    if not table_suffix(file, kinds):
        raise ValueError(f"Cannot read {str(file)!r}: its name must end in {named_ends(kinds)}.")
    return file


def _is_pattern(path: str) -> bool:
    return glob.has_magic(path)


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False

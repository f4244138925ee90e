"""Packs folders into compressed pieces of limited size, and unpacks them: for machines that files must be carried to.

    python benchmarks/pieces.py pack DIR ... --output PIECES --mib 15
    python benchmarks/pieces.py unpack PIECES --output DIR

Good for token caches (see `--data.cache`), checkpoints and exported models.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa


class Pieces(io.RawIOBase):
    """A stream that is written to `0000`, `0001`, ... of a folder.

    Args:
        folder: Made if it is not there.
        size: Bytes of a piece, at least 1.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        self.count, self.left = 0, 0
        folder.mkdir(parents=True, exist_ok=True)

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Appends, beginning new pieces as the last is full."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            if not self.left:
                self.count, self.left = self.count + 1, self.size
            part = view[done : done + self.left]
            with (self.folder / f"{self.count - 1:04d}").open("ab") as file:
                file.write(part)
            done, self.left = done + len(part), self.left - len(part)
        return done


def pack(folders: Sequence[Path], output: Path, mebibytes: float) -> list[Path]:
    """Writes pieces of a compressed archive of folders, under their last names.

    Raises:
        ValueError: If the output exists.
    """
    if output.exists():
        raise ValueError(f"{str(output)!r} exists; name another folder.")
    pieces = Pieces(output, int(mebibytes * 2**20))
    with pa.CompressedOutputStream(pa.PythonFile(pieces, "w"), "zstd") as packed:  # noqa: SIM117
        with tarfile.open(fileobj=packed, mode="w|") as archive:
            for folder in folders:
                archive.add(folder, folder.resolve().name)
    return sorted(output.iterdir())


def unpack(pieces: Path, output: Path) -> None:
    """Writes the packed folders into `output`."""

    def content() -> Iterator[bytes]:
        for piece in sorted(pieces.iterdir()):
            yield piece.read_bytes()

    joined = pa.BufferReader(b"".join(content()))
    with (
        pa.CompressedInputStream(joined, "zstd") as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        archive.extractall(output, filter="data")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("pack", "unpack"))
    parser.add_argument("paths", type=Path, nargs="+", help="folders to pack, or the folder of pieces")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--mib", type=float, default=15, help="greatest size of a piece")
    options = parser.parse_args(arguments)
    if options.command == "unpack":
        unpack(options.paths[0], options.output)
        return
    written = pack(options.paths, options.output, options.mib)
    print(f"{len(written)} pieces, {sum(piece.stat().st_size for piece in written) / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()

"""How assets/tiny-mt5 learnt to summarise: pairs made of plain texts on a CPU, and a training on them elsewhere.

    python benchmarks/tiny_mt5.py pairs --texts texts.yaml --output pairs.tar.xz --limit 30000
    python benchmarks/tiny_mt5.py train --pairs pairs.tar.xz --output FOLDER [FLAGS OF train.py]

`texts.yaml` holds `sources` and `keep_clear_of` as the data module takes them. The archive holds LANGUAGE.jsonl with
id, split, article and summary. FOLDER gets the best checkpoint as a model, and the run's `metrics.csv`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import train  # noqa: E402
from datamodules.bilingual import BilingualDataModule  # noqa: E402
from datamodules.sources import SPLITS  # noqa: E402

BASE = ROOT / "assets" / "tiny-mt5"
CONFIG = ROOT / "configs" / "pretrain" / "tiny_gap_sentences.yaml"


def prepared(texts: Path, limit: int | None, judged: int) -> BilingualDataModule:
    """Return the data module of a file of sources, with everything prepared.

    Args:
        texts: YAML file.
        limit: Most training rows of a language.
        judged: Most validation rows, and test rows, of a source.
    """
    content = yaml.safe_load(texts.read_text(encoding="utf-8"))
    sources = [{"limits": {"validation": judged, "test": judged}} | source for source in content["sources"]]
    flags: dict[str, Any] = {"sources": sources, "keep_clear_of": content.get("keep_clear_of")}
    if limit is not None:
        flags["train_caps"] = {source["language"]: limit for source in sources}
    given = [f"--data.{name}={json.dumps(value)}" for name, value in flags.items()]
    with tempfile.TemporaryDirectory() as folder:
        cli = train.main(["prepare", f"--model.base={BASE}", *given, f"--trainer.default_root_dir={folder}"])
    cli.datamodule.setup("prepare")
    return cli.datamodule


def make_pairs(options: argparse.Namespace) -> None:
    """Write the archive, and print what it holds."""
    data = prepared(options.texts, options.limit, options.judged)
    with tempfile.TemporaryDirectory() as folder:
        for split in SPLITS:
            for row in data.rows(split).select_columns(["id", "article", "summary", "language"]):
                language = row.pop("language")
                with (Path(folder) / f"{language}.jsonl").open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(row | {"split": split}, ensure_ascii=False) + "\n")
        options.output.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(options.output, "w:xz", preset=9) as archive:
            for file in sorted(Path(folder).iterdir()):
                archive.add(file, file.name)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")


def train_model(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Unpack the pairs, train on them, and export the best checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(options.pairs) as archive:
            archive.extractall(folder, filter="data")
        columns = {"id": "id", "split": "split"}
        files = sorted(Path(folder).glob("*.jsonl"))
        sources = [{"language": file.stem, "path": str(file), "columns": columns} for file in files]
        root = options.output.with_name(f"{options.output.name}-runs")
        given = {"model.base": BASE, "data.sources": json.dumps(sources), "trainer.default_root_dir": root}
        configs = [f"--config={file}" for file in (CONFIG, ROOT / "configs" / "logger" / "csv.yaml")]
        _python("train.py", "fit", *configs, *(f"--{name}={value}" for name, value in given.items()), *flags)
        run = max(root.iterdir(), key=lambda found: found.stat().st_mtime)
        _python("export.py", run, "--output", options.output)
    shutil.copy(max(run.glob("metrics/version_*/metrics.csv")), options.output)


def _python(*command: object) -> None:
    script, *arguments = map(str, command)
    done = subprocess.run([sys.executable, str(ROOT / script), *arguments], cwd=ROOT)
    if done.returncode:
        sys.exit(done.returncode)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    pairs = commands.add_parser("pairs", help="make pairs of texts")
    pairs.add_argument("--texts", type=Path, required=True, help="YAML file with sources and keep_clear_of")
    pairs.add_argument("--output", type=Path, required=True, help="archive to write, .tar.xz")
    pairs.add_argument("--limit", type=int, help="most training pairs of a language")
    pairs.add_argument("--judged", type=int, default=200, help="most validation pairs, and test pairs, of a source")
    training = commands.add_parser("train", help="train on them; further flags go to train.py")
    training.add_argument("--pairs", type=Path, required=True, help="the archive")
    training.add_argument("--output", type=Path, required=True, help="folder of the model, to be made")
    options, flags = parser.parse_known_args(arguments)
    if options.command == "pairs":
        if flags:
            parser.error(f"unrecognized arguments: {' '.join(flags)}")
        make_pairs(options)
    else:
        options.output = options.output.absolute()
        train_model(options, flags)


if __name__ == "__main__":
    main()

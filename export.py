"""Writes a checkpoint as a plain Hugging Face folder: `python export.py CKPT --output DIR [--dtype bf16]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from lightning_modules.export import export

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a .ckpt file of a run that trained all parameters")
    parser.add_argument("--output", type=Path, required=True, help="folder to be made")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16", help="format of the weights")
    options = parser.parse_args(arguments)
    try:
        export(options.checkpoint, options.output, DTYPES[options.dtype])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    size = sum(file.stat().st_size for file in options.output.iterdir()) / 1e6
    print(f"{options.output}: {size:.1f} MB. Load it with AutoModelForSeq2SeqLM.from_pretrained, or as model.base.")


if __name__ == "__main__":
    main()

"""Train the small SentencePiece model that stands in for mT5's tokenizer.

    python assets/tiny-mt5/train_tokenizer.py --text tr.txt.zst en.txt it.txt --pieces 8000 --output DIR

Each file holds one document a line, as plain UTF-8 or packed with zstd (needs the package zstandard). The command
writes ``DIR/spiece.model`` and what loads it as mT5's tokenizer; the same files in the same order give the same model.
"""

from __future__ import annotations

import argparse
import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from sentencepiece import SentencePieceTrainer
from sentencepiece.sentencepiece_model_pb2 import ModelProto

SENTINELS = 100
SEED = 13
BYTES_PER_FILE = 20_000_000
# Some of these are too rare in news for the coverage threshold, and without "<" a literal "</s>" has no pieces.
ASCII = "".join(map(chr, range(33, 127)))
ACCENTED = "çğıöşüâîûàèéìíòóùú"
REQUIRED = ASCII + ACCENTED + ACCENTED.upper().replace("I", "İ") + "‘’“”–—«»€£₺°§•"


def open_text(path: Path) -> TextIO:
    """Open a text file, unpacking it if its suffix is ``.zst``; only a line feed ends a line."""
    if path.suffix != ".zst":
        return path.open(encoding="utf-8", newline="\n")
    # Only whoever trains a tokenizer anew needs this package.
    import zstandard

    return zstandard.open(path, "rt", encoding="utf-8", newline="\n")


def sample_documents(paths: list[Path]) -> Iterator[str]:
    """Draw whole documents at random, about as much from each file.

    Args:
        paths: Files of one document a line; one of less than 20 MB is taken whole.

    Yields:
        The documents, file after file, without their line ends.
    """
    for path in paths:
        with open_text(path) as stream:
            documents = [line.strip() for line in stream]
        random.Random(SEED).shuffle(documents)
        budget = BYTES_PER_FILE
        for document in documents:
            budget -= len(document.encode())
            if budget < 0:
                break
            yield document


def train(documents: Iterator[str], pieces: int) -> ModelProto:
    """Train a unigram model with mT5's normalisation, special ids and byte fallback.

    Args:
        documents: The training text.
        pieces: Number of pieces, with ``<pad>``, ``</s>``, ``<unk>`` and the 256 bytes, without the sentinels.

    Returns:
        The trained model.
    """
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=documents,
        model_writer=model,
        vocab_size=pieces,
        character_coverage=0.9998,
        required_chars=REQUIRED,
        byte_fallback=True,
        normalization_rule_name="nmt_nfkc",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        # The default drops every document longer than 4,192 bytes, that is most speeches.
        max_sentence_length=1 << 24,
        # Sums are taken per thread: another number of threads gives slightly other scores.
        num_threads=2,
        minloglevel=1,
    )
    return ModelProto.FromString(model.getvalue())


def append_sentinels(model: ModelProto) -> None:
    """Add ``▁<extra_id_99>`` … ``▁<extra_id_0>`` at the end, as user-defined pieces of score 0 like mT5's.

    Args:
        model: The model to change; as in mT5's file its recorded ``vocab_size`` goes on without them.
    """
    user_defined = ModelProto.SentencePiece.USER_DEFINED
    for number in reversed(range(SENTINELS)):
        model.pieces.add(piece=f"▁<extra_id_{number}>", score=0.0, type=user_defined)


def main() -> None:
    """Read the arguments, train, and write ``spiece.model``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="text files, one document a line")
    parser.add_argument("--pieces", type=int, default=8000, help="pieces in the file, sentinels included")
    parser.add_argument("--output", type=Path, required=True, help="folder for spiece.model")
    arguments = parser.parse_args()

    model = train(sample_documents(arguments.text), arguments.pieces - SENTINELS)
    append_sentinels(model)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "spiece.model").write_bytes(model.SerializeToString())
    config = Path(__file__).with_name("tokenizer_config.json").read_text(encoding="utf-8")
    (arguments.output / "tokenizer_config.json").write_text(config, encoding="utf-8")


if __name__ == "__main__":
    main()

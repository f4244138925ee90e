"""BERTScore (Zhang et al. 2020, arXiv:1904.09675), by the library bert-score: how alike two texts are to an encoder."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bert_score
import torch
from bert_score.utils import bert_cos_score_idf, lang2model, model2layers
from transformers import AutoConfig, AutoModel, AutoTokenizer, GPT2Tokenizer, RobertaTokenizer

from metrics.pretrained import load_pretrained
from metrics.words import base_code

# Names of the figures: on the encoder's own scale, and rescaled with a baseline.
RAW, RESCALED = "bertscore", "bertscore_rescaled"
_BASELINES = Path(bert_score.__file__).parent / "rescale_baseline"


@dataclass(frozen=True)
class Encoder:
    """The model that compares texts.

    Args:
        model: Hub id or folder; null takes bert-score's default for the language (Turkish
            `dbmdz/bert-base-turkish-cased`, English `roberta-large`, most others `bert-base-multilingual-cased`).
        num_layers: The layer whose vectors are compared, counted from 1 (0: the embeddings); null takes bert-score's
            choice for a model that it knows, else the last.
        known_as: bert-score's name of the model that a folder is a copy of, such as `roberta-large`: decides the layer
            and the baseline.
        max_tokens: Longer texts are cut; at least 3. A lower limit of the model itself wins.

    Raises:
        ValueError: If a number is out of range, or bert-score does not know `known_as`.
    """

    model: str | None = None
    num_layers: int | None = None
    known_as: str | None = None
    max_tokens: int = 512

    def __post_init__(self) -> None:
        if self.num_layers is not None and self.num_layers < 0:
            raise ValueError(f"BERTScore's num_layers {self.num_layers} must be at least 0.")
        if self.max_tokens < 3:
            raise ValueError(f"BERTScore's max_tokens {self.max_tokens} must be at least 3.")
        if self.known_as is not None and self.known_as not in model2layers:
            raise ValueError(
                f"bert-score knows no model {self.known_as!r}; leave known_as out and set num_layers, or take one of "
                "its names, such as roberta-large or bert-base-multilingual-cased."
            )


class BertScorer:
    """Scores pairs of one language on the CPU.

    Args:
        language: Code such as `tr` or `pt-br`; chooses the default model and the baseline.
        encoder: The model.
        rescale: Also give scores rescaled with bert-score's baseline for language and model, where there is one
            (there is none for Turkish): https://github.com/Tiiiger/bert_score/blob/master/journal/rescale_baseline.md
        batch_size: Texts encoded at once; at least 1.

    Attributes:
        remarks: What the settings have led to that the reader of the scores must know.

    Raises:
        ValueError: If a number is out of range.
        OSError: If there is no such model.
    """

    def __init__(
        self, language: str, encoder: Encoder = Encoder(), rescale: bool = False, batch_size: int = 32
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"BERTScore's batch_size {batch_size} must be at least 1.")
        self.batch_size = batch_size
        self.remarks: list[str] = []
        code = _code(language)
        model = encoder.model or lang2model.get(code, "bert-base-multilingual-cased")
        name = encoder.known_as or model
        config = _config(model)
        config.num_hidden_layers = self._layers(name, encoder.num_layers, config.num_hidden_layers)
        self._baseline = self._find_baseline(code, name, config.num_hidden_layers) if rescale else None
        self._tokenizer = _tokenizer(model, encoder.max_tokens, config)
        self._model = _model(model, config)
        # Every token weighs 1, the marks of beginning and end nothing.
        self._weights: dict[Any, float] = defaultdict(lambda: 1.0)
        self._weights |= {self._tokenizer.cls_token_id: 0.0, self._tokenizer.sep_token_id: 0.0}

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """F1 of each pair, by name.

        Args:
            predictions: Generated summaries.
            references: Reference summaries, one for each prediction.

        Returns:
            `bertscore`, in general in [-1, 1] and in practice in a narrow range that the model decides; with a baseline
            also `bertscore_rescaled`, 0 for unrelated texts and 1 for equal ones. 0 where a text is empty.

        Raises:
            ValueError: If the numbers of texts differ.
        """
        if len(predictions) != len(references):
            raise ValueError(f"BERTScore got {len(predictions)} predictions and {len(references)} references.")
        pairs = list(zip(predictions, references, strict=True))
        # bert-score 0.3.13 crashes on an empty text with transformers 5.
        full = [index for index, pair in enumerate(pairs) if all(text.strip() for text in pair)]
        scores = torch.zeros(len(pairs))
        if full:
            predicted, expected = [pairs[index][0] for index in full], [pairs[index][1] for index in full]
            scores[full] = self._f1(predicted, expected)
        if self._baseline is None:
            return {RAW: scores.tolist()}
        rescaled = (scores - self._baseline) / (1 - self._baseline)
        return {RAW: scores.tolist(), RESCALED: rescaled.masked_fill(scores == 0, 0.0).tolist()}

    def _f1(self, predictions: list[str], references: list[str]) -> torch.Tensor:
        scores = bert_cos_score_idf(
            self._model,
            references,
            predictions,
            self._tokenizer,
            self._weights,
            batch_size=self.batch_size,
            device="cpu",
        )
        return scores[:, 2]  # after precision and recall

    def _layers(self, name: str, wanted: int | None, available: int) -> int:
        layers = wanted if wanted is not None else model2layers.get(name, available)
        if layers > available:
            raise ValueError(f"BERTScore's num_layers {layers} is more than the {available} layers of {name}.")
        if wanted is None and name not in model2layers:
            self.remarks.append(
                f"bert-score has no recommended layer for {name}: its last layer ({layers}) is used. "
                "Set num_layers, or known_as where it is a copy of a model that bert-score knows."
            )
        return layers

    def _find_baseline(self, code: str, name: str, layers: int) -> float | None:
        path = _BASELINES / code / f"{name}.tsv"
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                return float(list(csv.DictReader(file))[layers]["F"])
        known = sorted(str(one.relative_to(_BASELINES / code))[:-4] for one in (_BASELINES / code).rglob("*.tsv"))
        self.remarks.append(
            f"bert-score has no baseline for {name} in language {code!r}: its scores are not rescaled. "
            f"Encoders with one: {', '.join(known) or 'none'}."
        )
        return None


def _code(language: str) -> str:
    """bert-score's code of a language: it knows `en-sci` but no other regions."""
    return language.lower() if language.lower() in lang2model else base_code(language)


def _config(model: str) -> Any:
    try:
        return load_pretrained(AutoConfig, model)
    except OSError as error:  # which does not say what was looked for
        raise OSError(f"no encoder {model!r} for BERTScore: {error}") from error


def _tokenizer(model: str, max_tokens: int, config: Any) -> Any:
    tokenizer = load_pretrained(AutoTokenizer, model, use_fast=False)
    if isinstance(tokenizer, RobertaTokenizer | GPT2Tokenizer):
        # bert-score asks for a space before the first word with each text, which transformers 5 no longer heeds.
        tokenizer = load_pretrained(AutoTokenizer, model, use_fast=False, add_prefix_space=True)
    # Many folders name no limit, which stands for 10^30. RoBERTa's positions begin at 2.
    positions = getattr(config, "max_position_embeddings", None) or max_tokens + 2
    own_limit = tokenizer.model_max_length if tokenizer.model_max_length < 10**9 else positions - 2
    tokenizer.model_max_length = min(max_tokens, own_limit)
    return tokenizer


def _model(model: str, config: Any) -> Any:
    """The encoder up to the chosen layer, in fp32 whatever its file holds.

    bert-score's own loader takes every path with a "t5" in it, such as /data/ozet-mt5/bert, for a T5.
    """
    loaded = load_pretrained(AutoModel, model, config=config, dtype=torch.float32)
    return (loaded.get_encoder() if config.is_encoder_decoder else loaded).eval()

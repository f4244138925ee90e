"""The recipe that ozet is measured against: QLoRA of mT5-small for Turkish and English on a card of 6 GB.

    python benchmarks/seed_recipe.py --base DIR --beams 4 --new-tokens 64 --output result.json

Model, adapters, trainer and its arguments are those of a public notebook: Gokhan Ergul 2025, "Fine-Tuning
google/mt5-small for Bilingual Summarization with QLoRA on 6GB VRAM" (GitHub, `Summarization .ipynb`, commit 28e5b3e),
run there with transformers 4. Comments say what transformers 5 needs to do the same. As a command it measures how fast
that recipe generates; `training_speed.py` measures how fast it trains.

The notebook's own validation generates greedily and stops at 20 tokens, as it sets neither; the command's defaults
are the length and the beams that summaries need.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import datasets
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
)

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, device_name, with_weights, write  # noqa: E402
from synthetic_rows import TARGET_LENGTHS, synthetic_rows  # noqa: E402

from metrics.pretrained import load_pretrained  # noqa: E402

BATCH_SIZE, EVAL_BATCH_SIZE, WORKERS = 8, 16, 8


def load_model(base: str) -> PeftModel:
    """The 4-bit model with its adapters: 688,128 of 300,864,896 parameters trained if it is mT5-small."""
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,  # its scales are not quantised again: that is off by default
    )
    model = load_pretrained(
        AutoModelForSeq2SeqLM,
        base,
        quantization_config=quantization,
        device_map="auto",
        attn_implementation="eager",  # the only one that mT5 had in transformers 4
    )
    # In transformers 5 anything that ties weights would overwrite mT5's head with its embeddings.
    model.config.tie_word_embeddings = False
    # Makes every weight that is not 4-bit fp32, and switches checkpointing on; as torch's default was then.
    model = prepare_model_for_kbit_training(model, gradient_checkpointing_kwargs={"use_reentrant": True})
    lora = LoraConfig(
        r=16, lora_alpha=32, target_modules=["q", "v"], lora_dropout=0.05, bias="none", task_type="SEQ_2_SEQ_LM"
    )
    return get_peft_model(model, lora)


def training_arguments(folder: str, **changes: Any) -> Seq2SeqTrainingArguments:
    """The notebook's arguments, but for evaluation and checkpoints, which are not what is measured here.

    Args:
        folder: For the trainer's files.
        **changes: What a measurement needs otherwise, such as `max_steps`.
    """
    on_gpu = torch.cuda.is_available()
    settings: dict[str, Any] = {
        "output_dir": folder,
        "eval_strategy": "no",  # "steps": every 250
        "save_strategy": "no",  # "steps": every 500
        "learning_rate": 5.6e-5,
        "weight_decay": 0.01,
        "num_train_epochs": 8,
        "logging_steps": 250,
        "max_grad_norm": 1.0,
        "per_device_train_batch_size": BATCH_SIZE,
        "gradient_accumulation_steps": 8,
        "per_device_eval_batch_size": EVAL_BATCH_SIZE,
        "bf16": on_gpu,
        "dataloader_num_workers": WORKERS if on_gpu else 0,
        "predict_with_generate": True,
        "report_to": "none",
        "use_cpu": not on_gpu,
        "use_cache": True,  # transformers 5 would else generate without its cache; transformers 4 left it on
    }
    return Seq2SeqTrainingArguments(**(settings | changes))


def make_trainer(
    base: str,
    rows: datasets.Dataset,
    arguments: Seq2SeqTrainingArguments,
    trainer_class: type[Seq2SeqTrainer] = Seq2SeqTrainer,
    callbacks: Sequence[TrainerCallback] = (),
) -> Seq2SeqTrainer:
    """A trainer with a newly loaded model.

    Args:
        base: Folder with weights and tokenizer.
        rows: `input_ids`, `attention_mask` and `labels` of each row, not padded.
        arguments: From `training_arguments`.
        trainer_class: One that watches more.
        callbacks: Likewise.
    """
    if not torch.cuda.is_available():
        import bitsandbytes.nn.modules as layers

        layers.has_avx512bf16 = lambda: False  # else such CPUs repack the weights when generating, and spoil gradients
    model, tokenizer = load_model(base), load_pretrained(AutoTokenizer, base)
    return trainer_class(
        model=model,
        args=arguments,
        train_dataset=rows.select_columns(["input_ids", "attention_mask", "labels"]),
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        processing_class=tokenizer,  # called `tokenizer` in transformers 4
        callbacks=list(callbacks),
    )


def summarize(trainer: Seq2SeqTrainer, rows: datasets.Dataset, beams: int = 4, new_tokens: int = 64) -> Any:
    """Generates exactly `new_tokens` for each row, the way the trainer evaluates, which computes the loss as well.

    Returns:
        Generated ids, an array of `len(rows)` rows.
    """
    columns = rows.select_columns(["input_ids", "attention_mask", "labels"])
    length = {"min_new_tokens": new_tokens, "max_new_tokens": new_tokens}
    return trainer.predict(columns, num_beams=beams, **length).predictions


def measure(base: str, count: int, beams: int, new_tokens: int, rounds: int, source_tokens: int = 512) -> dict:
    """Summaries a second: median, least and greatest over the rounds, after one that does not count."""
    rows = synthetic_rows(count, source_tokens)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(base, rows, training_arguments(folder))
        rates = []
        for _ in range(rounds + 1):
            started = time.perf_counter()
            summarize(trainer, rows, beams, new_tokens)  # ends with the ids on the CPU
            rates.append(count / (time.perf_counter() - started))
    peak = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    return {
        "summaries_per_s": median(rates[1:]),
        "least": min(rates[1:]),
        "greatest": max(rates[1:]),
        "rounds": rounds,
        "peak_allocated_mib": peak,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures generation, and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="folder; without weights they are random")
    parser.add_argument("--count", type=int, default=64, help="articles of a round")
    parser.add_argument("--source-tokens", type=int, default=512)
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as work:
        base = str(with_weights(options.base, Path(work)))
        result = measure(base, options.count, options.beams, options.new_tokens, options.rounds, options.source_tokens)
    settings = {name: value for name, value in vars(options).items() if name not in ("output", "base", "commit")}
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    identity = {"commit": options.commit, "device": device_name(), "versions": versions, "base": options.base.name}
    write(options.output, identity | settings | {"eval_batch_size": EVAL_BATCH_SIZE, "rows": TARGET_LENGTHS} | result)
    print(f"{result['summaries_per_s']:.1f} summaries/s ({result['least']:.1f} to {result['greatest']:.1f})")


if __name__ == "__main__":
    main()

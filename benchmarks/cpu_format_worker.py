"""Generates summaries in one format, in a process of its own, so that its memory is its own; used by cpu_formats.py.

Reads a request on standard input, writes the answer to the file that it names. The formats `onnx` need no more than
optimum, so that they run where only that is installed.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

ROOT = Path(__file__).resolve().parent.parent
# What a format needs, imported before the clock starts.
IMPORTS = {
    "transformers": ("transformers.models.mt5.modeling_mt5",),
    "fast": ("lightning_modules.trained_model", "transformers.models.mt5.modeling_mt5"),
    "ctranslate2": ("lightning_modules.trained_model", "lightning_modules.ctranslate2_format"),
    "onnx": ("onnxruntime", "optimum.onnxruntime"),
}
Generate = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def plain(folder: str, settings: GenerationConfig) -> Generate:
    """transformers alone, fp32."""
    from transformers import AutoModelForSeq2SeqLM

    from metrics.pretrained import load_pretrained

    model = load_pretrained(AutoModelForSeq2SeqLM, folder, dtype=torch.float32).eval()
    return lambda ids, mask: model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)


def fast(folder: str, settings: GenerationConfig) -> Generate:
    """Our `generation.fast`, fp32."""
    from lightning_modules.summarizer import Summarizer
    from lightning_modules.trained_model import load_trained

    return Summarizer(load_trained(folder, torch.device("cpu")).model, settings).generate


def ctranslate2(folder: str, settings: GenerationConfig) -> Generate:
    """CTranslate2, in the format of the folder."""
    from lightning_modules.trained_model import load_trained

    model: Any = load_trained(folder, torch.device("cpu")).model
    return lambda ids, mask: model.generate(ids, mask, settings)


def onnx(folder: str, settings: GenerationConfig) -> Generate:
    """ONNX Runtime through optimum."""
    import onnxruntime
    from optimum.onnxruntime import ORTModelForSeq2SeqLM

    from metrics.pretrained import load_pretrained

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    model = load_pretrained(ORTModelForSeq2SeqLM, folder, session_options=options)
    return lambda ids, mask: model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)


def convert_to_onnx(folder: str, output: str) -> None:
    """Writes `output`/fp32 and `output`/int8 (weights and activations quantised as they come)."""
    from optimum.onnxruntime import ORTModelForSeq2SeqLM, ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    from metrics.pretrained import load_pretrained

    load_pretrained(ORTModelForSeq2SeqLM, folder, export=True).save_pretrained(f"{output}/fp32")
    scheme = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
    for file in Path(output, "fp32").glob("*.onnx"):
        ORTQuantizer(file).quantize(save_dir=f"{output}/int8", quantization_config=scheme, file_suffix="")


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Ids, seconds and memory of a request's batches; the first batch is done once before the clock starts."""
    torch.set_num_threads(request["threads"])
    for name in IMPORTS[request["format"]]:
        importlib.import_module(name)
    before, started = _memory_mib("VmRSS"), time.perf_counter()
    load = {"transformers": plain, "fast": fast, "ctranslate2": ctranslate2, "onnx": onnx}[request["format"]]
    generate = load(request["folder"], GenerationConfig(**request["settings"]))
    loaded = time.perf_counter() - started
    batches = [(torch.tensor(batch["ids"]), torch.tensor(batch["mask"])) for batch in request["batches"]]
    generate(*batches[0])
    started = time.perf_counter()
    ids = [row for batch in batches for row in generate(*batch).tolist()]
    seconds = time.perf_counter() - started
    peak = _memory_mib("VmHWM")
    return {
        "ids": ids,
        "load_seconds": round(loaded, 2),
        "seconds": round(seconds, 2),
        "peak_mib": round(peak),
        "peak_above_imports_mib": round(peak - before),
    }


def _memory_mib(name: str) -> float:
    """Of this process alone; the `ru_maxrss` of a process begins with that of the one which started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    asked = json.load(sys.stdin)
    if asked["format"] == "convert_to_onnx":
        convert_to_onnx(asked["folder"], asked["output"])
    else:
        Path(asked["answer"]).write_text(json.dumps(answer(asked)))

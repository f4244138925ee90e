"""A model's card, complete as it is: what it is, how to load it, what it scores, what it learnt from, its limits."""

from __future__ import annotations

from typing import Any

from huggingface_hub import ModelCard

from reports.card_metadata import model_metadata
from reports.card_record import CardRecord
from reports.card_tables import UNKNOWN, collapse_table, data_table, quality_table, settings_table
from reports.published_names import language_name, language_names, published_path

_GENERATE = """text = prefix + article
inputs = tokenizer(text, truncation=True, return_tensors="pt")
ids = model.generate(**inputs, generation_config=GenerationConfig.from_pretrained(folder))
print(tokenizer.decode(ids[0], skip_special_tokens=True))"""
_LOAD = {
    "merged": """from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

model = AutoModelForSeq2SeqLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
""",
    "adapter": """from peft import AutoPeftModelForSeq2SeqLM
from transformers import AutoTokenizer, GenerationConfig

model = AutoPeftModelForSeq2SeqLM.from_pretrained(folder)  # loads the base, too
tokenizer = AutoTokenizer.from_pretrained(folder)
""",
}
_CTRANSLATE2 = """import ctranslate2
from transformers import AutoTokenizer, GenerationConfig

translator = ctranslate2.Translator(folder, device="cpu")
tokenizer = AutoTokenizer.from_pretrained(folder)
settings = GenerationConfig.from_pretrained(folder)
pieces = tokenizer.convert_ids_to_tokens(tokenizer(prefix + article, truncation=True).input_ids)
known = [index for index in settings.suppress_tokens or [] if index < len(tokenizer)]
result = translator.translate_batch(
    [pieces],
    beam_size=settings.num_beams or 1,
    max_decoding_length=settings.max_new_tokens,
    suppress_sequences=[[piece] for piece in tokenizer.convert_ids_to_tokens(known)],
)
ids = tokenizer.convert_tokens_to_ids(result[0].hypotheses[0])
print(tokenizer.decode(ids, skip_special_tokens=True))"""


def model_card(record: CardRecord) -> ModelCard:
    """The card of an exported model."""
    sections = (_opening, _loading, _results, _data, _training, _export, _limits, _provenance)
    body = "\n\n".join(section(record) for section in sections)
    return ModelCard(f"---\n{model_metadata(record).to_yaml()}\n---\n\n{body}\n")


def _opening(record: CardRecord) -> str:
    kind = {
        "adapter": "An adapter for",
        "merged": "A fine-tuned",
        "ctranslate2": "In CTranslate2's format, a fine-tuned",
    }
    return (
        f"# {record.name}\n\n{kind[record.form]} `{_base(record)}` that summarises articles in "
        f"{language_names(record.languages)}. Trained with ozet ({record.model.get('adaptation', 'full')}); this card "
        "was written from the run's own record."
    )


def _base(record: CardRecord) -> str:
    return published_path(record.base.get("name", UNKNOWN))


def _loading(record: CardRecord) -> str:
    prefixes = {source["language"]: _prefix(record, source) for source in record.sources}
    same = len(set(prefixes.values())) == 1
    prefix = repr(next(iter(prefixes.values()))) if same else f"{prefixes!r}[language]"
    code = _CTRANSLATE2 if record.form == "ctranslate2" else _LOAD[record.form] + _GENERATE
    limit = record.configuration["data"]["init_args"].get("max_source_tokens", 512)
    return (
        f'## How to load it\n\n```python\nfolder = "."  # or this repository\'s id\nprefix = {prefix}\n{code}\n```\n\n'
        f"Articles are cut after {limit} tokens, as in training. `generation_config.json` holds the settings that the "
        "scores were made with, the suppression of `<extra_id_N>` among them. The head is not tied to the embeddings: "
        "do not call `resize_token_embeddings` or `tie_weights`, which would overwrite it."
    )


def _results(record: CardRecord) -> str:
    if record.results is None:
        return (
            "## Results\n\nThis checkpoint has not been tested (`python train.py test --ckpt_path …` writes the "
            "results, and another export puts them here). Nothing is claimed of its quality."
        )
    results = record.results
    counts = ", ".join(f"{count:,} {language_name(language)}" for language, count in results.counts.items())
    share = results.bootstrap.get("confidence")
    bert = results.settings.get("bertscore")
    return (
        f"## Results\n\nTest rows: {counts}. ROUGE is the F-measure in percent on Unicode words "
        f"(`{results.settings.get('scoring')}`); in brackets the bootstrap interval"
        f"{f' of {share:.0%}' if isinstance(share, float) else ''}. Below the model, what the articles' first words "
        f"and sentences score.{f' BERTScore: `{bert}`.' if bert else ''}\n\n{quality_table(results)}\n\n"
        f"### Signs of collapse\n\n{collapse_table(results)}"
    )


def _data(record: CardRecord) -> str:
    return (
        f"## Training data\n\n{data_table(record)}\n\n`DATA_CARD.md` has lengths and the reasons of what was left out."
    )


def _training(record: CardRecord) -> str:
    model, trainer = record.model, record.configuration["trainer"]
    data = record.configuration["data"]["init_args"]
    optimizer = model.get("optimizer") or {}
    settings: dict[str, Any] = {
        "base": _base(record),
        "revision": record.base.get("commit") or record.base.get("revision") or "main",
        "adaptation": model.get("adaptation", "full"),
        **({"lora": model["lora"]} if model.get("adaptation") != "full" else {}),
        **({"quantization": model["quantization"]} if model.get("adaptation") == "qlora" else {}),
        "optimizer": f"{optimizer.get('class_path', UNKNOWN)} {optimizer.get('init_args', '')}",
        **{name: model.get(name, UNKNOWN) for name in ("schedule", "label_smoothing", "generation")},
        "steps": record.step if record.step is not None else UNKNOWN,
        **{name: data[name] for name in ("batch_size", "max_source_tokens", "max_target_tokens") if name in data},
        "accumulate_grad_batches": trainer.get("accumulate_grad_batches") or 1,
        "precision": trainer.get("precision", UNKNOWN),
        "seed": record.configuration.get("seed_everything", UNKNOWN),
        **({"vocabulary": data["vocabulary"]} if data.get("vocabulary") else {}),
    }
    return f"## Training settings\n\n{settings_table(settings)}"


def _export(record: CardRecord) -> str:
    found = record.verification
    if not found:
        return f"## This export\n\nWeights: {record.weights}."
    text = (
        f"## This export\n\nWeights: {record.weights}. Loaded by others and compared with the trained model on "
        f"{found['texts']} articles: {found['equal_greedy_outputs']:.1%} of the greedy summaries are equal"
    )
    if found.get("greatest_logit_difference") is not None:
        text += (
            f"; logits differ by {found['mean_logit_difference']:.2g} on average and "
            f"{found['greatest_logit_difference']:.2g} at most (their standard deviation is "
            f"{found['logit_deviation']:.2g})"
        )
    note = ""
    if record.form == "adapter" and record.model.get("adaptation") == "qlora":
        note = (
            " The adapter was trained on 4-bit weights, and the code above loads the base unquantised, which is a "
            "little different; `quantization_config` of `from_pretrained` loads it as it was."
        )
    return f"{text} (`verification.json`).{note}"


def _limits(record: CardRecord) -> str:
    licences = {source.get("licence") for source in record.sources}
    rights = (
        f"These weights are published under `{record.license}`."
        if record.license
        else "No licence was chosen for these weights."
    )
    unknown = " The licence of some data is not recorded: ask its publisher before you use the model." * (
        None in licences
    )
    return (
        "## Limits\n\n- Summaries may state what the article does not: check names, numbers and negations.\n"
        f"- It knows {language_names(record.languages)} and texts like those it was trained on; scores hold for these "
        "test rows only.\n- What stands after the cut of a long article is not seen.\n- It repeats the biases of its "
        f"base and its data.\n- {rights}{unknown}"
    )


def _prefix(record: CardRecord, source: dict[str, Any]) -> str:
    prefixes = record.configuration["data"]["init_args"].get("prefixes") or {}
    own = source.get("prefix")
    return prefixes.get(source["language"], "") if own is None else own


def _provenance(record: CardRecord) -> str:
    environment = record.environment
    packages = environment.get("packages") or {}
    named = ", ".join(f"{name} {packages[name]}" for name in ("torch", "transformers", "peft") if packages.get(name))
    gpus = [gpu["name"] for gpu in (environment.get("hardware") or {}).get("gpus", [])]
    commit = (environment.get("git") or {}).get("commit")
    hardware = ", ".join(gpus) or (environment.get("hardware") or {}).get("processor") or UNKNOWN
    return (
        f"## Provenance\n\nBase fingerprint `{record.base.get('fingerprint', UNKNOWN)}`, tokenizer "
        f"`{record.base.get('tokenizer', UNKNOWN)}`. Program: commit `{commit or UNKNOWN}`. Packages: "
        f"{named or UNKNOWN}. Hardware: {hardware}."
    )

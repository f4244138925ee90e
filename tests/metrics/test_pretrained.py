"""Nothing that lies in a model's folder is run: the one place that loads such folders, and that there is no other."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_folder import (
    hostile_config,
    hostile_generation,
    hostile_part,
    hostile_tokenizer,
    hostile_weights,
    ran,
    set_keys,
)
from small_encoders import save_bert
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertConfig,
    T5Config,
    dynamic_module_utils,
)

from metrics.bertscore import BertScorer, Encoder
from metrics.entailment import EntailmentModel, EntailmentScorer
from metrics.pretrained import OwnCodeError, build_model, load_pretrained, refuse_own_code

ROOT = Path(__file__).parents[2]
LOADER = Path("metrics/pretrained.py")
REFUSED = "wants to run its own code .*; ozet never runs it"


def nodes(*kinds: type[ast.AST]) -> Iterator[tuple[str, Any]]:
    """Of every file that users run, each with its place."""
    for file, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, kinds):
                yield f"{file}:{node.lineno}", node


@functools.cache
def _trees() -> dict[Path, ast.Module]:
    files = {file.relative_to(ROOT) for file in ROOT.rglob("*.py")} - {LOADER}
    return {
        file: ast.parse((ROOT / file).read_text(encoding="utf-8"))
        for file in files
        if not any(part.startswith(".") or part in ("tests", "build") for part in file.parts)
    }


@pytest.fixture(autouse=True)
def would_say_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt="": "y")


def test_only_one_place_loads_folders():
    """Of tensors, `nn.Embedding.from_pretrained` makes a layer; it reads nothing."""
    loads = [
        place
        for place, node in nodes(ast.Attribute)
        if node.attr in ("from_pretrained", "from_config") and ast.unparse(node) != "nn.Embedding.from_pretrained"
    ]
    assert not loads


def test_nothing_else_that_loads_models_or_unpickles_is_imported():
    forbidden = {"pipeline", "pickle", "dill", "cloudpickle", "joblib"}
    imports = [
        place
        for place, node in nodes(ast.Import, ast.ImportFrom)
        if forbidden & {*(alias.name for alias in node.names), getattr(node, "module", None)}
    ]
    assert not imports


@pytest.mark.parametrize(
    ("call", "needed"), [("torch.load", "weights_only=True"), ("np.load", "allow_pickle=False"), ("yaml.load", None)]
)
def test_files_are_read_as_data(call, needed):
    texts = {place: ast.unparse(node) for place, node in nodes(ast.Call) if ast.unparse(node.func) == call}
    assert not [place for place, text in texts.items() if needed is None or needed not in text]


def test_transformers_asks_nobody_where_it_is_not_told(monkeypatch):
    """Fails when a version asks in another way."""
    monkeypatch.setattr("builtins.input", lambda prompt="": pytest.fail("it asked"))
    with pytest.raises(ValueError, match="trust_remote_code"):
        dynamic_module_utils.resolve_trust_remote_code(None, "folder", has_local_code=False, has_remote_code=True)


@pytest.mark.parametrize("make", [hostile_config, hostile_tokenizer, hostile_part, hostile_generation])
@pytest.mark.parametrize("kind", [AutoConfig, AutoTokenizer, AutoModelForSeq2SeqLM])
def test_folder_with_code_is_refused_and_the_code_not_run(tmp_path, make, kind):
    folder = make(tmp_path)
    with pytest.raises(OwnCodeError, match=REFUSED) as refusal:
        load_pretrained(kind, folder)
    assert str(folder) in str(refusal.value)
    assert not ran(folder)


def test_code_is_refused_where_transformers_has_its_own_for_the_model(tmp_path):
    with pytest.raises(OwnCodeError, match=r"auto_map in config\.json"):
        refuse_own_code(hostile_config(tmp_path, model_type="mt5"))


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("config.json", {"attn_implementation": "somebody/kernels"}),
        ("config.json", {"text_config": {"attn_implementation": {"": "somebody/kernels"}}}),
        ("adapter_config.json", {"megatron_config": {"hidden_size": 1}, "megatron_core": "evil"}),
    ],
)
def test_kernels_of_the_hub_and_modules_of_an_adapter_are_code(tmp_path, file, settings):
    with pytest.raises(OwnCodeError, match=file):
        refuse_own_code(set_keys(tmp_path, file, **settings))


@pytest.mark.parametrize("text", ["", "[", "[" * 10_000, "7", '{"auto_map": null, "attn_implementation": "sdpa"}'])
def test_what_names_no_code_is_left_to_the_loading(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    refuse_own_code(tmp_path)


def test_configuration_of_a_checkpoint_that_names_code_is_refused(tmp_path):
    for config in (T5Config(auto_map={"AutoModelForCausalLM": "evil.Model"}), BertConfig(auto_map={"x": "evil.X"})):
        with pytest.raises(OwnCodeError, match=REFUSED):
            build_model(AutoModelForCausalLM, config)


@pytest.mark.parametrize("make", [hostile_config, hostile_tokenizer])
def test_models_that_judge_summaries_are_no_exception(tmp_path, make):
    folder = make(Path(save_bert(tmp_path / "bert", ["Kar yağdı."])))
    with pytest.raises(ValueError, match=REFUSED):
        BertScorer("tr", Encoder(str(folder)))
    with pytest.raises(ValueError, match=REFUSED):
        EntailmentScorer(EntailmentModel(str(folder), ("tr",), label="LABEL_0"))
    assert not ran(folder)


@pytest.mark.parametrize("content", [None, b"", b"no tensors"])
def test_weights_that_are_no_tensors_are_refused_and_never_unpickled(tmp_path, random_mt5, content):
    set_keys(tmp_path, "config.json", **AutoConfig.from_pretrained(random_mt5).to_dict())
    hostile_weights(tmp_path, "pytorch_model.bin")
    if content is not None:
        (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged or holds more than tensors; save them as safetensors"):
        load_pretrained(AutoModelForSeq2SeqLM, tmp_path)
    assert not ran(tmp_path)

import json
import shutil

import pytest
import torch
import yaml
from transformers import AutoModelForSeq2SeqLM

from datamodules.bilingual import BilingualDataModule
from datamodules.pieces import KEPT_KEY, RECORD, VocabularyTrimming
from datamodules.sources import Columns, Limits, SummarizationSource
from datamodules.tokenizer import load_tokenizer, tokenizer_fingerprint
from lightning_modules.vocabulary import main

LIMITS = Limits(train=8, validation=4, test=1)
TEXT = "Belediye, yeni tramvay hattının pazartesi günü açılacağını duyurdu."


@pytest.fixture(scope="session")
def base(tiny_base, random_mt5):
    for name in ("spiece.model", "tokenizer_config.json"):
        shutil.copy(random_mt5 / name, tiny_base)
    return tiny_base


@pytest.fixture
def sources(quickstart):
    named = {"columns": {"id": "id", "split": "split"}, "limits": vars(LIMITS)}
    return [{"language": code, "path": str(quickstart / f"{code}.jsonl"), **named} for code in ("tr", "en")]


@pytest.fixture
def config(sources, tmp_path):
    def write(name="data.yaml", **settings):
        path = tmp_path / name
        path.write_text(yaml.safe_dump({"data": {"init_args": settings}}))
        return str(path)

    return write


@pytest.fixture(scope="module")
def trimmed(base, quickstart, tmp_path_factory):
    output = tmp_path_factory.mktemp("trimmed") / "model"
    main(["trim", base, str(output), "--texts", f"tr={quickstart / 'tr.jsonl'}", "--reserve", "0"])
    return output


def record_of(folder):
    return json.loads((folder / RECORD).read_text())


def test_trimmed_folder_is_a_plain_model_with_the_base_s_logits(trimmed, base):
    record, tokenizer, whole = record_of(trimmed), load_tokenizer(str(trimmed)), load_tokenizer(base)
    kept = torch.tensor(record[KEPT_KEY])
    models = [AutoModelForSeq2SeqLM.from_pretrained(path) for path in (trimmed, base)]
    ids = [t(TEXT, return_tensors="pt").input_ids for t in (tokenizer, whole)]
    assert torch.equal(kept[ids[0]], ids[1])
    logits = [model(input_ids=i, decoder_input_ids=i).logits for model, i in zip(models, ids, strict=True)]
    torch.testing.assert_close(logits[0], logits[1][..., kept], rtol=0, atol=1e-6)
    assert len(tokenizer) == len(kept) == models[0].config.vocab_size == record["after"]["rows"] < 4_000
    assert models[0].generate(ids[0], max_new_tokens=3).shape[1] > 1
    assert record["before"]["parameters"] - record["after"]["parameters"] == 2 * 128 * (8_064 - len(kept))
    assert record["tokenizer"] == tokenizer_fingerprint(tokenizer)


def test_expanding_what_was_not_trained_gives_the_base_back(trimmed, base, tmp_path):
    main(["expand", str(trimmed), base, str(tmp_path / "whole")])
    model, expected = (AutoModelForSeq2SeqLM.from_pretrained(path) for path in (tmp_path / "whole", base))
    assert all(torch.equal(model.state_dict()[name], value) for name, value in expected.state_dict().items())
    assert tokenizer_fingerprint(load_tokenizer(str(tmp_path / "whole"))) == tokenizer_fingerprint(load_tokenizer(base))


def test_report_tells_texts_that_were_not_counted_from_those_that_were(trimmed):
    counted, held_out = record_of(trimmed)["texts"]
    assert (counted["split"], counted["outside"]) == ("train", 0)
    assert counted["tokens_per_word"][0] == counted["tokens_per_word"][1]
    assert (held_out["language"], held_out["split"]) == ("tr", "validation")
    assert 0 < held_out["outside"] < 0.2
    assert held_out["tokens_per_word"][0] < held_out["tokens_per_word"][1]
    assert held_out["byte_share"][0] <= held_out["byte_share"][1] < 0.01


def test_data_configuration_gives_what_a_run_would_keep(config, sources, base, tmp_path, capsys):
    first = config(sources=sources[:1], max_source_tokens=64, vocabulary={"min_count": 3, "reserve": 100})
    second = config("more.yaml", sources=sources, max_target_tokens=20)
    main(["trim", base, str(tmp_path / "out"), "--config", first, second, "--min_count", "2"])
    data = BilingualDataModule(
        [
            SummarizationSource(s["language"], s["path"], columns=Columns(id="id", split="split"), limits=LIMITS)
            for s in sources
        ],
        base,
        max_source_tokens=64,
        max_target_tokens=20,
        vocabulary=VocabularyTrimming(min_count=2, reserve=100),
    )
    data.prepare_data()
    record = record_of(tmp_path / "out")
    assert record[KEPT_KEY] == data.kept_pieces.tolist()
    assert [(one["language"], one["split"]) for one in record["texts"]] == [
        (language, split) for split in ("train", "validation") for language in ("tr", "en")
    ]
    assert f"8,064 ->{len(data.kept_pieces):>14,}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("data: {init_args: {batchsize: 3}}", "batchsize"),
        ("model: {}", "is no data configuration"),
        ("data: [", "is no data configuration"),
    ],
)
def test_other_configurations_are_refused(base, tmp_path, content, message):
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(ValueError, match=message):
        main(["trim", base, str(tmp_path / "out"), "--config", str(tmp_path / "data.yaml")])


def test_texts_one_a_line_are_counted_and_others_refused(base, tmp_path):
    (tmp_path / "tr.txt").write_text("bir\n\nyağdı yağıyor\ndurdu\n", encoding="utf-8")
    main(["trim", base, str(tmp_path / "out"), "--texts", f"tr={tmp_path / 'tr.txt'}", "--reserve", "0"])
    counted, held_out = record_of(tmp_path / "out")["texts"]
    tokenizer = load_tokenizer(base)
    tokens = [len(tokenizer(text, add_special_tokens=False).input_ids) for text in ("yağdı yağıyor", "durdu", "bir")]
    assert counted["tokens_per_word"] == [(tokens[0] + tokens[1]) / 3] * 2
    assert held_out["tokens_per_word"][0] == tokens[2] != counted["tokens_per_word"][0]
    (tmp_path / "one.txt").write_text("bir\n")
    with pytest.raises(ValueError, match="texts of tr are 1; at least 2"):
        main(["trim", base, str(tmp_path / "no"), "--texts", f"tr={tmp_path / 'one.txt'}"])
    with pytest.raises(ValueError, match=r"Cannot read .*missing\.txt"):
        main(["trim", base, str(tmp_path / "no"), "--texts", f"tr={tmp_path / 'missing.txt'}"])
    with pytest.raises(ValueError, match="LANG=FILE"):
        main(["trim", base, str(tmp_path / "no"), "--texts", str(tmp_path / "tr.txt")])


def test_folders_that_exist_are_not_written_over(trimmed, base):
    before = record_of(trimmed)
    for command in (["trim", base, str(trimmed), "--texts", "tr=x"], ["expand", str(trimmed), base, str(trimmed)]):
        with pytest.raises(ValueError, match="exists already"):
            main(command)
    assert record_of(trimmed) == before


def test_expanding_needs_the_base_and_a_trimmed_model(trimmed, base, tmp_path, random_mt5):
    with pytest.raises(ValueError, match="is no trimmed model"):
        main(["expand", base, base, str(tmp_path / "out")])
    other = shutil.copytree(trimmed, tmp_path / "other")
    record = record_of(other)
    (other / RECORD).write_text(json.dumps({**record, "base": {**record["base"], "fingerprint": "0" * 16}}))
    with pytest.raises(ValueError, match="was trimmed from a model of fingerprint 0000000000000000"):
        main(["expand", str(other), base, str(tmp_path / "out")])

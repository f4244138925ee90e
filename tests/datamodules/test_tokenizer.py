import json
import re
import shutil
import unicodedata

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from datamodules.tokenizer import load_tokenizer, tokenizer_fingerprint
from lightning_modules.portable_tokenizer import save_portable


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("text", ["𒀀 東京 😀", "Ağrı'da kar", "perché no", "a\u0301 ẞ ﷺ"])
def test_characters_without_a_piece_survive_as_bytes(tiny_tokenizer, text):
    ids = ids_of(tiny_tokenizer, text)
    assert tiny_tokenizer.unk_token_id not in ids
    normalised = tiny_tokenizer.backend_tokenizer.normalizer.normalize_str(text).replace("▁", " ").strip()
    assert tiny_tokenizer.decode(ids).strip() == normalised


def test_text_that_normalisation_leaves_alone_comes_back_as_it_was(tiny_tokenizer):
    assert tiny_tokenizer.decode(ids_of(tiny_tokenizer, "𒀀 東京 😀")) == "𒀀 東京 😀"


@pytest.mark.parametrize("text", ["</s>", "<pad>", "<unk>", "Son </s> değil", "a<pad>b", "<0x41> 0x41"])
def test_literal_special_tokens_in_a_text_are_spelt_out(tiny_tokenizer, text):
    ids = ids_of(tiny_tokenizer, text)
    assert not {tiny_tokenizer.pad_token_id, tiny_tokenizer.eos_token_id, tiny_tokenizer.unk_token_id} & set(ids)
    assert tiny_tokenizer.decode(ids) == text


def test_ids_equal_those_of_the_sentencepiece_library(tiny_tokenizer, random_mt5, quickstart):
    library = sentencepiece.SentencePieceProcessor(model_file=str(random_mt5 / "spiece.model"))
    stories = [json.loads(line) for file in quickstart.glob("*.jsonl") for line in file.open(encoding="utf-8")]
    sentences = [
        part for story in stories for part in re.split(r"(?<=[.!?]) ", f"{story['article']} {story['summary']}")
    ]
    assert len(sentences) > 1000
    assert tiny_tokenizer(sentences, add_special_tokens=False).input_ids == library.encode(sentences)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Việt Nam nước lũ", "Việt Nam nước lũ"),
        ("한국어", "한국어"),
        ("ǖ ẍ\u0301", "ǖ ẍ\u0301"),
        ("Ａ\u0301 ²\u0301", "Á 2\u0301"),
        ("ﻻ\u064b", "لا\u064b"),
        ("ﾊﾞｽ", "バス"),
        ("１０～２０ 〜", "10～20 〜"),  # the one character that SentencePiece leaves as it is
    ],
)
def test_letters_and_their_marks_are_read_as_by_the_sentencepiece_library(tiny_tokenizer, random_mt5, text, written):
    library = sentencepiece.SentencePieceProcessor(model_file=str(random_mt5 / "spiece.model"))
    for form in (text, unicodedata.normalize("NFD", text)):
        assert tiny_tokenizer.decode(ids_of(tiny_tokenizer, form)) == written
        assert ids_of(tiny_tokenizer, form) == library.encode(form)


def test_saved_tokenizer_reads_letters_in_the_same_way(tiny_tokenizer, tmp_path):
    text = unicodedata.normalize("NFD", "Việt 한국어 ～")
    save_portable(tiny_tokenizer, tmp_path, 64)
    for again in (load_tokenizer(str(tmp_path)), PreTrainedTokenizerFast.from_pretrained(tmp_path)):
        assert ids_of(again, text) == ids_of(tiny_tokenizer, text)


def test_sentinels_are_the_last_hundred_pieces_in_falling_order(tiny_tokenizer):
    assert [tiny_tokenizer.convert_tokens_to_ids(f"▁<extra_id_{number}>") for number in range(100)] == list(
        range(7999, 7899, -1)
    )
    assert len(tiny_tokenizer) == 8000


def test_special_ids_are_those_of_mt5(tiny_tokenizer):
    ids = (tiny_tokenizer.pad_token_id, tiny_tokenizer.eos_token_id, tiny_tokenizer.unk_token_id)
    assert ids == (0, 1, 2)


def test_fingerprint_is_that_of_the_models_own_map_of_characters(tiny_tokenizer, random_mt5):
    bare = load_tokenizer(str(random_mt5))
    bare.backend_tokenizer.normalizer = bare.backend_tokenizer.normalizer[
        3
    ]  # as checkpoints of earlier versions had it
    assert tokenizer_fingerprint(bare) == tokenizer_fingerprint(tiny_tokenizer)


def test_fingerprint_names_the_vocabulary(tiny_tokenizer, random_mt5, tmp_path):
    again = load_tokenizer(str(shutil.copytree(random_mt5, tmp_path / "same")))
    assert tokenizer_fingerprint(again) == tokenizer_fingerprint(tiny_tokenizer)

    model = sentencepiece_model_pb2.ModelProto.FromString((random_mt5 / "spiece.model").read_bytes())
    model.pieces[5000].piece += "x"
    other = shutil.copytree(random_mt5, tmp_path / "other")
    (other / "spiece.model").write_bytes(model.SerializeToString())
    assert tokenizer_fingerprint(load_tokenizer(str(other))) != tokenizer_fingerprint(tiny_tokenizer)


@pytest.mark.parametrize("create", [False, True], ids=["missing", "empty"])
def test_folder_without_a_tokenizer_is_named_with_what_is_needed(tmp_path, create):
    path = tmp_path / "model"
    if create:
        path.mkdir()
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*own tokenizer files must be there"):
        load_tokenizer(str(path))


def test_other_kinds_of_tokenizer_are_refused(tmp_path):
    words = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "<pad>": 2}, unk_token="<unk>"))
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="WordLevel model; a unigram model with </s> is needed"):
        load_tokenizer(str(tmp_path))

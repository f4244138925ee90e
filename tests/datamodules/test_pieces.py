import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.pieces import (
    RECORD,
    VocabularyTrimming,
    byte_pieces,
    choose_pieces,
    count_ids,
    count_rows,
    trim_to_counts,
    trim_to_file,
    write_record,
)
from datamodules.tokenizer import load_tokenizer, tokenizer_fingerprint, trim_tokenizer, vocabulary_of
from lightning_modules.generation import decode, sentinel_ids

NO_RESERVE = VocabularyTrimming(reserve=0)
STRANGE = ["𒀀 東京 😀 kar", "perché ﬁne  x", "Son </s> değil <0x41> <pad><unk>", "▁ _ ~", "İSTANBUL’da “ağ”", "Ƃ\u0301"]


@pytest.fixture(scope="module")
def stories(quickstart):
    rows = [json.loads(line) for file in sorted(quickstart.glob("*.jsonl")) for line in file.open(encoding="utf-8")]
    return {split: [row["article"] for row in rows if row["split"] == split] for split in ("train", "test")}


@pytest.fixture(scope="module")
def vocabulary(tiny_tokenizer):
    return vocabulary_of(tiny_tokenizer)


@pytest.fixture(scope="module")
def counts(tiny_tokenizer, stories):
    return count_ids(ids_of(tiny_tokenizer, stories["train"]), len(tiny_tokenizer))


@pytest.fixture
def trimmed(random_mt5, counts):
    tokenizer = load_tokenizer(str(random_mt5))
    return tokenizer, trim_to_counts(tokenizer, counts, NO_RESERVE)


def ids_of(tokenizer, texts):
    return tokenizer(texts, add_special_tokens=False).input_ids


def choose(vocabulary, counts, **choices):
    return set(choose_pieces(vocabulary, counts, VocabularyTrimming(**choices), [0, 1, 2]).tolist())


def test_counted_texts_are_cut_as_before(trimmed, tiny_tokenizer, stories):
    tokenizer, kept = trimmed
    assert len(tokenizer) < 4_500
    assert [kept[ids].tolist() for ids in ids_of(tokenizer, stories["train"])] == ids_of(
        tiny_tokenizer, stories["train"]
    )


def test_new_texts_are_spelt_with_smaller_pieces_and_lose_nothing(trimmed, tiny_tokenizer, stories):
    tokenizer, kept = trimmed
    texts = stories["test"] + STRANGE
    before, after = ids_of(tiny_tokenizer, texts), ids_of(tokenizer, texts)
    assert [tokenizer.decode(ids) for ids in after] == [tiny_tokenizer.decode(ids) for ids in before]
    assert not {tokenizer.unk_token_id, tokenizer.eos_token_id} & {index for ids in after for index in ids}
    same = [kept[new].tolist() == old for new, old in zip(after, before, strict=True)]
    assert same == [set(old) <= set(kept.tolist()) for old in before]
    assert not all(same)


@pytest.fixture(scope="module")
def cut_with(random_mt5):
    """Cuts a text with some pieces only."""
    tokenizer = load_tokenizer(str(random_mt5))
    whole = tokenizer.backend_tokenizer.model

    def cut(text, kept):
        tokenizer.backend_tokenizer.model = whole
        trim_tokenizer(tokenizer, kept)
        return ids_of(tokenizer, [text])[0]

    return cut


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1), start=st.integers(0, 2_000), number=st.integers(0, 23))
def test_any_vocabulary_that_has_a_texts_pieces_cuts_it_the_same(
    cut_with, tiny_tokenizer, vocabulary, stories, seed, share, start, number
):
    text = stories["test"][number][start : start + 200] + STRANGE[number % len(STRANGE)]
    (ids,) = ids_of(tiny_tokenizer, [text])
    lowest = min(range(259, 7900), key=lambda index: vocabulary[index][1])
    some = np.flatnonzero(np.random.default_rng(seed).random(len(vocabulary)) < share)
    kept = np.array(sorted({*range(259), *range(7900, 8000), lowest, *some.tolist(), *ids}))
    assert kept[cut_with(text, kept.tolist())].tolist() == ids


def test_what_is_always_kept(vocabulary, counts, tiny_tokenizer):
    kept = choose(vocabulary, counts, min_count=10**6, reserve=0)
    always = {0, 1, 2} | set(np.flatnonzero(byte_pieces([piece for piece, _ in vocabulary])).tolist())
    assert always | set(sentinel_ids(tiny_tokenizer)) <= kept
    assert len(always) == 259
    singles = {index for index, (piece, _) in enumerate(vocabulary) if len(piece) == 1}
    used = set("".join(vocabulary[index][0] for index in np.flatnonzero(counts)))
    # What fills the last tile and the least probable piece come on top.
    assert {index for index in singles if vocabulary[index][0] in used or vocabulary[index][0].isascii()} <= kept
    assert len(kept - always - singles - set(sentinel_ids(tiny_tokenizer))) <= 64


def test_least_probable_piece_is_kept_since_unknown_characters_score_by_it():
    ordinary = [(f"ab{number}", -1.0 - number) for number in range(200)]
    kept = choose(
        [("<pad>", -900.0), ("</s>", -900.0), ("<unk>", -900.0), *ordinary],
        np.repeat([0, 1, 0], [3, 3, 197]),
        reserve=0,
    )
    assert {3, 4, 5, 202} <= kept
    assert len(kept) == 64


def test_sentinels_stay_the_last_pieces_in_falling_order(trimmed):
    tokenizer, kept = trimmed
    assert sentinel_ids(tokenizer) == list(range(len(kept) - 100, len(kept)))
    assert tokenizer.convert_tokens_to_ids("▁<extra_id_0>") == len(kept) - 1
    assert decode(torch.tensor([[len(kept) - 1]]), tokenizer) == ["<extra_id_0>"]


def test_frequent_pieces_are_chosen_by_count_and_share(vocabulary):
    counts = np.zeros(len(vocabulary), np.int64)
    counts[[5_000, 6_000, 7_000]] = 90, 9, 1
    assert {5_000, 6_000, 7_000} <= choose(vocabulary, counts, reserve=0)
    assert {5_000, 6_000, 7_000} & choose(vocabulary, counts, reserve=0, min_count=9) == {5_000, 6_000}
    assert {5_000, 6_000, 7_000} & choose(vocabulary, counts, reserve=0, coverage=0.99) == {5_000, 6_000}
    assert {5_000, 6_000, 7_000} & choose(vocabulary, counts, reserve=0, coverage=0.9) == {5_000}
    assert {5_000, 6_000, 7_000} & choose(vocabulary, counts, reserve=0, coverage=0.91, min_count=10) == {5_000}


def test_reserve_holds_the_most_probable_pieces_of_the_corpora_s_letters(vocabulary):
    counts = np.zeros(len(vocabulary), np.int64)
    spelt = [index for index in range(259, 7900) if set(vocabulary[index][0]) <= set("▁adeiklmnrst")]
    counts[[index for index in spelt if len(vocabulary[index][0]) == 1]] = 1
    kept = choose(vocabulary, counts, reserve=500)
    assert set(spelt[:500]) <= kept
    others = kept - set(spelt[:500]) - set(range(259)) - set(range(7900, 8000))
    assert len([index for index in others if len(vocabulary[index][0]) > 1]) <= 64
    assert vocabulary[spelt[0]][1] > vocabulary[spelt[499]][1]


@pytest.mark.parametrize("reserve", [0, 1, 63, 64, 1_000, 7_000])
def test_rows_fill_whole_tiles(vocabulary, counts, reserve):
    assert len(choose(vocabulary, counts, reserve=reserve)) % 64 == 0


def test_everything_is_kept_where_there_are_no_pieces_to_fill_a_tile(vocabulary):
    small = vocabulary[:300]
    assert len(choose(small, np.ones(300, np.int64))) == 300


def test_no_training_rows_are_refused(vocabulary):
    with pytest.raises(ValueError, match="counts the pieces of the training rows, but there is none"):
        choose(vocabulary, count_rows(None, len(vocabulary)))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"min_count": 0}, "min_count 0 must be at least 1"),
        ({"reserve": -1}, "reserve -1 must be at least 0"),
        ({"coverage": 0.0}, "coverage 0.0 must be above 0"),
        ({"coverage": 1.1}, "coverage 1.1 must be above 0 and at most 1"),
    ],
)
def test_settings_out_of_range_are_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        VocabularyTrimming(**choices)


def test_special_tokens_at_other_places_are_refused(random_mt5, tiny_tokenizer):
    with pytest.raises(ValueError, match="must be the first pieces"):
        trim_tokenizer(load_tokenizer(str(random_mt5)), [0, 2, 3])


def test_saved_tokenizer_is_the_same(trimmed, tmp_path, stories):
    tokenizer, _ = trimmed
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert tokenizer_fingerprint(again) == tokenizer_fingerprint(tokenizer)
    assert ids_of(again, stories["test"] + STRANGE) == ids_of(tokenizer, stories["test"] + STRANGE)


def test_recorded_pieces_are_kept_again(trimmed, tmp_path, random_mt5):
    tokenizer, kept = trimmed
    write_record(tmp_path / RECORD, kept, tokenizer_fingerprint(tokenizer))
    again = load_tokenizer(str(random_mt5))
    assert trim_to_file(again, tmp_path / RECORD).tolist() == kept.tolist()
    assert tokenizer_fingerprint(again) == tokenizer_fingerprint(tokenizer)
    with pytest.raises(ValueError, match="are those of another tokenizer"):
        trim_to_file(again, tmp_path / RECORD)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"kept_pieces": [0]}', '{"tokenizer": 1, "kept_pieces": "x"}'])
def test_other_files_are_refused(tmp_path, random_mt5, content):
    if content is not None:
        (tmp_path / RECORD).write_text(content)
    with pytest.raises(ValueError, match=r"is no vocabulary\.json"):
        trim_to_file(load_tokenizer(str(random_mt5)), tmp_path / RECORD)


def test_data_module_trims_by_its_training_rows_alone(make_data, tiny_tokenizer):
    whole, data = make_data(), make_data(vocabulary=NO_RESERVE)
    assert whole.kept_pieces is None
    assert len(data.tokenizer) == len(data.kept_pieces) < 1_000
    assert data.tokenizer_fingerprint == tokenizer_fingerprint(data.tokenizer) != whole.tokenizer_fingerprint
    for split in ("train", "validation", "test"):
        for name in ("input_ids", "labels"):
            ids = [data.kept_pieces[row].tolist() for row in data.rows(split)[name]]
            assert (ids == list(whole.rows(split)[name])) == (split == "train")
    counts = count_rows(whole.rows("train"), len(tiny_tokenizer))
    assert counts.sum() == sum(len(ids) for name in ("input_ids", "labels") for ids in whole.rows("train")[name])
    assert counts[tiny_tokenizer.eos_token_id] == 2 * len(whole.rows("train"))
    assert make_data(vocabulary=NO_RESERVE, seed=5, batch_size=2).tokenizer_fingerprint == data.tokenizer_fingerprint
    prefixed = make_data(vocabulary=NO_RESERVE, prefixes={"tr": "Kısaca anlat: "})
    assert prefixed.tokenizer_fingerprint != data.tokenizer_fingerprint

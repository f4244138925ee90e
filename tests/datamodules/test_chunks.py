import hypothesis.strategies as st
import pytest
from hypothesis import given

from datamodules.chunks import cut_at_sentences, encode_article
from datamodules.tokenize import truncate_with_eos

ARTICLE = "Vapur geç kaldı. Yolcular bekledi! İskele kapandı mı? Evet. Sabah 6'da açılacak 😀. " * 5


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("prefix", ["", "özetle: "])
@pytest.mark.parametrize("limit", [8, 24, 64, 500])
def test_truncating_is_what_training_does_and_says_so(tiny_tokenizer, prefix, limit):
    encoded = encode_article(ARTICLE, tiny_tokenizer, prefix, limit, "truncate")
    whole = ids(tiny_tokenizer, prefix + ARTICLE)
    assert encoded.chunks == [truncate_with_eos(whole, limit, 1)]
    assert encoded.tokens == len(whole) + 1
    assert encoded.truncated == (len(whole) + 1 > limit)


def test_article_that_just_fits_is_neither_cut_nor_chunked(tiny_tokenizer):
    whole = ids(tiny_tokenizer, ARTICLE)
    for long in ("truncate", "chunk"):
        fitting = encode_article(ARTICLE, tiny_tokenizer, "", len(whole) + 1, long)
        assert (len(fitting.chunks), fitting.truncated) == (1, False)
    assert encode_article(ARTICLE, tiny_tokenizer, "", len(whole), "truncate").truncated
    assert len(encode_article(ARTICLE, tiny_tokenizer, "", len(whole), "chunk").chunks) == 2


@pytest.mark.parametrize("prefix", ["", "özetle: "])
@pytest.mark.parametrize("limit", [10, 24, 64])
def test_chunks_hold_all_tokens_once_within_the_limit(tiny_tokenizer, prefix, limit):
    encoded = encode_article(ARTICLE, tiny_tokenizer, prefix, limit, "chunk")
    lead = len(ids(tiny_tokenizer, prefix))
    assert all(len(chunk) <= limit and chunk[-1] == 1 and 1 not in chunk[:-1] for chunk in encoded.chunks)
    assert all(chunk[:lead] == encoded.chunks[0][:lead] for chunk in encoded.chunks)
    whole = ids(tiny_tokenizer, prefix + ARTICLE)
    assert [token for chunk in encoded.chunks for token in chunk[lead:-1]] == whole[lead:]
    assert not encoded.truncated


def test_chunks_end_with_sentences(tiny_tokenizer):
    chunks = encode_article(ARTICLE, tiny_tokenizer, "özetle: ", 64, "chunk").chunks
    texts = [tiny_tokenizer.decode(chunk, skip_special_tokens=True) for chunk in chunks]
    assert len(texts) > 1
    assert all(text.startswith("özetle: ") and text[-1] in ".!?" for text in texts)


def test_prefix_that_leaves_no_place_is_refused(tiny_tokenizer):
    with pytest.raises(ValueError, match="fills all 4 tokens"):
        encode_article(ARTICLE, tiny_tokenizer, "uzun bir ön ek: ", 4, "chunk")


@given(
    st.integers(0, 5),
    st.lists(st.integers(1, 12), min_size=1, max_size=20),
    st.integers(1, 15),
)
def test_pieces_cover_the_range_and_split_only_sentences_that_are_too_long(first, lengths, room):
    ends = [first + sum(lengths[: count + 1]) for count in range(len(lengths))]
    pieces = cut_at_sentences(first, ends[-1], ends, room)
    assert [first, *(end for _, end in pieces)] == [*(start for start, _ in pieces), ends[-1]]
    assert all(0 < end - start <= room for start, end in pieces)
    for _, end in pieces:
        inside = next((span for span in zip([first, *ends], ends, strict=False) if span[0] < end < span[1]), None)
        assert inside is None or inside[1] - inside[0] > room


def test_pieces_are_of_nearly_equal_length():
    assert cut_at_sentences(0, 100, list(range(5, 101, 5)), room=60) == [(0, 50), (50, 100)]

from itertools import chain

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datamodules.tokenize import encode_batch, encode_target, truncate_with_eos
from metrics.sentences import SENTENCE_END

EOS = 1
SENTENCES = {
    "tr": ["Tramvay hattı sonunda açıldı.", "Yolcular çok sevindi!", "Peki şimdi ne olacak?"],
    "it": ["Il tram è partito lunedì.", "«Finalmente!»", "Perché così tardi?"],
    "en": ["The tram has opened.", 'People said: "At last!"', "What comes next?"],
    "ja": ["電車が開通した。", "「やっと！」", "次は何か？"],
}


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False).input_ids


@given(ids=st.lists(st.integers(2, 50), max_size=30), limit=st.integers(1, 40))
def test_truncated_text_is_a_beginning_and_ends_in_eos_exactly_once(ids, limit):
    cut = truncate_with_eos(ids, limit, EOS)
    assert cut[-1] == EOS
    assert cut.count(EOS) == 1
    assert cut[:-1] == ids[: limit - 1]
    assert len(cut) == min(len(ids) + 1, limit)


@pytest.mark.parametrize(("length", "kept"), [(5, 5), (6, 6), (7, 6)], ids=["limit-1", "limit", "limit+1"])
def test_text_around_the_limit_loses_only_what_does_not_fit(length, kept):
    ids = list(range(10, 10 + length - 1))
    assert truncate_with_eos(ids, 6, EOS) == [*ids[: kept - 1], EOS]


def test_limit_of_one_leaves_only_eos():
    assert truncate_with_eos([7, 8, 9], 1, EOS) == [EOS]


@pytest.mark.parametrize("limit", [0, -3])
def test_limit_without_place_for_eos_is_refused(limit):
    with pytest.raises(ValueError, match=f"limit {limit} leaves no place for </s>"):
        truncate_with_eos([7], limit, EOS)


@pytest.mark.parametrize("ids", [[EOS], [7, EOS], [7, 8, 9, EOS, 9]])
def test_eos_inside_the_text_is_refused_even_where_it_would_be_cut_off(ids):
    with pytest.raises(ValueError, match="stands inside the text's tokens"):
        truncate_with_eos(ids, 3, EOS)


def labels_by_definition(text: str, tokenizer, limit: int) -> list[int]:
    """The longest beginning of whole sentences that fits, of all beginnings: quadratic in the text."""
    text = text.strip()
    ends = [match.end() for match in SENTENCE_END.finditer(text) if match.end() < len(text)]
    beginnings = [ids_of(tokenizer, text[:end]) for end in reversed(ends)]
    ids = ids_of(tokenizer, text)
    if len(ids) >= limit:
        ids = next((shorter for shorter in beginnings if len(shorter) < limit), ids)
    return truncate_with_eos(ids, limit, EOS)


OTHER_ENDS = ["雨だ。", "晴れ！", "မိုးရွာသည်။", "3.5 ...", "No end", "‹€›.", "😀!"]
TEXTS = st.one_of(
    st.lists(
        st.tuples(
            st.sampled_from([*chain(*SENTENCES.values()), *OTHER_ENDS]),
        ),
        max_size=25,
    ).map(lambda parts: "".join(map("".join, parts))),
    st.text(alphabet="ab .!。？」雨電車が開通した\n\u0301é…", max_size=120),
    st.text(max_size=120),
)


@given(text=TEXTS, limit=st.integers(1, 60))
@example(text="  Bir. İki. Üç. ", limit=3)
@settings(max_examples=300)
def test_sentence_truncation_is_the_longest_beginning_of_whole_sentences_that_fits(tiny_tokenizer, text, limit):
    labels, length = encode_target(text, tiny_tokenizer, limit, "sentence")
    assert labels == labels_by_definition(text, tiny_tokenizer, limit)
    assert length == len(ids_of(tiny_tokenizer, text)) + 1


@pytest.mark.parametrize("sentence", ["Tramvay hattı açıldı. ", "電車が開通した。", "3.5", "A. ", ".", "a", " ", "😀"])
def test_long_summary_is_tokenised_only_as_far_as_it_can_fit(tiny_tokenizer, monkeypatch, sentence):
    """Of every beginning of 600 kB the tokens took 6.9 GiB."""
    text = "Bir. " + sentence * (100_000 // len(sentence)) + " Son."
    tokenizer, seen = type(tiny_tokenizer), []
    encode = tokenizer.__call__

    def counted(self, part, **options):
        seen.append(len(part))
        return encode(self, part, **options)

    monkeypatch.setattr(tokenizer, "__call__", counted)
    labels, _ = encode_target(text, tiny_tokenizer, 64, "sentence")
    assert labels[-1] == EOS
    assert sum(seen) < 2.1 * len(text)


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("whole_sentences", [1, 2])
def test_sentence_truncation_keeps_the_whole_sentences_that_fit(tiny_tokenizer, language, whole_sentences):
    space = "" if language == "ja" else " "
    text = space.join(SENTENCES[language])
    beginning = space.join(SENTENCES[language][:whole_sentences])
    for spare in (0, 1):
        limit = len(ids_of(tiny_tokenizer, beginning)) + 1 + spare
        labels, length = encode_target(text, tiny_tokenizer, limit, "sentence")
        assert labels == [*ids_of(tiny_tokenizer, beginning), EOS]
        assert length == len(ids_of(tiny_tokenizer, text)) + 1


def test_sentence_that_would_lose_its_last_token_to_eos_does_not_count_as_fitting(tiny_tokenizer):
    first, both = SENTENCES["en"][0], " ".join(SENTENCES["en"][:2])
    labels, _ = encode_target(" ".join(SENTENCES["en"]), tiny_tokenizer, len(ids_of(tiny_tokenizer, both)), "sentence")
    assert labels == [*ids_of(tiny_tokenizer, first), EOS]


@pytest.mark.parametrize("language", SENTENCES)
def test_first_sentence_that_does_not_fit_is_cut_inside(tiny_tokenizer, language):
    text = " ".join(SENTENCES[language])
    limit = len(ids_of(tiny_tokenizer, SENTENCES[language][0]))
    labels, _ = encode_target(text, tiny_tokenizer, limit, "sentence")
    assert labels == [*ids_of(tiny_tokenizer, text)[: limit - 1], EOS]


@pytest.mark.parametrize("truncate", ["token", "drop"])
def test_token_truncation_ignores_sentences(tiny_tokenizer, truncate):
    text = " ".join(SENTENCES["en"])
    limit = len(ids_of(tiny_tokenizer, text)) - 1
    labels, _ = encode_target(text, tiny_tokenizer, limit, truncate)
    assert labels == [*ids_of(tiny_tokenizer, text)[: limit - 1], EOS]


@pytest.mark.parametrize("truncate", ["sentence", "token", "drop"])
def test_summary_that_just_fits_stays_whole(tiny_tokenizer, truncate):
    text = " ".join(SENTENCES["tr"])
    whole = [*ids_of(tiny_tokenizer, text), EOS]
    assert encode_target(text, tiny_tokenizer, len(whole), truncate) == (whole, len(whole))


@given(text=st.text(max_size=60), limit=st.integers(1, 20), truncate=st.sampled_from(["sentence", "token", "drop"]))
def test_any_summary_ends_in_eos_within_the_limit(tiny_tokenizer, text, limit, truncate):
    labels, length = encode_target(text, tiny_tokenizer, limit, truncate)
    assert labels[-1] == EOS
    assert labels.count(EOS) == 1
    assert len(labels) <= min(limit, length)


def test_batch_puts_the_prefix_before_each_article_and_ends_sources_in_eos(tiny_tokenizer):
    articles = [" ".join(SENTENCES["tr"]), "Kısa."]
    encoded = encode_batch(
        {"article": articles, "summary": ["Tramvay açıldı.", "Kısa."]}, tiny_tokenizer, "özetle: ", 12, 32, "sentence"
    )
    whole = [ids_of(tiny_tokenizer, "özetle: " + article) for article in articles]
    assert encoded["input_ids"] == [[*whole[0][:11], EOS], [*whole[1], EOS]]
    assert encoded["source_tokens"] == [len(whole[0]) + 1, len(whole[1]) + 1]
    assert encoded["labels"] == [[*ids_of(tiny_tokenizer, text), EOS] for text in ("Tramvay açıldı.", "Kısa.")]
    assert encoded["target_tokens"] == [len(labels) for labels in encoded["labels"]]


def test_batch_limits_sources_and_targets_separately(tiny_tokenizer):
    text = " ".join(SENTENCES["it"])
    encoded = encode_batch({"article": [text], "summary": [text]}, tiny_tokenizer, "", 9, 5, "token")
    assert (len(encoded["input_ids"][0]), len(encoded["labels"][0])) == (9, 5)

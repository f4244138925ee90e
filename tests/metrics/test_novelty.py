import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.novelty import fragment_lengths, novelty

TOKENS = st.lists(st.sampled_from("abcd"), max_size=12)


def test_figures_have_their_hand_counted_values() -> None:
    # Copied: "kar yağdı" (2 words) and "durdu" (1). New: "çok", "sonra".
    scores = novelty(["Dün Ankara'da kar yağdı, hayat durdu."], ["Kar yağdı çok; sonra durdu."], "tr")
    assert scores == {
        "novel_unigrams": [pytest.approx(2 / 5)],
        "novel_bigrams": [pytest.approx(3 / 4)],
        "novel_trigrams": [pytest.approx(1)],
        "compression": [pytest.approx(7 / 5)],
        "coverage": [pytest.approx(3 / 5)],
        "density": [pytest.approx((4 + 1) / 5)],
    }


def test_casing_follows_the_language() -> None:
    assert novelty(["ISLAK İZMİR"], ["ıslak izmir"], "tr")["coverage"] == [1]
    assert novelty(["ISLAK İZMİR"], ["ıslak izmir"], "en")["coverage"] == [0]


def test_words_of_scripts_without_spaces_are_counted() -> None:
    assert novelty(["今日は東京で雪が降った。"], ["東京で雨"], "ja")["novel_unigrams"] == [pytest.approx(1 / 3)]


@pytest.mark.parametrize("summary", ["", "  ", "..."])
def test_empty_summaries_score_zero(summary: str) -> None:
    assert set(map(tuple, novelty(["Kar yağdı."], [summary], "tr").values())) == {(0.0,)}


def test_empty_articles_make_everything_new() -> None:
    scores = novelty([""], ["kar yağdı dün"], "tr")
    assert [scores[name] for name in ("novel_unigrams", "novel_bigrams", "novel_trigrams")] == [[1], [1], [1]]
    assert [scores[name] for name in ("compression", "coverage", "density")] == [[0], [0], [0]]


def test_a_summary_too_short_for_ngrams_has_none_that_are_new() -> None:
    scores = novelty(["kar"], ["yağmur"], "tr")
    assert (scores["novel_unigrams"], scores["novel_bigrams"], scores["novel_trigrams"]) == ([1], [0], [0])


def test_one_figure_for_each_pair_in_order() -> None:
    assert novelty(["a b", "a b"], ["a b", "c d"], "en")["coverage"] == [1, 0]


@given(article=TOKENS, summary=TOKENS)
def test_fragments_are_the_longest_ones_from_the_left(article: list[str], summary: list[str]) -> None:
    """By comparing the summary with the article word by word from every place."""
    expected, start = [], 0
    while start < len(summary):
        rests = (article[at:] for at in range(len(article)))
        same = [[one == other for one, other in zip(rest, summary[start:], strict=False)] for rest in rests]
        longest = max(([*row, False].index(False) for row in same), default=0)
        expected += [longest] if longest else []
        start += max(longest, 1)
    assert fragment_lengths(article, summary) == expected


def test_what_follows_the_4096th_word_of_a_summary_does_not_count() -> None:
    """Nor do huge texts take quadratic time."""
    assert novelty(["a " * 300_000], ["a " * 4096 + "b " * 300_000], "en")["coverage"] == [1]


def test_the_longest_fragment_is_taken_wherever_it_begins() -> None:
    assert fragment_lengths(list("abxabc"), list("abc")) == [3]
    assert fragment_lengths(list("abc"), list("bcab")) == [2, 2]


@given(article=TOKENS, summary=TOKENS)
def test_fragments_are_copied_and_agree_with_new_words(article: list[str], summary: list[str]) -> None:
    scores = {name: values[0] for name, values in novelty([" ".join(article)], [" ".join(summary)], "en").items()}
    lengths = fragment_lengths(article, summary)
    assert sum(lengths) == sum(word in article for word in summary)
    assert scores["novel_unigrams"] + scores["coverage"] == pytest.approx(1 if summary else 0)
    assert 0 <= scores["novel_unigrams"] <= 1 and 0 <= scores["novel_bigrams"] <= 1
    assert scores["coverage"] <= scores["density"] <= len(summary) or not lengths


@given(article=st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), data=st.data())
def test_a_copied_passage_is_one_fragment(article: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(article) - 1))
    summary = article[start : data.draw(st.integers(start + 1, len(article)))]
    assert fragment_lengths(article, summary) == [len(summary)]


@pytest.mark.parametrize(("articles", "summaries"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_anything_but_pairs_is_refused(articles: list[str], summaries: list[str]) -> None:
    with pytest.raises(ValueError, match=f"{len(articles)} articles and {len(summaries)} summaries"):
        novelty(articles, summaries, "en")


def test_sentinels_are_no_words():
    assert novelty(["köprü açıldı"], ["<extra_id_0> köprü"], "tr") == novelty(["köprü açıldı"], ["köprü"], "tr")

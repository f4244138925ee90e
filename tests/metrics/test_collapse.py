import pytest

from metrics.collapse import collapse

ARTICLE = "Ankara'da dün akşam kar yağdı. Okullar bugün TATİL edildi, yollar kapandı."
REFERENCE = "Ankara'da kar yağdı, okullar tatil."  # six words


def figures(prediction: str, article: str = ARTICLE, reference: str = REFERENCE, language: str = "tr") -> dict:
    return {name: value for name, (value,) in collapse([article], [reference], [prediction], language).items()}


def test_a_healthy_summary_shows_nothing() -> None:
    assert figures("Yoğun kar yağışı nedeniyle Ankara'da okullar") == {
        "sentinel": 0,
        "empty": 0,
        "repetition": 0,
        "length_ratio": pytest.approx(7 / 6),
        "wrong_language": 0,
        "copied": 0,
        "uniform": 0,
    }


def test_words_that_several_articles_have_got_are_uniform_and_empty_summaries_are_not():
    predictions = ["Kar yağdı.", "kar YAĞDI", "Kar yağdı mı?", "", "..."]
    assert collapse([ARTICLE] * 5, [REFERENCE] * 5, predictions, "tr")["uniform"] == [1, 1, 0, 0, 0]


@pytest.mark.parametrize("text", ["<extra_id_0>", "<extra_id_99> kar", "kar <extra_id_7>. yağdı", "kar<extra_id_0>kar"])
def test_a_sentinel_anywhere_is_seen(text: str) -> None:
    assert figures(text)["sentinel"] == 1


@pytest.mark.parametrize("text", ["extra id 0", "<extra_id_>", "<extra>", ""])
def test_other_text_is_no_sentinel(text: str) -> None:
    assert figures(text)["sentinel"] == 0


@pytest.mark.parametrize("text", ["", " \n", "...", "<extra_id_0> <extra_id_1>"])
def test_a_text_without_words_is_empty_and_nothing_else(text: str) -> None:
    found = figures(text)
    assert found["empty"] == 1
    assert {found[name] for name in ("repetition", "length_ratio", "copied", "wrong_language")} == {0}


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("kar", 0),
        ("kar kar kar", 0),  # one 3-gram
        ("kar kar kar kar", 1 / 2),
        ("bir iki üç bir iki üç", 1 / 4),
        ("bir iki üç, bir iki dört", 0),
        ("BİR İKİ ÜÇ bir iki üç", 1 / 4),
        ("kar " * 102, 99 / 100),
    ],
)
def test_repetition_is_the_share_of_repeated_3_grams(text: str, share: float) -> None:
    assert figures(text)["repetition"] == pytest.approx(share)


@pytest.mark.parametrize(("text", "ratio"), [("kar", 1 / 6), ("kar " * 18, 3), ("<extra_id_0> kar yağdı", 1 / 3)])
def test_length_ratio_counts_words_of_both(text: str, ratio: float) -> None:
    assert figures(text)["length_ratio"] == pytest.approx(ratio)


def test_a_reference_without_words_counts_as_one_word() -> None:
    assert figures("kar yağdı", reference="...")["length_ratio"] == 2


@pytest.mark.parametrize(
    ("text", "copied"),
    [
        (ARTICLE, 1),
        ("dün akşam kar yağdı okullar", 1),
        ("  Okullar\n\nBUGÜN tatil ", 1),
        ("kar", 1),
        ("<extra_id_0> kar yağdı", 1),
        ("kar okullar", 0),  # not one run
        ("kar yağ", 0),  # the last word is cut
        ("ar yağdı", 0),
        ("", 0),
    ],
)
def test_copied_is_one_run_of_the_articles_words(text: str, copied: int) -> None:
    assert figures(text)["copied"] == copied


def test_nothing_is_not_copied_from_nothing() -> None:
    assert figures("...", article="!")["copied"] == 0


def test_turkish_casing_decides_what_is_the_same_word() -> None:
    assert figures("ISLAK", article="çok ıslak", language="tr")["copied"] == 1
    assert figures("ISLAK", article="çok ıslak", language="en")["copied"] == 0


def test_another_language_is_seen_and_sentinels_do_not_hide_it() -> None:
    english = "The snow that fell last night closed the schools of the capital."
    assert figures(english)["wrong_language"] == 1
    assert figures("<extra_id_0> " * 200 + english)["wrong_language"] == 1
    assert figures(english, language="en")["wrong_language"] == 0


def test_the_language_figure_is_left_out_where_the_language_is_unknown() -> None:
    assert figures("kar", language="ti").keys() == figures("kar").keys() - {"wrong_language"}


def test_each_summary_has_its_own_figures_in_order() -> None:
    found = collapse([ARTICLE] * 3, [REFERENCE] * 3, ["", "<extra_id_0>", "kar"], "tr")
    assert found["sentinel"] == [0, 1, 0]
    assert found["empty"] == [1, 1, 0]
    assert found["copied"] == [0, 0, 1]
    assert all(isinstance(value, float) for values in found.values() for value in values)


def test_no_summaries_have_no_figures() -> None:
    assert set(map(tuple, collapse([], [], [], "tr").values())) == {()}


def test_different_numbers_of_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="2 articles, 2 references and 1 predictions"):
        collapse(["a", "b"], ["a", "b"], ["a"], "tr")

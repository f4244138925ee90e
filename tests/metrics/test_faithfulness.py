import pytest

from metrics.faithfulness import faithfulness, mentions, precision_intervals
from metrics.score_intervals import Bootstrap

ARTICLE = (
    "Ankara Milletvekili Ahmet Kaya, 1.234,5 milyon liralık bütçeyi eleştirdi. Toplantıya 12 bin kişi katıldı. "
    "IRMAK Holding konuşmayı izledi."
)


def checked(summary: str, article: str = ARTICLE, language: str = "tr") -> dict[str, bool]:
    return {one.text: one.supported for one in mentions(article, summary, language)}


def test_numbers_and_names_are_checked_against_the_article() -> None:
    summary = "Dün Ahmet Kaya'nın ve Mehmet Kaya'nın Irmak'ta 12.000 kişiye, 13 kişiye anlattığı 1.234,5 milyon lira."
    assert checked(summary) == {
        "Ahmet": True,
        "Mehmet": False,  # word by word: the surname is in the article
        "Kaya": True,
        "Irmak": True,  # IRMAK has no dot in Turkish
        "12.000": True,
        "13": False,
        "1.234,5": True,
    }


def test_mentions_are_compared_as_the_tokenizer_reads_them() -> None:
    article = "Vergi １２\u202f３４５ avro. Dün ＢＡＫＡＮ Şimşek açıkladı. Toplam 7\u00a0890 avro."
    assert checked("Dün Bakan Şimşek 12 345 avro, 7.890 avro, 99 avro dedi.", article) == {
        "Bakan": True,
        "Şimşek": True,
        "12": True,  # the model cannot write the space that joins thousands
        "345": True,
        "7.890": True,
        "99": False,
    }


def test_a_mention_of_a_multiple_is_not_supported_by_the_bare_number() -> None:
    assert checked("5 million people", "There were 5 people", "en") == {"5": False}


def test_an_inflected_name_is_supported_by_its_stem() -> None:
    assert checked("the Italians won", "An Italian won", "en") == {"Italians": True}
    assert checked("an Italian won", "The Italians won", "en") == {"Italian": True}


def test_names_are_found_in_articles_that_shout() -> None:
    article = "ALİ CUMHUR TAŞKIN (Mersin) – Teşekkür ederim."
    found = checked("Mersin Milletvekili Ali Cumhur Taşkın’ın, Isparta’ya ilişkin açıklaması", article)
    assert found == {"Milletvekili": False, "Ali": True, "Cumhur": True, "Taşkın": True, "Isparta": False}


def test_conventional_words_are_no_mentions() -> None:
    summary = "Dün akşam Milletvekili Mehmet Kaya uzun uzun konuştu"
    found = mentions("Ahmet Kaya konuştu", summary, "tr", {"milletvekili"})
    assert [(one.text, one.supported) for one in found] == [("Mehmet", False), ("Kaya", True)]
    assert faithfulness(["Ahmet Kaya"], [summary], "tr", {"milletvekili"})["names"] == [2]
    assert mentions("", "dün akşam Irmak uzun uzun konuştu", "tr", {"ırmak"}) == []  # in the casing of the language


def test_what_cannot_be_checked_is_left_out() -> None:
    assert checked("Der Hund biss 3 Männer", "Ein Hund", "de") == {"3": False}
    assert checked("Prime Minister Visits Mars Colony", "Nothing", "en") == {}
    assert checked("<extra_id_0> bir şey", "Haber", "tr") == {}
    assert faithfulness(["Ein Hund"], ["Der Hund"], "de").keys() == {"numbers", "supported_numbers"}
    assert faithfulness(["ghItlh 5"], ["ghItlh 5"], "tlh") == {}


def test_precision_is_over_all_mentions_of_the_summaries_that_have_any() -> None:
    articles = ["there were 5 and 6", "there were 7", "none at all"]
    figures = faithfulness(articles, ["it was 5 and 6 and 8", "it was 7", "nothing"], "en")
    assert figures["numbers"] == [3, 1, 0] and figures["supported_numbers"] == [2, 1, 0]
    scores = precision_intervals({"en": figures, "de": faithfulness(["a"], ["b"], "de")}, Bootstrap(resamples=200))
    assert scores["de"] == {} and scores["en"].keys() == {"number_precision"}
    found = scores["en"]["number_precision"]
    assert found.mean == pytest.approx(3 / 4)
    assert (found.low, found.high) == pytest.approx((2 / 3, 1.0))


def test_texts_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="1 articles and 0 summaries"):
        faithfulness(["a"], [], "tr")

import pytest

from metrics.source_sentences import source_sentences

ARTICLE = "Vapurlar durdu.  Belediye otobüs koydu.\nYarın vapurlar çalışacak!"


def shares(summary, language="tr", article=ARTICLE):
    return [sentence.share for sentence in source_sentences(article, summary, language)]


def test_sentences_are_where_they_stand_in_the_article():
    found = [ARTICLE[sentence.start : sentence.end] for sentence in source_sentences(ARTICLE, "", "tr")]
    assert found == ["Vapurlar durdu.", "Belediye otobüs koydu.", "Yarın vapurlar çalışacak!"]


def test_each_word_goes_in_equal_parts_to_the_sentences_that_have_it():
    assert shares("belediye vapurlar") == pytest.approx([1 / 4, 1 / 2, 1 / 4])
    assert shares("BELEDİYE belediye") == pytest.approx([0, 1, 0])


def test_new_words_are_missing_to_one():
    assert sum(shares("belediye grev ilan etti")) == pytest.approx(1 / 4)
    assert shares("grev") == shares("") == [0, 0, 0]


def test_sentinels_are_no_words():
    assert shares("<extra_id_0> belediye") == pytest.approx([0, 1, 0])


def test_stems_are_compared_where_the_language_has_a_stemmer():
    assert shares("otobüsler", "tr") == pytest.approx([0, 1, 0])
    assert shares("otobüsler", None) == shares("otobüsler", "rn") == [0, 0, 0]


def test_article_without_sentences_has_none():
    assert shares("belediye", article="") == []

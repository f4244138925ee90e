"""Pairs of plain texts: whole sentences, chosen as asked, always the same."""

import pytest

from datamodules.gap_sentences import GapSentences, make_pair, passages, whole_sentences

STORM = "A storm closed the port of Rize for three days."
FERRY = "The ferry waited outside until the wind fell on Friday."
WHOLE = "The storm that closed the port of Rize kept the ferry outside for three days."
BREAD = "Bakers in the old town meanwhile sold twice as much bread."
PASSAGE = [STORM, FERRY, WHOLE, BREAD]
WORDS = "Yesterday the council of the town spoke about the bridge"


def chosen(passage=PASSAGE, **settings):
    pair = make_pair(passage, "en", GapSentences(**settings))
    return pair and pair[1]


def test_ind_orig_takes_what_overlaps_most_with_the_rest():
    assert chosen() == WHOLE
    assert chosen(sentences=2) == f"{STORM} {WHOLE}"


def test_lead_takes_the_first_and_random_depends_on_the_text_alone():
    assert chosen(choose="lead") == STORM
    assert chosen(choose="random") == chosen(choose="random")
    drawn = {chosen([*PASSAGE, f"{WORDS} number {number}."], choose="random") for number in range(40)}
    assert {STORM, FERRY, WHOLE, BREAD} <= drawn


def test_share_wins_over_sentences():
    assert chosen(choose="lead", sentences=1, share=0.5) == f"{STORM} {FERRY}"


@pytest.mark.parametrize(("keep", "stays"), [(0.0, 0), (1.0, 200), (0.5, 100)])
def test_summary_stays_in_the_article_as_often_as_asked(keep, stays):
    pairs = [make_pair([*PASSAGE, f"Ship {number} left."], "en", GapSentences(keep=keep)) for number in range(200)]
    assert sum(WHOLE in article for article, _ in pairs) == pytest.approx(stays, abs=0 if keep in (0, 1) else 25)
    assert all(STORM in article and BREAD in article for article, _ in pairs)


def test_overlap_is_of_words_in_normal_form_and_turkish_case():
    passage = [
        "Irmak Isparta Ilgaz için üç gün boyunca kapalı kaldı.",
        "Belediye bugün yeni bir okul için ihale yaptı ve bitirdi.",
        "ırmak ısparta ılgaz okul.",
    ]
    assert make_pair(passage, "tr", GapSentences(shortest=7))[1] == passage[0]


@pytest.mark.parametrize(
    "sentence",
    [
        f"{WORDS}?",
        f"{WORDS}?!",
        f"{WORDS} on 2012/22.",
        f"{WORDS} of formula_1.",
        f"{WORDS}",
        f"2.- {WORDS}.",
        f"a) {WORDS}.",
        f"TÜRKİYE BÜYÜK {WORDS}.",
        f"The bridge The bridge of the town is old and {WORDS.lower()}.",
        f"{WORDS} &amp; the mill.",
        f"{WORDS} nearby.Then the rain came.",
        f"{WORDS} with “the mayor.",
        f"{WORDS} (and the mill.",
        f"{WORDS} e il dott.",
        "In 1998 12 13 14 15 16 17 18 people.",
        "Too short a sentence.",
        " ".join(["word"] * 41) + ".",
    ],
)
def test_what_reads_as_no_sentence_is_not_chosen(sentence):
    rest = ["It rained on the hill.", "It rained on the mill."]
    assert make_pair([f"{WORDS}.", *rest], "en", GapSentences()) is not None
    assert make_pair([sentence, *rest], "en", GapSentences()) is None


def test_first_sentence_of_a_document_may_be_left_to_its_headline():
    settings = GapSentences(choose="lead", skip_first=True)
    assert make_pair(PASSAGE, "en", settings, opens=True)[1] == FERRY
    assert make_pair(PASSAGE, "en", settings)[1] == STORM


@pytest.mark.parametrize(
    "sentence",
    ["Dr. Ada Yılmaz came.", "On 15. Mai he came.", "Il dott. Rossi parla.", "J. R. Smith came.", "Prof. Ada came."],
)
def test_an_abbreviation_ends_no_sentence(sentence):
    assert whole_sentences(f"{sentence} It rained.") == [sentence, "It rained."]


def test_a_year_begins_a_sentence():
    assert whole_sentences("It rained. 1995 was dry.") == ["It rained.", "1995 was dry."]


def test_passages_hold_whole_sentences_without_overlap():
    document = " ".join(f"Sentence number {number} has seven words." for number in range(40))
    found = list(passages(document, 50))
    assert all(len(passage) == 8 for passage in found)
    assert " ".join(" ".join(passage) for passage in found) == document
    assert list(passages("One. Two.", 50)) == []
    assert list(passages("One。Two。三です。", 50)) == [["One。", "Two。", "三です。"]]


@pytest.mark.parametrize(
    "wrong",
    [{"sentences": 0}, {"share": 0.6}, {"keep": 1.1}, {"passage_words": 10}, {"shortest": 0}, {"longest": 3}],
)
def test_values_out_of_range_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"gap_sentences\.{name} .* must be"):
        GapSentences(**wrong)

import unicodedata

import numpy as np
import pytest

from datamodules.validation import REASONS, article_key, audit_batch, audit_row, count_problems, mark_duplicates

ARTICLE = "Vapur bu sabah limandan geç kalktı."


@pytest.mark.parametrize(
    ("article", "summary", "reason"),
    [
        (ARTICLE, "Vapur gecikti.", ""),
        ("東京で雪が降った。", "東京で雪。", ""),
        (ARTICLE, ARTICLE, "summary_equal"),
        (ARTICLE, f" {ARTICLE}\n", "summary_equal"),
        (ARTICLE, ARTICLE.upper(), "summary_equal"),
        ("Beklenen oldu… Vapur １０ gün yok.", "Beklenen oldu... Vapur 10 gün\u200fyok.", "summary_equal"),
        (None, "Vapur.", "empty_article"),
        (" \n\t", "Vapur.", "empty_article"),
        (None, None, "empty_article"),
        (ARTICLE, None, "empty_summary"),
        (ARTICLE, "\u00a0 ", "empty_summary"),
        ("\ufeff\u200b", "Vapur.", "empty_article"),
        (ARTICLE, "\u200f\x01", "empty_summary"),
        (ARTICLE, "½ ²", "not_text"),
        ("㌔", "Ⅳ", ""),
        ("\u0635\u0644\u0649 \u0627\u0644\u0644\u0647", "\ufdfa", "summary_longer"),  # one character, four words
        (ARTICLE, 3, "not_text"),
        (["a"], "Vapur.", "not_text"),
        (float("nan"), "Vapur.", "not_text"),
        (ARTICLE, "12.3_4!", "not_text"),
        ("...", "a", "not_text"),
        (ARTICLE, ARTICLE + "!", "summary_longer"),
        ("\0" + ARTICLE, "Vapur.", "not_utf8"),
        (ARTICLE, "Va\0pur.", "not_utf8"),
        ("".join(f"{one}\0" for one in ARTICLE), "Vapur.", "not_utf8"),
        (ARTICLE + "\udcfe", "Vapur.", "not_utf8"),
        (ARTICLE, "Vapur \ud83d.", "not_utf8"),
        ("\0", "\0", "not_utf8"),
        (ARTICLE + "\x01\x1b\x7f\ufeff\U0001f600", "Vapur\x02.", ""),
    ],
)
def test_row_is_judged_by_itself(article, summary, reason):
    assert audit_row(article, summary) == reason
    assert reason in {"", *REASONS}


@pytest.mark.parametrize(
    "variant",
    [
        str.upper,
        str.lower,
        lambda text: f"\n {text.replace(' ', '  ')} ",
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: f"\ufeff{text}\u200f",
        lambda text: text.replace(" ", "\u00a0\u200b"),
    ],
    ids=["upper", "lower", "spacing", "NFD", "no width", "no break"],
)
@pytest.mark.parametrize("text", ["Perché la città è chiusa", "İzmir'de IŞIK ısı: çığ, Ağrı", "Straße"])
def test_key_is_the_same_for_variants_of_an_article(text, variant):
    assert article_key(variant(text)) == article_key(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sustu… Sonra", "Sustu... Sonra"),
        ("１０ kişi", "10 kişi"),
        ("ﬁlm", "film"),
        ("ﺍﻟﺴﻼﻡ", "السلام"),
        ("น้ำ", "น้\u0e4d\u0e32"),
        ("ｶﾞｽ", "ガス"),
        ("x\x01y", "xy"),
    ],
)
def test_key_is_the_same_for_articles_that_no_model_can_tell_apart(one, other):
    assert one != other
    assert article_key(one) == article_key(other)


def test_key_tells_articles_apart_and_fits_int64():
    keys = [article_key(f"article {number}") for number in range(2000)]
    assert len(set(keys)) == 2000
    assert np.array(keys, dtype=np.int64).tolist() == keys
    assert min(keys) < 0 < max(keys)


def rows(*raw):
    return {name: [row.get(name) for row in raw] for name in ("id", "split", "article", "summary", "reading_problem")}


def test_unusable_row_keeps_its_id_alone():
    good = {"id": "7", "article": ARTICLE, "summary": "Vapur."}
    audited = audit_batch(rows(good, {"id": "8", "summary": "x"}), None)
    assert audited == {
        "id": ["7", "8"],
        "article": [ARTICLE, ""],
        "summary": ["Vapur.", ""],
        "problem": ["", "empty_article"],
        "key": [article_key(ARTICLE), 0],
    }


def test_problem_found_while_reading_comes_first_then_the_split():
    raw = rows(
        {"article": ARTICLE, "summary": "Vapur.", "split": "trian"},
        {"split": "trian"},
        {"reading_problem": "unreadable"},
        {"article": ARTICLE, "summary": "Vapur.", "split": "train"},
    )
    assert audit_batch(raw, ["train"])["problem"] == ["unknown_split", "unknown_split", "unreadable", ""]


def mark(keys, problems, judges=()):
    return mark_duplicates(np.array(keys), np.array(problems), np.array(judges, dtype=np.int64)).tolist()


def test_duplicates_keep_the_first():
    assert mark([5, 6, 5, 5, 6], [""] * 5) == ["", "", "duplicate", "duplicate", "duplicate"]


def test_unusable_row_is_neither_original_nor_duplicate():
    assert mark([0, 5, 0, 5], ["unreadable", "not_text", "", ""]) == ["unreadable", "not_text", "", ""]


def test_leaks_are_marked_and_duplicates_of_leaks_are_duplicates():
    assert mark([5, 6, 5], [""] * 3, judges=[5, 9]) == ["leak", "", "duplicate"]


def test_marking_leaves_the_given_problems_alone():
    problems = np.array(["", ""])
    mark_duplicates(np.array([1, 1]), problems, np.array([1]))
    assert problems.tolist() == ["", ""]


def test_counts_follow_the_order_of_the_reasons_and_leave_out_zeros():
    problems = np.array(["leak", "", "unreadable", "leak", "duplicate"])
    assert list(count_problems(problems).items()) == [("unreadable", 1), ("duplicate", 1), ("leak", 2)]

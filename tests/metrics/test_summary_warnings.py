import pytest

from metrics.summary_warnings import WARNINGS, summary_warnings

ARTICLE = (
    "Vapur seferleri fırtına yüzünden durduruldu. Yolcular iskelede saatlerce bekledi ve belediye ek otobüs seferleri "
    "koydu. Seferlerin yarın sabah yeniden başlaması bekleniyor."
)
GOOD = "Fırtına nedeniyle vapurlar çalışmadı, belediye yolcular için otobüs seferleri düzenledi."


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        (GOOD, []),
        ("", ["empty"]),
        ("...", ["empty"]),
        ("<extra_id_0>", ["sentinel", "empty"]),
        (f"<extra_id_0> {GOOD}", ["sentinel"]),
        ("Vapur seferleri durdu çünkü " * 6, ["repetition"]),
        ("The ferries stopped because of the storm and the city put on buses.", ["wrong_language"]),
        ("Vapur seferleri fırtına yüzünden durduruldu.", ["copied"]),
    ],
)
def test_each_sign_is_named(summary, expected):
    assert summary_warnings(ARTICLE, summary, "tr", ended=True) == expected


def test_summary_that_was_cut_off_is_named():
    assert summary_warnings(ARTICLE, GOOD, "tr", ended=False) == ["unended"]
    assert summary_warnings(ARTICLE, "", "tr", ended=False) == ["empty"]


@pytest.mark.parametrize("language", [None, "rn"])
def test_unknown_language_is_never_wrong(language):
    assert summary_warnings(ARTICLE, "The ferries stopped because of the storm today.", language, ended=True) == []


def test_all_signs_are_explained():
    assert {"sentinel", "empty", "repetition", "wrong_language", "copied", "unended"} <= WARNINGS.keys()

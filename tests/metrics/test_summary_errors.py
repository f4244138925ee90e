import pytest

from metrics.summary_errors import ERRORS, summary_errors

ARTICLE = (
    "Kuvvetli fırtına yüzünden İstanbul'da vapur seferleri durduruldu. Belediye 3 ekip gönderdi. Okullar kapandı. "
    "Yarın hava açık olacak ve seferler yeniden başlayacak."
)


def errors(summary: str, ended: bool = True) -> dict[str, str]:
    return summary_errors([ARTICLE], [summary], [ended], "tr")[0]


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("Fırtına nedeniyle vapurlar bugün çalışmadı.", {}),
        (
            "Fırtınada 4 ve 5 ekip ile Ankara'dan yardım geldi.",
            {"hallucinated_number": "4, 5", "hallucinated_name": "Ankara"},
        ),
        ("The storm stopped all of the ferries in the city today.", {"wrong_language": ""}),
        ("vapur seferleri durdu vapur seferleri durdu vapur seferleri durdu", {"repetition": ""}),
        ("...", {"empty": ""}),
        ("<extra_id_0>", {"empty": "", "sentinel": ""}),
        ("Belediye 3 ekip gönderdi.", {"copied_lead": ""}),
        ("Yarın hava açık olacak", {}),  # copied, but not from the lead
    ],
)
def test_errors_are_found_by_category(summary: str, expected: dict[str, str]) -> None:
    assert errors(summary) == expected


def test_a_summary_can_have_several_in_the_order_of_the_categories() -> None:
    found = errors("Belediye 9 ekip Belediye 9 ekip Belediye 9 ekip Belediye 9 ekip", ended=False)
    assert list(found) == ["hallucinated_number", "repetition", "truncated"]
    assert found.keys() <= ERRORS.keys()


def test_one_sentence_for_several_articles_is_an_error() -> None:
    texts = ["Vapurlar durdu", "vapurlar durdu.", "Okullar kapalı"]
    assert summary_errors([ARTICLE] * 3, texts, [True] * 3, "tr") == [{"uniform": ""}, {"uniform": ""}, {}]


def test_each_row_gets_its_own() -> None:
    found = summary_errors([ARTICLE] * 2, ["Vapurlar durdu", ""], [False, True], "tr")
    assert found == [{"truncated": ""}, {"empty": ""}]
    with pytest.raises(ValueError, match="1 articles, 2 summaries and 1 endings"):
        summary_errors([ARTICLE], ["a", "b"], [True], "tr")

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.segmentation import segment


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("今日は東京で雪", ["今日", "は", "東京", "で", "雪"]),
        ("北京今天下雪", ["北京", "今天", "下雪"]),
        ("กรุงเทพมีฝนตก", ["กรุงเทพ", "มี", "ฝน", "ตก"]),
        ("น้ำท่วมทำให้ถนนปิด", ["น้ำ", "ท่วม", "ทำให้", "ถนน", "ปิด"]),
        ("น้\u0e4d\u0e32ท่วมท\u0e4d\u0e32ให้", ["น้\u0e4d\u0e32", "ท่วม", "ท\u0e4d\u0e32ให้"]),  # as the tokenizer spells it
        ("ສະບາຍດີຊາວໂລກ", ["ສະບາຍດີ", "ຊາວໂລກ"]),
        ("ນ້\u0ecd\u0eb2ຖ້ວມ", ["ນ້\u0ecd\u0eb2", "ຖ້ວມ"]),
        ("ភាសាខ្មែរគឺជាភាសា", ["ភាសាខ្មែរ", "គឺជា", "ភាសា"]),
        ("မြန်မာစကား", ["မြန်မာ", "စကား"]),
        ("iPhone15を買う", ["iPhone15", "を", "買う"]),
        ("コンピューター", ["コンピューター"]),
    ],
)
def test_scripts_without_spaces_are_cut_into_words(run: str, expected: list[str]) -> None:
    assert segment(run) == expected


@pytest.mark.parametrize("run", ["İstanbul", "ışık2024", "Москва", "नमस्ते", "한국어", "مرحبا", ""])
def test_words_of_other_scripts_stay_whole(run: str) -> None:
    assert segment(run) == [run]


@given(st.text(alphabet="今日はカーกรุงน้ำ\u0e4d\u0e32မြန်a1𠮷", max_size=12))
def test_words_together_are_the_run(run: str) -> None:
    assert "".join(segment(run)) == run


def test_icu_is_loaded_only_where_it_is_needed() -> None:
    code = "import sys; from metrics.rouge import rouge; rouge(['{0}'], ['{0}'], 'tr'); print('icu4py' in sys.modules)"
    runs = [
        subprocess.run([sys.executable, "-c", code.format(text)], capture_output=True, text=True, check=True)
        for text in ("Ankara", "東京")
    ]
    assert [run.stdout.strip() for run in runs] == ["False", "True"]

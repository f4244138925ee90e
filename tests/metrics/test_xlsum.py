from pathlib import Path

import nltk
import pytest

from metrics.xlsum import check_xlsum, xlsum_stemmer, xlsum_words


@pytest.fixture
def stop_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NLTK's stop words without its download: a folder with two words."""
    folder = tmp_path / "corpora" / "stopwords"
    folder.mkdir(parents=True)
    (folder / "english").write_text("having\nonly\n")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(
        nltk.corpus,
        "stopwords",
        nltk.corpus.LazyCorpusLoader("stopwords", nltk.corpus.WordListCorpusReader, r"(?!\.).*"),
    )
    monkeypatch.setattr(nltk.stem.snowball, "stopwords", nltk.corpus.stopwords)


# The words were obtained from XL-Sum's own code with pyonmttok 1.38.1.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ankara'da Covid19: 5€, İstanbul'un 3²", ["ankara", "da", "covid", "19", "5", "€", "i̇stanbul", "un", "3²"]),
        ("日本2024年 iPhone15を買う", ["日", "本", "2024", "年", "iphone", "15", "を", "買", "う"]),
        ("नमस्ते दुनिया। क्\u200dष", ["नमस्ते", "दुनिया", "क्ष"]),
        ("Москва, 2024-й год — 3,5%", ["москва", "2024", "й", "год", "3", "5"]),
        ("مرحبا بالعالم؟ ١٢٣", ["مرحبا", "بالعالم", "١٢٣"]),
        ("❤️ 1️⃣ a+b=c ~10°C @user #tag", ["❤️", "1️⃣", "a", "b", "c", "10", "°", "c", "user", "tag"]),
        ("tab\tnew\nline\xa0nbsp zero\u200bwidth", ["tab", "new", "line", "nbsp", "zerowidth"]),
        ("ISLAK Işık", ["islak", "işık"]),
        ("", []),
    ],
)
def test_words_are_those_of_the_published_code(text: str, expected: list[str]) -> None:
    assert xlsum_words(text) == expected


# The stems were obtained from the stemmer that XL-Sum names, TurkishStemmer 1.3; Snowball gives others.
@pytest.mark.parametrize(
    ("word", "stem"),
    [("kitaplarımızdan", "kitap"), ("işsizliği", "işsizlik"), ("gidiyorum", "gidiyor"), ("evi", "evi")],
)
def test_turkish_words_of_more_than_three_letters_are_stemmed(word: str, stem: str) -> None:
    assert xlsum_stemmer("tr")(word) == stem


def test_stop_words_stay_whole(stop_words: None) -> None:
    stem = xlsum_stemmer("en")
    assert [stem(word) for word in ("running", "having", "only", "lonely", "its")] == [
        "run",
        "having",
        "only",
        "lone",
        "its",
    ]


def test_languages_that_the_published_code_does_not_stem_stay_whole() -> None:
    assert xlsum_stemmer("az")("kitablarımızdan") == "kitablarımızdan"


def test_missing_stop_words_are_refused_with_the_command_that_gets_them(
    monkeypatch: pytest.MonkeyPatch, stop_words: None
) -> None:
    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(ValueError, match=r"stop words of spanish unstemmed: python -m nltk\.downloader stopwords"):
        xlsum_stemmer("es")


@pytest.mark.parametrize("language", ["zh", "zh-cn", "ja", "th", "my"])
@pytest.mark.parametrize("stemming", [False, True])
def test_languages_with_another_segmenter_are_refused(language: str, stemming: bool) -> None:
    with pytest.raises(ValueError, match=rf"own segmenter for '{language}'; use 'unicode'"):
        check_xlsum(language, stemming)


@pytest.mark.parametrize("language", ["hi", "bn"])
def test_languages_with_another_stemmer_are_refused_only_with_stemming(language: str) -> None:
    check_xlsum(language, stemming=False)
    with pytest.raises(ValueError, match=rf"own stemmer for '{language}'; switch stemming off"):
        check_xlsum(language, stemming=True)

import pytest
import snowballstemmer

from metrics.stemming import _ALGORITHMS, snowball_stemmer


@pytest.mark.parametrize(
    ("language", "word", "stem"),
    [
        ("tr", "kitaplarımızdan", "kitap"),
        ("tr", "ışığı", "ışık"),
        ("en", "running", "run"),
        ("it", "università", "univers"),
        ("ru", "городами", "город"),
        ("nb", "havnedistrikter", "havnedistrikt"),
        ("pt-br", "notícias", "notíc"),
    ],
)
def test_words_are_stemmed_by_language(language: str, word: str, stem: str) -> None:
    assert snowball_stemmer(language)(word) == stem


def test_every_algorithm_exists_and_none_is_forgotten() -> None:
    assert set(_ALGORITHMS.values()) == set(snowballstemmer.algorithms()) - {"porter", "dutch_porter"}


@pytest.mark.parametrize("language", ["az", "zh", "xx"])
def test_languages_without_a_stemmer_are_refused_with_those_that_have_one(language: str) -> None:
    with pytest.raises(ValueError, match=rf"no stemmer for '{language}', only for ar, .*tr.*; switch stemming off"):
        snowball_stemmer(language)

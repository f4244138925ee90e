import logging
from dataclasses import replace

import command_line
import pytest

from datamodules import known_words
from datamodules.bilingual import BilingualDataModule
from metrics.known_words import shipped_words


def test_words_of_own_texts_and_of_training_rows_are_known_beside_the_shipped(make_data, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("Işıldak\nQwrtz 12", encoding="utf-8")
    data = make_data(known_texts={"tr": [str(own)]})
    assert "harbour" not in shipped_words("it")
    for language, further in (("tr", {"ışıldak", "qwrtz"}), ("it", set())):
        known = data.known_words(language)
        assert known >= shipped_words(language) | {"harbour", "ferry", "nobody"} | further
        assert data.known_words(language) is known  # gathered once
    assert "qwrtz" not in data.known_words("it")


def test_words_of_other_splits_and_languages_are_not_known(make_data, sources):
    for source, word in zip(sources, ("Zorblatt", "Friilmaz"), strict=True):
        with open(source.path, "a", encoding="utf-8") as file:
            file.write(f'{{"id": "a", "split": "test", "article": "{word}test is a word.", "summary": "A word."}}\n')
            file.write(f'{{"id": "b", "split": "train", "article": "{word} is a word.", "summary": "{word}lar."}}\n')
    known = make_data().known_words("tr")
    assert {"zorblatt", "zorblattlar"} <= known
    assert known.isdisjoint({"zorblatttest", "friilmaz"})


def test_of_many_rows_some_are_read_from_all_over(make_data, monkeypatch):
    monkeypatch.setattr(known_words, "MOST_ROWS", 3)
    read = []
    monkeypatch.setattr(known_words, "words_of", lambda texts, language: read.extend(texts) or frozenset())
    make_data().known_words("it")
    numbers = [int(text.split()[1].rstrip(":")) for text in read]
    assert numbers == [100, 112, 125] * 2  # articles, then summaries; 26 rows begin at 100


def test_a_language_with_too_few_words_is_named_once(make_data, sources, caplog):

    data = make_data(sources=[replace(sources[0], language="de")])
    with caplog.at_level(logging.INFO):
        assert data.known_words("de") and data.known_words("de")
    (message,) = [record.getMessage() for record in caplog.records if "invented_words" in record.getMessage()]
    assert message.startswith("invented_words is not measured in de: 1") and "data.known_texts.de" in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), (b"kar\n" * 5000 + b"\xff\xfe", "it is no plain UTF-8 text")],
    ids=["missing", "binary"],
)
def test_a_text_that_cannot_be_read_is_refused_before_anything_is_prepared(sources, tmp_path, content, reason):
    path = tmp_path / "texts.txt"
    if content is not None:
        path.write_bytes(content)
    data = BilingualDataModule(sources, "no/such/tokenizer", known_texts={"it": [str(path)]})
    with pytest.raises(ValueError, match=f"data.known_texts.it names {path}, which cannot be read: {reason}"):
        data.prepare_data()


def test_a_run_asks_its_data_module(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(BilingualDataModule, "known_words", lambda self, code: asked.append(code) or frozenset())
    logged = command_line.run("validate", tmp_path, callbacks=()).trainer.callback_metrics
    assert asked == ["en", "tr"]
    assert "val/uniform/tr" in logged and not any("invented_words" in name for name in logged)

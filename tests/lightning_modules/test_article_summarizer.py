"""The stream around generation, with a generator that repeats the first words that it reads."""

from dataclasses import replace

import pytest
from torch import nn

from datamodules.articles import Article
from lightning_modules.article_summarizer import ArticleSummarizer, article_hash
from lightning_modules.generation import Generation
from lightning_modules.text_generation import GeneratedText, TorchGenerator
from lightning_modules.trained_model import TrainedModel

TURKISH = "Vapur seferleri şiddetli fırtına yüzünden bütün gün durduruldu. Yolcular iskelede bekledi. "
GERMAN = "Die Fähre blieb wegen des Sturms den ganzen Tag im Hafen, und die Fahrgäste warteten am Ufer. "


class FirstWords:
    """Summarises by the first three words; remembers its batches."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.batches: list[list[list[int]]] = []

    def __call__(self, encoded):
        self.batches.append([list(ids) for ids in encoded])
        texts = self.tokenizer.batch_decode(self.batches[-1], skip_special_tokens=True)
        return [GeneratedText(" ".join(text.split()[:3]), "endless" not in text) for text in texts]


@pytest.fixture
def trained(tiny_tokenizer) -> TrainedModel:
    return TrainedModel(nn.Linear(2, 2), tiny_tokenizer, Generation(), "", 32, ["tr", "en"])


@pytest.fixture
def generator(tiny_tokenizer) -> FirstWords:
    return FirstWords(tiny_tokenizer)


def numbered(count):
    return [Article(str(number), f"Number {number} is here. " + "word " * (7 * number % 23)) for number in range(count)]


def test_results_come_in_input_order_from_batches_sorted_by_length(trained, generator):
    articles = numbered(11)
    articles.insert(4, Article("bad", problem="unreadable", detail="why"))
    results = list(ArticleSummarizer(trained, generator, batch_size=3).summarize(articles))
    assert [result.id for result in results] == [article.id for article in articles]
    assert [result.summary for result in results if not result.problem] == [f"Number {n} is" for n in range(11)]
    assert (results[4].summary, results[4].problem, results[4].detail) == (None, "unreadable", "why")
    lengths = [len(ids) for batch in generator.batches for ids in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert [len(batch) for batch in generator.batches] == [3, 3, 3, 2]


def test_first_results_come_before_the_last_articles_are_read(trained, generator):
    read = []
    stream = (read.append(article.id) or article for article in numbered(50))
    next(ArticleSummarizer(trained, generator, batch_size=2).summarize(stream))
    assert len(read) == 8


def test_long_articles_are_cut_or_chunked_and_say_so(trained, generator):
    articles = [Article("short", "Kısa haber."), Article("long", TURKISH * 4)]
    short, cut = ArticleSummarizer(trained, generator, long="truncate").summarize(articles)
    assert (short.truncated, short.chunks, cut.truncated, cut.chunks) == (False, 1, True, 1)
    assert cut.tokens > 32
    _, chunked = ArticleSummarizer(trained, generator, long="chunk").summarize(articles)
    assert (chunked.truncated, chunked.chunks) == (False, len(generator.batches[-1]) - 1)
    assert chunked.chunks > 1
    assert len(chunked.summary.split()) == 3 * chunked.chunks


def test_language_is_the_articles_own_or_identified(trained, generator):
    articles = [Article("a", TURKISH), Article("b", TURKISH, language="en"), Article("c", "Kısa.")]
    languages = [result.language for result in ArticleSummarizer(trained, generator).summarize(articles)]
    assert languages == ["tr", "en", None]


def test_language_that_was_not_trained_is_named(trained, generator):
    articles = [Article("a", GERMAN), Article("b", TURKISH, language="tr-TR")]
    german, turkish = ArticleSummarizer(trained, generator).summarize(articles)
    assert german.language == "de"
    assert "untrained_language" in german.warnings
    assert "untrained_language" not in turkish.warnings
    (unknown,) = ArticleSummarizer(replace(trained, languages=[]), generator).summarize(articles[:1])
    assert "untrained_language" not in unknown.warnings


def test_prefix_of_the_language_stands_before_each_input(trained, generator, tiny_tokenizer):
    trained = replace(trained, source_prefix="özet: ", prefixes={"en": "summary: "})
    articles = [Article("a", TURKISH * 2, "tr"), Article("b", "The ferry stopped.", "en")]
    list(ArticleSummarizer(trained, generator, long="chunk", batch_size=9).summarize(articles))
    (inputs,) = (tiny_tokenizer.batch_decode(batch) for batch in generator.batches)
    assert [text.split()[0] for text in inputs] == ["özet:"] * (len(inputs) - 1) + ["summary:"]
    assert len(inputs) > 2


def test_summary_that_did_not_end_is_named_whichever_chunk_it_was(trained, generator):
    (result,) = ArticleSummarizer(trained, generator, long="chunk").summarize([Article("a", TURKISH * 2 + "endless.")])
    assert "unended" in result.warnings


def test_settings_name_the_model_and_how_it_is_used(trained, generator):
    def name(model=trained, **settings):
        return ArticleSummarizer(model, generator, **settings).settings

    names = {
        name(),
        name(long="chunk"),
        name(replace(trained, generation=Generation(num_beams=2))),
        name(replace(trained, source_prefix="x")),
        name(replace(trained, max_source_tokens=33)),
        name(replace(trained, model=nn.Linear(2, 2))),
    }
    assert len(names) == 6
    assert name() == name(batch_size=3)


def test_hash_is_of_text_and_language():
    hashes = {article_hash(Article(*fields)) for fields in [("a", "x"), ("b", "x"), ("a", "y"), ("a", "x", "tr")]}
    assert len(hashes) == 3


def test_batch_size_below_one_is_refused(trained, generator):
    with pytest.raises(ValueError, match="--batch-size 0 must be at least 1"):
        ArticleSummarizer(trained, generator, batch_size=0)


def test_padding_does_not_change_a_summary(loaded, tiny_tokenizer):
    model = TrainedModel(loaded().eval(), tiny_tokenizer, Generation(max_new_tokens=6), "", 32, [])
    generate = TorchGenerator(model)
    short, long = ([*tiny_tokenizer(text, add_special_tokens=False).input_ids, 1] for text in ("Vapur.", TURKISH))
    assert generate([short, long]) == [*generate([short]), *generate([long])]


def test_tokenizer_of_a_larger_vocabulary_is_refused(loaded, tiny_tokenizer):
    model = loaded()
    model.lm_head = nn.Linear(8, 100)
    with pytest.raises(ValueError, match="has 8000 pieces, but the model's vocabulary only 100 rows"):
        TorchGenerator(TrainedModel(model, tiny_tokenizer, Generation(), "", 32, []))

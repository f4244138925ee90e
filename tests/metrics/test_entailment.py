from pathlib import Path

import pytest
import torch
from small_encoders import SHAPE, save_bert
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
)

from metrics.entailment import EntailmentModel, EntailmentScorer

ARTICLE = "Vapur seferleri durdu. Okullar kapandı. Yarın hava açık olacak."
SUMMARY = "Seferler durdu. Okullar açık."
LABELS = {0: "entailment", 1: "neutral", 2: "not_entailment"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("nli") / "model"
    save_bert(path, [ARTICLE, SUMMARY])
    torch.manual_seed(0)
    config = BertConfig(
        max_position_embeddings=64, id2label=LABELS, label2id={v: k for k, v in LABELS.items()}, **SHAPE
    )
    BertForSequenceClassification(config).save_pretrained(path)
    return str(path)


def scorer(folder: str, **settings) -> EntailmentScorer:
    return EntailmentScorer(EntailmentModel(folder, languages=("tr",)), **settings)


def test_a_summary_is_as_faithful_as_its_sentences_best_premises(folder: str) -> None:
    both, first, second = scorer(folder, batch_size=4).score(
        [ARTICLE] * 3, [SUMMARY, "Seferler durdu.", "Okullar açık."], "tr"
    )
    assert both == pytest.approx((first + second) / 2, abs=1e-6)
    alone = [scorer(folder).score([premise], ["Seferler durdu."], "tr")[0] for premise in ARTICLE.split(". ")]
    assert len({round(one, 6) for one in alone}) == 3  # else the greatest would show nothing
    parts = ["Vapur seferleri durdu.", "Okullar kapandı.", "Yarın hava açık olacak."]
    assert first == pytest.approx(max(scorer(folder).score([p], ["Seferler durdu."], "tr")[0] for p in parts), abs=1e-6)


def test_it_is_the_probability_of_the_label_of_entailment(folder: str) -> None:
    names = {name: EntailmentModel(folder, ("tr",), label=name) for name in LABELS.values()}
    parts = [EntailmentScorer(one).score(["Okullar kapandı."], ["Seferler durdu."], "tr")[0] for one in names.values()]
    assert sum(parts) == pytest.approx(1.0, abs=1e-6)
    assert scorer(folder).score(["Okullar kapandı."], ["Seferler durdu."], "tr")[0] == pytest.approx(parts[0], abs=1e-6)


def test_batches_change_nothing_and_chunks_do(folder: str) -> None:
    one = scorer(folder, batch_size=1).score([ARTICLE], [SUMMARY], "tr")
    assert scorer(folder, batch_size=64).score([ARTICLE], [SUMMARY], "tr") == pytest.approx(one, abs=1e-6)
    assert scorer(folder, chunk_sentences=3).score([ARTICLE], [SUMMARY], "tr") != pytest.approx(one, abs=1e-6)


def test_empty_and_endless_texts_have_a_score(folder: str) -> None:
    scores = scorer(folder).score([ARTICLE, "", "vapur " * 500], ["", "Vapur", "vapur " * 500], "tr")
    assert scores[:2] == [0.0, 0.0] and 0 < scores[2] < 1


def test_a_language_that_the_model_does_not_know_is_refused(folder: str) -> None:
    with pytest.raises(ValueError, match="is for tr, not 'it': its scores would mean nothing"):
        scorer(folder).score(["Piove."], ["Piove."], "it")
    with pytest.raises(ValueError, match="Name the languages"):
        EntailmentModel(folder, languages=())


def test_what_cannot_judge_is_refused(folder: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has the labels entailment, neutral, not_entailment"):
        EntailmentScorer(EntailmentModel(folder, ("tr",), label="yes"))
    with pytest.raises(OSError, match="on this machine; let it be downloaded, or give its folder"):
        EntailmentScorer(EntailmentModel(str(tmp_path / "nowhere"), ("tr",)))
    with pytest.raises(ValueError, match="batch_size 0 must be at least 1"):
        scorer(folder, batch_size=0)


@pytest.mark.parametrize("download", [False, True])
def test_the_hub_is_asked_only_if_it_may_be(folder: str, monkeypatch: pytest.MonkeyPatch, download: bool) -> None:
    asked = []
    for loader in (AutoConfig, AutoTokenizer, AutoModelForSequenceClassification):
        load = loader.from_pretrained

        def recording(model: str, load=load, **settings):
            asked.append(settings["local_files_only"])
            return load(model, **settings)

        monkeypatch.setattr(loader, "from_pretrained", recording)
    EntailmentScorer(EntailmentModel(folder, ("tr",), download=download))
    assert len(asked) >= 3 and set(asked) == {not download}

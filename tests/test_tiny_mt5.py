"""The model that ships with the project summarises, and learns in 4 bits as mT5 does."""

import json
from pathlib import Path

import lightning as L
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from datamodules.articles import Article
from datamodules.bilingual import BilingualDataModule
from datamodules.sources import Columns, Limits, SummarizationSource
from datamodules.tokenizer import load_tokenizer
from lightning_modules.acceleration import Acceleration
from lightning_modules.adaptation import Lora
from lightning_modules.article_summarizer import ArticleSummarizer
from lightning_modules.generation import Generation
from lightning_modules.optimization import Schedule
from lightning_modules.seq2seq import Seq2SeqModule
from lightning_modules.trained_model import load_trained
from metrics.words import words

ROOT = Path(__file__).parent.parent
TINY = str(ROOT / "assets" / "tiny-mt5")
STORIES = {code: str(ROOT / f"assets/quickstart/{code}.jsonl") for code in ("tr", "en", "it")}


@pytest.fixture(scope="module")
def pretrained():
    return AutoModelForSeq2SeqLM.from_pretrained(TINY, dtype=torch.float32).eval(), load_tokenizer(TINY)


@pytest.mark.parametrize("language", STORIES)
def test_from_the_clone_on_it_writes_sentences_about_stories_that_it_has_never_seen(language):
    articles = [json.loads(line)["article"] for line in Path(STORIES[language]).read_text("utf-8").splitlines()[:3]]
    summarizer = ArticleSummarizer(load_trained(Path(TINY), torch.device("cpu")))
    summaries = [one.summary for one in summarizer.summarize(Article(text, text, language) for text in articles)]
    for article, summary in zip(articles, summaries, strict=True):
        said, known = words(summary), set(words(article))
        assert 5 <= len(said) <= 60
        assert sum(word in known for word in said) / len(said) > 0.8
        assert summary.endswith((".", "!", "?", "”", "»"))


def test_its_head_is_its_own(pretrained):
    model, _ = pretrained
    assert not torch.equal(model.get_output_embeddings().weight, model.get_input_embeddings().weight)


def test_in_4_bits_it_learns_the_stories(tmp_path):
    L.seed_everything(0, verbose=False)
    columns, limits = Columns(id="id", split="split"), Limits(train=8, validation=2, test=1)
    sources = [SummarizationSource(code, path, columns=columns, limits=limits) for code, path in STORIES.items()]
    data = BilingualDataModule(
        sources, tokenizer=TINY, max_source_tokens=64, max_target_tokens=48, batch_size=8, num_workers=0, num_proc=1
    )
    model = Seq2SeqModule(
        TINY,
        adaptation="qlora",
        lora=Lora(dropout=0.0),
        generation=Generation(max_new_tokens=24),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=3e-3),
        schedule=Schedule(name="constant", warmup_steps=0),
        acceleration=Acceleration(compile=False),
    )
    trainer = L.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        precision="32-true",
        max_epochs=4,
        check_val_every_n_epoch=4,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    scores = {key: float(value) for key, value in trainer.callback_metrics.items()}
    assert model.parameter_count.four_bit > 5_000_000
    assert scores["val/loss"] < 5.5  # 9.0 is a guess among all pieces
    assert scores["val/sentinel_start"] == 0
    assert scores["val/rouge1"] > 3

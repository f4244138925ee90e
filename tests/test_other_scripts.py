"""Stories in scripts whose letters the tokenizer spells otherwise, as a model that knows them by heart writes them."""

import json

import lightning as L
import pytest
import torch

from datamodules.bilingual import BilingualDataModule
from datamodules.sources import Columns, Splits, SummarizationSource
from lightning_modules.acceleration import Acceleration
from lightning_modules.evaluation import EvaluatedSummary, Evaluation, Scoring
from lightning_modules.generation import Generation
from lightning_modules.optimization import Schedule
from lightning_modules.seq2seq import Seq2SeqModule

# By id: article and summary. Every first summary is the beginning of its article, as a reader sees it.
STORIES = {
    "th-1": ("น้ำท่วมทำให้ถนนปิด\nคนในเมืองใช้เรือแทนรถ ๑๒ วัน", "น้ำท่วมทำให้ถนนปิด"),
    "th-2": ("ครูนำเด็กไปดูทำนา\nเด็กกลับบ้านค่ำ", "เด็กไปดูการทำนากับครู"),
    "ar-1": ("ﺃﻏﻠﻘﺖ ﺍﻟﻌﺎﺻﻔﺔ ﺍﻟﻤﻴﻨﺎﺀ. عاد الصيادون إلى البيوت.", "ﺃﻏﻠﻘﺖ ﺍﻟﻌﺎﺻﻔﺔ ﺍﻟﻤﻴﻨﺎﺀ."),
    "ar-2": ("فتحت المدرسة بابها\u200f… ثم جاء المعلم.", "المعلم في المدرسة؟ نعم…"),
    "ja-1": ("市は１０億円で橋を直す。工事は春に始まる。", "市は１０億円で橋を直す。"),
    "ja-2": ("ﾊﾞｽは朝に来た！客は５人。", "朝のﾊﾞｽに客が５人。"),
}


@pytest.fixture
def stories(tmp_path):
    def make(split: str) -> BilingualDataModule:
        sources = []
        for language in ("th", "ar", "ja"):
            rows = [
                {"id": name, "article": article, "summary": summary}
                for name, (article, summary) in STORIES.items()
                if name.startswith(language)
            ]
            path = tmp_path / f"{language}.jsonl"
            path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
            splits = Splits(**({"train": None, "validation": None, "test": None} | {split: "train"}))
            sources.append(SummarizationSource(language, str(path), columns=Columns(id="id"), splits=splits))
        limits = {"max_source_tokens": 256, "max_target_tokens": 128, "batch_size": 6, "num_workers": 0}
        data = BilingualDataModule(sources, tokenizer="assets/tiny-mt5", **limits)
        data.prepare_data()
        data.setup("fit" if split == "train" else "test")
        return data

    return make


@pytest.fixture
def one_thread():
    """More cost such a small model several times the time where cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def judge(summaries: list[EvaluatedSummary]) -> None:
    evaluation = Evaluation(summaries)
    evaluation.score(Scoring(), whole=True)
    scores = {one.id: one.scores for one in summaries}
    assert scores.keys() == STORIES.keys()
    for name, values in scores.items():
        copied = name.endswith("1")
        assert [values[key] for key in ("rouge1", "rouge2", "rougeL", "rougeLsum")] == [100] * 4, name
        assert (values["lead1_rouge1"] == 100) == copied, name
        assert values["copied"] == copied and (values["novel_unigrams"] == 0 or not copied), name
        assert values["length_ratio"] == 1 and not values["empty"] and not values["uniform"], name
    means = evaluation.metrics()
    assert {means[f"wrong_language/{code}"] for code in ("th", "ar", "ja")} == {0}


def test_what_the_tokenizer_makes_of_a_reference_scores_in_full(stories):
    data = stories("test")
    texts = [data.tokenizer.decode(row["labels"][:-1]) for row in data.rows("test")]
    judge(
        [
            EvaluatedSummary(row["id"], row["language"], row["article"], row["summary"], text, True, False)
            for row, text in zip(data.rows("test"), texts, strict=True)
        ]
    )


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_stories_learnt_by_heart_score_in_full(stories, tmp_path):
    L.seed_everything(0, verbose=False)
    model = Seq2SeqModule(
        "assets/tiny-mt5",
        adaptation="full",
        generation=Generation(max_new_tokens=128),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=2e-3),
        schedule=Schedule(name="linear", warmup_steps=10),
        acceleration=Acceleration(compile=False),
    )
    trainer = L.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        precision="32-true",
        max_epochs=240,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, stories("train"))
    model.eval()
    with torch.no_grad():
        judge([one for batch in stories("test").test_dataloader() for one in model.summarize(batch)])

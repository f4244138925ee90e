"""The web page of `summarize.py --serve`: paste an article, see its summary, where it comes from and what is wrong."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace
from typing import get_args

try:
    import gradio as gr
    from gradio import queueing
    from starlette.middleware import Middleware
except ModuleNotFoundError as error:
    raise ValueError("The page needs gradio, an extra: pip install -e '.[web]'") from error

import torch

from datamodules.articles import PROBLEMS, Article, ArticleReader
from datamodules.chunks import LongArticles
from lightning_modules.article_summarizer import ArticleSummarizer, ArticleSummary
from lightning_modules.generation import Generation
from lightning_modules.trained_model import TrainedModel
from metrics.source_sentences import SourceSentence, source_sentences
from metrics.summary_warnings import WARNINGS
from page_gate import PageGate, print_error
from reports.highlighted_sentences import highlight_sentences
from reports.invented_words import describe_invented_words

LOOPBACK = "127.0.0.1"
MAX_CHARACTERS = 50_000
MAX_WAITING = 8
IDENTIFY = "identify"
# Gradio's own theme fetches its fonts from Google.
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
Answer = tuple[str, str, str]


def serve(load: Callable[[], TrainedModel], port: int) -> None:
    """Shows the page to this machine only, until the process is interrupted.

    Args:
        load: Loads the model.
        port: TCP port, 1 to 65535.

    Raises:
        ValueError: If the port is out of range or taken.
    """
    _require_free(port)
    # gradio prints a traceback for whatever its page refuses, such as a number beyond a slider's end.
    queueing.traceback = SimpleNamespace(print_exc=lambda: print_error(sys.exception()))  # type: ignore[assignment]
    page = build_page(load())
    page.queue(max_size=MAX_WAITING, default_concurrency_limit=1, api_open=False)
    page.launch(
        server_name=LOOPBACK,
        server_port=port,
        share=False,
        quiet=True,
        ssr_mode=False,
        max_file_size="1mb",
        footer_links=[],
        theme=THEME,
        run_history=False,
        enable_monitoring=False,
        app_kwargs={"middleware": [Middleware(PageGate)]},
        prevent_thread_lock=True,
    )
    print(f"http://{LOOPBACK}:{port} shows the page to this machine only. Ctrl-C ends it.", flush=True)
    page.block_thread()


def build_page(trained: TrainedModel) -> gr.Blocks:
    """Lays the page out."""
    generation = trained.generation
    with gr.Blocks(title="ozet", analytics_enabled=False) as page:
        gr.Markdown("# Summarise an article")
        with gr.Row():
            with gr.Column():
                article = gr.Textbox(
                    label=f"Article (at most {MAX_CHARACTERS:,} characters)", lines=14, max_lines=14, elem_id="article"
                )
                with gr.Row():
                    language = gr.Dropdown([IDENTIFY, *trained.languages], value=IDENTIFY, label="Language")
                    longest = max(256, generation.max_new_tokens)
                    tokens = gr.Slider(2, longest, generation.max_new_tokens, step=1, label="Tokens")
                    beams = gr.Slider(1, max(8, generation.num_beams), generation.num_beams, step=1, label="Beams")
                long = gr.Radio(
                    [*get_args(LongArticles)],
                    value="truncate",
                    label=f"Articles longer than the model's {trained.max_source_tokens} tokens",
                )
                button = gr.Button("Summarise", variant="primary", elem_id="summarise")
            with gr.Column():
                summary = gr.Textbox(label="Summary", lines=4, buttons=["copy"], elem_id="summary")
                notes = gr.Markdown(elem_id="notes")
                sources = gr.HTML(elem_id="sources")
        inputs = [article, language, long, tokens, beams]
        button.click(answerer(trained), inputs, [summary, notes, sources], api_visibility="private")
    return page


def answerer(trained: TrainedModel) -> Callable[[str, str, LongArticles, int, int], Answer]:
    """The function behind the button."""
    reader = ArticleReader(max_characters=MAX_CHARACTERS)

    @lru_cache(maxsize=1)  # a summariser may hold a captured CUDA graph
    def summarizer(generation: Generation, long: LongArticles) -> ArticleSummarizer:
        return ArticleSummarizer(replace(trained, generation=generation), long=long, batch_size=4)

    def answer(text: str, language: str, long: LongArticles, tokens: int, beams: int) -> Answer:
        article = reader.judged(Article("page", text or "", None if language == IDENTIFY else language))
        if article.problem:
            raise gr.Error(f"Not summarised: {article.detail or PROBLEMS[article.problem]}.", print_exception=False)
        generation = replace(trained.generation, max_new_tokens=int(tokens), num_beams=int(beams))
        try:
            (result,) = summarizer(generation, long).summarize([article])
        except torch.OutOfMemoryError as error:
            raise gr.Error("The GPU's memory is too small; choose fewer beams or tokens.") from error
        sentences = source_sentences(text, result.summary or "", result.language)
        return result.summary or "", describe(result, sentences, text), highlight_sentences(text, sentences)

    return answer


def describe(result: ArticleSummary, sentences: list[SourceSentence], article: str) -> str:
    """What to know of a summary, in Markdown."""
    lines = [f"⚠️ **{name}**: the summary {WARNINGS[name]}." for name in result.warnings]
    if result.truncated:
        lines.append(f"✂️ The article has {result.tokens:,} tokens; its end was not read. *chunk* reads all of it.")
    if result.chunks > 1:
        lines.append(f"The article has {result.tokens:,} tokens and was read in {result.chunks} chunks.")
    lines.append(f"Language: {result.language or 'unknown'}.")
    if result.summary:
        lines += describe_invented_words(article, result.summary, result.language)
        new = max(0.0, 1 - sum(sentence.share for sentence in sentences))
        lines.append(
            f"{new:.0%} of the summary's words stand nowhere in the article. The stronger a sentence's colour, the "
            "more of the others it has:"
        )
    return "\n\n".join(lines)


def _require_free(port: int) -> None:
    if not 1 <= port <= 65535:
        raise ValueError(f"--port {port} must be between 1 and 65535.")
    with socket.socket() as probe:
        if probe.connect_ex((LOOPBACK, port)) == 0:
            raise ValueError(f"--port {port} is taken by another program; name another.")

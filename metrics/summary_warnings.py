"""What looks wrong with one summary: the collapse figures, judged without a reference."""

from __future__ import annotations

from metrics.collapse import collapse

# A human summary repeats below 2% of its 3-grams; with the monitor's own bound of 20% a reader sees the circles.
MAX_REPETITION = 0.2
WARNINGS = {
    "sentinel": "contains <extra_id_N>: the model has not learned to summarise, or its adapter was merged into 4 bits",
    "empty": "has no words",
    "repetition": "repeats itself",
    "wrong_language": "is in another language than its article",
    "copied": "stands word for word in its article",
    "unended": "was cut off at max_new_tokens before it ended",
    "untrained_language": "is of an article in a language that the model was not trained on",
}


def summary_warnings(article: str, summary: str, language: str | None, ended: bool) -> list[str]:
    """Judges one summary as `CollapseMonitor` judges many.

    Args:
        article: What was summarised.
        summary: What the model wrote.
        language: Code of the article's language; None leaves out `wrong_language`.
        ended: Whether the model ended it by `</s>`.

    Returns:
        Keys of `WARNINGS`, in their order. An empty summary is nothing else.
    """
    # Lengths are not judged: without a reference nobody knows how long a summary should be.
    figures = {name: values[0] for name, values in collapse([article], [summary], [summary], language or "und").items()}
    if figures["empty"]:
        return ["sentinel", "empty"] if figures["sentinel"] else ["empty"]
    figures["repetition"] = float(figures["repetition"] > MAX_REPETITION)
    figures["unended"] = float(not ended)
    return [name for name in WARNINGS if figures.get(name)]

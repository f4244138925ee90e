"""What each sign of collapse means, and what to try: the words of `CollapseMonitor`.

`{value}` is the figure, `{rest}` one minus it, `{language}` the language's code.
"""

_PRETRAINING_TASK = (
    "the training has not moved the model off its pretraining task. Raise the learning rate (LoRA on all linear layers "
    "gets there at 1e-3 within some dozen steps; on q and v alone 5.6e-5 may take hundreds), adapt all linear layers, "
    "or train longer. If it was cured before the adapter was merged: never merge into 4-bit weights, which rounds the "
    "adapter away."
)
# By figure, and by whether it is too high or too low.
ADVICE = {
    ("sentinel_start", "high"): "{value:.0%} of the {language} summaries begin with <extra_id_N>: " + _PRETRAINING_TASK,
    ("sentinel", "high"): "{value:.0%} of the {language} summaries contain <extra_id_N>: " + _PRETRAINING_TASK,
    ("ended", "low"): (
        "{rest:.0%} of the {language} summaries do not end by themselves but at generation.max_new_tokens. If their "
        "length_ratio is near 1, raise generation.max_new_tokens above data.max_target_tokens. If they repeat "
        "themselves, set generation.no_repeat_ngram_size to 3. Else the model has not learned </s> yet: train longer "
        "or raise the learning rate."
    ),
    ("empty", "high"): (
        "{value:.0%} of the {language} summaries have no words. If val/loss rises or is not finite, the training has "
        "diverged: lower the learning rate or warm up longer. Else set generation.suppress_sentinels to false to see "
        "whether the model still prints <extra_id_N>, and look at this language's references in the data report."
    ),
    ("repetition", "high"): (
        "{value:.0%} of the 3-grams in the {language} summaries repeat an earlier one: the model goes in circles. "
        "Train longer or raise the learning rate; until then "
        "generation.no_repeat_ngram_size 3 or generation.num_beams 4 hides it."
    ),
    ("length_ratio", "low"): (
        "The {language} summaries have {value:.2f} times the words of their references. Check that "
        "generation.max_new_tokens is above data.max_target_tokens; with beams, raise generation.length_penalty. Else "
        "train longer."
    ),
    ("length_ratio", "high"): (
        "The {language} summaries have {value:.2f} times the words of their references: they do not end in time. Train "
        "longer or raise the learning rate; generation.max_new_tokens caps them."
    ),
    ("wrong_language", "high"): (
        "{value:.0%} of the {language} summaries are in another language. Check that the references of the source are "
        "really {language}. If it is a small part of the data, raise data.temperature to see it more often. If they "
        "are in a language that is not trained at all, lower the learning rate or train adapters instead of all "
        "parameters."
    ),
    ("copied", "high"): (
        "{value:.0%} of the {language} summaries stand word for word in their article: the model copies instead of "
        "summarising. Compare its ROUGE with lead_rougeL; if it is no better, train longer or raise the learning rate, "
        "and check whether the references themselves are copied."
    ),
    ("uniform", "high"): (
        "{value:.0%} of the {language} summaries are the same, word for word, as another article's: the model hardly "
        "reads its article. ROUGE can hide that, since one sentence fits many references a little. If the base is "
        "pretrained, train longer or raise the learning rate; from random weights a few thousand pairs do not suffice."
    ),
    ("invented_words", "high"): (
        "{value:.0%} of the words in the {language} summaries stand neither in their article nor among the known "
        "words: the model writes nonsense, which ROUGE does not show. Too high a learning rate spoils a readable base: "
        "lower it to a third or less. Else train on more pairs, or pretrain the base on gap sentences first. If the "
        "words are real, name texts that have them in data.known_texts."
    ),
}

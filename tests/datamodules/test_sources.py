import pytest

from datamodules.sources import Limits, Splits, SummarizationSource


@pytest.mark.parametrize("language", ["turkish", "", "t", "xx1", "türkçe"])
def test_wrong_language_code_is_refused(language):
    with pytest.raises(ValueError, match=f"language '{language}' of source 'a.jsonl' is not a language code"):
        SummarizationSource(language, "a.jsonl")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hold_out": 0.5}, "hold_out 0.5 .* must be in"),
        ({"hold_out": -0.1}, "hold_out -0.1 .* must be in"),
        ({"hold_out": 0.1, "splits": Splits(train=None)}, "splits.train is null"),
        ({"limits": Limits(test=0)}, "limits.test 0 .* must be at least 1"),
    ],
)
def test_illegal_setting_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SummarizationSource("tr", "a.jsonl", **options)

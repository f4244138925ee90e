from types import SimpleNamespace

import numpy as np

from reports.comparison.quality import nonsense_warnings, quality_section
from reports.comparison.scores import LanguageScores

SHARES = {"readable": 0.05, "nonsense": 0.15}


def test_systems_that_invent_words_are_named_and_the_share_stands_beside_the_scores(tmp_path):
    tables = {
        name: {"rougeL": np.full((1, 10), 20.0), "invented_words": np.full((1, 10), share)}
        for name, share in SHARES.items()
    }
    systems = [
        SimpleNamespace(name=name, is_reference=False, trained_languages=("tr",), runs=[None])
        for name in (*SHARES, "elsewhere")
    ]
    one = LanguageScores("tr", [str(number) for number in range(10)], tables, 0)
    (warning,) = nonsense_warnings(systems, [one])
    assert warning.startswith("tr: 15% of the words of nonsense stand neither")
    lines = quality_section(systems, [one], tmp_path).markdown.splitlines()
    rows = {cells[1].strip(): cells for cells in (line.split("|") for line in lines if line.startswith("| "))}
    assert rows["system"][-2].strip() == "invented words"
    assert {name: rows[name][-2].split()[0] for name in SHARES} == {"readable": "0.0500", "nonsense": "0.1500"}

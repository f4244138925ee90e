import re

from metrics.source_sentences import SourceSentence
from reports.highlighted_sentences import highlight_sentences

ARTICLE = "First one.  Second.\nThird."
SENTENCES = [SourceSentence(0, 10, 0.1), SourceSentence(12, 19, 0.4), SourceSentence(20, 26, 0.0)]


def test_whole_article_is_shown_with_colours_in_proportion():
    html = highlight_sentences(ARTICLE, SENTENCES)
    assert re.sub(r"<[^>]*>", "", html) == ARTICLE
    strengths = [float(value) for value in re.findall(r"rgba\(.*?, ([\d.]+)\)", html)]
    assert strengths == [0.19, 0.75, 0.0]
    assert 'title="40% of the summary\'s words">Second.' in html


def test_nothing_shared_gives_no_colour():
    html = highlight_sentences("One.", [SourceSentence(0, 4, 0.0)])
    assert "0.00)" in html


def test_markup_in_an_article_stays_text():
    article = "<script>alert(1)</script>. <b>x</b>"
    html = highlight_sentences(article, [SourceSentence(0, 26, 1.0)])
    assert "<script>" not in html and "<b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html

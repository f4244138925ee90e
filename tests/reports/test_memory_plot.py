import pytest
from matplotlib import pyplot as plt

from reports.memory import COLOURS, draw_memory

RECIPES = {"seed": {"weights": 1.0, "logits": 2.5}, "ours": {"weights": 0.5, "activations": 0.25}}


@pytest.fixture
def axis(monkeypatch):
    """The axes of a figure that is drawn, which stays open."""
    monkeypatch.setattr(plt, "close", lambda figure: None)
    yield lambda: plt.gcf().axes[0]
    monkeypatch.undo()
    plt.close("all")


def test_bars_stand_one_after_the_other_and_end_at_the_sum(tmp_path, axis):
    path = draw_memory(RECIPES, tmp_path / "memory.png", "title", measured={"seed": 3.6}, card_gib=3)
    assert path.read_bytes().startswith(b"\x89PNG")
    bars = {container.get_label(): container.patches for container in axis().containers}
    spans = {name: [(bar.get_x(), bar.get_width()) for bar in found] for name, found in bars.items()}
    assert spans == {
        "weights": [(0, 1.0), (0, 0.5)],
        "activations": [(1.0, 0), (0.5, 0.25)],
        "logits": [(1.0, 2.5), (0.75, 0)],
    }
    assert [text.get_text().strip() for text in axis().texts] == ["3.50", "0.75"]
    assert all(bar.get_facecolor()[:3] == _rgb(COLOURS[name]) for name, found in bars.items() for bar in found)
    labels = [text.get_text() for text in axis().get_legend().get_texts()]
    assert {"measured", "a card of 3 GiB"} <= set(labels)
    (mark,) = [line for line in axis().lines if line.get_label() == "measured"]
    assert list(mark.get_xdata()) == [3.6]


def test_an_unknown_component_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"\['weight'\].*weights"):
        draw_memory({"seed": {"weight": 1.0}}, tmp_path / "memory.png", "title")


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))

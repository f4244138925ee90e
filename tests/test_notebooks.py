"""The notebooks run from top to bottom on a short run, and are committed without outputs."""

from pathlib import Path

import nbformat
import pytest
from command_line import SAVE_EVERY_STEP, configured, run, run_folder
from nbclient import NotebookClient
from random_model import write_random_model

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TESTED = (configured("callbacks.results_writer.ResultsWriter"),)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("runs")
    base = write_random_model(ROOT / "tests" / "random-mt5", root / "base")
    for name in ("full", "lora"):
        flags = (f"--model.base={base}", f"--model.adaptation={name}")
        run("fit", root / name, *flags, "--trainer.max_steps=2", callbacks=SAVE_EVERY_STEP)
        run("test", root / name, *flags, "--ckpt_path=last", callbacks=TESTED)
    return {name: str(run_folder(root / name)) for name in ("full", "lora")}


def outputs(notebook: nbformat.NotebookNode) -> str:
    cells = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return "\n".join(str(output.get("data", output.get("text"))) for output in cells)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("01_data_exploration", ("lead ROUGE-L", "<td>tr</td>", "data:image/svg+xml", "number precision")),
        ("02_model_comparison", ("A: full, B: lora", "hallucinated number", "name precision", "tr: worst by ROUGE-L")),
        ("03_attention_analysis", ("leans most on sentence", "Distance of full and lora", " bits")),
    ],
)
def test_notebook_shows_its_results(name: str, shown: tuple[str, ...], runs: dict[str, str], tmp_path: Path) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source += f"\nRUNS = MODELS = {runs!r}\nEXAMPLES = {runs['full']!r}\nOUTPUT = Path({str(tmp_path)!r})"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": ROOT / "notebooks"}}).execute()
    found = outputs(notebook)
    assert [text for text in shown if text not in found] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    assert path.stat().st_size < 20_000

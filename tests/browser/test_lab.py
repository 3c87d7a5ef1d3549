"""What a student opens: JupyterLab itself, on the working copies of the chapters."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from browsing import browser
from nbformat import v4

import course

# Every cell is drawn, whether it is in sight or not, and a kernel ends with its notebook.
SETTINGS = {"windowingMode": "none", "kernelShutdown": True}
START = """
import course, pathlib, sys
course.VENV, course.WORK = pathlib.Path(sys.prefix), pathlib.Path(sys.argv[1])
course.open_lab(*sys.argv[2:])
"""
OPTIONS = (
    "--no-browser",
    "--expose-app-in-browser",
    "--IdentityProvider.token=",
    "--ServerApp.allow_root=True",
)
BROKEN = r"""
Undefined: $\Expectation x$, wrong: $\frac{1}$

$$
\undefined{x}
$$ (eq-label)

:::{admonition} A title
See {eq}`eq-label`.
:::
"""
LOOK = """
async ([path, n_cells]) => {
  await jupyterapp.restored;
  const panel = await jupyterapp.commands.execute("docmanager:open", { path });
  await panel.context.ready;
  let shown, text;
  for (let trial = 0; trial < 600; trial += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    shown = [...panel.node.querySelectorAll(".jp-MarkdownCell .jp-MarkdownOutput")];
    text = shown.map((part) => part.textContent).join("\\n");
    const written = shown.length === n_cells && shown.every((part) => part.textContent);
    if (written && !text.includes("$")) break; // every formula is set
  }
  const count = (part, wanted) => part.querySelectorAll(wanted).length;
  const inProse = (wanted) => shown.reduce((sum, part) => sum + count(part, wanted), 0);
  const counted = {
    cells: shown.length,
    text,
    formulas: inProse("mjx-container"),
    red: inProse("mjx-merror, mjx-container [style*='red']"),
    folds: inProse("details > summary"),
    folded: count(panel.node, ".jp-Placeholder"),
    figures: count(panel.node, ".jp-OutputArea-output .gd-explorer:has(svg)"),
  };
  panel.dispose();
  return counted;
}
"""
RAW = re.compile(r":{3,}|`{3,}|\{[a-z]+(?::[a-z])?\}(?=\w)|\$|\\[a-z]+|\(eq-[\w-]+\)")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Give the address of a running JupyterLab and the folder of copies that it shows."""
    home = tmp_path_factory.mktemp("lab")
    settings = home / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps(SETTINGS))
    work = home / "work"
    work.mkdir()
    broken = v4.new_notebook(cells=[v4.new_markdown_cell(BROKEN)])
    broken.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(broken, work / "broken.ipynb")
    own = {f"JUPYTER_{name}_DIR": str(home / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    own["PYTHONPATH"] = str(course.ROOT)
    folders = [f"--LabApp.user_settings_dir={home / 'settings'}"]
    folders += [f"--LabApp.workspaces_dir={home / 'workspaces'}"]
    with (home / "log.txt").open("w") as log:
        command = [sys.executable, "-c", START, work, *OPTIONS, "--port=0", *folders]
        process = subprocess.Popen(
            command, env=os.environ | own, cwd=home, stdout=log, stderr=log, start_new_session=True
        )
    while not (found := re.search(r"http://127\.0\.0\.1:\d+/", (home / "log.txt").read_text())):
        assert process.poll() is None, (home / "log.txt").read_text()
        time.sleep(0.1)
    yield found[0], work
    os.killpg(process.pid, signal.SIGTERM)  # of two interrupts, as from a keyboard, one may be lost
    process.wait(30)


@pytest.fixture(scope="module")
def look(lab, browser):
    """Return a function that opens a notebook and counts what a student sees in it."""
    address, work = lab
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(f"{address}lab")
    page.wait_for_function("window.jupyterapp?.commands.hasCommand('docmanager:open')")

    def open_and_count(name):
        path = work / f"{name}.ipynb"
        prose = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown"]
        found = page.evaluate(LOOK, [path.name, len(prose)])
        assert found["cells"] == len(prose)
        return found

    yield open_and_count
    page.close()


def test_what_lab_cannot_show_is_counted(look):
    found = look("broken")
    assert found["red"] > 0
    assert set(RAW.findall(found["text"])) == {
        "\\frac",
        "\\undefinedx",
        "(eq-label)",
        ":::",
        "{eq}",
    }


def test_a_chapter_shows_in_lab_with_figures_and_folds(look):
    found = look("02_sgd")
    assert found["figures"] == 2  # which JupyterLab shows in a notebook that it trusts
    assert found["folded"] > 10
    assert found["folds"] > 5
    assert "Robbins and Monro (1951)" in found["text"]
    assert "(2.4)" in found["text"]


@pytest.mark.long
def test_the_prose_of_all_chapters_shows_in_lab(look, lab):
    """In one notebook, so that one kernel is started for it and not one for each."""
    _, work = lab
    paths = sorted(path for path in work.glob("*.ipynb") if path.stem != "broken")
    assert len(paths) > 12
    chapters = [nbformat.read(path, as_version=4) for path in paths]
    prose = [cell for chapter in chapters for cell in chapter.cells if cell.cell_type == "markdown"]
    everything = v4.new_notebook(metadata=chapters[0].metadata)
    everything.cells = [v4.new_markdown_cell(cell.source) for cell in prose]
    nbformat.write(everything, work / "everything.ipynb")
    found = look("everything")
    assert found["red"] == 0
    assert RAW.findall(found["text"]) == []
    assert found["formulas"] > 1500

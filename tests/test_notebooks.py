"""What nbval takes on trust: cells never executed, pictures, and chapters outside the book."""

import copy
import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from nbformat import v4
from sphinx_external_toc.parsing import parse_toc_yaml

import course
from gdcourse.lesson.checks import EXERCISES
from tools import notebooks

CHAPTERS = sorted(course.BOOK.glob("*.ipynb"))
IN_WORDS = {8: "eight", 9: "nine", 10: "ten", 11: "eleven", 12: "twelve", 13: "thirteen"}
WORDS_A_MINUTE = 60  # formulas, code and figures take their time too


def faults(notebook):
    """Return what is wrong with the stored execution of a notebook, a sentence for each fault."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = []
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("the cells were not executed once each, from top to bottom")
    for number, cell in enumerate(cells, start=1):
        may_fail = "raises-exception" in cell.metadata.get("tags", [])
        told = cell.metadata.get("mystnb", {})
        alt_text = told.get("image", {}).get("alt", "")
        caption, label = (told.get("figure", {}).get(key, "") for key in ("caption", "name"))
        for output in cell.outputs:
            if output.output_type == "error" and not may_fail:
                found.append(f"code cell {number} ends in {output.ename}")
            if output.get("name") == "stderr":
                found.append(f"code cell {number} writes to stderr: {output.text.strip()}")
            if "image/png" in output.get("data", {}) and not alt_text.strip():
                found.append(f"code cell {number} draws a figure without alt text")
            moves = "Explorer" in output.get("data", {}).get("text/plain", "")
            if moves or "image/png" in output.get("data", {}):
                if not re.match(r"\*\*[^*]+[.!?]\*\* \S", caption):
                    found.append(f"code cell {number} has no caption that begins with its message")
                if not label.startswith("fig-"):
                    found.append(f"code cell {number} draws a figure that no text can name")
    return found


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Return a small notebook with two pictures, executed."""
    draw = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot({})\nplt.show()"
    sources = ["print('a number: 1')", draw.format([0, 1, 2]), draw.format([2, 1, 0])]
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])
    for cell in notebook.cells[1:]:
        caption = {"caption": "**It is a line.** Drawn once.", "name": "fig-line"}
        cell.metadata["mystnb"] = {"image": {"alt": "A line."}, "figure": caption}
    path = tmp_path_factory.mktemp("notebook") / "01_small.ipynb"
    nbformat.write(notebook, path)
    assert notebooks.execute(path)
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_is_stored_as_executed(path):
    assert faults(nbformat.read(path, as_version=4)) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_is_stored_normalised(path):
    stored = nbformat.read(path, as_version=4)
    assert notebooks.normalise(copy.deepcopy(stored), path.stem) == stored


def test_every_chapter_is_in_the_book():
    pages = set(parse_toc_yaml(course.ROOT / "_toc.yml"))
    assert {f"book/{path.stem}" for path in CHAPTERS} <= pages


def reading_times(notebook):
    """The minutes that the box of a chapter states, and those that its words ask for."""
    prose = "\n".join(
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "markdown" and "gd-guess" not in cell.source
    )
    stated = re.search(r"^\*\*Reading time:\*\* (\d+) minutes", prose, re.M)
    words = re.findall(r"\w+", re.split(r"\n## (?:Exercises|Check yourself)\n", prose)[0])
    return stated and int(stated[1]), len(words) / WORDS_A_MINUTE


@pytest.mark.parametrize(
    "path",
    [path for path in CHAPTERS if path.stem == "index" or path.stem[0].isdigit()],
    ids=lambda path: path.stem,
)
def test_reading_times_follow_one_rule(path):
    stated, asked = reading_times(nbformat.read(path, as_version=4))
    assert stated is not None, "its box states no reading time in minutes"
    assert abs(stated - asked) <= 5


def test_the_first_page_and_the_paper_say_the_hours_that_the_pages_add_up_to():
    stated = {path.stem: reading_times(nbformat.read(path, as_version=4))[0] for path in CHAPTERS}
    table = (course.BOOK / "teaching.md").read_text("utf-8")
    assert {name: int(n) for name, n in re.findall(r"\((\w+)\.ipynb\) \| (\d+) \|", table)} == {
        name: minutes for name, minutes in stated.items() if minutes
    }
    deeper = sum(minutes for name, minutes in stated.items() if name.endswith("_deeper"))
    pages = {n: m for n, m in stated.items() if m and not n.endswith("_deeper")}
    least = sum(pages.values())
    hours = [IN_WORDS[round(minutes / 60)] for minutes in (least, least + deeper)]
    first = nbformat.read(course.BOOK / "index.ipynb", as_version=4).cells[0].source
    assert f"About {hours[0]} hours of reading, in {IN_WORDS[len(pages)]} pages" in first
    assert f"at most {max(pages.values())} minutes, or {hours[1]} hours with the deeper" in first
    paper = (course.ROOT / "paper.md").read_text("utf-8")
    assert f"about {hours[0]} hours, or {hours[1]} with the pages below" in paper
    exercises = sum(exercise.minutes for exercise in EXERCISES.values()) / 60
    assert "twenty hours more" in paper
    assert abs(exercises - 20) < 5


def test_exercises_and_questions_are_not_counted_as_reading():
    source = "**Reading time:** 5 minutes.\n" + 296 * "word "
    cells = [source, "## Exercises\n\n" + 999 * "word "]
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell(cell) for cell in cells])
    assert reading_times(notebook) == (5, 5)


def test_an_executed_notebook_has_no_faults(executed):
    assert faults(executed) == []


def forget_execution(notebook):
    notebook.cells[0].execution_count = None
    notebook.cells[0].outputs = []


def execute_out_of_order(notebook):
    notebook.cells[0].execution_count = 4


def store_an_error(notebook):
    notebook.cells[0].outputs = [
        v4.new_output("error", ename="ValueError", evalue="", traceback=[])
    ]


def store_a_warning(notebook):
    notebook.cells[0].outputs = [v4.new_output("stream", name="stderr", text="a warning")]


def forget_alt_text(notebook):
    del notebook.cells[1].metadata["mystnb"]["image"]


def forget_the_message(notebook):
    notebook.cells[1].metadata["mystnb"]["figure"]["caption"] = "A line, drawn once."


def forget_the_label(notebook):
    del notebook.cells[1].metadata["mystnb"]["figure"]["name"]


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (forget_execution, "not executed once each"),
        (execute_out_of_order, "not executed once each"),
        (store_an_error, "ends in ValueError"),
        (store_a_warning, "writes to stderr: a warning"),
        (forget_alt_text, "code cell 2 draws a figure without alt text"),
        (forget_the_message, "code cell 2 has no caption that begins with its message"),
        (forget_the_label, "code cell 2 draws a figure that no text can name"),
    ],
)
def test_a_spoilt_notebook_has_one_fault(executed, spoil, fault):
    notebook = copy.deepcopy(executed)
    spoil(notebook)
    (found,) = faults(notebook)
    assert fault in found


def test_nbval_rejects_a_wrong_picture(executed, tmp_path):
    notebook = copy.deepcopy(executed)
    right, wrong = notebook.cells[1:]
    wrong.outputs[0].data["image/png"] = right.outputs[0].data["image/png"]
    nbformat.write(notebook, tmp_path / "wrong.ipynb")
    options = ("--nbval", "--nbval-current-env", "-p", "conftest", "-p", "no:cacheprovider", "-q")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tmp_path / "wrong.ipynb"],
        cwd=course.ROOT,
        capture_output=True,
        text=True,
    )
    assert "Picture 1 differs from the stored one" in result.stdout
    assert "1 failed, 2 passed" in result.stdout


def test_pictures_are_compared_by_number_shape_and_pixels(pytestconfig):
    hook = pytestconfig.pluginmanager.get_plugin(str(course.ROOT / "conftest.py"))
    picture_fault = hook.picture_fault
    white = np.full((40, 60, 4), 255.0)
    line = white.copy()
    line[20] = 0
    faint = white - 1
    assert picture_fault([white], [white]) is None
    assert picture_fault([white], [faint]) is None
    assert "Drew 0 pictures" in picture_fault([white], [])
    assert "has shape" in picture_fault([white], [white[1:]])
    assert "differs" in picture_fault([white], [line])

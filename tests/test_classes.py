"""A class: what it receives, without solutions, and what its teacher does with what comes back."""

import csv
import json
import zipfile

import nbformat
import pytest

import course
from gdcourse.lesson.checks import EXERCISES
from tools import classes, grading
from tools.solutions import GATE
from tools.working_copy import make_answer_cells, make_cell

RIGHT = "def largest_rate(x):\n    return 2 * np.mean(x**2) / np.mean(x**4)"
TAMPERED = """\
from gdcourse.lesson.checks import Exercise, sgd
sgd.expect = sgd.compare = lambda *arguments, **options: None
Exercise.verify = lambda exercise, answer: "so it is"
def order_floor(X, y, b):
    return 1.0, 1.0, 1.0"""


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    """Return the folder with what a class receives, and the teacher's side."""
    folder = tmp_path_factory.mktemp("class")
    classes.make_class(course.ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def received(handed_out):
    """Return the bytes of the files in the students' zip, by their names below its folder."""
    with zipfile.ZipFile(handed_out / "gradient-descent.zip") as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def notebooks_of(received):
    """Return the notebooks among some files, by the names of their chapters."""
    return {
        name.removeprefix("work/"): json.loads(text)
        for name, text in received.items()
        if name.endswith(".ipynb")
    }


def test_a_class_receives_what_runs_and_no_solution(received):
    assert {"course.py", "pyproject.toml", "README.md", "gdcourse/__init__.py"} <= set(received)
    assert "work/02_sgd.ipynb" in received
    assert not any(name.startswith(("book/", "tests/", "tools/solutions")) for name in received)
    assert "work/timings.ipynb" not in received  # it reads files that lie beside it in the book
    solved = set()
    for path in course.BOOK.glob("*.ipynb"):
        gate = "end"
        for cell in nbformat.read(path, as_version=4).cells:
            gate = [gate, *GATE.findall(cell.source)][-1]
            if gate == "start" and cell.cell_type == "code":
                solved.add(cell.source)
    given = [cell for one in notebooks_of(received).values() for cell in one["cells"]]
    assert len(solved) > 30
    assert solved & {"".join(cell["source"]) for cell in given} == set()
    assert not any("Solution to" in "".join(cell["source"]) for cell in given)


def test_the_lock_of_a_class_has_what_notebooks_need_on_every_system(received):
    lines = received["requirements.txt"].decode().splitlines()
    names = {line.split("==")[0].split(" ")[0] for line in lines}
    assert lines[0] == "-e ."
    assert {"numpy", "scipy", "scikit-learn", "matplotlib", "jupyterlab", "numba"} <= names
    assert {"appnope", "pywinpty", "colorama"} <= names  # of macOS and Windows
    assert names & {"sphinx", "jupyterlab-myst", "playwright", "cupy-cuda13x", "ruff"} == set()
    assert set(lines) <= {"-e .", *(course.ROOT / "requirements.txt").read_text().splitlines()}


def test_a_copy_of_a_student_knows_one_verb(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "BOOK", tmp_path / "book")
    monkeypatch.setattr(course, "WORK", tmp_path)
    assert course.main(["book"]) == "This is a student's copy of the course; its one verb is lab."


def test_nbgrader_finds_its_marks_and_hides_what_fails(handed_out, received):
    copies = notebooks_of(received)
    for path in (handed_out / "nbgrader" / "source").glob("*/*.ipynb"):
        source = json.loads(path.read_text("utf-8"))
        given = {cell["id"]: cell for cell in copies[path.name]["cells"]}
        marks = [cell["metadata"].get("nbgrader") for cell in source["cells"]]
        names = [mark["grade_id"] for mark in marks if mark]
        assert len(set(names)) == len(names)
        for cell in source["cells"]:
            if cell["id"].startswith("check-"):
                shown, _, hidden = cell["source"].partition("\n\n### BEGIN HIDDEN TESTS\n")
                assert shown == given[cell["id"]]["source"]
                assert ".verify(" in hidden
                assert hidden.endswith("### END HIDDEN TESTS")


def submit(path, **answers):
    """Write a notebook in which the empty answers to chapter 2 are replaced by some others."""
    cells = [make_cell("begin", "import numpy as np")]
    for name in (f"2.{k}" for k in range(1, 6)):
        answer, check = make_answer_cells(name)
        answer["source"] = answers.get(name.replace(".", "_"), answer["source"])
        cells += [answer, check]
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook), "utf-8")
    return path


def table_of(folder, seconds):
    """Grade a folder and return the rows of the table, by student and exercise."""
    with grading.grade_folder(folder, seconds).open(encoding="utf-8", newline="") as file:
        return {(row["name"], row["exercise"]): row for row in csv.DictReader(file)}


def test_a_bad_answer_costs_its_exercise_and_not_the_run(tmp_path):
    path = submit(
        tmp_path / "anna" / "02_sgd.ipynb",
        **{"2_1": "while True:\n    pass", "2_2": "1 / 0", "2_3": TAMPERED, "2_4": RIGHT},
        **{"2_5": "import os\nos._exit(0)"},
    )
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["id"] == "check-2-3":
            cell["source"] = "print('2.3 right')"
    path.write_text(json.dumps(notebook))
    table = table_of(tmp_path, seconds=6)
    points = {name: int(row["points"]) for (_, name), row in table.items()}
    assert points == {"2.1": 0, "2.2": 0, "2.3": 0, "2.4": EXERCISES["2.4"].points, "2.5": 0}
    said = {name: row["message"] for (_, name), row in table.items()}
    assert "not done after 6 seconds" in said["2.1"]
    assert "raises ZeroDivisionError" in said["2.2"]
    assert "replaces what the check stands on" in said["2.3"]
    assert said["2.4"].startswith("right: ")
    assert "the process ended" in said["2.5"]


def test_what_was_handed_in_is_found_wherever_it_lies(tmp_path):
    submit(tmp_path / "anna" / "chapter" / "02_sgd.ipynb")
    submit(tmp_path / "bert.ipynb")
    (tmp_path / "carla").mkdir()
    (tmp_path / "carla" / "02_sgd.ipynb").write_text("half a note")
    with zipfile.ZipFile(tmp_path / "=dora.zip", "w") as archive:
        archive.write(submit(tmp_path / "anna" / "other.ipynb"), "work/02_sgd.ipynb")
    table = table_of(tmp_path, seconds=6)
    assert {student for student, _ in table} == {"anna", "bert", "'=dora"}
    assert {row["message"] for row in table.values()} == {"not begun"}


def test_a_notebook_without_an_exercise_hides_no_message_of_another():
    marks = (0, grading.NOT_BEGUN), (0, "a mistake"), (3, "right")
    assert max(marks[:2], key=grading.rank) == marks[1]
    assert max(marks, key=grading.rank) == marks[2]


def test_a_grade_needs_one_folder(tmp_path):
    assert course.grade() == "Name the folder with what was handed in, got nothing."
    assert "got no such folder" in course.grade("no such folder")


def test_too_much_memory_is_refused(tmp_path):
    resource = pytest.importorskip("resource")
    assert resource
    submit(tmp_path / "anna.ipynb", **{"2_1": "sgd_with_history = np.empty(10**9)"})
    table = table_of(tmp_path, seconds=20)
    assert "raises MemoryError" in table["anna", "2.1"]["message"]

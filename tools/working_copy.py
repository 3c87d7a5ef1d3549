"""The notebooks that a student works in: under each exercise an empty answer, and its check.

They are copies. What is written into one is never written over: where the course has changed
since, its new version is put beside it.
"""

import hashlib
import json

import nbformat
from nbformat.sign import NotebookNotary

from gdcourse.lesson.checks import EXERCISES
from tools.plain import Book, make_plain, text_of
from tools.solutions import remove_solutions

CHECK = """\
from gdcourse.lesson.checks import check

check("{name}", {deliver})"""


def update(root, work):
    """Bring the copies in the folder `work` up to the chapters below `root`."""
    work.mkdir(exist_ok=True)
    book = Book(root)
    for path in list_chapters(root, book):
        notebook = make_student_notebook(path, book)
        target = find_place(work, path.stem, notebook["metadata"]["gdcourse"]["version"])
        if target is None:
            continue
        save(notebook, target)
        if target.stem != path.stem:
            print(
                f"The course has changed {path.name}. Yours is as you left it; the new version "
                f"is beside it, {target.relative_to(root)}."
            )


def list_chapters(root, book):
    """Return the paths of the chapters that are copied."""
    return [root / "book" / f"{name}.ipynb" for name in sorted(book.copied)]


def make_student_notebook(path, book):
    """Return the chapter at `path` without solutions, ready to be worked in."""
    notebook = json.loads(path.read_text("utf-8"))
    notebook["cells"] = remove_solutions(notebook["cells"])
    notebook = add_answers(make_plain(notebook, path.stem, book))
    text = json.dumps([notebook["nbformat_minor"], notebook["cells"]])
    version = {"version": digest(text), "sources": digest_sources(notebook["cells"])}
    return {**notebook, "metadata": notebook["metadata"] | {"gdcourse": version}}


def add_answers(notebook):
    """Return a plain notebook with an empty answer and its check under each exercise."""
    cells = []
    for cell in notebook["cells"]:
        cells.append(cell)
        if cell["id"].startswith("exercise-"):
            cells += make_answer_cells(cell["id"].removeprefix("exercise-").replace("-", "."))
    return {**notebook, "cells": cells}


def make_answer_cells(name):
    """Return an empty answer to the exercise with this number, and its check."""
    if name not in EXERCISES:
        return [make_cell(f"answer-{name}", f"# Your answer to exercise {name}.")]
    exercise = EXERCISES[name]
    answer = make_cell(f"answer-{name}", exercise.stub.strip("\n"), solution=True)
    test = CHECK.format(name=name, deliver=exercise.deliver)
    marks = {"grade": True, "locked": True, "points": exercise.points}
    return [answer, make_cell(f"check-{name}", test, **marks)]


def make_cell(name, source, **marks):
    """Return a code cell with the metadata of nbgrader, if there are any `marks` for it."""
    name = name.replace(".", "-")
    fixed = {"schema_version": 3, "grade_id": name, "task": False}
    marks = {"grade": False, "locked": False, "solution": False} | marks | fixed
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {"nbgrader": marks} if marks["grade"] or marks["solution"] else {},
        "outputs": [],
        "source": source,
    }


def digest(text):
    """Return a short fingerprint of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_sources(cells):
    """Return the fingerprint of what is written in the cells, whatever they print."""
    return digest(json.dumps([text_of(cell) for cell in cells]))


def find_place(work, name, version):
    """Return where a new version of the chapter `name` goes, or None if a copy of it is there.

    A copy in which nothing was written gives way to it.
    """
    for path in sorted(work.glob(f"{name}*.ipynb")):
        if read_version(path)["version"] == version:
            return None
    names = [name, f"{name}.new", *(f"{name}.new-{count}" for count in range(2, 1000))]
    places = (work / f"{each}.ipynb" for each in names)
    return next(place for place in places if not place.exists() or is_untouched(place))


def read_version(path):
    """Return what a copy knows of the version it was made from."""
    found = json.loads(path.read_text("utf-8")).get("metadata", {}).get("gdcourse", {})
    return {"version": None, "sources": None} | found


def is_untouched(path):
    """Tell whether nothing was written into a copy since it was made."""
    cells = json.loads(path.read_text("utf-8")).get("cells", [])
    return digest_sources(cells) == read_version(path)["sources"]


def save(notebook, path):
    """Write a notebook that JupyterLab trusts."""
    draft = path.with_suffix(".unfinished")
    nbformat.write(nbformat.from_dict(notebook), draft)
    draft.replace(path)
    trust(path)


def trust(path):
    """Sign a notebook for this user, so that JupyterLab shows its moving figures."""
    notary = NotebookNotary()
    notary.sign(nbformat.read(path, as_version=4))
    notary.store.close()  # its database, which Python 3.13 and later complain about

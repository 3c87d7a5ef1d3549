"""What a class receives: the package, the notebooks to work in, and no solution."""

import json
import re
import shutil
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement

from tools.plain import Book
from tools.working_copy import list_chapters, make_student_notebook

NAME = "gradient-descent"
HANDED_OUT = ("course.py", "pyproject.toml", "LICENSE", "LICENSE-CC-BY-4.0", "tools/jupyter")
README = """\
# Gradient descent and its variants

The notebooks are in `work`. With Python 3.11 or later, one command installs what they need and
opens them (on Windows, write `py` for `python3`):

```sh
python3 course.py lab
```

Under each exercise stand an empty answer, which names what to deliver, and a check, which says
what is missing. Keep the name of the answer, run the check, and hand in the notebook.
"""
HIDDEN = """

### BEGIN HIDDEN TESTS
from gdcourse.lesson.checks import EXERCISES

EXERCISES["{name}"].verify({deliver})
### END HIDDEN TESTS"""
CONFIG = """\
# nbgrader, 0.9 or later, reads this file in the folder where it is started.
c = get_config()
c.CourseDirectory.course_id = "gradient-descent"
c.ClearSolutions.code_stub = {"python": "# Your answer goes above this line."}
c.ExecutePreprocessor.timeout = 120
c.ExecutePreprocessor.interrupt_on_timeout = True  # an endless loop costs its cell
"""
SYSTEMS = (("linux", "Linux", "posix"), ("darwin", "Darwin", "posix"), ("win32", "Windows", "nt"))


def make_class(root, folder):
    """Write into `folder` the zip for the students, and the teacher's side for nbgrader."""
    book = Book(root)
    chapters = list_chapters(root, book)
    notebooks = {path.stem: make_student_notebook(path, book) for path in chapters}
    texts = {"README.md": README, "requirements.txt": select_lock(root)}
    for name, notebook in notebooks.items():
        texts[f"work/{name}.ipynb"] = write(notebook)
    for name in HANDED_OUT:
        texts |= read_files(root, root / name)
    texts |= read_files(root, root / "gdcourse")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{NAME}.zip"
    draft = target.with_suffix(".unfinished")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(texts.items()):
            archive.writestr(f"{NAME}/{name}", text)
    draft.replace(target)
    shutil.rmtree(folder / "nbgrader" / "source", ignore_errors=True)
    for name, notebook in notebooks.items():
        path = folder / "nbgrader" / "source" / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(write(add_hidden_tests(notebook)), "utf-8")
    (folder / "nbgrader" / "nbgrader_config.py").write_text(CONFIG, "utf-8")
    return target


def write(notebook):
    """Return a notebook as the text of its file."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def read_files(root, path):
    """Return the bytes of a file, or of all files below a folder, by their names below `root`."""
    files = [path] if path.is_file() else path.rglob("*")
    return {
        file.relative_to(root).as_posix(): file.read_bytes()
        for file in files
        if file.is_file() and "__pycache__" not in file.parts
    }


def add_hidden_tests(notebook):
    """Return a student's notebook as nbgrader's source, whose tests fail where a check says no."""
    cells = []
    for cell in notebook["cells"]:
        if "nbgrader" in cell["metadata"]:
            if cell["metadata"]["nbgrader"]["grade"]:
                found = re.search(r'check\("(?P<name>[\d.]+)", (?P<deliver>\w+)\)', cell["source"])
                cell = {**cell, "source": cell["source"] + HIDDEN.format(**found.groupdict())}
            else:
                stub = "\n### BEGIN SOLUTION\n### END SOLUTION"
                cell = {**cell, "source": cell["source"] + stub}
        cells.append(cell)
    return {**notebook, "cells": cells}


def select_lock(root):
    """Return the lines of requirements.txt that the notebooks need, on any system."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    waiting = [Requirement(text) for text in ("gdcourse[notebooks]", "jupyterlab")]
    seen = set()
    while waiting:
        wanted = waiting.pop()
        name = normalise_name(wanted.name)
        for extra in {"", *wanted.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            if name == project["name"]:
                texts = extras[extra] if extra else project["dependencies"]
                waiting += [Requirement(text) for text in texts]
            else:
                waiting += list_needs(name, extra)
    names = {name for name, _ in seen}
    lines = (root / "requirements.txt").read_text("utf-8").splitlines()
    kept = [line for line in lines if normalise_name(re.split(r"[=<> ]", line)[0]) in names]
    return "\n".join(["-e .", *kept]) + "\n"


def list_needs(name, extra):
    """Return what an installed package needs with an extra, on one of the systems."""
    try:
        needed = [Requirement(text) for text in requires(name) or []]
    except PackageNotFoundError:  # of another system
        return []
    keys = ("sys_platform", "platform_system", "os_name")
    places = [dict(zip(keys, system, strict=True)) | {"extra": extra} for system in SYSTEMS]
    return [one for one in needed if one.marker is None or any(map(one.marker.evaluate, places))]


def normalise_name(name):
    """Return the name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()

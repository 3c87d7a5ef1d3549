"""A page shows what a reader should be able to write, and ends before the reader tires."""

import re
from collections import Counter

import nbformat
import pytest

import course

PAGES = sorted(course.BOOK.glob("*.ipynb"))
PRACTICE = re.compile(r"^## (Exercises|Tasks|Check yourself)$", re.M)
ASKED = ("gd-guess", "gd-question")  # come on top, and can be passed over


def before_practice(path, kind):
    """The cells of one kind above the exercises of a page, in one text."""
    sources = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown" and PRACTICE.search(cell.source):
            break
        if cell.cell_type == kind and not any(name in cell.source for name in ASKED):
            sources.append(cell.source)
    return "\n".join(sources)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_is_lean(path):
    code = before_practice(path, "code")
    assert len(re.findall(r"^(?:def|class) ", code, re.M)) <= 3
    assert sum(map(bool, map(str.strip, code.splitlines()))) <= 300
    assert len(re.findall(r"\w+", before_practice(path, "markdown"))) <= 3500


def test_no_name_is_defined_on_two_pages():
    """What two pages need belongs to the package."""
    found = Counter()
    for path in PAGES:
        cells = nbformat.read(path, as_version=4).cells
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        found.update(set(re.findall(r"^(?:def|class) (\w+)", code, re.M)))
    assert len(found) > 40
    assert [name for name, pages in found.items() if pages > 1] == []

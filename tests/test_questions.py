"""What a chapter asks: one source for page, notebook and export."""

import json
import re
from collections import Counter

import pytest
from nbformat import v4

import course
from book._ext import questions
from gdcourse.lesson.checks import EXERCISES

FILES = sorted(questions.FOLDER.glob("*.toml"))
by_chapter = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def read_chapter(path):
    return json.loads((course.BOOK / f"{path.stem}.ipynb").read_text("utf-8"))


def test_every_chapter_asks():
    asking = {path.stem for path in FILES}
    chapters = {path.stem for path in course.BOOK.glob("*.ipynb")}
    deeper = {name for name in chapters if name.endswith("_deeper")}  # these may ask, too
    assert asking - deeper == chapters - deeper - {"capstone", "timings"}
    counts = {path.stem: [len(asked) for asked in questions.load(path)] for path in FILES}
    assert all(counts[name][0] == 4 for name in asking - deeper - {"bugs"})


@by_chapter
def test_a_chapter_holds_what_its_file_asks(path):
    """Also that each guess finds its number in what its cell printed."""
    notebook = read_chapter(path)
    assert questions.write_cells(notebook, path) == notebook
    asked, guesses = questions.load(path)
    made = [
        cell["id"] for cell in notebook["cells"] if re.search(r"-(question|guess)-\d+$", cell["id"])
    ]
    assert len(made) == len(asked) + len(guesses)


@by_chapter
def test_each_option_has_a_reply_and_one_is_right(path):
    for question in questions.load(path)[0]:
        assert len(question.options) >= 3
        assert 1 <= question.right <= len(question.options)
        texts = [text for pair in question.options for text in pair]
        assert all(texts)
        assert len(set(texts)) == len(texts)


def test_the_right_option_is_not_always_at_the_same_place():
    places = [question.right for path in FILES for question in questions.load(path)[0]]
    assert all(places.count(k) >= len(places) / 5 for k in (1, 2, 3))


@by_chapter
def test_what_was_measured_lies_on_the_scale_of_the_guess(path):
    cells = {cell["id"]: cell for cell in read_chapter(path)["cells"]}
    for guess in questions.load(path)[1]:
        found = re.search(guess.found, questions.read_output(cells[guess.before]))[1]
        low, measured, high = (float(n.replace(",", "")) for n in (guess.low, found, guess.high))
        assert 0 < low < measured < high


def test_a_changed_file_changes_the_chapter(tmp_path):
    path = tmp_path / "01_some_page.toml"
    path.write_text(
        """
        [[question]]
        ask = "How many?"
        right = 2
        options = [["one", "No."], ["two", "Yes."], ["three", "Nor three."]]
        [[guess]]
        before = "cell"
        ask = "How much?"
        low = "1"
        high = "10"
        unit = "m"
        found = "length (.*)"
        then = "So short."
        """,
        "utf-8",
    )
    code = v4.new_code_cell(
        "print()", id="cell", outputs=[v4.new_output("stream", text="length 3")]
    )
    old = v4.new_markdown_cell("old", id="some-page-question-2")
    heading = v4.new_markdown_cell(questions.HEADING, id="heading")
    cells = questions.write_cells({"cells": [code, heading, old]}, path)["cells"]
    assert [c["id"] for c in cells] == [
        "some-page-guess-1",
        "cell",
        "heading",
        "some-page-question-1",
    ]
    assert "**3** m. So short." in "".join(cells[0]["source"])
    assert "2. two\n3. three\n" in "".join(cells[3]["source"])


def test_the_export_is_gift():
    """Each question in braces of its own, with one right answer and a reply to each."""
    text = questions.export()
    bare = re.sub(r"\\[{}=~#:]", "", text)  # what is escaped is text
    blocks = re.findall(
        r"^::([^:{}]+)::\[markdown\]([^{}]+)\{\n((?:\t[=~][^{}=~#]+#[^{}=~#]+\n)+)\}$", bare, re.M
    )
    asked = [question for path in FILES for question in questions.load(path)[0]]
    assert len(blocks) == len(asked)
    for (_, _, answers), question in zip(blocks, asked, strict=True):
        marks = [line[1] for line in answers.splitlines()]
        assert marks.index("=") == question.right - 1
        assert marks.count("=") == 1
        assert len(marks) == len(question.options)
    assert "$" not in re.sub(r"^\$CATEGORY.*$", "", text, flags=re.M)
    assert "{term}" not in text


def test_the_page_of_progress_counts_them_all():
    page = (course.BOOK / "progress.md").read_text("utf-8")
    row = r"^\| \[(\d*).*?\]\((\w+)\.ipynb\) \|(?: of (\d+))? \| \| \|(?: of (\d+))? \|$"
    rows = re.findall(row, page, re.M)
    asked = {path.stem: len(questions.load(path)[0]) for path in FILES}
    assert {name: int(n or 0) for _, name, n, _ in rows} == {"capstone": 0} | asked
    told = Counter()
    for chapter, _, _, n in rows:
        told[chapter] += int(n or 0)
    assert +told == Counter(name.split(".")[0] for name in EXERCISES)

"""Copies of the chapters to work in: plain Markdown, no solutions, and nothing written over."""

import json
import re

import nbformat
import pytest

import course
from gdcourse.lesson.checks import EXERCISES
from tools import plain, working_copy
from tools.solutions import fold_code

BOOK = plain.Book(course.ROOT)
CHAPTERS = working_copy.list_chapters(course.ROOT, BOOK)
RAW = re.compile(r"^:{3,}.*|\{[\w:-]+\}`.*?`|\$\$ *\([\w-]+\)|\]\([^)]*\.md[^)]*\)", re.M)


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Return a course of one short chapter, and a function that brings its copies up to it."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n"
        "  - numbered: 1\n    chapters: [{file: book/one}]\n"
    )
    (tmp_path / "book" / "references.bib").write_text(
        "@article{first, author={One, A. and Two, B. and Three, C.}, year=2001, doi={10.1/x(y)}}"
    )

    def write(text):
        cells = [nbformat.v4.new_markdown_cell(text, id="one-01")]
        cells += [nbformat.v4.new_code_cell("x = 1", id="one-02")]
        notebook = nbformat.v4.new_notebook(cells=cells)
        nbformat.write(notebook, tmp_path / "book" / "one.ipynb")
        nbformat.write(nbformat.v4.new_notebook(), tmp_path / "book" / "index.ipynb")
        working_copy.update(tmp_path, tmp_path / "work")
        return sorted(path.name for path in (tmp_path / "work").glob("one*"))

    return tmp_path, write


def work_in(path, source):
    """Write into the last cell of a copy, as JupyterLab would."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].source = source
    nbformat.write(notebook, path)


def test_an_untouched_copy_follows_the_course(copies):
    folder, write = copies
    assert write("# One") == ["one.ipynb"]
    assert write("# Uno") == ["one.ipynb"]
    assert "# Uno" in (folder / "work" / "one.ipynb").read_text()


def test_what_a_student_wrote_is_never_written_over(copies, capsys):
    folder, write = copies
    mine = folder / "work" / "one.ipynb"
    write("# One")
    work_in(mine, "x = 'mine'")
    before = mine.read_bytes()
    assert write("# One") == ["one.ipynb"]
    assert capsys.readouterr().out == ""
    assert write("# Uno") == ["one.ipynb", "one.new.ipynb"]
    assert "Yours is as you left it" in capsys.readouterr().out
    assert write("# Un") == ["one.ipynb", "one.new.ipynb"]  # nothing was written into the new one
    work_in(folder / "work" / "one.new.ipynb", "x = 'also mine'")
    assert write("# Ein") == ["one.ipynb", "one.new-2.ipynb", "one.new.ipynb"]
    assert write("# Ein") == ["one.ipynb", "one.new-2.ipynb", "one.new.ipynb"]
    assert mine.read_bytes() == before


def test_a_copy_that_lost_its_mark_is_taken_for_written_in(copies):
    folder, write = copies
    write("# One")
    notebook = nbformat.read(folder / "work" / "one.ipynb", as_version=4)
    del notebook.metadata["gdcourse"]
    nbformat.write(notebook, folder / "work" / "one.ipynb")
    assert write("# One") == ["one.ipynb", "one.new.ipynb"]


MYST = """\
# A title

:::{admonition} A box with `code`
:class: note
Read {cite:t}`first`, or {cite:p}`first`; see {eq}`eq-one` and {ref}`the task <ex-one>`.

$$
a \\\\
= b
$$
:::

$$
c = d
$$ (eq-one)

```python
:::{admonition} Not a box
```

:::{admonition} Folded
:class: dropdown
The {term}`mini-batch <mini-batch>`, {term}`steps <step>`, the [glossary](glossary.md#step).
:::

Word
: What it means.

:::::{grid} 1 2
:gutter: 3

::::{grid-item-card} 1 One
:link: one
:link-type: doc

Why?
::::
:::::

:::{exercise}
:label: ex-one

**Do.** It.
:::

:::{solution} ex-one
:class: dropdown

Done.
:::
"""
PLAIN = """\
# A title

> **A box with `code`**
>
> Read One et al. ([2001](https://doi.org/10.1/x%28y%29)), or ([One et al., 2001]\
(https://doi.org/10.1/x%28y%29)); see (1.1) and the task.
>
> $$ a \\\\ = b $$

$$
c = d \\tag{1.1}
$$

```python
:::{admonition} Not a box
```

<details>
<summary><b>Folded</b></summary>

The mini-batch, steps, the glossary.

</details>

Word: What it means.

- [1 One](one.ipynb): Why?
"""


def test_myst_becomes_plain_markdown(copies):
    folder, write = copies
    write(MYST)
    cells = nbformat.read(folder / "work" / "one.ipynb", as_version=4).cells
    text = re.sub(r"\n{2,}", "\n\n", cells[0].source)
    assert text == PLAIN.strip()
    assert cells[1].id == "exercise-1-1"
    assert cells[1].source == "### Exercise 1.1\n\n**Do.** It."


def test_with_solutions_they_are_folded(copies):
    folder, write = copies
    write(MYST)
    notebook = json.loads((folder / "book" / "one.ipynb").read_text())
    cells = plain.make_plain(notebook, "one", plain.Book(folder))["cells"]
    assert cells[2]["source"].startswith("<details>\n<summary><b>Solution to exercise 1.1</b>")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_copy_is_plain_and_whole(path):
    notebook = working_copy.make_student_notebook(path, BOOK)
    nbformat.validate(nbformat.from_dict(notebook))
    links = re.findall(r"\]\(([^)#]*\.ipynb)", json.dumps(notebook["cells"]))
    assert set(links) <= {chapter.name for chapter in CHAPTERS}
    prose = [plain.text_of(c) for c in notebook["cells"] if c["cell_type"] == "markdown"]
    assert RAW.findall("\n".join(prose)) == []
    assert sum(text.count("<details>") for text in prose) == sum(
        text.count("</details>") for text in prose
    )
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for name in (name for name in ids if name.startswith("exercise-")):
        assert name.replace("exercise", "answer") in ids


def test_every_exercise_with_a_check_has_its_cells():
    copies = [working_copy.make_student_notebook(path, BOOK)["cells"] for path in CHAPTERS]
    cells = {cell["id"]: cell for chapter in copies for cell in chapter}
    for name, exercise in EXERCISES.items():
        assert BOOK.numbers[exercise.label] == name
        here = name.replace(".", "-")
        assert exercise.deliver in cells[f"answer-{here}"]["source"]
        assert f'check("{name}", {exercise.deliver})' in cells[f"check-{here}"]["source"]


def test_code_that_the_page_folds_and_solutions_are_folded():
    tags = {"tags": ["hide-input"]}
    sources = [":::{solution-start} ex-a\n:::", "x = 1", ":::{solution-end}\n:::", "y = 1", "z = 1"]
    kinds = ["markdown", "code", "markdown", "code", "code"]
    cells = [
        {"cell_type": kind, "source": source, "metadata": {}}
        for kind, source in zip(kinds, sources, strict=True)
    ]
    cells[3]["metadata"] = dict(tags)
    fold_code(cells)
    assert [cell["metadata"].get("jupyter") for cell in cells] == [
        None,
        {"source_hidden": True, "outputs_hidden": True},
        None,
        {"source_hidden": True},
        None,
    ]

"""What a chapter asks of its reader, from one file each.

`book/questions/NAME.toml` holds the questions at the end of a chapter
and the guesses that it asks for before it measures. `write_cells` makes
markdown cells of them, which a page and JupyterLab show as they stand,
the answers folded; `_static/practice.js` makes them answer. The built
book carries all questions in GIFT, which Moodle and others read.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "questions"
HEADING = "## Check yourself"


@dataclass(frozen=True)
class Question:
    """What is asked, each option with its reply, and the right one."""

    ask: str
    options: list
    right: int

    def to_markdown(self, number):
        """The question, its options, and the replies, folded."""
        options = [
            f"{k}. {text}"
            for k, (text, _) in enumerate(self.options, start=1)
        ]
        replies = [
            f"- **{k}:** {reply}"
            for k, (_, reply) in enumerate(self.options, start=1)
        ]
        answer = [f"**{self.right}** is right.\n", *replies]
        return box(
            f"Question {number}",
            "gd-question",
            [self.ask, "", *options],
            "Answer",
            answer,
        )

    def to_gift(self, title):
        """For Moodle: = for right, ~ for wrong, # before a reply."""
        marks = [
            "=" if k == self.right else "~"
            for k in range(1, len(self.options) + 1)
        ]
        answers = [
            f"\t{mark}{to_plain(text)}#{to_plain(reply)}"
            for mark, (text, reply) in zip(
                marks, self.options, strict=True
            )
        ]
        return "\n".join(
            [
                f"::{title}::[markdown]{to_plain(self.ask)}{{",
                *answers,
                "}",
                "",
            ]
        )


@dataclass(frozen=True)
class Guess:
    """A number to guess before a cell, `before`, prints it.

    `found` finds it there. The slider goes by factors from `low` to
    `high`, both as the page shows them.
    """

    before: str
    ask: str
    low: str
    high: str
    unit: str
    found: str
    then: str

    def to_markdown(self, printed):
        """The question, the scale, and what was measured, folded."""
        measured = re.search(self.found, printed)[1]
        unit = self.unit and f" {self.unit}"
        question = [
            self.ask,
            "",
            f"Between **{self.low}** and **{self.high}**{unit}.",
        ]
        answer = [f"**{measured}**{unit}. {self.then}"]
        return box(
            "Before you look", "gd-guess", question, "Measured", answer
        )


def box(title, kind, lines, folded_title, folded):
    """A box with a folded one inside."""
    return "\n".join(
        [f"::::{{admonition}} {title}", f":class: {kind}", *lines, ""]
        + [
            f":::{{admonition}} {folded_title}",
            ":class: dropdown",
            *folded,
            ":::",
            "::::",
        ]
    )


def load(path):
    """The questions and the guesses of a file, in order."""
    entries = tomllib.loads(path.read_text("utf-8"))
    questions = [
        Question(**entry) for entry in entries.get("question", [])
    ]
    return questions, [
        Guess(**entry) for entry in entries.get("guess", [])
    ]


def write_cells(notebook, path):
    """Return `notebook` with just the cells that a file makes."""
    questions, guesses = load(path)
    slug = re.sub(r"^\d+_", "", path.stem).replace("_", "-")
    made = re.compile(rf"{slug}-(question|guess)-\d+")
    written = []
    for cell in notebook["cells"]:
        if made.fullmatch(cell["id"]):
            continue
        for number, guess in enumerate(guesses, start=1):
            if guess.before == cell["id"]:
                text = guess.to_markdown(read_output(cell))
                written.append(
                    markdown_cell(f"{slug}-guess-{number}", text)
                )
        written.append(cell)
        if "".join(cell["source"]) == HEADING:
            for number, question in enumerate(questions, start=1):
                text = question.to_markdown(number)
                written.append(
                    markdown_cell(f"{slug}-question-{number}", text)
                )
    return {**notebook, "cells": written}


def read_output(cell):
    """What a code cell printed."""
    return "".join(
        "".join(output.get("text", "")) for output in cell["outputs"]
    )


def markdown_cell(name, text):
    """A markdown cell as it lies in the file."""
    lines = text.splitlines(keepends=True)
    return {
        "cell_type": "markdown",
        "id": name,
        "metadata": {},
        "source": lines,
    }


def to_plain(text):
    """Formulas as in Moodle, roles and links as words, signs escaped."""
    text = re.sub(r"\{term\}`([^`<]*?)( *<[^`]*)?`", r"\1", text)
    text = re.sub(r"\{eq\}`[^`]*`", "of the chapter", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\$([^$]*)\$", r"\\\\(\1\\\\)", text)
    return re.sub(r"([{}=~#:])", r"\\\1", text)


def export():
    """All questions in GIFT, by chapter."""
    parts = []
    for path in sorted(FOLDER.glob("*.toml")):
        parts.append(f"$CATEGORY: gradient descent/{path.stem}\n")
        for number, question in enumerate(load(path)[0], start=1):
            parts.append(question.to_gift(f"{path.stem} {number}"))
    return "\n".join(parts)


def rewrite_chapters():
    """Write the cells of every chapter anew."""
    for path in sorted(FOLDER.glob("*.toml")):
        chapter = FOLDER.parent / f"{path.stem}.ipynb"
        notebook = write_cells(
            json.loads(chapter.read_text("utf-8")), path
        )
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        chapter.write_text(text, encoding="utf-8", newline="\n")


def write_export(app, exception):
    """Lay the export beside the scripts of the built book."""
    if exception is None and app.builder.format == "html":
        (Path(app.outdir) / "_static" / "questions.gift").write_text(
            export(), "utf-8"
        )


def setup(app):
    """Sphinx calls this once."""
    app.connect("build-finished", write_export)
    app.add_js_file("practice.js")
    app.add_css_file("practice.css")
    return {"parallel_read_safe": True}

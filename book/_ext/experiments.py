"""The index of experiments, read from the chapters that made them.

``book/experiments.toml`` holds claims in words, and says of each by
which assert it is held, which lines of that cell's output are its result,
and what it rests on. Everything else is read from the chapters when the
book is built, so the index cannot say another thing than they do.
"""

import ast
import json
import re
import tomllib
from functools import cache
from html import escape, unescape
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

BOOK = Path(__file__).parents[1]
TABLE = BOOK / "experiments.toml"


class Cell(NamedTuple):
    """A code cell: its source, what it prints, and where it stands."""

    source: str
    lines: list
    section: str
    in_solution: bool


def claims():
    """The rows of the table by chapter, and the numbers let pass."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return table, table.pop("numbers")


def code_cells(chapter):
    """The code cells of a chapter by their ids."""
    path = BOOK / f"{chapter}.ipynb"
    found, section, gate = {}, "", "end"
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            prose = re.sub(
                r"^(```+).*?^\1", "", source, flags=re.M | re.S
            )
            section = ([section] + re.findall(r"^#+ (.+)$", prose, re.M))[
                -1
            ]
            gate = ([gate] + re.findall(r"\{solution-(\w+)\}", source))[
                -1
            ]
        else:
            lines = [*map(str.rstrip, printed(cell["outputs"]))]
            found[cell["id"]] = Cell(
                source, lines, section, gate == "start"
            )
    return found


def printed(outputs):
    """The lines of text and the rows of tables of a cell's outputs."""
    for output in outputs:
        data = output.get("data", {})
        if output["output_type"] == "stream":
            yield from "".join(output["text"]).splitlines()
        elif "text/markdown" in data:
            for line in "".join(data["text/markdown"]).splitlines():
                yield re.sub(r"\s*\|\s*", "  ", line).strip()
        elif "Explorer" not in "".join(data.get("text/plain", "")):
            for row in "".join(data.get("text/html", "")).split("<tr>")[
                1:
            ]:
                parts = re.split(r"</t[hd]>", row.partition("</tr>")[0])
                texts = [re.sub(r"<[^>]+>", "", part) for part in parts]
                yield unescape("  ".join(texts)).replace("\xa0", " ")


@cache  # it is asked for each claim of a chapter
def asserts(source):
    """What the asserts of a cell's source hold, one text for each."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            found.append(ast.unparse(node.test))
        elif isinstance(node, ast.Call) and is_assert(node.func):
            found.append(ast.unparse(node))
    return found


def is_assert(function):
    """Tell whether a function is one of NumPy's asserts."""
    return ast.unparse(function).startswith("np.testing.assert_")


def evidence(claim, cells):
    """The cell, the assert and the result of a claim.

    The cell is the one whose assert and whose output are as the claim
    says; LookupError where there is none, or more than one.
    """
    holding = {
        name: [
            held
            for held in asserts(cell.source)
            if claim["holds"] in held
        ]
        for name, cell in cells.items()
    }
    found = []
    for name in (name for name, held in holding.items() if held):
        lines = cells[name].lines
        if claim.get("printed_elsewhere"):
            lines = [
                line for cell in cells.values() for line in cell.lines
            ]
        result = [first(lines, part) for part in claim["prints"]]
        if None not in result:
            found.append((name, holding[name][0], result))
    if len(found) == 1:
        return found[0]
    fault = "several cells hold and print" if found else "no cell holds"
    if not found and any(holding.values()):
        fault = "what is named is not printed by the cell that holds"
    raise LookupError(f"{fault} {claim['holds']!r}: {claim['claim']}")


def first(lines, part):
    """The first line with a part, or None."""
    return next((line for line in lines if part in line), None)


class Experiments(Directive):
    """The claims of one chapter, each with its evidence."""

    required_arguments = 1

    def run(self):
        chapter = self.arguments[0]
        environment = self.state.document.settings.env
        environment.note_dependency(str(TABLE))
        environment.note_dependency(str(BOOK / f"{chapter}.ipynb"))
        cells = code_cells(chapter)
        text = []
        for number, claim in enumerate(claims()[0][chapter], start=1):
            name, held, result = evidence(claim, cells)
            section = cells[name].section
            text += shown(chapter, number, claim, section, held, result)
        box = nodes.container(classes=["gd-claims"])
        source = StringList(text, source=str(TABLE))
        self.state.nested_parse(source, 0, box)
        return [box]


def shown(chapter, number, claim, section, held, result):
    """The Markdown lines of one claim."""
    title = re.sub(r"[`*]", "", section)
    anchor = nodes.make_id(nodes.fully_normalize_name(title))
    link = f'<a href="{chapter}.html#{anchor}">{escape(title)}</a>'
    cites = ",".join(claim.get("cites", []))
    cites = f" {{cite:p}}`{cites}`" if cites else ""
    lines = [f"{number}. {claim['claim']}{cites} ({link})", ""]
    if not held.startswith("np.testing."):
        held = f"assert {held}"
    lines += [f"   `{held}`", ""]
    if result:
        lines += ["   ```text", *(f"   {line}" for line in result)]
        lines += ["   ```", ""]
    return lines


def setup(app):
    """Sphinx calls this once."""
    app.add_directive("experiments", Experiments)
    return {"parallel_read_safe": True}

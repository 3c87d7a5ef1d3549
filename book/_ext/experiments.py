"""The index of experiments, read from the chapters that made them.

``book/experiments.toml`` holds claims in words, and says of each by
which assert it is held, which lines of that cell's output are its result,
and what it rests on. Everything else is read from the chapters when the
book is built, so the index cannot say another thing than they do. Every
code cell of a notebook gets an address here, for the index to lead to.
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
GAP = "  "  # between the columns of a row


class Cell(NamedTuple):
    """A code cell: its source, what it prints, and where it stands."""

    source: str
    tags: list
    lines: list
    heads: dict  # of the lines that are rows of a table
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
            lines, heads = [], {}
            for line, head in printed(cell["outputs"]):
                lines.append(line.rstrip())
                if head is not None:
                    heads.setdefault(lines[-1], head)
            found[cell["id"]] = Cell(
                source,
                cell["metadata"].get("tags", []),
                lines,
                heads,
                section,
                gate == "start",
            )
    return found


def printed(outputs):
    """The lines of text of a cell's outputs, and the rows of its tables.

    With each row comes the head of its table, with a line of text None.
    """
    for output in outputs:
        data = output.get("data", {})
        if output["output_type"] == "stream":
            for line in "".join(output["text"]).splitlines():
                yield line, None
        elif "text/markdown" in data:
            rows = "".join(data["text/markdown"]).splitlines()
            rows = [re.sub(r"\s*\|\s*", GAP, row).strip() for row in rows]
            yield from ((row, rows[0]) for row in rows)
        elif "Explorer" not in "".join(data.get("text/plain", "")):
            rows = "".join(data.get("text/html", "")).split("<tr>")[1:]
            rows = [*map(table_row, rows)]
            yield from ((row, rows[0]) for row in rows)


def table_row(html):
    """The cells of a row of a table, as a line of text."""
    parts = re.split(r"</t[hd]>", html.partition("</tr>")[0])
    texts = [re.sub(r"<[^>]+>", "", part) for part in parts]
    return unescape(GAP.join(texts)).replace("\xa0", " ").strip()


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

    The cell is the one whose tag, assert and output are as the claim
    says; LookupError where there is none, or more than one.
    """
    quoted = claim.get("holds", "")
    holding = {
        name: [held for held in asserts(cell.source) if quoted in held]
        for name, cell in cells.items()
        if "tag" not in claim or claim["tag"] in cell.tags
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
    sought = " ".join(
        f"{key} {claim[key]!r}"
        for key in ("tag", "holds")
        if key in claim
    )
    raise LookupError(f"{fault}, {sought}: {claim['claim']}")


def shares(rows, cells):
    """The evidence of each claim, with every assert that is its share.

    An assert that no claim names belongs to the claims of its cell: it
    stands with the last of them that is named before it. So each assert
    of a cell with a claim is shown once.
    """
    found = [list(evidence(row, cells)) for row in rows]
    held = [[assertion] for _, assertion, _ in found]
    for cell in {name: None for name, *_ in found}:
        claims = [k for k, (name, *_) in enumerate(found) if name == cell]
        named = {found[k][1]: k for k in claims}
        share = claims[0]
        for assertion in asserts(cells[cell].source):
            share = named.get(assertion, share)
            if assertion not in held[share] and assertion not in named:
                held[share].append(assertion)
    return [
        (name, mine, result)
        for (name, _, result), mine in zip(found, held, strict=True)
    ]


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
        rows = claims()[0][chapter]
        found = shares(rows, cells)
        text = []
        for number, claim in enumerate(rows, start=1):
            name, held, result = found[number - 1]
            text += shown(
                chapter, number, claim, name, cells, held, result
            )
        box = nodes.container(classes=["gd-claims"])
        source = StringList(text, source=str(TABLE))
        self.state.nested_parse(source, 0, box)
        for number, item in enumerate(box.findall(nodes.list_item), 1):
            item["ids"].append(f"claim-{chapter}-{number}")
            if "published" in rows[number - 1]:
                item["classes"].append("gd-published")
        return [box]


def shown(chapter, number, claim, name, cells, held, result):
    """The Markdown lines of one claim."""
    title = re.sub(r"[`*]", "", cells[name].section)
    link = f'<a href="{chapter}.html#{address(name)}">{escape(title)}</a>'
    cites = ",".join(claim.get("cites", []))
    cites = f" {{cite:p}}`{cites}`" if cites else ""
    lines = [f"{number}. {claim['claim']}{cites} ({link})", ""]
    code = [
        each if each.startswith("np.testing.") else f"assert {each}"
        for each in held
    ]
    lines += [
        "   ```python",
        *(f"   {line}" for line in code),
        "   ```",
        "",
    ]
    if result:
        lines += ["   ```text"]
        heads = (
            {} if claim.get("printed_elsewhere") else cells[name].heads
        )
        if claim.get("printed_elsewhere"):
            for cell in cells.values():
                heads = cell.heads | heads
        lines += [f"   {line}" for line in set_out(result, heads)]
        lines += ["   ```", ""]
    if "published" in claim:
        lines += [f"   Published: {claim['published']}", ""]
    return lines


def set_out(result, heads):
    """The lines of a result, rows of a table in columns, with heads."""
    in_tables = [line for line in result if line in heads]
    if not in_tables:
        return result
    head = heads[in_tables[0]]
    rows = [head, *(line for line in in_tables if line != head)]
    rows = [re.sub(r"\$", "", row).split(GAP) for row in rows]
    n_columns = max(map(len, rows))
    rows = [[""] * (n_columns - len(row)) + row for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        GAP.join(map(str.ljust, row, widths)).rstrip() for row in rows
    ]
    return lines + [line for line in result if line not in heads]


def address(cell_id):
    """The anchor of a cell on the page of its chapter."""
    return f"cell-{cell_id}"


def give_addresses(app, doctree):
    """Let each code cell of a notebook be linked to."""
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix != ".ipynb":
        return
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for node in doctree.findall(nodes.container):
        if node.get("nb_element") == "cell_code":
            node["ids"].append(address(cells[node["cell_index"]]["id"]))


def add_filter(app, page, template, context, doctree):
    """Load the script of the filter on the page that has one."""
    if page == "book/experiments":
        app.add_js_file("claims.js")


def setup(app):
    """Sphinx calls this once."""
    app.add_directive("experiments", Experiments)
    app.connect("doctree-read", give_addresses)
    app.connect("html-page-context", add_filter)
    return {"parallel_read_safe": True}

"""A chapter in plain Markdown, for viewers that know neither MyST nor the rest of the book.

Boxes become quotations, and folded ones `<details>`. A number, a citation or a term of the
glossary becomes the words that the built page shows, since what it leads to lies in another file.
"""

import json
import re
from collections import Counter
from html import escape

from pybtex.database import parse_file
from pybtex.richtext import Text
from sphinx_external_toc.parsing import parse_toc_yaml

from tools.solutions import fold_code

FENCE = re.compile(r"(?P<fence>:{3,}|`{3,})(?:\{(?P<name>[\w-]+)\} *(?P<title>.*)|\w*)")
OPTION = re.compile(r":([\w-]+): *(.*)")
FORMULA = re.compile(r"\$\$(?P<formula>[^$]+?)\s*\$\$(?: *\((?P<label>[\w-]+)\))?")
EXERCISE = re.compile(r"^(?::{3,}|`{3,})\{exercise\}.*\n:label: *(\S+)", re.M)
ROLE = re.compile(r"\{(?P<role>[\w:-]+)\}`(?P<text>[^`<]*?)(?: *<(?P<target>[^`>]+)>)?`")
DEFINED = re.compile(r"^(?=\S)(.+)\n: +", re.M)
DOWNLOAD = re.compile(r"<a [^>]*download>(.*?)</a>")
PAGE = re.compile(r"(?<!!)\[(?P<words>[^\]]+)\]\((?!https?:)(?P<file>[^)#\s]+)[^)\s]*\)")


class Book:
    """What the notebooks below `root` say of one another: numbers, and works they cite.

    `copied` names those that make sense alone: the first page and the numbered chapters.
    """

    def __init__(self, root):
        self.works = parse_file(root / "book" / "references.bib").entries
        self.numbers, self.homes = {}, {}
        chapters, first = number_chapters(root / "_toc.yml")
        self.copied = {first, *chapters}
        counts = Counter()
        for path in sorted((root / "book").glob("*.ipynb")):  # a chapter, then its deeper page
            cells = json.loads(path.read_text("utf-8"))["cells"]
            text = "\n".join(text_of(cell) for cell in cells if cell["cell_type"] == "markdown")
            chapter = chapters.get(path.stem, path.stem)
            prefix = f"{chapter}." if path.stem in chapters else ""
            equations = [found["label"] for found in FORMULA.finditer(text) if found["label"]]
            figures = [figure["name"] for cell in cells if (figure := figure_of(cell))]
            for kind, labels in enumerate((EXERCISE.findall(text), equations, figures)):
                for label in labels:
                    counts[chapter, kind] += 1
                    self.numbers[label] = f"{prefix}{counts[chapter, kind]}"
                    self.homes[label] = path.stem

    def cite(self, keys, in_text):
        """Return the citation of the works with these keys, each with its address."""
        found = []
        for work in (self.works[key.strip()] for key in keys.split(",")):
            names = [str(Text.from_latex(" ".join(p.last_names))) for p in work.persons["author"]]
            author = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
            address = work.fields.get("url") or f"https://doi.org/{work.fields['doi']}"
            address = address.replace("(", "%28").replace(")", "%29")
            year = work.fields["year"]
            in_brackets = f"[{author}, {year}]({address})"
            found.append(f"{author} ([{year}]({address}))" if in_text else in_brackets)
        return ", ".join(found) if in_text else f"({'; '.join(found)})"

    def name(self, label, text, page):
        """Return the words for an exercise or figure, on the page given; elsewhere with a link."""
        kind = "Figure" if label.startswith("fig-") else "Exercise"
        words = text or f"{kind} {self.numbers[label]}"
        return words if self.homes[label] == page else f"[{words}]({self.homes[label]}.ipynb)"


def text_of(cell):
    """Return the source of a cell as one text."""
    return "".join(cell["source"])


def figure_of(cell):
    """Return the caption and the name of what a cell draws, or None."""
    return cell["metadata"].get("mystnb", {}).get("figure")


def number_chapters(toc):
    """Return the chapters' numbers by their names, since the parts count on, and the first page.

    A page below a chapter has the number of the chapter.
    """
    site = parse_toc_yaml(toc)
    items = [item for tree in site.root.subtrees if tree.numbered for item in tree.items]
    numbers = {}
    for number, item in enumerate(items, start=1):
        for page in (item, *(below for tree in site[item].subtrees for below in tree.items)):
            numbers[page.rpartition("/")[2]] = number
    return numbers, site.root.docname.rpartition("/")[2]


def make_plain(notebook, page, book):
    """Return the `notebook` of the page named with its prose in plain Markdown.

    Each exercise has a cell of its own, with the id ``exercise-`` and its number. Code that the
    page folds is folded, and so are solutions, with what they print.
    """
    writer, cells = Writer(page, book), []
    fold_code(notebook["cells"])
    for cell in notebook["cells"]:
        metadata = {key: value for key, value in cell["metadata"].items() if key != "mystnb"}
        if cell["cell_type"] == "markdown":
            for count, (number, text) in enumerate(writer.write_cell(text_of(cell))):
                name = f"exercise-{number.replace('.', '-')}" if number else cell["id"]
                name += f"-{count}" if count and not number else ""
                cells.append({**cell, "id": name, "metadata": metadata, "source": text})
            continue
        cells.append({**cell, "metadata": metadata})
        if figure := figure_of(cell):
            cells.append(writer.write_caption(cell["id"], figure))
    return {**notebook, "cells": cells}


class Writer:
    """Writes the prose of one page; `solved` is the number of the exercise it now solves, or ""."""

    def __init__(self, page, book):
        self.page, self.book, self.solved = page, book, ""

    def write_cell(self, text):
        """Return the parts of a cell of prose, each with the number of its exercise or ""."""
        parts, gathered = [], []

        def end_part(number=""):
            text = "\n".join(gathered).strip("\n")
            if text and self.solved:
                text = fold(f"Solution to exercise {self.solved}", text)
            if text:
                parts.append((number, text))
            gathered.clear()

        for name, title, options, body in split(text.split("\n")):
            if name == "exercise":
                end_part()
                number = self.book.numbers[options["label"]]
                heading = f"### Exercise {number}" + (f": {title}" if title else "")
                gathered += [heading, "", *"\n".join(self.write(body)).strip("\n").split("\n")]
                end_part(number)
            elif name in ("solution-start", "solution-end"):
                end_part()
                self.solved = self.book.numbers[title] if title else ""
            else:
                gathered += self.write_block(name, title, options, body)
        end_part()
        return parts

    def write(self, lines):
        """Return the plain lines for some lines of MyST."""
        return [line for block in split(lines) for line in self.write_block(*block)]

    def write_block(self, name, title, options, body):
        """Return the plain lines of one block: text, code, a table or a box."""
        if name == "":
            return self.write_text("\n".join(body)).split("\n")
        if name == "code":
            return body
        if name == "list-table":
            return write_table([self.write_text(line) for line in body])
        if name in ("div", "grid"):
            return self.write(body)
        if name == "button-ref":
            return []
        if name == "grid-item-card":
            link = self.write_text(f"[{title}]({options['link']}.ipynb)")
            return [f"- {link}: {' '.join(self.write(body)).strip()}"]
        title = self.write_text(title) or name.capitalize()
        if name == "solution":
            title = f"Solution to exercise {self.book.numbers[title]}"
        text = "\n".join(self.write(body)).strip("\n")
        if name in ("solution", "dropdown") or "dropdown" in options.get("class", ""):
            return fold(title, text).split("\n")
        if "<details>" in text:  # not every viewer opens a fold inside a quotation
            return [f"**{title}**", "", *text.split("\n"), ""]
        # The mark of a quotation must not get into a formula.
        text = FORMULA.sub(lambda found: " ".join(found[0].split("\n")), text)
        lines = [f"**{title}**", "", *text.split("\n")]
        return [f"> {line}".rstrip() for line in lines] + [""]

    def write_text(self, text):
        """Return prose without roles, labels of formulas, and links to other pages and files."""
        text = DEFINED.sub(r"\1: ", FORMULA.sub(self.write_formula, text))
        text = DOWNLOAD.sub(r"\1", text)
        return PAGE.sub(self.write_link, ROLE.sub(self.write_role, text))

    def write_formula(self, found):
        """Return a displayed formula with its number in place of its label."""
        if not found["label"]:
            return found[0]
        return f"$${found['formula']} \\tag{{{self.book.numbers[found['label']]}}}\n$$"

    def write_caption(self, drawn_by, figure):
        """Return the cell that follows a figure: its number and its caption."""
        text = f"Figure {self.book.numbers[figure['name']]}: {self.write_text(figure['caption'])}"
        if self.solved:
            text = fold(f"Solution to exercise {self.solved}", text)
        name = f"{drawn_by}-caption"
        return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}

    def write_link(self, found):
        """Return a link to another chapter, and the words alone of any other page."""
        name = found["file"].removesuffix(".ipynb")
        return found[0] if name in self.book.copied else found["words"]

    def write_role(self, found):
        """Return the words that the page shows for a role."""
        role, text, target = found["role"], found["text"].strip(), found["target"]
        if role in ("cite:t", "cite:p"):
            return self.book.cite(text, role == "cite:t")
        if role == "eq":
            return f"({self.book.numbers[text]})"
        if role in ("ref", "numref"):
            return self.book.name(target or text, text if target else "", self.page)
        return text


def split(lines):
    """Yield the blocks of some lines of MyST: a name ("" for text), a title, options, a body."""
    text, lines = [], iter(lines)
    for line in lines:
        opens = FENCE.fullmatch(line.rstrip())
        if not opens:
            text.append(line)
            continue
        yield "", "", {}, text
        text, options, body = [], {}, []
        for inner in lines:
            if inner.strip() == opens["fence"]:
                break
            option = None if body else OPTION.fullmatch(inner)
            if option and opens["name"]:
                options[option[1]] = option[2]
            else:
                body.append(inner)
        if opens["name"]:
            yield opens["name"], opens["title"], options, body
        else:
            yield "code", "", {}, [line, *body, opens["fence"]]
    yield "", "", {}, text


def fold(title, text):
    """Return the text in a fold that opens at its title."""
    title = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(title, quote=False))
    return f"<details>\n<summary><b>{title}</b></summary>\n\n{text}\n\n</details>\n"


def write_table(lines):
    """Return a list of lists as a table, its first row as the head."""
    rows = [row.split("\n") for row in re.split(r"^\* ", "\n".join(lines), flags=re.M)[1:]]
    cells = [[line.strip().removeprefix("- ") for line in row if line.strip()] for row in rows]
    table = [f"| {' | '.join(row)} |" for row in cells]
    return [table[0], "|" + "---|" * len(cells[0]), *table[1:], ""]

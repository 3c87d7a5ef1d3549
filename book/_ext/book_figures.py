"""Figures on a page: their code below them, and their size known.

With its size known a picture may come late without moving the text.
"""

import re
from pathlib import Path

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from PIL import Image


def setup(app):
    """Sphinx calls this once."""
    app.connect("doctree-resolved", furnish)
    app.connect("html-page-context", state_sizes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def furnish(app, doctree, page):
    """Move the folds of code, and say of each picture its size."""
    for fold in list(doctree.findall(HideCodeCellNode)):
        cell = fold.parent
        if any(cell.findall(nodes.figure)):
            fold["prompt_show"] = "Code of this figure"
            fold["prompt_hide"] = "Code of this figure"
            cell.remove(fold)
            cell.append(fold)
    for picture in doctree.findall(nodes.image):
        if picture["uri"].endswith(".png"):
            with Image.open(Path(app.srcdir) / picture["uri"]) as image:
                width, height = image.size
            picture["width"], picture["height"] = str(width), str(height)
            picture["loading"] = "lazy"


STYLE = re.compile(r'style="width: (\d+)px; height: (\d+)px;"')


def state_sizes(app, pagename, templatename, context, doctree):
    """Make the sizes attributes, which give way to a narrow page."""
    if "body" in context:
        context["body"] = STYLE.sub(
            r'width="\1" height="\2"', context["body"]
        )

"""Give the card of a chapter its first picture and its reading time.

A card of the class ``gd-chapter`` links to a chapter. The picture is
the file that the chapter itself shows, so the book has it only once.
"""

import base64
import hashlib
import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref

BOOK = Path(__file__).parents[1]
PICTURE = (
    '<img class="sd-card-img-top" alt="" aria-hidden="true" '
    'loading="lazy" src="{}">'
)
TIME = '<p class="gd-minutes">{} minutes</p>'


def setup(app):
    """Sphinx calls this once."""
    app.connect("doctree-read", furnish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def furnish(app, doctree):
    """Put picture and time into the cards of a page."""
    for card in doctree.findall(nodes.container):
        if "gd-chapter" in card["classes"]:
            (link,) = card.findall(pending_xref)
            body = card[0]
            chapter = BOOK / f"{link['reftarget']}.ipynb"
            cells = json.loads(chapter.read_text("utf-8"))["cells"]
            if name := first_picture(cells):
                picture = PICTURE.format(f"../_images/{name}.png")
                card.insert(0, nodes.raw("", picture, format="html"))
            if minutes := reading_time(cells):
                time = TIME.format(minutes)
                body.append(nodes.raw("", time, format="html"))


def first_picture(cells):
    """Return the name that MyST-NB gives to the first picture, if any."""
    pictures = (
        output["data"]["image/png"]
        for cell in cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    )
    first = next(pictures, None)
    return first and hashlib.sha256(base64.b64decode(first)).hexdigest()


def reading_time(cells):
    """Return the minutes that the box of a chapter states, or None."""
    text = "\n".join("".join(cell["source"]) for cell in cells)
    stated = re.search(r"\*\*Reading time:\*\* (\d+) minutes", text)
    return stated and stated[1]

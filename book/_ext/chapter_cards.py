"""Give the card of a chapter its first picture and its reading time.

A card of the class ``gd-chapter`` links to a chapter. The picture is
the file that the chapter itself shows, so the book has it only once.
"""

import base64
import hashlib
import json
import re
from pathlib import Path

from book_figures import SVG, THEMES, name_svg
from docutils import nodes
from sphinx.addnodes import pending_xref

BOOK = Path(__file__).parents[1]
PICTURE = (
    '<img class="sd-card-img-top {}" alt="" aria-hidden="true" '
    'loading="lazy" src="../_images/{}">'
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
                of_both = THEMES if name.endswith("svg") else [("", "")]
                pictures = "".join(
                    PICTURE.format(theme, name + palette)
                    for theme, palette in of_both
                )
                card.insert(0, nodes.raw("", pictures, format="html"))
            if minutes := reading_time(cells):
                time = TIME.format(minutes)
                body.append(nodes.raw("", time, format="html"))


def first_picture(cells):
    """Return the file name that the book gives the first picture."""
    for cell in cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if SVG in data:
                return f"{name_svg(data[SVG])}.svg"
            if "image/png" in data:
                picture = base64.b64decode(data["image/png"])
                return f"{hashlib.sha256(picture).hexdigest()}.png"
    return None


def reading_time(cells):
    """Return the minutes that the box of a chapter states, or None."""
    text = "\n".join("".join(cell["source"]) for cell in cells)
    stated = re.search(r"\*\*Reading time:\*\* (\d+) minutes", text)
    return stated and stated[1]

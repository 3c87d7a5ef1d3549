"""Figures on a page: their code below them, their size, their colours.

A figure that a notebook keeps as SVG comes in two layouts, the second
for a narrow page. Each file knows two palettes: an address that ends
in ``#night`` chooses the dark one. A figure that is kept as pixels is
told its size, so that it may come late without moving the text.
"""

import colorsys
import functools
import hashlib
import json
import re
from html import escape
from pathlib import Path

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from PIL import Image

BOOK = Path(__file__).parents[1]
SVG = "image/svg+xml"
NARROW = "image/vnd.gdcourse.narrow+svg"
POINT = 1.6  # pixels of a page
PHONE = "(max-width: 700px)"
# The variants, as bright as in figures that move; paper is the page.
NIGHT = {
    "#ffffff": "#121212",
    "#0072b2": "#4ea8de",
    "#009e73": "#2fc79a",
    "#d55e00": "#f28534",
}


def setup(app):
    """Sphinx calls this once."""
    app.connect("doctree-resolved", furnish)
    app.connect("html-page-context", state_sizes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def furnish(app, doctree, page):
    """Move the folds of code, and put in the pictures."""
    for fold in list(doctree.findall(HideCodeCellNode)):
        cell = fold.parent
        if any(cell.findall(nodes.figure)):
            fold["prompt_show"] = "Code of this figure"
            fold["prompt_hide"] = "Code of this figure"
            cell.remove(fold)
            cell.append(fold)
    for picture in list(doctree.findall(nodes.image)):
        path = Path(app.srcdir) / picture["uri"]
        if path.suffix == ".png":
            with Image.open(path) as image:
                width, height = image.size
            picture["width"], picture["height"] = str(width), str(height)
            picture["loading"] = "lazy"
        elif path.suffix == ".svg" and app.builder.format == "html":
            images = Path(app.outdir) / "_images"
            images.mkdir(exist_ok=True)
            picture.replace_self(place(picture, path, page, images))


def place(picture, path, page, images):
    """Write an SVG in its layouts; return what stands for it."""
    text, name = path.read_text("utf-8"), path.stem
    up = "../" * page.count("/") + "_images/"
    small = narrow_layouts(BOOK).get(name)
    files = {name: text} | ({f"{name}-narrow": small} if small else {})
    for stem, content in files.items():
        (images / f"{stem}.svg").write_text(add_night(content), "utf-8")
    alt = escape(picture.get("alt", ""))
    width, height = size_of(text)
    as_it_is = "gd-as-it-is" in picture["classes"]
    both = [("gd-always", "")] if as_it_is else THEMES
    lines = [f'<a class="image-reference" href="{up}{name}.svg">']
    for theme, palette in both:
        lines.append(f'<picture class="{theme}">')
        if small:
            wide, high = size_of(small)
            lines.append(
                f'<source media="{PHONE}" width="{wide}" height="{high}"'
                f' srcset="{up}{name}-narrow.svg{palette}">'
            )
        classes = ' class="gd-as-it-is"' if as_it_is else ""
        lines.append(
            f'<img{classes} alt="{alt}" width="{width}" loading="lazy" '
            f'height="{height}" src="{up}{name}.svg{palette}"></picture>'
        )
    return nodes.raw("", "".join([*lines, "</a>"]), format="html")


THEMES = [("gd-day", ""), ("gd-night", "#night")]


@functools.cache
def narrow_layouts(book):
    """Return the narrow layouts by the names of the wide ones."""
    cells = (
        cell
        for path in book.glob("*.ipynb")
        for cell in json.loads(path.read_text("utf-8"))["cells"]
    )
    drawn = [
        output["data"]
        for cell in cells
        for output in cell.get("outputs", [])
        if NARROW in output.get("data", {})
    ]
    return {name_svg(data[SVG]): "".join(data[NARROW]) for data in drawn}


def name_svg(text):
    """Return the name that MyST-NB gives to the file of an SVG."""
    lines = "".join(text).splitlines()
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def size_of(text):
    """Return the width and height of an SVG on a page, in pixels."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    return [round(POINT * float(side)) for side in box.groups()]


STYLE = re.compile(r"(fill|stroke): (#[0-9a-f]{6})")


def add_night(text):
    """Give an SVG a second palette, for addresses ending in #night."""
    rules = ["svg:target{fill:#e8e8e8}"]  # what says no colour is black
    for kind, day in sorted(set(STYLE.findall(text))):
        where = f'svg:target [style*="{kind}: {day}"]'
        rules.append(f"{where}{{{kind}:{darken(day)}!important}}")
    start, end = text.split("</defs>", 1)
    style = f"<style>{''.join(rules)}</style>"
    return start.replace("<svg ", '<svg id="night" ', 1) + (
        f"{style}</defs>{end}"
    )


def darken(colour):
    """Return what stands at night for a colour: its hue, turned round.

    Black becomes almost white, and what is pale on white is dark.
    """
    if colour in NIGHT:
        return NIGHT[colour]
    parts = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    hue, light, rich = colorsys.rgb_to_hls(*parts)
    turned = colorsys.hls_to_rgb(hue, 0.93 - 0.86 * light, 0.8 * rich)
    return "#" + "".join(f"{round(255 * part):02x}" for part in turned)


TAG = re.compile(r'style="width: (\d+)px; height: (\d+)px;"')


def state_sizes(app, pagename, templatename, context, doctree):
    """Make the sizes attributes, which give way to a narrow page."""
    if "body" in context:
        context["body"] = TAG.sub(
            r'width="\1" height="\2"', context["body"]
        )

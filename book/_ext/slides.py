"""Slides for one lecture a chapter, made of the chapter itself.

`book/slides.toml` names by their labels what a lecture shows. A figure
brings its message and its picture, or moves as on its page; a formula
brings the sentence that leads to it; questions and guesses answer. So
no sentence and no number is written twice. reveal.js, from npm, turns
the page `slides-NAME.html` into slides.
"""

import shutil
import tomllib
from collections import Counter
from pathlib import Path

from docutils import nodes
from offline_python import NODE_MODULES
from sphinx.errors import ExtensionError

DECKS = tomllib.loads(
    (Path(__file__).parents[1] / "slides.toml").read_text("utf-8")
)
REVEAL = NODE_MODULES / "reveal.js"
TEXT = (nodes.paragraph, nodes.bullet_list, nodes.enumerated_list)
shown = {}  # by deck and label: the title and the body of a slide
counts = Counter()  # of questions and guesses so far, by deck and kind


def setup(app):
    """Tell Sphinx when to look for what is shown, and when to bind it."""
    app.connect("html-page-context", gather, priority=502)
    app.connect("html-collect-pages", bind)
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True}


def gather(app, pagename, templatename, context, doctree):
    """Keep what slides show of a page; lead from a chapter to them."""
    for deck, labels in DECKS.items():
        if doctree is None or pagename[:8] != f"book/{deck[:3]}":
            continue
        for label, node in find(doctree, deck, labels):
            shown.setdefault((deck, label), make_slide(app, node))
        if pagename == f"book/{deck}":
            goals = find_goals(doctree)
            shown[deck, "title"] = context["title"]
            shown[deck, "goals"] = render(app, *goals)
            offer(context, deck)


def find(doctree, deck, labels):
    """Yield what a page has of the labels, and the nodes they name.

    Questions and guesses are counted from the chapter on, through the
    pages that go with it, as these are written.
    """
    for node in doctree.findall(nodes.Element):
        names = [*node.get("ids", ()), node.get("label")]
        for kind in ("question", "guess"):
            if f"gd-{kind}" in node.get("classes", ()):
                counts[deck, kind] += 1
                names.append(f"{kind} {counts[deck, kind]}")
        if not isinstance(node, nodes.target):
            yield from ((name, node) for name in names if name in labels)


def find_goals(doctree):
    """Return what the box at the top of a chapter promises."""
    for box in doctree.findall(nodes.admonition):
        if "You will learn to" in box.astext():
            return [node for node in box if isinstance(node, TEXT)][:2]
    return []


def make_slide(app, node):
    """Return the title of a slide and its body."""
    if isinstance(node, nodes.figure):
        figure = node.deepcopy()
        message = figure.next_node(nodes.caption).next_node(nodes.strong)
        message.parent.remove(message)
        return render_inline(app, message), render(app, figure)
    if isinstance(node, nodes.math_block):
        section = node.parent
        before = [
            other
            for other in section[: section.index(node)]
            if not isinstance(other, nodes.target)
        ]
        lead = [other for other in before[-1:] if isinstance(other, TEXT)]
        title = section.next_node(nodes.title)
        return render_inline(app, title), render(app, *lead, node)
    title = node.next_node(nodes.title)
    if isinstance(node, nodes.section):
        text = [other for other in node if isinstance(other, TEXT)]
        return render_inline(app, title), render(app, *text)
    box = node.deepcopy()
    box.remove(box.next_node(nodes.title))
    return render_inline(app, title), render(app, box)


def render(app, *content):
    """Return nodes as HTML that may stand beside the page."""
    text = "".join(
        app.builder.render_partial(node.deepcopy())["fragment"]
        for node in content
    )
    page = app.builder.current_docname.split("/")[-1]
    return text.replace('href="#', f'href="{page}.html#')


def render_inline(app, node):
    """Return what stands in a title or a message as HTML."""
    return render(app, nodes.inline("", "", *node.deepcopy().children))


def offer(context, deck):
    """Put a link to the slides into the header of their chapter."""
    button = {
        "type": "link",
        "url": f"slides-{deck}.html",
        "tooltip": "Slides of this chapter",
        "icon": "fas fa-person-chalkboard",
        "label": "slides-button",
    }
    context["header_buttons"].insert(0, button)


def bind(app):
    """Yield a page of slides for each chapter."""
    for deck, labels in DECKS.items():
        if f"book/{deck}" not in app.env.found_docs:
            continue  # a part of the book
        lost = [label for label in labels if (deck, label) not in shown]
        if lost:
            raise ExtensionError(
                f"book/slides.toml asks for {', '.join(lost)}, which no"
                f" page of {deck} has: name what is there."
            )
        context = {
            "chapter": f"{deck}.html",
            "title": shown[deck, "title"],
            "goals": shown[deck, "goals"],
            "slides": [(label, *shown[deck, label]) for label in labels],
            "mathjax": app.config.mathjax3_config,
        }
        yield f"book/slides-{deck}", context, "slides.html"


def copy(app, exception):
    """Put reveal.js into the built book."""
    if exception is None and app.builder.format == "html":
        target = Path(app.outdir) / "_static" / "reveal"
        target.mkdir()
        shutil.copy(REVEAL / "LICENSE", target)
        for name in ("reveal.js", "reveal.css"):
            shutil.copy(REVEAL / "dist" / name, target)

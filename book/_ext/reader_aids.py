"""What helps a reader along, made when the pages are built.

A description of each page, for those who share it and for engines; the
terms of the glossary, for the cards that ``terms.js`` shows; and no
file that no page asks for.
"""

import json
import shutil
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup
from docutils import nodes

UNUSED = ("**/*.map", "locales", "images/logo_*", "webpack-macros.html")
TAGS = """
<meta name="description" content="{text}">
<meta property="og:type" content="article">
<meta property="og:title" content="{title}">
<meta property="og:description" content="{text}">
"""


def setup(app):
    """Sphinx calls this once."""
    app.connect("html-page-context", describe)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def describe(app, pagename, templatename, context, doctree):
    """Say in the head of a page what its first paragraph says."""
    if doctree is None:
        return
    texts = (node.astext() for node in doctree.findall(nodes.paragraph))
    text = " ".join(next(texts, "").replace("\\", "").split())
    if len(text) > 200:
        text = text[:200].rsplit(" ", 1)[0] + " …"
    title = BeautifulSoup(context["title"], "html.parser").get_text()
    context["metatags"] += TAGS.format(
        text=escape(text), title=escape(title)
    )


def finish(app, exception):
    """Write the terms, and take away what no page asks for."""
    if exception is not None or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    for pattern in UNUSED:
        for path in list(static.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = Path(app.outdir, "book", "glossary.html")
    terms = read_terms(page.read_text("utf-8")) if page.exists() else {}
    text = json.dumps(terms, ensure_ascii=False)
    script = f"globalThis.gdTerms = {text};"
    (static / "glossary_terms.js").write_text(script, "utf-8")


def read_terms(text):
    """Return the meaning of each term by the id of its entry."""
    found = {}
    for term in BeautifulSoup(text, "html.parser").select(
        "dl.glossary dt"
    ):
        meaning = term.find_next_sibling("dd")
        for link in meaning("a"):
            link.unwrap()
        found[term["id"]] = meaning.decode_contents().strip()
    return found

"""What helps a reader along, made when the pages are built.

A description of each page, for those who share it and for engines; the
terms of the glossary, for the cards that ``terms.js`` shows; and no
file that no page asks for.
"""

import json
import re
import shutil
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup
from docutils import nodes

UNUSED = ("**/*.map", "locales", "images/logo_*", "webpack-macros.html")
# A server shows the page for any address, and does not know at which
# the book begins: in the folder of the last /book/, or of the page.
BASE = """
<script>
  const base = document.createElement("base");
  base.href = location.pathname.replace(/(book\\/.*|[^/]*)$/, "404.html");
  document.currentScript.after(base);
</script>
"""
# The theme asks for storage unguarded, before any other script. Where it
# is forbidden or full, what is written lasts as long as the page.
STORAGE = """
<script>
{
  const stored = {};
  const instead = {
    getItem: (name) => stored[name] ?? null,
    setItem: (name, text) => { stored[name] = text; },
    removeItem: (name) => { delete stored[name]; },
  };
  const { get } = Object.getOwnPropertyDescriptor(window, "localStorage");
  Object.defineProperty(window, "localStorage", {
    get() { try { return get.call(window); } catch { return instead; } },
  });
  const { setItem } = Storage.prototype;
  Storage.prototype.setItem = function (...given) {
    try { setItem.apply(this, given); } catch { /* it is full */ }
  };
}
</script>
"""
# A script may run when the page has been read; and all that searches is
# for the page of the search alone.
BLOCKING = re.compile(
    r"<script (?=[^>]*src=)(?![^>]*(defer|async|type=|_options))"
)
SEARCHING = re.compile(
    r"<script [^>]*(searchtools|language_data|searchindex)\.js[^>]*>"
    r"</script>\n?"
)
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
    """Say in the head of a page what it teaches, or how it begins."""
    context["metatags"] = context.get("metatags", "") + STORAGE
    if pagename == "404":
        context["metatags"] += BASE
    if doctree is None:
        return
    texts = (
        " ".join(node.astext().split())
        for node in doctree.findall(nodes.paragraph)
        if isinstance(node.parent, nodes.section | nodes.definition)
    )
    text = learning_goals(doctree) or next(filter(is_sentence, texts), "")
    if len(text) > 200:
        text = text[:200].rsplit(" ", 1)[0] + " …"
    title = BeautifulSoup(context["title"], "html.parser").get_text()
    context["metatags"] += TAGS.format(
        text=escape(text), title=escape(title)
    )


def learning_goals(doctree):
    """Return what the box at the top of a chapter promises, or ""."""
    for box in doctree.findall(nodes.admonition):
        if "You will learn to" in box.astext():
            goals = box.next_node(nodes.bullet_list).astext()
            return f"You will learn to {' '.join(goals.split())}"
    return ""


def is_sentence(text):
    """Tell whether a paragraph stands alone, without a formula."""
    return len(text) > 50 and "\\" not in text


def finish(app, exception):
    """Write the terms; take away what no page asks for, or waits for."""
    if exception is not None or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    for pattern in UNUSED:
        for path in list(static.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = Path(app.outdir, "book", "glossary.html")
    found = read_terms(page.read_text("utf-8")) if page.exists() else {}
    for path in [*page.parent.glob("*.html"), static.parent / "404.html"]:
        if path.exists() and not path.name.startswith("slides-"):
            text = SEARCHING.sub("", path.read_text("utf-8"))
            text = BLOCKING.sub("<script defer ", text)
            path.write_text(text, "utf-8")
    text = (
        f"globalThis.gdTerms = {json.dumps(found, ensure_ascii=False)};"
    )
    (static / "glossary_terms.js").write_text(text, "utf-8")


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

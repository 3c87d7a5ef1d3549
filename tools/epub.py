"""The built book as an ePub: formulas become MathML in a browser, moving figures stand still."""

import re
import zipfile
from datetime import UTC, datetime
from html import escape
from uuid import NAMESPACE_URL, uuid5

import gdcourse
from tools.paper import write_book

# What the page shows, as XHTML that needs no script: formulas as MathML, pictures of the figures
# that move, links between the pages that are there, and nothing to click on.
TAKE = """async names => {
    await window.MathJax?.startup.promise;  // a page without formulas has none
    const article = document.querySelector("article.bd-article");
    for (const formula of window.MathJax?.startup.document.math ?? []) {
        const holder = document.createElement("span");
        holder.innerHTML = MathJax.startup.toMML(formula.root);
        const math = holder.firstElementChild;
        for (const node of [math, ...math.querySelectorAll("*")])
            for (const {name} of [...node.attributes])
                if (/^(data-|class|style)/.test(name) || /^-tex/.test(node.getAttribute(name)))
                    node.removeAttribute(name);
        formula.typesetRoot.replaceWith(math);
    }
    for (const [number, picture] of [...article.querySelectorAll(".gd-picture")].entries()) {
        const still = document.createElement("img");
        still.src = `STILL${number}.png`;
        still.alt = picture.querySelector("svg").getAttribute("aria-label");
        picture.replaceChildren(still);
    }
    const dead = "script, style, template, button, input, select, textarea, form, label, output,"
        + "iframe, svg, .headerlink, .gd-controls, [hidden], summary .expanded";
    for (const node of article.querySelectorAll(dead)) node.remove();
    for (const node of article.querySelectorAll("details")) node.open = true;
    for (const node of article.querySelectorAll(":is(span, summary) p"))
        node.replaceWith(...node.childNodes);
    for (const node of article.querySelectorAll("[id]"))
        if (document.getElementById(node.id) !== node) node.removeAttribute("id");
    for (const node of [article, ...article.querySelectorAll("*:not(math, math *)")])
        for (const {name} of [...node.attributes])
            if (/^(align|valign|border|width|height|role|tabindex|style|aria-(?!label$).*|on.*)$/
                .test(name)) node.removeAttribute(name);
    for (const link of article.querySelectorAll("a")) {
        const found = /^(?:(\\w+)\\.html)?(#.+)?$/.exec(link.getAttribute("href") ?? "");
        if (/^https:/.test(link.getAttribute("href") ?? "")) continue;
        if (found && found[0] && (!found[1] || names.includes(found[1])))
            link.setAttribute("href", (found[1] ? `${found[1]}.xhtml` : "") + (found[2] ?? ""));
        else link.replaceWith(...link.childNodes);
    }
    for (const night of article.querySelectorAll(".gd-night")) night.remove();
    for (const layouts of article.querySelectorAll("picture"))
        layouts.replaceWith(layouts.querySelector("img"));
    for (const picture of article.querySelectorAll("img"))
        picture.setAttribute("src", "images/" + picture.getAttribute("src").split("/").pop());
    const title = node => node.textContent.trim().replace(/\\s+/g, " ");
    return {
        text: new XMLSerializer().serializeToString(article),
        title: title(article.querySelector("h1")),
        sections: [...article.querySelectorAll("section > h2")]
            .map(node => [node.parentElement.id, title(node)]),
    };
}"""
PAGE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en"
 xml:lang="en"><head><title>{title}</title><link rel="stylesheet" href="book.css" /></head>
<body>{body}</body></html>
"""
CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="book/book.opf" media-type="application/oebps-package+xml" />
</rootfiles></container>
"""
OPF = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:uuid:{uuid}</dc:identifier>
<dc:title>{title}</dc:title><dc:language>en</dc:language><dc:creator>{author}</dc:creator>
<dc:rights>{licence}</dc:rights>
<meta property="dcterms:modified">{now}</meta>
<meta property="schema:accessMode">textual</meta>
<meta property="schema:accessMode">visual</meta>
<meta property="schema:accessModeSufficient">textual</meta>
<meta property="schema:accessibilityFeature">MathML</meta>
<meta property="schema:accessibilityFeature">alternativeText</meta>
<meta property="schema:accessibilityFeature">tableOfContents</meta>
<meta property="schema:accessibilityHazard">none</meta>
<meta property="schema:accessibilitySummary">Formulas are MathML, and every picture has a text. The
figures that move in the pages of the book stand still, each with a table of its numbers.</meta>
</metadata>
<manifest>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav" />
<item id="css" href="book.css" media-type="text/css" />
{items}
</manifest>
<spine>{spine}</spine>
</package>
"""
STYLE = """body { line-height: 1.5; }
pre { font-size: 0.75em; white-space: pre-wrap; background: #f3f4f5; padding: 0.5em; }
code { overflow-wrap: anywhere; }
img { max-width: 100%; }
table { border-collapse: collapse; font-size: 0.85em; }
th, td { border-bottom: 1px solid #bbbbbb; padding: 0.2em 0.5em; text-align: left; }
.admonition, details { border-left: 0.2em solid #0b4f71; margin: 1em 0; padding-left: 1em; }
.admonition-title, summary, .sd-summary-title { font-weight: bold; }
.k, .kn, .kc, .ow { color: #6730c5; }
.c1 { color: #515151; }
.s1, .s2, .sa { color: #00622f; }
"""


def bind_book(html, target, reference=False):
    """Write the pages of the book built in the folder `html` into the ePub `target`."""
    write_book(bind_pages, "sets the formulas", html, target, reference)


def bind_pages(browser, html, names, target):
    """Write the named pages of a built book into the ePub `target`."""
    page = browser.new_page(viewport={"width": 800, "height": 900}, device_scale_factor=2)
    pages, pictures = {}, {}
    for name in names:
        page.goto((html / "book" / f"{name}.html").as_uri())
        page.wait_for_function(
            "document.querySelectorAll('.gd-explorer:not(.gd-alive)').length < 1"
        )
        stills = [picture.screenshot() for picture in page.locator(".gd-picture").all()]
        pages[name] = taken = page.evaluate(TAKE, names)
        for number, still in enumerate(stills):
            pictures[f"{name}-{number}.png"] = still
        taken["text"] = taken["text"].replace("images/STILL", f"images/{name}-")
        for picture in re.findall(r'src="images/([^"]+)"', taken["text"]):
            if picture not in pictures:
                pictures[picture] = (html / "_images" / picture).read_bytes()
    title = page.locator(".logo__title").first.text_content().strip()
    author = page.locator(".component-author").first.text_content().strip()
    licence = page.locator(".extra_footer").first.text_content().strip()
    page.close()
    identity = uuid5(NAMESPACE_URL, f"{title} {gdcourse.__version__}")
    package = OPF.format(
        uuid=identity,
        title=f"{title}, version {gdcourse.__version__}",
        author=author.removeprefix("By "),
        licence=licence,
        now=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        items="\n".join([*map(list_page, pages, pages.values()), *map(list_picture, pictures)]),
        spine="".join(f'<itemref idref="page-{name}" />' for name in pages),
    )
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)  # the first
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("book/book.opf", package)
        archive.writestr("book/book.css", STYLE)
        archive.writestr("book/nav.xhtml", list_contents(title, pages))
        for name, taken in pages.items():
            text = PAGE.format(title=escape(taken["title"]), body=taken["text"])
            archive.writestr(f"book/{name}.xhtml", text)
        for name, picture in pictures.items():
            archive.writestr(f"book/images/{name}", picture, zipfile.ZIP_STORED)


def list_page(name, taken):
    """Return the line of the manifest for a page."""
    properties = ' properties="mathml"' if "<math" in taken["text"] else ""
    kind = f'media-type="application/xhtml+xml"{properties}'
    return f'<item id="page-{name}" href="{name}.xhtml" {kind} />'


def list_picture(name):
    """Return the line of the manifest for a picture."""
    kind = "svg+xml" if name.endswith(".svg") else "png"
    return f'<item id="picture-{name}" href="images/{name}" media-type="image/{kind}" />'


def list_contents(title, pages):
    """Return the page with the contents: chapters and their sections."""
    lines = []
    for name, taken in pages.items():
        inner = "".join(
            f'<li><a href="{name}.xhtml#{anchor}">{escape(text)}</a></li>'
            for anchor, text in taken["sections"]
        )
        inner = inner and f"<ol>{inner}</ol>"
        lines.append(f'<li><a href="{name}.xhtml">{escape(taken["title"])}</a>{inner}</li>')
    body = f'<nav epub:type="toc"><h1>{escape(title)}</h1><ol>{"".join(lines)}</ol></nav>'
    return PAGE.format(title=escape(title), body=body)

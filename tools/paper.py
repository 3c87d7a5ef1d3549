"""The built book on paper: all its pages as one, printed by a browser into a PDF."""

import re
import shutil
import sys
from datetime import date
from pathlib import Path

from bs4 import BeautifulSoup
from playwright.sync_api import Error, sync_playwright
from pypdf import PdfReader
from sphinx_external_toc.parsing import parse_toc_yaml

import gdcourse

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
NO_BROWSER = "no browser: install Chromium, or run `python -m playwright install chromium`"
SIDE, TOP = "20mm", "18mm"
FOOTER = '<p style="margin: auto; font: 9px sans-serif"><span class="pageNumber"></span></p>'
WHOLE = """<!doctype html>
<html lang="en" data-theme="light">
<head><meta charset="utf-8"><title>{title}</title>{head}</head>
<body class="gd-paper"><div class="bd-main"><div class="bd-content">
<div class="bd-article-container">
<article class="bd-article"><h1>{title}</h1>
<p>Version {version}, printed on {date}. {author} {licence}</p>
<p>The figures stand still here: in the pages of the book and in its notebooks they move.</p>
<ul class="gd-contents">{contents}</ul></article>
{articles}
</div></div></div></body></html>
"""
LOOKED_UP = {"api", "experiments"}  # on a screen: on paper they come where they are asked for
UNKNOWN = "000"  # as wide as the number of any page
INSIDE = re.compile(r"((?P<page>[\w-]+)\.html)?(#(?P<anchor>.+))?")


def launch_browser(chromium):
    """Start the first browser there is: on the path, Chrome, Edge. Without one, return None."""
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)  # or Playwright's own
    for choice in ({"executable_path": installed}, {"channel": "chrome"}, {"channel": "msedge"}):
        try:
            return chromium.launch(args=OPTIONS, **choice)
        except Error:
            continue
    return None


def print_book(html, target, reference=False):
    """Print the book in the folder `html` into the PDF `target`, perhaps with all reference."""
    write_book(print_pages, "prints the book", html, target, reference)


def write_book(write_pages, does, html, target, reference):
    """Let `write_pages` turn the built pages into one file, with a browser that `does` its part."""
    names = [name for name in list_pages() if reference or name not in LOOKED_UP]
    with sync_playwright() as playwright:
        browser = launch_browser(playwright.chromium)
        if browser is None:
            sys.exit(f"A browser {does}, and there is {NO_BROWSER}.")
        write_pages(browser, html, names, target)
        browser.close()


def print_pages(browser, html, names, target):
    """Print the named pages of a built book into the PDF `target`.

    A browser cannot number the lines of the contents: it prints once to find the pages out.
    """
    page_file = html / "book" / "paper.html"  # beside the pages, whose pictures it shows
    page_file.write_text(join_pages(html, names), "utf-8")
    page = browser.new_page()
    try:
        page.goto(page_file.as_uri())
        page.evaluate("MathJax.startup.promise")
        print_page(page, target)
        page.evaluate(FILL_IN, find_pages(target))
        print_page(page, target)
    finally:
        page.close()
        page_file.unlink()


FILL_IN = """numbers => {
  for (const link of document.querySelectorAll(".gd-contents a")) {
    const id = decodeURIComponent(link.hash.slice(1));
    link.querySelector(".gd-page").textContent = numbers[id];
  }
}"""


def print_page(page, target):
    """Print what the browser shows into the PDF `target`."""
    page.pdf(
        path=target,
        format="A4",
        margin={"top": TOP, "bottom": TOP, "left": SIDE, "right": SIDE},
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=FOOTER,
        print_background=True,
        outline=True,
        tagged=True,
    )


def find_pages(pdf):
    """Return the number of the page of everything that a link of the PDF leads to, by its id."""
    reader = PdfReader(pdf)
    return {
        name.removeprefix("/"): reader.get_destination_page_number(place) + 1
        for name, place in reader.named_destinations.items()
    }


def list_pages():
    """Return the names of all pages, in the order of the book."""
    return [Path(name).name for name in parse_toc_yaml(ROOT / "_toc.yml")]


def join_pages(html, names):
    """Return the named pages of the built book as one: a title, the contents, the chapters."""
    files = [html / "book" / f"{name}.html" for name in names]
    soups = [BeautifulSoup(file.read_text("utf-8"), "html.parser") for file in files]
    first = soups[0]
    head = [link for link in first.head("link") if "stylesheet" in link["rel"]]
    head += [script for script in first.head("script") if "mathjax" in str(script).lower()]
    articles = [prepare(soup.article, name, names) for soup, name in zip(soups, names, strict=True)]
    return WHOLE.format(
        title=first.find(class_="logo__title").get_text().strip(),
        version=gdcourse.__version__,
        date=f"{date.today():%d %B %Y}".lstrip("0"),
        author=first.find(class_="component-author").get_text().strip() + ".",
        licence=first.find(class_="extra_footer").get_text().strip(),
        head="".join(map(str, head)),
        contents="".join(map(list_sections, articles)),
        articles="".join(map(str, articles)),
    )


def prepare(article, name, names):
    """Return the article of the page `name`, unfolded, and with links that stay inside.

    The id X on the page P becomes P.X, and a link to P.html#X becomes #P.X. Where P is not among
    the `names` that are printed, the text of the link remains.
    """
    for mark in article(class_="headerlink"):
        mark.decompose()
    # What leads to a file, which paper does not have.
    for link in article(class_="image-reference") + article("a", download=True):
        link.unwrap()
    move_answers(article)
    for tag in article(True):
        if tag.name == "details":
            tag["open"] = ""
        del tag["loading"]  # what comes late would not be on paper
        if tag.get("id") and not tag.find_parent("svg"):
            tag["id"] = f"{name}.{tag['id']}"
        if link := INSIDE.fullmatch(tag.get("href", "elsewhere")):
            tag["href"] = "#" + ".".join(filter(None, [link["page"] or name, link["anchor"]]))
            if link["page"] and link["page"] not in names:
                tag.name = "span"
                del tag["href"]
    article["id"] = name
    return article


def move_answers(article):
    """Put the answers to the questions of a page at its end, out of sight of the questions."""
    questions = article(class_="gd-question")
    if not questions:
        return
    page = article.find("section")
    page.append(BeautifulSoup('<section id="answers"><h2>Answers</h2></section>', "html.parser"))
    for question in questions:
        answer = question.find(class_="admonition").extract()
        answer["data-to"] = question.find(class_="admonition-title").get_text()
        page("section")[-1].append(answer)


def list_sections(article):
    """Return the lines of the table of contents for one article: its title and its sections."""
    sections = "".join(list_line(heading.parent["id"], heading) for heading in article("h2"))
    title = list_line(article["id"], article.find("h1"))
    return title.replace("</li>", f"<ul>{sections}</ul></li>")


def list_line(anchor, heading):
    """Return one line of the contents, with a place for the number of its page."""
    number = f'<span class="gd-page">{UNKNOWN}</span>'
    return f'<li><a href="#{anchor}"><span>{heading.decode_contents()}</span>{number}</a></li>'

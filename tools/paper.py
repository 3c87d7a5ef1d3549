"""The built book on paper: all its pages as one, printed by a browser into a PDF."""

import re
import shutil
import sys
from pathlib import Path

from bs4 import BeautifulSoup
from playwright.sync_api import Error, sync_playwright
from sphinx_external_toc.parsing import parse_toc_yaml

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
<p>{author} {licence} The figures stand still here, and folded code is left out: the notebooks
have both.</p>
<ul class="gd-contents">{contents}</ul></article>
{articles}
</div></div></div></body></html>
"""
INSIDE = re.compile(r"((?P<page>\w+)\.html)?(#(?P<anchor>.+))?")


def launch_browser(chromium):
    """Start the first browser there is: on the path, Chrome, Edge. Without one, return None."""
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)  # or Playwright's own
    for choice in ({"executable_path": installed}, {"channel": "chrome"}, {"channel": "msedge"}):
        try:
            return chromium.launch(args=OPTIONS, **choice)
        except Error:
            continue
    return None


def print_book(html, target):
    """Print the book built in the folder `html` into the PDF `target`."""
    with sync_playwright() as playwright:
        browser = launch_browser(playwright.chromium)
        if browser is None:
            sys.exit(f"A browser prints the book, and there is {NO_BROWSER}.")
        print_pages(browser, html, list_pages(), target)
        browser.close()


def print_pages(browser, html, names, target):
    """Print the named pages of a built book into the PDF `target`."""
    page_file = html / "book" / "paper.html"  # beside the pages, whose pictures it shows
    page_file.write_text(join_pages(html, names), "utf-8")
    page = browser.new_page()
    try:
        page.goto(page_file.as_uri())
        page.evaluate("MathJax.startup.promise")
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
    finally:
        page.close()
        page_file.unlink()


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
    articles = [prepare(soup.article, name) for soup, name in zip(soups, names, strict=True)]
    return WHOLE.format(
        title=first.find(class_="logo__title").get_text().strip(),
        author=first.find(class_="component-author").get_text().strip() + ".",
        licence=first.find(class_="extra_footer").get_text().strip(),
        head="".join(map(str, head)),
        contents="".join(map(list_sections, articles)),
        articles="".join(map(str, articles)),
    )


def prepare(article, name):
    """Return the article of the page `name`, unfolded, and with links that stay inside.

    The id X on the page P becomes P.X, and a link to P.html#X becomes #P.X.
    """
    for mark in article(class_="headerlink"):
        mark.decompose()
    for link in article(class_="image-reference"):  # to a file that paper does not have
        link.unwrap()
    for tag in article(True):
        if tag.name == "details":
            tag["open"] = ""
        del tag["loading"]  # what comes late would not be on paper
        if tag.get("id") and not tag.find_parent("svg"):
            tag["id"] = f"{name}.{tag['id']}"
        if link := INSIDE.fullmatch(tag.get("href", "elsewhere")):
            tag["href"] = "#" + ".".join(filter(None, [link["page"] or name, link["anchor"]]))
    article["id"] = name
    return article


def list_sections(article):
    """Return the lines of the table of contents for one article: its title and its sections."""
    sections = "".join(
        f'<li><a href="#{heading.parent["id"]}">{heading.decode_contents()}</a></li>'
        for heading in article("h2")
    )
    title = article.find("h1").decode_contents()
    return f'<li><a href="#{article["id"]}">{title}</a><ul>{sections}</ul></li>'

"""Every page of the built book in a real browser, from a server and straight from the disk."""

import functools
import http.server
import os
import re
import shutil
import threading
from dataclasses import dataclass

import nbformat
import pytest
from playwright.sync_api import Error, sync_playwright
from sphinx_external_toc.parsing import parse_toc_yaml

import course

PAGES = list(parse_toc_yaml(course.ROOT / "_toc.yml"))
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
NARROW = {"width": 390, "height": 844}  # a telephone
WIDE = {"width": 1280, "height": 900}

MEASURE = """() => ({
    formulas: document.querySelectorAll(".math").length,
    rendered: document.querySelectorAll("mjx-container").length,
    wrong: [...document.querySelectorAll("mjx-merror, [data-mjx-error], mjx-mtext[style*=red]")]
        .map(node => node.outerHTML.slice(0, 200)),
    nameless: [...document.querySelectorAll(".bd-article :is(img, svg)")]
        .filter(node => !node.matches("svg svg, button svg, [aria-hidden=true]"))
        .filter(node => !(node.alt || node.getAttribute("aria-label") || "").trim()
                        || node.alt?.match(/\\.(png|svg|jpe?g)$/)) // Sphinx falls back on the path
        .map(node => node.src || node.id || "svg"),
})"""


@dataclass
class Visit:
    """What a browser saw and did on one page."""

    page: str
    formulas: int
    rendered: int
    wrong: list
    nameless: list
    requests: list
    complaints: list
    overflow: int


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """A file server that does not report each request."""

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture(scope="module")
def html():
    """Return the folder of the built book; build it where it is missing."""
    if not (course.HTML / "index.html").is_file():
        assert course.book() == 0
    return course.HTML


@pytest.fixture(scope="module", params=["http", "file"])
def address(request, html):
    """Return the root of the book as a reader's browser names it."""
    if request.param == "file":
        yield html.as_uri()
        return
    handler = functools.partial(QuietHandler, directory=str(html))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def launch(chromium):
    """Start the first browser there is: on the path, Playwright's own, Chrome, Edge."""
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)
    choices = [{"executable_path": installed}, {"channel": "chrome"}, {"channel": "msedge"}]
    for choice in choices:
        try:
            return chromium.launch(args=OPTIONS, **choice)
        except Error:
            continue
    missing = "no browser: install Chromium, or run `python -m playwright install chromium`"
    pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)


@pytest.fixture(scope="module")  # not longer: its event loop would be in the way of nbval
def browser():
    """Give a running browser."""
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=PAGES)
def visit(request, browser, address):
    """Read one page, wide and narrow, and note what happened."""
    requests, complaints = [], []
    page = browser.new_page(viewport=WIDE)
    page.on("request", lambda sent: requests.append(sent.url))
    page.on("requestfailed", lambda sent: complaints.append(f"not found: {sent.url}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.goto(f"{address}/{request.param}.html")
    page.evaluate("window.MathJax?.startup?.promise")
    seen = page.evaluate(MEASURE)
    page.set_viewport_size(NARROW)
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    page.close()
    outside = [url for url in requests if not url.startswith((address, "data:", "blob:"))]
    return Visit(request.param, **seen, requests=outside, complaints=complaints, overflow=overflow)


def has_maths(page):
    """Tell whether the source of a page has a formula in its prose."""
    source = course.ROOT / page
    if source.with_suffix(".md").is_file():
        prose = source.with_suffix(".md").read_text("utf-8")
    else:
        cells = nbformat.read(source.with_suffix(".ipynb"), as_version=4).cells
        prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.search(r"\$.+?\$|\{math\}|\\begin\{", prose, re.S) is not None


def test_every_formula_is_rendered(visit):
    assert visit.rendered == visit.formulas
    assert visit.formulas > 0 or not has_maths(visit.page)


def test_no_formula_is_wrong(visit):
    assert visit.wrong == []


def test_nothing_is_asked_of_another_host(visit):
    assert visit.requests == []


def test_no_script_complains(visit):
    assert visit.complaints == []


def test_every_picture_says_what_it_shows(visit):
    assert visit.nameless == []


def test_a_narrow_page_does_not_scroll_sideways(visit):
    assert visit.overflow <= 0


def test_search_finds_a_word(browser, address):
    page = browser.new_page()
    page.goto(f"{address}/search.html?q=gradient")
    page.wait_for_selector("#search-results li a", timeout=10_000)
    page.close()

"""Every page of the built book in a real browser, from a server and straight from the disk."""

import re
from dataclasses import dataclass

import nbformat
import pytest
from browsing import address, browser, html
from sphinx_external_toc.parsing import parse_toc_yaml

import course

PAGES = list(parse_toc_yaml(course.ROOT / "_toc.yml"))
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

"""Every page of the built book in a real browser, from a server and straight from the disk."""

import re
from dataclasses import dataclass

import nbformat
import numpy as np
import pytest
from browsing import address, browser, html, served
from sphinx_external_toc.parsing import parse_toc_yaml

import course

PAGES = list(parse_toc_yaml(course.ROOT / "_toc.yml"))
# From the disk only the way to scripts, styles and pictures is another: the same on every page.
FROM_THE_DISK = ["book/03_minibatch", "book/api"]
NARROW = {"width": 390, "height": 844}  # a telephone
WIDE = {"width": 1280, "height": 900}
LOUD = ("warning", "error")

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
    cut: [...document.querySelectorAll("mjx-container[display=true]")]
        .filter(node => node.scrollWidth > node.clientWidth)
        .map(node => node.querySelector("mjx-assistive-mml").textContent),
    astray: [...document.querySelectorAll(".bd-article span.math:has(mjx-container)")]
        .filter(node => node.offsetWidth)
        .map(node => parseFloat(node.style.getPropertyValue("--gd-width"))
            - node.offsetWidth / parseFloat(getComputedStyle(node).fontSize)),
})"""
# How far what stood on a page has moved, as a part of the screen: over 0.1 readers lose their line.
SHIFT = """new Promise(resolve => {
    setTimeout(resolve, 100, 0)
    new PerformanceObserver(list => resolve(list.getEntries().reduce(
        (sum, entry) => sum + entry.value, 0))).observe({type: "layout-shift", buffered: true})
})"""
WIDER = "document.documentElement.scrollWidth - window.innerWidth"
FIGURES = """() => ({
    figures: document.querySelectorAll(".gd-explorer").length,
    alive: document.querySelectorAll(".gd-alive").length,
})"""
FIT = "document.documentElement.dataset.formulasFit == window.innerWidth"

AXE = course.ROOT / "node_modules" / "axe-core" / "axe.min.js"
# Most nodes of a page are glyphs of formulas, which axe passes over as hidden, and the tokens of
# code: of those with the same classes in the same surroundings, one is enough.
THIN_OUT = """() => {
    for (const formula of document.querySelectorAll("mjx-math[aria-hidden=true]")) {
        if (formula.querySelector("a, [tabindex]")) continue;
        formula.style.width = `${formula.offsetWidth}px`;
        formula.replaceChildren();
    }
    const seen = new Set();
    for (const token of document.querySelectorAll(".highlight pre span:not([id])")) {
        let kind = "";
        for (let node = token; node; node = node.parentElement) {
            kind += `${node.localName} ${node.className} ${node.getAttribute("style")}\\n`;
        }
        if (seen.has(kind)) token.replaceWith(...token.childNodes);
        seen.add(kind);
    }
}"""
FAULTS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .filter(fault => ["serious", "critical"].includes(fault.impact))
    .flatMap(fault => fault.nodes.map(node => `${fault.id}: ${node.target} ${node.html}`))
"""


@dataclass
class Visit:
    """What a browser saw and did on one page."""

    page: str
    formulas: int
    rendered: int
    wrong: list
    nameless: list
    figures: int
    alive: int
    cut: list
    astray: list
    shift: float
    overflow: dict
    requests: list
    complaints: list
    barriers: dict


@pytest.fixture(scope="module")
def context(browser):
    """Give one context for all visits: scripts and styles are fetched once."""
    context = browser.new_context(viewport=WIDE)
    yield context
    context.close()


@pytest.fixture(scope="module")
def roots(html):
    """Give the root of the book by its scheme."""
    with served(html, "http") as http, served(html, "file") as file:
        yield {"http": http, "file": file}


# One of each kind of page in the usual run: the first, a chapter, and a short one. The reference is
# read from the disk.
OFTEN = ("index", "02_sgd", "progress")
ON_THE_SERVER = [
    pytest.param(("http", page), marks=() if page.endswith(OFTEN) else pytest.mark.long)
    for page in PAGES
]
ON_THE_DISK = [("file", page) for page in FROM_THE_DISK]


@pytest.fixture(scope="module", params=ON_THE_SERVER + ON_THE_DISK, ids="-".join)
def visit(request, context, roots):
    """Read one page, narrow and wide, by day and by night, and note what happened."""
    scheme, name = request.param
    requests, complaints = [], []
    page = context.new_page()
    page.set_viewport_size(NARROW)
    page.on("request", lambda sent: requests.append(sent.url))
    page.on("requestfailed", lambda sent: complaints.append(f"not found: {sent.url}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type in LOUD else None)
    page.goto(f"{roots[scheme]}/{name}.html")
    seen = page.evaluate(FIGURES)  # as soon as the page is loaded
    page.wait_for_function(FIT)
    seen |= page.evaluate(MEASURE) | {"shift": page.evaluate(SHIFT)}
    overflow = {NARROW["width"]: page.evaluate(WIDER)}
    for width in (320, 768, 1440):  # the first is a screen of 1280 pixels at 400 %
        page.set_viewport_size({"width": width, "height": 900})
        overflow[width] = page.evaluate(WIDER)
    outside = [url for url in requests if not url.startswith((roots[scheme], "data:", "blob:"))]
    heard = list(complaints)  # axe makes requests of its own
    barriers = find_barriers(page) if scheme == "http" else None
    page.close()
    done = {"requests": outside, "complaints": heard, "barriers": barriers, "overflow": overflow}
    return Visit(name, **seen, **done)


def find_barriers(page):
    """Return the serious faults that axe finds, on a telephone by night and wide by day."""
    page.emulate_media(reduced_motion="reduce")
    page.add_script_tag(path=AXE)
    found = {}
    for theme, size in (("dark", NARROW), ("light", WIDE)):
        page.set_viewport_size(size)
        page.wait_for_function(FIT)
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")
        page.evaluate(THIN_OUT)
        found[theme] = page.evaluate(FAULTS)
    return found


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


def test_no_page_scrolls_sideways(visit):
    assert {width: pixels for width, pixels in visit.overflow.items() if pixels > 0} == {}


def test_no_formula_is_cut_on_a_telephone(visit):
    assert visit.cut == []


def test_a_formula_that_cannot_be_broken_shows_that_it_scrolls(context, roots):
    page = context.new_page()
    page.set_viewport_size(NARROW)
    page.goto(f"{roots['http']}/book/03_minibatch.html")
    page.wait_for_function(FIT)
    page.evaluate(
        """() => {
            const box = document.querySelector(".bd-article div.math");
            box.textContent = `\\\\[\\\\underbrace{${"a + ".repeat(15)} a}_{b}\\\\]`;
            box.id = "wide";
            return MathJax.typesetPromise([box]);
        }"""
    )
    page.set_viewport_size(NARROW | {"width": 400})
    page.wait_for_function(FIT)
    formula = page.locator("#wide mjx-container")
    assert "gradient" in formula.evaluate("node => getComputedStyle(node).backgroundImage")
    formula.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('#wide mjx-container').scrollLeft > 0")
    page.set_viewport_size({"width": 2400, "height": 900})
    page.wait_for_function(FIT)
    assert page.locator(".gd-scrolls, mjx-container[tabindex]").count() == 0
    page.close()


def test_no_page_moves_under_its_reader(visit):
    """The room kept for a formula is its width, to an em in the middle of all of them."""
    assert visit.shift < 0.1
    if visit.astray:
        assert np.median(np.abs(visit.astray)) < 1


def test_every_figure_that_moves_is_alive(visit):
    assert visit.alive == visit.figures


@pytest.mark.parametrize("visit", ON_THE_SERVER, ids="-".join, indirect=True)
def test_axe_finds_no_serious_fault(visit):
    assert visit.barriers == {"light": [], "dark": []}


def test_axe_still_finds_a_fault_among_fewer_nodes(context):
    """A weak colour, also where only what stands around the token is another; and other faults."""
    page = context.new_page()
    token = '<div class="highlight"><pre><span class="k" style="color: {}">for</span></pre></div>'
    dark, weak = token.format("#333"), token.format("#ccc")
    hidden = '<mjx-math aria-hidden="true"><a href="#">x</a></mjx-math>'
    page.set_content(
        f'<html lang="en"><title>Faults</title><main><h1>Faults</h1>{dark}{dark}{weak}{weak}'
        f'<div class="note" style="background: #444">{dark}</div><img src="data:,">{hidden}</main>'
    )
    page.evaluate(THIN_OUT)
    page.add_script_tag(path=AXE)
    faults = [fault.partition(":")[0] for fault in page.evaluate(FAULTS)]
    page.close()
    assert sorted(faults) == ["aria-hidden-focus", "color-contrast", "color-contrast", "image-alt"]


# What is code, or raw TeX, or a button.
NOT_PROSE = re.compile(r"\\[a-z(\[]|\$|\b(import|def|assert) \w|print\(|Contents|Show code|©")


@pytest.mark.parametrize("word", ["momentum", "variance"])
def test_an_excerpt_of_a_search_is_prose(browser, roots, word):
    page = browser.new_page()
    page.goto(f"{roots['http']}/search.html?q={word}")
    page.wait_for_function("document.querySelectorAll('#search-results .context').length > 7")
    excerpts = page.locator("#search-results .context").all_inner_texts()
    page.close()
    assert [text for text in excerpts if NOT_PROSE.search(text)] == []
    assert sum(word in text.lower() for text in excerpts) > 5
    assert min(map(len, excerpts)) > 60


def test_search_finds_a_word(browser, address):
    page = browser.new_page()
    page.goto(f"{address}/search.html?q=gradient")
    page.wait_for_selector("#search-results li a", timeout=10_000)
    page.close()

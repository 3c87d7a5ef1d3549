"""The Python of the pages: it runs their cells as Jupyter does, and says what it cannot."""

import json
import re

import numpy as np
import pytest
from browsing import browser, html, served

import course

RUNTIME = "document.documentElement.dataset.liveRuntime"
AT_REST = "!document.querySelector('[data-live=waiting], [data-live=running]')"
NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)


@pytest.fixture(scope="module")
def live(html):
    """Return the book's folder, if it has a Python for its pages."""
    if not (html / "_static" / "live").is_dir():
        pytest.fail("The book was built without a Python for its pages: run course.py book.")
    return html


@pytest.fixture(scope="module", params=["http", "file"])
def root(request, live):
    """Return the address of the book."""
    with served(live, request.param) as root:
        yield root


class Page:
    """A page of the book in a browser, and all that it asks for."""

    def __init__(self, context, root, name):
        self.page, self.requests, self.faults = context.new_page(), [], []
        self.page.on("request", lambda sent: self.requests.append(sent.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(f"{root}/book/{name}.html")
        self.page.wait_for_selector("[data-live]")

    def cell(self, number):
        return self.page.locator("[data-live]").nth(number - 1)

    def state(self, number):
        return self.cell(number).get_attribute("data-live")

    def run(self, number):
        """Press Run, in a folded solution, too, and wait for the end."""
        button = self.cell(number).locator("button[aria-label^=Run]")
        button.evaluate("button => button.click()")
        self.rest()

    def rest(self):
        self.page.wait_for_function(AT_REST, timeout=300_000)

    def write(self, number, text):
        """Put text into the editor of a cell."""
        self.cell(number).locator("button[aria-label^=Edit], .cm-content").last.click()
        self.page.wait_for_selector(".cm-focused")
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(text)

    def said(self, number):
        """What a cell says last, as text."""
        return self.cell(number).locator(":scope > .cell_output").last.text_content().strip()

    def runtime(self):
        return self.page.evaluate(RUNTIME)


@pytest.fixture
def open_page(browser, root):
    """Give a function that opens a page; nothing of another host may be asked for."""
    context = browser.new_context()
    opened = []

    def open_one(name):
        opened.append(Page(context, root, name))
        return opened[-1]

    yield open_one
    context.close()
    for page in opened:
        inside = (root, "data:", "blob:")
        assert [url for url in page.requests if not url.startswith(inside)] == []
        assert page.faults == []


def printed(name):
    """Give what each cell of a chapter has printed, as stored, or None where it may vary."""
    notebook = json.loads((course.BOOK / f"{name}.ipynb").read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        texts = ["".join(out["text"]) for out in cell["outputs"] if out["output_type"] == "stream"]
        varies = "nbval-ignore-output" in cell["metadata"].get("tags", [])
        yield None if varies else "".join(texts)


def same(stored, said):
    """Tell whether two texts are the same but for the rounding of their last digits."""
    numbers = [
        [float(text.replace(",", "")) for text in NUMBER.findall(whole)] for whole in (stored, said)
    ]
    words = [NUMBER.sub("#", whole).split() for whole in (stored, said)]
    return words[0] == words[1] and np.allclose(*numbers, rtol=1e-3, atol=1e-12)


def test_a_page_that_is_read_loads_nothing_of_it(open_page):
    page = open_page("02_sgd")
    page.page.wait_for_load_state("load")
    assert page.runtime() == "idle"
    names = [url.split("/live/")[1].split("?")[0] for url in page.requests if "/live/" in url]
    assert sorted(names) == ["live.css", "live.js"]


def test_the_introduction_runs_to_its_end(open_page):
    page = open_page("index")
    stored = list(printed("index"))
    page.run(len(stored))
    assert page.runtime() == "ready"
    for number, text in enumerate(stored, start=1):
        assert page.state(number) == "done"
        if text:
            assert same(text, page.said(number)), page.said(number)
    assert page.page.locator(".gd-explorer:not(.gd-alive)").count() == 0

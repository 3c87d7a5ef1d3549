"""The Python of the pages: it runs their cells as Jupyter does, and says what it cannot.

Here it runs one short page to its end; `course.py test --live` names all in the environment.
"""

import base64
import io
import json
import os
import re

import numpy as np
import pytest
from browsing import browser, html, served
from firefox import Firefox
from PIL import Image

import course
from gdcourse.lesson.checks import EXERCISES

PAGES = os.environ.get("GDCOURSE_LIVE_PAGES", "timings").split()
SHORT = ["index", *sorted(path.stem for path in course.BOOK.glob("[0-9]*.ipynb"))[:2]]
IN_FIREFOX = [(name, "file") for name in SHORT]
IN_FIREFOX += [(name, "http") for name in dict.fromkeys([*SHORT, *PAGES])]
BEGUN = """!document.querySelector("script[src*='live/live.js']")
    || document.documentElement.dataset.liveRuntime"""
AT_REST = "!document.querySelector('[data-live=waiting], [data-live=running]')"
NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
# Past the edge of stability the last bit of a sum decides: two machines differ there as well.
CHAOS = {"tradeoffs-49", "tradeoffs-55"}
FORBID = """Object.defineProperty(window, "localStorage", {
    get() { throw new Error("forbidden") }, configurable: true })"""
LAST = "[...cell.querySelectorAll(':scope > .cell_output')].at(-1)"
# A formula counts as the TeX that it is made of.
TABLES = """(async () => {
    await globalThis.MathJax?.typesetPromise?.()
    const words = entry => {
        const copy = entry.cloneNode(true)
        const formulas = [...copy.querySelectorAll(".math")]
        const typeset = formulas.length ? MathJax.startup.document.getMathItemsWithin(entry) : []
        formulas.forEach((formula, place) => formula.replaceWith(typeset[place].math))
        return copy.textContent.trim()
    }
    return [...cell.querySelectorAll(":scope > .cell_output")]
        .map(output => [...output.querySelectorAll("th, td")]
            .filter(entry => !entry.closest(".gd-explorer")).map(words).join(" "))
})()"""
# The text of the worker comes as a script, and stands here before it runs.
FORBID_WORKER = """Object.defineProperty(globalThis, "gdLiveWorker", {
    set(text) { this.text = text },
    get() { return "Object.defineProperty(self, 'indexedDB', {get() { throw 1 }});" + this.text },
})"""
SPOIL = """new Promise((resolve, reject) => {
    const opening = indexedDB.open("gdcourse live")
    opening.onsuccess = () => {
        const changing = opening.result.transaction("parts", "readwrite")
        changing.objectStore("parts").put(new Blob(["no memory"]), "memory")
        changing.oncomplete = () => { opening.result.close(); resolve() }
    }
})"""
KEPT = """new Promise((resolve, reject) => {
    const opening = indexedDB.open("gdcourse live")
    opening.onsuccess = () => {
        const asked = opening.result.transaction("parts").objectStore("parts").getAllKeys()
        asked.onsuccess = () => { opening.result.close(); resolve(asked.result) }
    }
    opening.onupgradeneeded = () => reject(new Error("nothing is kept"))
})"""
SKIPPED = """(cells => cells.length
        && cells.every(cell => cell.textContent.includes("Runs in Jupyter")))
    ([...document.querySelectorAll("[data-live=skipped]")])
"""
COUNT_RUNS = """(window.runs = 0, new MutationObserver(() => {
    window.runs += cell.dataset.live === "running"
}).observe(cell, {attributes: true, attributeFilter: ["data-live"]}))
"""
AXE = course.ROOT / "node_modules" / "axe-core" / "axe.min.js"
FAULTS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .filter(fault => ["serious", "critical"].includes(fault.impact))
    .flatMap(fault => fault.nodes.map(node => `${fault.id}: ${node.target} ${node.html}`))
"""


class Page:
    """A page of the book in a browser, and all that it asks for."""

    def __init__(self, page, root, name):
        if isinstance(page, Firefox):
            self.requests, self.faults = page.requests, page.faults
        else:
            self.requests, self.faults = [], []
            page.on("request", lambda sent: self.requests.append(sent.url))
            page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page = page
        page.goto(f"{root}/book/{name}.html")
        page.wait_for_function(BEGUN, timeout=60_000)

    def find(self, number):
        """The selector of a cell, or of the answer to an exercise such as "1.2"."""
        name = f"cell {number}" if isinstance(number, int) else f"your answer to exercise {number}"
        return f"[data-live]:has(button[aria-label$=' {name}'])"

    def cell(self, number):
        return self.page.locator(self.find(number))

    def ask(self, number, script):
        """Give the value of an expression that speaks of a `cell`."""
        found = f"document.querySelector({json.dumps(self.find(number))})"
        return self.page.evaluate(f"(cell => ({script}))({found})")

    def state(self, number):
        return self.ask(number, "cell.dataset.live")

    def words(self, number):
        return self.ask(number, "cell.querySelector('.gd-live-status').textContent")

    def press(self, number, label):
        """Press a button of a cell, in a folded solution, too."""
        self.ask(number, f"cell.querySelector('button[aria-label^={label}]').click()")

    def run(self, number, label="Run"):
        """Press Run, and wait for the end."""
        self.press(number, label)
        self.page.wait_for_function(AT_REST, timeout=600_000)

    def write(self, number, text):
        """Put text into the editor of a cell."""
        cell = self.cell(number)
        cell.locator("button[aria-label^=Edit]:visible, .cm-content:visible").first.click()
        cell.locator(".cm-focused").wait_for()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(text)

    def said(self, number):
        """What a cell says last, as text."""
        return self.ask(number, f"{LAST}.textContent.trim()")

    def printed(self, number):
        """What a cell has printed, as text."""
        streams = f"[...{LAST}.querySelectorAll('.stream')]"
        return self.ask(number, f"{streams}.map(stream => stream.textContent).join('')")

    def tables(self, number):
        """What stands in the tables that a cell shows: those of the book, and those of now."""
        return self.ask(number, TABLES)

    def pictures(self, number):
        """The pictures that a cell has drawn, as base64."""
        images = f"[...{LAST}.querySelectorAll('img')]"
        return self.ask(number, f"{images}.map(image => image.src.split(',')[1])")

    def panel(self, name):
        """Find a button of the panel."""
        return self.page.locator(".gd-live-panel").get_by_role("button", name=name)

    def runtime(self):
        return self.page.evaluate("document.documentElement.dataset.liveRuntime")


@pytest.fixture(scope="module")
def roots(html):
    """Return the addresses of the book, if it has a Python for its pages."""
    if not (html / "_static" / "live").is_dir():
        pytest.fail("The book was built without a Python for its pages: run course.py book.")
    with served(html, "http") as http, served(html, "file") as file:
        yield {"http": http, "file": file}


@pytest.fixture(scope="module")
def opener(browser, roots):
    """Give a function that opens a page; nothing of another host may be asked for."""
    context, opened = browser.new_context(), []
    context.set_default_timeout(120_000)

    def open_one(name, scheme="http"):
        opened.append(Page(context.new_page(), roots[scheme], name))
        return opened[-1]

    yield open_one
    context.close()
    for page in opened:
        inside = (*roots.values(), "data:", "blob:")
        assert [url for url in page.requests if not url.startswith(inside)] == []
        assert page.faults == []


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    """Give a Firefox with a profile of its own."""
    running = Firefox(tmp_path_factory.mktemp("firefox"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def disk(opener):
    """Open a page from the disk that two tests share."""
    return opener("01_full_batch", "file")


@pytest.fixture(scope="module")
def shared(opener):
    """Open the page that most tests share."""
    page = opener("timings")
    names = [url.split("/live/")[1].split("?")[0] for url in page.requests if "/live/" in url]
    assert page.runtime() == "idle"
    assert names == ["live.js"]  # all that a reader loads who runs nothing
    return page


def stored(name):
    """Give the code cells of a chapter with what they have printed and drawn."""
    notebook = json.loads((course.BOOK / f"{name}.ipynb").read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            tags, outputs = cell["metadata"].get("tags", []), cell["outputs"]
            text = "".join(
                "".join(out["text"]) for out in outputs if out["output_type"] == "stream"
            )
            drawn = [
                out["data"]["image/png"] for out in outputs if "image/png" in out.get("data", {})
            ]
            if cell["id"] in CHAOS:
                text = None
            yield "".join(cell["source"]), tags, text, drawn


def same(text, said):
    """Tell whether two texts are the same but for the rounding of their last digits."""
    numbers = [
        [float(found.replace(",", "")) for found in NUMBER.findall(whole)] for whole in (text, said)
    ]
    words = [NUMBER.sub("#", whole).split() for whole in (text, said)]
    return words[0] == words[1] and np.allclose(*numbers, rtol=1e-3, atol=1e-12)


def distance(*pictures):
    """Return how far two pictures are apart, as a root mean square of 255."""
    first, second = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGBA"), float)
        for text in pictures
    )
    return np.inf if first.shape != second.shape else np.sqrt(np.mean((first - second) ** 2))


def run_and_compare(page, name, stop=None):
    """Run the cells of a page, up to one; say of which it is not what is stored."""
    faults = []
    for number, (_, tags, text, drawn) in enumerate([*stored(name)][:stop], start=1):
        if "runs-in-jupyter" in tags:
            assert page.page.evaluate(SKIPPED)
            continue
        page.run(number)
        clock = "nbval-ignore-output" in tags
        if page.state(number) != "done" and not (clock and "claim" in page.words(number)):
            faults.append(f"cell {number}: {page.words(number)} {page.said(number)}")
        elif not clock:
            faults += compare(page, number, text, drawn)
    assert not faults, "\n".join(faults)


def compare(page, number, text, drawn):
    """Give in words where a cell does not print, show or draw what is stored."""
    if text is not None and not same(text, page.printed(number)):
        yield f"cell {number} prints: {page.printed(number)}"
    tables = page.tables(number)
    if not same(tables[0], tables[-1]):
        yield f"cell {number} shows: {tables[-1]}"
    now = page.pictures(number)
    apart = [distance(*pair) for pair in zip(drawn, now, strict=False)]
    if len(drawn) != len(now) or any(each >= 2 for each in apart):
        yield f"cell {number}: pictures are {apart} apart"


def test_a_page_from_the_disk_draws_as_jupyter_does(disk):
    assert next(stored("01_full_batch"))[-1]  # a picture
    run_and_compare(disk, "01_full_batch", stop=1)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_to_its_end(opener, shared, name):
    page = shared if name == "timings" else opener(name)
    run_and_compare(page, name)
    if page is not shared:
        page.page.close()


def test_a_broken_assert_says_its_claim(shared):
    source, place = [*stored("timings")][13][0], 'assert own["two workers'
    shared.write(14, source.replace(place, f'own["two workers, each of them"] = 900\n{place}'))
    shared.run(14)
    assert shared.words(14).startswith("a claim does not hold, line ")
    said = shared.said(14)
    assert "This claim of the page does not hold now: One epoch over 4 GB" in said
    assert "own['two workers, each of them'] = 900" in said
    shared.press(14, "Reset")
    assert "does not hold" not in shared.said(14)


def test_a_syntax_error_marks_its_own_line(shared):
    shared.write(1, "x = 1\nif x\n    x = 2")
    shared.run(1)
    assert shared.state(1) == "failed"
    assert shared.words(1) == "SyntaxError, line 2"
    assert shared.cell(1).locator(".gd-live-fault").text_content() == "if x"


def test_an_endless_loop_is_stopped_and_the_page_goes_on(shared):
    shared.write(1, "while True:\n    pass")
    shared.press(1, "Run")
    shared.page.wait_for_selector("[data-live=running]")
    shared.panel("Stop").click()
    assert shared.runtime() == "stopped"
    assert "What ran before is gone" in shared.page.locator(".gd-live-words").text_content()
    shared.page.add_script_tag(path=AXE)
    assert shared.page.evaluate(FAULTS) == []
    shared.write(1, "print(6 * 7)")
    shared.run(1)
    assert shared.said(1) == "42"


def test_a_change_outlives_the_page_until_it_is_forgotten(shared):
    shared.write(1, "print(7 * 7)")
    shared.page.reload()
    shared.page.wait_for_selector("[data-live]")
    assert "7 * 7" in shared.cell(1).locator("pre").first.text_content()
    shared.panel("Forget my changes").click()
    assert "7 * 7" not in shared.cell(1).locator("pre").first.text_content()
    shared.page.reload()
    assert "7 * 7" not in shared.cell(1).locator("pre").first.text_content()


def test_a_hidden_panel_is_one_button_until_it_is_shown(shared):
    shared.write(1, "x = 1")
    shared.panel("Hide").click()
    shared.page.reload()
    shared.panel("Show what Python does").wait_for()
    assert not shared.panel("Forget my changes").is_visible()
    box = shared.page.locator(".gd-live-panel").bounding_box()
    assert box["width"] < 120
    assert box["height"] < 60
    shared.panel("Show what Python does").click()
    shared.panel("Forget my changes").click()


ANSWER = """def chunked_gradient(chunks, theta):
    n = sum(len(y) for _, y in chunks)
    return sum(X.T @ (X @ theta - y) for X, y in chunks) / n
"""


def test_an_exercise_is_answered_checked_and_counted(disk, opener):
    disk.page.get_by_role("button", name="Answer here: exercise 1.4").click()
    disk.cell("1.4").locator(".cm-focused").wait_for()
    disk.run("1.4", "Check")
    assert disk.said("1.4").startswith("1.4 not yet: ")
    for number, hint in enumerate(EXERCISES["1.4"].hints):
        disk.press("1.4", "Hint")
        shown = disk.cell("1.4").locator(".gd-live-hints li").nth(number).text_content()
        assert shown.strip() == hint
    disk.write("1.4", ANSWER)
    disk.run("1.4", "Check")
    assert disk.said("1.4").startswith("1.4 right: ")
    assert disk.state(2) == "idle"  # for the answer needs nothing of the cells above
    row = opener("progress", "file").page.get_by_role("row", name="1 Full batch")
    assert row.get_by_role("cell").all_inner_texts()[-1] == "1 of 5"
    again = opener("01_full_batch", "file")
    again.cell("1.4").wait_for()
    assert again.words("1.4") == "solved before"
    again.press("1.4", "Reset")
    again.page.reload()
    assert (
        again.page.locator("button[aria-label$='1.4'] + .gd-live-status").text_content()
        == "solved before"
    )


def test_for_an_answer_only_the_cells_run_that_it_needs(disk):
    """And what is run afterwards begins at the top, for those have come too early."""
    disk.page.get_by_role("button", name="Answer here: exercise 1.5").click()
    disk.cell("1.5").locator(".cm-focused").wait_for()
    disk.write("1.5", "def break_even(rows, columns):\n    return len(X) + n")
    disk.run("1.5", "Check")
    assert disk.said("1.5").startswith("1.5 not yet: for 100,000 rows")
    assert [disk.state(k) for k in (2, 3, 4, 5, 6)] == ["idle", "done", "idle", "done", "idle"]
    disk.ask(1, COUNT_RUNS)
    disk.run(2)
    assert [disk.state(k) for k in (2, 4)] == ["done", "idle"]
    assert disk.page.evaluate("window.runs") == 1


def test_where_nothing_can_be_kept_the_page_says_so(browser, roots):
    context = browser.new_context()
    context.add_init_script(FORBID)
    page = Page(context.new_page(), roots["file"], "timings")
    page.write(1, "x = 1")
    assert "keeps no changes" in page.page.locator(".gd-live-words").text_content()
    context.close()


def loaded(page):
    """Tell whether a page has asked for the module."""
    return any("/live/module" in url for url in page.requests)


@pytest.mark.long
@pytest.mark.parametrize(("name", "scheme"), IN_FIREFOX)
def test_a_page_runs_to_its_end_in_firefox(firefox, roots, name, scheme):
    page = Page(firefox, roots[scheme], name)
    run_and_compare(page, name)
    inside = (*roots.values(), "data:", "blob:")
    assert [url for url in page.requests if not url.startswith(inside)] == []
    assert page.faults == []


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["http", "file"])
def test_firefox_keeps_one_copy_for_all_pages(firefox, roots, scheme):
    Page(firefox, roots[scheme], "timings").run(1)
    page = Page(firefox, roots[scheme], "bugs")  # nothing has run in it before
    assert sorted(page.page.evaluate(KEPT)) == ["library", "memory", "module", "stamp"]
    page.run(1)
    assert page.state(1) == "done"


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["http", "file"])
def test_a_next_page_begins_from_what_is_kept(browser, roots, scheme):
    context = browser.new_context()
    pages = [Page(context.new_page(), roots[scheme], name) for name in ("timings", "index")]
    for page in pages:
        page.run(1)
        assert page.state(1) == "done"
    assert [loaded(page) for page in pages] == [True, False]
    pages[1].page.reload()
    pages[1].run(1)
    assert pages[1].state(1) == "done"
    assert not loaded(pages[1])
    pages[1].page.evaluate(SPOIL)
    pages[1].page.reload()
    pages[1].run(1)
    assert pages[1].state(1) == "done"
    assert loaded(pages[1])
    context.close()


@pytest.mark.long
def test_two_pages_at_once_do_not_hear_each_other(browser, roots):
    context = browser.new_context()
    pages = [Page(context.new_page(), roots["http"], name) for name in ("timings", "index")]
    for page, own in zip(pages, (6, 7), strict=True):
        page.write(1, f"own = {own}\nprint(own * own)")
        page.press(1, "Run")
    for page, square in zip(pages, ("36", "49"), strict=True):
        page.page.wait_for_function(AT_REST, timeout=600_000)
        assert page.said(1) == square
    context.close()


@pytest.mark.long
def test_a_cell_that_eats_all_memory_fails_and_another_runs(browser, roots):
    context = browser.new_context()
    page = Page(context.new_page(), roots["http"], "timings")
    page.write(1, "eaten = []\nwhile True:\n    eaten.append(bytearray(300_000_000))")
    page.run(1)
    assert page.state(1) == "failed"
    assert page.words(1) == "MemoryError, line 3"
    page.write(1, "eaten = None\nprint(6 * 7)")
    page.run(1)
    assert page.said(1) == "42"
    context.close()


@pytest.mark.long
def test_where_storage_is_full_or_forbidden_a_page_runs(browser, roots):
    context = browser.new_context()
    full = Page(context.new_page(), roots["http"], "timings")
    quota = {"origin": roots["http"], "quotaSize": 1_000_000}
    context.new_cdp_session(full.page).send("Storage.overrideQuotaForOrigin", quota)
    forbidden = Page(context.new_page(), roots["file"], "timings")
    forbidden.page.evaluate(FORBID_WORKER)
    for page in (full, forbidden):
        for _ in range(2):
            page.run(1)
            assert page.state(1) == "done"
            page.page.reload()
            if page is forbidden:
                page.page.evaluate(FORBID_WORKER)
            assert loaded(page)
            page.requests.clear()
    context.close()

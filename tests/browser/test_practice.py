"""Questions that answer, guesses, and the page of progress, in a real browser."""

import json
import re
from html import unescape

import numpy as np
import pytest
from browsing import browser, html, served

from book._ext import questions

__all__ = ["browser", "html"]
FORBIDDEN = """Object.defineProperty(window, "localStorage", {
    get() { throw new Error("forbidden") }, configurable: true })"""
BROKEN = """localStorage.setItem("gdcourse-practice", JSON.stringify(
    {questions: null, guesses: {"01_full_batch/1": null}, exercises: [1]}))"""
FULL = "Storage.prototype.setItem = () => { throw new Error('full') }"


@pytest.fixture(scope="module")
def root(html):
    with served(html, "file") as root:
        yield root


@pytest.fixture
def open_page(browser, root):
    """Open pages of one reader; a fault of a script fails the test."""
    context = browser.new_context()
    faults = []

    def open_page(name, before=None):
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(error.stack))
        if before:
            page.add_init_script(before)
        page.goto(f"{root}/book/{name}.html")
        return page

    yield open_page
    context.close()
    assert faults == []


def answer(page, number, option):
    """Choose an option of a question and return what the page says to it."""
    box = page.locator(".gd-question").nth(number - 1)
    box.get_by_role("radio").nth(option - 1).check()
    return box.locator(".gd-reply").inner_text()


def guess(page, share):
    """Put the slider of the first guess at a share of its scale and say so."""
    box = page.locator(".gd-guess").first
    box.get_by_role("slider").fill(str(share))
    box.get_by_role("button", name="That is my guess").click()
    return box.locator(".gd-reply").inner_text()


def test_each_option_is_answered_and_the_answer_is_kept(open_page):
    page = open_page("01_full_batch")
    assert page.locator(".gd-question").count() == 4
    assert answer(page, 1, 1).startswith("Not quite. They are the same gradients twice")
    assert answer(page, 1, 2).startswith("Right. ")
    page.locator(".gd-reply mjx-container").first.wait_for()  # its formula
    page.wait_for_timeout(300)  # the browser takes over in its own time what a page has stored
    page.reload()
    box = page.locator(".gd-question").first
    assert box.get_by_role("radio").nth(1).is_checked()
    assert box.locator(".gd-reply").inner_text().startswith("Right, solved before. ")
    assert answer(page, 1, 1).startswith("Not quite. ")


def test_a_guess_stands_beside_the_measurement(open_page):
    """542 steps on a scale from 10 to 10,000: a guess of 10 is far off, one at 0.58 is close."""
    page = open_page("01_full_batch")
    assert guess(page, 0).startswith("Off by a factor of 54. You said 10. Measured: 542 steps.")
    close = guess(page, 0.58)
    assert close.startswith("Close. You said 550.")
    marks = page.locator(".gd-guess").first.locator(".gd-mark")
    you, measured = (marks.nth(i).bounding_box() for i in range(2))
    assert abs((you["x"] + you["width"] / 2) - (measured["x"] + measured["width"] / 2)) < 5


def test_a_slider_that_nobody_has_moved_is_no_guess(open_page):
    page = open_page("02_sgd")
    box = page.locator(".gd-guess").first
    assert box.locator("output").text_content() == "1 epoch"  # and not 1 epochs
    box.get_by_role("button", name="That is my guess").click()
    assert box.locator(".gd-reply").inner_text().startswith("Move the slider first")
    assert page.evaluate("localStorage.getItem('gdcourse-practice')") is None
    box.get_by_role("slider").press("ArrowRight")
    box.get_by_role("button", name="That is my guess").click()
    assert box.locator(".gd-reply").inner_text().startswith(("Close.", "Off by"))


def test_close_is_a_tenth_of_a_short_scale(open_page):
    """From 1 to 10 every guess near the middle is within a factor of 2, which says nothing."""
    page = open_page("04_tradeoffs")
    box = page.locator(".gd-guess").first
    assert box.locator("> p").last.locator("strong").all_inner_texts() == ["1", "10"]
    measured = box.locator(".admonition strong").first.text_content()
    place = np.log10(float(measured))
    assert guess(page, place + 0.09).startswith("Close.")
    assert guess(page, place + 0.12).startswith("Off by a factor of 1.3.")


def test_progress_is_counted_saved_loaded_and_forgotten(open_page, tmp_path):
    page = open_page("01_full_batch")
    answer(page, 1, 1)  # wrong, then right
    answer(page, 1, 2)
    answer(page, 2, 1)  # right at once
    guess(page, 0)
    progress = open_page("progress")
    row = progress.get_by_role("row", name="1 Full batch")
    cells = row.get_by_role("cell")
    assert cells.all_inner_texts()[1:] == ["2 of 4", "1", "54", "0 of 5"]
    with progress.expect_download() as download:
        progress.get_by_role("button", name="Save to").click()
    download.value.save_as(saved := tmp_path / "saved.json")
    assert set(json.loads(saved.read_text())["questions"]) == {"01_full_batch/1", "01_full_batch/2"}
    progress.get_by_role("button", name="Forget").click()
    assert cells.all_inner_texts()[1:] == ["0 of 4", "0", "", "0 of 5"]
    load(progress, saved)
    progress.get_by_text("Loaded.").wait_for()
    assert cells.all_inner_texts()[1:] == ["2 of 4", "1", "54", "0 of 5"]
    kept = progress.evaluate("localStorage.getItem('gdcourse-practice')")
    for text in NO_PROGRESS:
        (other := tmp_path / "other.json").write_text(text)
        progress.get_by_role("status").evaluate("said => { said.textContent = '' }")
        load(progress, other)
        progress.get_by_text("This file holds no progress").wait_for()
        assert progress.evaluate("localStorage.getItem('gdcourse-practice')") == kept


def load(progress, path):
    """Choose a file on the page of progress."""
    with progress.expect_file_chooser() as chooser:
        progress.get_by_role("button", name="Load from").click()
    chooser.value.set_files(path)


NO_PROGRESS = [
    "[]",
    '{"questions": null, "guesses": null}',
    '{"questions": [], "guesses": {}}',
    '{"questions": {"01_full_batch/1": null}, "guesses": {}}',
    '{"questions": {}, "guesses": {"01_full_batch/1": {"guess": "far", "measured": 2}}}',
    '{"questions": {}, "guesses": {}, "exercises": null}',
]


def test_what_is_kept_and_broken_is_passed_over(open_page):
    page = open_page("01_full_batch", before=BROKEN)
    assert answer(page, 1, 2).startswith("Right. ")
    assert guess(page, 0).startswith("Off by a factor of 54.")
    assert open_page("progress", before=BROKEN).get_by_role("button", name="Save to").is_visible()


def test_of_two_guesses_the_geometric_mean_is_shown_and_a_telephone_shows_all(open_page, tmp_path):
    factors = {f"01_full_batch/{k}": {"guess": f, "measured": 1} for k, f in enumerate((2, 8))}
    text = json.dumps({"questions": {}, "guesses": factors})
    (path := tmp_path / "two.json").write_text(text)
    progress = open_page("progress")
    progress.set_viewport_size({"width": 390, "height": 844})
    load(progress, path)
    progress.get_by_text("Loaded.").wait_for()
    row = progress.get_by_role("row", name="1 Full batch")
    assert row.get_by_role("cell").all_inner_texts()[3] == "4"
    sides = "box => [box.scrollWidth, box.clientWidth]"
    needed, there = progress.locator(".gd-progress :has(> table)").evaluate(sides)
    assert needed <= there


@pytest.mark.parametrize(
    "storage",
    [
        pytest.param(FORBIDDEN, id="forbidden", marks=pytest.mark.long),
        pytest.param(FULL, id="full"),
    ],
)
def test_the_page_answers_where_nothing_can_be_kept(open_page, storage, tmp_path):
    """And its theme changes still; the page of progress says that it keeps nothing."""
    page = open_page("01_full_batch", before=storage)
    assert answer(page, 2, 2).startswith("Not quite. ")
    assert guess(page, 1).startswith("Off by a factor of 18.")
    page.locator(".theme-switch-button:visible").first.click()
    page.locator("html[data-theme=dark]").wait_for(state="attached")
    progress = open_page("progress", before=storage)
    progress.get_by_role("button", name="Forget").click()
    progress.get_by_text("Forgotten.").wait_for()
    (saved := tmp_path / "saved.json").write_text('{"questions": {}, "guesses": {}}')
    load(progress, saved)
    progress.get_by_text("This browser keeps nothing").wait_for()


def test_page_and_bank_ask_what_the_file_asks(html):
    """That the notebook does is held in test_questions.py."""
    assert (html / "_static" / "questions.gift").read_text("utf-8") == questions.export()
    for path in questions.FOLDER.glob("*.toml"):
        page = (html / "book" / f"{path.stem}.html").read_text("utf-8")
        boxes = page.split('class="gd-question admonition"')[1:]
        asked = questions.load(path)[0]
        assert len(boxes) == len(asked)
        for box, question in zip(boxes, asked, strict=True):
            for text in (question.ask, *(text for pair in question.options for text in pair)):
                for part in re.split(r"\{eq\}`.*?`", text):
                    assert letters(part) in letters(unescape(TAG.sub("", box))), path.stem


TAG = re.compile(r"<[^>]*>")
# A role or a link. What smart quotes and the delimiters of formulas change is no letter.
MARKUP = re.compile(r"\{\w+\}`([^`<]*?)( *<[^`]*)?`|\[([^\]]*)\]\([^)]*\)")


def letters(text):
    """The letters and digits, which no markup changes."""
    return re.sub(r"[\W_]+", "", MARKUP.sub(r"\1\3", text))


def test_without_scripts_the_options_and_the_answers_can_be_read(browser, root):
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{root}/book/01_full_batch.html")
    box = page.locator(".gd-question").first
    assert box.locator("ol > li").count() == 3
    assert box.locator(".admonition").inner_text().startswith("Answer")
    assert "is right" in box.locator(".admonition").text_content()
    page.close()

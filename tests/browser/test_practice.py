"""Questions that answer, guesses, and the page of progress, in a real browser."""

import json

import pytest
from browsing import browser, html, served

__all__ = ["browser", "html"]
FORBID = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('forbidden') }})"


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
    assert not [fault for fault in faults if "practice.js" in fault]


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
    page.reload()
    box = page.locator(".gd-question").first
    assert box.get_by_role("radio").nth(1).is_checked()
    assert box.locator(".gd-reply").inner_text().startswith("Right. ")


def test_a_guess_stands_beside_the_measurement(open_page):
    """542 steps on a scale from 10 to 10,000: a guess of 10 is far off, one at 0.58 is close."""
    page = open_page("01_full_batch")
    assert guess(page, 0).startswith("Off by a factor of 54. You said 10. Measured: 542 steps.")
    close = guess(page, 0.58)
    assert close.startswith("Close. You said 550.")
    marks = page.locator(".gd-guess").first.locator(".gd-mark")
    you, measured = (marks.nth(i).bounding_box() for i in range(2))
    assert abs((you["x"] + you["width"] / 2) - (measured["x"] + measured["width"] / 2)) < 5


def test_progress_is_counted_saved_loaded_and_forgotten(open_page, tmp_path):
    page = open_page("01_full_batch")
    answer(page, 1, 1)  # wrong, then right
    answer(page, 1, 2)
    answer(page, 2, 1)  # right at once
    guess(page, 0)
    progress = open_page("progress")
    row = progress.get_by_role("row", name="1 Full batch")
    cells = row.get_by_role("cell")
    assert cells.all_inner_texts()[1:] == ["4", "2", "1", "a factor of 54", "5", "0"]
    with progress.expect_download() as download:
        progress.get_by_role("button", name="Save to").click()
    download.value.save_as(saved := tmp_path / "saved.json")
    assert set(json.loads(saved.read_text())["questions"]) == {"01_full_batch/1", "01_full_batch/2"}
    progress.get_by_role("button", name="Forget").click()
    assert cells.all_inner_texts()[1:4] == ["4", "0", "0"]
    with progress.expect_file_chooser() as chooser:
        progress.get_by_role("button", name="Load from").click()
    chooser.value.set_files(saved)
    progress.get_by_text("Loaded.").wait_for()
    assert cells.all_inner_texts()[1:4] == ["4", "2", "1"]
    (other := tmp_path / "other.json").write_text("[]")
    with progress.expect_file_chooser() as chooser:
        progress.get_by_role("button", name="Load from").click()
    chooser.value.set_files(other)
    progress.get_by_text("This file holds no progress").wait_for()
    assert cells.all_inner_texts()[1:4] == ["4", "2", "1"]


def test_the_page_answers_where_nothing_can_be_kept(open_page):
    page = open_page("01_full_batch", before=FORBID)
    assert answer(page, 2, 2).startswith("Not quite. ")
    assert guess(page, 1).startswith("Off by a factor of 18.")


def test_without_scripts_the_options_and_the_answers_can_be_read(browser, root):
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{root}/book/01_full_batch.html")
    box = page.locator(".gd-question").first
    assert box.locator("ol > li").count() == 3
    assert box.locator(".admonition").inner_text().startswith("Answer")
    assert "is right" in box.locator(".admonition").text_content()
    page.close()

"""What helps a reader: terms beside their words, large pictures, a page for a wrong address."""

import http.server
import threading

import pytest
from browsing import QuietHandler, browser, html

from gdcourse.lesson.figures import NARROW_INCHES

NARROW = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def page(browser, html):
    """Give a page of the book on a telephone."""
    context = browser.new_context(viewport=NARROW, has_touch=True)
    page = context.new_page()
    page.goto(f"{html.as_uri()}/book/02_sgd.html")
    yield page
    context.close()


def test_a_term_shows_its_meaning_on_focus_and_on_the_first_tap(page):
    link = page.locator(".bd-article section p a:has(.std-term)").first
    card = page.locator("#gd-term")
    link.tap()
    assert card.is_visible()
    assert len(card.inner_text()) > 30
    assert link.get_attribute("aria-describedby") == "gd-term"
    page.keyboard.press("Escape")
    assert card.is_hidden()
    link.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert card.is_visible()
    page.keyboard.press("Escape")
    assert "02_sgd" in page.url


def show_large(page, picture):
    """Tap a picture, and look at it in its whole width."""
    picture.tap()
    large = page.locator("dialog[open] img")
    assert large.bounding_box()["width"] == int(picture.get_attribute("width"))
    page.keyboard.press("Escape")
    assert large.count() == 0


def test_a_picture_has_a_layout_for_a_telephone_and_is_large_at_a_tap(page):
    picture = page.locator("#fig-clouds .gd-day img")
    picture.scroll_into_view_if_needed()
    assert picture.evaluate("image => image.currentSrc").endswith("-narrow.svg")
    assert picture.bounding_box()["width"] * 9 / (72 * NARROW_INCHES) > 11  # nine points
    show_large(page, picture)


def test_a_photograph_scrolls_on_a_telephone_and_is_large_at_a_tap(page):
    other = page.context.new_page()
    other.goto(page.url.replace("02_sgd", "capstone"))
    picture = other.locator(".gd-scroller img").first
    picture.scroll_into_view_if_needed()
    other.wait_for_function("document.querySelector('.gd-scroller.gd-more')")
    box = picture.bounding_box()
    assert box["width"] / int(picture.get_attribute("width")) > 11 / 18  # 9 points at 144 an inch
    show_large(other, picture)
    other.close()


def test_on_paper_the_answers_stand_at_the_end_and_on_the_screen_they_go_back(page):
    order = """kind => {
        dispatchEvent(new Event(kind));
        const nodes = document.querySelectorAll(".gd-question, [data-to]");
        return [...nodes].map(node => node.dataset.to ?? "asked");
    }"""
    answers = [f"Question {k}" for k in (1, 2, 3, 4)]
    assert page.evaluate(order, "beforeprint") == ["asked"] * 4 + answers
    back = [word for answer in answers for word in ("asked", answer)]
    assert page.evaluate(order, "afterprint") == back


def test_the_sidebar_shows_all_chapters_and_what_is_done(page):
    other = page.context.new_page()
    other.set_viewport_size({"width": 1280, "height": 800})
    other.goto(page.url)
    kept = {f"02_sgd/{k}": {"chosen": k, "right": 2, "first": k == 2} for k in (1, 2)}
    store = "kept => localStorage.setItem('gdcourse-practice', JSON.stringify({questions: kept}))"
    other.evaluate(store, kept)
    other.wait_for_timeout(300)  # the browser takes over in its own time what a page has stored
    other.goto(page.url.replace("02_sgd", "about"))
    chapters = other.locator(".bd-sidebar-primary .toctree-l1:has-text('.')")
    assert chapters.count() == 12
    boxes = [each.bounding_box() for each in chapters.all()]
    assert max(box["y"] + box["height"] for box in boxes) <= 800
    marked = other.locator(".bd-sidebar-primary a:has(.gd-done)")
    (text,) = marked.all_text_contents()
    assert " ".join(text.split()) == "2. SGD: one row at a time ✓ 1 right"
    other.evaluate("localStorage.clear()")
    other.close()


def test_every_page_says_what_it_is_about(html):
    for path in sorted((html / "book").glob("*.html")):
        text = path.read_text("utf-8").partition('<meta name="description" content="')[2]
        assert 50 < len(text.partition('"')[0]) < 300, path.name


def test_a_wrong_address_leads_back_into_the_book(browser, html):
    class Handler(QuietHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(html))

        def send_error(self, *arguments):
            body = (html / "404.html").read_bytes()
            self.send_response(404)
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    page = browser.new_page()
    page.goto(f"{root}/book/chapter/gone.html", wait_until="domcontentloaded")
    link = page.get_by_role("link", name="first page", exact=True)
    assert link.evaluate("node => node.href") == f"{root}/book/index.html"
    page.close()
    server.shutdown()
    server.server_close()

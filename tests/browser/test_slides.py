"""Slides that a chapter makes of itself, straight from the disk in a real browser."""

import io
import tomllib

import pytest
from browsing import browser, html
from pypdf import PdfReader
from test_pages import AXE, FAULTS

import course

__all__ = ["browser", "html"]
DECKS = tomllib.loads((course.BOOK / "slides.toml").read_text("utf-8"))
DECK = "02_sgd"  # figures of both kinds, formulas, a guess, questions


def open_slides(browser, html, deck=DECK, query="", **options):
    """Open slides, whole; a script that complains and a request elsewhere are noted."""
    page = browser.new_page(viewport={"width": 1280, "height": 720}, **options)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(error.stack))
    page.on("requestfailed", lambda sent: page.faults.append(sent.url))
    inside = (html.as_uri(), "data:", "blob:")
    page.on("request", lambda sent: sent.url.startswith(inside) or page.faults.append(sent.url))
    page.goto(f"{(html / 'book').as_uri()}/slides-{deck}.html{query}")
    page.wait_for_selector(".reveal.ready")
    return page


def show(page, label):
    """Go to the slide of a label."""
    page.evaluate(
        "label => Reveal.slide([...document.querySelectorAll('.slides > section')]"
        ".findIndex(slide => slide.dataset.label === label))",
        label,
    )
    return page.locator("section.present")


def test_every_chapter_has_slides_and_leads_to_them(html):
    chapters = {path.stem for path in course.BOOK.glob("[01]*_*.ipynb")}
    assert {*DECKS} == {name for name in chapters if "deeper" not in name}
    teaching = (html / "book" / "teaching.html").read_text("utf-8")
    for deck in DECKS:
        assert f'href="slides-{deck}.html"' in teaching
        assert f'href="slides-{deck}.html"' in (html / "book" / f"{deck}.html").read_text("utf-8")


def test_slides_show_what_was_asked_for(browser, html):
    """A figure its message, a formula the sentence before it, a question its options."""
    page = open_slides(browser, html)
    assert page.evaluate("Reveal.getTotalSlides()") == len(DECKS[DECK]) + 2
    figure = show(page, "fig-floors")
    assert figure.locator("h2").inner_text().startswith("Each constant rate ends on the floor")
    assert figure.get_by_role("img").bounding_box()["height"] > 300
    assert "Figure 2." in figure.locator("figcaption").inner_text()
    formula = show(page, "eq-sgd")
    assert formula.locator("mjx-container[display=true]").count() == 1
    assert "draws one row" in formula.inner_text()
    assert page.locator("mjx-merror").count() == 0
    assert page.faults == []
    page.close()


def test_keys_go_on_and_belong_to_a_figure_inside_it(browser, html):
    page = open_slides(browser, html)

    def at():
        return page.evaluate("Reveal.getIndices().h")

    page.keyboard.press("ArrowRight")
    assert at() == 1
    moving = show(page, "fig-noise-ball")
    here = at()
    slider = moving.get_by_role("slider", name="Learning rate", exact=True)
    before = slider.input_value()
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.input_value() != before
    moving.get_by_role("button", name="One step", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert at() == here
    page.keyboard.press("Escape")
    assert not page.evaluate("Reveal.isOverview()")
    slider.focus()
    page.keyboard.press("PageDown")
    assert at() == here + 1
    page.close()


def test_every_class_is_asked_anew(browser, html):
    page = open_slides(browser, html)
    box = show(page, "question 2")
    assert box.locator(".admonition .admonition").is_hidden()
    box.get_by_role("radio").first.check()
    assert box.locator(".gd-reply").inner_text().startswith("Not quite.")
    guess = show(page, "guess 1")
    guess.get_by_role("slider").fill("0.5")
    guess.get_by_role("button", name="That is my guess").click()
    assert "Measured:" in guess.locator(".gd-reply").inner_text()
    assert page.evaluate("localStorage.length") == 0
    page.close()


def test_on_paper_each_slide_is_a_page_in_the_light_theme(browser, html):
    page = open_slides(browser, html, "05_epochs", "?print-pdf", color_scheme="dark")
    page.locator(".pdf-page").nth(2).wait_for()
    assert page.locator("html").get_attribute("data-theme") == "light"
    paper = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    assert len(paper.pages) == len(DECKS["05_epochs"]) + 2
    page.close()


def test_axe_finds_no_serious_fault_on_a_slide(browser, html):
    page = open_slides(browser, html, reduced_motion="reduce")
    page.add_script_tag(path=AXE)
    for label in ("fig-noise-ball", "question 1", "guess 1"):
        show(page, label)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            page.locator(f"html[data-theme={theme}]").wait_for(state="attached")
            assert page.evaluate(FAULTS) == [], label
    page.close()


@pytest.mark.long
def test_every_slide_fits_its_sheet(browser, html):
    for deck in DECKS:
        page = open_slides(browser, html, deck)
        high = page.evaluate(
            """() => Reveal.getSlides().map((slide, k) => {
                Reveal.slide(k);
                return [slide.dataset.label, slide.scrollHeight];
            }).filter(([, height]) => height > 675)"""
        )
        assert (deck, high, page.faults) == (deck, [], [])
        page.close()

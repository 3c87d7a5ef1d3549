"""The glossary: in order, each term once, and linked where a chapter first needs it."""

import json
import re

import pytest

import course

PAGE = (course.BOOK / "glossary.md").read_text(encoding="utf-8")
ENTRIES, BACKGROUND = (  # the second block holds what chapters use without a link
    dict(re.findall(r"^([^\s:].*)\n  (.*)$", block, re.M))
    for block in re.findall(r"^::::\{glossary\}\n(.*?)^::::$", PAGE, re.M | re.S)
)
TERMS = list(ENTRIES)
CHAPTERS = sorted(path.stem for path in course.BOOK.glob("[0-9]*.ipynb"))

NOT_PROSE = re.compile(
    r"^(`{3,}|~{3,}).*?^\1`*$"  # fenced code and directives
    r"|\$\$.*?\$\$|\$[^$]+\$"  # formulas
    r"|(\{[\w:-]+\})?`+[^`]+`+"  # code, roles
    r"|\[[^\]]*\]\([^)]*\)|<[^>]*>"  # links
    r"|\*\"[^*]*\"\*"  # what others say
    r"|^[:#|].*?$|^\*\*(Reading time|You need|Time).*?$",  # directives, headings, tables
    re.M | re.S,
)
OTHER_MEANINGS = re.compile(r"power iteration|warm-up and a synchronised clock")


def words(term):
    """A pattern of a term, with its plural, and with hyphens for its spaces."""
    text = re.sub(r"[ –-]", r"[\\s–-]", term)
    return text + ("" if term.endswith("s") else "[sd]?" if term == "diverge" else "(?:s|es)?")


LONGEST = sorted(TERMS, key=len, reverse=True)
ANY_TERM = re.compile(
    "|".join(rf"(?<![\w-])(?P<t{k}>{words(term)})(?![\w-])" for k, term in enumerate(LONGEST)),
    re.I,
)


def unlinked(cells):
    """The terms that the prose uses before, or without, a link to their meaning."""
    linked, missing = set(), set()
    for cell in cells:
        prose = OTHER_MEANINGS.sub(" ", cell)
        roles = re.findall(r"\{term\}`([^`]+)`", prose)
        linked |= {re.sub(r".*<|>", "", role) for role in roles}
        for found in ANY_TERM.finditer(NOT_PROSE.sub(" ", prose)):
            missing.add(LONGEST[int(found.lastgroup[1:])])
        missing -= linked
        if missing:
            break
    return sorted(missing)


def prose(chapter):
    cells = json.loads((course.BOOK / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return [text for text in texts if ":class: gd-guess" not in text]  # asks, and explains later


@pytest.mark.parametrize("entries", [ENTRIES, BACKGROUND], ids=["course", "background"])
def test_terms_are_in_order_and_stand_once(entries):
    plain = [re.sub(r"[-–]", " ", term.lower()) for term in entries]
    assert plain == sorted(set(plain))
    assert sum(PAGE.count(f"\n{term}\n") for term in entries) == len(entries)


@pytest.mark.parametrize("term", ENTRIES | BACKGROUND)
def test_an_entry_leads_to_a_chapter_that_says_the_word(term):
    text = (ENTRIES | BACKGROUND)[term]
    chapter = re.search(r" \[(Chapter \d+|Introduction)\]\((\w+\.ipynb)\)\.$", text)[2]
    assert term[:5].lower() in (course.BOOK / chapter).read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_term_is_linked_where_a_chapter_first_needs_it(chapter):
    assert unlinked(prose(chapter)[1:]) == []  # the first cell says what one will learn


def test_a_term_without_a_link_is_noticed():
    assert unlinked(["The {term}`step`, and the steps.", "Mini-batches of $b$."]) == ["mini-batch"]
    assert unlinked(["A mini-batch.", "A {term}`mini-batch`."]) == ["mini-batch"]
    assert unlinked(["# Steps", "In `step`, a [step](x.md)."]) == []

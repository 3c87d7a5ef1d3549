"""The index of experiments covers the chapters, and their prose says no number of its own."""

import json
import re
import sys
from functools import cache

import pytest

import course

sys.path.insert(0, str(course.BOOK / "_ext"))
import experiments

CLAIMS, LET_PASS = experiments.claims()
CHAPTERS = sorted(path.stem for path in course.BOOK.glob("*.ipynb"))
PAGE = (course.BOOK / "experiments.md").read_text(encoding="utf-8")

cells_of = cache(experiments.code_cells)


@cache
def works():
    """The entries of the bibliography by their keys."""
    text = (course.BOOK / "references.bib").read_text(encoding="utf-8")
    return dict(re.findall(r"^@\w+\{(\w+),\n(.*?)^\}", text, re.M | re.S))


def unclaimed(chapter, rows):
    """The cells with an assert that no row finds; solutions of exercises need none."""
    cells = cells_of(chapter)
    found = {experiments.evidence(row, cells)[0] for row in rows}
    return [
        name
        for name, cell in cells.items()
        if experiments.asserts(cell.source) and name not in found and not cell.in_solution
    ]


# Claims


def faults(chapter, rows):
    """What is wrong with the claims of a chapter, a sentence for each fault."""
    cells, found = cells_of(chapter), []
    for row in rows:
        try:
            name, _, result = experiments.evidence(row, cells)
        except LookupError as error:
            found.append(str(error))
            continue
        if cells[name].lines and not result:
            found.append(f"its cell prints, and no line is named: {row['claim']}")
        if cells[name].in_solution:  # the index is also in the book that leaves the solutions out
            found.append(f"a solution is given away: {row['claim']}")
        unknown = sorted(set(row.get("cites", [])) - set(works()))
        if unknown:
            found.append(f"no work is called {', '.join(unknown)}: {row['claim']}")
    return found


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_claim_has_its_assert_its_result_and_its_works(chapter):
    assert faults(chapter, CLAIMS[chapter]) == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_assert_of_a_chapter_is_claimed(chapter):
    assert unclaimed(chapter, CLAIMS[chapter]) == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_page_shows_every_assert_of_a_chapter_once(chapter):
    cells = cells_of(chapter)
    shown = experiments.shares(CLAIMS[chapter], cells)
    assert sorted((name, held) for name, mine, _ in shown for held in mine) == sorted(
        (name, held)
        for name, cell in cells.items()
        if not cell.in_solution
        for held in experiments.asserts(cell.source)
    )


def test_a_row_of_a_table_stands_under_its_head():
    table = "| b | loss |\n|---|---|\n| 8 | 0.25 |\n"
    output = {"output_type": "display_data", "data": {"text/markdown": table}}
    heads = {line.rstrip(): head for line, head in experiments.printed([output]) if head}
    assert experiments.set_out(["8  0.25"], heads) == ["b  loss", "8  0.25"]
    assert experiments.set_out(["no table"], heads) == ["no table"]


def test_the_page_shows_every_chapter_once():
    assert sorted(re.findall(r"^```\{experiments\} (\w+)$", PAGE, re.M)) == CHAPTERS


SLOPE = {"claim": "", "holds": "slope / np.log(rho)", "prints": ["alpha = 1/L"]}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"holds": "slope / np.log(rho) == 1"}, "no cell holds"),
        ({"holds": "1", "prints": []}, "several cells hold"),
        ({"prints": ["slope -0.004254"]}, "not printed by the cell"),
    ],
)
def test_a_claim_without_evidence_is_refused(change, complaint):
    cells = cells_of("01_full_batch")
    assert experiments.evidence(SLOPE, cells)[2][0].startswith("alpha = 1/L")
    with pytest.raises(LookupError, match=complaint):
        experiments.evidence(SLOPE | change, cells)


def test_what_is_wrong_with_a_claim_is_told():
    (row,) = [row for row in CLAIMS["01_full_batch"] if row["holds"] == SLOPE["holds"]]
    rows = [row | {"cites": ["Nobody1900"]}, row | {"prints": []}, row | {"holds": "no such"}]
    solved = next(
        {"claim": "", "holds": held, "prints": [line]}
        for cell in cells_of("01_full_batch").values()
        if cell.in_solution
        for held in experiments.asserts(cell.source)
        for line in cell.lines[:1]
    )
    fault = [text.partition(":")[0] for text in faults("01_full_batch", [row, *rows, solved])]
    assert fault == [
        "no work is called Nobody1900",
        "its cell prints, and no line is named",
        "no cell holds 'no such'",
        "a solution is given away",
    ]


def test_an_assert_without_a_claim_is_noticed():
    rows = [row for row in CLAIMS["01_full_batch"] if row["holds"] != SLOPE["holds"]]
    assert len(unclaimed("01_full_batch", rows)) == 1


# Works


def test_every_work_can_be_found():
    lacking = [
        key
        for key, entry in works().items()
        if not re.search(r"^  doi += \{10\.\d+/\S+\},$|^  url += \{https://", entry, re.M)
    ]
    assert lacking == []


def test_what_is_cited_and_what_is_listed_are_the_same():
    pages = [*map("\n".join, map(prose, CHAPTERS))]
    pages += [path.read_text(encoding="utf-8") for path in course.BOOK.glob("*.md")]
    cited = re.findall(r"\{cite:[pt]\}`([^`]+)`", "\n".join(pages))
    assert {key.strip() for keys in cited for key in keys.split(",")} == set(works())


# Numbers in the prose
#
# A number must occur in a code cell of its chapter or in what one prints, there perhaps with
# more digits. This finds a number that was changed on one side only. It does not see numbers
# in formulas or in words ("ninefold"), nor one that happens to occur elsewhere in the chapter:
# small whole numbers nearly always do.

NOT_PROSE = re.compile(
    r"^(`{3,}|~{3,}).*?^\1"  # fenced code and directives
    r"|\$\$.*?\$\$|\$[^$]+\$"  # formulas
    r"|(\{[\w:-]+\})?`+[^`]+`+"  # code, roles
    r"|\]\([^)]*\)|<[^>]*>"  # addresses
    r"|^:.*?$|^#.*?$|^\*\*(Reading t|T)ime.*?$"  # directives, headings, durations
    r"|^Between \*\*.*?$"  # the scale of a guess
    r"|^\d+\. |\*\*\d+\.\*\*|\[\d+ "  # numbers of a list, a question, a chapter
    r"|\b([Cc]hapter|[Ee]xercise|[Tt]heorem|[Ll]emma|[Tt]ask)s? \[?\d[\d.]*"
    r"(\]\(\S+\))?((,| and| to) \[?\d+)*"
    r"|\b(19|20)\d\d\b",  # years
    re.M | re.S,
)
NUMBER = re.compile(r"(?<![\w.,/^-])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w]|[.,]\d)(?:\s?%)?")
IN_CODE = re.compile(r"\d[\d,_]*(?:\.\d+)?(?:e[+-]?\d+)?")


def value(text):
    return float(re.sub(r"[,_%\s]", "", text))


@cache
def computed(chapter):
    """All numbers in the code cells of a chapter and in what they print."""
    text = "\n".join("\n".join([cell.source, *cell.lines]) for cell in cells_of(chapter).values())
    return frozenset(value(found) for found in IN_CODE.findall(text))


def said(markdown):
    """The numbers in the prose of a Markdown cell."""
    return [found.replace(" ", "") for found in NUMBER.findall(NOT_PROSE.sub(" ", markdown))]


def is_computed(number, known):
    """Tell whether a number of the prose is among those computed, perhaps with more digits."""
    wanted = value(number)
    digits = len(number.rstrip("%").partition(".")[2])
    scales = (1, 100) if number.endswith("%") else (1,)
    return any(
        abs(scale * one - wanted) < 1e-9 * max(1, wanted)
        or (digits and abs(round(one, digits) - wanted) < 1e-9)
        for one in known
        for scale in scales
    )


@cache
def prose(chapter):
    text = (course.BOOK / f"{chapter}.ipynb").read_text(encoding="utf-8")
    cells = json.loads(text)["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def of_its_own(chapter, cells):
    """The numbers of the prose that its chapter does not compute."""
    numbers = {number for cell in cells for number in said(cell)}
    return {number for number in numbers if not is_computed(number, computed(chapter))}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_prose_says_what_the_chapter_computes(chapter):
    assert of_its_own(chapter, prose(chapter)) == set(LET_PASS.get(chapter, {}))


def test_numbers_that_are_let_pass_have_a_reason():
    assert all(len(why) > 3 for numbers in LET_PASS.values() for why in numbers.values())


def test_a_false_number_in_the_prose_is_noticed():
    cells = [cell.replace("variance was 4.409", "variance was 4.419") for cell in prose("02_sgd")]
    assert cells != prose("02_sgd")
    assert of_its_own("02_sgd", cells) - set(LET_PASS["02_sgd"]) == {"4.419"}


def test_what_counts_as_a_number_of_the_prose():
    text = "# 3 ways\nFrom 97% to 1,024 of 0.5, in `x = 7`, $n = 8$, chapters 1 and 2, 2018.\n"
    assert said(text) == ["97%", "1,024", "0.5"]


# Times


def minutes(text):
    """The numbers of a duration, such as "75 to 90"."""
    return re.findall(r"\d+", text.partition(" minutes")[0])


def test_the_plans_for_teachers_have_the_times_of_the_chapters():
    page = (course.BOOK / "teaching.md").read_text(encoding="utf-8")
    planned = dict(re.findall(r"^\| \[[^]]+\]\((\w+)\.ipynb\) \| (.+?) \|", page, re.M))
    told = {
        chapter: re.search(r"\*\*Reading time:\*\* (.*)", "\n".join(prose(chapter)))
        for chapter in CHAPTERS
    }
    told = {chapter: minutes(found[1]) for chapter, found in told.items() if found}
    assert {chapter: minutes(text) for chapter, text in planned.items()} == told


def test_the_lecture_fits_into_its_minutes():
    page = (course.BOOK / "teaching.md").read_text(encoding="utf-8")
    lecture = page.partition("## One lecture, 90 minutes")[2].partition("\n## ")[0]
    assert sum(map(int, re.findall(r"^\| (\d+) \|", lecture, re.M))) == 90

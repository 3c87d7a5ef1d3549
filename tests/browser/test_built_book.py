"""What a reader takes along: whole links, no solutions where none are wanted, a zip, paper."""

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from collections import Counter
from functools import cache
from html import unescape
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from browsing import browser, html, served
from sphinx.search.en import SearchEnglish

import course
from tools import paper

DOI = re.compile(r"10\.\d{4,9}/[!-~]+")
ARXIV = re.compile(r"(abs|pdf|html)/(\d{4}\.\d{4,5}(v\d+)?|[a-z-]+(\.[A-Z]{2})?/\d{7})")


@cache
def text_of_page(path):
    """Return a page of the built book as it is written."""
    return path.read_text("utf-8")


def attributes(text, names):
    """Return the values of the attributes named, in the order of a page; a parser is too slow."""
    return [unescape(value) for value in re.findall(rf'\s(?:{names})="([^"]+)"', text)]


def pages(folder):
    """Return the pages of a built book."""
    return sorted(path for path in folder.rglob("*.html") if "_static" not in path.parts)


def links(path):
    """Return every address that a page names."""
    return attributes(text_of_page(path), "href|src")


@cache
def places(path):
    """Return the ids on a page: where a link may lead."""
    return set(attributes(text_of_page(path), "id"))


def broken(path):
    """Return the links of a page inside the book that lead to no file, or to no place in it."""
    found = []
    for link in links(path):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        anchor = unquote(parts.fragment) if target.suffix == ".html" else ""
        if not target.is_file() or (anchor and anchor not in places(target)):
            found.append(link)
    return found


def malformed(link):
    """Tell whether an address outside the book is not what its host would know."""
    parts = urlsplit(link)
    path = unquote(parts.path).strip("/")
    if parts.netloc == "doi.org":
        return not DOI.fullmatch(path)
    if parts.netloc == "arxiv.org":
        return not ARXIV.fullmatch(path)
    return parts.scheme not in ("https", "data") or parts.netloc.startswith("dx.")


def test_every_link_inside_the_book_leads_somewhere(html):
    assert {path.name: found for path in pages(html) if (found := broken(path))} == {}


def test_every_link_out_of_the_book_is_well_formed(html):
    outside = {link for path in pages(html) for link in links(path) if urlsplit(link).scheme}
    assert sum("doi.org" in link for link in outside) > 10
    assert sorted(filter(malformed, outside)) == []
    print("\n".join(sorted(link for link in outside if not link.startswith("data:"))))


def test_a_wrong_link_is_seen(tmp_path):
    (tmp_path / "there.html").write_text('<p id="place"></p>')
    right = ["there.html#place", "there.html", "#top", "https://x.org"]
    wrong = ["gone.html", "there.html#no", "#no", "no.png"]
    tags = "".join(f'<a href="{link}"></a>' for link in right + wrong)
    (tmp_path / "page.html").write_text(f'<p id="top"></p>{tags}')
    assert broken(tmp_path / "page.html") == wrong
    assert not malformed("https://doi.org/10.1137/16M1080173")
    assert not malformed("https://arxiv.org/abs/1206.5533")
    assert malformed("https://doi.org/16M1080173")
    assert malformed("https://arxiv.org/abs/12065533")
    assert malformed("http://plain.org/")


# Solutions


@pytest.fixture(scope="module")
def unsolved():
    """Return the folder of the book built without solutions."""
    options = ("--no-solutions",)
    assert course.build(*options) == 0
    return course.choose_folder(options)


TAG = re.compile(r"<[^>]*>")


def squeezed(text):
    """Return only the letters and digits, which no markup changes."""
    return re.sub(r"[\W_]+", "", text)


def sources(folder):
    """Return the texts of the notebooks and pages below a folder: their cells, with outputs."""
    for path in sorted(folder.glob("*.ipynb")):
        yield nbformat.read(path, as_version=4).cells
    for path in sorted(folder.glob("*.md")):
        yield [nbformat.v4.new_markdown_cell(path.read_text("utf-8"))]


def text_of(cell):
    """Return what a cell says: its source and its outputs, without pictures."""
    outputs = cell.get("outputs", [])
    said = [out.get("text") or out.data.get("text/html", out.data["text/plain"]) for out in outputs]
    return "\n".join([cell.source, *said])


SEAM = "\n<seam>\n"
SOLVED = re.compile(
    r"^(:+|`+)\{solution-start\}.*?\{solution-end\}|^(:{3,}|`{3,})\{solution\}.*?^\2$", re.M | re.S
)


@pytest.fixture(scope="module")
def solved():
    """Return what stands in solutions alone: its lines, the stems of its words, its pictures."""
    other = [*(course.ROOT / "gdcourse").glob("*.py"), course.BOOK / "references.bib"]
    inside, outside, drawn = [], [path.read_text("utf-8") for path in other], set()
    for cells in sources(course.BOOK):
        text = SEAM.join(map(text_of, cells))
        inside += [match[0] for match in SOLVED.finditer(text)]
        outside.append(SOLVED.sub("", text))
        in_solutions = set("".join(inside).split(SEAM))
        for cell in cells:
            if cell.cell_type == "code" and text_of(cell) in in_solutions:
                pictures = [out.data.get("image/png") for out in cell.outputs if "data" in out]
                drawn |= {hashlib.sha256(base64.b64decode(p)).hexdigest() for p in pictures if p}
    rest = squeezed("".join(outside))
    lines = {squeezed(line) for text in inside for line in text.splitlines()}
    stem = SearchEnglish({}).stem
    words = [
        {stem(word) for text in texts for word in re.findall(r"[a-z]+", text.lower())}
        for texts in (inside, outside)
    ]
    own = {line for line in lines if len(line) > 25 and line not in rest}
    return own, words[0] - words[1], drawn


def blocks(kind, path):
    """Return the ids of the exercises or of the solutions on a page."""
    return re.findall(rf'<div class="{kind} [^"]*" id="([^"]+)"', text_of_page(path))


def leaks(folder, solved):
    """Return what a built book shows of the solutions, where it shows it."""
    own, words, drawn = solved
    texts = {
        path.name: squeezed(unescape(TAG.sub("", text_of_page(path)))) for path in pages(folder)
    }
    for number, cells in enumerate(sources(folder / "_sources" / "book")):
        texts[f"source {number}"] = squeezed("".join(map(str, cells)).replace("\\n", ""))
    found = [(name, line) for name, text in texts.items() for line in own if line in text]
    index = set(re.findall(r"\w+", (folder / "searchindex.js").read_text("utf-8")))
    found += [("searchindex.js", word) for word in words & index]
    return found + [
        ("picture", name) for name in drawn if (folder / f"_images/{name}.png").exists()
    ]


def test_the_full_book_shows_its_solutions(html, solved):
    shown = Counter(name for name, _ in leaks(html, solved))
    assert sum(len(blocks("solution", path)) for path in pages(html)) > 20
    assert shown["searchindex.js"] > 10
    assert sum(name.endswith(".html") for name in shown) >= 7
    assert sum(name.startswith("source") for name in shown) >= 7


def test_a_book_without_solutions_shows_none(unsolved, solved):
    assert leaks(unsolved, solved) == []
    assert [path.name for path in pages(unsolved) if blocks("solution", path)] == []


def test_a_book_without_solutions_keeps_its_exercises_and_its_links(html, unsolved):
    kept, all_of_them = (
        [name for path in pages(folder) for name in blocks("exercise", path)]
        for folder in (unsolved, html)
    )
    assert kept == all_of_them
    assert len(kept) > 30
    assert {path.name: found for path in pages(unsolved) if (found := broken(path))} == {}


def test_a_notebook_without_solutions_misses_no_name(unsolved):
    options = ("check", "--isolated", "--no-cache", "--select", "F821")
    notebooks = sorted((unsolved / "_sources").rglob("*.ipynb"))
    assert subprocess.call([sys.executable, "-m", "ruff", *options, *notebooks]) == 0


# A download, a zip, paper


def test_the_download_button_gives_the_notebook(browser, html):
    stored = (course.BOOK / "02_sgd.ipynb").read_text("utf-8")
    page = browser.new_page()
    with served(html, "http") as root:
        page.goto(f"{root}/book/02_sgd.html")
        page.get_by_label("Download this page").click()
        with page.expect_download() as download:
            page.locator(".btn-download-source-button").click()
        assert download.value.suggested_filename == "02_sgd.ipynb"
        assert download.value.path().read_text("utf-8") == stored
    page.goto(f"{html.as_uri()}/book/02_sgd.html")
    page.get_by_label("Download this page").click()
    with page.expect_popup() as shown:  # from the disk a browser shows what it could save
        page.locator(".btn-download-source-button").click()
    assert shown.value.inner_text("body").strip() == stored.strip()
    shown.value.close()
    page.close()


def test_the_zip_opens_from_the_disk(browser, html, tmp_path):
    course.zip_folder(html, tmp_path / "book.zip")
    with zipfile.ZipFile(tmp_path / "book.zip") as archive:
        archive.extractall(tmp_path)
    missing = []
    page = browser.new_page()
    page.on("requestfailed", lambda sent: missing.append(sent.url))
    page.goto((tmp_path / "book" / "index.html").as_uri())
    page.wait_for_selector(".bd-article mjx-container")
    assert page.url == (tmp_path / "book" / "book" / "index.html").as_uri()
    assert missing == []
    page.close()


def test_on_paper_every_link_stays_inside(html):
    text = paper.join_pages(html, paper.list_pages())
    addresses = re.findall(r'<a\b[^>]*\shref="([^"]*)"', text)
    inside = {address.removeprefix("#") for address in addresses if address.startswith("#")}
    assert len(inside) > 100
    assert sorted(inside - set(attributes(text, "id"))) == []
    assert [a for a in addresses if not a.startswith(("#", "https://"))] == []
    folded = [tag for tag in re.findall(r"<details[^>]*>", text) if " open=" not in tag]
    assert folded == []


def test_paper_has_pages_links_and_an_outline(browser, html, tmp_path):
    some = ["index", "01_full_batch", "bibliography"]
    paper.print_pages(browser, html, some, tmp_path / "book.pdf")
    text = (tmp_path / "book.pdf").read_bytes()
    assert text.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", text)) > 10
    assert text.count(b"/Subtype /Link") > 50
    assert b"/Outlines" in text
    assert not (html / "book" / "paper.html").exists()

"""What a reader takes along: whole links, no solutions where none are wanted, a zip, paper."""

import base64
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from functools import cache, partial
from html import unescape
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import nbformat
import pytest
from browsing import browser, html, served
from nbformat import v4
from PIL import Image
from pypdf import PdfReader
from sphinx.search.en import SearchEnglish

import course
import gdcourse as gd
from tools import epub, paper, plain, solutions
from tools.notebooks import normalise

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


def test_all_pages_share_one_style_sheet(html):
    leading_on = html / "index.html"
    shown = [path for path in pages(html) if not path.name.startswith("slides-")]
    texts = [text_of_page(path) for path in shown if path != leading_on]
    ((sheet,),) = {tuple(re.findall(r"_static/[^\"]+\.css", text)) for text in texts}
    text = (html / sheet).read_text("utf-8")
    assert "@import" not in text
    named = re.findall(r"url\([\"']?(?!data:|#)([^)\"']+)", text)
    assert named
    assert [name for name in named if not (html / "_static" / name).is_file()] == []
    for rule in (".bd-article ", ".gd-explorer", ".gd-live", ".sd-card", ".highlight .k"):
        assert rule in text


def test_every_figure_has_a_number_and_stands_above_its_code(html):
    numbers = 0
    for path in pages(html):
        text = text_of_page(path)
        around = r"(?:<(?:div|a) [^>]*>)*"
        drawing = rf'<div class="gd-explorer"|<figure [^>]*>\s*{around}<(?:img|picture)'
        drawn = len(re.findall(drawing, text))
        captions = re.findall(r'<span class="caption-number">Figure [\d.]+ </span>', text)
        assert len(captions) == drawn, path.name
        code_first = r"</details>\s*<div class=\"cell_output[^>]*>\s*<figure"
        assert not re.search(code_first, text), path.name
        numbers += drawn
    assert numbers > 60


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
def unsolved(tmp_path_factory):
    """Return the folder of the sources without solutions."""
    return solutions.copy_without_solutions(course.ROOT, tmp_path_factory.mktemp("unsolved"))


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


def pictures_of(cell):
    """Return the names that a built book gives to the pictures of a cell."""
    outputs = [output.get("data", {}) for output in cell.get("outputs", [])]
    pictures = [base64.b64decode(data["image/png"]) for data in outputs if "image/png" in data]
    return [hashlib.sha256(picture).hexdigest() for picture in pictures]


SEAM = "\n<seam>\n"
SOLVED = re.compile(
    r"^(:+|`+)\{solution-start\}.*?\{solution-end\}|^(:{3,}|`{3,})\{solution\}.*?^\2$", re.M | re.S
)


@pytest.fixture(scope="module")
def solved():
    """Return what stands in solutions alone: its lines, and the stems of its words."""
    other = [*(course.ROOT / "gdcourse").glob("*.py"), course.BOOK / "references.bib"]
    inside, outside = [], [path.read_text("utf-8") for path in other]
    for cells in sources(course.BOOK):
        text = SEAM.join(map(text_of, cells))
        inside += [match[0] for match in SOLVED.finditer(text)]
        outside.append(SOLVED.sub("", text))
    rest = squeezed("".join(outside))
    lines = {squeezed(line) for text in inside for line in text.splitlines()}
    stem = SearchEnglish({}).stem
    words = [
        {stem(word) for text in texts for word in re.findall(r"[a-z]+", text.lower())}
        for texts in (inside, outside)
    ]
    own = {line for line in lines if len(line) > 25 and line not in rest}
    return own, words[0] - words[1]


def blocks(kind, path):
    """Return the ids of the exercises or of the solutions on a page."""
    return re.findall(rf'<div class="{kind} [^"]*" id="([^"]+)"', text_of_page(path))


def leaks(folder, solved):
    """Return what a built book shows of the solutions, where it shows it."""
    own, words = solved
    texts = {
        path.name: squeezed(unescape(TAG.sub("", text_of_page(path)))) for path in pages(folder)
    }
    found = [(name, line) for name, text in texts.items() for line in own if line in text]
    index = set(re.findall(r"\w+", (folder / "searchindex.js").read_text("utf-8")))
    found += [("searchindex.js", word) for word in words & index]
    return found + leaks_of_sources(folder / "_sources" / "book", own)


def leaks_of_sources(folder, own):
    """Return which lines of the solutions the notebooks and pages in a folder hold."""
    texts = {
        f"source {number}": squeezed("".join(map(str, cells)).replace("\\n", ""))
        for number, cells in enumerate(sources(folder))
    }
    return [(name, line) for name, text in texts.items() for line in own if line in text]


def test_the_full_book_shows_its_solutions(html, solved):
    shown = Counter(name for name, _ in leaks(html, solved))
    assert sum(len(blocks("solution", path)) for path in pages(html)) > 20
    assert shown["searchindex.js"] > 10
    assert sum(name.endswith(".html") for name in shown) >= 7
    assert sum(name.startswith("source") for name in shown) >= 7


def test_sources_without_solutions_hold_none(unsolved, solved):
    assert leaks_of_sources(unsolved / "book", solved[0]) == []


EXERCISE = re.compile(r"^(?::{3,}|`{3,})\{exercise\}(?:.*\n:.*)+", re.M)


def test_sources_without_solutions_keep_their_exercises(unsolved):
    kept, all_of_them = (
        [
            found
            for cells in sources(folder)
            for cell in cells
            for found in EXERCISE.findall(cell.source)
        ]
        for folder in (unsolved / "book", course.BOOK)
    )
    assert kept == all_of_them
    assert len(kept) > 30


LABEL = re.compile(r"^\(\S+\)=|^:(?:label|name):.*|\$\$ *\(\S+\)|^\[\^[^]]+\]:", re.M)


def test_no_link_can_lead_into_a_solution():
    """So that none is broken in the book without them."""
    texts = (SEAM.join(cell.source for cell in cells) for cells in sources(course.BOOK))
    solved = [match[0] for text in texts for match in SOLVED.finditer(text)]
    assert len(solved) > 30
    assert [label for text in solved for label in LABEL.findall(text)] == []


def test_a_notebook_without_solutions_misses_no_name(unsolved):
    options = ("check", "--isolated", "--no-cache", "--select", "F821")
    notebooks = sorted((unsolved / "book").glob("*.ipynb"))
    assert subprocess.call([sys.executable, "-m", "ruff", *options, *notebooks]) == 0


TASK = """
:::{{exercise}} One of two
:label: ex-{name}
What is {name}?
:::

"""
IN_ONE_BLOCK = """
:::{solution} ex-inline
:class: dropdown
It is the zanzibar of the inline one.
:::
"""
OPENED = """
:::{solution-start} ex-gated
:class: dropdown
:::
It is the mombasa of the gated one.
"""
CLOSED = """
:::{solution-end}
:::
"""


@pytest.fixture(scope="module")
def small_book(tmp_path_factory):
    """Return a book of two pages, one with a solution in one block, one with one in cells."""
    root = tmp_path_factory.mktemp("small")
    (root / "book").mkdir()
    for name in ("_static", "_templates"):
        shutil.copytree(course.BOOK / name, root / "book" / name)
    shutil.copy(course.BOOK / "references.bib", root / "book")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n  - file: book/gated\n"
    )
    (root / "book" / "index.md").write_text(
        "# Inline\n" + TASK.format(name="inline") + IN_ONE_BLOCK
    )
    cells = [v4.new_markdown_cell("# Gated\n" + TASK.format(name="gated") + OPENED)]
    cells += [computing("kilimanjaro", (0, 0, 255)), v4.new_markdown_cell(CLOSED)]
    cells += [computing("serengeti", (0, 255, 0))]
    notebook = normalise(v4.new_notebook(cells=cells), "gated")
    nbformat.write(notebook, root / "book" / "gated.ipynb")
    return root


def computing(word, colour):
    """Return a cell that says a word in its source, as text and as HTML, and draws a picture."""
    file = io.BytesIO()
    Image.new("RGB", (2, 2), colour).save(file, "png")
    data = {"text/plain": f"{word}text", "text/html": f"<i>{word}html</i>"}
    picture = {"image/png": base64.b64encode(file.getvalue()).decode(), "text/plain": "Figure"}
    outputs = [v4.new_output("stream", text=f"{word}stream\n")]
    outputs += [v4.new_output("display_data", data=kind) for kind in (data, picture)]
    alt = {"mystnb": {"image": {"alt": "A colour."}}}
    return v4.new_code_cell(f"{word}source = 1", outputs=outputs, execution_count=1, metadata=alt)


def test_a_book_without_solutions_shows_none(small_book, tmp_path):
    """What stands outside them is found in pages, sources, pictures and the index of words."""
    source = solutions.copy_without_solutions(small_book, tmp_path / "source")
    assert course.build_pages(source, tmp_path) == 0
    folder = tmp_path / "_build" / "html"
    files = [path for path in folder.rglob("*") if path.is_file() and "_static" not in path.parts]
    text = {path: path.read_text("utf-8", errors="replace").lower() for path in files}
    words = ["zanzibar", "mombasa", "kilimanjaro", "solution"]
    assert [(path, word) for path in files for word in words if word in text[path]] == []
    for path, word in {
        "book/index.html": "what is inline",
        "book/gated.html": "serengetihtml",
        "_sources/book/gated.ipynb": "serengetistream",
        "searchindex.js": "serengetisourc",  # a stem
    }.items():
        assert word in text[folder / path]
    cells = nbformat.read(small_book / "book" / "gated.ipynb", as_version=4).cells
    drawn = [name for cell in cells for name in pictures_of(cell)]
    assert [(folder / f"_images/{name}.png").exists() for name in drawn] == [False, True]
    assert {path.name: found for path in pages(folder) if (found := broken(path))} == {}
    with zipfile.ZipFile(folder / "_static" / "gradient-descent.zip") as archive:
        names = archive.namelist()
    assert "gradient-descent/work/02_sgd.ipynb" in names  # what a class receives
    assert not any(name.startswith("gradient-descent/book/") for name in names)


# A download, a zip, an ePub, paper

NOT_IN_EPUB = {"script", "button", "input", "select", "mjx-container", "svg"}


def test_the_download_button_gives_the_notebook_and_its_package(browser, html, tmp_path):
    written = (html / "_sources" / "book" / "02_sgd.ipynb").read_text("utf-8")
    page = browser.new_page()
    with served(html, "http") as root:
        page.goto(f"{root}/book/02_sgd.html")
        for kind in ("source", "wheel"):
            page.get_by_label("Download this page").click()
            with page.expect_download() as download:
                page.locator(f".btn-download-{kind}-button").click()
            download.value.save_as(tmp_path / download.value.suggested_filename)
    assert (tmp_path / "02_sgd.ipynb").read_text("utf-8") == written
    (wheel,) = tmp_path.glob("gdcourse-*-none-any.whl")
    assert wheel.name in nbformat.read(tmp_path / "02_sgd.ipynb", as_version=4).cells[0].source
    page.goto(f"{html.as_uri()}/book/02_sgd.html")
    page.get_by_label("Download this page").click()
    with page.expect_popup() as shown:  # from the disk a browser shows what it could save
        page.locator(".btn-download-source-button").click()
    assert shown.value.inner_text("body").strip() == written.strip()
    shown.value.close()
    page.close()


def test_a_downloaded_notebook_installs_the_package_or_says_what_is_missing(html, tmp_path):
    """With a pip that only says what it is asked for, in a Python that has no gdcourse."""
    (wheel,) = (html / "_static").glob("*.whl")
    notebook = nbformat.read(html / "_sources" / "book" / "02_sgd.ipynb", as_version=4)
    (tmp_path / "pip.py").write_text("import sys; print(sys.argv[1:])")
    command = [sys.executable, "-S", "-c", notebook.cells[0].source]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    call = partial(subprocess.run, command, env=environment, capture_output=True, text=True)
    assert f"save {wheel.name} beside this notebook" in call(cwd=tmp_path).stderr
    shutil.copy(wheel, tmp_path)
    asked = "['install', '--quiet', '{}[notebooks]']"
    assert asked.format(wheel.name) in call(cwd=tmp_path).stdout
    there = asked.format(f"../../_static/{wheel.name}")
    assert there in call(cwd=html / "_sources" / "book").stdout


def test_the_wheel_in_the_book_is_the_package(html):
    (wheel,) = (html / "_static").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for path in (course.ROOT / "gdcourse").rglob("*.py"):
            name = path.relative_to(course.ROOT).as_posix()
            assert archive.read(name) == path.read_bytes()


def test_a_downloaded_notebook_has_the_numbers_of_its_page(html):
    numbers = {}
    for text in map(text_of_page, pages(html)):
        numbers |= dict(re.findall(r'id="(ex-[\w-]+)">\s*<p.*?>Exercise ([\d.]+) ?<', text))
        equations = re.findall(r'"eqno">\(([\d.]+)\)<a [^>]*href="#equation-([\w-]+)"', text)
        numbers |= {label: number for number, label in equations}
        figures = r'id="(fig-[\w-]+)".*?"caption-number">Figure ([\d.]+) ?<'
        numbers |= dict(re.findall(figures, text, re.S))
    assert len(numbers) > 80
    assert numbers == plain.Book(course.ROOT).numbers


def test_the_book_carries_its_project(html):
    """All that is in the repository, and nothing else; a class gets its own copy."""
    with zipfile.ZipFile(html / "_static" / "gradient-descent.zip") as archive:
        packed = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    made = (course.BUILD, course.VENV, course.ROOT / "node_modules", course.WORK)
    needed = {"course.py", "requirements.txt", "package-lock.json", ".ci/run", "tests/conftest.py"}
    assert needed <= set(packed)
    assert not any(
        (course.ROOT / name).is_relative_to(folder) for name in packed for folder in made
    )
    folders = [course.ROOT / name for name in ("book", "gdcourse", "tests", "tools", "benchmarks")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    kept = [path for path in files if not {"__pycache__", ".ruff_cache"} & {*path.parts}]
    assert {path.relative_to(course.ROOT).as_posix() for path in kept} <= set(packed)
    assert len(kept) > 200


@pytest.mark.long
def test_the_project_in_the_book_builds_the_book(html, tmp_path):
    """Unpacked elsewhere, without a repository around it."""
    shutil.unpack_archive(html / "_static" / "gradient-descent.zip", tmp_path)
    root = tmp_path / "gradient-descent"
    (root / "node_modules").symlink_to(course.ROOT / "node_modules")
    code = f"import course; raise SystemExit(course.build('{course.NO_LIVE}'))"
    assert subprocess.call([sys.executable, "-c", code], cwd=root) == 0
    zips = [
        zipfile.ZipFile(folder / "_static" / "gradient-descent.zip").infolist()
        for folder in (html, root / "_build" / "html")
    ]
    here, there = [{(entry.filename, entry.CRC) for entry in entries} for entries in zips]
    assert here == there


@pytest.mark.long
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


@pytest.mark.long
def test_an_epub_has_formulas_and_pictures_and_no_script(browser, html, tmp_path):
    some = ["index", "01_full_batch"]
    epub.bind_pages(browser, html, some, tmp_path / "book.epub")
    with zipfile.ZipFile(tmp_path / "book.epub") as archive:
        first, *names = archive.namelist()
        assert first == "mimetype"
        assert archive.read(first) == b"application/epub+zip"
        pages = {name: archive.read(name).decode("utf-8") for name in names if "xhtml" in name}
        listed = archive.read("book/book.opf").decode("utf-8")
    for name, text in pages.items():
        tree = ElementTree.fromstring(text)
        dead = {tag for node in tree.iter() if (tag := node.tag.split("}")[1]) in NOT_IN_EPUB}
        assert dead == set()
        links = [node.get("href") for node in tree.iter() if node.get("href")]
        inside = {link.partition("#")[0] for link in links if not link.startswith("https:")}
        assert inside <= {"", "book.css", *(f"{page}.xhtml" for page in some)}, name
    assert "<math" in pages["book/index.xhtml"]
    assert 'src="images/index-0.png"' in pages["book/index.xhtml"]  # a figure that moves
    pictures = {name for name in names if "/images/" in name}
    assert len(pictures) > 2
    assert all(name.removeprefix("book/") in listed for name in {*pictures, *pages})


@pytest.mark.long
def test_on_paper_every_link_stays_inside(html):
    text = paper.join_pages(html, paper.list_pages())
    addresses = re.findall(r'<a\b[^>]*\shref="([^"]*)"', text)
    inside = {address.removeprefix("#") for address in addresses if address.startswith("#")}
    assert len(inside) > 100
    assert sorted(inside - set(attributes(text, "id"))) == []
    assert [a for a in addresses if not a.startswith(("#", "https://"))] == []
    folded = [tag for tag in re.findall(r"<details[^>]*>", text) if " open=" not in tag]
    assert folded == []
    asked = re.findall(r'class="gd-question|data-to="(Question \d+)"', text)
    order = "".join("a" if answered else "q" for answered in asked)
    assert re.fullmatch("(q+a+)+", order)
    assert order.count("q") == order.count("a") > 40


@pytest.mark.long
def test_on_paper_a_link_to_a_page_that_is_left_out_is_text(html):
    names = [name for name in paper.list_pages() if name not in paper.LOOKED_UP]
    text = paper.join_pages(html, names)
    inside = set(re.findall(r'<a\b[^>]*\shref="#([^"]*)"', text))
    assert sorted(inside - set(attributes(text, "id"))) == []
    assert "how the claims are held" in text
    assert 'id="experiments"' not in text


@pytest.mark.long
def test_paper_has_pages_links_and_an_outline(browser, html, tmp_path):
    some = ["index", "01_full_batch", "bibliography"]
    paper.print_pages(browser, html, some, tmp_path / "book.pdf")
    text = (tmp_path / "book.pdf").read_bytes()
    assert text.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", text)) > 10
    assert text.count(b"/Subtype /Link") > 50
    assert b"/Outlines" in text
    contents, *pages = [page.extract_text() for page in PdfReader(tmp_path / "book.pdf").pages]
    assert f"Version {gd.__version__}, printed on " in contents
    found = re.search(r"Least squares in d \+ 1 rows\s+(\d+)", contents)
    assert "Least squares in d + 1 rows" in pages[int(found[1]) - 2]
    assert "import gdcourse as gd" in "".join(pages)  # what is folded on a screen
    assert not (html / "book" / "paper.html").exists()

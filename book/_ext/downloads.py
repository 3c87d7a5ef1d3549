"""Make what the book hands out work alone: its notebooks, and all of it.

The file behind the download button is plain Markdown, for viewers
that know no MyST. Its first cell installs gdcourse, which is on no
index, from a wheel that the book carries. The page offers that wheel
in the same menu as the notebook. The first page has the project, as a
zip; a book without solutions has there what a class receives.
"""

import json
import shutil
import sys
import tempfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # where Sphinx was not started there

from tools.classes import make_class  # noqa: E402
from tools.plain import Book, make_plain  # noqa: E402
from tools.working_copy import add_answers, make_cell  # noqa: E402

PROJECT = "gradient-descent.zip"
HIDDEN = {".ci", ".github", ".editorconfig"}
HIDDEN |= {".gitattributes", ".gitignore"}
INSTALL = """\
# gdcourse is on no index. Where it is missing, this cell installs it,
# and what the chapter needs besides, from the wheel that the page
# offers in the same menu: save it beside this notebook.
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

wheel = "{wheel}"
if find_spec("gdcourse") is None:
    places = Path(wheel), Path("../../_static", wheel)  # of the book
    found = [str(place) for place in places if place.exists()]
    if not found:
        raise FileNotFoundError(f"save {{wheel}} beside this notebook")
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.check_call([*pip, found[0] + "[notebooks]"])"""


def setup(app):
    """Tell Sphinx when to build the wheel, and what to rewrite."""
    app.connect("builder-inited", build_wheel)
    app.connect("builder-inited", pack_project)
    app.connect("html-page-context", offer_wheel, priority=502)
    app.connect("build-finished", rewrite_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def build_wheel(app):
    """Build the wheel of gdcourse into the book."""
    if app.builder.format == "html":
        builder = WheelBuilder(str(ROOT))
        list(builder.build(directory=Path(app.outdir, "_static")))


def pack_project(app):
    """Pack what one needs to run, change and test the course."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir, "_static", PROJECT)
    if Path(app.srcdir) != ROOT:  # a copy that is without solutions
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(make_class(ROOT, Path(folder)), target)
        return
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        made = (ROOT / ".gitignore").read_text("utf-8").split()
        for path in list_project(ROOT, made):
            name = f"{target.stem}/{path.relative_to(ROOT).as_posix()}"
            entry = zipfile.ZipInfo(name)  # of 1980, on every day
            entry.external_attr = path.stat().st_mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def list_project(folder, made):
    """Yield the files of the project: not what it makes, nor others'."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") and path.name not in HIDDEN:
            continue
        place = f"/{path.name}" if folder == ROOT else path.name
        names = {path.name, place, f"{path.name}/", f"{place}/"}
        if any(fnmatch(name, line) for name in names for line in made):
            continue
        if path.is_dir():
            yield from list_project(path, made)
        else:
            yield path


def name_of_wheel(app):
    """Return the name of the wheel in the book."""
    (wheel,) = Path(app.outdir, "_static").glob("gdcourse-*.whl")
    return wheel.name


def offer_wheel(app, pagename, templatename, context, doctree):
    """Put the wheel beside the notebook, into the menu of downloads."""
    if not context.get("sourcename", "").endswith(".ipynb"):
        return
    wheel = name_of_wheel(app)
    button = {
        "type": "link",
        "url": context["pathto"](f"_static/{wheel}", 1),
        "text": ".whl to save beside it",
        "tooltip": "gdcourse, which the notebook's first cell installs",
        "icon": "fas fa-box",
        "label": "download-wheel-button",
    }
    for group in context["header_buttons"]:
        if group["label"] == "download-buttons":
            group["buttons"].insert(1, button)


def rewrite_notebooks(app, exception):
    """Turn the copies of the sources into notebooks that work alone."""
    if exception or app.builder.format != "html":
        return
    book = Book(Path(app.srcdir))
    install = make_cell(
        "install", INSTALL.format(wheel=name_of_wheel(app))
    )
    for target in Path(app.outdir, "_sources", "book").glob("*.ipynb"):
        notebook = json.loads(target.read_text("utf-8"))
        notebook = add_answers(make_plain(notebook, target.stem, book))
        notebook["cells"].insert(0, install)
        text = json.dumps(notebook, indent=1, ensure_ascii=False)
        target.write_text(text + "\n", "utf-8")

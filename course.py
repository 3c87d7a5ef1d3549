#!/usr/bin/env python3
"""One door to the course: build it, read it, test it, edit it.

    python3 course.py book                  build the book into _build/html
    python3 course.py zip                   the same, packed: unpack it and open index.html
    python3 course.py pdf                   the same, on paper: one PDF of all pages
    python3 course.py epub                  the same, for a reader of electronic books
    python3 course.py serve                 read it in a browser, at a local address
    python3 course.py test [ARGUMENT ...]   lint, build and test; arguments go to pytest
    python3 course.py lab [ARGUMENT ...]    work in JupyterLab, in copies of the chapters
    python3 course.py student [FOLDER]      pack what a class receives, without solutions
    python3 course.py grade FOLDER          run the checks over what a class has handed in
    python3 course.py notebooks [NAME ...]  execute chapters afresh and write them back
    python3 course.py questions             write book/questions/ into the chapters
    python3 course.py lint                  ruff over the code, codespell over the prose
    python3 course.py bench [ARGUMENT ...]  side-by-side timings, on this machine

With --no-solutions, `book`, `zip`, `pdf`, `epub` and `serve` leave out the worked solutions, for
teachers; with --no-live, the Python that runs a page's cells in the page. `lab` has no solutions
either: it opens work/, where what you write stays yours when the course changes. With --solutions,
it opens the chapters themselves. With --reference, `pdf` and `epub` also have the pages of the
package and of the experiments. With --quick, `test` leaves out what needs a book, a kernel, a
browser or workers; with --coverage, it also holds the share of the package that the suite runs;
with --all, it also runs what takes minutes: every page, every form. With --live, instead of the
suite, it lets every page run its cells to their end in a browser, and tests the package in the
Python of the pages, which has 32 bits.

It needs Python 3.11 or later and nothing else: every verb first makes .venv and installs
requirements.txt into it, where they are missing or have changed, and then runs inside it. Where
GDCOURSE_PACKAGES in the environment is `newest`, `candidates` or `lowest`, it installs instead of
the locked packages the newest that pyproject.toml allows, those to come, or the least it names.
"""

import functools
import hashlib
import http.server
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "course-stamp.txt"
BOOK = ROOT / "book"
WORK = ROOT / "work"
BUILD = ROOT / "_build"
HTML = BUILD / "html"


def main(arguments):
    """Run the verb that stands first in `arguments` and return the exit status."""
    if sys.version_info < (3, 11):
        return f"The course needs Python 3.11 or later, and this is Python {get_version()}."
    verb, *rest = arguments or ["help"]
    if verb in ("help", "-h", "--help"):
        print(__doc__)
        return 0
    if verb not in VERBS:
        return f"There is no verb {verb!r}; the verbs are {', '.join(VERBS)}."
    if rest and verb in TAKES_NO_ARGUMENTS:
        return f"The verb {verb!r} takes no arguments, got {' '.join(rest)}."
    if WORK.is_dir() and not BOOK.is_dir() and verb != "lab":
        return "This is a student's copy of the course; its one verb is lab."
    os.chdir(ROOT)
    os.environ.pop("MPLBACKEND", None)  # a figure belongs in its notebook, not in a window
    # Small matrices gain nothing from threads, and waiting threads slow down whatever else runs.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    make_environment()
    if Path(sys.prefix).resolve() != VENV.resolve():
        return subprocess.call([find_python(), __file__, *arguments])
    return VERBS[verb](*rest)


# The environment


def find_python():
    """Return the interpreter inside .venv."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(*command):
    """Run `python -m command` inside .venv and return its exit status."""
    return subprocess.call([find_python(), "-m", *command])


def get_version():
    """Return the version of the running Python as MAJOR.MINOR."""
    return "{}.{}".format(*sys.version_info)


def describe_origin():
    """Return the line of the stamp that says by which Python and where .venv was made.

    A copied or moved environment is not mended: its scripts and its link to gdcourse name the
    folder that it was made in.
    """
    return f"Python {get_version()} in {ROOT}\n"


def describe_packages():
    """Return the line of the stamp that stands for the two files that name the packages."""
    named = (ROOT / "requirements.txt").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    return f"{hashlib.sha256(named).hexdigest()} {os.environ.get('GDCOURSE_PACKAGES', '')}\n"


def choose_packages():
    """Return what pip is to install: the lock, or what GDCOURSE_PACKAGES names."""
    everything = ("-e", ".[book,test,fast,distributed]")
    newest = ("--upgrade", "--upgrade-strategy", "eager", *everything)
    choices = {
        "": lambda: ("-r", "requirements.txt"),
        "newest": lambda: newest,
        "candidates": lambda: ("--pre", *newest),
        "lowest": lambda: ("--constraint", write_lowest(), *everything),
    }
    choice = os.environ.get("GDCOURSE_PACKAGES", "")
    if choice not in choices:
        sys.exit(f"GDCOURSE_PACKAGES must be newest, candidates or lowest, got {choice!r}.")
    return choices[choice]()


def write_lowest():
    """Write the least versions that pyproject.toml names into a file for pip; return its path."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = project["dependencies"] + [name for extra in extras.values() for name in extra]
    named = [name for name in named if not name.startswith(project["name"])]  # an extra in another
    lines = [re.sub(r">=([\w.]+)[^;]*", r"==\1 ", requirement) for requirement in named]
    (VENV / "lowest.txt").write_text("\n".join(sorted(set(lines))), "utf-8")
    return VENV / "lowest.txt"


def make_environment():
    """Make .venv and install the packages into it, unless the stamp says that it is done.

    The stamp is written last. Where it is missing, something broke off before the first
    installation had ended, and all is made anew. Before other packages are installed, only its
    line on the origin is left.
    """
    origin, packages = describe_origin(), describe_packages()
    with open(__file__, encoding="utf-8") as lock:
        take_turns(lock)
        stamp = STAMP.read_text("utf-8") if STAMP.is_file() and find_python().exists() else ""
        if stamp == origin + packages:
            return
        if stamp.startswith(origin):
            STAMP.write_text(origin, "utf-8")
        else:
            create_environment(lock)
        print("Installing the packages into .venv (a minute or two, this once) ...", flush=True)
        pip = (find_python(), "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")
        if subprocess.call([*pip, "install", *choose_packages()], stdin=lock):
            sys.exit("Installing the packages failed; the lines above say why. Is there a network?")
        STAMP.write_text(origin + packages, "utf-8")


def take_turns(lock):
    """Wait while another command makes .venv, or while what a killed one had started goes on.

    What makes .venv has the file `lock` as its standard input: it holds the lock until it ends.
    """
    with suppress(ImportError):  # Windows has no such locks
        import fcntl

        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another command is making .venv; waiting for its end ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass  # nor have some network drives


def create_environment(lock):
    """Make an empty .venv, in the place of whatever stands there."""
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        sys.exit(
            "This Python cannot make a virtual environment; install its venv module "
            "(on Debian or Ubuntu: apt install python3-venv) and run this again."
        )
    if STAMP.is_file():
        STAMP.unlink()
    if subprocess.call([sys.executable, "-m", "venv", "--clear", VENV], stdin=lock):
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(f"Making {VENV} failed; the lines above say why.")


# The book


NO_SOLUTIONS, NO_LIVE = "--no-solutions", "--no-live"


def build(*options):
    """Build the book from nothing, with every warning an error, and print where it is.

    It is built beside the book that is there, and takes its place when all is well.
    """
    html = choose_folder(options)
    with make_draft_folder() as name:
        draft = Path(name)
        source = ROOT
        if NO_SOLUTIONS in options:
            from tools.solutions import copy_without_solutions

            source = copy_without_solutions(ROOT, draft / "source")
        status = build_pages(source, draft, live=NO_LIVE not in options)
        if status:
            return status
        if html.exists():
            html.rename(draft / "before")
        (draft / "_build" / "html").rename(html)
    print(f"\nThe book is {html / 'index.html'}")
    return 0


def choose_folder(options):
    """Return the folder of the book that is built with `options`."""
    unknown = [option for option in options if option not in (NO_SOLUTIONS, NO_LIVE)]
    if unknown:
        sys.exit(f"A book has the options {NO_SOLUTIONS} and {NO_LIVE}, got {' '.join(unknown)}.")
    return BUILD / "html-no-solutions" if NO_SOLUTIONS in options else HTML


def make_draft_folder():
    """Return a context with the name of a folder for what is not finished; it goes in the end."""
    BUILD.mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="unfinished-", dir=BUILD)


def build_pages(source, folder, *, live=False):
    """Build the pages in the folder `source` into `folder`/_build/html; return the exit status.

    With `live`, they get a Python of their own.
    """
    start_jupyter_book = "from jupyter_book.cli.main import main; main()"  # it has no `-m`
    where = (source, "--config", ROOT / "_config.yml", "--path-output", folder)
    how = ("--all", "-W", "-n", "--keep-going")
    # The builder's own name would have it praise a folder that is about to be moved.
    how += ("--builder", "custom", "--custom-builder", "html")
    environment = os.environ | {"GDCOURSE_LIVE": "1" if live else ""}
    command = [sys.executable, "-c", start_jupyter_book, "build", *where, *how]
    return subprocess.call(command, env=environment)


def pack(*options):
    """Build the book and pack it into one zip."""
    return build(*options) or write_file(zip_folder, options, ".zip")


def print_pdf(*options):
    """Build the book and print its pages into one PDF, with a browser."""
    from tools.paper import print_book

    return write_pages(print_book, options, ".pdf")


def bind_epub(*options):
    """Build the book and write its pages into one ePub, with a browser."""
    from tools.epub import bind_book

    return write_pages(bind_book, options, ".epub")


def write_pages(write, options, suffix):
    """Build the book and let `write` turn it into one file, with --reference all of its pages."""
    of_book = tuple(option for option in options if option != "--reference")
    write = functools.partial(write, reference=of_book != options)
    return build(*of_book) or write_file(write, of_book, suffix)


def write_file(write, options, suffix):
    """Let `write` turn the built book into one file, and print where that is."""
    html = choose_folder(options)
    target = BUILD / (html.name.replace("html", "gradient-descent") + suffix)
    with make_draft_folder() as folder:
        write(html, draft := Path(folder) / target.name)
        draft.replace(target)
    print(f"All of it is {target}")
    return 0


def zip_folder(html, target):
    """Pack a folder, always into the same bytes."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(path for path in html.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{target.stem}/{path.relative_to(html).as_posix()}")  # of 1980
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, everywhere
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def serve(*options):
    """Serve the built book at a local address until Ctrl-C."""
    html = choose_folder(options)
    if not (html / "index.html").is_file() and build(*options):
        return "The book does not build; the lines above say why."
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(html))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), handler)
    except OSError:  # the usual port is taken: let the system choose one
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(f"Read it at http://127.0.0.1:{server.server_port}/ and end with Ctrl-C.", flush=True)
    server.serve_forever()


# The chapters

NO_UPDATES = "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"  # asks no host


def open_lab(*arguments):
    """Open JupyterLab on copies of the chapters to work in; with --solutions, on the chapters."""
    own = ("--solutions", "--no-solutions")
    given = [argument for argument in arguments if argument not in own]
    shown = BOOK if "--solutions" in arguments else WORK
    if BOOK.is_dir():  # a student's copy of the course has only work/
        from tools.working_copy import trust, update

        if shown is WORK:
            update(ROOT, WORK)
        else:
            for chapter in BOOK.glob("*.ipynb"):
                trust(chapter)
    os.environ["JUPYTER_CONFIG_PATH"] = str(ROOT / "tools" / "jupyter" / shown.name)
    return run("jupyterlab", shown, NO_UPDATES, *given)


def pack_for_class(folder=BUILD / "class"):
    """Pack what a class receives into `folder`, and beside it the teacher's side for nbgrader."""
    from tools.classes import make_class

    target = make_class(ROOT, Path(folder))
    print(f"For the students: {target}\nFor nbgrader: {target.parent / 'nbgrader'}")
    return 0


def grade(*arguments):
    """Run the checks over the notebooks that a class has handed in, below one folder."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        return f"Name the folder with what was handed in, got {' '.join(arguments) or 'nothing'}."
    from tools.grading import grade_folder

    print(f"The marks are {grade_folder(Path(arguments[0]))}")
    return 0


def execute_notebooks(*names):
    """Execute the named chapters (or all of them) from clean kernels and write them back."""
    from tools.notebooks import execute

    chapters = {path.stem: path for path in sorted(BOOK.glob("*.ipynb"))}
    chosen = [Path(name).stem for name in names] or list(chapters)
    unknown = [name for name in chosen if name not in chapters]
    if unknown:
        return f"There is no chapter {', '.join(unknown)}; there are {', '.join(chapters)}."
    failed = [name for name in chosen if not execute(chapters[name])]
    return f"Not written, because a cell failed: {', '.join(failed)}." if failed else 0


def write_questions():
    """Write the questions and guesses of book/questions/ into the chapters."""
    from book._ext import questions

    questions.rewrite_chapters()
    return 0


# The checks


def lint():
    """Check the style and format of modules and notebooks, and the spelling of all that is text."""
    commands = [("ruff", "check"), ("ruff", "format", "--check"), ("codespell_lib",)]
    return max([run(*command) for command in commands])


# Two processes, a file in one of them, since a chapter needs its one kernel; in the order of
# conftest.py, which begins with the long ones, so that both end together.
SHARED_OUT = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
QUICK = ("-m", "not slow")
USUAL, ALL = ("-m", "not long"), "--all"
LIVE, LIVE_TESTS = "--live", ("tests/browser/test_live.py", "tests/test_wasm32.py")
COVERAGE = ("--cov=gdcourse", "--cov-report=term-missing:skip-covered", "--cov-fail-under=98")


def test(*arguments):
    """Lint, build and run pytest with `arguments`, of which four are its own (see above)."""
    own = {ALL: (), "--quick": QUICK, "--coverage": COVERAGE}
    options = [word for name in own if name in arguments for word in own[name]]
    given = [argument for argument in arguments if argument not in (*own, LIVE)]
    if not given and not {ALL, LIVE, "--quick"} & {*arguments}:
        options += USUAL
    if LIVE in arguments:
        pages = sorted(path.stem for path in BOOK.glob("*.ipynb"))
        os.environ["GDCOURSE_LIVE_PAGES"] = " ".join(pages)
        given = given or LIVE_TESTS
    statuses = {"lint": lint()}
    if "--quick" not in arguments:
        statuses["book"] = build()
    statuses["pytest"] = run("pytest", *options, *(given or SHARED_OUT))
    failed = [name for name, status in statuses.items() if status]
    return f"Failed: {', '.join(failed)}." if failed else 0


def bench(*arguments):
    """Run benchmarks/ as a program."""
    if not (ROOT / "benchmarks" / "__main__.py").is_file():
        return "There is nothing to run: benchmarks/__main__.py does not exist."
    return run("benchmarks", *arguments)


VERBS = {
    "book": build,
    "zip": pack,
    "pdf": print_pdf,
    "epub": bind_epub,
    "serve": serve,
    "test": test,
    "lab": open_lab,
    "student": pack_for_class,
    "grade": grade,
    "notebooks": execute_notebooks,
    "questions": write_questions,
    "lint": lint,
    "bench": bench,
}
TAKES_NO_ARGUMENTS = {"questions", "lint"}

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)  # what a shell reports for Ctrl-C

#!/usr/bin/env python3
"""One door to the course: build it, read it, test it, edit it.

    python3 course.py book                  build the book into _build/html
    python3 course.py zip                   the same, packed: unpack it and open index.html
    python3 course.py pdf                   the same, on paper: one PDF of all pages
    python3 course.py serve                 read it in a browser, at a local address
    python3 course.py test [ARGUMENT ...]   lint, build and test; arguments go to pytest
    python3 course.py lab [ARGUMENT ...]    open the chapters in JupyterLab
    python3 course.py notebooks [NAME ...]  execute chapters afresh and write them back
    python3 course.py lint                  ruff over the code, codespell over the prose
    python3 course.py bench [ARGUMENT ...]  side-by-side timings, on this machine

With --no-solutions, `book`, `zip` and `pdf` leave out the worked solutions, for teachers.

It needs Python 3.11 or later and nothing else: every verb first makes .venv and installs
requirements.txt into it, where they are missing or have changed, and then runs inside it. With
GDCOURSE_NEWEST=1 in the environment it installs the newest packages instead of the locked ones.
"""

import functools
import hashlib
import http.server
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "course-stamp.txt"
BOOK = ROOT / "book"
BUILD = ROOT / "_build"
HTML = BUILD / "html"


def main(arguments):
    """Run the verb that stands first in `arguments` and return the exit status."""
    if sys.version_info < (3, 11):
        return f"The course needs Python 3.11 or later, and this is Python {running_version()}."
    verb, *rest = arguments or ["help"]
    if verb in ("help", "-h", "--help"):
        print(__doc__)
        return 0
    if verb not in VERBS:
        return f"There is no verb {verb!r}; the verbs are {', '.join(VERBS)}."
    if rest and verb not in TAKES_ARGUMENTS:
        return f"The verb {verb!r} takes no arguments, got {' '.join(rest)}."
    os.chdir(ROOT)
    os.environ.pop("MPLBACKEND", None)  # a figure belongs in its notebook, not in a window
    # Small matrices gain nothing from threads, and waiting threads slow down whatever else runs.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    make_environment()
    if Path(sys.prefix).resolve() != VENV.resolve():
        return subprocess.call([venv_python(), __file__, *arguments])
    return VERBS[verb](*rest)


# The environment


def venv_python():
    """Return the interpreter inside .venv."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(*command):
    """Run `python -m command` inside .venv and return its exit status."""
    return subprocess.call([venv_python(), "-m", *command])


def running_version():
    """Return the version of the running Python as MAJOR.MINOR."""
    return "{}.{}".format(*sys.version_info)


def fingerprint():
    """Return what .venv is made from: this Python and the two files that name its packages."""
    named = (ROOT / "requirements.txt").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    newest = " newest" if os.environ.get("GDCOURSE_NEWEST") else ""
    return f"{running_version()} {hashlib.sha256(named).hexdigest()}{newest}"


def wanted():
    """Return what pip is to install: the lock, or the newest that pyproject.toml allows."""
    if os.environ.get("GDCOURSE_NEWEST"):
        newest = ("--upgrade", "--upgrade-strategy", "eager")
        return (*newest, "-e", ".[book,test,fast,distributed]")
    return ("-r", "requirements.txt")


def is_same_python():
    """Tell whether .venv exists and was made by a Python of the running version."""
    settings = VENV / "pyvenv.cfg"
    if not (settings.is_file() and venv_python().exists()):
        return False
    version = re.escape(running_version())
    return bool(re.search(rf"^version(_info)? = {version}\.", settings.read_text("utf-8"), re.M))


def make_environment():
    """Make .venv and install the packages into it, unless the stamp says that it is done."""
    if is_same_python() and STAMP.is_file() and STAMP.read_text("utf-8") == fingerprint():
        return
    if not is_same_python():
        if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
            sys.exit(
                "This Python cannot make a virtual environment; install its venv module "
                "(on Debian or Ubuntu: apt install python3-venv) and run this again."
            )
        if subprocess.call([sys.executable, "-m", "venv", "--clear", VENV]):
            shutil.rmtree(VENV, ignore_errors=True)
            sys.exit(f"Making {VENV} failed; the lines above say why.")
    print("Installing the packages into .venv (a minute or two, this once) ...", flush=True)
    STAMP.unlink(missing_ok=True)
    pip = ("pip", "--disable-pip-version-check", "--quiet")
    if run(*pip, "install", *wanted()):
        sys.exit("Installing the packages failed; the lines above say why. Is there a network?")
    STAMP.write_text(fingerprint(), "utf-8")


# The book


def book(*options):
    """Build the book from nothing, with every warning an error, and print where it is."""
    html = built(options)
    shutil.rmtree(html, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        source = ROOT if html == HTML else copy_without_solutions(Path(folder))
        start_jupyter_book = "from jupyter_book.cli.main import main; main()"  # it has no `-m`
        where = (source, "--config", ROOT / "_config.yml", "--path-output", source)
        how = ("--all", "-W", "-n", "--keep-going")
        status = subprocess.call([sys.executable, "-c", start_jupyter_book, "build", *where, *how])
        if not status and html != HTML:
            shutil.move(source / "_build" / "html", html)
    if not status:
        print(f"\nThe book is {html / 'index.html'}")
    return status


def built(options):
    """Return the folder of the book that is built with `options`."""
    if options not in ((), ("--no-solutions",)):
        sys.exit(f"The only option of a book is --no-solutions, got {' '.join(options)}.")
    return BUILD / "html-no-solutions" if options else HTML


def copy_without_solutions(folder):
    """Copy what the book is built from into `folder`, without the worked solutions."""
    shutil.copytree(BOOK, folder / "book", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    shutil.copy(ROOT / "_toc.yml", folder)
    for path in (folder / "book").glob("*.ipynb"):
        notebook = json.loads(path.read_text("utf-8"))
        notebook["cells"] = without_solutions(notebook["cells"])
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False), "utf-8")
    for path in (folder / "book").glob("*.md"):
        page = [{"cell_type": "markdown", "source": path.read_text("utf-8")}]
        path.write_text("".join(cell["source"] for cell in without_solutions(page)), "utf-8")
    return folder


SOLUTION = re.compile(r"(?P<fence>:{3,}|`{3,})\{solution(?P<gate>-start|-end|)\}")


def without_solutions(cells):
    """Return the cells of a notebook without solutions: whole blocks, and all between two gates."""
    kept, fence, gated = [], "", False
    for cell in cells:
        if cell["cell_type"] == "markdown":
            lines = []
            for line in "".join(cell["source"]).splitlines(keepends=True):
                opens = None if fence else SOLUTION.match(line)
                if opens:
                    fence, gated = opens["fence"], opens["gate"] == "-start"
                elif fence:
                    fence = "" if line.strip() == fence else fence
                elif not gated:
                    lines.append(line)
            cell = {**cell, "source": "".join(lines).strip("\n")}
            if not cell["source"]:
                continue
        elif gated:
            continue
        kept.append(cell)
    return kept


def pack(*options):
    """Build the book and pack it into one zip."""
    return book(*options) or write_whole(zip_folder, options, ".zip")


def pdf(*options):
    """Build the book and print all its pages into one PDF, with a browser."""
    from paper import print_book

    return book(*options) or write_whole(print_book, options, ".pdf")


def write_whole(write, options, suffix):
    """Let `write` turn the built book into one file, and print where that is."""
    html = built(options)
    target = BUILD / (html.name.replace("html", "gradient-descent") + suffix)
    write(html, target)
    print(f"All of it is {target}")
    return 0


def zip_folder(html, target):
    """Pack a folder, always into the same bytes."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(path for path in html.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{target.stem}/{path.relative_to(html).as_posix()}")  # of 1980
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, everywhere
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def serve():
    """Serve the built book at a local address until Ctrl-C."""
    if not (HTML / "index.html").is_file() and book():
        return "The book does not build; the lines above say why."
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(HTML))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), handler)
    except OSError:  # the usual port is taken: let the system choose one
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(f"Read it at http://127.0.0.1:{server.server_port}/ and end with Ctrl-C.", flush=True)
    server.serve_forever()


def lab(*arguments):
    """Open JupyterLab on the chapters."""
    return run("jupyterlab", BOOK, *arguments)


# The checks


def lint():
    """Check the style and format of modules and notebooks, and the spelling of all that is text."""
    commands = [("ruff", "check"), ("ruff", "format", "--check"), ("codespell_lib",)]
    return max([run(*command) for command in commands])


def test(*arguments):
    """Lint, build and run pytest; the whole suite, without arguments, also holds the coverage.

    The whole suite runs in two processes, a file in one of them: a chapter needs its one kernel.
    """
    coverage = ("--cov=gdcourse", "--cov-report=term-missing:skip-covered", "--cov-fail-under=98")
    whole = ("-n", "2", "--dist", "loadfile", *coverage)
    statuses = {
        "lint": lint(),
        "book": book(),
        "pytest": run("pytest", *(arguments or whole)),
    }
    failed = [name for name, status in statuses.items() if status]
    return f"Failed: {', '.join(failed)}." if failed else 0


def bench(*arguments):
    """Run benchmarks/ as a program."""
    if not (ROOT / "benchmarks" / "__main__.py").is_file():
        return "There is nothing to run: benchmarks/__main__.py does not exist."
    return run("benchmarks", *arguments)


# The notebooks


def notebooks(*names):
    """Execute the named chapters (or all of them) from clean kernels and write them back."""
    chapters = {path.stem: path for path in sorted(BOOK.glob("*.ipynb"))}
    chosen = [Path(name).stem for name in names] or list(chapters)
    unknown = [name for name in chosen if name not in chapters]
    if unknown:
        return f"There is no chapter {', '.join(unknown)}; there are {', '.join(chapters)}."
    failed = [name for name in chosen if not execute(chapters[name])]
    return f"Not written, because a cell failed: {', '.join(failed)}." if failed else 0


def execute(path):
    """Execute one notebook and write it back normalised; where a cell fails, only show why."""
    import nbclient
    import nbformat

    print(f"{path.stem} ...", end=" ", flush=True)
    start = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        coalesce_streams=True,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except (nbclient.exceptions.CellControlSignal, nbclient.exceptions.DeadKernelError) as error:
        print(f"failed\n{error}")
        return False
    text = nbformat.writes(normalise(notebook, path.stem)).rstrip("\n") + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")
    print(f"{time.perf_counter() - start:.1f} s", flush=True)
    return True


KEPT_METADATA = ("mystnb", "tags")
RANDOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8}")


def normalise(notebook, name):
    """Return `notebook` without what changes from one machine or one execution to the next.

    A cell keeps its id where that is readable and its own; otherwise the id becomes the slug
    and the first free number from the cell's position on, as in `full-batch-07`.
    """
    slug = re.sub(r"^\d+-", "", name.replace("_", "-"))
    taken = set()
    for cell in notebook["cells"]:
        if cell.get("id") in taken or RANDOM_ID.fullmatch(cell.get("id", "")):
            cell.pop("id", None)
        taken.add(cell.get("id"))
    for number, cell in enumerate(notebook["cells"], start=1):
        if not cell.get("id"):
            numbers = range(number, number + len(taken) + 1)
            cell["id"] = next(i for i in (f"{slug}-{n:02d}" for n in numbers) if i not in taken)
            taken.add(cell["id"])
        kept = {key: cell["metadata"][key] for key in KEPT_METADATA if key in cell["metadata"]}
        cell["metadata"] = kept
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    notebook["nbformat_minor"] = 5
    return notebook


VERBS = {"book": book, "zip": pack, "pdf": pdf}  # `zip` is Python's own
VERBS |= {verb.__name__: verb for verb in (serve, test, lab, notebooks, lint, bench)}
TAKES_ARGUMENTS = {"book", "zip", "pdf", "test", "lab", "notebooks", "bench"}

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)  # what a shell reports for Ctrl-C

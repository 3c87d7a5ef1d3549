"""Join the style sheets of a page into one.

A page shows nothing before its last sheet has come, and the theme and
the extensions bring fourteen. Pages that ask for the same ones share
what they are joined to.
"""

import hashlib
import posixpath
import re
from pathlib import Path

LINK = re.compile(
    r'<link [^>]*href="((?:\.\./)?_static/)([^"?]+\.css)[^>]*>\s*'
)
IMPORT = re.compile(r'@import "([^"]+)";')
ADDRESS = re.compile(r"url\(([\"']?)(?!data:|#)([^)\"']+)\1\)")


def setup(app):
    """Sphinx calls this once; the icons are cut in their sheet before."""
    app.connect("build-finished", join_sheets, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def join_sheets(app, exception):
    """Give each page the link to one sheet; take the parts away."""
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    static = folder / "_static"
    parts = set()
    for page in [*folder.glob("*.html"), *folder.glob("book/*.html")]:
        text = page.read_text("utf-8")
        links = list(LINK.finditer(text))
        if not links:
            continue
        whole = "".join(read(static, link[2], parts) for link in links)
        version = hashlib.sha256(whole.encode()).hexdigest()[:8]
        name = f"sheet-{version}.css"
        (static / name).write_text(whole, "utf-8")
        first, last = links[0], links[-1]
        between = LINK.sub("", text[first.start() : last.end()])
        link = f'<link rel="stylesheet" href="{first[1]}{name}">\n'
        page.write_text(
            text[: first.start()] + link + between + text[last.end() :],
            "utf-8",
        )
    for part in parts:
        (static / part).unlink()


def read(static, name, parts):
    """Return a sheet of `static` with all that it imports; note both."""
    parts.add(name)

    def place(address):
        return posixpath.normpath(
            posixpath.join(posixpath.dirname(name), address)
        )

    text = (static / name).read_text("utf-8")
    text = ADDRESS.sub(lambda found: f'url("{place(found[2])}")', text)
    return IMPORT.sub(
        lambda found: read(static, place(found[1]), parts), text
    )

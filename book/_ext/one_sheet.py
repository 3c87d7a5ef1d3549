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
    parts, joined = set(), {}
    for page in [*folder.glob("*.html"), *folder.glob("book/*.html")]:
        text = page.read_text("utf-8")
        first = LINK.search(text)
        if first is None:
            continue
        names = tuple(found[2] for found in LINK.finditer(text))
        if names not in joined:
            joined[names] = join(static, names, parts)
        link = (
            f'<link rel="stylesheet" href="{first[1]}{joined[names]}">\n'
        )
        before, after = text[: first.start()], text[first.start() :]
        page.write_text(before + link + LINK.sub("", after), "utf-8")
    for part in parts:
        (static / part).unlink()


def join(static, names, parts):
    """Write the sheets named, and what they import, as one; name it."""
    whole = "".join(read(static, name, parts) for name in names)
    version = hashlib.sha256(whole.encode()).hexdigest()[:8]
    (static / f"sheet-{version}.css").write_text(whole, "utf-8")
    return f"sheet-{version}.css"


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

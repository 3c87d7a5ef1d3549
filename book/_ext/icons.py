"""Keep of the theme's icons those that the pages show.

The theme brings all of Font Awesome twice, as a script of 1.5 MB and as
fonts. Its style sheet can show the icons from the font, so the script
goes, and the font becomes a few glyphs inside of that style sheet.
"""

import base64
import io
import re
import shutil
from pathlib import Path

from fontTools import subset

ICON = re.compile(r"\bfa-([a-z0-9-]+)")
SCRIPT = re.compile(r"[^\n]*scripts/fontawesome\.js[^\n]*\n")
RULE = re.compile(
    r'((?:\.fa-[\w-]+:before,?)+)\{content:"(\\[0-9a-f]+|[^"])"\}'
)
FACE = re.compile(r"@font-face\{[^}]*Font Awesome[^}]*\}")


def setup(app):
    """Sphinx calls this once."""
    app.connect("build-finished", keep_what_is_shown)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def keep_what_is_shown(app, exception):
    """Leave the icons of the pages, and of the scripts, in the book."""
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    static = folder / "_static"
    vendor = static / "vendor" / "fontawesome"
    scripts = list(static.glob("scripts/fontawesome.js*"))
    if not scripts:  # an older theme, which has only the fonts
        return
    for path in scripts:
        path.unlink()
    pages = [*folder.glob("*.html"), *folder.glob("book/*.html")]
    shown = set()
    for path in [*pages, *static.rglob("*.js")]:
        shown.update(ICON.findall(path.read_text("utf-8")))
    for path in pages:
        text = path.read_text("utf-8")
        path.write_text(SCRIPT.sub("", text), "utf-8")
    sheet = static / "styles" / "pydata-sphinx-theme.css"
    text, codes = keep_rules(sheet.read_text("utf-8"), shown)
    font = cut_font(vendor / "webfonts" / "fa-solid-900.ttf", codes)
    source = base64.b64encode(font).decode()
    face = (
        '@font-face{font-family:"Font Awesome 6 Free";font-weight:900;'
        f"src:url(data:font/woff;base64,{source})}}"
    )
    sheet.write_text(FACE.sub("", text) + face, "utf-8")
    shutil.rmtree(vendor)


def keep_rules(text, shown):
    """Return a style sheet with the rules of some icons; their codes."""
    codes = set()

    def choose(rule):
        names, code = rule.groups()
        if shown.isdisjoint(ICON.findall(names)):
            return ""
        codes.add(int(code[1:], 16) if code[1:] else ord(code))
        return rule[0]

    return RULE.sub(choose, text), codes


def cut_font(path, codes):
    """Return a font with the glyphs of some codes, as WOFF."""
    options = subset.Options(flavor="woff", drop_tables=["GSUB", "GPOS"])
    font = subset.load_font(str(path), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=codes)
    subsetter.subset(font)
    file = io.BytesIO()
    subset.save_font(font, file, options)
    return file.getvalue()

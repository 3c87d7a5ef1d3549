"""Put into the built book what sets its formulas: MathJax, from npm.

Only the parts that its pages load are copied. MathJax 4 breaks a
formula that is wider than its place, which on a telephone is most.
"""

import re
import shutil
from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[2] / "node_modules"
MATHJAX = PACKAGES / "mathjax"
FONT = PACKAGES / "@mathjax" / "mathjax-tex-font"
SPOKEN = "a11y/assistive-mml.js"
PARTS = (
    "core.js",
    "input/tex.js",
    "output/chtml.js",
    SPOKEN,
)
# It sets an option of the menu, which no page loads: MathJax would say
# on each that it knows no such option.
NO_MENU = "\ndelete MathJax.config.options?.menuOptions; // gdcourse\n"
SETTINGS = {
    "loader": {"load": [part.removesuffix(".js") for part in PARTS]},
    "output": {
        "font": "mathjax-tex",
        "fontPath": "[mathjax]/font",
        "displayOverflow": "linebreak",
    },
}
# The formulas of the first screen at once, for what stands below moves
# with them; then a few at a time, so that a page answers in between.
IN_TURN = """
if (window.MathJax) MathJax.startup = {
  async pageReady() {
    const formulas = [...document.querySelectorAll(".math")];
    const top = (formula) => formula.getBoundingClientRect().top;
    const shown = formulas.findIndex((each) => top(each) > innerHeight);
    let many = Math.max(4, shown);
    while (formulas.length) {
      await MathJax.typesetPromise(formulas.splice(0, many));
      many = 4;
      await new Promise((resolve) => setTimeout(resolve));
    }
  },
};
"""
INLINE = re.compile(
    r'(<span class="math notranslate nohighlight")(>\\\((.*?)\\\)<)', re.S
)
# A formula in letters: what changes only those beside it, what is set as
# a word, and what is a single sign.
LETTERS = (
    (r"\\(text|math\w+|operatorname|bar|hat|left|right)(?![a-z])", ""),
    (r"\\(min|max|log|ln|exp|cos)(?![a-z])", r"\1"),
    (r"\\[a-zA-Z]+|&\w+;", "*"),
)
ORDER = r"\\?[{}^_\s,;!]"
SMALL = re.compile(r"[_^](\{[^{}]*\}|\S)")


def setup(app):
    """Tell Sphinx what a page loads, and when to copy it."""
    app.connect("html-page-context", keep_room)
    app.add_js_file(None, body=IN_TURN, priority=900)
    app.config.mathjax_path = "mathjax/startup.js"
    app.config.mathjax3_config = SETTINGS
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def keep_room(app, pagename, templatename, context, doctree):
    """Tell how wide each formula will be, so that no line moves."""
    context["body"] = INLINE.sub(
        lambda found: (
            f'{found[1]} style="--gd-width: {width(found[3]):.1f}em"'
            f"{found[2]}"
        ),
        context.get("body", ""),
    )


def width(formula):
    """Estimate how wide a formula is, in em."""
    for pattern, instead in LETTERS:
        formula = re.sub(pattern, instead, formula)
    small = "".join(SMALL.findall(formula))
    letters, small = (
        re.sub(ORDER, "", text) for text in (formula, small)
    )
    return 0.75 * len(letters) - 0.35 * len(small)


def copy(app, exception):
    """Copy what the pages load."""
    if exception is not None or app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / "mathjax"
    for part in ("startup.js", *PARTS):
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(MATHJAX / part, target / part)
    with (target / SPOKEN).open("a", encoding="utf-8") as script:
        script.write(NO_MENU)
    shutil.copytree(FONT / "chtml", target / "font" / "chtml")
    shutil.copy(FONT / "chtml.js", target / "font")

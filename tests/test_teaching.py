"""The reader sees the source that runs."""

import ast
import functools
import inspect
import textwrap

import pytest

import gdcourse as gd
from gdcourse import descent, schedules

SHOWN = [
    gd.updates,
    descent.steps,
    gd.LeastSquares,
    gd.LeastSquares.gradient,
    gd.Objective,
    gd.Sampler,
    gd.Shuffled,
    schedules.cosine,
    gd.compress,
]


@pytest.mark.parametrize("thing", SHOWN, ids=lambda thing: thing.__qualname__)
def test_source_is_python_that_does_the_same(thing):
    """Without its docstrings, the shown source has the syntax tree of the real one."""
    shown = ast.parse(gd.source_of(thing).text)
    real = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    for tree in (shown, real):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
                node.body = node.body[1:] or [ast.Pass()]
    assert ast.dump(shown) == ast.dump(real)


def test_docstrings_are_kept_on_demand():
    assert "Every update" not in gd.source_of(gd.updates).text
    assert "Every update" in gd.source_of(gd.updates, docstring=True).text


def test_a_body_that_is_only_a_docstring_keeps_it():
    assert "Raise ValueError" in gd.source_of(gd.Objective.check).text


def test_source_shows_in_colour_and_as_text():
    source = gd.source_of(gd.LeastSquares.residual)
    assert repr(source) == source.text == "def residual(self, z, y):\n    return z - y"
    assert source._repr_markdown_() == f"```python\n{source.text}\n```"


def test_a_wrapped_function_shows_what_it_wraps():
    cached = functools.cache(gd.compress)
    assert gd.source_of(cached).text == gd.source_of(gd.compress).text


@pytest.mark.parametrize("thing", [len, 5, None, gd.LeastSquares()])
def test_what_has_no_source_is_named(thing):
    with pytest.raises(TypeError, match="function must be written in Python, got"):
        gd.source_of(thing)

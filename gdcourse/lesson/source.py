"""The package's own source, for a chapter to show."""

import ast
import inspect
import textwrap
from dataclasses import dataclass

from gdcourse.base import validation

__all__ = ["source_of"]


@dataclass(frozen=True)
class Source:
    """Python source that a notebook shows with its colours."""

    text: str

    def __repr__(self):
        return self.text

    def _repr_markdown_(self):
        return f"```python\n{self.text}\n```"


def source_of(function, *, docstring=False):
    """The source of a function, method or class, ready for display in a notebook.

    Parameters
    ----------
    function : function, method or class written in Python
        What to show.
    docstring : bool
        Whether to keep the docstrings.

    Returns
    -------
    Source
        A notebook shows it as coloured code; ``.text`` is the code itself.

    Raises
    ------
    TypeError
        Where there is no Python source to show.

    Examples
    --------
    >>> import gdcourse as gd
    >>> gd.source_of(gd.LeastSquares.residual)
    def residual(self, z, y):
        return z - y
    """
    try:
        text = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    except (TypeError, OSError) as error:
        raise TypeError(f"function must be written in Python, got {function!r}") from error
    docstring = validation.check_flag("docstring", docstring)
    return Source((text if docstring else _without_docstrings(text)).strip())


def _without_docstrings(text):
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if ast.get_docstring(node) is not None and len(node.body) > 1:
            doc = node.body[0]
            lines[doc.lineno - 1 : doc.end_lineno] = [None] * (doc.end_lineno - doc.lineno + 1)
    return "\n".join(line for line in lines if line is not None)

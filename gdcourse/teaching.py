"""What a chapter shows beside its results: the package's own source, and progress."""

import ast
import inspect
import os
import textwrap
from dataclasses import dataclass

__all__ = ["progress", "source_of"]


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
    >>> gd.source_of(gd.LogisticRegression.predict)
    def predict(self, theta, X):
        return X @ theta
    """
    try:
        text = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    except (TypeError, OSError) as error:
        raise TypeError(f"function must be written in Python, got {function!r}") from error
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


def progress(iterable, label=None):
    """The items of `iterable`, with a progress bar where the reader has asked for one.

    The bar needs tqdm and appears where the environment variable ``GDCOURSE_PROGRESS`` is set
    to anything but 0. Otherwise, as where a chapter is executed for the book, nothing is
    written: the output of a cell stays the same.

    Parameters
    ----------
    iterable : iterable
    label : str, optional
        What stands before the bar.

    Returns
    -------
    iterable
        `iterable` itself, or the bar around it.

    Raises
    ------
    ImportError
        Where the bar is asked for and tqdm is not installed.

    Examples
    --------
    >>> [2**k for k in progress(range(4))]
    [1, 2, 4, 8]
    """
    if os.environ.get("GDCOURSE_PROGRESS", "0") in ("", "0"):
        return iterable
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("GDCOURSE_PROGRESS needs tqdm: `pip install tqdm`") from error
    return tqdm(iterable, desc=label, leave=False)

"""Progress bars: the one place that knows tqdm, which is optional."""

import os
from contextlib import nullcontext
from functools import partial

from gdcourse.base import validation

__all__ = ["progress"]


def progress(iterable, label=None):
    """The items of `iterable`, with a progress bar where the reader has asked for one.

    The bar appears where the environment variable ``GDCOURSE_PROGRESS`` is set to anything but
    0. Otherwise, as where a chapter is executed for the book, nothing is written: the output of
    a cell stays the same.

    Parameters
    ----------
    iterable : iterable
        What is walked through; with a length, the bar shows the share.
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
    return _load_tqdm("GDCOURSE_PROGRESS")(iterable, desc=label, leave=False)


def show_progress(show):
    """What makes a progress bar in samples, or something as quiet as nothing.

    Parameters
    ----------
    show : bool

    Returns
    -------
    callable
        Takes ``initial=`` and ``total=``, and gives a context manager; inside it is None where
        nothing is shown.
    """
    if not validation.check_flag("progress", show):
        return lambda **_: nullcontext()
    return partial(_load_tqdm("progress=True"), unit="sample", unit_scale=True)


def _load_tqdm(asked):
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(f"{asked} needs tqdm: `pip install tqdm`") from error
    return tqdm

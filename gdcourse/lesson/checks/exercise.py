"""An exercise of the book, and the words for what an answer to it lacks.

A check asks for properties, on problems drawn from a seed, so that any right answer passes. It
never says what the answer is.
"""

import copy
import io
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from itertools import islice
from warnings import catch_warnings, simplefilter

import numpy as np

from gdcourse.base.backend import is_array_api_obj, to_host

MANY = 100_000  # items of a generator; one that never ends must not keep us here
RTOL = 1e-4  # single precision may be in the answer, a mistake may not
PATIENCE = 60.0  # seconds that a loop of an answer may take; one that never ends must not either


class AnswerError(AssertionError):
    """The property that an answer lacks, in words for the one who wrote it."""


@dataclass(frozen=True)
class Exercise:
    """What an exercise asks for, what it is worth, and how an answer is checked.

    Attributes
    ----------
    name : str
        The number that the book prints, such as "2.3".
    label : str
        The label of the exercise in its chapter.
    deliver : str
        The name that the answer is to have.
    stub : str
        Python source to begin with: it defines that name and leaves it open.
    minutes : int
        A rough time.
    level : int
        From 1, apply, to 3, derive.
    points : int
        The weight in a class that is graded.
    hints : tuple of two str
        A nudge, and nearly the way.
    properties : function
        Takes the answer; returns what it has confirmed, or raises `AnswerError`.
    """

    name: str
    label: str
    deliver: str
    stub: str
    minutes: int
    level: int
    points: int
    hints: tuple[str, str]
    properties: Callable

    def verify(self, answer):
        """Return what was confirmed of `answer`, or raise `AnswerError` with what it lacks."""
        parts = answer if isinstance(answer, list | tuple) else [answer]
        if any(part is ... for part in parts):
            raise AnswerError(f"not begun: `{self.deliver}` still has its `...`")
        if answer is None:
            raise AnswerError(
                f"`{self.deliver}` is None: does every way through it end in a value?"
            )
        with redirect_stdout(io.StringIO()), np.errstate(all="ignore"), catch_warnings():
            simplefilter("ignore")
            return self.properties(answer)


def exercise(name, label, stub, *, minutes, level, points, hints):
    """Make an `Exercise` of a function that checks an answer; it has the answer's name."""

    def make(properties):
        begin = stub.strip() + "\n"
        return Exercise(
            name, label, properties.__name__, begin, minutes, level, points, hints, properties
        )

    return make


def call(function, *arguments, many=MANY):
    """What a reader's function returns for copies of `arguments`; its own errors are told.

    Of a generator these are its first `many` items, in a list.
    """
    if not callable(function):
        raise AnswerError(
            "the answer must be a function, handed over by its name without brackets; "
            f"it is {_kind(function)}"
        )
    try:
        with _patience(function):
            returned = function(*copy.deepcopy(arguments))
            if hasattr(returned, "__next__"):  # a generator runs, and may fail, only here
                returned = list(islice(returned, many))
    except (Exception, SystemExit, _EndlessError) as error:
        fault = f"your function raises {type(error).__name__}: {error}"
        if isinstance(error, _EndlessError):
            fault = (
                f"your function has not ended after {PATIENCE:g} seconds: what ends its loop, and "
                "does that come nearer with each step?"
            )
        elif isinstance(error, AssertionError):  # NumPy's words fill a screen
            fault = "an assert in your own function does not hold"
        shapes = ", ".join(_brief(argument) for argument in arguments)
        raise AnswerError(f"{fault} (called with {shapes})") from error
    if returned is None or returned is ...:
        raise AnswerError(
            "your function returns nothing: is it begun, and does it end in `return`?"
        )
    return returned


def several(returned, count, what):
    """The `count` values that a function should return together."""
    if is_array_api_obj(returned) and returned.shape[:1] == (count,):
        return tuple(returned[k, ...] for k in range(count))
    if not isinstance(returned, tuple | list) or len(returned) != count:
        raise AnswerError(f"{what} must be {count} values, in that order; it is {_kind(returned)}")
    return tuple(returned)


def numbers(value, shape, what):
    """`value` as a NumPy array of `shape` (None: any length), from lists and any library."""
    try:
        array = _on_host(value)
    except (TypeError, ValueError):
        raise AnswerError(f"{what} must be numbers; it is {_kind(value)}") from None
    if np.iscomplexobj(array) and not np.any(array.imag):
        array = array.real
    if array.dtype.kind not in "iuf":
        wanted = "a number" if shape == () else "numbers"
        raise AnswerError(f"{what} must be {wanted}; it is {_kind(value)}")
    if shape == () and array.size == 1:
        array = array.reshape(())
    fits = len(array.shape) == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = "one number" if shape == () else f"an array of shape {_shape(shape)}"
        many = array.shape[1:] == shape and "; take the one that is asked for out of it"
        raise AnswerError(f"{what} must be {wanted}; it has shape {array.shape}{many or ''}")
    if not np.all(np.isfinite(array)):
        raise AnswerError(f"{what} holds nan or inf: something overflows or divides by zero")
    return array.astype(float)


def number(value, what):
    """`value` as a float, from a number of any library, a 0-d array or a list of one."""
    return float(numbers(value, (), what))


def close(value, right, rtol=RTOL):
    """Whether `value` is `right`, up to `rtol` of the length of `right` (of 1 where that is 0)."""
    scale = np.linalg.norm(np.ravel(right)) or 1.0
    return bool(np.linalg.norm(np.ravel(np.subtract(value, right))) <= rtol * scale)


def expect(holds, message):
    """Raise `AnswerError` with `message` unless the property holds."""
    if not holds:
        raise AnswerError(message)


def compare(value, right, what, *clues, rtol=RTOL):
    """Raise `AnswerError` unless `value` is close to `right`.

    `clues` are pairs of a value that a known mistake gives, and what to look at then: words, or
    a function that finds them or None.
    """
    if close(value, right, rtol):
        return
    look_at = recognise(value, *clues, rtol=rtol)
    if np.ndim(right) == 0:
        off = f"{what} is too {'large' if value > right else 'small'}"
    else:
        scale = np.linalg.norm(np.ravel(right)) or 1.0
        off = f"{what} is off by {np.linalg.norm(np.ravel(value - right)) / scale:.0%} in length"
    raise AnswerError(f"{off}: {look_at}" if look_at else off)


def recognise(value, *clues, rtol=RTOL):
    """What to look at, by the first of the `clues` whose value this is; None where it is none."""
    for mistaken, look_at in clues:
        if close(value, mistaken, rtol):
            return look_at() if callable(look_at) else look_at
    return None


class _EndlessError(BaseException):
    """A loop that is taken not to end."""


@contextmanager
def _patience(function):
    """Break off the lines of `function` when they have taken too long.

    What it calls in another file is not looked at, and costs nothing.
    """
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    before, ends = sys.gettrace(), time.monotonic() + PATIENCE

    def look(frame, event, argument):
        if time.monotonic() > ends:
            raise _EndlessError
        return look

    sys.settrace(lambda frame, *_: look if frame.f_code.co_filename == file else None)
    try:
        yield
    finally:
        sys.settrace(before)


def _on_host(value):
    if isinstance(value, tuple | list):
        return np.asarray([_on_host(item) for item in value])
    return np.asarray(to_host(value) if is_array_api_obj(value) else value)


def _kind(value):
    shape = getattr(value, "shape", None)
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if shape is not None:
        return f"an array of shape {tuple(shape)}"
    return f"a {type(value).__name__}"


def _brief(argument):
    shape = getattr(argument, "shape", None)
    if shape is not None and shape != ():
        return f"an array of shape {tuple(shape)}"
    text = repr(argument)
    return text if len(text) <= 40 else _kind(argument)


def _shape(shape):
    return str(tuple("any" if size is None else size for size in shape)).replace("'", "")

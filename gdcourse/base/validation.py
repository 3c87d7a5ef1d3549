"""Checks of arguments, once, before any work: each error names the argument and the cure."""

import math
import operator
import re
from contextlib import contextmanager

import numpy as np

from gdcourse.base.backend import (
    array_namespace,
    asarray,
    cut_blocks,
    device,
    is_array_api_obj,
    to_host,
)


def check_count(name, value, minimum=1, maximum=None):
    """`value` as a Python integer in ``minimum..maximum``."""
    try:
        number = operator.index(None if isinstance(value, bool) else value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < minimum or (maximum is not None and number > maximum):
        span = f"at least {minimum}" if maximum is None else f"in {minimum}..{maximum}"
        raise ValueError(f"{name} must be {span}, got {number}")
    return number


def check_each(name, values, check):
    """The tuple of `values`, each held to `check`: `check_count` or `check_positive`."""
    try:
        values = tuple(values)
    except TypeError:
        raise TypeError(f"{name} must be a sequence, got {values!r}") from None
    return tuple(check(name, value) for value in values)


def check_positive(name, value):
    """`value` as a positive, finite float."""
    number = check_number(name, value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be positive and finite, got {number}")
    return number


def check_non_negative(name, value):
    """`value` as a finite float that is zero or more."""
    number = check_number(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be zero or more and finite, got {number}")
    return number


def check_number(name, value):
    """`value` as a float."""
    try:
        return float(None if isinstance(value, bool | np.bool_ | str | bytes) else value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None


def check_data(X, y, *, look=True):
    """`X` (n, d) and `y` (n,) as floating arrays of one library, on one device.

    Lists become NumPy arrays and whole numbers become floats; an array that is floating
    already is not copied, except a `y` in another precision than `X`. Without `look`, the
    values are not read: the caller calls `check_finite` where its own result is not finite.
    """
    X, y = _arrays(X=X, y=y)
    if X.ndim != 2:
        raise ValueError(
            f"X must have two axes (n_samples, n_features), got shape {X.shape}: "
            "reshape a single feature with X[:, None]"
        )
    if X.shape[0] == 0 or X.shape[1] == 0:
        raise ValueError(f"X must have at least one row and one column, got shape {X.shape}")
    if y.shape != X.shape[:1]:
        cure = ": flatten it with y[:, 0]" if y.shape == (X.shape[0], 1) else ""
        raise ValueError(
            f"y must have shape {X.shape[:1]} to match the rows of X, got {y.shape}{cure}"
        )
    X, y = _floating("X", X), _floating("y", y)
    if look:
        check_finite(X=X, y=y)
    with np.errstate(over="ignore"):
        y, given = _floating("y", y, X.dtype), y
    if look and y is not given and not _all_finite(y):
        raise ValueError(f"y must fit in the precision of X, {X.dtype}: convert X to a wider one")
    return X, y


def check_finite(**arrays):
    """Raise an error that names the first of the arrays that is not finite."""
    for name, array in arrays.items():
        if not _all_finite(array):
            cure = "start from finite values" if name == "theta" else "remove those rows"
            raise ValueError(f"{name} must be finite, but holds NaN or infinity: {cure}")


def check_problem(theta, X, y, *, look=True):
    """`theta`, `X`, `y` of one library and precision; `theta` takes the wider of its and X's."""
    theta, X, y = _arrays(theta=theta, X=X, y=y)
    X, y = check_data(X, y, look=look)
    theta = _floating("theta", theta, X.dtype if not _is_floating(theta) else None)
    theta = _floating("theta", theta, array_namespace(X).result_type(theta.dtype, X.dtype))
    check_finite(theta=theta)
    return theta, X, y


@contextmanager
def call_theta(name):
    """Within it, errors about `theta` speak of the argument `name` that the caller knows."""
    try:
        yield
    except (TypeError, ValueError) as error:
        error.args = tuple(re.sub(r"\btheta\b", name, str(text)) for text in error.args)
        raise


def check_sampler(batches):
    """A sampling scheme, or an error that shows one."""
    if isinstance(batches, type) or not hasattr(batches, "epochs"):
        raise TypeError(
            f"batches must be a sampling scheme such as Shuffled(batch_size=32), got {batches!r}"
        )


def _arrays(**named):
    """The values as arrays of one library on one device; lists follow the arrays beside them."""
    given = {name: a for name, a in named.items() if is_array_api_obj(a)}
    for name, array in given.items():
        if isinstance(array, np.ma.MaskedArray):
            raise TypeError(f"{name} is a masked array: fill it, or drop the rows with a mask")
    kinds = {name: array_namespace(a).__name__.split(".")[-1] for name, a in given.items()}
    if len(set(kinds.values())) > 1:
        raise TypeError(
            "arrays of two libraries: "
            + ", ".join(f"{name} is {kind}" for name, kind in kinds.items())
            + "; move them to one with xp.asarray first"
        )
    like = next(iter(given.values()), np.empty(0))
    devices = {name: device(a) for name, a in given.items()}
    if any(place != device(like) for place in devices.values()):  # CuPy's devices have no hash
        places = ", ".join(f"{name} on {place}" for name, place in devices.items())
        raise ValueError(f"arrays on two devices: {places}; move them to one first")
    return [given[name] if name in given else _from_list(name, named[name], like) for name in named]


def _from_list(name, values, like):
    try:
        host = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array, got a ragged list") from error
    if host.dtype == object:
        cure = ": make it dense with .toarray()" if hasattr(values, "toarray") else ""
        raise TypeError(f"{name} must be an array of numbers, got a {type(values).__name__}{cure}")
    return asarray(host, like)


def _is_floating(array):
    return array_namespace(array).isdtype(array.dtype, "real floating")


def _floating(name, array, dtype=None):
    xp = array_namespace(array)
    if not xp.isdtype(array.dtype, ("bool", "integral", "real floating")):
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if dtype is None:
        dtype = array.dtype if _is_floating(array) else xp.asarray(0.0).dtype
    return array if array.dtype == dtype else xp.astype(array, dtype)


def _all_finite(array):
    """Whether every value is finite, without a mask as large as the array: a sum tells.

    A sum of finite values can itself overflow, so only a sum that is not finite is looked into.
    """
    xp = array_namespace(array)
    with np.errstate(over="ignore", invalid="ignore"):
        if to_host(xp.isfinite(xp.sum(array))):
            return True
    if array.ndim == 0:
        return False
    parts = cut_blocks(array.shape[0], 1024)
    return all(to_host(xp.all(xp.isfinite(array[part, ...]))) for part in parts)

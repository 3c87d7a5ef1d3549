"""Checks of arguments, once, before any work: each error names the argument and the cure."""

import inspect
import math
import operator
import re
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path

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


def check_layers(name, sizes):
    """The tuple of the sizes of the layers of a network that tells classes apart."""
    sizes = check_each(name, sizes, check_count)
    if len(sizes) < 2 or sizes[-1] < 2:
        raise ValueError(f"{name} must run from the inputs to at least 2 classes, got {sizes}")
    return sizes


def check_positive(name, value):
    """`value` as a positive, finite float."""
    number = check_number(name, value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be positive and finite, got {number}")
    return number


def check_rate(name, value):
    """`value` as a positive, finite float, where a function of the step would serve too."""
    if hasattr(value, "__getitem__") and not isinstance(value, str | bytes) and np.ndim(value):
        raise TypeError(
            f"{name} must be a number or a function of the step, got a {type(value).__name__}: "
            "make one of a table with lambda step: table[step]"
        )
    return check_positive(name, value)


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


def check_flag(name, value):
    """`value` as a bool: any text is true, "no" among them."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_choice(name, value, choices):
    """`value`, one of some words."""
    if not (isinstance(value, str) and value in choices):
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return value


def check_momentum(name, value):
    """`value` as a float in [0, 1)."""
    number = check_non_negative(name, value)
    if number >= 1:
        raise ValueError(f"{name} must be less than 1, or nothing slows down, got {number}")
    return number


def check_two_sizes(name, sizes):
    """A small and a large batch size."""
    try:
        small, large = (check_count(name, size) for size in sizes)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} must be two whole numbers, got {sizes!r}") from error
    if small >= large:
        raise ValueError(f"{name} must be a smaller and a larger one, got {sizes!r}")
    return small, large


def check_rng(rng):
    """A generator: `rng` itself, or the one of a seed."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"rng must be a Generator, None, or a seed: a whole number of zero or more, got {rng!r}"
        ) from None


def check_like(like):
    """The array that decides the library and the device of others; by default, one of NumPy."""
    if like is not None and not is_array_api_obj(like):
        raise TypeError(f"like must be an array of the library that is wanted, got {like!r}")
    return np.empty(0) if like is None else like


def check_path(name, value):
    """`value` as a path."""
    try:
        return Path(value)
    except TypeError:
        raise TypeError(f"{name} must be a path, got {value!r}") from None


def check_pairs(name, pairs):
    """The pairs (X, y) of an iterable, each looked at when its turn comes."""
    if not hasattr(pairs, "__iter__"):
        pairs = [pairs]  # which is no pair either
    return (check_pair(name, pair) for pair in pairs)


def check_pair(name, pair):
    """A pair (X, y)."""
    if not (isinstance(pair, tuple | list) and len(pair) == 2):
        raise TypeError(
            f"{name} must be made of pairs (X, y), such as [(X[:10], y[:10]), (X[10:], y[10:])], "
            f"got type {type(pair).__name__}"
        )
    return pair


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
        raise ValueError(
            f"y must have shape {X.shape[:1]} to match the rows of X, got {y.shape}"
            + _tell_one_column("y", y.shape, X.shape[0])
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
    if isinstance(batches, type) or not callable(getattr(batches, "epochs", None)):
        raise TypeError(
            f"batches must be a sampling scheme such as Shuffled(batch_size=32), got {batches!r}"
        )


def tell_part(part):
    """A reader's own part, as its repr without an address."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(part))


def check_drawn_rate(schedule, drawn, step):
    """What a schedule gave for a step, as a positive, finite float."""
    try:
        rate = float(None if isinstance(drawn, bool | str | bytes) else drawn)
    except (TypeError, ValueError):
        raise TypeError(
            f"a schedule must give a number, but {tell_part(schedule)} "
            f"gives {drawn!r} at step {step}"
        ) from None
    if not 0 < rate < math.inf:
        raise ValueError(
            "the learning rate must be positive and finite, "
            f"but the schedule gives {rate} at step {step}"
        )
    return rate


def tell_schedule(error, schedule, step):
    """Add to the error of a reader's schedule where it was, what it gave before, and the cure."""
    error.add_note(f"while the schedule {tell_part(schedule)} was asked for step {step}")
    with suppress(Exception):
        error.add_note(
            f"it gave {schedule(step - 1)} for step {step - 1}: let it give a rate for every step "
            "of the run, or hold its last one"
        )


def tell_step(error, step):
    """Add to an error after how many steps it was raised."""
    error.add_note(f"after step {step} of the descent")


def tell_batches(error, batches, step):
    """Add to an error which sampler drew what it tells of, and where."""
    error.add_note(f"while batches, {tell_part(batches)}, drew the epoch of step {step}")


def check_whole(name, numbers):
    """Whole numbers along one axis; a list becomes an array. A mask would be taken for rows."""
    array = numbers if is_array_api_obj(numbers) else np.asarray(numbers)
    if array.ndim != 1 or not array_namespace(array).isdtype(array.dtype, "integral"):
        is_mask = array.ndim == 1 and array_namespace(array).isdtype(array.dtype, "bool")
        raise TypeError(
            f"{name} must be whole numbers along one axis, "
            f"got shape {array.shape} and dtype {array.dtype}"
            + (": take np.flatnonzero of a mask" if is_mask else "")
        )
    return array


def check_batches(batches):
    """Batches of row numbers, as a sampler may draw them for an epoch, in a list of arrays."""
    try:
        batches = [np.asarray(batch) for batch in batches]
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"a sampler must yield an Epoch, or batches of row numbers, got {batches!r}"
        ) from error
    if not all(map(np.size, batches)):
        raise ValueError("a batch must hold a row, for an empty one has no mean: leave it out")
    return [check_whole("the rows of a batch", batch).astype(np.int64) for batch in batches]


def check_bounds(bounds, order):
    """Where the batches of an epoch begin and end, int64, and its order, which may be None."""
    bounds = check_whole("bounds", bounds).astype(np.int64, copy=False)
    if len(bounds) == 0 or bounds[0] < 0 or not (bounds[1:] > bounds[:-1]).all():
        fall = np.argmax(np.diff(bounds, prepend=-1) < 1) if len(bounds) else 0
        raise ValueError(
            "bounds must begin at 0 or more and increase, for an empty batch has no mean: "
            f"got {bounds[: fall + 1][-3:]}"
        )
    if order is not None:
        order = check_whole("order", order)
        if bounds[-1] > (n := order.shape[0]):
            raise ValueError(f"bounds must end within the {n} rows of order, got {bounds[-1]}")
    return bounds, order


def check_within(n_samples, bounds, order):
    """Raise where an epoch asks for rows that X does not have."""
    if order is None:
        if bounds[-1] > n_samples:
            raise ValueError(
                f"an epoch must end within the {n_samples} rows, but its bounds end at {bounds[-1]}"
            )
    elif order.shape[0]:
        lowest, highest = order.min(), order.max()
        if lowest < -n_samples or highest >= n_samples:
            row = lowest if lowest < -n_samples else highest
            raise IndexError(
                f"a batch holds row {row}, which is out of bounds for {n_samples} rows of X"
            )


def check_labels(labels, n_samples):
    """The class of each sample, counted from 0: of labels of any kind, with none missing."""
    if is_array_api_obj(labels):
        labels = to_host(_refuse_foreign("labels", labels))
    host = np.asarray(labels)
    if host.shape != (n_samples,):
        raise ValueError(
            f"labels must have shape ({n_samples},), one a sample, got {host.shape}"
            + _tell_one_column("labels", host.shape, n_samples)
        )
    if host.dtype.kind in "US" and labels is not host:  # NumPy would spell 1 and NaN as words
        host = np.asarray(labels, dtype=object)
    missing = [*map(_is_missing, host)] if host.dtype == object else host != host
    if np.any(missing):
        i = int(np.argmax(missing))
        raise ValueError(
            f"labels must not be missing, but labels[{i}] is {host[i]}: "
            "drop those rows, or give them a class of their own"
        )
    try:
        return np.unique(host, return_inverse=True)[1]
    except TypeError:
        kinds = ", ".join(sorted({type(label).__name__ for label in host}))
        raise TypeError(
            f"labels must be of one kind, got {kinds}: convert them, such as with map(str, labels)"
        ) from None


def check_classes(y, n_classes, owner):
    """Raise an error with the cure where `y` does not hold the classes 0..n_classes−1."""
    xp = array_namespace(y)
    is_whole = xp.all(y == xp.floor(y))
    lowest, highest = xp.min(y), xp.max(y)
    if to_host(is_whole & (lowest >= 0) & (highest < n_classes)):
        return
    check_finite(y=y)
    lowest, highest = float(to_host(lowest)), float(to_host(highest))
    cure = "number them with np.unique(y, return_inverse=True)[1]"
    if n_classes == 2 and to_host(xp.all(y * y == 1)):
        cure = "take (y + 1) / 2"
    elif to_host(is_whole) and (lowest, highest) == (1, n_classes):
        cure = "subtract 1"
    elif to_host(is_whole) and lowest == 0:
        cure = f"{owner} has {n_classes} classes, so give it more, or merge some"
    allowed = "the labels 0 and 1" if n_classes == 2 else f"whole class labels 0..{n_classes - 1}"
    raise ValueError(
        f"y must hold {allowed} for {owner}, got values from {lowest:g} to {highest:g}: {cure}"
    )


def check_rows(X, y):
    """Raise an error where arrays do not have as many labels as rows, whatever lies in front."""
    try:
        fits = y.shape == X.shape[:-1]
    except AttributeError:
        raise TypeError(
            "the methods of an objective take arrays of one library: convert lists and tables "
            "with np.asarray"
        ) from None
    if not fits:
        check_shape("y", y, X.shape[:-1], "to match the rows of X")


def check_precision(name, array, purpose):
    """Raise TypeError where an array is of another precision than single and double."""
    xp = array_namespace(array)
    if array.dtype not in (xp.float32, xp.float64):
        raise TypeError(
            f"{name} must be float32 or float64 {purpose}, got {array.dtype}: convert it"
        )


def check_shape(name, array, shape, against):
    """Raise an error where an array does not have the shape that it needs beside another."""
    if array.shape != tuple(shape):
        raise ValueError(
            f"{name} must have shape {tuple(shape)} {against}, got {tuple(array.shape)}"
        )


# The methods of an objective, and the shape of what each gives.
SHAPES = {
    "loss": lambda theta, X: (),
    "gradient": lambda theta, X: theta.shape,
    "per_sample_gradients": lambda theta, X: (X.shape[0], *theta.shape),
    "squared_gradient_norms": lambda theta, X: X.shape[:1],
}


def hold(part, name, theta, X, y):
    """What the method `name` of a reader's objective gives, held to its kind and its shape."""
    return check_result(part, name, getattr(part, name)(theta, X, y), theta, X)


def hold_methods(kind):
    """Let the methods of a reader's subclass hold what they give to its kind and its shape."""
    for name, method in vars(kind).copy().items():
        if name in SHAPES and inspect.isfunction(method):
            setattr(kind, name, _held(name, method))


def _held(name, method):
    @wraps(method)
    def held(self, theta, X, y):
        return check_result(self, name, method(self, theta, X, y), theta, X)

    return held


def check_result(part, method, given, theta, X):
    """What a method of a reader's part gave, of the library of θ; a loss may be a number."""
    shape = SHAPES[method](theta, X)
    if type(given) is type(theta) and given.shape == shape and given.dtype == theta.dtype:
        return given
    xp = array_namespace(theta)
    if shape == () and isinstance(given, int | float) and not isinstance(given, bool):
        return xp.asarray(given, dtype=theta.dtype, device=device(theta))
    what = f"the {method} of {tell_part(part)} must"
    if not is_array_api_obj(given) or array_namespace(given) is not xp:
        raise TypeError(
            f"{what} be an array of the library of theta, got {given!r}: convert it with xp.asarray"
        )
    if given.shape != shape:
        raise ValueError(
            f"{what} have shape {shape}, got {given.shape}: nothing is broadcast"
            if shape
            else f"{what} be one number, got shape {given.shape}: take the mean over the rows"
        )
    if not xp.isdtype(given.dtype, ("integral", "real floating")):
        raise TypeError(f"{what} hold real numbers, got dtype {given.dtype}")
    return given


def as_array(name, values):
    """`values` as an array: of their library, or of NumPy where they become numbers untold.

    What takes a guess is refused: text, dates, what is missing or masked.
    """
    if is_array_api_obj(values):
        _refuse_foreign(name, values)
        return _numbers(name, values, values) if isinstance(values, np.ndarray) else values
    try:
        if isinstance(values, list | tuple):
            for part in filter(np.ma.isMaskedArray, values):
                _refuse_foreign(name, part)
        host = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name} must be an array, got a ragged list: give all rows the same length"
        ) from error
    if host.ndim == 0 and host.dtype == object:
        raise TypeError(
            f"{name} must be an array of numbers, got a {type(values).__name__}: "
            + next(
                (cure for verb, cure in CONVERSIONS.items() if hasattr(values, verb)),
                "give a list of numbers for each row",
            )
        )
    return _numbers(name, values, host)


# What an object that is no array may have, and how it becomes one.
CONVERSIONS = {
    "toarray": "make it dense with .toarray()",
    "collect": "make it a table with .collect()",
    "values": "make it an array with np.column_stack(list(it.values()))",
    "__iter__": "make it an array with np.array(list(it))",
}
# Array libraries that lack what the package asks for, and what makes NumPy's arrays of theirs.
FOREIGN = {"torch": ".numpy(force=True)", "dask": ".compute()", "sparse": ".todense()"}


def _refuse_foreign(name, array):
    """The array, if none of its values is hidden and its library can do all that is needed."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill it, or drop the rows with a mask")
    library = type(array).__module__.partition(".")[0]
    if library in FOREIGN:
        raise TypeError(
            f"{name} is an array of {library}, with which the package does not work: "
            f"hand over {name}{FOREIGN[library]}"
        )
    return array


def _numbers(name, values, host):
    """`host`, or the floats that its objects are; or an error that names one that is no number."""
    if host.dtype.kind not in "OUSTMmV":
        return host
    if host.dtype == object and not any(isinstance(value, str | bytes) for value in host.flat):
        with suppress(TypeError, ValueError):
            return host.astype(float)
    place, value = next((p, v) for p, v in np.ndenumerate(host) if not _is_number(v))
    value = value.item() if isinstance(value, np.generic) else value
    columns = getattr(values, "column_names", getattr(values, "columns", None))
    of_table = columns is not None and host.ndim == 2
    where = f"its column {columns[place[1]]!r}" if of_table else f"{name}{list(place)}"
    if _is_missing(value):
        cure = "is missing: drop such rows, or fill them"
    elif isinstance(value, str | bytes):
        cure = f"is the text {value!r}: "
        if _is_number(value.strip(), ()):
            cure += "convert it with .astype(float)"
        elif name == "y":
            cure += "number the classes with np.unique(y, return_inverse=True)[1]"
        else:
            cure += "drop the column, or encode it, such as with pandas.get_dummies"
    else:
        cure = f"is {value!r}: convert it to numbers, or leave it out"
    raise TypeError(f"{name} must hold real numbers, but {where} {cure}")


def _is_number(value, others=(str, bytes, np.datetime64, np.timedelta64, np.void)):
    try:
        float(None if isinstance(value, others) else value)
    except (TypeError, ValueError):
        return False
    return True


def _is_missing(value):
    """None, NaN, or what pandas has in their place, and that is not equal to itself."""
    is_nan = isinstance(value, float) and value != value
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")


def _tell_one_column(name, shape, n_samples):
    """How to make one column of several, for the end of an error."""
    if len(shape) != 2 or shape[0] != n_samples:
        return ""
    if shape[1] == 1:
        return f": flatten it with {name}[:, 0]"
    return f": take {name}.argmax(axis=1) where it has a column a class, or one of its columns"


def _arrays(**named):
    """The values as arrays of one library on one device; lists follow the arrays beside them."""
    arrays = {name: as_array(name, values) for name, values in named.items()}
    given = {name: arrays[name] for name, values in named.items() if is_array_api_obj(values)}
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
    return [given[name] if name in given else asarray(arrays[name], like) for name in named]


def _is_floating(array):
    return array_namespace(array).isdtype(array.dtype, "real floating")


def _floating(name, array, dtype=None):
    xp = array_namespace(array)
    if not xp.isdtype(array.dtype, ("bool", "integral", "real floating")):
        raise TypeError(
            f"{name} must hold real numbers, got dtype {array.dtype}: take the real part"
        )
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

"""Where the rows lie: an owner of X and y with one verb, the mean of a function over rows.

All that the course computes from data is a mean over rows: J, ∇J, variances, XᵀX/n. So a loss,
a gradient or a moment is written once, for rows at hand, and the owner brings them: `InMemory`
here; in shards or on workers in `gdcourse.engine`. An array that is not in memory names its
owner in an attribute ``owner``; `own` and `open_problem` ask for it once.
"""

from typing import NamedTuple

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import array_namespace, cut_blocks, double, take_rows
from gdcourse.objectives import Objective, complete

ALL = slice(None)
# The type of a function to average -> what gives its mean over rows in memory in one pass, or None
# where it cannot. `engine.compiled` enters what it knows; without it the answers are the same.
ONE_PASS = {}


class InMemory:
    """Rows in memory, on a device or in a memory map, read in blocks that a cache holds."""

    def __init__(self, X, y, width=1):
        self.X, self.y = X, y
        self.block = rows_in_cache(X, width)

    @classmethod
    def open(cls, X, y, *, look=True):
        """An owner of X and y, checked."""
        return cls(*validation.check_data(X, y, look=look))

    @classmethod
    def open_problem(cls, objective, theta, X, y, *, look=True):
        """`theta` and an owner of X and y, checked, and checked to fit the objective."""
        theta, X, y = validation.check_problem(theta, X, y, look=look)
        objective.check(theta, X, y)
        return theta, cls(X, y, objective.width)

    def __len__(self):
        return self.X.shape[0]

    def mean(self, function, theta, batch=ALL, *, width=None):
        """The mean over the rows of `batch` of ``function(theta, X, y)``, which is one over some.

        A batch is a slice, or row numbers on the device of X: (b,), or (runs, b) for many runs.
        The function makes `width` values of a row, by default as many as the objective.
        """
        fast = ONE_PASS.get(type(function))
        if fast and (mean := fast(function, theta, *self.take(batch))) is not None:
            return mean
        block = self.block if width is None else rows_in_cache(self.X, width)
        if count_rows(batch, len(self)) <= block:
            return function(theta, take_rows(self.X, batch), take_rows(self.y, batch))
        return weighted_mean(function, theta, self.pieces(batch, block))

    def pieces(self, batch=ALL, size=None):
        """The rows of `batch` in pairs (X, y) of at most `size` rows."""
        for piece in cut_batch(batch, len(self), size or self.block):
            yield take_rows(self.X, piece), take_rows(self.y, piece)

    def parts(self, epoch):
        """Pairs of an owner and the part of an epoch whose batches it holds: here, all of it."""
        yield self, epoch.to(self.X)

    def take(self, batch):
        """The rows of a batch as (X_batch, y_batch)."""
        return take_rows(self.X, batch), take_rows(self.y, batch)


def own(X, y, *, look=True):
    """The owner of the rows of X and y, checked; with `look`, for NaN and infinity too."""
    return _find_owner(X).open(X, y, look=look)


def _find_owner(X):
    return X.owner if hasattr(type(X), "owner") else InMemory  # a column may have that name


def open_problem(objective, theta, X, y, *, look=True):
    """What a computation starts from, checked: an `Objective`, θ, and the owner of the rows.

    θ takes the wider precision of `theta` and `X`.
    """
    objective = complete(objective)
    theta, data = _find_owner(X).open_problem(objective, theta, X, y, look=look)
    return objective, theta, data


class LossAndGradient(NamedTuple):
    """A function to average: the loss and the gradient in one array, of length 1 + theta.size."""

    objective: Objective

    def __call__(self, theta, X, y):
        loss = self.objective.loss(theta, X, y)
        return join(loss, self.objective.gradient(theta, X, y))


def join(number, array):
    """A number and an array in one, flat; or for each of many runs, along their axes."""
    xp = array_namespace(array)
    number = xp.asarray(number, dtype=array.dtype, device=array.device)
    flat = xp.reshape(array, (*number.shape, -1))
    return xp.concat([number[..., None], flat], axis=-1)


def weighted_mean(function, theta, parts):
    """The mean over all rows, from the means that `function` gives for the (X, y) of `parts`."""
    total, n_rows = 0.0, 0
    for X, y in parts:
        mean = function(theta, X, y)
        total = total + X.shape[-2] * double(mean)
        n_rows += X.shape[-2]
    return array_namespace(total).astype(total / n_rows, mean.dtype, copy=False)


def cut_batch(batch, n_rows, size):
    """A batch, cut into batches of at most `size` neighbours."""
    if isinstance(batch, slice):
        start, stop, _ = batch.indices(n_rows)
        return (slice(start + b.start, start + b.stop) for b in cut_blocks(stop - start, size))
    return (batch[..., b] for b in cut_blocks(batch.shape[-1], size))


def count_rows(batch, n_rows):
    """How many rows a batch has."""
    if isinstance(batch, slice):
        start, stop, _ = batch.indices(n_rows)
        return stop - start
    return batch.shape[-1]


def rows_in_cache(X, width):
    """Rows of X to work on at a time: what a cache holds, or what keeps a device busy."""
    values = 2**16 if isinstance(X, np.ndarray) else 2**24
    return max(1, min(max(256, values // X.shape[1]), 2 * values // width))


def compress(X, y):
    """Least squares in at most d + 1 rows: the same J(θ) at every θ as with all n.

    The triangle R of a QR factorisation of [X y] has the same inner products as [X y]. Its
    rows, scaled by √(rows/n) because J is a mean, therefore give the same loss and the same
    gradient, and so the same full-batch path, at O(d²) a step. The condition number is that
    of X; forming XᵀX would square it. The rows are read once, a block at a time.

    Parameters
    ----------
    X : (n, d) array, or ShardedArray
        Features, one sample a row: in memory, in shards, or on workers.
    y : (n,) array, or ShardedArray
        Targets, one for each row of X.

    Returns
    -------
    X_small : (min(n, d + 1), d) array
    y_small : (min(n, d + 1),) array

    Raises
    ------
    ValueError, TypeError
        For shapes that disagree, no rows, values that are not finite, or a precision other
        than single and double.

    References
    ----------
    G. H. Golub and C. F. Van Loan, *Matrix Computations* (4th ed., 2013), section 5.3.

    Examples
    --------
    >>> from gdcourse import LeastSquares
    >>> X, y = np.arange(12.0).reshape(6, 2), np.ones(6)
    >>> X_small, y_small = compress(X, y)
    >>> theta = np.array([0.5, -1.0])
    >>> X_small.shape, np.isclose(
    ...     LeastSquares().loss(theta, X, y), LeastSquares().loss(theta, X_small, y_small)
    ... )
    ((3, 2), np.True_)
    """
    data = own(X, y)
    d = data.X.shape[1]
    triangle = None
    for X, y in data.pieces(size=max(4 * (d + 1), 2**16 // (d + 1))):
        xp = array_namespace(X)
        validation.check_precision("X", X, "to be compressed")
        joined = xp.concat([X, y[:, None]], axis=1)
        if triangle is not None:
            joined = xp.concat([triangle, joined])
        triangle = xp.linalg.qr(joined).R
    scaled = triangle * (triangle.shape[0] / len(data)) ** 0.5
    return scaled[:, :d], scaled[:, d]

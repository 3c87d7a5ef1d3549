"""Many updates in one compiled loop, for models whose step costs less than Python's overhead.

`descent.steps` is the definition; what is here must agree with it. Numba is optional: without
it, or for other objectives and array libraries, the definition itself runs.
"""

from functools import cache
from importlib.util import find_spec

import numpy as np

from gdcourse.objectives import LeastSquares, LogisticRegression, SoftmaxRegression

# Rows in a mean batch; above it BLAS is busy, and the definition is as fast.
MOST_ROWS = {LeastSquares: 256, LogisticRegression: 256, SoftmaxRegression: 128}
FEWEST_STEPS = 16  # in one call; fewer are over before a kernel is loaded


def applies(X, y, theta, objective, epoch):
    """Whether `sweep` can run this part of an epoch, and is worth it."""
    return (
        type(objective) in MOST_ROWS
        and all(isinstance(array, np.ndarray) for array in (X, y, theta))
        and X.dtype == y.dtype == theta.dtype
        and X.dtype in (np.float32, np.float64)
        and X.flags.c_contiguous
        and len(epoch) >= FEWEST_STEPS
        and epoch.bounds[-1] - epoch.bounds[0] <= MOST_ROWS[type(objective)] * len(epoch)
        and find_spec("numba") is not None
    )


def sweep(X, y, theta, objective, epoch, rates):
    """θ after all batches of `epoch`, with one learning rate a batch."""
    order = np.arange(epoch.bounds[-1]) if epoch.order is None else epoch.order
    used = order[epoch.bounds[0] : epoch.bounds[-1]]
    if used.min() < -len(X) or used.max() >= len(X):  # compiled code would read beyond the array
        raise IndexError(f"a batch holds a row that is none of the {len(X)} of X")
    theta = np.array(theta, order="C")
    loop = _softmax_sweep if isinstance(objective, SoftmaxRegression) else _scalar_sweep
    _compiled(loop)(
        np.asarray(X),
        np.asarray(y),
        theta,
        order,
        epoch.bounds,
        rates.astype(theta.dtype),
        theta.dtype.type(objective.l2),
        isinstance(objective, LogisticRegression),
    )
    return theta


@cache
def _compiled(loop):
    """The loop as machine code: compiled on first use, then kept on disk."""
    from numba import njit

    # Sums may be reordered, as BLAS reorders them; NaN and infinity keep their meaning.
    return njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")(loop)


def _scalar_sweep(X, y, theta, order, bounds, rates, l2, logistic):
    one = X.dtype.type(1)  # a plain 1 would lift single precision to double
    n_features = X.shape[1]
    gradient = np.zeros_like(theta)
    for k in range(len(rates)):
        batch = order[bounds[k] : bounds[k + 1]]
        scale = rates[k] / X.dtype.type(len(batch))
        decay = rates[k] * l2
        for row in batch:
            x = X[row]
            residual = X.dtype.type(0)
            for j in range(n_features):
                residual += x[j] * theta[j]
            if logistic:
                residual = one / (one + np.exp(-residual))
            residual -= y[row]
            if len(batch) == 1:  # half the work of going through the sum of the batch
                for j in range(n_features):
                    theta[j] -= scale * residual * x[j] + decay * theta[j]
            else:
                for j in range(n_features):
                    gradient[j] += residual * x[j]
        if len(batch) > 1:
            for j in range(n_features):
                theta[j] -= scale * gradient[j] + decay * theta[j]
                gradient[j] = 0


def _softmax_sweep(X, y, theta, order, bounds, rates, l2, _):
    one = X.dtype.type(1)
    n_features, n_classes = theta.shape
    gradient = np.zeros_like(theta)
    z = np.empty(n_classes, X.dtype)
    for k in range(len(rates)):
        batch = order[bounds[k] : bounds[k + 1]]
        scale = rates[k] / X.dtype.type(len(batch))
        decay = rates[k] * l2
        for row in batch:
            x = X[row]
            z[:] = 0
            for j in range(n_features):
                for c in range(n_classes):
                    z[c] += x[j] * theta[j, c]
            highest = z.max()
            total = X.dtype.type(0)
            for c in range(n_classes):
                z[c] = np.exp(z[c] - highest)
                total += z[c]
            for c in range(n_classes):
                z[c] /= total
            z[int(y[row])] -= one
            for j in range(n_features):
                for c in range(n_classes):
                    gradient[j, c] += x[j] * z[c]
        for j in range(n_features):
            for c in range(n_classes):
                theta[j, c] -= scale * gradient[j, c] + decay * theta[j, c]
                gradient[j, c] = 0

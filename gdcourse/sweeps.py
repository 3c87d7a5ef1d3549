"""Many updates in one compiled loop, for models whose step costs less than Python's overhead.

`descent.steps` is the definition; what is here must agree with it. Numba is optional: without
it, or for other objectives and array libraries, the definition itself runs.
"""

from functools import cache
from importlib.util import find_spec

import numpy as np

from gdcourse.objectives import LeastSquares, LogisticRegression

MOST_ROWS = 256  # in a mean batch: above it BLAS is busy, and the definition as fast
FEWEST_STEPS = 16  # in one call: fewer are over before a kernel is loaded


def applies(X, y, theta, objective, epoch):
    """Whether `linear` can run this part of an epoch, and is worth it."""
    return (
        type(objective) in (LeastSquares, LogisticRegression)
        and all(isinstance(array, np.ndarray) for array in (X, y, theta))
        and X.dtype == y.dtype == theta.dtype
        and X.dtype in (np.float32, np.float64)
        and X.flags.c_contiguous
        and len(epoch) >= FEWEST_STEPS
        and epoch.bounds[-1] - epoch.bounds[0] <= MOST_ROWS * len(epoch)
        and find_spec("numba") is not None
    )


def linear(X, y, theta, objective, epoch, rates):
    """θ after all batches of `epoch`, with one learning rate a batch."""
    order = np.arange(epoch.bounds[-1]) if epoch.order is None else epoch.order
    theta = theta.copy()
    _kernel()(
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
def _kernel():
    """The compiled loop: imported and compiled on first use, then kept on disk."""
    from numba import njit

    # Sums may be reordered, as BLAS reorders them; NaN and infinity keep their meaning.
    return njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")(_sweep)


def _sweep(X, y, theta, order, bounds, rates, l2, logistic):
    one = X.dtype.type(1)  # a plain 1 would lift single precision to double
    n_features = X.shape[1]
    gradient = np.empty_like(theta)
    for k in range(len(rates)):
        gradient[:] = 0
        for row in order[bounds[k] : bounds[k + 1]]:
            x = X[row]
            residual = X.dtype.type(0)
            for j in range(n_features):
                residual += x[j] * theta[j]
            if logistic:
                residual = one / (one + np.exp(-residual))
            residual -= y[row]
            for j in range(n_features):
                gradient[j] += residual * x[j]
        scale = one / X.dtype.type(bounds[k + 1] - bounds[k])
        for j in range(n_features):
            theta[j] -= rates[k] * (scale * gradient[j] + l2 * theta[j])

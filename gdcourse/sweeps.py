"""Many updates at once, for models whose step costs less than Python's overhead.

`descent.steps` is the definition; what is here must agree with it. Numba is optional: without
it, or for other objectives and array libraries, the answers are the same and slower.
"""

from functools import cache
from importlib.util import find_spec

import numpy as np

from gdcourse.backend import array_namespace, asarray, rows
from gdcourse.objectives import LeastSquares, LogisticRegression, SoftmaxRegression

# Rows in a mean batch; above it BLAS is busy, and the definition is as fast.
MOST_ROWS = {LeastSquares: 256, LogisticRegression: 256, SoftmaxRegression: 128}
FEWEST_STEPS = 16  # in one call; fewer are over before a kernel is loaded


def choose(X, y, theta, objective, epoch):
    """The function that runs this part of an epoch fastest; None for the definition itself."""
    if len(epoch) < FEWEST_STEPS:
        return None
    n_rows = epoch.bounds[-1] - epoch.bounds[0]
    if (
        type(objective) in MOST_ROWS
        and n_rows <= MOST_ROWS[type(objective)] * len(epoch)
        and _compilable(X, y, theta)
    ):
        return compiled
    if type(objective) is LeastSquares and objective.l2 == 0 and n_rows == len(epoch):
        return triangular
    return None


def compiled(X, y, theta, objective, epoch, rates):
    """θ after all batches of `epoch`, in one compiled loop over its order."""
    first, last = epoch.bounds[0], epoch.bounds[-1]
    order = np.arange(first, last) if epoch.order is None else epoch.order[first:last]
    if order.min() < -len(X) or order.max() >= len(X):  # machine code would read beyond the array
        raise IndexError(f"a batch holds a row that is none of the {len(X)} of X")
    theta = np.array(theta, order="C")
    loop = _softmax_loop if isinstance(objective, SoftmaxRegression) else _scalar_loop
    _machine_code(loop)(
        np.asarray(X),
        np.asarray(y),
        theta,
        order,
        epoch.bounds - first,
        rates.astype(theta.dtype),
        theta.dtype.type(objective.l2),
        isinstance(objective, LogisticRegression),
    )
    return theta


def triangular(X, y, theta, objective, epoch, rates, block=64):
    """θ after all single-row batches of `epoch`, for least squares: a block of steps at a time.

    Step i of a block sees θ − Σ_{j<i} α_j r_j x_j, so the residuals r of its k steps solve a
    unit-triangular system, (I + L) r = Xθ − y with L_ij = α_j x_i·x_j below the diagonal. One
    product then makes all k updates, which spares an array library k − 1 rounds of calls.
    """
    xp = array_namespace(X)
    batches = epoch.to(X)
    for start in range(0, len(epoch), block):
        part = batches[start : start + block]
        first, last = part.bounds[0], part.bounds[-1]
        chosen = slice(first, last) if part.order is None else part.order[first:last]
        X_part, y_part = rows(X, chosen), rows(y, chosen)
        alpha = asarray(rates[start : start + block], like=X, dtype=str(X.dtype).split(".")[-1])
        earlier = xp.tril(X_part @ X_part.T, k=-1) * alpha[None, :]
        system = xp.eye(len(part), dtype=X.dtype, device=X.device) + earlier
        residual = xp.linalg.solve(system, X_part @ theta - y_part)
        theta = theta - X_part.T @ (alpha * residual)
    return theta


def gradient_sums(X, y, theta, objective):
    """Σ ‖∇L_i‖² and Σ ∇L_i without the ridge term, compiled; None where that is impossible."""
    if type(objective) not in (LeastSquares, LogisticRegression) or not _compilable(X, y, theta):
        return None
    total = np.zeros_like(theta)
    logistic = isinstance(objective, LogisticRegression)
    norms = _machine_code(_sums_loop)(np.asarray(X), np.asarray(y), theta, total, logistic)
    return norms, total


def _compilable(X, y, theta):
    return (
        all(isinstance(array, np.ndarray) for array in (X, y, theta))
        and X.dtype == y.dtype == theta.dtype
        and X.dtype in (np.float32, np.float64)
        and X.flags.c_contiguous
        and find_spec("numba") is not None
    )


@cache
def _machine_code(loop):
    """The loop as machine code: compiled on first use, then kept on disk."""
    from numba import njit

    # Sums may be reordered, as BLAS reorders them; NaN and infinity keep their meaning.
    return njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")(loop)


def _scalar_loop(X, y, theta, order, bounds, rates, l2, logistic):
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


def _softmax_loop(X, y, theta, order, bounds, rates, l2, _):
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


def _sums_loop(X, y, theta, total, logistic):
    one = X.dtype.type(1)
    n_features = X.shape[1]
    norms = 0.0  # in double precision: n terms are added one by one
    for row in range(len(X)):
        x = X[row]
        residual = X.dtype.type(0)
        squared = X.dtype.type(0)
        for j in range(n_features):
            residual += x[j] * theta[j]
            squared += x[j] * x[j]
        if logistic:
            residual = one / (one + np.exp(-residual))
        residual -= y[row]
        norms += residual * residual * squared
        for j in range(n_features):
            total[j] += residual * x[j]
    return norms

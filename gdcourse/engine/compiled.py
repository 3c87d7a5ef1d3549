"""Many updates at once, for models whose step costs less than Python's overhead.

`descent.steps` is the definition; what is here must agree with it. Numba is optional: without
it, or for other objectives and array libraries, the answers are the same and slower.
"""

from functools import cache, partial
from importlib.util import find_spec

import numpy as np

from gdcourse import schedules
from gdcourse.base.backend import array_namespace, asarray, take_rows
from gdcourse.descent import State, steps
from gdcourse.noise import Moments
from gdcourse.objectives import LeastSquares, LogisticRegression, SoftmaxRegression
from gdcourse.rows import ONE_PASS, InMemory, LossAndGradient, join

# Rows in a mean batch; above it the definition is as fast, for NumPy has the quicker exponentials.
MOST_ROWS = {LeastSquares: np.inf, LogisticRegression: np.inf, SoftmaxRegression: 256}
FEWEST_ROWS = 256  # in one pass; NumPy is as fast for fewer
FEWEST_STEPS = 16  # in one call; fewer are over before a kernel is loaded
AHEAD = 16  # rows between the one that is asked of memory and the one in use
NEAR = 1024  # bytes of it; the processor itself asks for the rest of a long row
CACHE_LINE = 64  # bytes
TAKE_TURNS = 4  # runs whose steps alternate
SHORT = 32  # features up to which they do
# Sums may be reordered, as BLAS reorders them; NaN and infinity keep their meaning.
FAST = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}


def choose(rule, data, theta, epoch):
    """What makes the steps of this part of an epoch fastest: a function called as `steps` is."""
    if rule.momentum or type(data) is not InMemory:
        return steps
    sweep = choose_sweep(data.X, data.y, theta, rule.objective, epoch)
    return steps if sweep is None else partial(_sweep, sweep)


def _sweep(sweep, rule, data, epoch, state):
    """The state after the last batch of an epoch."""
    step = state.step + len(epoch)
    rates = schedules.rates(rule.schedule, state.step, step)
    theta = sweep(data.X, data.y, state.theta, rule.objective, epoch, rates)
    yield State(step, state.samples_seen + int(epoch.bounds[-1] - epoch.bounds[0]), theta)


def choose_sweep(X, y, theta, objective, epoch):
    """The function that runs this part of an epoch fastest; None for the definition itself."""
    if len(epoch) < FEWEST_STEPS:
        return None
    n_rows = epoch.bounds[-1] - epoch.bounds[0]
    if (
        type(objective) in MOST_ROWS
        and n_rows <= MOST_ROWS[type(objective)] * len(epoch)
        and _is_compilable(X, y, theta)
    ):
        return compiled
    single_rows = n_rows == len(epoch) and X.dtype == theta.dtype
    if type(objective) is LeastSquares and objective.l2 == 0 and single_rows:
        return triangular
    return None


def compiled(X, y, theta, objective, epoch, rates):
    """θ after all batches of `epoch`, in one compiled loop over its order."""
    order = epoch.rows
    if isinstance(order, slice):
        order = np.arange(order.start, order.stop)
    first = np.zeros(1, dtype=np.int64)
    thetas = np.array(theta[None], order="C")
    sweep_runs(X, y, thetas, objective, order[None], first, epoch.bounds, rates[None], first)
    return thetas[0]


def sweep_runs(X, y, thetas, objective, orders, order_of, bounds, rates, rate_of):
    """Walk many runs, each over its order and with its rates; `thetas` is changed in place.

    Parameters
    ----------
    X : (n, d) array
    y : (n,) array
    thetas : (runs, *shape) array
    objective : Objective
    orders : (k, m) int array
        Rows in their order of use.
    order_of : (runs,) int array
        Which of the orders a run takes.
    bounds : (steps + 1,) int array
        Where its batches begin and end, counted from ``bounds[0]``.
    rates : (r, steps) array
    rate_of : (runs,) int array
        Which of the rates a run takes.
    """
    loop = _rows_loop if orders.shape[1] == len(bounds) - 1 else _batches_loop
    if isinstance(objective, SoftmaxRegression):
        loop = _softmax_loop
    _machine_code(loop)(
        np.asarray(X),
        np.asarray(y),
        thetas,
        orders,
        order_of,
        bounds - bounds[0],
        rates.astype(thetas.dtype, copy=False),
        rate_of,
        thetas.dtype.type(objective.l2),
        isinstance(objective, LogisticRegression),
    )


def triangular(X, y, theta, objective, epoch, rates, block=32):
    """θ after all single-row batches of `epoch`, for least squares: a block of steps at a time.

    Step i of a block sees θ − Σ_{j<i} α_j r_j x_j, so the residuals r of its k steps solve a
    unit-triangular system, (I + L) r = Xθ − y with L_ij = α_j x_i·x_j below the diagonal. One
    product then makes all k updates, which spares an array library k − 1 rounds of calls. The
    inverse is built from the diagonal outwards: with A and C inverted, that of [A 0; B C] lacks
    −C⁻¹BA⁻¹. Like the steps themselves, and unlike an elimination with pivots, this is exact to
    rounding where a run diverges.
    """
    xp = array_namespace(X)
    batches = epoch.to(X)
    dtype = str(X.dtype).split(".")[-1]
    corners = [asarray(corner, like=X, dtype=dtype) for corner in _corners(block)]
    for start in range(0, len(epoch), block):
        part = batches[start : start + block]
        X_part, y_part = take_rows(X, part.rows), take_rows(y, part.rows)
        k = len(part)
        alpha = asarray(rates[start : start + block], like=X, dtype=dtype)
        earlier = xp.tril(X_part @ X_part.T, k=-1) * alpha[None, :]
        inverse = xp.eye(k, dtype=X.dtype, device=X.device)
        for corner in corners:
            inverse = inverse - inverse @ (earlier * corner[:k, :k]) @ inverse
        residual = inverse @ (X_part @ theta - y_part)
        theta = theta - X_part.T @ (alpha * residual)
    return theta


def _corners(size):
    """For blocks of 2, 4, 8, ... along a diagonal, a mask of their lower left quarters."""
    row = np.arange(size)
    for half in (2**k for k in range((size - 1).bit_length())):
        place = row // half
        same = place[:, None] // 2 == place // 2
        yield same & (place[:, None] > place)


def average_moments(function, theta, X, y):
    """`Moments` of all rows in one pass, in double precision; None where it is not compiled."""
    objective = function.objective
    if objective.l2 or not _is_known(objective, X, y):
        return None
    _, norms, total = _sum(objective, theta, X, y, of_losses=False)
    return join(norms, total) / len(X)


def average_loss_and_gradient(function, theta, X, y):
    """`LossAndGradient` of all rows in one pass; None where it is not compiled."""
    objective = function.objective
    if theta.ndim > 1 or not _is_known(objective, X, y) or len(X) < FEWEST_ROWS:
        return None
    losses, _, total = _sum(objective, theta, X, y, of_losses=True)
    wide = theta.astype(np.float64, copy=False)
    loss = losses / len(X) + 0.5 * objective.l2 * (wide @ wide)
    return join(loss, total / len(X) + objective.l2 * wide).astype(theta.dtype, copy=False)


ONE_PASS |= {Moments: average_moments, LossAndGradient: average_loss_and_gradient}


def _is_known(objective, X, y):
    return type(objective) in (LeastSquares, LogisticRegression) and _is_compilable(X, y, X)


def _sum(objective, theta, X, y, of_losses):
    """Σ L_i, Σ ‖∇L_i‖² and Σ ∇L_i without the ridge term, in double precision."""
    total = np.zeros(theta.shape)
    logistic = isinstance(objective, LogisticRegression)
    arguments = np.asarray(X), np.asarray(y), theta.astype(np.float64, copy=False), total
    losses, norms = _machine_code(_sums_loop)(*arguments, logistic, of_losses)
    return losses, norms, total


def _is_compilable(X, y, theta):
    return (
        all(isinstance(array, np.ndarray) for array in (X, y, theta))
        and X.dtype == y.dtype == theta.dtype
        and X.dtype in (np.float32, np.float64)
        and X.flags.c_contiguous
        and find_spec("numba") is not None
    )


@cache
def _machine_code(loop):
    """The loop as machine code: compiled on first use, then kept on disk where that is possible."""
    from numba import njit

    _teach_compiler()
    try:
        return njit(cache=True, nogil=True, **FAST)(loop)
    except RuntimeError:  # neither the package nor a home can be written, as in a container
        return njit(nogil=True, **FAST)(loop)


@cache
def _teach_compiler():
    """Let compiled loops call `_residual`, `_loss`, `_fetch` and `_step_row`."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic, overload, register_jitable

    @intrinsic
    def prefetch(_, address):
        def generate(context, builder, signature, arguments):
            pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
            flag = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag])
            function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
            builder.call(function, [pointer, flag(0), flag(3), flag(1)])  # to read data, soon
            return context.get_dummy_value()

        return types.void(types.intp), generate

    def fetch(X, order, i):
        row = order[min(i + AHEAD, len(order) - 1)]
        start = X.ctypes.data + row * X.strides[0]
        for byte in range(0, min(X.strides[0], NEAR), CACHE_LINE):
            prefetch(start + byte)

    register_jitable(**FAST)(_residual)
    register_jitable(**FAST)(_loss)
    register_jitable(forceinline=True, **FAST)(_step_row)
    overload(_fetch)(lambda X, order, i: fetch)


def _fetch(X, order, i):
    """Ask memory for the row that is used a little after `order[i]`; only machine code can."""


def _loss(z, y, residual, logistic):
    if logistic:
        z = z - 2 * y * z
        return max(z, 0.0) + np.log1p(np.exp(-abs(z)))
    return 0.5 * residual * residual


def _residual(z, y, logistic):
    if logistic:
        one = type(z)(1)  # a plain 1 would lift single precision to double
        sign = one - y - y  # the loss is log(1 + exp(sign·z))
        return sign / (one + np.exp(-sign * z))
    return z - y


def _rows_loop(X, y, thetas, orders, order_of, bounds, rates, rate_of, l2, logistic):
    # A step waits for the last one of its run, so where it is short, runs take turns.
    turns = len(thetas) // TAKE_TURNS * TAKE_TURNS if X.shape[1] <= SHORT else 0
    for first in range(0, turns, TAKE_TURNS):
        for k in range(orders.shape[1]):
            for run in range(first, first + TAKE_TURNS):
                order, alpha = orders[order_of[run]], rates[rate_of[run], k]
                _step_row(X, y, thetas[run], order, k, alpha, l2, logistic)
    for run in range(turns, len(thetas)):
        theta, order, alpha = thetas[run], orders[order_of[run]], rates[rate_of[run]]
        for k in range(len(order)):
            _step_row(X, y, theta, order, k, alpha[k], l2, logistic)


def _step_row(X, y, theta, order, k, alpha, l2, logistic):
    zero, one = X.dtype.type(0), X.dtype.type(1)
    n_features = X.shape[1]
    _fetch(X, order, k)
    row = order[k]
    x = X[row]
    z = zero
    for j in range(n_features):
        z += x[j] * theta[j]
    step = alpha * _residual(z, y[row], logistic)
    keep = one - alpha * l2
    for j in range(n_features):
        theta[j] = keep * theta[j] - step * x[j]


def _batches_loop(X, y, thetas, orders, order_of, bounds, rates, rate_of, l2, logistic):
    zero, one = X.dtype.type(0), X.dtype.type(1)
    n_features = X.shape[1]
    gradient = np.zeros(n_features)  # double: single precision stalls at 2**24 equal rows
    for run in range(len(thetas)):
        theta, order, alpha = thetas[run], orders[order_of[run]], rates[rate_of[run]]
        for k in range(len(alpha)):
            first, last = bounds[k], bounds[k + 1]
            for i in range(first, last):
                _fetch(X, order, i)
                row = order[i]
                x = X[row]
                z = zero
                for j in range(n_features):
                    z += x[j] * theta[j]
                residual = _residual(z, y[row], logistic)
                for j in range(n_features):
                    gradient[j] += residual * x[j]
            scale = alpha[k] / (last - first)
            keep = one - alpha[k] * l2
            for j in range(n_features):
                theta[j] = keep * theta[j] - scale * gradient[j]
                gradient[j] = 0


def _softmax_loop(X, y, thetas, orders, order_of, bounds, rates, rate_of, l2, _):
    zero, one = X.dtype.type(0), X.dtype.type(1)
    _, n_features, n_classes = thetas.shape
    weights = np.empty((n_classes, n_features), X.dtype)  # by class: along a row of X
    gradient = np.zeros_like(weights)
    z = np.empty(n_classes, X.dtype)
    for run in range(len(thetas)):
        theta, order, alpha = thetas[run], orders[order_of[run]], rates[rate_of[run]]
        weights[:] = theta.T
        for k in range(len(alpha)):
            first, last = bounds[k], bounds[k + 1]
            scale = alpha[k] / X.dtype.type(last - first)
            keep = one - alpha[k] * l2
            for i in range(first, last):
                _fetch(X, order, i)
                row = order[i]
                x = X[row]
                for c in range(n_classes):
                    score = zero
                    for j in range(n_features):
                        score += x[j] * weights[c, j]
                    z[c] = score
                highest = z.max()
                total = zero
                for c in range(n_classes):
                    z[c] = np.exp(z[c] - highest)
                    total += z[c]
                for c in range(n_classes):
                    z[c] = z[c] * scale / total - (scale if c == y[row] else zero)
                    if last - first == 1:
                        for j in range(n_features):
                            weights[c, j] = keep * weights[c, j] - z[c] * x[j]
                    else:
                        for j in range(n_features):
                            gradient[c, j] += z[c] * x[j]
            if last - first > 1:
                for c in range(n_classes):
                    for j in range(n_features):
                        weights[c, j] = keep * weights[c, j] - gradient[c, j]
                        gradient[c, j] = 0
        theta[:] = weights.T


def _sums_loop(X, y, theta, total, logistic, of_losses):
    n_features = X.shape[1]
    losses = norms = 0.0
    for row in range(len(X)):
        x = X[row]
        z = squared = 0.0
        for j in range(n_features):
            z += x[j] * theta[j]
            squared += np.float64(x[j]) * x[j]
        residual = _residual(z, np.float64(y[row]), logistic)
        norms += residual * residual * squared
        for j in range(n_features):
            total[j] += residual * x[j]
        if of_losses:
            losses += _loss(z, np.float64(y[row]), residual, logistic)
    return losses, norms

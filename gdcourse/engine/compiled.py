"""Many updates at once, for models whose step costs less than Python's overhead.

`descent.steps` is the definition; what is here must agree with it. Numba is optional: without
it, or for other objectives and array libraries, the answers are the same and slower.
"""

from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from gdcourse import schedules
from gdcourse.base.backend import array_namespace, asarray, cut_blocks, take_rows
from gdcourse.descent import State, steps
from gdcourse.engine import loops
from gdcourse.noise import Moments
from gdcourse.objectives import LeastSquares, LogisticRegression, Objective, SoftmaxRegression
from gdcourse.rows import ONE_PASS, InMemory, LossAndGradient, join, rows_in_cache

FEWEST_ROWS = 256  # in one pass; NumPy is as fast for fewer
FEWEST_STEPS = 16  # in one call; fewer are over before a kernel is loaded


def choose(rule, data, theta, epoch):
    """What makes the steps of this part of an epoch fastest: a function called as `steps` is."""
    if type(data) is not InMemory:
        return steps
    sweep = None if rule.momentum else choose_sweep(data.X, data.y, theta, rule.objective, epoch)
    if sweep is not None:
        return partial(_sweep, sweep)
    in_passes = epoch.order is None and _is_known(rule.objective, data.X, data.y)
    return _step_in_passes if in_passes else steps


def _step_in_passes(rule, data, epoch, state):
    """`steps` over neighbouring rows, of which each gradient is one compiled pass."""
    return steps(rule, _Passes(data, rule.objective), epoch, state)


class _Passes(NamedTuple):
    """Rows whose mean gradient comes from `average_loss_and_gradient`, where that is compiled."""

    data: InMemory
    objective: Objective

    def mean(self, function, theta, batch):
        """The mean of `function`, the gradient of the objective."""
        whole = LossAndGradient(self.objective)
        values = average_loss_and_gradient(whole, theta, *self.data.take(batch))
        if values is None:
            return self.data.mean(function, theta, batch)
        return values[1:].reshape(theta.shape)


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
    if type(objective) in SUMS and _is_compilable(X, y, theta):
        return compiled
    single_rows = epoch.bounds[-1] - epoch.bounds[0] == len(epoch) and X.dtype == theta.dtype
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
    loop = loops.rows_loop if orders.shape[1] == len(bounds) - 1 else loops.batches_loop
    if isinstance(objective, SoftmaxRegression):
        loop = loops.softmax_loop
    loops.machine_code(loop)(
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
    if objective.l2 or type(objective) is SoftmaxRegression or not _is_known(objective, X, y):
        return None
    norms, total = _sum(objective, theta, X, y, of_losses=False)
    return join(norms, total) / len(X)


def average_loss_and_gradient(function, theta, X, y):
    """`LossAndGradient` of all rows in one pass; None where it is not compiled."""
    objective = function.objective
    if not _is_known(objective, X, y) or len(X) < FEWEST_ROWS:
        return None
    losses, total = _sum(objective, theta, X, y, of_losses=True)
    wide = theta.astype(np.float64, copy=False)
    ridge = 0.5 * objective.l2 * np.sum(wide * wide, axis=_axes(objective))
    return join(losses / len(X) + ridge, total / len(X) + objective.l2 * wide).astype(theta.dtype)


ONE_PASS |= {Moments: average_moments, LossAndGradient: average_loss_and_gradient}
SUMS = {
    LeastSquares: loops.squares_loop,
    LogisticRegression: loops.logistic_loop,
    SoftmaxRegression: loops.softmax_sums_loop,
}


def reads_all(objective, X):
    """Whether `LossAndGradient` of rows as they are handed over is a pass that is compiled.

    It is not finite then where X or y is not: a loop multiplies each value of X by one of θ and
    by one of the residuals, zeros too.
    """
    return isinstance(X, np.ndarray) and _is_known(objective, X, X) and len(X) >= FEWEST_ROWS


def _is_known(objective, X, y):
    return type(objective) in SUMS and X.ndim == 2 and _is_compilable(X, y, X)


def _axes(objective):
    """The axes of θ: those before them are of many runs."""
    return (-2, -1) if isinstance(objective, SoftmaxRegression) else (-1,)


def _sum(objective, theta, X, y, of_losses):
    """Σ L_i or Σ ‖∇L_i‖², and Σ ∇L_i, without the ridge term, in double precision."""
    loop = loops.machine_code(SUMS[type(objective)])
    n_axes = len(_axes(objective))
    thetas = np.ascontiguousarray(theta, dtype=np.float64).reshape(-1, *theta.shape[-n_axes:])
    totals, found = np.zeros_like(thetas), np.zeros(len(thetas))
    block = len(X) if len(thetas) == 1 else rows_in_cache(X, 1)  # which all runs read in turn
    for part in cut_blocks(len(X), block):
        rows = np.asarray(X[part]), np.asarray(y[part])
        for run, arrays in enumerate(zip(thetas, totals, strict=True)):
            found[run] += loop(*rows, *arrays, of_losses)
    return found.reshape(theta.shape[:-n_axes]), totals.reshape(theta.shape)


def _is_compilable(X, y, theta):
    return (
        all(isinstance(array, np.ndarray) for array in (X, y, theta))
        and X.dtype == y.dtype == theta.dtype
        and X.dtype in (np.float32, np.float64)
        and X.flags.c_contiguous
        and find_spec("numba") is not None
    )

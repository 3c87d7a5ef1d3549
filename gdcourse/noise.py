"""The noise of a gradient estimate, measured and predicted."""

from functools import partial
from typing import NamedTuple

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import array_namespace, asarray, double, to_host
from gdcourse.base.docs import parameters_of
from gdcourse.objectives import Objective
from gdcourse.rows import join, open_problem, own
from gdcourse.sampling import draw_rows


def gradient_variance(objective, theta, X, y):
    """tr Σ = (1/n) Σ_i ‖∇L_i(θ) − ∇J(θ)‖²: the variance of the gradient of one random row.

    Parameters
    ----------
    objective : Objective
        What is minimised, such as ``LeastSquares()``.
    theta : array
        The parameters, shaped as the objective asks: (d,) for the linear models.
    X : (n, d) array
        Features, one sample a row.
    y : (n,) array
        Targets or class labels, one for each row of X.

    Returns
    -------
    float

    Examples
    --------
    >>> from gdcourse import LeastSquares
    >>> gradient_variance(LeastSquares(), [2.0], [[1.0], [1.0]], [1.0, 3.0])
    1.0
    """
    return _find_moments(objective, theta, X, y)[0]


def batch_gradient_variance(variance, batch_size, n_samples=None):
    """The variance of a mini-batch gradient: σ²/b, or σ²/b·(n − b)/(n − 1) without replacement.

    Parameters
    ----------
    variance : float
        σ², the variance of the gradient of one random row, divided by n.
    batch_size : int
        b, rows in the batch.
    n_samples : int, optional
        The number of rows, where the batch is drawn without replacement. The
        finite-population factor (n − b)/(n − 1) is zero at b = n.

    Returns
    -------
    float
        E‖∇_b − ∇J‖², a squared gradient.

    References
    ----------
    K. Mishchenko, A. Khaled and P. Richtárik (2020), arXiv:2006.05988, lemma 1.

    Examples
    --------
    >>> batch_gradient_variance(8.0, 4, n_samples=4)
    0.0
    """
    variance = validation.check_non_negative("variance", variance)
    batch_size = validation.check_count("batch_size", batch_size)
    if n_samples is None:
        return variance / batch_size
    n_samples = validation.check_count("n_samples", n_samples)
    validation.check_count("batch_size", batch_size, maximum=n_samples)
    return variance / batch_size * (n_samples - batch_size) / max(1, n_samples - 1)


@parameters_of(gradient_variance)
def noise_scale(objective, theta, X, y):
    """tr Σ/‖∇J‖²: the batch size at which noise and signal of the gradient are of one size.

    Returns
    -------
    float
        In samples; infinite at a stationary point.

    References
    ----------
    S. McCandlish, J. Kaplan and D. Amodei (2018), arXiv:1812.06162.

    Examples
    --------
    >>> from gdcourse import LeastSquares
    >>> noise_scale(LeastSquares(), [0.0], [[1.0], [1.0]], [1.0, 3.0])
    0.25
    """
    variance, gradient = _find_moments(objective, theta, X, y)
    signal = float(gradient @ gradient)
    return variance / signal if signal > 0 else float("inf")


@parameters_of(gradient_variance)
def estimate_noise_scale(objective, theta, X, y, *, batch_sizes, n_batches, rng=None):
    """The noise scale from batches alone, as one measures it where n is too large to read.

    E‖∇_b‖² = ‖∇J‖² + tr Σ/b for batches drawn with replacement. Two batch sizes therefore give
    unbiased estimates of ‖∇J‖² and of tr Σ, whose ratio is returned.

    Parameters
    ----------
    batch_sizes : pair of int
        A small one and a large one.
    n_batches : int
        Batches drawn of each size.
    rng : numpy.random.Generator, seed or None
        Decides which rows are drawn.

    Returns
    -------
    float
        In samples; infinite where the estimate of ‖∇J‖² is not positive.

    References
    ----------
    S. McCandlish, J. Kaplan and D. Amodei (2018), arXiv:1812.06162, appendix A.1.

    Examples
    --------
    The problem of `noise_scale`, where the answer is 0.25:

    >>> from gdcourse import LeastSquares
    >>> problem = LeastSquares(), [0.0], [[1.0], [1.0]], [1.0, 3.0]
    >>> found = estimate_noise_scale(*problem, batch_sizes=(1, 16), n_batches=4000, rng=0)
    >>> abs(found - 0.25) < 0.05
    True
    """
    objective, theta, data = open_problem(objective, theta, X, y)
    small, large = validation.check_two_sizes("batch_sizes", batch_sizes)
    n_batches = validation.check_count("n_batches", n_batches)
    rng = validation.check_rng(rng)
    mean_small, mean_large = (
        _mean_squared_norm(objective, theta, data, size, n_batches, rng) for size in (small, large)
    )
    signal = (large * mean_large - small * mean_small) / (large - small)
    variance = (mean_small - mean_large) / (1 / small - 1 / large)
    return max(0.0, variance) / signal if signal > 0 else float("inf")


def _mean_squared_norm(objective, theta, data, batch_size, n_batches, rng):
    """The mean of ‖∇_b‖² over batches drawn with replacement, read from the device once."""
    xp = array_namespace(theta)
    total = 0.0
    for batch in draw_rows(len(data), batch_size, n_batches, rng, data.X):
        gradient = data.mean(objective.gradient, theta, batch)
        total = total + xp.sum(gradient * gradient)
    return float(to_host(total)) / n_batches


def _find_moments(objective, theta, X, y):
    """tr Σ as a float, and ∇J, flat, on the host: without an (n, d) array where the model allows.

    All in double precision, and without the ridge term, which shifts every gradient alike.
    """
    objective, theta, data = open_problem(objective, theta, X, y, look=False)
    theta = double(theta)
    bare = objective.without_ridge()
    with np.errstate(over="ignore", invalid="ignore"):
        sums = to_host(data.mean(Moments(bare), theta))
        norms, gradient = float(sums[0]), sums[1:]
        variance = norms - float(gradient @ gradient)
        if not np.isfinite(variance):
            own(X, y)  # reads the values, and names what is not finite
        if not variance > 1e-8 * norms:  # half of the digits are lost in the difference
            variance = _find_spread(bare, theta, data, gradient)
    return variance, gradient + objective.l2 * to_host(theta).reshape(-1)


class Moments(NamedTuple):
    """A function to average: ‖∇L_i‖² and ∇L_i in one array, in double precision."""

    objective: Objective

    def __call__(self, theta, X, y):
        X, y = double(X), double(y)
        norms = self.objective.squared_gradient_norms(theta, X, y)
        mean = array_namespace(norms).mean(norms)
        return join(mean, self.objective.gradient(theta, X, y))


def _find_spread(objective, theta, data, gradient):
    """The mean of ‖∇L_i − ∇J‖², gradient by gradient."""
    xp = array_namespace(theta)
    centre = xp.reshape(asarray(gradient, like=theta), theta.shape)
    spread = data.mean(partial(_spread, objective), xp.stack([theta, centre]), width=theta.size)
    return float(to_host(spread))


def _spread(objective, both, X, y):
    theta, centre = both[0, ...], both[1, ...]
    each = objective.per_sample_gradients(theta, double(X), double(y))
    xp = array_namespace(each)
    return xp.sum((each - centre) ** 2) / X.shape[0]

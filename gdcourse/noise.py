"""The noise of a gradient estimate, measured and predicted."""

import numpy as np

from gdcourse import validation
from gdcourse.backend import array_namespace, rows, to_host
from gdcourse.sampling import Epoch

__all__ = [
    "batch_gradient_variance",
    "estimate_noise_scale",
    "gradient_variance",
    "noise_scale",
]


def gradient_variance(objective, theta, X, y):
    """tr Σ = (1/n) Σ_i ‖∇L_i(θ) − ∇J(θ)‖²: the variance of the gradient of one random row.

    Parameters
    ----------
    objective : Objective
    theta : array
    X : (n, d) array
    y : (n,) array

    Returns
    -------
    float
        The trace of the covariance of the n per-sample gradients (divided by n).

    Examples
    --------
    >>> from gdcourse import LeastSquares
    >>> gradient_variance(LeastSquares(), [2.0], [[1.0], [1.0]], [1.0, 3.0])
    1.0
    """
    return _moments(objective, theta, X, y)[0]


def batch_gradient_variance(variance, batch_size, n_samples=None):
    """The variance of a mini-batch gradient: σ²/b, or σ²/b·(n − b)/(n − 1) without replacement.

    Parameters
    ----------
    variance : float
        σ², the variance of the gradient of one random row, divided by n.
    batch_size : int
    n_samples : int, optional
        The number of rows, where the batch is drawn without replacement. The
        finite-population factor (n − b)/(n − 1) is zero at b = n.

    Examples
    --------
    >>> batch_gradient_variance(8.0, 4)
    2.0
    >>> batch_gradient_variance(8.0, 4, n_samples=4)
    0.0
    """
    variance = validation.non_negative("variance", variance)
    batch_size = validation.count("batch_size", batch_size)
    if n_samples is None:
        return variance / batch_size
    n_samples = validation.count("n_samples", n_samples, minimum=batch_size)
    return variance / batch_size * (n_samples - batch_size) / max(1, n_samples - 1)


def noise_scale(objective, theta, X, y):
    """tr Σ/‖∇J‖²: the batch size at which noise and signal of the gradient are of one size.

    Parameters
    ----------
    objective : Objective
    theta : array
    X : (n, d) array
    y : (n,) array

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
    >>> noise_scale(LeastSquares(), [1.0], [[1.0], [1.0]], [1.0, 3.0])
    1.0
    """
    variance, gradient = _moments(objective, theta, X, y)
    signal = float(np.sum(to_host(gradient) ** 2))
    return variance / signal if signal > 0 else float("inf")


def estimate_noise_scale(objective, theta, X, y, *, batch_sizes, n_batches, rng=None):
    """The noise scale from batches alone, as one measures it where n is too large to read.

    E‖∇_b‖² = ‖∇J‖² + tr Σ/b for batches drawn with replacement. Two batch sizes therefore give
    unbiased estimates of ‖∇J‖² and of tr Σ, whose ratio is returned.

    Parameters
    ----------
    objective : Objective
    theta : array
    X : (n, d) array
    y : (n,) array
    batch_sizes : pair of int
        A small one and a large one.
    n_batches : int
        Batches drawn of each size.
    rng : numpy.random.Generator, seed or None

    Returns
    -------
    float
        In samples; infinite where the estimate of ‖∇J‖² is not positive.

    References
    ----------
    S. McCandlish, J. Kaplan and D. Amodei (2018), arXiv:1812.06162, appendix A.1.
    """
    theta, X, y = validation.problem(objective, theta, X, y)
    try:
        small, large = (validation.count("batch_sizes", size) for size in batch_sizes)
    except (TypeError, ValueError) as error:
        raise type(error)(f"batch_sizes must be two whole numbers, got {batch_sizes!r}") from error
    if small >= large:
        raise ValueError(f"batch_sizes must be a smaller and a larger one, got {batch_sizes!r}")
    n_batches = validation.count("n_batches", n_batches)
    rng = np.random.default_rng(rng)
    mean_small, mean_large = (
        _mean_squared_norm(objective, theta, X, y, size, n_batches, rng) for size in (small, large)
    )
    signal = (large * mean_large - small * mean_small) / (large - small)
    variance = (mean_small - mean_large) / (1 / small - 1 / large)
    return max(0.0, variance) / signal if signal > 0 else float("inf")


def _mean_squared_norm(objective, theta, X, y, batch_size, n_batches, rng):
    """The mean of ‖∇_b‖² over batches drawn with replacement, read from the device once."""
    xp = array_namespace(theta)
    bounds = batch_size * np.arange(n_batches + 1)
    total = 0.0
    for batch in Epoch(rng.integers(X.shape[0], size=bounds[-1]), bounds).to(X):
        gradient = objective.gradient(theta, rows(X, batch), rows(y, batch))
        total = total + xp.sum(gradient * gradient)
    return float(to_host(total)) / n_batches


def _moments(objective, theta, X, y):
    """tr Σ as a float, and ∇J: one pass in blocks, without an (n, d) array where the model allows."""
    theta, X, y = validation.problem(objective, theta, X, y)
    xp = array_namespace(theta)
    gradient = objective.gradient(theta, X, y)
    fast = hasattr(objective, "squared_gradient_norms")
    # The ridge term shifts every gradient alike, so the fast way leaves it out on both sides.
    centre = gradient - objective.l2 * theta if fast else gradient
    n = X.shape[0]
    block = max(1, 2**18 // max(X.shape[1], theta.size))
    total = 0.0
    for start in range(0, n, block):
        X_block, y_block = X[start : start + block, ...], y[start : start + block]
        if fast:
            norms = objective.squared_gradient_norms(theta, X_block, y_block)
            total = total + xp.sum(norms) - norms.shape[0] * xp.sum(centre * centre)
        else:
            deviations = objective.per_sample_gradients(theta, X_block, y_block) - centre
            total = total + xp.sum(deviations * deviations)
    return max(0.0, float(to_host(total)) / n), gradient

"""The noise of a gradient estimate, measured and predicted."""

from functools import partial
from typing import NamedTuple

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import array_namespace, asarray, double, is_array_api_obj, to_host
from gdcourse.objectives import Objective
from gdcourse.rows import join, open_problem, own
from gdcourse.sampling import draw_rows

__all__ = [
    "batch_gradient_variance",
    "estimate_noise_scale",
    "gradient_variance",
    "noise_floor",
    "noise_scale",
    "stability_limit",
    "stationary_covariance",
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
    return _find_moments(objective, theta, X, y)[0]


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

    Returns
    -------
    float
        E‖∇_b − ∇J‖², a squared gradient.

    References
    ----------
    K. Mishchenko, A. Khaled and P. Richtárik (2020), arXiv:2006.05988, lemma 1.

    Examples
    --------
    >>> batch_gradient_variance(8.0, 4)
    2.0
    >>> batch_gradient_variance(8.0, 4, n_samples=4)
    0.0
    """
    variance = validation.check_non_negative("variance", variance)
    batch_size = validation.check_count("batch_size", batch_size)
    if n_samples is None:
        return variance / batch_size
    n_samples = validation.check_count("n_samples", n_samples, minimum=batch_size)
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
    variance, gradient = _find_moments(objective, theta, X, y)
    signal = float(gradient @ gradient)
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
    objective, theta, data = open_problem(objective, theta, X, y)
    try:
        small, large = (validation.check_count("batch_sizes", size) for size in batch_sizes)
    except (TypeError, ValueError) as error:
        raise type(error)(f"batch_sizes must be two whole numbers, got {batch_sizes!r}") from error
    if small >= large:
        raise ValueError(f"batch_sizes must be a smaller and a larger one, got {batch_sizes!r}")
    n_batches = validation.check_count("n_batches", n_batches)
    rng = np.random.default_rng(rng)
    mean_small, mean_large = (
        _mean_squared_norm(objective, theta, data, size, n_batches, rng) for size in (small, large)
    )
    signal = (large * mean_large - small * mean_small) / (large - small)
    variance = (mean_small - mean_large) / (1 / small - 1 / large)
    return max(0.0, variance) / signal if signal > 0 else float("inf")


def stationary_covariance(X, y, learning_rate, batch_size=1, *, l2=0.0, exact=True):
    """The covariance C that θ settles to under a constant learning rate, for least squares.

    With batches drawn with replacement, C = E[(I − αH_B) C (I − αH_B)ᵀ] + α²S/b, where H_B is
    the Hessian of a batch and S the covariance of the per-sample gradients at the minimiser.
    The noise has two parts: S, which is there at the minimiser too, and one that grows with
    the distance from it. Small rates leave only HC + CH = αS/b.

    Parameters
    ----------
    X : (n, d) array
    y : (n,) array
    learning_rate : float
        The constant α.
    batch_size : int
    l2 : float
        Weight of the ridge term of the objective.
    exact : bool
        Whether to solve the first equation; otherwise the second, its limit for small α.

    Returns
    -------
    (d, d) NumPy array

    Raises
    ------
    ValueError
        Where `learning_rate` is not below `stability_limit`, so that the covariance grows for
        ever, or where H has an eigenvalue of zero, so that there is no single minimiser.

    Notes
    -----
    In the eigenbasis of H the equation is a diagonal matrix less a Gram matrix, of
    d(d + 1)/2 rows: O(d⁴) memory, O(nd⁴ + d⁶) operations. Batches drawn without replacement
    have a smaller covariance.

    References
    ----------
    S. Mandt, M. D. Hoffman and D. M. Blei (2017), arXiv:1704.04289, for small α; A. Dieuleveut,
    A. Durmus and F. Bach (2020), doi:10.1214/19-AOS1850, for both.

    Examples
    --------
    One feature that is always 1, so θ estimates the mean of y: C = α·Var(y)/(b·(2 − α)).

    >>> stationary_covariance([[1.0], [1.0]], [1.0, 3.0], 0.5).round(4).tolist()
    [[0.3333]]
    """
    _, basis, C = _find_covariance(X, y, learning_rate, batch_size, l2, exact)
    return basis @ C @ basis.T


def noise_floor(X, y, learning_rate, batch_size=1, *, l2=0.0, exact=True):
    """The excess loss E[J(θ)] − J(θ*) = ½·tr(HC) at which a constant learning rate ends.

    C is the `stationary_covariance`; see there for errors. To first order the floor is
    α·tr S/(4b), whatever H is.

    Parameters
    ----------
    X, y, learning_rate, batch_size, l2, exact
        As in `stationary_covariance`.

    Returns
    -------
    float
        In the unit of the loss.

    References
    ----------
    A. Dieuleveut, A. Durmus and F. Bach (2020), doi:10.1214/19-AOS1850.

    Examples
    --------
    >>> round(noise_floor([[1.0], [1.0]], [1.0, 3.0], 0.5), 4)
    0.1667
    """
    h, _, C = _find_covariance(X, y, learning_rate, batch_size, l2, exact)
    return 0.5 * float(h @ np.diag(C))


def stability_limit(X, batch_size=1, *, l2=0.0):
    """The learning rate at which E‖θ − θ*‖² stops settling, for least squares.

    Below it the mean of the squared error converges to that of `stationary_covariance`, from
    it on it grows without bound. It rises with the batch size b towards the 2/L of the full
    batch, where L is the largest eigenvalue of H; at b = 1 and without a ridge term it lies
    between 2/max‖x_i‖² and 2/mean‖x_i‖².

    References
    ----------
    A. Dieuleveut, A. Durmus and F. Bach (2020), doi:10.1214/19-AOS1850.

    Parameters
    ----------
    X : (n, d) array
    batch_size : int
        Rows in a batch, drawn with replacement.
    l2 : float
        Weight of the ridge term of the objective.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Where H has an eigenvalue of zero.

    Examples
    --------
    One feature: the limit is 2h/E[x⁴], with h = E[x²] = 5 and E[x⁴] = 41.

    >>> round(stability_limit([[1.0], [3.0]]), 4), round(2 * 5 / 41, 4)
    (0.2439, 0.2439)
    """
    batch_size = validation.check_count("batch_size", batch_size)
    l2 = validation.check_non_negative("l2", l2)
    X = X if hasattr(X, "shape") else np.asarray(X)
    y = np.zeros(X.shape[:1])
    data = own(X, asarray(y, like=X) if is_array_api_obj(X) else y)
    h, basis = _find_curvature(data, l2)
    return _find_limit(*_find_operators(data, h, basis, batch_size, l2))


def _find_covariance(X, y, learning_rate, batch_size, l2, exact):
    """The eigenvalues and eigenvectors of H, and C in the basis of these."""
    learning_rate = validation.check_positive("learning_rate", learning_rate)
    batch_size = validation.check_count("batch_size", batch_size)
    l2 = validation.check_non_negative("l2", l2)
    data = own(X, y)
    h, basis = _find_curvature(data, l2)
    minimiser = _mean_on_host(data, lambda X, y: (X @ basis).T @ y / len(y)) / h

    def second_moment(X, y):
        Z = X @ basis
        gradients = Z * (Z @ minimiser - y)[:, None] + l2 * minimiser
        return gradients.T @ gradients / len(y)

    S = _mean_on_host(data, second_moment)
    if not exact:
        return h, basis, learning_rate / batch_size * S / (h[:, None] + h)
    damping, coupling = _find_operators(data, h, basis, batch_size, l2)
    limit = _find_limit(damping, coupling)
    if learning_rate >= limit:
        raise ValueError(
            f"learning_rate must be below {limit:.4g} for batches of {batch_size}, "
            f"got {learning_rate:.4g}: lower it or raise batch_size"
        )
    i, j, weights = _list_pairs(len(h))
    entries = np.linalg.solve(
        np.diag(damping) - learning_rate * coupling,
        learning_rate / batch_size * weights * S[i, j],
    )
    C = np.empty_like(S)
    C[i, j] = C[j, i] = entries / weights
    return h, basis, C


def _mean_on_host(data, function, width=1):
    """The mean over all rows of `function(X, y)`, in double precision on the host."""
    return data.mean(partial(_call_on_host, function), None, width=width)


def _call_on_host(function, _, X, y):
    return function(to_host(X).astype(float), to_host(y).astype(float))


def _find_curvature(data, l2):
    """The eigenvalues of H = XᵀX/n + l2·I, all positive, and its eigenvectors."""
    h, basis = np.linalg.eigh(_mean_on_host(data, lambda X, y: X.T @ X / len(X)))
    h = h + l2
    if h[0] <= len(h) * np.finfo(float).eps * h[-1]:
        raise ValueError(
            f"X must have {len(h)} independent columns, as otherwise there is no single "
            "minimiser: drop some columns or set l2 > 0"
        )
    return h, basis


def _list_pairs(d):
    """The upper triangle of a symmetric matrix, and the weights that make its norm Euclidean."""
    i, j = np.triu_indices(d)
    return i, j, np.where(i == j, 1.0, 2**0.5)


def _find_operators(data, h, basis, batch_size, l2):
    """C ↦ HC + CH, as a diagonal, and C ↦ E[H_B C H_B], as a matrix, on weighted triangles."""
    i, j, weights = _list_pairs(len(h))

    def fourth_moment(X, _):
        Z = X @ basis
        products = Z[:, i] * Z[:, j] * weights
        return products.T @ products / len(Z)

    coupling = _mean_on_host(data, fourth_moment, width=len(i)) / batch_size
    coupling[np.diag_indices(len(i))] += h[i] * h[j] - (h[i] - l2) * (h[j] - l2) / batch_size
    return h[i] + h[j], coupling


def _find_limit(damping, coupling):
    """The α at which HC + CH − α·E[H_B C H_B] stops being positive definite."""
    scale = damping**-0.5
    return float(1 / np.linalg.eigvalsh(scale[:, None] * coupling * scale)[-1])


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
        if not variance > 1e-8 * norms:  # half of the digits are lost in the difference
            variance = _find_spread(bare, theta, data, gradient)
    if not np.isfinite(variance):
        own(X, y)  # reads the values, and names what is not finite
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

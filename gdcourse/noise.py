"""The noise of a gradient estimate, measured and predicted."""

import numpy as np

from gdcourse import sweeps, validation
from gdcourse.backend import (
    array_namespace,
    asarray,
    block_rows,
    blocks,
    is_array_api_obj,
    rows,
    to_host,
)
from gdcourse.sampling import Epoch

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
    X, y, learning_rate, batch_size, l2 = _least_squares(X, y, learning_rate, batch_size, l2)
    h, basis = _curvature(X, l2)
    Z = X @ basis
    minimiser = (Z.T @ y / len(y)) / h
    gradients = Z * (Z @ minimiser - y)[:, None] + l2 * minimiser
    S = gradients.T @ gradients / len(y)
    if exact:
        limit = _limit(Z, h, batch_size, l2)
        if learning_rate >= limit:
            raise ValueError(
                f"learning_rate must be below {limit:.4g} for batches of {batch_size}, "
                f"got {learning_rate:.4g}: lower it or raise batch_size"
            )
        i, j, weights = _triangle(len(h))
        damping, coupling = _operators(Z, h, batch_size, l2)
        entries = np.linalg.solve(
            np.diag(damping) - learning_rate * coupling,
            learning_rate / batch_size * weights * S[i, j],
        )
        C = np.empty_like(S)
        C[i, j] = C[j, i] = entries / weights
    else:
        C = learning_rate / batch_size * S / (h[:, None] + h)
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
    C = stationary_covariance(X, y, learning_rate, batch_size, l2=l2, exact=exact)
    X = to_host(validation.data(X, y)[0])
    return 0.5 * float(np.sum((X @ C) * X) / len(X) + l2 * np.trace(C))


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
    X = X if is_array_api_obj(X) else np.asarray(X)
    y = asarray(np.zeros(X.shape[:1]), like=X)
    X, _, _, batch_size, l2 = _least_squares(X, y, 1.0, batch_size, l2)
    h, basis = _curvature(X, l2)
    return _limit(X @ basis, h, batch_size, l2)


def _least_squares(X, y, learning_rate, batch_size, l2):
    """The arguments of a least-squares prediction, checked, the arrays on the host."""
    X, y = (to_host(array).astype(float) for array in validation.data(X, y))
    learning_rate = validation.positive("learning_rate", learning_rate)
    batch_size = validation.count("batch_size", batch_size)
    return X, y, learning_rate, batch_size, validation.non_negative("l2", l2)


def _curvature(X, l2):
    """The eigenvalues of H = XᵀX/n + l2·I, all positive, and its eigenvectors."""
    h, basis = np.linalg.eigh(X.T @ X / len(X))
    h = h + l2
    if h[0] <= len(h) * np.finfo(float).eps * h[-1]:
        raise ValueError(
            f"X must have {len(h)} independent columns, as otherwise there is no single "
            "minimiser: drop some columns or set l2 > 0"
        )
    return h, basis


def _triangle(d):
    """The upper triangle of a symmetric matrix, and the weights that make its norm Euclidean."""
    i, j = np.triu_indices(d)
    return i, j, np.where(i == j, 1.0, 2**0.5)


def _operators(Z, h, batch_size, l2):
    """C ↦ HC + CH, as a diagonal, and C ↦ E[H_B C H_B], as a matrix, on weighted triangles."""
    i, j, weights = _triangle(len(h))
    coupling = np.zeros((len(i), len(i)))
    for part in blocks(len(Z), max(256, 2**18 // len(i))):
        products = Z[part, i] * Z[part, j] * weights
        coupling += products.T @ products
    coupling /= len(Z) * batch_size
    coupling[np.diag_indices(len(i))] += h[i] * h[j] - (h[i] - l2) * (h[j] - l2) / batch_size
    return h[i] + h[j], coupling


def _limit(Z, h, batch_size, l2):
    """The α at which HC + CH − α·E[H_B C H_B] stops being positive definite."""
    damping, coupling = _operators(Z, h, batch_size, l2)
    scale = damping**-0.5
    return float(1 / np.linalg.eigvalsh(scale[:, None] * coupling * scale)[-1])


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
    """tr Σ as a float, and ∇J: in blocks, without an (n, d) array where the model allows."""
    theta, X, y = validation.problem(objective, theta, X, y, look=False)
    n = X.shape[0]
    at = _double(theta)
    with np.errstate(over="ignore", invalid="ignore"):
        if _knows_its_norms(type(objective)):
            # The ridge term shifts every gradient alike, so it is left out of the variance.
            ridge = getattr(objective, "l2", 0.0)
            sums = sweeps.gradient_sums(X, y, theta, objective) or _sums(X, y, at, objective, ridge)
            norms, gradient = float(to_host(sums[0])) / n, sums[1] / n
            variance = norms - float(np.sum(to_host(gradient) ** 2))
            gradient = gradient + ridge * at
            if not variance > 1e-8 * norms:  # half of the digits are lost in the difference
                variance = _spread(X, y, at, objective, gradient)
        else:
            gradient = objective.gradient(at, X, y)
            variance = _spread(X, y, at, objective, gradient)
    if not np.isfinite(variance):
        validation.finite(X=X, y=y)
    return variance, gradient


def _knows_its_norms(kind):
    """Whether the squared norms of a class are those of its own gradient, and not a parent's."""
    names = {"gradient", "per_sample_gradients", "squared_gradient_norms"}
    definer = next((base for base in kind.__mro__ if names & vars(base).keys()), object)
    return "squared_gradient_norms" in vars(definer)


def _double(array):
    """An array in double precision at least: squares need twice the digits."""
    xp = array_namespace(array)
    return xp.astype(array, xp.result_type(array.dtype, xp.float64), copy=False)


def _sums(X, y, theta, objective, ridge):
    """Σ ‖∇L_i‖² and Σ ∇L_i without the ridge term, from rows that are read once."""
    xp = array_namespace(theta)
    norms, gradient = 0.0, 0.0
    for part in blocks(X.shape[0], block_rows(X)):
        X_block, y_block = _double(rows(X, part)), _double(rows(y, part))
        norms = norms + xp.sum(objective.squared_gradient_norms(theta, X_block, y_block))
        mean = objective.gradient(theta, X_block, y_block) - ridge * theta
        gradient = gradient + X_block.shape[0] * mean
    return norms, gradient


def _spread(X, y, theta, objective, gradient):
    """The mean of ‖∇L_i − ∇J‖², gradient by gradient."""
    xp = array_namespace(theta)
    total = 0.0
    for part in blocks(X.shape[0], max(1, 2**18 // theta.size)):
        X_block, y_block = _double(rows(X, part)), _double(rows(y, part))
        each = objective.per_sample_gradients(theta, X_block, y_block)
        total = total + xp.sum((each - gradient) ** 2)
    return float(to_host(total)) / X.shape[0]

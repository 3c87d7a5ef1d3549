"""What theory says of least squares under a constant rate: where SGD settles, where it diverges."""

from functools import partial

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import asarray, is_array_api_obj, to_host
from gdcourse.rows import own


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
    X = X if hasattr(type(X), "owner") else validation.as_array("X", X)
    y = getattr(getattr(X, "owner", None), "y", None)  # of rows on workers, which go by pairs
    if y is None:
        y = np.zeros(X.shape[:1])
        y = asarray(y, like=X) if is_array_api_obj(X) else y
    data = own(X, y)
    h, basis = _find_curvature(data, l2)
    return _find_limit(*_find_operators(data, h, basis, batch_size, l2))


def _find_covariance(X, y, learning_rate, batch_size, l2, exact):
    """The eigenvalues and eigenvectors of H, and C in the basis of these."""
    learning_rate = validation.check_positive("learning_rate", learning_rate)
    batch_size = validation.check_count("batch_size", batch_size)
    l2 = validation.check_non_negative("l2", l2)
    exact = validation.check_flag("exact", exact)
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

"""What theory says: where SGD on least squares settles and diverges, what a batch estimates."""

from functools import partial
from typing import NamedTuple

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import asarray, is_array_api_obj, to_host
from gdcourse.base.docs import parameters_of
from gdcourse.rows import own

__all__ = [
    "OrderFloors",
    "local_sgd_fixed_point",
    "momentum_floor",
    "momentum_losses",
    "momentum_radius",
    "noise_floor",
    "order_floors",
    "stability_limit",
    "stationary_covariance",
    "variance_of_variance",
]


def stationary_covariance(X, y, learning_rate, batch_size=1, *, l2=0.0, exact=True):
    """The covariance C that θ settles to under a constant learning rate, for least squares.

    With batches drawn with replacement, C = E[(I − αH_B) C (I − αH_B)ᵀ] + α²S/b, where H_B is
    the Hessian of a batch and S the covariance of the per-sample gradients at the minimiser.
    The noise has two parts: S, which is there at the minimiser too, and one that grows with
    the distance from it. Small rates leave only HC + CH = αS/b.

    Parameters
    ----------
    X : (n, d) array
        Features, one sample a row.
    y : (n,) array
        Targets, one for each row of X.
    learning_rate : float
        The constant α.
    batch_size : int
        b, rows in a batch, drawn with replacement.
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


@parameters_of(stationary_covariance)
def noise_floor(X, y, learning_rate, batch_size=1, *, l2=0.0, exact=True):
    """The excess loss E[J(θ)] − J(θ*) = ½·tr(HC) at which a constant learning rate ends.

    C is the `stationary_covariance`; see there for errors. To first order the floor is
    α·tr S/(4b), whatever H is.

    Parameters
    ----------
    exact : bool
        Whether to solve for any α; otherwise for small α only.

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


class OrderFloors(NamedTuple):
    """What `order_floors` finds; each floor is shaped like the learning rate.

    Attributes
    ----------
    in_order, with_replacement, shuffled_once, shuffled : (m,) array
        E‖θ − θ*‖² at the ends of epochs, for four orders of the rows.
    bend : float
        The learning rate at which the two terms of `shuffled` are equal.
    """

    in_order: np.ndarray
    with_replacement: np.ndarray
    shuffled_once: np.ndarray
    shuffled: np.ndarray
    bend: float


@parameters_of(stationary_covariance)
def order_floors(X, y, learning_rate, *, n_orders=5000, rng=1):
    """Where single-row steps on least squares end, to leading order in α, by the order of rows.

    An epoch that uses each row once, in the order π, moves θ* by α²u_π, with the drift
    u_π = Σ_{j<k} H_π(k) g_π(j). A fixed order settles at α(nH)⁻¹u_π. Fresh orders leave the mean
    drift ū = −½ Σ H_i g_i and a random walk: α²‖(nH)⁻¹ū‖² + α³/2n·tr(H⁻¹ Cov u). Drawn with
    replacement, the floor is α/2·tr(H⁻¹S), with S the covariance of the g_i.

    Parameters
    ----------
    learning_rate : float or (m,) array
        The constant α, or several.
    n_orders : int
        Random orders from which the moments of u are estimated.
    rng : numpy.random.Generator, seed or None
        Draws them.

    Returns
    -------
    OrderFloors

    References
    ----------
    I. Safran and O. Shamir (2020), arXiv:1908.00045, for the rates.

    Examples
    --------
    >>> floors = order_floors([[1.0], [1.0]], [1.0, 3.0], 0.01)
    >>> round(float(floors.with_replacement), 6), round(float(floors.in_order), 8)
    (0.005, 2.5e-05)
    """
    X, y, alpha = (np.asarray(a, dtype=float) for a in (X, y, learning_rate))
    n = len(X)
    g = X * (X @ np.linalg.lstsq(X, y, rcond=None)[0] - y)[:, None]
    orders = np.tile(np.arange(n), (n_orders + 1, 1))
    orders[1:] = np.random.default_rng(rng).permuted(orders[1:], axis=1)
    earlier = np.cumsum(g[orders], axis=1) - g[orders]  # the pulls before a row
    along = np.sum(X[orders] * earlier, axis=2, keepdims=True)
    in_order, *drifts = np.sum(X[orders] * along, axis=1)
    mean_drift = -0.5 * np.sum(X * np.sum(X * g, axis=1, keepdims=True), axis=0)
    back = np.linalg.inv(X.T @ X)  # (nH)⁻¹
    square = np.sum((back @ mean_drift) ** 2)
    cube = np.trace(back @ np.atleast_2d(np.cov(drifts, rowvar=False))) / 2
    return OrderFloors(
        alpha**2 * np.sum((back @ in_order) ** 2),
        alpha / 2 * np.trace(back @ g.T @ g),
        alpha**2 * np.mean(np.sum((drifts @ back) ** 2, axis=1)),
        alpha**2 * square + alpha**3 * cube,
        float(square / cube),
    )


@parameters_of(stationary_covariance)
def stability_limit(X, batch_size=1, *, l2=0.0):
    """The learning rate at which E‖θ − θ*‖² stops settling, for least squares.

    Below it the mean of the squared error converges to that of `stationary_covariance`, from
    it on it grows without bound. It rises with the batch size b towards the 2/L of the full
    batch, where L is the largest eigenvalue of H; at b = 1 and without a ridge term it lies
    between 2/max‖x_i‖² and 2/mean‖x_i‖².

    References
    ----------
    A. Dieuleveut, A. Durmus and F. Bach (2020), doi:10.1214/19-AOS1850.

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


def local_sgd_fixed_point(shards, n_local, learning_rate):
    """Where local SGD with exact gradients stands still on least squares, its client drift and all.

    H local steps on shard k bring θ to θ + A_k(θ*_k − θ), with A_k = I − (I − αH_k)^H and the
    shard's own minimiser θ*_k. The mean over shards stands still at (Σ A_k)⁻¹ Σ A_k θ*_k.

    Parameters
    ----------
    shards : sequence of (X, y) pairs
        With equally many rows.
    n_local : int
        H, the local steps between two averages.
    learning_rate : float
        The constant α.

    Returns
    -------
    (d,) NumPy array

    Examples
    --------
    Two single rows: one step each ends on the common minimiser 1.8, many on the mean of 1 and 2.

    >>> shards = [([[1.0]], [1.0]), ([[2.0]], [4.0])]
    >>> [local_sgd_fixed_point(shards, H, 0.1).round(3).tolist() for H in (1, 10_000)]
    [[1.8], [1.5]]
    """
    left, right = 0.0, 0.0
    for X, y in shards:
        X, H, _, own = _moments(X, y)
        step = np.eye(len(H)) - learning_rate * H
        A = np.eye(len(H)) - np.linalg.matrix_power(step, n_local)
        left, right = left + A, right + A @ own
    return np.linalg.solve(left, right)


@np.errstate(over="ignore", invalid="ignore")
@parameters_of(stationary_covariance)
def momentum_floor(X, y, learning_rate, momentum, batch_size=1):
    """The excess loss at which noisy momentum with constant α and β ends, for least squares.

    As `noise_floor`, of the pair of error and velocity: their covariance solves a discrete
    Lyapunov equation whose noise grows with the error, so it is solved until it stands still.

    Parameters
    ----------
    learning_rate : float
        α, below the limit at which the covariance grows for ever.
    momentum : float
        β, below 1.

    Returns
    -------
    float
        In the unit of the loss.

    Raises
    ------
    ValueError
        Where the covariance has not settled in 10,000 rounds.

    References
    ----------
    S. Mandt, M. D. Hoffman and D. M. Blei (2017), arXiv:1704.04289, for small α.

    Examples
    --------
    >>> round(momentum_floor([[1.0], [1.0]], [1.0, 3.0], 0.5, 0.0), 4)
    0.1667
    """
    from scipy.linalg import solve_discrete_lyapunov

    X, H, S, _ = _moments(X, y)
    identity = np.eye(len(H))
    rolls = momentum * identity
    A = np.block([[identity - learning_rate * H, rolls], [-learning_rate * H, rolls]])
    C = np.zeros_like(H)
    for _ in range(10_000):
        x_C_x = np.sum((X @ C) * X, axis=1)
        second = X.T @ (x_C_x[:, None] * X) / len(X)
        Q = (S + second - H @ C @ H) / batch_size
        if not np.all(np.isfinite(Q)):
            break
        P = solve_discrete_lyapunov(A, learning_rate**2 * np.tile(Q, (2, 2)))
        before, C = C, P[: len(H), : len(H)]
        if np.linalg.norm(C - before) <= 1e-12 * np.linalg.norm(C) < np.inf:
            return float(0.5 * np.trace(H @ C))
    raise ValueError(
        f"learning_rate must be low enough for the covariance to settle, got {learning_rate}"
    )


@np.errstate(over="ignore", invalid="ignore")  # for pairs that diverge
@parameters_of(stationary_covariance)
def momentum_losses(
    X, y, theta_init, batch_size, learning_rate, momentum, *, target=0.0, n_steps=20_000
):
    """The mean excess loss of noisy momentum after every step, for many pairs of α and β.

    A recursion of the second moments of error and velocity, for least squares and batches drawn
    with replacement. It is exact where the residuals r at the minimiser have no third moments
    E[r·x·xxᵀ], as noise that does not depend on X has none; its end is always exact.

    Parameters
    ----------
    theta_init : (d,) array
        Where the runs start.
    learning_rate, momentum : float or (k,) array
        Pair by pair.
    target : float
        The recursion ends where the first pair has an excess loss below it.
    n_steps : int
        Steps at the most.

    Returns
    -------
    (steps, k) array
        From the start on; NaN or infinity where a pair diverges.

    Examples
    --------
    >>> losses = momentum_losses([[1.0], [1.0]], [1.0, 3.0], [0.0], 1, 0.5, 0.0, n_steps=1)
    >>> losses.ravel().round(6).tolist()
    [2.0, 0.625]
    """
    X, H, S, best = _moments(X, y)
    h, basis = np.linalg.eigh(H)
    X, h = X @ basis, h[:, None, None]  # axes of C: error, error, pairs
    products = (X[:, :, None] * X[:, None, :]).reshape(len(X), -1)
    fourth = products.T @ products / len(X)
    S, e = (basis.T @ S @ basis)[:, :, None], (theta_init - best) @ basis
    C = np.outer(e, e)[:, :, None] * np.ones(np.size(learning_rate))
    EV, VV, losses = 0 * C, 0 * C, []  # E[error velocity'] and E[velocity velocity']
    alpha, beta = learning_rate, momentum
    for _ in range(n_steps + 1):
        losses.append(0.5 * np.einsum("iik,i->k", C, h[:, 0, 0]))
        if np.nanmin(losses[-1]) < target:
            break
        HC, HEV = h * C, h * EV
        HCH = HC * h.swapaxes(0, 1)
        second = fourth @ C.reshape(len(fourth), -1)
        Q = (S + second.reshape(C.shape) - HCH) / batch_size
        both = HEV + HEV.swapaxes(0, 1)
        VV = beta**2 * VV - alpha * beta * both + alpha**2 * (HCH + Q)
        EV = beta * EV - alpha * HC.swapaxes(0, 1)  # old error, new velocity
        C = C + EV + EV.swapaxes(0, 1) + VV
        C = (C + C.swapaxes(0, 1)) / 2  # or rounding grows
        EV = EV + VV
    return np.array(losses)


def _moments(X, y):
    """X, H, the covariance of the per-sample gradients at the minimiser, and the minimiser."""
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    g = X * (X @ best - y)[:, None]
    return X, X.T @ X / len(X), g.T @ g / len(X), best


def variance_of_variance(x, batch_size, replace):
    """The variance of the unbiased variance of b values, drawn from the values x.

    With replacement it is (m₄ − m₂²·(b − 3)/(b − 1))/b, with the central moments m of x. Without,
    it is K₄(1/b − 1/n) + 2K₂₂(1/(b − 1) − 1/(n − 1)), with K₄ the fourth polykay and K₂₂ that of
    two pairs.

    Parameters
    ----------
    x : (n,) array
        Four values or more.
    batch_size : int
        b, two or more, and n at the most without replacement.
    replace : bool
        Whether values are drawn with replacement.

    Returns
    -------
    float
        In the fourth power of the unit of x.

    References
    ----------
    E. Di Nardo, G. Guarino and D. Senato (2008), arXiv:math/0607623.

    Examples
    --------
    >>> variance_of_variance([0.0, 0.0, 1.0, 1.0], 2, replace=True)
    0.0625
    """
    x = np.asarray(x, dtype=float)
    n = len(x)
    b = validation.check_count("batch_size", batch_size, minimum=2)
    m2, m4 = x.var(), np.mean((x - x.mean()) ** 4)
    if replace:
        return float((m4 - (b - 3) / (b - 1) * m2**2) / b)
    K2 = n / (n - 1) * m2
    K4 = n**2 * ((n + 1) * m4 - 3 * (n - 1) * m2**2) / ((n - 1) * (n - 2) * (n - 3))
    K22 = (n - 1) / (n + 1) * (K2**2 - K4 / n)
    return float(K4 * (1 / b - 1 / n) + 2 * K22 * (1 / (b - 1) - 1 / (n - 1)))


def momentum_radius(curvatures, learning_rate, momentum, nesterov=False):
    """The factor ρ by which exact momentum shrinks the error in a step, in the long run.

    In a direction of curvature h a step is a 2×2 matrix of this error and the last; ρ is the
    largest absolute eigenvalue of these matrices.

    Parameters
    ----------
    curvatures : (d,) array
        Eigenvalues of the Hessian.
    learning_rate, momentum : float or array
        α and β, of shapes that broadcast.
    nesterov : bool
        Whether the gradient is taken ahead, as Nesterov does.

    Returns
    -------
    NumPy array
        With the shape of α and β together; 1 or more where the pair diverges.

    Examples
    --------
    >>> float(momentum_radius([1.0, 9.0], 4 / (1 + 3) ** 2, 0.25).round(6))
    0.5
    """
    alpha, beta = (np.asarray(value, dtype=float)[..., None] for value in (learning_rate, momentum))
    factor = 1 - alpha * np.asarray(curvatures, dtype=float)
    p, q = ((1 + beta) * factor, beta * factor) if nesterov else (beta + factor, beta + 0 * factor)
    rows = np.stack([p, -q, 1 + 0 * p, 0 * p], axis=-1)
    roots = np.linalg.eigvals(rows.reshape(*p.shape, 2, 2))
    return abs(roots).max(axis=(-2, -1))

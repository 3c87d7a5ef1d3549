"""Where a constant learning rate ends: the predictions against enumeration and simulation."""

from itertools import combinations, permutations, product

import numpy as np
import pytest

import gdcourse as gd
from gdcourse.lesson import data
from gdcourse.lesson.theory import (
    local_sgd_fixed_point,
    momentum_floor,
    momentum_losses,
    order_floors,
    variance_of_variance,
)


@pytest.fixture
def problem():
    """Four rows, so that every batch can be enumerated."""
    return data.linear_problem(4, 2, noise=1.0, rng=0)[:2]


def batch_maps(X, y, learning_rate, batch_size, l2):
    """(A, r) of θ − θ* ← A (θ − θ*) − r for every batch that replacement can draw."""
    n, d = X.shape
    ridge = l2 * np.eye(d)
    minimiser = np.linalg.solve(X.T @ X / n + ridge, X.T @ y / n)
    for rows in map(list, product(range(n), repeat=batch_size)):
        hessian = X[rows].T @ X[rows] / batch_size + ridge
        gradient = gd.LeastSquares(l2).gradient(minimiser, X[rows], y[rows])
        yield np.eye(d) - learning_rate * hessian, learning_rate * gradient


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_stationary_covariance_is_kept_by_the_average_over_all_batches(problem, batch_size, l2):
    X, y = problem
    rate = 0.7 * gd.stability_limit(X, batch_size, l2=l2)
    C = gd.stationary_covariance(X, y, rate, batch_size, l2=l2)
    after = [A @ C @ A.T + np.outer(r, r) for A, r in batch_maps(X, y, rate, batch_size, l2)]
    np.testing.assert_allclose(np.mean(after, axis=0), C, rtol=1e-10)


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_stability_limit_is_where_the_second_moment_stops_shrinking(problem, batch_size, l2):
    X, y = problem
    rate = gd.stability_limit(X, batch_size, l2=l2)
    moments = [np.kron(A, A) for A, _ in batch_maps(X, y, rate, batch_size, l2)]
    radius = max(abs(np.linalg.eigvals(np.mean(moments, axis=0))))
    assert radius == pytest.approx(1, rel=1e-10)


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_one_feature_has_a_closed_form(batch_size):
    X, y, _ = data.linear_problem(30, 1, noise=0.5, rng=1)
    h, fourth = np.mean(X**2), np.mean(X**4)
    minimiser = np.mean(X[:, 0] * y) / h
    S = np.mean((X[:, 0] * (X[:, 0] * minimiser - y)) ** 2)
    second = h**2 * (1 - 1 / batch_size) + fourth / batch_size
    assert gd.stability_limit(X, batch_size) == pytest.approx(2 * h / second)
    C = gd.stationary_covariance(X, y, 0.1, batch_size)
    assert C.item() == pytest.approx(0.1 * S / batch_size / (2 * h - 0.1 * second))
    assert gd.noise_floor(X, y, 0.1, batch_size) == pytest.approx(h * C.item() / 2)


def test_first_order_solves_its_equation_and_its_floor_needs_only_the_trace():
    X, y, _ = data.linear_problem(50, 4, noise=0.5, condition=20, rng=2)
    H = X.T @ X / len(y)
    minimiser = np.linalg.solve(H, X.T @ y / len(y))
    gradients = gd.LeastSquares().per_sample_gradients(minimiser, X, y)
    S = gradients.T @ gradients / len(y)
    C = gd.stationary_covariance(X, y, 0.01, 8, exact=False)
    np.testing.assert_allclose(H @ C + C @ H, 0.01 / 8 * S, atol=1e-15)
    floor = gd.noise_floor(X, y, 0.01, 8, exact=False)
    variance = gd.gradient_variance(gd.LeastSquares(), minimiser, X, y)
    assert floor == pytest.approx(0.01 * variance / (4 * 8))


def test_exact_and_first_order_meet_at_small_rates():
    X, y, _ = data.linear_problem(50, 4, noise=0.5, condition=20, rng=2)
    ratios = [
        gd.noise_floor(X, y, rate) / gd.noise_floor(X, y, rate, exact=False)
        for rate in (1e-2, 1e-3, 1e-4)
    ]
    gaps = np.array(ratios) - 1
    np.testing.assert_allclose(gaps, gaps[0] * 10.0 ** -np.arange(3), rtol=0.1)


@pytest.mark.parametrize(("batch_size", "l2"), [(1, 0.0), (4, 0.2)])
def test_floor_is_where_runs_end(batch_size, l2):
    X, y, _ = data.linear_problem(60, 3, noise=1.0, condition=4, rng=3)
    n, d = X.shape
    rate = 0.3 * gd.stability_limit(X, batch_size, l2=l2)
    model = gd.LeastSquares(l2)
    best = np.linalg.solve(X.T @ X / n + l2 * np.eye(d), X.T @ y / n)
    rng, theta, runs = np.random.default_rng(4), np.tile(best, (400, 1)), []
    for step in range(1500):
        rows = rng.integers(n, size=(400, batch_size))
        residuals = np.einsum("rbd,rd->rb", X[rows], theta) - y[rows]
        gradients = np.einsum("rbd,rb->rd", X[rows], residuals) / batch_size + l2 * theta
        theta = theta - rate * gradients
        if step >= 500:
            runs.append(
                np.mean((theta @ X.T - y) ** 2, axis=1) / 2 + l2 / 2 * np.vecdot(theta, theta)
            )
    excess = np.mean(runs, axis=0) - model.loss(best, X, y)
    error = excess.std(ddof=1) / 400**0.5
    assert abs(excess.mean() - gd.noise_floor(X, y, rate, batch_size, l2=l2)) < 4 * error
    assert error < 0.02 * excess.mean()


def test_noiseless_data_have_no_floor():
    X, y, _ = data.linear_problem(20, 3, noise=0.0, rng=5)
    assert gd.noise_floor(X, y, 0.1) == pytest.approx(0, abs=1e-25)


def test_stability_limit_lies_between_its_bounds_and_rises_to_that_of_the_full_batch():
    X, _, _ = data.linear_problem(80, 4, condition=10, rng=6)
    norms = np.sum(X**2, axis=1)
    limits = [gd.stability_limit(X, batch_size) for batch_size in (1, 2, 8, 64, 10**9)]
    assert 2 / norms.max() <= limits[0] <= 2 / norms.mean()
    assert np.all(np.diff(limits) > 0)
    assert limits[-1] == pytest.approx(2 / np.linalg.norm(X.T @ X / 80, 2))


def test_scaling_the_features_scales_the_answers():
    X, y, _ = data.linear_problem(40, 3, noise=0.5, rng=7)
    assert gd.stability_limit(10 * X) == pytest.approx(gd.stability_limit(X) / 100)
    assert gd.noise_floor(10 * X, y, 1e-4) == pytest.approx(gd.noise_floor(X, y, 1e-2))


def test_a_rate_beyond_the_limit_is_refused_with_the_cure(problem):
    X, y = problem
    limit = gd.stability_limit(X)
    with pytest.raises(ValueError, match=rf"below {limit:.4g} .*lower it or raise batch_size"):
        gd.noise_floor(X, y, limit)
    assert gd.noise_floor(X, y, 2 * limit, exact=False) > 0


def test_dependent_columns_are_refused_unless_there_is_a_ridge_term():
    X, y = np.ones((5, 2)), np.arange(5.0)
    with pytest.raises(ValueError, match="set l2 > 0"):
        gd.stationary_covariance(X, y, 0.1)
    with pytest.raises(ValueError, match="2 independent columns"):
        gd.stability_limit(X)
    assert gd.noise_floor(X, y, 0.1, l2=0.5) > 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"learning_rate": 0}, "learning_rate must be positive"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"l2": -1}, "l2 must be zero or more"),
        ({"y": [1.0]}, "y must have shape"),
    ],
)
def test_wrong_arguments_are_named(problem, changed, message):
    X, y = problem
    arguments = {"X": X, "y": y, "learning_rate": 0.1, "batch_size": 1, "l2": 0.0}
    with pytest.raises(ValueError, match=message):
        gd.stationary_covariance(**(arguments | changed))


def test_the_floors_of_four_orders_are_those_of_a_mean():
    """All features 1: u has the variance σ²n²(n + 1)/12, which 5,000 orders give within 8%."""
    n, alpha = 50, np.array([1e-3, 4e-3])
    y = np.random.default_rng(0).standard_normal(n)
    floors = order_floors(np.ones((n, 1)), y, alpha)
    near = {"rtol": 4 * (2 / 5000) ** 0.5}
    np.testing.assert_allclose(floors.with_replacement, alpha / 2 * y.var())
    np.testing.assert_allclose(floors.shuffled_once, alpha**2 * y.var() * (n + 1) / 12, **near)
    walk = alpha**3 * y.var() * n * (n + 1) / 24
    np.testing.assert_allclose(floors.shuffled, walk, **near)
    assert floors.bend < 1e-12  # the mean drift is zero


def test_the_floor_of_the_order_of_the_file_is_where_its_steps_end(problem):
    X, y = problem
    best, alpha = np.linalg.lstsq(X, y, rcond=None)[0], 1e-3
    run = {"batches": gd.InOrder(1), "learning_rate": alpha, "n_epochs": 20_000}
    end = gd.descend(X, y, best, **run).theta
    found = np.sum((end - best) ** 2)
    travel = alpha * np.linalg.norm(X, 2) ** 2
    assert found == pytest.approx(float(order_floors(X, y, alpha).in_order), rel=2 * travel, abs=0)


def test_fresh_orders_leave_the_mean_drift_of_all_orders(problem):
    X, y = problem
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    g = X * (X @ best - y)[:, None]
    drifts = [
        sum(
            X[k] * (X[k] @ sum(g[j] for j in order[:place]))
            for place, k in enumerate(order)
            if place
        )
        for order in permutations(range(4))
    ]
    mean = np.linalg.solve(X.T @ X, np.mean(drifts, axis=0))
    floors = order_floors(X, y, 1e-9)
    assert float(floors.shuffled) == pytest.approx(1e-18 * mean @ mean, rel=1e-5, abs=0)
    assert floors.bend > 1e-3


@pytest.mark.parametrize("b", [2, 3, 5])
@pytest.mark.parametrize("replace", [True, False])
def test_the_variance_of_the_variance_is_that_of_all_batches(b, replace):
    x = [0.0, 1, 1, 2, 3, 5, 8]
    batches = product(x, repeat=b) if replace else combinations(x, b)
    found = np.var(np.var(list(batches), axis=1, ddof=1))
    assert variance_of_variance(x, b, replace) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_without_momentum_its_floor_is_that_of_sgd(problem, batch_size):
    for alpha in (0.01, 0.1):
        floor = momentum_floor(*problem, alpha, 0.0, batch_size)
        assert floor == pytest.approx(gd.noise_floor(*problem, alpha, batch_size), rel=1e-9)
    with pytest.raises(ValueError, match="must be low enough"):
        momentum_floor(*problem, 10.0, 0.5)


def test_the_losses_of_momentum_end_on_its_floor(problem):
    """One solves for the end, the other walks there."""
    pairs = np.array([[0.02, 0.1, 0.1], [0.9, 0.5, 0.0]])
    losses = momentum_losses(*problem, np.zeros(2), 2, *pairs, n_steps=3000)
    floors = [momentum_floor(*problem, *pair, 2) for pair in pairs.T]
    np.testing.assert_allclose(losses[-1], floors, rtol=1e-6)
    first = momentum_losses(*problem, np.zeros(2), 2, *pairs, target=2 * min(floors))
    assert first[-1].min() < 2 * min(floors) <= first[:-1].min()


def test_the_losses_of_momentum_are_the_mean_of_runs(problem):
    """Every row comes with both signs of its residual, so third moments are zero."""
    X = np.repeat(problem[0], 2, axis=0)
    best, signs = np.array([1.0, -2.0]), np.tile([0.5, -0.5], 4)
    problem = X, X @ best + signs
    lowest = gd.LeastSquares().loss(best, *problem)
    losses = momentum_losses(*problem, np.zeros(2), 2, 0.1, 0.8, n_steps=12)
    pair = {"learning_rate": 0.1, "momentum": 0.8, "n_epochs": 3}
    many = {"batches": gd.WithReplacement(2), "rng": range(4000), "record_every": 1}
    runs = gd.descend_many(*problem, np.zeros(2), **many, **pair)
    off = runs.mean() - lowest - losses[:, 0]
    assert np.all(abs(off) < 4.5 * runs.standard_error() + 1e-12)


def sorted_shards():
    X, y, _ = data.linear_problem(80, 3, noise=1.0, rng=5)
    order = np.argsort(y)
    return [(X[part], y[part]) for part in np.split(order, 4)]


@pytest.mark.parametrize("n_local", [1, 4, 32])
def test_a_round_of_local_steps_leaves_the_fixed_point_where_it_is(n_local):
    shards, alpha = sorted_shards(), 0.05
    point, ends = local_sgd_fixed_point(shards, n_local, alpha), []
    for X, y in shards:
        run = {"batches": gd.FullBatch(), "learning_rate": alpha, "n_epochs": n_local}
        ends.append(gd.descend(X, y, point, **run).theta)
    np.testing.assert_allclose(np.mean(ends, axis=0), point, rtol=1e-9)
    X, y = (np.concatenate(parts) for parts in zip(*shards, strict=True))
    is_minimiser = np.allclose(point, np.linalg.lstsq(X, y, rcond=None)[0], rtol=1e-6)
    assert is_minimiser == (n_local == 1)


@pytest.mark.parametrize("alpha", [1e-3, 1e-4])
def test_the_first_order_of_the_drift(alpha):
    """θ̂ − θ* ≈ α(H − 1)/2·(ΣH_k)⁻¹ ΣH_k∇J_k(θ*), up to the next power of αHL."""
    shards, n_local = sorted_shards(), 5
    X, y = (np.concatenate(parts) for parts in zip(*shards, strict=True))
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    hessians = [X_k.T @ X_k / 20 for X_k, _ in shards]
    pulls = [gd.LeastSquares().gradient(best, *shard) for shard in shards]
    push = sum(h @ g for h, g in zip(hessians, pulls, strict=True))
    first = alpha * (n_local - 1) / 2 * np.linalg.solve(sum(hessians), push)
    drift = local_sgd_fixed_point(shards, n_local, alpha) - best
    largest = max(np.linalg.norm(h, 2) for h in hessians)
    assert np.linalg.norm(first - drift) < alpha * n_local * largest * np.linalg.norm(drift)

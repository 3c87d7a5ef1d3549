"""The noise of a gradient estimate, against its definition and exact enumeration."""

from itertools import combinations, product

import numpy as np
import pytest
from problems import OBJECTIVES, Quartic, problem

import gdcourse as gd

every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)


class OnlyThreeMethods:
    """Any objective, stripped of what the protocol does not ask for."""

    def __init__(self, objective):
        self.loss = objective.loss
        self.gradient = objective.gradient
        self.per_sample_gradients = objective.per_sample_gradients


def definition(objective, theta, X, y):
    """(1/n) Σ ‖g_i − ḡ‖² and ḡ, from all per-sample gradients at once."""
    each = objective.per_sample_gradients(theta, X, y).reshape(len(y), -1)
    mean = each.mean(axis=0)
    return np.sum((each - mean) ** 2) / len(y), mean


@every_objective
@pytest.mark.parametrize("way", ["as is", "three methods"])
@pytest.mark.parametrize("n", [1, 2, 50, 3000])
def test_variance_and_scale_are_their_definitions(objective, way, n):
    theta, X, y = problem(objective, n)
    variance, gradient = definition(objective, theta, X, y)
    if way == "three methods":
        objective = OnlyThreeMethods(objective)
    measured = gd.gradient_variance(objective, theta, X, y)
    assert type(measured) is float
    assert measured == pytest.approx(variance, rel=1e-10, abs=1e-12)
    scale = gd.noise_scale(objective, theta, X, y)
    assert scale == pytest.approx(variance / np.sum(gradient**2), rel=1e-10, abs=1e-12)


@every_objective
@pytest.mark.parametrize("wrap", [lambda o: o, OnlyThreeMethods], ids=["as is", "three methods"])
def test_the_variance_is_the_same_on_every_library(xp, objective, wrap):
    theta, X, y = problem(objective, 300)
    there = [xp.asarray(array) for array in (theta, X, y)]
    expected, _ = definition(objective, theta, X, y)
    assert gd.gradient_variance(wrap(objective), *there) == pytest.approx(expected, rel=1e-10)


def test_blocks_of_a_large_model_change_nothing(xp):
    """2410 parameters: a block has 108 rows, so 300 rows make three."""
    objective = gd.MLP((64, 32, 10))
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 64)), rng.integers(10, size=300).astype(float)
    theta = objective.initial(0)
    there = [xp.asarray(array) for array in (theta, X, y)]
    expected, _ = definition(objective, theta, X, y)
    for way in (objective, OnlyThreeMethods(objective)):
        assert gd.gradient_variance(way, *there) == pytest.approx(expected, rel=1e-10)


WAYS = ["as is", "three methods"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("dtype", "mean"),
    [(np.float32, 100), (np.float32, 1e4), (np.float64, 1e6), (np.float64, 1e8)],
)
def test_a_small_variance_beside_a_large_gradient_keeps_its_digits(way, dtype, mean):
    """One column of ones: the variance of the gradients is that of y, as y is stored."""
    objective = gd.LeastSquares()
    objective = OnlyThreeMethods(objective) if way == "three methods" else objective
    y = (mean + np.random.default_rng(0).standard_normal(20_000)).astype(dtype)
    X, theta = np.ones((len(y), 1), dtype), np.zeros(1, dtype)
    variance = gd.gradient_variance(objective, theta, X, y)
    assert variance == pytest.approx(np.var(y.astype(np.float64)), rel=1e-6)


@every_objective
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_squares_of_single_precision_are_taken_in_double(objective, scale):
    theta, X, y = problem(objective, 300, dtype=np.float32)
    if isinstance(objective, gd.LeastSquares):
        X, theta, y = np.float32(scale) * X, np.float32(0) * theta, y
    expected, mean = definition(objective, *(a.astype(np.float64) for a in (theta, X, y)))
    assert gd.gradient_variance(objective, theta, X, y) == pytest.approx(expected, rel=1e-6)
    scale = gd.noise_scale(objective, theta, X, y)
    assert scale == pytest.approx(expected / np.sum(mean**2), rel=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_variance_that_overflows_is_not_zero(way):
    theta, X, y = problem(gd.LeastSquares(), 50)
    objective = gd.LeastSquares()
    objective = OnlyThreeMethods(objective) if way == "three methods" else objective
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(gd.gradient_variance(objective, theta + 1e160, X, y))


class Clipped(gd.LeastSquares):
    """A gradient of its own, whose squared norms are not its parent's."""

    def per_sample_gradients(self, theta, X, y):
        return np.clip(super().per_sample_gradients(theta, X, y), -0.1, 0.1)

    def gradient(self, theta, X, y):
        return self.per_sample_gradients(theta, X, y).mean(axis=0)


def test_a_subclass_with_a_gradient_of_its_own_has_its_own_variance():
    theta, X, y = problem(Clipped(), 50)
    expected, _ = definition(Clipped(), theta, X, y)
    assert gd.gradient_variance(Clipped(), theta, X, y) == pytest.approx(expected, rel=1e-12)


@every_objective
def test_a_ridge_term_shifts_gradients_and_not_their_variance(objective):
    theta, X, y = problem(objective)
    plain, ridge = (type(objective)(**(vars(objective) | {"l2": l2})) for l2 in (0.0, 5.0))
    variance = gd.gradient_variance(plain, theta, X, y)
    assert gd.gradient_variance(ridge, theta, X, y) == pytest.approx(variance, rel=1e-10)
    assert gd.noise_scale(ridge, theta, X, y) != pytest.approx(gd.noise_scale(plain, theta, X, y))


@pytest.mark.parametrize("n", [10, 3000])
@pytest.mark.parametrize("way", [lambda o: o, OnlyThreeMethods], ids=["one pass", "three methods"])
def test_values_that_are_not_finite_are_named_at_once(monkeypatch, xp, n, way):
    monkeypatch.delattr("gdcourse.noise._find_spread")  # the slow look at every gradient
    theta, X, y = problem(gd.LeastSquares(), n)
    X[n // 2, 1] = np.nan
    there = [xp.asarray(array) for array in (theta, X, y)]
    with pytest.raises(ValueError, match="X must be finite"):
        gd.gradient_variance(way(gd.LeastSquares()), *there)


def test_the_scale_is_infinite_where_the_gradient_vanishes():
    X, y = np.ones((2, 1)), np.array([1.0, 3.0])
    assert gd.noise_scale(gd.LeastSquares(), [2.0], X, y) == float("inf")


def test_equal_rows_have_no_noise():
    X, y = np.ones((7, 2)), np.full(7, 3.0)
    for objective in (gd.LeastSquares(), gd.LeastSquares(0.5), OnlyThreeMethods(gd.LeastSquares())):
        assert gd.gradient_variance(objective, [0.1, 0.2], X, y) == pytest.approx(0, abs=1e-14)


def squared_errors(objective, theta, X, y, batches):
    """The mean of ‖∇_batch − ∇J‖² over the batches given."""
    mean = objective.gradient(theta, X, y)
    errors = [objective.gradient(theta, X[b], y[b]) - mean for b in map(list, batches)]
    return np.mean([np.sum(error**2) for error in errors])


@pytest.mark.parametrize("objective", [OBJECTIVES[1], OBJECTIVES[3], OBJECTIVES[7]], ids=repr)
@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5])
def test_batch_variance_is_exact_over_all_batches(objective, batch_size):
    """With replacement over all nᵇ tuples; without, over all (n choose b) subsets."""
    n = 5
    theta, X, y = problem(objective, n)
    variance = gd.gradient_variance(objective, theta, X, y)
    tuples = product(range(n), repeat=batch_size)
    assert gd.batch_gradient_variance(variance, batch_size) == pytest.approx(
        squared_errors(objective, theta, X, y, tuples), rel=1e-10
    )
    subsets = combinations(range(n), batch_size)
    assert gd.batch_gradient_variance(variance, batch_size, n) == pytest.approx(
        squared_errors(objective, theta, X, y, subsets), rel=1e-10, abs=1e-14
    )


def test_a_single_row_has_no_variance_without_replacement():
    assert gd.batch_gradient_variance(0.0, 1, n_samples=1) == 0


@pytest.mark.parametrize("objective", [OBJECTIVES[1], OBJECTIVES[3], Quartic()], ids=repr)
def test_the_two_batch_estimate_is_made_of_unbiased_parts(objective):
    """Over all batches of 1 and of 3, ‖∇_b‖² means give ‖∇J‖² and tr Σ exactly, as claimed."""
    n, small, large = 4, 1, 3
    theta, X, y = problem(OBJECTIVES[0] if isinstance(objective, Quartic) else objective, n)
    variance, gradient = definition(objective, theta, X, y)
    mean_small, mean_large = (
        np.mean(
            [
                np.sum(objective.gradient(theta, X[list(b)], y[list(b)]) ** 2)
                for b in product(range(n), repeat=size)
            ]
        )
        for size in (small, large)
    )
    signal = (large * mean_large - small * mean_small) / (large - small)
    noise = (mean_small - mean_large) / (1 / small - 1 / large)
    assert signal == pytest.approx(np.sum(gradient**2), rel=1e-10)
    assert noise == pytest.approx(variance, rel=1e-10)
    assert noise / signal == pytest.approx(gd.noise_scale(objective, theta, X, y), rel=1e-10)


@pytest.mark.parametrize("objective", [OBJECTIVES[0], OBJECTIVES[5]], ids=repr)
def test_the_two_batch_estimate_is_that_of_its_batches(xp, objective):
    """The same batches, taken one by one from the same generator."""
    theta, X, y = problem(objective, 30)
    sizes, n_batches = (2, 9), 25
    rng = np.random.default_rng(8)
    means = []
    for size in sizes:
        rows = rng.integers(30, size=size * n_batches).reshape(n_batches, size)
        gradients = [objective.gradient(theta, X[batch], y[batch]) for batch in rows]
        means.append(np.mean([np.sum(gradient**2) for gradient in gradients]))
    signal = (9 * means[1] - 2 * means[0]) / 7
    noise = (means[0] - means[1]) / (1 / 2 - 1 / 9)
    estimate = gd.estimate_noise_scale(
        objective,
        *(xp.asarray(array) for array in (theta, X, y)),
        batch_sizes=sizes,
        n_batches=n_batches,
        rng=8,
    )
    assert estimate == pytest.approx(noise / signal, rel=1e-10)


def test_the_two_batch_estimate_closes_in_on_the_noise_scale():
    objective = gd.LeastSquares()
    theta, X, y = problem(objective, 100)
    truth = gd.noise_scale(objective, theta, X, y)
    estimates = [
        gd.estimate_noise_scale(
            objective, theta, X, y, batch_sizes=(2, 20), n_batches=500, rng=seed
        )
        for seed in range(20)
    ]
    standard_error = np.std(estimates, ddof=1) / np.sqrt(len(estimates))
    assert standard_error < 0.1 * truth
    assert abs(np.mean(estimates) - truth) < 4 * standard_error


def test_the_estimate_is_infinite_where_noise_drowns_the_signal():
    _, X, y = problem(gd.LeastSquares(), 50)
    minimiser = np.linalg.lstsq(X, y)[0]
    estimates = [
        gd.estimate_noise_scale(
            gd.LeastSquares(), minimiser, X, y, batch_sizes=(1, 2), n_batches=2, rng=seed
        )
        for seed in range(20)
    ]
    assert float("inf") in estimates
    assert min(estimates) >= 0

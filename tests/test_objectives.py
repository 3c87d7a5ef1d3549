"""Objectives: formulas against finite differences, closed forms and scikit-learn."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import OBJECTIVES, Quartic, problem
from sklearn import linear_model
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

import gdcourse as gd

every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
LINEAR = [objective for objective in OBJECTIVES if not isinstance(objective, gd.MLP)]


def with_l2(objective, l2):
    """The same objective with another ridge term."""
    return type(objective)(**(vars(objective) | {"l2": l2}))


def finite_differences(function, theta, h=1e-5):
    """Central differences of a function of θ, shape (*value, *theta); error O(h²)."""
    columns = []
    for k in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[k] = h
        columns.append((function(theta + step) - function(theta - step)) / (2 * h))
    columns = np.stack(columns, axis=-1)
    return columns.reshape(columns.shape[:-1] + theta.shape)


@every_objective
@pytest.mark.parametrize("n", [1, 7])
def test_a_gradient_is_the_slope_of_the_loss(objective, n):
    theta, X, y = problem(objective, n)
    expected = finite_differences(lambda theta: objective.loss(theta, X, y), theta)
    np.testing.assert_allclose(objective.gradient(theta, X, y), expected, rtol=1e-7, atol=1e-8)


@every_objective
def test_per_sample_gradients_are_the_gradients_of_single_rows(objective):
    theta, X, y = problem(objective)
    rows = [objective.gradient(theta, X[i : i + 1], y[i : i + 1]) for i in range(len(y))]
    every = objective.per_sample_gradients(theta, X, y)
    assert every.shape == (len(y), *theta.shape)
    np.testing.assert_allclose(every, rows, rtol=1e-12, atol=1e-14)


@every_objective
def test_loss_and_gradient_are_means_over_rows(xp, objective):
    theta, X, y = problem(objective)
    loss = np.mean([objective.loss(theta, X[i : i + 1], y[i : i + 1]) for i in range(len(y))])
    there = [xp.asarray(array) for array in (theta, X, y)]
    np.testing.assert_allclose(gd.to_host(objective.loss(*there)), loss, rtol=1e-13)
    gradient = gd.to_host(objective.gradient(*there))
    mean = np.mean(gd.to_host(objective.per_sample_gradients(*there)), axis=0)
    np.testing.assert_allclose(gradient, mean, rtol=1e-12, atol=1e-14)


@every_objective
def test_squared_norms_are_those_of_the_gradients_without_ridge(xp, objective):
    theta, X, y = problem(objective)
    every = with_l2(objective, 0.0).per_sample_gradients(theta, X, y)
    there = [xp.asarray(array) for array in (theta, X, y)]
    np.testing.assert_allclose(
        gd.to_host(objective.squared_gradient_norms(*there)),
        np.sum(every.reshape(len(y), -1) ** 2, axis=1),
        rtol=1e-12,
    )


@every_objective
def test_the_ridge_term_is_half_a_squared_norm(objective):
    theta, X, y = problem(objective)
    plain, ridge = with_l2(objective, 0.0), with_l2(objective, 0.7)
    np.testing.assert_allclose(
        ridge.loss(theta, X, y) - plain.loss(theta, X, y), 0.35 * np.sum(theta**2), rtol=1e-12
    )
    np.testing.assert_allclose(
        ridge.gradient(theta, X, y) - plain.gradient(theta, X, y), 0.7 * theta, rtol=1e-12
    )


@every_objective
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("l2", [0.0, np.float64(0.3), np.float32(0.3), 1, np.int64(1)])
def test_a_precision_stays_what_it_is(xp, objective, dtype, l2):
    there = [xp.asarray(array) for array in problem(objective, dtype=dtype)]
    objective = with_l2(objective, l2)
    for method in ("loss", "gradient", "per_sample_gradients", "squared_gradient_norms"):
        assert gd.to_host(getattr(objective, method)(*there)).dtype == dtype


@every_objective
def test_an_objective_is_an_immutable_value(objective):
    assert with_l2(objective, objective.l2) == objective
    assert hash(with_l2(objective, objective.l2)) == hash(objective)
    with pytest.raises(FrozenInstanceError):
        objective.l2 = 1.0


@pytest.mark.parametrize("objective", LINEAR, ids=repr)
@pytest.mark.parametrize("size", [1e4, -1e4, 1e-300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_predictions_stay_finite(xp, objective, size, dtype):
    theta, X, y = problem(objective, 20, dtype=dtype)
    there = [xp.asarray(array) for array in (theta * size, X, y)]
    loss, gradient = gd.to_host(objective.loss(*there)), gd.to_host(objective.gradient(*there))
    assert np.isfinite(loss)
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_scores_of_a_perceptron_stay_finite(xp, size):
    objective = gd.MLP((4, 5, 3))
    theta, X, y = problem(objective, 20)
    there = [xp.asarray(array) for array in (theta * size, X, y)]
    assert np.isfinite(gd.to_host(objective.loss(*there)))
    assert np.all(np.isfinite(gd.to_host(objective.gradient(*there))))


def test_a_certain_mistake_costs_its_margin():
    """log(1 + e⁻ᶻ) → |z| for the wrong class and → 0 for the right one, without overflow."""
    X, theta = np.array([[1e4]]), np.array([1.0])
    logistic = gd.LogisticRegression()
    assert logistic.loss(theta, X, np.array([0.0])) == 1e4
    assert logistic.loss(theta, X, np.array([1.0])) == 0
    softmax, theta = gd.SoftmaxRegression(2), np.array([[1.0, 0.0]])
    assert softmax.loss(theta, X, np.array([1.0])) == 1e4
    assert softmax.loss(theta, X, np.array([0.0])) == 0


def test_two_classes_of_a_softmax_are_logistic():
    theta, X, y = problem(gd.LogisticRegression())
    pair = np.stack([0 * theta, theta], axis=1)
    softmax, logistic = gd.SoftmaxRegression(2), gd.LogisticRegression()
    np.testing.assert_allclose(softmax.loss(pair, X, y), logistic.loss(theta, X, y))
    np.testing.assert_allclose(softmax.gradient(pair, X, y)[:, 1], logistic.gradient(theta, X, y))


def test_a_perceptron_without_hidden_layer_is_a_softmax_with_intercepts():
    softmax = gd.SoftmaxRegression(3)
    theta, X, y = problem(softmax)
    mlp = gd.MLP((4, 3))
    flat = np.concatenate([theta.ravel(), np.zeros(3)])
    np.testing.assert_allclose(mlp.loss(flat, X, y), softmax.loss(theta, X, y))
    gradient = mlp.gradient(flat, X, y)
    np.testing.assert_allclose(gradient[:12].reshape(4, 3), softmax.gradient(theta, X, y))


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_least_squares_ends_at_the_normal_equations(l2):
    _, X, y = problem(gd.LeastSquares(), 30)
    n, d = X.shape
    solution = np.linalg.solve(X.T @ X / n + l2 * np.eye(d), X.T @ y / n)
    objective = gd.LeastSquares(l2)
    np.testing.assert_allclose(objective.gradient(solution, X, y), 0, atol=1e-14)
    # J is a quadratic, so its Taylor series ends with the Hessian XᵀX/n + l2·I.
    step = np.random.default_rng(1).standard_normal(d)
    excess = objective.loss(solution + step, X, y) - objective.loss(solution, X, y)
    np.testing.assert_allclose(excess, 0.5 * step @ (X.T @ X / n + l2 * np.eye(d)) @ step)


def test_the_minimisers_are_those_of_scikit_learn():
    n, l2 = 40, 0.05
    options = {"fit_intercept": False, "tol": 1e-10}
    regression = linear_model.Ridge(alpha=n * l2, **options)
    classifier = linear_model.LogisticRegression(C=1 / (n * l2), max_iter=1000, **options)
    for objective, model in [
        (gd.LeastSquares(), linear_model.LinearRegression(fit_intercept=False)),
        (gd.LeastSquares(l2), regression),
        (gd.LogisticRegression(l2), classifier),
        (gd.SoftmaxRegression(3, l2), classifier),
    ]:
        start, X, y = problem(objective, n)
        theta = model.fit(X, y).coef_.T.reshape(start.shape)
        np.testing.assert_allclose(objective.gradient(theta, X, y), 0, atol=1e-6)
        assert objective.loss(theta, X, y) < objective.loss(start, X, y)


def test_the_losses_are_those_of_scikit_learn():
    for objective in (gd.LogisticRegression(), gd.SoftmaxRegression(3)):
        theta, X, y = problem(objective, 30)
        z = X @ theta
        scores = np.stack([0 * z, z], axis=1) if z.ndim == 1 else z
        probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(objective.loss(theta, X, y), log_loss(y, probabilities))


def test_a_perceptron_is_that_of_scikit_learn():
    objective = gd.MLP((4, 5, 6, 3))
    theta, X, y = problem(objective, 30)
    peer = MLPClassifier((5, 6), activation="tanh").partial_fit(X, y, classes=[0, 1, 2])
    start = 0
    for layer, matrix in enumerate(peer.coefs_):
        stop = start + matrix.size
        peer.coefs_[layer] = theta[start:stop].reshape(matrix.shape)
        start, stop = stop, stop + matrix.shape[1]
        peer.intercepts_[layer] = theta[start:stop]
        start = stop
    assert start == objective.n_parameters
    np.testing.assert_allclose(objective.loss(theta, X, y), log_loss(y, peer.predict_proba(X)))


def test_initial_parameters_of_a_perceptron(xp):
    objective = gd.MLP((64, 32, 10))
    like = xp.asarray(np.zeros(1))
    theta = objective.initial(3, like=like, dtype="float32")
    assert theta.device == like.device
    host = gd.to_host(theta)
    assert host.dtype == np.float32
    np.testing.assert_array_equal(host, gd.to_host(objective.initial(3)).astype("float32"))
    weights, biases = host[: 64 * 32], host[64 * 32 : 64 * 32 + 32]
    limit = (6 / (64 + 32)) ** 0.5
    np.testing.assert_array_equal(biases, 0)
    assert np.max(np.abs(weights)) <= limit
    # The standard error of the variance of 2048 uniform numbers is 2% of it.
    assert np.var(weights) == pytest.approx(limit**2 / 3, rel=0.1)


@st.composite
def matrices(draw):
    n, d = draw(st.integers(1, 60)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    rank = draw(st.integers(1, d))
    X = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d))
    return X, rng.standard_normal(n), rng.standard_normal(d)


@given(matrices(), st.sampled_from(["float32", "float64"]))
def test_compressed_rows_have_the_same_loss_and_gradient(problem, dtype):
    X, y, theta = (array.astype(dtype) for array in problem)
    small = gd.compress(X, y)
    n, d = X.shape
    assert small[0].shape == (min(n, d + 1), d)
    assert small[1].shape == (min(n, d + 1),)
    assert small[0].dtype == small[1].dtype == dtype
    objective = gd.LeastSquares(l2=0.1)
    tolerance = 200 * np.finfo(dtype).eps
    for method in (objective.loss, objective.gradient):
        expected = method(theta, X, y)
        scale = np.linalg.norm(X) ** 2 * np.linalg.norm(theta) + np.linalg.norm(y) ** 2 + 1
        np.testing.assert_allclose(
            method(theta, *small), expected, rtol=tolerance, atol=tolerance * scale
        )


@pytest.mark.parametrize("n", [7000, 32768, 50_001])
def test_many_blocks_compress_to_the_same_path(xp, n):
    """With d = 1 a block has 32768 rows."""
    rng = np.random.default_rng(n)
    X, y = rng.standard_normal((n, 1)), rng.standard_normal(n)
    small = gd.compress(xp.asarray(X), xp.asarray(y))
    theta, history = gd.batch_gradient_descent(*small, [1.0], 0.5, n_epochs=5, tol=0)
    expected, whole = gd.batch_gradient_descent(X, y, [1.0], 0.5, n_epochs=5, tol=0)
    np.testing.assert_allclose(gd.to_host(theta), expected, rtol=1e-11)
    np.testing.assert_allclose(history.loss, whole.loss, rtol=1e-11)


def test_compressing_does_not_square_the_condition_number():
    """Läuchli's matrix: XᵀX rounds to a singular matrix, and X is far from one."""
    small = 1e-9
    X = np.array([[1.0, 1.0], [small, 0.0], [0.0, small]])
    truth = np.array([1.0, 2.0])
    y = X @ truth
    assert np.linalg.matrix_rank(X.T @ X) == 1
    solution = np.linalg.lstsq(*gd.compress(X, y))[0]
    np.testing.assert_allclose(solution, truth, rtol=1e-5)


def test_any_class_with_three_methods_is_an_objective():
    theta, X, y = problem(gd.LeastSquares())
    gradient = finite_differences(lambda theta: Quartic().loss(theta, X, y), theta)
    np.testing.assert_allclose(Quartic().gradient(theta, X, y), gradient, rtol=1e-6)
    _, history = gd.batch_gradient_descent(X, y, theta, 1e-3, objective=Quartic())
    assert history.loss[-1] < history.loss[0]


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
def test_compression_names_the_precisions_that_it_takes(dtype):
    with pytest.raises(TypeError, match=f"X must be float32 or float64 .*{np.dtype(dtype)}"):
        gd.compress(np.ones((5, 2), dtype), np.ones(5, dtype))

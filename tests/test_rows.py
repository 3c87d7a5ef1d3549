"""Owners of rows: the mean of a function is the same wherever the rows lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import OBJECTIVES, Quartic, problem

import gdcourse as gd
from gdcourse import rows
from gdcourse.objectives import complete
from gdcourse.rows import InMemory, LossAndGradient

every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)


@every_objective
@pytest.mark.parametrize("n", [5, 6, 7, 23])
def test_blocks_of_rows_change_nothing(xp, monkeypatch, objective, n):
    theta, X, y = problem(objective, n)
    expected = [objective.loss(theta, X, y), objective.gradient(theta, X, y)]
    monkeypatch.setattr(rows, "rows_in_cache", lambda X, width: 5)
    there = [xp.asarray(array) for array in (theta, X, y)]
    sizes = []

    def watch(function):
        return lambda theta, X, y: sizes.append(X.shape[0]) or function(theta, X, y)

    data = InMemory(*there[1:])
    measured = [data.mean(watch(f), there[0]) for f in (objective.loss, objective.gradient)]
    assert max(sizes) == 5
    assert sum(sizes) == 2 * n
    for value, whole in zip(measured, expected, strict=True):
        np.testing.assert_allclose(gd.to_host(value), whole, rtol=1e-12, atol=1e-14)


@every_objective
def test_one_pass_gives_the_loss_and_the_gradient_of_two(objective):
    """Rows enough for the compiled pass, where there is one."""
    theta, X, y = problem(objective, 600)
    both = InMemory(X, y).mean(LossAndGradient(objective), theta)
    assert both[0] == pytest.approx(objective.loss(theta, X, y), rel=1e-12)
    gradient = objective.gradient(theta, X, y).ravel()
    np.testing.assert_allclose(both[1:], gradient, rtol=1e-12, atol=1e-14)


@given(st.data(), st.integers(1, 40), st.integers(1, 9))
def test_the_mean_over_a_batch_is_that_of_its_rows(data, n, block):
    X, y = np.arange(2.0 * n).reshape(n, 2), np.arange(1.0 * n)
    batch = data.draw(
        st.lists(st.integers(-n, n - 1), min_size=1, max_size=50).map(np.array)
        | st.tuples(st.integers(0, n - 1), st.integers(1, n)).map(
            lambda ends: slice(ends[0], min(n, ends[0] + ends[1]))
        )
    )
    owner = InMemory(X, y)
    owner.block = block
    mean = owner.mean(lambda theta, X, y: theta * X.mean(axis=0) + y.mean(), 2.0, batch)
    np.testing.assert_allclose(mean, 2 * X[batch].mean(axis=0) + y[batch].mean(), rtol=1e-12)


def test_a_long_mean_in_single_precision_keeps_its_digits():
    """Ten thousand blocks of 0.1 added in single precision would be off by 1e-4 and more."""
    X = np.full((2_560_000, 1), 0.1, np.float32)
    owner = InMemory(X, X[:, 0])
    owner.block = 256
    mean = owner.mean(lambda theta, X, y: y.mean(), None)
    assert mean.dtype == np.float32
    assert mean == pytest.approx(np.float32(0.1), rel=1e-6)


def test_a_block_is_some_rows_of_any_width(xp):
    for n_features in (1, 100, 10**5):
        assert rows.rows_in_cache(xp.asarray(np.zeros((1, n_features))), 1) >= 256


def test_evaluate_gives_the_loss_and_the_gradient_of_all_rows(xp):
    own = [] if xp.namespace is not np else [Quartic()]
    for objective in [*OBJECTIVES, *own]:
        kind = gd.LeastSquares() if isinstance(objective, Quartic) else objective
        theta, X, y = problem(kind, 700)
        loss, gradient = gd.evaluate(objective, *(xp.asarray(array) for array in (theta, X, y)))
        assert type(loss) is float
        assert loss == pytest.approx(float(objective.loss(theta, X, y)), rel=1e-12)
        expected = objective.gradient(theta, X, y)
        np.testing.assert_allclose(gd.to_host(gradient), expected, rtol=1e-10, atol=1e-13)


@every_objective
def test_three_methods_are_completed_by_the_others(objective):
    theta, X, y = problem(objective)

    class Own:
        loss = staticmethod(objective.loss)
        gradient = staticmethod(objective.gradient)
        per_sample_gradients = staticmethod(objective.per_sample_gradients)

    plain = type(objective)(**(vars(objective) | {"l2": 0.0}))
    assert complete(objective) is objective
    own = complete(Own()).squared_gradient_norms(theta, X, y)
    each = objective.per_sample_gradients(theta, X, y).reshape(len(X), -1)
    np.testing.assert_allclose(own, np.sum(each**2, axis=1), rtol=1e-12)
    bare = plain.per_sample_gradients(theta, X, y).reshape(len(X), -1)
    norms = objective.squared_gradient_norms(theta, X, y)
    np.testing.assert_allclose(norms, np.sum(bare**2, axis=1), rtol=1e-12)
    assert objective.without_ridge() == plain

"""Momentum: its update rule in other people's forms, and what theory says of its rate."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import OBJECTIVES, problem

import gdcourse as gd
from gdcourse import schedules
from gdcourse.lesson import data, theory

LEAST_SQUARES = gd.LeastSquares()


def path(n_steps, objective=LEAST_SQUARES, n=12, **changes):
    """(step, samples seen, θ) of the start and of `n_steps` updates of a small problem."""
    theta, X, y = problem(objective, n)
    good = {
        "X": X,
        "y": y,
        "theta_init": theta,
        "objective": objective,
        "batches": gd.Shuffled(5),
        "learning_rate": 0.05,
        "momentum": 0.7,
        "rng": 0,
    }
    return list(islice(gd.updates(**(good | changes)), n_steps + 1))


def thetas(*args, **changes):
    return np.array([theta for _, _, theta in path(*args, **changes)])


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("nesterov", [False, True])
def test_without_momentum_it_is_gradient_descent(objective, nesterov):
    theta, X, y = problem(objective)
    plain = gd.updates(
        X, y, theta, objective=objective, batches=gd.Shuffled(5), learning_rate=0.05, rng=0
    )
    mine = path(7, objective, momentum=0, nesterov=nesterov)
    for (step, seen, expected), got in zip(plain, mine, strict=False):
        assert got[:2] == (step, seen)
        np.testing.assert_array_equal(got[2], expected)


@given(
    learning_rate=st.floats(0.001, 0.2),
    momentum=st.floats(0, 0.95),
    batch_size=st.integers(1, 12),
    seed=st.integers(0, 2**32),
    nesterov=st.booleans(),
)
def test_two_steps_back_say_the_same(learning_rate, momentum, batch_size, seed, nesterov):
    """Polyak's and Nesterov's own forms have no velocity: the last two places say it all."""
    theta, X, y = problem(LEAST_SQUARES)
    scheme = gd.Shuffled(batch_size)
    rows = [batch for epoch in islice(scheme.epochs(12, seed), 8) for batch in epoch][:8]
    before, now, expected = theta, theta, [theta]
    for batch in rows:
        ahead = now + momentum * (now - before)
        at = ahead if nesterov else now
        before, now = now, ahead - learning_rate * LEAST_SQUARES.gradient(at, X[batch], y[batch])
        expected.append(now)
    got = thetas(
        8,
        batches=scheme,
        learning_rate=learning_rate,
        momentum=momentum,
        nesterov=nesterov,
        rng=seed,
    )
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_every_library_walks_the_same_path(xp, nesterov):
    theta, X, y = map(xp.asarray, problem(LEAST_SQUARES))
    got = path(7, X=X, y=y, theta_init=theta, nesterov=nesterov)
    assert all(theta.device == xp.device for _, _, theta in got)
    expected = thetas(7, nesterov=nesterov)
    np.testing.assert_allclose([gd.to_host(theta) for _, _, theta in got], expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_precision_stays(dtype):
    theta, X, y = problem(LEAST_SQUARES, dtype=dtype)
    assert thetas(3, X=X, y=y, theta_init=theta).dtype == dtype


def test_a_falling_rate_does_not_shrink_the_velocity_that_is_there():
    """α stands inside the velocity: only the newest gradient feels a new rate."""
    first = [0.1, 1e-12]
    rate = schedules.piecewise([1], first)
    start, one, two = thetas(2, learning_rate=rate, momentum=0.5)
    np.testing.assert_allclose(two - one, 0.5 * (one - start), rtol=1e-9)


def test_counts_are_those_of_the_batches():
    steps, seen, _ = zip(*path(4), strict=True)
    assert steps == (0, 1, 2, 3, 4)
    assert seen == (0, 5, 10, 12, 17)


def test_every_theta_is_a_new_array_and_the_start_is_untouched():
    theta, X, y = problem(LEAST_SQUARES)
    start = theta.copy()
    kept = [theta for _, _, theta in path(3, X=X, y=y, theta_init=start)]
    assert len({id(array) for array in kept}) == len(kept)
    kept[0][:] = 99
    np.testing.assert_array_equal(start, theta)


def best_constants(mu, L):
    """α, β and the rate that theory promises: Polyak's, and Nesterov's for quadratics."""
    s = (L / mu) ** 0.5
    t = (3 * L / mu + 1) ** 0.5
    return {
        False: (4 / (L**0.5 + mu**0.5) ** 2, ((s - 1) / (s + 1)) ** 2, (s - 1) / (s + 1)),
        True: (4 / (3 * L + mu), (t - 2) / (t + 2), 1 - 2 / t),
    }


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_best_constants_give_the_rate_of_the_theorem(nesterov):
    """‖e_t‖ ~ t·ρᵗ: at the best constants the slowest directions have a double root."""
    X, y = data.diabetes()
    eigenvalues = np.linalg.eigvalsh(X.T @ X / len(y))
    alpha, beta, rate = best_constants(eigenvalues[0], eigenvalues[-1])[nesterov]
    assert theory.momentum_radius(eigenvalues, alpha, beta, nesterov) == pytest.approx(rate)
    many = theory.momentum_radius(eigenvalues, [alpha, 9 / eigenvalues[-1]], [[beta]], nesterov)
    assert many.shape == (1, 2)
    assert many[0, 1] > 1  # diverges
    X, y = gd.compress(X, y)
    minimiser = np.linalg.lstsq(X, y)[0]
    t = np.arange(*(-np.array([10, 25]) / np.log(rate)).astype(int))
    got = thetas(
        t[-1],
        X=X,
        y=y,
        theta_init=np.zeros(10),
        batches=gd.FullBatch(),
        learning_rate=alpha,
        momentum=beta,
        nesterov=nesterov,
    )
    errors = np.linalg.norm(got - minimiser, axis=1)
    slope = np.polyfit(t, np.log(errors[t] / t), 1)[0]
    assert slope == pytest.approx(np.log(rate), rel=0.01)

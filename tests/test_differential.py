"""Random problems against a reference of our own: plain formulas, row by row, in long double.

The reference shares no line with the package. Its gradients are differences of its losses. Each
test walks through many random cases; `GDCOURSE_EXAMPLES` asks for five times as many.
"""

import os
from itertools import islice, pairwise

import numpy as np
import pytest
from problems import OBJECTIVES, problem

import gdcourse as gd
from gdcourse import schedules

WIDE = np.longdouble
CASES = 16 * (5 if os.environ.get("GDCOURSE_EXAMPLES") else 1)
LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "backwards": lambda X: np.ascontiguousarray(X[::-1])[::-1],
    "columns of more": lambda X: np.hstack([X, X])[:, : X.shape[1]],
}
every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)


def find_losses(objective, theta, X, y):
    """The loss of every row, without the ridge term."""
    theta, X = np.asarray(theta, WIDE), np.asarray(X, WIDE)
    if isinstance(objective, gd.LeastSquares):
        return (X @ theta - y) ** 2 / 2
    if isinstance(objective, gd.LogisticRegression):
        z = X @ theta
        return np.log(1 + np.exp(-abs(z))) + np.where(y == 1, np.maximum(-z, 0), np.maximum(z, 0))
    z = X
    if isinstance(objective, gd.MLP):
        place, sizes = 0, objective.layer_sizes
        for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
            z = np.tanh(z) if layer else z
            weights = theta[place : place + n_in * n_out].reshape(n_in, n_out)
            place += n_in * n_out
            z = z @ weights + theta[place : place + n_out]
            place += n_out
    else:
        z = z @ theta
    shift = z.max(axis=1)
    total = np.exp(z - shift[:, None]).sum(axis=1)
    return np.log(total) + shift - z[np.arange(len(y)), np.asarray(y, dtype=int)]


def find_gradients(objective, theta, X, y):
    """The gradient of every row, without the ridge term, flat: (n, theta.size)."""
    theta = np.asarray(theta, WIDE)
    h = WIDE(1e-4)  # long double may be double, or have an exponential of double precision
    columns = []
    for k in range(theta.size):
        step = np.zeros(theta.size, WIDE)
        step[k] = h
        step = step.reshape(theta.shape)
        at = [find_losses(objective, theta + m * step, X, y) for m in (-2, -1, 1, 2)]
        columns.append((at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h))
    return np.stack(columns, axis=1)


def draw_cases(objective, n_cases, seed):
    """Random problems of every size, layout and precision."""
    rng = np.random.default_rng(seed)
    for _ in range(n_cases):
        dtype = rng.choice([np.float64, np.float32])
        theta, X, y = problem(objective, int(rng.integers(2, 40)), int(rng.integers(2**31)), dtype)
        layout = LAYOUTS[rng.choice(list(LAYOUTS))]
        yield rng, theta * dtype(rng.choice([0.1, 1, 3])), layout(X), y, dtype


@every_objective
def test_what_is_measured_is_what_the_reference_measures(objective):
    for rng, theta, X, y, dtype in draw_cases(objective, CASES, 1):
        single = dtype is np.float32
        near = {"rtol": 2e-4 if single else 1e-9, "atol": 2e-5 if single else 1e-10}
        flat = np.asarray(theta, WIDE).reshape(-1)
        losses = find_losses(objective, theta, X, y)
        each = find_gradients(objective, theta, X, y)
        mean = each.mean(axis=0)
        gradient = mean + objective.l2 * flat
        loss = losses.mean() + objective.l2 / 2 * flat @ flat
        np.testing.assert_allclose(float(objective.loss(theta, X, y)), loss, **near)
        np.testing.assert_allclose(objective.gradient(theta, X, y).reshape(-1), gradient, **near)
        per_sample = objective.per_sample_gradients(theta, X, y).reshape(len(y), -1)
        np.testing.assert_allclose(per_sample, each + objective.l2 * flat, **near)
        norms = (each**2).sum(axis=1)
        found = objective.squared_gradient_norms(theta, X, y)
        np.testing.assert_allclose(found, norms, rtol=1e-3 if single else 1e-8, atol=near["atol"])
        found_loss, found_gradient = gd.evaluate(objective, theta, X, y)
        np.testing.assert_allclose(found_loss, loss, **near)
        np.testing.assert_allclose(found_gradient.reshape(-1), gradient, **near)
        variance = ((each - mean) ** 2).sum() / len(y)
        scale = norms.mean()
        assert abs(gd.gradient_variance(objective, theta, X, y) - variance) <= 1e-7 * scale
        wanted = variance / (gradient @ gradient)
        assert gd.noise_scale(objective, theta, X, y) == pytest.approx(float(wanted), rel=1e-6)
        cuts = np.sort(rng.choice(np.arange(1, len(y)), min(3, len(y) - 1), replace=False))
        parts = zip(np.split(X, cuts), np.split(y, cuts), strict=True)
        found = gd.accumulate_gradient(objective, theta, parts).reshape(-1)
        np.testing.assert_allclose(found, gradient, **near)


class Ragged:
    """A reader's sampler: batches of any size, as lists, tuples and arrays, from either end."""

    def epochs(self, n_samples, rng):
        while True:
            rows = rng.permutation(n_samples) - n_samples * rng.integers(2, size=n_samples)
            cuts = np.sort(rng.integers(1, n_samples, size=3))
            parts = [part for part in np.split(rows, cuts) if len(part)]
            yield [
                kind(part)
                for kind, part in zip(
                    (list, tuple, np.asarray, lambda a: a.astype(np.int16)), parts, strict=False
                )
            ]


def draw_scheme(rng, n, y):
    """A scheme with a random batch size."""
    b = int(rng.integers(1, n + 1))
    labels = np.asarray(y) > np.median(y)
    drop = {"drop_last": bool(rng.integers(2))}
    return [
        gd.FullBatch(),
        gd.InOrder(b, **drop),
        gd.Shuffled(b, **drop),
        gd.Shuffled(1),
        gd.ShuffledOnce(b, **drop),
        gd.WithReplacement(b, **drop),
        gd.BlockShuffled(b, int(rng.integers(1, n + 1)), int(rng.integers(1, 4)), **drop),
        gd.Stratified(b, labels, **drop),
        gd.Balanced(b, labels, **drop),
        Ragged(),
    ][rng.integers(10)]


RATES = [
    (0.02, lambda t: 0.02),
    (schedules.inverse_time(0.05, 0.3), lambda t: 0.05 / (1 + 0.3 * t)),
    (schedules.inverse_sqrt(0.05, 0.3), lambda t: 0.05 / (1 + 0.3 * t) ** 0.5),
    (schedules.exponential(0.05, 0.9), lambda t: 0.05 * 0.9**t),
    (
        schedules.piecewise([3, 9], [0.05, 0.02, 0.01]),
        lambda t: (0.05, 0.02, 0.01)[(t > 2) + (t > 8)],
    ),
    (schedules.cosine(0.05, 20), lambda t: 0.025 * (1 + np.cos(np.pi * min(t, 19) / 20))),
    (schedules.warmup(0.05, 4), lambda t: 0.05 * min(1, (t + 1) / 4)),
    (lambda t: 0.03 / (1 + t), lambda t: 0.03 / (1 + t)),
]


@every_objective
def test_a_descent_is_the_loop_of_the_reference(objective):
    for rng, theta, X, y, dtype in draw_cases(objective, CASES, 2):
        n, seed = len(y), int(rng.integers(2**31))
        batches = draw_scheme(rng, n, y)
        learning_rate, rate = RATES[rng.integers(len(RATES))]
        momentum, nesterov = float(rng.choice([0, 0, 0.5, 0.9])), bool(rng.integers(2))
        record_every = [None, 1, 3, 7][rng.integers(4)]
        n_epochs = int(rng.integers(0, 4))
        run = {"batches": batches, "learning_rate": learning_rate, "objective": objective}
        run |= {"momentum": momentum, "nesterov": nesterov, "rng": seed}
        found, history = gd.descend(
            X, y, theta, n_epochs=n_epochs, record_every=record_every, **run
        )

        at, velocity, step, seen = np.asarray(theta, WIDE), np.zeros(theta.shape, WIDE), 0, 0
        path, ends = [(0, 0, at)], [0]
        for epoch in islice(batches.epochs(n, np.random.default_rng(seed)), n_epochs):
            for batch in epoch:
                look = at + momentum * velocity if nesterov else at
                rows = np.arange(n)[batch]
                each = find_gradients(objective, look, X[rows], y[rows])
                gradient = each.mean(axis=0).reshape(at.shape) + objective.l2 * look
                velocity = momentum * velocity - WIDE(rate(step)) * gradient
                at, step, seen = at + velocity, step + 1, seen + len(rows)
                path.append((step, seen, at))
            ends.append(step)
        marks = ends if record_every is None else range(0, step + 1, record_every)
        marks = sorted({*marks, step})
        near = {"rtol": 1e-3, "atol": 1e-4} if dtype is np.float32 else {"rtol": 1e-8, "atol": 1e-9}
        assert found.dtype == dtype
        np.testing.assert_allclose(found, at, **near)
        assert history.step.tolist() == marks
        assert history.samples_seen.tolist() == [path[mark][1] for mark in marks]
        for k, mark in enumerate(marks):
            theta_then = path[mark][2]
            loss = find_losses(objective, theta_then, X, y).mean()
            loss += objective.l2 / 2 * (theta_then**2).sum()
            np.testing.assert_allclose(history.loss[k], loss, **near)


# The tails, and long sums


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_logistic_loss_keeps_its_digits_in_both_tails(dtype, compiled):
    """To relabel 0 and 1 and turn θ round changes nothing; far out, the loss is exp(−|z|)."""
    one = np.ones(300 if compiled else 3, dtype)
    objective = gd.LogisticRegression()
    for z in (0.5, 5, 10, 15, 30, 37, 80, 500 if dtype is np.float64 else 85):
        exact = np.log1p(np.exp(-WIDE(z)))
        for theta, y in ((z, one), (-z, 0 * one)):
            theta = np.array([theta], dtype)
            loss, gradient = gd.evaluate(objective, theta, one[:, None], y)
            slope = np.exp(-WIDE(z)) / (1 + np.exp(-WIDE(z)))
            near = 1e-4 if dtype is np.float32 and compiled is False else 1e-5
            assert loss == pytest.approx(float(exact), rel=near)
            assert abs(gradient[0]) == pytest.approx(float(slope), rel=near)
            assert float(objective.loss(theta, one[:, None], y)) == pytest.approx(
                float(exact), rel=near
            )


def test_single_precision_sums_ten_million_rows():
    """In float32 itself, a sum of 10⁷ equal numbers is a part in a thousand off."""
    n = 10**7
    X = np.full((n, 1), 0.1, np.float32)
    y = np.zeros(n, np.float32)
    theta = np.array([3.0], np.float32)
    z = np.float64(np.float32(0.1)) * 3
    loss, gradient = gd.evaluate(gd.LeastSquares(), theta, X, y)
    assert loss == pytest.approx(z * z / 2, rel=1e-6)
    assert gradient[0] == pytest.approx(z * np.float64(np.float32(0.1)), rel=1e-6)
    run = {"batches": gd.FullBatch(), "learning_rate": 1.0, "n_epochs": 1}
    walked = gd.descend(X, y, theta, **run).theta[0]
    assert walked == pytest.approx(3 - z * np.float64(np.float32(0.1)), rel=1e-6)
    halves = gd.descend(X, y, theta, **run | {"batches": gd.InOrder(n // 20)}).theta[0]
    assert halves == pytest.approx(3 * (1 - np.float64(np.float32(0.1)) ** 2) ** 20, rel=1e-6)

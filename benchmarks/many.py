"""Many runs at once: `gd.descend_many` beside the loops that one writes instead.

All contestants make the same 64 runs of single rows on one table, and draw the rows that they
use: the NumPy loop over runs draws for all of them together, JAX is handed the rows of
`gd.WithReplacement` and its time is that of the drawing and of its batched lax.scan. Runs are
compared with ours before the clock starts. Figures are nanoseconds a sample of one run.
"""

import os
from functools import partial
from importlib.util import find_spec

import numpy as np

import gdcourse as gd
from benchmarks import clock
from gdcourse.lesson import data

N_RUNS, N_EPOCHS, RATE = 64, 10, 1e-3
PROBLEMS = {"diabetes": data.diabetes, "digits": lambda: data.digits(standardise=False)}


def compare(rounds):
    """A row for each problem and each contestant, all cores allowed."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count()))
    for name, load in PROBLEMS.items():
        X, y = load()
        X = X / np.abs(X).max()
        contestants = {
            "gdcourse": ours,
            "descend, run by run": one_by_one,
            "NumPy loop": numpy_loop,
        }
        if find_spec("jax"):
            contestants["JAX, lax.scan over runs"] = make_jax(X, y)
        expected = ours(X, y)
        for who, function in contestants.items():
            if who != "NumPy loop":  # which draws rows of its own
                np.testing.assert_allclose(function(X, y), expected, rtol=1e-8, atol=1e-12)
            else:
                assert np.isfinite(function(X, y)).all()
        calls = {who: partial(function, X, y) for who, function in contestants.items()}
        case = {"problem": name, "n": len(X), "d": X.shape[1], "runs": N_RUNS}
        samples = len(X) * N_RUNS * N_EPOCHS
        times = clock.take_turns(calls, rounds)
        yield from clock.rows(times, "gdcourse", 1e-9 * samples, **case)


def ours(X, y):
    """One call: 64 seeds, recorded at the start and at the end."""
    return gd.descend_many(
        X,
        y,
        np.zeros(X.shape[1]),
        batches=gd.WithReplacement(1),
        learning_rate=RATE,
        n_epochs=N_EPOCHS,
        rng=range(N_RUNS),
        record_every=10**9,
    ).theta


def one_by_one(X, y):
    """`descend` in a loop."""
    return np.array(
        [
            gd.descend(
                X,
                y,
                np.zeros(X.shape[1]),
                batches=gd.WithReplacement(1),
                learning_rate=RATE,
                n_epochs=N_EPOCHS,
                rng=seed,
                record_every=10**9,
            ).theta
            for seed in range(N_RUNS)
        ]
    )


def numpy_loop(X, y):
    """The loop over steps of all runs that a notebook writes."""
    n, d = X.shape
    rng = np.random.default_rng(0)
    theta = np.zeros((N_RUNS, d))
    for step in range(n * N_EPOCHS):
        if step % n == 0:
            draws = rng.integers(n, size=(n, N_RUNS))
        i = draws[step % n]
        residual = np.vecdot(X[i], theta) - y[i]
        theta = theta - RATE * residual[:, None] * X[i]
    return theta


def make_jax(X, y):
    """A jitted lax.scan over the steps of an epoch, the runs side by side in each step."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    X_there, y_there = jnp.asarray(X), jnp.asarray(y)

    @jax.jit
    def epoch(theta, rows):
        def step(theta, i):
            x = X_there[i]
            residual = jnp.sum(x * theta, axis=1) - y_there[i]
            return theta - RATE * residual[:, None] * x, None

        return jax.lax.scan(step, theta, rows)[0]

    def run(X, y):
        seeds = [np.random.default_rng(seed) for seed in range(N_RUNS)]
        theta = jnp.zeros((N_RUNS, X.shape[1]))
        for _ in range(N_EPOCHS):
            rows = np.stack([rng.integers(len(X), size=len(X)) for rng in seeds], axis=1)
            theta = epoch(theta, rows)
        return np.asarray(theta.block_until_ready())

    return run

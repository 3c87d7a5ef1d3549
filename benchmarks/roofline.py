"""What the machine can do, and how near the loops come: bytes and operations of a sample.

Measured here, on one thread: how fast rows are read one after another and at random, and how many
operations a second a product of matrices that fit in a cache makes. A loop can be no faster than
the slower of its reading and its arithmetic; `share` is that bound over what was measured.
"""

import math
import statistics
import sys

import numpy as np

import gdcourse as gd
from benchmarks import clock

N_CLASSES = 10
EXPONENTIAL = 34  # operations of the loop's own: range reduction and a polynomial of degree 12


def measure(rounds, n=1_000_000, d=20):
    """A row for each ceiling of the machine, then for each loop."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    y = X @ rng.standard_normal(d) + rng.standard_normal(n)
    order, room = rng.permutation(n), np.empty((2**10, d))
    square = rng.standard_normal((500, 500))

    def gather():
        for start in range(0, n - len(room), len(room)):
            np.take(X, order[start : start + len(room)], axis=0, out=room, mode="clip")

    times = clock.take_turns(
        {"read": lambda: np.sum(X), "gather": gather, "multiply": lambda: square @ square}, rounds
    )
    read, gathered, multiplied = (statistics.median(found) for found in times.values())
    in_order, at_random = X.nbytes / read, X.nbytes / gathered
    operations = 2 * 500**3 / multiplied
    for what, rate, unit in (
        ("rows in order", in_order, "GB/s"),
        ("rows at random", at_random, "GB/s"),
        ("products of matrices", operations, "Gop/s"),
    ):
        yield row(f"ceiling: {what}, {rate * 1e-9:.1f} {unit}")

    classes = {"least squares": y, "logistic": (y > 0) * 1.0}
    classes["softmax"] = rng.integers(N_CLASSES, size=n) * 1.0
    objectives = {"least squares": gd.LeastSquares(), "logistic": gd.LogisticRegression()}
    objectives["softmax"] = gd.SoftmaxRegression(N_CLASSES)
    arithmetic = {
        "least squares": 4 * d,
        "logistic": 4 * d + EXPONENTIAL,
        "softmax": N_CLASSES * (4 * d + EXPONENTIAL),
    }
    for model, objective in objectives.items():
        theta = np.zeros((d, N_CLASSES) if model == "softmax" else d)
        arguments = (objective, theta, X, classes[model])
        times = clock.take_turns({"pass": lambda a=arguments: gd.evaluate(*a)}, rounds)
        nanoseconds = 1e9 * statistics.median(times["pass"]) / n
        # `evaluate` looks for values that are not finite first, which is a second reading.
        yield row(
            f"{model}, loss and gradient",
            2 * 8 * d,
            arithmetic[model],
            in_order,
            operations,
            nanoseconds,
        )
        for b in (1, 256):
            found = []
            for seed in range(1 + rounds):  # the first one compiles
                run = gd.descend(
                    X,
                    classes[model],
                    theta,
                    objective=objective,
                    batches=gd.Shuffled(b),
                    learning_rate=0.01,
                    n_epochs=1,
                    rng=seed,
                    record_every=sys.maxsize,
                )
                found.append(run.history.seconds[-1])
            nanoseconds = 1e9 * statistics.median(found[1:]) / n
            yield row(
                f"{model}, epoch of b = {b}",
                8 * d,
                arithmetic[model],
                at_random,
                operations,
                nanoseconds,
            )


def row(what, n_bytes=0, n_operations=0, bandwidth=1.0, rate=1.0, measured=math.inf):
    """A row of the table, in nanoseconds a sample; a ceiling has no sample."""
    reading, computing = 1e9 * n_bytes / bandwidth, 1e9 * n_operations / rate
    bound = max(reading, computing)
    return {
        "what": what,
        "bytes": n_bytes,
        "operations": n_operations,
        "reading": f"{reading:.1f}",
        "computing": f"{computing:.1f}",
        "measured": f"{measured:.1f}",
        "share": f"{bound / measured:.2f}",
    }

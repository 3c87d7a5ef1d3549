"""Chapter 1: the exact gradient, its best rate and when to stop."""

import numpy as np

from gdcourse.lesson import data
from gdcourse.lesson.checks.exercise import (
    call,
    compare,
    exercise,
    expect,
    number,
    numbers,
    several,
)


@exercise(
    "1.1",
    "ex-full-batch-stop",
    '''
def descend_within(distance, X, y, theta, learning_rate):
    """Full-batch descent until theta is surely within distance of the minimiser.

    Returns theta and the number of steps.
    """
    ...
''',
    minutes=20,
    level=2,
    points=3,
    hints=(
        "Which eigenvalue of H bounds how short the gradient can be, far from the minimiser?",
        "With H = X'X/n, ‖∇J‖ ≥ μ‖θ − θ*‖. Find the tol that makes ‖θ − θ*‖ ≤ distance, and test "
        "the gradient before each step.",
    ),
)
def descend_within(answer):
    rate = 0.9
    _expect_a_descent(answer)
    for seed, along in ((1, "flattest"), (2, "random")):
        X, y, _ = data.linear_problem(60, 3, condition=20, noise=0.5, rng=seed)
        h, basis = np.linalg.eigh(X.T @ X / len(y))
        best = np.linalg.lstsq(X, y, rcond=None)[0]
        away = basis[:, 0] if along == "flattest" else np.ones(3)
        for distance, start in ((0.05, best + 4 * away), (0.5, best + 0.1 * away)):
            alpha = rate / h[-1]
            returned = call(answer, distance, X, y, start, alpha)
            end, taken = several(returned, 2, "what your function returns")
            end = numbers(end, (3,), "your theta")
            taken = number(taken, "your number of steps")
            off = np.linalg.norm(end - best)
            left = np.linalg.norm(h * (basis.T @ (end - best)))
            fault = f"you stop {off:.2g} away from the minimiser where {distance} was asked for: "
            expect(
                off <= distance or left > distance,
                f"{fault}a gradient may be short far away, above all along the flattest direction; "
                "by which eigenvalue?",
            )
            expect(off <= distance, f"{fault}the gradient must be shorter before you may stop")
            at_count = best + basis @ ((1 - alpha * h) ** taken * (basis.T @ (start - best)))
            expect(
                np.linalg.norm(end - at_count) < 1e-3 * distance,
                f"theta is not where {taken:g} steps lead: count the updates, and nothing else",
            )
            path = [start]
            while np.linalg.norm(h * (basis.T @ (path[-1] - best))) >= h[0] * distance:
                path.append(path[-1] - alpha * X.T @ (X @ path[-1] - y) / len(y))
            expect(
                taken <= len(path) - 1,
                f"you go on for {taken - len(path) + 1:g} steps after the gradient was short "
                "enough: take the largest tol that still guarantees the distance, and test "
                "before the step",
            )
            expect(
                taken == len(path) - 1,
                "you stop before the gradient is short enough to guarantee the distance; this "
                "start was lucky",
            )
    return "within the distance from every start, at the first step that guarantees it"


def _expect_a_descent(answer):
    """One row, and a rate at which even n times the gradient comes down."""
    X, y, start = np.ones((20, 1)), np.zeros(20), np.array([1.0])
    end, taken = several(call(answer, 0.2, X, y, start, 0.02), 2, "what your function returns")
    end, taken = numbers(end, (1,), "your theta"), number(taken, "your number of steps")
    what = f"theta after your {taken:g} steps in one dimension"
    for factor, look_at in (
        (20, "J is a mean over rows: divide its gradient by n"),
        (2, "the gradient of half the mean square has no factor 2"),
    ):
        reached = (1 - factor * 0.02) ** taken
        expect(
            taken == 0 or abs(end[0] - reached) > 1e-3 * abs(end[0]), f"{what} is off: {look_at}"
        )


@exercise(
    "1.2",
    "ex-full-batch-wine",
    '''
def steps_a_digit(X):
    """Steps that one more digit costs at the best constant rate, for rows X of shape (n, d)."""
    ...
''',
    minutes=10,
    level=1,
    points=2,
    hints=(
        "By which factor does the error shrink at each step at the best constant rate?",
        "By ρ = (κ − 1)/(κ + 1), with κ the condition number of X'X. Solve ρ^t = 1/10 for t.",
    ),
)
def steps_a_digit(answer):
    for scale in (60, 2000, 1e7):
        X, *_ = data.linear_problem(50, 4, condition=scale, rng=3)
        k = np.linalg.cond(X) ** 2
        right = np.log(10) / np.log((k + 1) / (k - 1))
        compare(
            number(call(answer, X), "the number of steps"),
            right,
            f"for a condition number of about {scale:,.0f} your number of steps",
            (np.log(10) * k**0.5 / 2, "is it the condition number of X, and not of X'X?"),
            (right / 2, "a digit of the error, not of its square"),
            (2 * right, "the rate 1/L is not the best one"),
            (right / np.log(10), "one more digit is a factor of ten, not of e"),
            (k, "the condition number is not yet a number of steps"),
            (-right, "its sign is turned: a factor below 1 has a negative logarithm"),
            rtol=0.01 + 1 / right,
        )
    return "the steps agree with the condition number, from 60 to ten million"


@exercise(
    "1.3",
    "ex-full-batch-best",
    '''
def best_rate(X):
    """The best constant rate for rows X of shape (n, d), found on a fine grid."""
    ...
''',
    minutes=15,
    level=2,
    points=2,
    hints=(
        "At each rate of the grid only the direction that shrinks most slowly counts.",
        "Minimise max(|1 − αμ|, |1 − αL|) over α between 0 and 2/L, with μ and L the extreme "
        "eigenvalues of X'X/n.",
    ),
)
def best_rate(answer):
    for condition in (3, 40):
        X, *_ = data.linear_problem(50, 4, condition=condition, rng=4)
        mu, *_, L = np.linalg.eigvalsh(X.T @ X / len(X))
        alpha = number(call(answer, X), "your rate")
        right = 2 / (L + mu)
        shrinks = max(abs(1 - alpha * mu), abs(1 - alpha * L))
        what = f"at your rate the slowest direction is multiplied by {shrinks:.3f} a step; the rate"
        compare(
            alpha,
            right,
            what,
            (1 / L, "the steepest direction is done at once, and the flattest waits"),
            (2 / L, "the steepest direction never shrinks"),
            (1 / mu, "it suits the flattest direction alone"),
            (right / len(X), "J is a mean over rows: H is X'X/n"),
            (2 / (L**0.5 + mu**0.5), "take the eigenvalues of X'X/n, not the singular values"),
            rtol=2e-3,
        )
    return "no other constant rate shrinks the slowest direction faster, on two drawn problems"


@exercise(
    "1.4",
    "ex-full-batch-chunks",
    '''
def chunked_gradient(chunks, theta):
    """The exact gradient of least squares from pairs (X_part, y_part) of any length."""
    ...
''',
    minutes=10,
    level=1,
    points=2,
    hints=(
        "How much should a row of the short chunk weigh, against a row of the long one?",
        "Weight the mean gradient of a chunk by its share of all rows, len(y_part)/n.",
    ),
)
def chunked_gradient(answer):
    for seed, cuts in ((5, (40,)), (6, (7, 30)), (7, (16, 32))):
        X, y, _ = data.linear_problem(48, 3, noise=1.0, rng=seed)
        chunks = list(zip(np.split(X, cuts), np.split(y, cuts), strict=True))
        for theta in (np.zeros(3), np.array([1.0, -2.0, 0.5])):
            means = [A.T @ (A @ theta - b) / len(b) for A, b in chunks]
            right = X.T @ (X @ theta - y) / len(y)
            compare(
                numbers(call(answer, chunks, theta), (3,), "your gradient"),
                right,
                f"for chunks of {', '.join(str(len(b)) for _, b in chunks)} rows your gradient",
                (np.mean(means, axis=0), "every chunk weighs the same; look at the short one"),
                (np.sum(means, axis=0), "the means of the chunks are added without weights"),
                (len(y) * right, "it is the sum over rows, and J is a mean"),
                (-right, "its sign is turned"),
                (right - len(chunks[-1][1]) / len(y) * means[-1], "the last chunk is missing"),
            )
    return "the gradient of all rows to rounding, for even and uneven chunks"


@exercise(
    "1.5",
    "ex-full-batch-shrink",
    '''
def break_even(n, d):
    """Steps after which gd.compress has paid for itself, for n rows and d features."""
    ...
''',
    minutes=15,
    level=1,
    points=2,
    hints=(
        "Divide what compression costs once by what it saves at each step.",
        "It costs 2n(d + 1)² once, and saves nearly all of the 4nd of a step.",
    ),
)
def break_even(answer):
    for n, d in ((100_000, 10), (442, 10), (1_000_000, 100), (10**9, 20)):
        least = (d + 1) ** 2 / (2 * d)
        exact = 2 * n * (d + 1) ** 2 / (4 * n * d - 4 * d * (d + 1))
        compare(
            steps := number(call(answer, n, d), "the number of steps"),
            np.clip(steps, np.floor(least), np.ceil(exact)),
            f"for {n:,} rows and {d} features the number of steps",
            (2 * n * (d + 1) ** 2, "that is what compression costs; a step costs something too"),
            (n * least, "does the number of rows matter? Both costs grow with it"),
            (2 * least, "a step has the multiplications and as many additions"),
            (least / 2, "compression takes 2n(d + 1)² operations"),
            (d / 2, "the triangle has d + 1 columns, as y is one of them"),
            rtol=1e-9,
        )
    return "cost over saving, for four sizes; and n hardly matters"

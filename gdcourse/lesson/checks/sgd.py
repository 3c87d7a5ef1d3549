"""Chapter 2: steps from one row, their bias, their floor and their average."""

from itertools import combinations_with_replacement, permutations, product

import numpy as np

from gdcourse.lesson import data
from gdcourse.lesson.checks.exercise import (
    AnswerError,
    call,
    close,
    compare,
    exercise,
    expect,
    number,
    numbers,
    recognise,
    several,
)
from gdcourse.lesson.theory import noise_floor, stability_limit


@exercise(
    "2.1",
    "ex-sgd-history",
    '''
def sgd_with_history(X, y, theta, learning_rate, n_epochs, rng):
    """SGD over shuffled rows: the loss at the end of every epoch, shape (n_epochs,)."""
    ...
''',
    minutes=20,
    level=2,
    points=3,
    hints=(
        "A loss belongs to one theta. When is theta what it is at the end of the epoch?",
        "Draw rng.permutation(n) for each epoch, step through it, and only then append the mean "
        "of (X @ theta - y)**2 / 2 over all rows.",
    ),
)
def sgd_with_history(answer):
    X, y, _ = data.linear_problem(12, 2, noise=0.3, rng=20)
    start, alpha, n_epochs = np.array([2.0, -1.0]), 0.1, 5
    found = call(answer, X, y, start, alpha, n_epochs, 21)
    found = numbers(found, (None,), "the history")
    expect(
        len(found) == n_epochs,
        f"you return {len(found)} losses for {n_epochs} epochs: one at the end of each",
    )

    def losses(fresh=True, at="end", factor=1, old=False, rng=21):
        rng, theta, history = np.random.default_rng(rng), start, []
        kept = rng.permutation(12)
        order = kept
        for _ in range(n_epochs):
            running, begin = [], theta
            for i in order:
                running.append(np.mean((X @ theta - y) ** 2) / 2)
                slope = (X[i] @ (begin if old else theta) - y[i]) * X[i]
                theta = theta - factor * alpha * slope
            loss = np.mean((X @ theta - y) ** 2) / 2
            history.append({"end": loss, "begin": running[0], "mean": np.mean(running)}[at])
            order = rng.permutation(12) if fresh else kept
        return np.array(history)

    right = losses()
    compare(
        found,
        right,
        "with the seed of the check the history",
        (losses(at="begin"), "it is the loss before each epoch; evaluate after the last step"),
        (losses(at="mean"), "it is a mean over the epoch, in which most of theta is stale"),
        (losses(fresh=False), "every epoch has the same order; draw a new permutation each time"),
        (2 * right, "J is half the mean square"),
        (12 * right, "J is a mean over rows, and this is a sum"),
        (losses(factor=-1), "it climbs: look at the sign of the step"),
        (losses(factor=2), "the gradient of half a square has no factor 2"),
        (losses(factor=1 / 12), "a step takes the gradient of its row whole, not divided by n"),
        (losses(old=True), "every step needs the residual at the theta that the last one left"),
        (found, lambda: _of_the_order(answer)),
    )
    return "the loss at the end of every epoch, on the package's own path"


def _of_the_order(answer):
    """What is wrong with the rows that are drawn, told by rows that have nothing in common.

    Each halves a coordinate of its own, so that the loss tells how often they came.
    """
    found = call(answer, np.eye(6), np.zeros(6), np.ones(6), 0.5, 1, 21)
    loss = number(found, "the history of one epoch")
    if close(loss, 1 / 8):
        return "take the rows in the order of rng.permutation(n), drawn anew for each epoch"
    times = (drawn for drawn in combinations_with_replacement(range(7), 6) if sum(drawn) == 6)
    if any(close(loss, np.mean(0.25 ** np.array(drawn)) / 2) for drawn in times):
        return "some rows come twice in an epoch and some not at all: draw without replacement"
    return None


@exercise(
    "2.2",
    "ex-sgd-permuted",
    '''
def bias_at_step(orders, k, X, y, learning_rate):
    """Mean over orders of g(theta_k) - grad J(theta_k), from theta_0 = 0; shape (d,).

    orders is a list of orders of rows; step k = 0 is the first.
    """
    ...
''',
    minutes=25,
    level=3,
    points=4,
    hints=(
        "Each order leads to a theta_k of its own; take both gradients there.",
        "For each order make its first k steps, then take the gradient of row order[k] minus the "
        "mean gradient of all rows, and average over the orders.",
    ),
)
def bias_at_step(answer):
    X, y, _ = data.linear_problem(4, 2, noise=1.0, rng=22)
    alpha = 0.2
    shuffled, drawn = list(permutations(range(4))), list(product(range(4), repeat=4))

    def bias(orders, k, walk=True, fresh=True, less=np.mean):
        total, theta = 0.0, np.zeros(2)
        for order in orders:
            theta = np.zeros(2) if fresh else theta
            for i in order[: k if walk else 0]:
                theta = theta - alpha * (X[i] @ theta - y[i]) * X[i]
            each = X * (X @ theta - y)[:, None]
            total = total + each[order[k]] - less(each, axis=0)
        return total / len(orders)

    for name, orders in (("shuffled", shuffled), ("drawn", drawn), ("one fixed", shuffled[5:6])):
        for k in range(4):
            found = call(answer, orders, k, X, y, alpha)
            found = numbers(found, (2,), "the bias")
            right = bias(orders, k)
            none = np.linalg.norm(right) < 1e-12
            if np.linalg.norm(found) < 1e-6 if none else close(found, right):
                continue
            clues = [
                (
                    -right,
                    "its sign is turned: is it what the step uses minus what it should estimate, "
                    "and does the path go down?",
                ),
                (len(orders) * right, "it is a sum over the orders, and not their mean"),
                (bias(orders, k, less=np.sum), "J is a mean over rows: divide its gradient by n"),
                (bias(orders, k, less=lambda each, axis: 0), "subtract the gradient of all rows"),
                (bias(orders, k, fresh=False), "every order begins at theta = 0 again"),
                (bias(orders, k, walk=False), "theta has to move: make k steps first"),
            ]
            if k < 3:
                clues.append((bias(orders, k + 1), "you are a step too far"))
            if none:
                look_at = recognise(found, *clues) or (
                    f"are both gradients taken at the same theta, which {k} steps have reached?"
                )
                raise AnswerError(
                    f"your bias at step {k} of the {name} orders is {np.linalg.norm(found):.2g} "
                    f"long, and there is none: {look_at}"
                )
            compare(found, right, f"for step {k} of the {name} orders your bias", *clues)
    return "no bias at the first step nor with replacement, and the right one at the later steps"


@exercise(
    "2.3",
    "ex-sgd-floor",
    '''
def order_floor(X, y, b):
    """For a floor of 1 % of the minimal loss: learning rate, number of steps, decay."""
    ...
''',
    minutes=25,
    level=2,
    points=4,
    hints=(
        "Turn the first-order formula round. Which matrix is S, and where is it taken?",
        "α tr S/(4b) = 0.01 J*; the mean error along μ shrinks by 1 − αμ a step; α/decay should "
        "be 1/μ.",
    ),
)
def order_floor(answer):
    # Long enough for the sums over n and over n − 1 to be the same within the tolerance.
    for seed, b in ((23, 1), (24, 16), (25, 4)):
        X, y, _ = data.linear_problem(400, 3, condition=30, noise=1.0, rng=seed)
        mu, *_, L = np.linalg.eigvalsh(X.T @ X / len(y))
        best = np.linalg.lstsq(X, y, rcond=None)[0]
        lowest = np.mean((X @ best - y) ** 2) / 2
        trace, at_zero = (np.sum((X * (X @ theta - y)[:, None]) ** 2) for theta in (best, 0 * best))
        returned = several(call(answer, X, y, b), 3, "what your function returns")
        names = ("the learning rate", "the number of steps", "the decay")
        alpha, n_steps, decay = (
            number(value, name) for value, name in zip(returned, names, strict=True)
        )
        expect(alpha > 0, "the learning rate must be positive")
        floor = noise_floor(X, y, alpha, b, exact=False) / lowest
        compare(
            floor,
            0.01,
            f"your rate for b = {b} has a floor of {100 * floor:.2g} % of the minimal loss: it",
            (0.01 / b if b > 1 else np.nan, "where is b in the formula?"),
            (0.01 / b**2 if b > 1 else np.nan, "b is on the wrong side"),
            (1.0, "one per cent is 0.01"),
            (0.02, "both the excess loss, half of tr(HC), and J*, half the mean square, have a ½"),
            (0.04, "the formula has a 4"),
            (0.01 / len(y), "S is a mean over rows, not a sum"),
            (0.01 * len(y), "J* is a mean over rows, not a sum"),
            (0.01 * trace / at_zero, "S is taken at the minimiser, where the noise is at the end"),
            rtol=0.01,
        )
        steps = np.log(100) / (alpha * mu)
        compare(
            n_steps,
            steps,
            "the number of steps",
            (steps / 2, "the error, not its square"),
            (steps * mu / L, "the slowest direction is the one with the smallest eigenvalue"),
            (steps / np.log(100) * np.log(10), "to one per cent, not to ten"),
            (steps / len(y), "μ is an eigenvalue of X'X/n: J is a mean over rows"),
            (-steps, "its sign is turned: a factor below 1 has a negative logarithm"),
            (steps * alpha, "the rate of the run is in it too"),
            rtol=0.01 + 1 / steps,
        )
        compare(
            decay,
            alpha * mu,
            f"your decay makes γ = {alpha * mu / decay:.2g}/μ: it",
            (mu, "the schedule starts at your rate"),
            (2 * alpha * mu, "γ must exceed 1/(2μ), and 1/μ is best"),
            rtol=0.02,
        )
    return "rate, steps and decay fit together, for three problems and three batch sizes"


@exercise(
    "2.4",
    "ex-sgd-limit",
    '''
def largest_rate(x):
    """The rate at which the mean squared error of SGD stops settling, for one feature x."""
    ...
''',
    minutes=20,
    level=3,
    points=3,
    hints=(
        "By which factor does the mean of e² change, if the row's own residual is left out?",
        "E(1 − αx²)² = 1 − 2αE[x²] + α²E[x⁴]. At which α > 0 is it 1?",
    ),
)
def largest_rate(answer):
    rng = np.random.default_rng(26)
    for x in (rng.standard_normal(500), 3 * rng.uniform(size=200), rng.exponential(size=300)):
        found = number(call(answer, x), "your limit")
        second, fourth = np.mean(x**2), np.mean(x**4)
        factor = 1 - 2 * found * second + found**2 * fourth
        goes = "shrinks" if factor < 1 else "grows"
        compare(
            found,
            stability_limit(x[:, None]),
            f"at your limit the mean squared error {goes} by {factor:.2g} a step: it",
            (2 / second, "that is the limit of the full batch, which sees the mean of x² alone"),
            (second / fourth, "that is where it shrinks fastest; look for where it stops"),
            (2 * np.var(x) / fourth, "E[x²], not the variance"),
            (2 / 3, "that is the limit of one law; compute it from the x given"),
            (2 / np.max(x**2), "that is safe for every single row, and more than is needed"),
            (2 * second / (fourth * len(x)), "both are means over the rows, not sums"),
            (2 * second * len(x) / fourth, "both are means over the rows, not sums"),
        )
    return "the squared error neither shrinks nor grows at your limit, for three kinds of x"


@exercise(
    "2.5",
    "ex-sgd-average-early",
    '''
def two_averages(X, y, theta, learning_rate, n_steps, rng):
    """Averages of SGD's iterates over all steps and over the second half.

    theta has a row for each run, shape (runs, d), and so has each average.
    """
    ...
''',
    minutes=35,
    level=3,
    points=4,
    hints=(
        "An average can be kept up without storing the iterates.",
        "average += (theta - average)/k after the k-th iterate that counts; the second half "
        "begins to count after n_steps//2 steps.",
    ),
)
def two_averages(answer):
    rng = np.random.default_rng(27)

    def ask(X, y, theta, alpha, n_steps, seed):
        returned = call(answer, X, y, theta, alpha, n_steps, np.random.default_rng(seed))
        pair = several(returned, 2, "what your function returns")
        return [
            numbers(value, theta.shape, f"the average over {name}")
            for value, name in zip(pair, ("all steps", "the second half"), strict=True)
        ]

    # All rows are equal, so that every draw makes the same path.
    row, target, alpha, T = np.array([1.0, 0.5]), 2.0, 0.1, 20
    start = np.array([[0.0, 0.0], [5.0, -1.0], [10.0, 10.0]])

    def walk(factor=1):
        path = [start]
        for _ in range(T):
            path.append(path[-1] - factor * alpha * (path[-1] @ row - target)[:, None] * row)
        return np.array(path)

    path, up, short = walk(), walk(-1), walk(1 / 9)
    found = ask(np.tile(row, (9, 1)), np.full(9, target), start, alpha, T, 28)
    if close(found[0], path[11:].mean(axis=0)) and close(found[1], path[1:].mean(axis=0)):
        raise_order = "the two averages have changed places: all steps come first"
        expect(False, raise_order)
    for value, begin, name in zip(found, (0, 10), ("all steps", "the second half"), strict=True):
        # The iterate before the first step may count or not.
        spans = (slice(begin + 1, T + 1), slice(begin, T), slice(begin, T + 1))
        rights = [path[span].mean(axis=0) for span in spans]
        if any(close(value, right) for right in rights):
            continue
        compare(
            value,
            rights[0],
            f"where all rows are equal the average over {name}",
            (path[-1], "that is the last iterate, not an average"),
            (path[1:11].mean(axis=0), "that is the first half"),
            (path[1:].mean(axis=0), "that is the average over all steps"),
            (path[begin + 1 :].sum(axis=0), "it is a sum, not a mean"),
            (path[begin + 1 :].sum(axis=0) / T, "how many iterates does it have?"),
            (up[begin + 1 :].mean(axis=0), "it climbs: look at the sign of the step"),
            (short[begin + 1 :].mean(axis=0), "the gradient of one row is not divided by n"),
        )
    X, y, _ = data.linear_problem(40, 2, noise=1.0, rng=29)
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    runs = best + np.zeros((200, 2))
    for value in ask(X, y, runs, 0.05, 200, int(rng.integers(99))):
        spread = np.std(value, axis=0)
        expect(
            np.all(spread > 1e-6), "every run draws the same rows: draw a row for each run and step"
        )
        # Under a constant rate the mean of θ stays at the minimiser exactly.
        off = np.abs(value.mean(axis=0) - best) / (spread / 200**0.5)
        expect(
            np.all(off < 5),
            f"started at the minimiser, your average over 200 runs is {np.max(off):.0f} standard "
            "errors away from it: is every row equally likely at every step?",
        )
    return "both averages where the path is known, and no bias over 200 runs where it is not"

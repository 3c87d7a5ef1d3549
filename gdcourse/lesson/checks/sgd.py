"""Chapter 2: steps from one row, their bias, their floor and their average."""

from itertools import permutations, product

import numpy as np

from gdcourse.lesson import data
from gdcourse.lesson.checks.exercise import (
    call,
    close,
    compare,
    exercise,
    expect,
    number,
    numbers,
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

    def losses(fresh=True, at="end", rng=21):
        rng, theta, history = np.random.default_rng(rng), start, []
        kept = rng.permutation(12)
        order = kept
        for _ in range(n_epochs):
            running = []
            for i in order:
                running.append(np.mean((X @ theta - y) ** 2) / 2)
                theta = theta - alpha * (X[i] @ theta - y[i]) * X[i]
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
    )
    return "the loss at the end of every epoch, on the package's own path"


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

    def bias(orders, k, walk=True):
        total = 0.0
        for order in orders:
            theta = np.zeros(2)
            for i in order[: k if walk else 0]:
                theta = theta - alpha * (X[i] @ theta - y[i]) * X[i]
            each = X * (X @ theta - y)[:, None]
            total = total + each[order[k]] - each.mean(axis=0)
        return total / len(orders)

    for name, orders in (("shuffled", shuffled), ("drawn", drawn), ("one fixed", shuffled[5:6])):
        for k in range(4):
            found = call(answer, orders, k, X, y, alpha)
            found = numbers(found, (2,), "the bias")
            right = bias(orders, k)
            if np.linalg.norm(right) < 1e-12:
                expect(
                    np.linalg.norm(found) < 1e-6,
                    f"your bias at step {k} of the {name} orders is {np.linalg.norm(found):.2g} "
                    "long, and there is none: are both gradients taken at the same theta, which "
                    f"{k} steps have reached?",
                )
                continue
            what = f"for step {k} of the {name} orders your bias"
            clues = [
                (-right, "its sign is turned: what the step uses minus what it should estimate"),
                (len(orders) * right, "it is a sum over the orders, and not their mean"),
                (bias(orders, k, walk=False), "theta has to move: make k steps first"),
            ]
            if k < 3:
                clues.append((bias(orders, k + 1), "you are a step too far"))
            compare(found, right, what, *clues)
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
            (0.02, "the excess loss is half of tr(HC)"),
            (0.04, "the formula has a 4"),
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
    path = [start]
    for _ in range(T):
        path.append(path[-1] - alpha * (path[-1] @ row - target)[:, None] * row)
    path = np.array(path)
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

"""Chapter 3: the short last batch, and what a batch size buys."""

from functools import cache
from itertools import combinations, product

import numpy as np

from gdcourse.engine.many import descend_many
from gdcourse.lesson import data
from gdcourse.lesson.checks.exercise import (
    call,
    close,
    compare,
    exercise,
    expect,
    number,
    numbers,
)
from gdcourse.sampling import Shuffled


@exercise(
    "3.1",
    "ex-minibatch-short",
    '''
def minibatch(X, y, theta, b, alpha, n_epochs, rng, drop_last=False):
    """Mini-batch descent for least squares over shuffled rows; rng is a Generator.

    drop_last leaves out a last batch that is short. Returns theta.
    """
    ...
''',
    minutes=40,
    level=2,
    points=4,
    hints=(
        "How many rows has the last batch, and by what do you divide its gradient?",
        "order = rng.permutation(n) for each epoch; batches order[s:s + b] for s in range(0, "
        "stop, b), with stop = n // b * b where the short one is dropped; divide by len(batch).",
    ),
)
def minibatch(answer):
    alpha, n_epochs = 0.15, 3

    def descend(X, y, theta, b, rng, drop_last, divide=None, fresh=True, skip=0, sign=1, old=False):
        n, rng = len(y), np.random.default_rng(rng)
        stop = n // b * b if drop_last else n
        kept = rng.permutation(n)
        order = kept
        for _ in range(n_epochs):
            begin = theta
            for s in range(0, stop - skip, b):
                batch = order[s : min(s + b, stop)]
                sums = X[batch].T @ (X[batch] @ (begin if old else theta) - y[batch])
                theta = theta - sign * alpha * sums / (divide or len(batch))
            order = rng.permutation(n) if fresh else kept
        return theta

    for n, b, drop_last in ((22, 5, False), (22, 5, True), (20, 5, True), (20, 5, False)):
        X, y, _ = data.linear_problem(n, 3, noise=1.0, rng=30)
        start = np.array([1.0, -1.0, 0.5])
        rng = np.random.default_rng(31)
        found = call(answer, X, y, start, b, alpha, n_epochs, rng, drop_last)
        found = numbers(found, (3,), "your theta")
        one = X, y, start, b, 31
        whole = n % b == 0
        missing = "a full batch is left out" if whole else "the last batch is missing"
        kept = "the short batch is still used" if drop_last else "the short batch is left out"
        compare(
            found,
            descend(*one, drop_last),
            f"for n = {n}, b = {b}, drop_last={drop_last} your theta",
            (
                descend(*one, drop_last, divide=b),
                "divide the gradient of the last batch by its own rows, not by b",
            ),
            (descend(*one, drop_last, divide=n), "divide by the batch, not by n"),
            (descend(*one, drop_last, divide=1), "a mean over the batch, no sum"),
            (descend(*one, drop_last, fresh=False), "every epoch has the same order"),
            (descend(*one, drop_last, sign=-1), "it climbs: look at the sign"),
            (
                descend(*one, drop_last, sign=2),
                "the gradient of half the mean square has no factor 2",
            ),
            (
                descend(*one, drop_last, old=True),
                "every step needs the residual at the theta that the last one left",
            ),
            (descend(*one, not drop_last), kept),
            (descend(*one, drop_last, skip=b), missing),
            (found, lambda: _of_the_order(answer)),
        )
    return "the package's own path, with the short batch and without it"


def _of_the_order(answer):
    """What is wrong with the batches that are drawn, told by rows that have nothing in common.

    Each shrinks a coordinate of its own: to 3/4 where a batch of two holds it, to 1/2 where twice.
    """
    rng = np.random.default_rng(31)
    found = call(answer, np.eye(8), np.zeros(8), np.ones(8), 2, 0.5, 3, rng, False)
    found = numbers(found, (8,), "your theta")
    if close(found, np.full(8, 0.75**3)):
        return "cut the batches from rng.permutation(n), drawn anew for each epoch"
    times = product(range(25), range(13))
    drawn = {round(0.75**once * 0.5**twice, 9): once + 2 * twice for once, twice in times}
    if sum(drawn.get(value, np.inf) for value in found.round(9)) == 24:
        return "some rows come twice in an epoch and some not at all: draw without replacement"
    return None


@exercise(
    "3.2",
    "ex-minibatch-valley",
    """
# The mean excess losses of b = 64, 256 and n, each at its own best rate, in this order:
valley = ...
""",
    minutes=30,
    level=2,
    points=3,
    hints=(
        "`tuned_excess` returns the best rates, mean excess losses and their errors, mark by mark.",
        "n_steps = 20 * (5000 // b); collect tuned_excess(X, y, b, [n_steps], 20, grid).mean[0].",
    ),
)
def valley(answer):
    found = numbers(answer, (3,), "`valley`")
    lowest, full, tuned = _excesses()
    if found.min() > lowest / 2:
        expect(False, "the excess loss is what the loss has above its minimum")
    expect(
        found[2] > 0.95 * full,
        "no rate brings the full batch as low as you say in 20 epochs: how many steps are they?",
    )
    expect(
        found[2] < 1.5 * full,
        "the full batch ends lower at a better rate: an epoch is one step of it, and its best "
        "rate is large",
    )
    for b, value, ends in zip((64, 256), found, tuned, strict=False):
        # The mean of twelve runs and the best of a grid have errors of a third, not of a factor 2.
        expect(
            value > ends / 2.5,
            f"for b = {b} no rate brings the mean over seeds as low as you say",
        )
        expect(
            value < 2.5 * ends,
            f"for b = {b} a better rate ends lower: tune each batch size by itself, and take the "
            "mean excess loss after 20 epochs",
        )
    return "each batch size is as low as its own best rate brings it in 20 epochs"


@cache
def _excesses():
    """Of the long valley: J*, the excess loss of the full batch, and those of b = 64 and 256."""
    X, y, _ = data.linear_problem(5000, 10, condition=100, rng=14)
    h, basis = np.linalg.eigh(X.T @ X / len(y))
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    c = basis.T @ best
    rates = np.geomspace(0.5, 2, 400) / h[-1]
    of_rate = (1 - rates[:, None] * h) ** 40 @ (h * c**2) / 2
    lowest = np.mean((X @ best - y) ** 2) / 2
    tuned = []
    for b in (64, 256):
        runs = descend_many(
            X,
            y,
            np.zeros(10),
            batches=Shuffled(b, drop_last=True),
            n_epochs=20,
            learning_rate=np.geomspace(0.1, 1.6, 9),
            rng=range(6),
            record_every=20 * (5000 // b),
        )
        tuned.append(np.nanmin(np.nanmean(runs.history.loss[..., -1], axis=-1)) - lowest)
    return lowest, of_rate.min(), tuned


@exercise(
    "3.3",
    "ex-minibatch-accuracy",
    '''
def batch_for(ratio, epsilon, n):
    """Rows for an error of epsilon times the gradient, drawn without replacement.

    ratio is sigma**2 / |grad J|**2, n the number of rows.
    """
    ...
''',
    minutes=15,
    level=2,
    points=2,
    hints=(
        "Write the law of chapter 3 with b unknown; which side is a number you know?",
        "With q = ratio/ε², solve q/b · (n − b)/(n − 1) = 1 for b.",
    ),
)
def batch_for(answer):
    for ratio, epsilon, n in ((70, 0.1, 1800), (70, 1.0, 1800), (500, 0.5, 300), (5, 0.3, 10_000)):
        q = ratio / epsilon**2
        b = number(call(answer, ratio, epsilon, n), "your batch size")
        expect(
            b > 0,
            f"for ratio {ratio}, error {epsilon} and {n} rows your batch size is {b:g}",
        )
        right, root, linear, plain = (
            np.ceil(n / (1 + (n - 1) / of)) for of in (q, q**0.5, ratio / epsilon, ratio)
        )
        error = (ratio / b * max(n - b, 0) / (n - 1)) ** 0.5
        compare(
            np.ceil(b),
            right,
            f"with your b = {b:.6g} of {n} rows the typical error is {error:.2g} of the gradient "
            f"where {epsilon} was asked for: it",
            (np.ceil(q), "that is the law with replacement, and the rows are drawn without"),
            (linear, "the variance has the square of epsilon"),
            (root, "the law is one of squares"),
            (plain, "where is epsilon?"),
            (n - right + 1, "that is what is left out"),
            (np.ceil(n / (1 + (n - 1) * q)), "more noise over signal asks for more rows"),
            rtol=1.001 / right,  # rounded up, or not
        )
    return "the law without replacement gives the error asked for, at four places"


@exercise(
    "3.4",
    "ex-minibatch-pairs",
    '''
def pair_ratio(errors, epoch):
    """Mean of e_B' e_C over pairs of batches, divided by the mean of |e_B|**2.

    errors holds a row's error in each row, epoch is a list of batches of row numbers.
    """
    ...
''',
    minutes=20,
    level=2,
    points=3,
    hints=(
        "Put the errors of the batches into the rows of a matrix; what are the entries of E E'?",
        "The diagonal holds the k squares and the rest the k(k − 1) ordered pairs: divide one "
        "mean by the other.",
    ),
)
def pair_ratio(answer):
    rng = np.random.default_rng(32)
    for centred in (True, False):
        # Errors that do not add up to zero tell a measurement from the formula.
        errors = rng.standard_normal((24, 3)) + (0 if centred else [1.0, 0.0, -0.5])
        errors -= errors.mean(axis=0) if centred else 0
        for b in (4, 8):
            epoch = list(rng.permutation(24).reshape(-1, b))
            found = number(call(answer, errors, epoch), "your ratio")
            e = [errors[batch].mean(axis=0) for batch in epoch]
            k = len(e)
            products = sum(2 * (u @ v) for u, v in combinations(e, 2))
            squares = sum(u @ u for u in e)
            right = products / (k - 1) / squares
            compare(
                found,
                right,
                f"for {k} batches of {b} rows your ratio",
                (-right, "its sign is turned"),
                (products / squares, "a mean over pairs, divided by a mean over batches"),
                (products / k / squares, "there are k(k − 1) ordered pairs, not k²"),
                ((products + squares) / k / squares, "a batch is no pair with itself"),
                (right / 2, "each pair counts once in both sum and number, or twice in both"),
                (2 * right, "each pair counts once in both sum and number, or twice in both"),
                (k * products / squares, "products are summed where squares are averaged"),
                (right / k, "squares are summed where products are averaged"),
                (right * (squares / k) ** 0.5, "divide by the mean of squares, not by a length"),
                (
                    -1 / (k - 1),
                    "these errors do not add up to zero, so the formula does not hold: measure it",
                ),
            )
    return "the mean over all pairs, for errors that add up to zero and for others"

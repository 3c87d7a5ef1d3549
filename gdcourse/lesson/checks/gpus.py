"""Chapter 7: accumulation, memory, and many steps at once."""

import numpy as np

from gdcourse.accounting import training_memory
from gdcourse.lesson import data
from gdcourse.lesson.checks.exercise import call, compare, exercise, expect, number, numbers


@exercise(
    "7.1",
    "ex-gpus-flush",
    '''
def flushed_epoch(micro_batches, m, theta, learning_rate):
    """theta after an epoch of least squares that accumulates m micro-batches an update.

    micro_batches is a list of pairs (X, y) of equal size; the last group may hold fewer.
    """
    ...
''',
    minutes=20,
    level=2,
    points=3,
    hints=(
        "What is in the buffer when the data are over?",
        "Update after every m-th micro-batch and after the last one, and divide by the number of "
        "micro-batches in the buffer.",
    ),
)
def flushed_epoch(answer):
    for n_micro, m in ((13, 4), (6, 3), (5, 8)):
        X, y, _ = data.linear_problem(5 * n_micro, 3, noise=1.0, rng=70)
        micro = list(zip(np.split(X, n_micro), np.split(y, n_micro), strict=True))
        start = np.array([1.0, 0.0, -1.0])

        def walk(cuts, divide=None, drop=False, micro=micro, start=start, m=m):
            theta = start
            for group in np.split(np.arange(len(micro)), cuts):
                if drop and len(group) < m:
                    continue
                parts = [micro[k] for k in group]
                sums = sum(A.T @ (A @ theta - b) / len(b) for A, b in parts)
                theta = theta - 0.2 * sums / (divide or len(group))
            return theta

        cuts = range(m, n_micro, m)
        found = numbers(call(answer, micro, m, start, 0.2), (3,), "your theta")
        compare(
            found,
            walk(cuts),
            f"for {n_micro} micro-batches and m = {m} your theta",
            (walk(cuts, drop=True), "the rows of the last group are never used"),
            (walk(cuts, divide=m), "the last update divides by m, and its buffer holds fewer"),
            (walk(cuts, divide=1), "the buffer holds a sum: divide it by its micro-batches"),
            (walk(range(1, n_micro)), "it updates after every micro-batch"),
            (walk(()), "it updates once an epoch"),
        )
    return "the steps of the larger batch, with the last group used and weighted by its size"


@exercise(
    "7.2",
    "ex-gpus-tokens",
    '''
def loss_factors(token_counts):
    """What to multiply each mean loss with, so that the sum of the gradients is right."""
    ...
''',
    minutes=15,
    level=1,
    points=2,
    hints=(
        "How much should one token weigh, whichever micro-batch it is in?",
        "A mean over w tokens weighs each 1/w; it should weigh 1/(all tokens).",
    ),
)
def loss_factors(answer):
    for counts in ([5, 1, 14], [3, 3, 3, 3], [100, 7]):
        found = numbers(call(answer, counts), (len(counts),), "the factors")
        w = np.array(counts, dtype=float)
        m = len(counts)
        expect(
            np.all(found > 0),
            "a factor of zero or less: every micro-batch counts, in one direction",
        )
        compare(
            found,
            w / w.sum(),
            f"for {counts} tokens the factors add up to {found.sum():.3g}; their vector",
            (np.full(m, 1 / m), "a token of a short micro-batch weighs more than one of a long"),
            (w, "the sum of the gradients should be a mean over all tokens"),
            (w / w.mean(), "without the 1/m of a plain mean, since the gradients are added"),
            (1 / w / np.sum(1 / w), "the other way round: more tokens weigh more"),
            (np.ones(m), "a sum of means is no mean"),
            (w / w.max(), "divide by all tokens, not by the most"),
        )
    return "every token weighs the same, whichever micro-batch it is in"


@exercise(
    "7.3",
    "ex-gpus-largest",
    '''
def largest_batch(budget, n_parameters, activations):
    """The largest batch whose step of gradient descent in single precision fits in budget bytes."""
    ...
''',
    minutes=20,
    level=1,
    points=2,
    hints=(
        "Which part of the memory of a step grows with b?",
        "Take the parameters and their gradient, 4 bytes each, off the budget, and divide what is "
        "left by 4 bytes · activations; round down.",
    ),
)
def largest_batch(answer):
    for budget, P, a in ((1_500_000, 26_122, 858), (10**9, 10**6, 5000), (2 * 10**6, 1000, 333)):
        b = number(call(answer, budget, P, a), "your batch")
        right = (budget - 8 * P) // (4 * a)
        what = f"for {budget:,} bytes, {P:,} parameters and {a} activations your batch"
        expect(b == round(b), f"{what} is {b}, and rows are whole")
        if b > 0 and training_memory(P, a, int(b)).total > budget:
            off = training_memory(P, a, int(b)).total / budget - 1
            tail = f"needs {off:.1%} more than there is"
        else:
            tail = "leaves room for more rows"
        compare(
            b,
            right,
            f"{what} {tail}: it",
            ((budget - 4 * P) // (4 * a), "the gradient is as large as the parameters"),
            (budget // (4 * a), "the parameters need room too"),
            ((budget - 16 * P) // (4 * a), "plain gradient descent keeps no state"),
            ((budget - 2 * P) // a, "single precision has 4 bytes a value"),
            ((budget - 16 * P) // (8 * a), "that is double precision"),
            rtol=1e-9,
        )
    return "it fits, and one row more does not, for three devices"


@exercise(
    "7.4",
    "ex-gpus-triangle",
    '''
def block_of_steps(X, y, theta, learning_rate):
    """theta after one step of SGD from each row of X in turn, from one triangular system."""
    ...
''',
    minutes=30,
    level=3,
    points=4,
    hints=(
        "Write the residual of step i with the residuals before it.",
        "Solve (I + α·tril(XX', −1)) r = Xθ − y; the end is θ − αX'r.",
    ),
)
def block_of_steps(answer):
    for k, d, alpha in ((6, 3, 0.3), (20, 8, 0.05), (1, 4, 0.5)):
        X, y, _ = data.linear_problem(k, d, noise=1.0, rng=71)
        start = np.linspace(-1, 1, d)
        found = numbers(call(answer, X, y, start, alpha), (d,), "your theta")
        right = start
        for row, target in zip(X, y, strict=True):
            right = right - alpha * (row @ right - target) * row
        gram, first = X @ X.T, X @ start - y

        def end(system, X=X, start=start, alpha=alpha, first=first):
            return start - alpha * X.T @ np.linalg.solve(system, first)

        eye = np.eye(k)
        compare(
            found,
            right,
            f"for {k} rows of {d} features your theta",
            (end(eye), "every row sees the same theta; a step must see those before it"),
            (end(eye + alpha * np.tril(gram)), "strictly below the diagonal"),
            (end(eye + alpha * np.triu(gram, 1)), "below the diagonal, not above it"),
            (end(eye + alpha * gram), "only the part of XX' below the diagonal"),
            (end(eye + np.tril(gram, -1)), "where is α in the system?"),
            (end(eye - alpha * np.tril(gram, -1)), "look at the sign in the system"),
            (2 * start - right, "look at the sign of the last step"),
        )
    return "the end of every step taken in turn, for three blocks"

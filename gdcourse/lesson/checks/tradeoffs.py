"""Chapter 4: what a budget buys, at which batch size."""

from functools import cache

import numpy as np

from gdcourse.accounting import iterations_per_epoch
from gdcourse.engine.many import descend_many
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
from gdcourse.objectives import MLP
from gdcourse.sampling import Shuffled


@exercise(
    "4.1",
    "ex-tradeoffs-budget",
    """
# The factors by which the error falls from C = 1024 to C = 4096, predicted and measured:
factors = ...
""",
    minutes=25,
    level=2,
    points=3,
    hints=(
        "The best rate of the larger budget is another one than that of the smaller.",
        "factors[0] is first_order(4, stable, 1024).min() / first_order(4, stable, 4096).min(); "
        "for factors[1] divide the mean excess losses of one run after 1024 and 4096 samples.",
    ),
)
def factors(answer):
    predicted, measured = numbers(answer, (2,), "`factors`")
    X, y, _ = data.linear_problem(4096, 20, noise=0.5, condition=1000, rng=0)
    h, basis = np.linalg.eigh(X.T @ X / 4096)
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    c = basis.T @ best
    s = (X * (X @ best - y)[:, None] @ basis).var(axis=0)
    rates = 2.0 ** np.arange(-10, 2.5, 0.5)[:, None] / h[-1]
    rates = rates[rates * h[-1] < 1.9][:, None]
    of_budget = []
    for C in (1024, 4096):
        shrink = (1 - rates * h) ** (2 * (C // 4))
        floor = rates * s / (4 * h * (2 - rates * h))
        of_budget.append((shrink * c**2 + floor * (1 - shrink)) @ h / 2)
    small, large = of_budget
    right = small.min() / large.min()
    expect(predicted > 1, "more budget makes the error smaller: divide the earlier by the later")
    compare(
        predicted,
        right,
        "the predicted factor",
        (2, "that is what the bound says; the exact sum of the chapter is another matter"),
        (4, "that holds where every direction is forgotten; here the flattest ones are not"),
        (small.min() / large[small.argmin()], "each budget has a best rate of its own"),
        rtol=0.01,
    )
    # The formula leaves out the noise that grows with the distance: a quarter, in the chapter.
    expect(
        abs(measured / right - 1) < 0.25,
        "the measured factor is further from the prediction than the chapter's quarter: is each "
        "error measured at its own best rate, and is J* taken off?",
    )
    return "the formula's factor, and a measured one beside it"


@exercise(
    "4.2",
    "ex-tradeoffs-price",
    '''
def price(ratio):
    """For ratio * S_min steps: b in units of B_crit, samples in units of E_min."""
    ...
''',
    minutes=15,
    level=1,
    points=2,
    hints=(
        "Put S = ratio · S_min into the hyperbola and solve for b.",
        "ratio − 1 = B_crit/b, and the samples are b·S; E_min is B_crit·S_min.",
    ),
)
def price(answer):
    for ratio in (1.5, 1.1, 2.0, 5.0):
        b, samples = several(call(answer, ratio), 2, "what your function returns")
        b, samples = number(b, "the batch size"), number(samples, "the samples")
        right = 1 / (ratio - 1)
        compare(
            b,
            right,
            f"for {ratio} S_min the batch size",
            (ratio - 1, "the other way round: fewer steps need larger batches"),
            (1 / ratio, "S/S_min − 1, not S/S_min"),
            (ratio, "solve for b"),
        )
        compare(
            samples,
            ratio * right,
            f"for {ratio} S_min the number of samples",
            (right, "a step reads b rows, and there are ratio · S_min steps"),
            (ratio, "that is the number of steps"),
        )
    return "batch size and samples lie on the hyperbola, for four prices of time"


@exercise(
    "4.3",
    "ex-tradeoffs-ratio",
    '''
def pooled_scale(b_small, small, b_large, large):
    """The noise scale from squared norms of many batch gradients, of two batch sizes."""
    ...
''',
    minutes=25,
    level=3,
    points=4,
    hints=(
        "Which of the two means is unbiased, that of the ratios or those of their parts?",
        "E‖g_b‖² = ‖∇J‖² + σ²/b for both sizes: two equations for the two numbers, from the two "
        "means. Divide once.",
    ),
)
def pooled_scale(answer):
    rng = np.random.default_rng(40)
    mean = rng.standard_normal(20) / 20**0.5
    for b, B, count in ((8, 256, 400), (4, 32, 300), (2, 500, 200)):
        small, large = (
            np.sum((mean + rng.standard_normal((many, 20)) / size**0.5) ** 2, axis=1)
            for size, many in ((b, count), (B, 2 * count))
        )
        found = number(call(answer, b, small, B, large), "your noise scale")

        def scale(s, m, b=b, B=B):
            noise = (s - m) / (1 / b - 1 / B)
            return noise / (m - noise / B)

        s, m = small.mean(), large.mean()
        right = scale(s, m)
        compare(
            found,
            right,
            f"for batches of {b} and {B} your noise scale",
            (np.mean(scale(small, large[:count])), "that is a mean of ratios: divide once"),
            (np.median(scale(small, large[:count])), "that is a median of ratios: divide once"),
            (1 / right, "noise over signal, not signal over noise"),
            ((s - m) / (1 / b - 1 / B) / m, "the larger batches have noise in their squares too"),
            ((s - m) / (1 / b - 1 / B), "that is σ²; divide it by ‖∇J‖²"),
            (right**0.5, "the noise scale is a ratio of squares"),
        )
    return "unbiased parts, divided once, for three pairs of batch sizes"


@exercise(
    "4.4",
    "ex-tradeoffs-root",
    """
# The mean loss after ten epochs at b = 32, under the linear and under the root rule:
two_rules = ...
""",
    minutes=15,
    level=1,
    points=2,
    hints=(
        "b grows eightfold; by what does each rule multiply the rate?",
        "descents(digits, gd.Shuffled(32), rate, slice(3), 10) at the rates 8·4/80 and √8·4/80.",
    ),
)
def two_rules(answer):
    found = numbers(answer, (2,), "`two_rules`")
    ends = _ends_of_rules()
    # Means of three seeds: other seeds and other starts move them by a tenth.
    for rule, value, end, other in zip(("linear", "root"), found, ends, ends[::-1], strict=True):
        expect(
            abs(value / end - 1) < 0.25,
            f"the loss under the {rule} rule is too {'high' if value > end else 'low'}"
            + (": it is near that of the other rule" if abs(value / other - 1) < 0.25 else "")
            + "; take the mean training loss of three seeds after ten epochs",
        )
    return "both losses, within what the seeds move them"


@exercise(
    "4.5",
    "ex-tradeoffs-claim",
    '''
def equal_steps(n, b, n_epochs, other_b):
    """Epochs with other_b that make as many steps as n_epochs with b; short batches count."""
    ...
''',
    minutes=20,
    level=2,
    points=3,
    hints=(
        "Which of steps, samples and epochs did the report hold equal, and which should it?",
        "An epoch has ⌈n/b⌉ steps, with the short last batch.",
    ),
)
def equal_steps(answer):
    for n, b, n_epochs, other in ((400, 16, 20, 256), (1024, 32, 10, 512), (1000, 64, 5, 500)):
        found = number(call(answer, n, b, n_epochs, other), "your number of epochs")
        steps = n_epochs * iterations_per_epoch(n, b)
        right = steps / iterations_per_epoch(n, other)
        compare(
            found,
            right,
            f"for {n} rows, from b = {b} to {other}, your number of epochs",
            (n_epochs, "equal epochs is what the report did"),
            (steps, "that is the number of steps"),
            (n_epochs * other / b, "the short last batch is a step, too"),
            (n_epochs * b / other, "larger batches make fewer steps an epoch"),
        )
    return "as many steps, with the short last batches, for three pairs of sizes"


@cache
def _ends_of_rules():
    """Mean losses of three other seeds after ten epochs at b = 32: linear rule, root rule."""
    X, y = data.digits()
    [rows] = data.split(X[:, :64], y, 1024, rng=0)
    net, seeds = MLP((64, 32, 10)), [[1, k] for k in range(3)]
    runs = descend_many(
        *rows,
        np.stack([net.initial(seed) for seed in seeds]),
        objective=net,
        batches=Shuffled(32),
        learning_rate=4 / 80 * np.array([8, 8**0.5]),
        n_epochs=10,
        rng=seeds,
        record_every=320,
    )
    return runs.history.loss[..., -1].mean(axis=-1)

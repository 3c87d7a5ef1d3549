"""The capstone: the missing pixel, split, measured and trained."""

from functools import cache

import numpy as np

from gdcourse.accounting import iterations_per_epoch
from gdcourse.engine.many import descend_many
from gdcourse.lesson import data
from gdcourse.lesson.checks.exercise import call, compare, exercise, expect, number, numbers
from gdcourse.noise import noise_scale
from gdcourse.objectives import LeastSquares
from gdcourse.rows import compress
from gdcourse.run import descend
from gdcourse.sampling import InOrder, Shuffled
from gdcourse.schedules import cosine

HEIGHT, WIDTH, N_TEST_BANDS = 425, 638, 5


@cache
def _picture():
    """Training rows, test rows, both standardised by the training rows, and the test bands."""
    X, y = data.china(standardise=False)
    band = np.repeat(np.arange(HEIGHT) // 17, WIDTH)
    test = band % 5 == 2
    scales = [(a[~test].mean(axis=0), a[~test].std(axis=0)) for a in (X, y)]
    X, y = ((a - mean) / std for a, (mean, std) in zip((X, y), scales, strict=True))
    return X[~test], y[~test], X[test], y[test], band[test]


@cache
def _best():
    """The minimiser on the training rows, and its loss."""
    X, y, *_ = _picture()
    theta = np.linalg.lstsq(*compress(X, y), rcond=None)[0]
    return theta, float(LeastSquares().loss(theta, X, y))


@cache
def _split():
    """J*, the same with all rows in the fit, the test losses, and their means by band."""
    _, _, X_test, y_test, band = _picture()
    theta, lowest = _best()
    at_test = (X_test @ theta - y_test) ** 2 / 2
    means = np.array([at_test[band == k].mean() for k in np.unique(band)])
    X, y = compress(*data.china())
    of_all = np.linalg.lstsq(X, y, rcond=None)[0]
    return lowest, float(LeastSquares().loss(of_all, X, y)), at_test, means


@cache
def _at_zero():
    """The noise scale at θ = 0, and ‖∇J‖² there."""
    X, y, *_ = _picture()
    zero, model = np.zeros(24), LeastSquares()
    return float(noise_scale(model, zero, X, y)), float(np.sum(model.gradient(zero, X, y) ** 2))


def challenge(passes, *, batches, schedule, momentum=0.0, rows=None, rng=range(5)):
    """How far above the lowest loss a plan ends, in parts of it, for each seed.

    Parameters
    ----------
    passes : float
        Passes over the rows: a whole number, or a part of one pass, which reads that share of
        the rows, drawn at random, once.
    batches : Sampler
        Which rows, in which order.
    schedule : callable
        Makes the learning rate, a number or a Schedule, of the number of steps.
    momentum : float
        β of the heavy ball.
    rows : pair (X, y), optional
        Of a least-squares problem; by default, the training rows of the photograph.
    rng : sequence of seeds
        One for each run.

    Returns
    -------
    (seeds,) array
        J/J* − 1 at the end of each run from θ = 0.

    Raises
    ------
    ValueError
        Where `passes` is neither whole nor a part of one.
    """
    if not (0 < passes < 1 or (passes >= 1 and passes == int(passes))):
        raise ValueError(f"passes must be a whole number or between 0 and 1, got {passes}")
    X, y = _picture()[:2] if rows is None else rows
    every = compress(X, y)  # the same J, and its minimum, from few rows
    minimiser = np.linalg.lstsq(*every, rcond=None)[0]
    lowest = float(LeastSquares().loss(minimiser, *every))
    if passes < 1:
        part = np.random.default_rng(0).permutation(len(y))[: round(passes * len(y))]
        X, y, passes = X[part], y[part], 1
    n_steps = int(passes) * len(next(batches.epochs(len(y), np.random.default_rng(0))))
    run = {"batches": batches, "learning_rate": schedule(n_steps), "momentum": momentum}
    runs = descend_many(
        X, y, np.zeros(X.shape[1]), **run, n_epochs=int(passes), rng=rng, evaluate_on=every
    )
    return runs.history.loss[:, -1] / lowest - 1


@cache
def _ends(b):
    """J/J* − 1 after a pass in batches of b: in the order of the file, and shuffled."""
    X, y, *_ = _picture()
    falling = cosine(0.04, iterations_per_epoch(len(y), b))
    run = {"learning_rate": falling, "n_epochs": 1}
    _, history = descend(X, y, np.zeros(24), batches=InOrder(b), **run)
    runs = descend_many(X, y, np.zeros(24), batches=Shuffled(b), rng=range(7, 10), **run)
    losses = np.array([history.loss[-1], runs.history.loss[:, -1].mean()])
    return losses / _best()[1] - 1


@exercise(
    "11.1",
    "ex-capstone-split",
    """
# J*, the test loss, and its standard errors from pixels and from bands:
split_losses = ...
""",
    minutes=40,
    level=2,
    points=4,
    hints=(
        'How many independent observations of "another part of this picture" do you have?',
        "np.linalg.lstsq(*gd.compress(X, y)) for θ; from losses/√pixels and, of the five band "
        "means, .std(ddof=1)/√5.",
    ),
)
def split_losses(answer):
    found = numbers(answer, (4,), "`split_losses`")
    lowest, of_all, at_test, means = _split()
    naive, honest = at_test.std() / len(at_test) ** 0.5, means.std(ddof=1) / N_TEST_BANDS**0.5
    compare(
        found[0],
        lowest,
        "the lowest training loss",
        (2 * lowest, "J is half the mean square"),
        (of_all, "the test bands do not belong in the fit"),
        rtol=5e-3,
    )
    compare(
        found[1],
        at_test.mean(),
        "the test loss",
        (2 * at_test.mean(), "J is half the mean square"),
        (lowest, "that is the training loss"),
        (np.median(at_test), "the mean over the pixels of the test bands"),
        rtol=5e-3,
    )
    compare(
        found[2],
        naive,
        "the standard error from pixels",
        (at_test.std(), "that is the spread of a pixel, not the error of the mean"),
        (honest, "the two standard errors have changed places: pixels come first"),
        rtol=0.03,
    )
    compare(
        found[3],
        honest,
        "the standard error from bands",
        (means.std(ddof=1), "that is the spread of a band, not the error of the mean"),
        (means.std() / N_TEST_BANDS**0.5, "five numbers: divide by four in their variance"),
        (naive, "that is the one from pixels"),
        rtol=0.03,
    )
    return "both losses and both standard errors, on the five bands"


@exercise(
    "11.2",
    "ex-capstone-full-batch",
    '''
def steps_to_one_percent(X, y):
    """Full-batch steps at 1/L from theta = 0 until the loss is at most 1.01 times J*."""
    ...
''',
    minutes=40,
    level=3,
    points=4,
    hints=(
        "In the eigenvectors of H every coordinate of θ − θ* shrinks by its own factor.",
        "The excess after t steps is ½ Σ λ(1 − λ/L)^{2t} c², with c the coordinates of θ*. Find "
        "the first t at which it is at most 0.01·J*.",
    ),
)
def steps_to_one_percent(answer):
    for seed, condition in ((110, 30), (111, 300), (112, 1000)):
        X, y, _ = data.linear_problem(200, 5, condition=condition, noise=0.3, rng=seed)
        found = number(call(answer, X, y), "your number of steps")
        h, basis = np.linalg.eigh(X.T @ X / len(y))
        best = np.linalg.lstsq(X, y, rcond=None)[0]
        lowest, c = np.mean((X @ best - y) ** 2) / 2, basis.T @ best

        shrunk = (1 - h / h[-1]) ** np.arange(40_000)[:, None] @ (h * c**2) / 2

        def first(share, power=2, shrunk=shrunk, lowest=lowest):
            return int(np.argmax(shrunk[::power] <= share * lowest))

        right = first(0.01)
        reached = (1 - h / h[-1]) ** (2 * found) @ (h * c**2) / 2 / lowest
        compare(
            found,
            right,
            f"after your {found:g} steps the loss is {reached:.3%} above J*: the number",
            (right - 1, "the first step at which it is within 1 %"),
            (first(0.01, power=1), "the loss is a square of the distance"),
            (first(0.02), "½ is in the excess loss"),
            (first(0.1), "1 %, not 10 %"),
            (h[-1] / h[0] * np.log(100), "that rule knows the worst direction only; take the sum"),
            rtol=0.5 / right,
        )
    return "the first step within 1 %, on three problems, as a run would find it"


@exercise(
    "11.3",
    "ex-capstone-noise",
    """
# The noise scale at theta = 0, and after an epoch for each of five seeds: six numbers.
noise_scales = ...
""",
    minutes=40,
    level=2,
    points=4,
    hints=(
        "Which of tr Σ and ‖∇J‖² changes more during the first epoch?",
        "gd.noise_scale(model, theta, X, y) at zero, then at the end of "
        "gd.minibatch_gradient_descent(X, y, start, 32, 0.02, n_epochs=1, rng=seed).",
    ),
)
def noise_scales(answer):
    found = numbers(answer, (6,), "`noise_scales`")
    right, signal = _at_zero()
    compare(
        found[0],
        right,
        "the noise scale at the start",
        (1 / right, "noise over signal"),
        (right * signal, "that is tr Σ; divide it by ‖∇J‖²"),
        (right**0.5, "a ratio of squares"),
        rtol=0.05,
    )
    after = found[1:]
    expect(len(np.unique(after)) == 5, "two seeds give the same number: is each one used?")
    # The gradient is nearly gone after an epoch, so its square is in each run another number.
    expect(
        np.all(after > 10 * found[0]),
        "the noise scale hardly grows in your runs: measure it after the epoch, on all rows",
    )
    expect(
        60 < np.median(after) < 2000,
        "such a noise scale after an epoch is not that of b = 32 and a rate of 0.02",
    )
    return "the exact one at the start, and five seeds that agree on hundreds"


@exercise(
    "11.4",
    "ex-capstone-order",
    """
# Your b, and J/J* - 1 at the end, in the order of the file and shuffled (mean of five seeds):
order_ends = ...
""",
    minutes=45,
    level=2,
    points=3,
    hints=(
        "Everything but the order has to be the same: the rate, its fall, the number of steps.",
        "gd.descend_many(X, y, start, batches=gd.InOrder(b), learning_rate=gd.schedules.cosine("
        "0.04, n_steps), n_epochs=1, rng=range(5)), then gd.Shuffled(b).",
    ),
)
def order_ends(answer):
    b, in_order, shuffled = numbers(answer, (3,), "`order_ends`")
    expect(b == round(b), "b must be whole")
    expect(2 <= b <= 64, f"b = {b:g} is not what task 3 argues for")
    expect(in_order > shuffled, "the order of the file comes first, and it does more harm")
    b = int(b)
    right, of_shuffled = _ends(b)
    lowest = _best()[1]
    compare(
        in_order,
        right,
        f"in the order of the file, at b = {b}, your J/J* − 1",
        (right * lowest, "in parts of J*"),
        (100 * right, "as a share, not in per cent"),
        (1 + right, "take off the 1"),
        rtol=0.03,
    )
    expect(
        abs(shuffled / of_shuffled - 1) < 0.2,
        f"shuffled, at b = {b}, your J/J* − 1 is too "
        f"{'large' if shuffled > of_shuffled else 'small'} for a mean of five seeds",
    )
    return "the damage is the gap between the two, and each of them is right for your b"


@exercise(
    "11.5",
    "ex-capstone-train",
    """
# The parameters at the end of three passes, for each of five seeds; shape (5, 24):
trained = ...
""",
    minutes=60,
    level=2,
    points=5,
    hints=(
        "What takes the noise of the last steps away, and still takes long steps before?",
        "gd.descend_many(X, y, start, batches=gd.Shuffled(b), learning_rate=gd.schedules.cosine("
        "0.04, n_steps), n_epochs=3, rng=range(5)) has them in its .theta.",
    ),
)
def trained(answer):
    found = numbers(answer, (5, 24), "`trained`")
    X, y, *_ = _picture()
    best, lowest = _best()
    ends = np.array([np.mean((X @ theta - y) ** 2) for theta in found]) / 2 / lowest - 1
    above = int(np.sum(ends > 0.01))
    expect(
        above == 0,
        f"{above} of 5 seeds end more than 1 % above J*, the worst at {ends.max():.2%}: every one "
        "has to arrive",
    )
    expect(
        np.all(np.linalg.norm(found - best, axis=1) > 1e-6),
        "that is the exact fit, and no descent of three passes ends there",
    )
    expect(len(np.unique(found[:, 0])) == 5, "two seeds end at the same place: is each one used?")
    return f"all five seeds end within 1 % of J*, the worst {ends.max():.2%} above it"

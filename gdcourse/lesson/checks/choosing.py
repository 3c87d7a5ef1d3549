"""Chapter 9: a batch size from two bends, and a plan that grows."""

from functools import cache

import numpy as np

from gdcourse.engine.many import descend_many
from gdcourse.lesson import data
from gdcourse.lesson.checks.exercise import (
    AnswerError,
    call,
    compare,
    exercise,
    expect,
    number,
    numbers,
    several,
)
from gdcourse.objectives import MLP
from gdcourse.sampling import Shuffled, as_epoch


@exercise(
    "9.1",
    "ex-choosing-two",
    '''
def from_two(b_1, S_1, b_2, S_2):
    """S_min and B from the steps S_1 and S_2 at two batch sizes."""
    ...
''',
    minutes=15,
    level=1,
    points=2,
    hints=(
        "The hyperbola is a straight line in 1/b.",
        "S_1 − S_2 = E_min (1/b_1 − 1/b_2); then S_min = S_1 − E_min/b_1, and B = E_min/S_min.",
    ),
)
def from_two(answer):
    for S_min, B, b_1, b_2 in ((50, 30, 8, 128), (200, 5, 2, 64), (30, 400, 256, 16)):
        one, two = S_min * (1 + B / b_1), S_min * (1 + B / b_2)
        found = several(call(answer, b_1, one, b_2, two), 2, "what your function returns")
        fewest, bend = (
            number(value, name) for value, name in zip(found, ("S_min", "B"), strict=True)
        )
        what = f"from {one:g} steps at b = {b_1} and {two:g} at {b_2} your"
        compare(
            fewest,
            S_min,
            f"{what} S_min",
            (min(one, two), "even the larger batch needs more than the fewest steps"),
            (B, "the two have changed places: S_min comes first"),
            (2 * one - S_min, "look at the sign of E_min/b"),
        )
        compare(
            bend,
            B,
            f"{what} B",
            (S_min * B, "that is E_min: divide it by S_min"),
            (1 / B, "the other way round"),
            (B * S_min**2, "divide by S_min, do not multiply"),
        )
    return "both numbers, from three pairs of batch sizes"


@exercise(
    "9.2",
    "ex-choosing-target",
    """
# The mean steps to a validation loss of 0.6 at b = 8 and at b = 128, each at its best rate:
rougher = ...
""",
    minutes=25,
    level=2,
    points=3,
    hints=(
        "Is the noise scale larger at the beginning of the path or at its end?",
        "experiments.tune over to_target(b, rate, slice(10), steps[k], target=0.6)"
        ".steps_to(0.6).mean(), then the same at the best rate on slice(10, 20).",
    ),
)
def rougher(answer):
    found = numbers(answer, (2,), "`rougher`")
    for b, value, own in zip((8, 128), found, _fewest_steps(), strict=True):
        expect(
            value > 0.75 * own,
            f"at b = {b} no rate arrives as soon as you say, as a mean over seeds",
        )
        # Looks that are rarer, other seeds and a coarser grid: at most that much later.
        expect(
            value < 1.4 * own,
            f"at b = {b} a better rate arrives sooner: tune it for the new target, and count steps",
        )
    return "both counts, so that S_min and B of the rougher target follow"


@exercise(
    "9.3",
    "ex-choosing-price",
    '''
def cheapest_batch(B, t_0, r, p):
    """The cheapest batch: B the bend, t_0 in s, r in rows/s, p the price of a sample in s."""
    ...
''',
    minutes=15,
    level=2,
    points=2,
    hints=(
        "What does a step of b rows cost, with the price of its samples?",
        "t_0 + b(1/r + p) is the old step with another b_0 = t_0/(1/r + p); b* = √(B·b_0).",
    ),
)
def cheapest_batch(answer):
    for B, t_0, r, p in ((30, 1e-3, 1e5, 0.0), (30, 1e-3, 1e5, 1e-5), (400, 0.1, 1e3, 0.02)):
        found = number(call(answer, B, t_0, r, p), "your batch size")
        expect(found > 0, "your batch size is not positive")
        right = (B * t_0 / (1 / r + p)) ** 0.5

        def bill(b, B=B, t_0=t_0, r=r, p=p):
            return (1 + B / b) * (t_0 + b / r) + p * (b + B)

        sooner = bill(right) / bill(found) - 1
        compare(
            found,
            right,
            f"for B = {B}, t_0 = {t_0}, r = {r:g} and p = {p} your batch costs {-sooner:.2%} more "
            "than the cheapest: it",
            ((B * t_0 * r) ** 0.5, "where is p?"),
            (B * t_0 / (1 / r + p), "the root of the product"),
            ((B * t_0 * (r + p)) ** 0.5, "p adds to 1/r, not to r"),
            ((B * t_0 / (1 / r + p)) ** 0.5 / r**0.5, "is a row's time 1/r in it twice?"),
            ((t_0 / (1 / r + p)) ** 0.5, "where is B?"),
            rtol=0.5 / right + 1e-3,
        )
    return "no other batch has a smaller bill, at three prices"


@exercise(
    "9.4",
    "ex-choosing-smooth",
    '''
class Smooth:
    """8 rows for 16 epochs, then 16**(1/20) times as many each epoch, up to 128."""

    def epochs(self, n_samples, rng):
        """Epochs without end: for each a gd.Epoch, or a list of batches of row numbers."""
        ...
''',
    minutes=30,
    level=2,
    points=3,
    hints=(
        "The batch size is a function of the number of the epoch alone.",
        "In epoch k, from 0: round(8·16**(min(max(k − 16, 0), 20)/20)) rows; yield "
        "gd.Epoch(rng.permutation(n), bounds).",
    ),
)
def Smooth(answer):  # noqa: N802 - the name of the answer
    sampler = answer() if isinstance(answer, type) else answer
    if not hasattr(sampler, "epochs"):
        raise AnswerError("`Smooth` must have a method epochs(n_samples, rng)")
    n = 300

    def begin(seed):
        drawn = call(sampler.epochs, n, np.random.default_rng(seed), many=60)
        expect(len(drawn) == 60, f"it ends after {len(drawn)} epochs: yield without end")
        return drawn

    orders = []
    for k, drawn in enumerate(begin(90)):
        try:
            epoch = as_epoch(n, drawn)
        except (TypeError, ValueError, IndexError) as error:
            raise AnswerError(f"epoch {k} is no epoch: {error}") from error
        rows = np.arange(n)[epoch.rows]
        orders.append(rows)
        expect(
            len(rows) == n and len(np.unique(rows)) == n,
            f"epoch {k} uses {len(np.unique(rows))} of {n} rows in {len(rows)} places: each once",
        )
        share = min(max(k - 16, 0), 20) / 20
        want, have = round(8 * 16**share), max(epoch.batch_sizes)
        if have == want:
            expect(np.all(epoch.batch_sizes[:-1] == want), f"the batches of epoch {k} differ")
            continue
        told = f"in epoch {k}, counted from 0, a batch has {have} rows"
        if k < 16:
            raise AnswerError(f"{told}: keep 8 for the first 16 epochs")
        if have == round(8 * 16 ** (min(max(k - 15, 0), 20) / 20)):
            raise AnswerError(f"{told}: it grows an epoch too early")
        if k < 36:
            raise AnswerError(f"{told}: multiply by 16^(1/20) after every epoch, and round at last")
        raise AnswerError(f"{told}: stop at 128")
    expect(not np.array_equal(orders[0], orders[1]), "every epoch has the same order: shuffle")
    again = np.arange(n)[as_epoch(n, begin(91)[0]).rows]
    expect(not np.array_equal(orders[0], again), "the order does not depend on rng")
    return "the right size in each of 60 epochs, every row once, and a new order each time"


@exercise(
    "9.5",
    "ex-choosing-own",
    """
# The bend of the problem, the bend of your machine, and the batch size you choose:
choice = [..., ..., ...]
""",
    minutes=60,
    level=3,
    points=5,
    hints=(
        "Clock first, then make one pilot; the sweep of the chapter is not needed.",
        "choice = [median noise scale along the pilot's path, 1/(second parameter of the fit), "
        "the root of their product].",
    ),
)
def choice(answer):
    B, knee, b = numbers(answer, (3,), "`choice`")
    expect(knee > 0, "the bend of the machine must be positive: is the fit in 1/b?")
    # Of softmax regression on the digits: below the noise scale at the start no path goes far.
    expect(
        8 < B < 300,
        f"a noise scale of {B:.3g} is not that of the way to 0.2: take the median along the path",
    )
    right = (B * knee) ** 0.5
    compare(
        b,
        right,
        "your batch size",
        (B, "that is the bend of the problem alone"),
        (knee, "that is the bend of the machine alone"),
        (B * knee, "the root of the product"),
        ((B + knee) / 2, "the geometric mean, not the arithmetic one"),
        rtol=0.3,
    )
    return "the batch size lies between the two bends, where the recipe puts it"


@cache
def _fewest_steps():
    """Mean steps of four other seeds to a validation loss of 0.6, at b = 8 and at b = 128."""
    X, y = data.digits()
    train, validation = data.split(X[:, :64], y, 1024, 373, rng=0)
    net, seeds = MLP((64, 32, 10)), [[1, k] for k in range(4)]
    least = []
    for b, rates, n_epochs in ((8, (0.35, 0.5, 0.7), 1), (128, (0.7, 1.0, 1.4), 5)):
        runs = descend_many(
            *train,
            np.stack([net.initial(seed) for seed in seeds]),
            objective=net,
            batches=Shuffled(b),
            learning_rate=np.array(rates),
            n_epochs=n_epochs,
            rng=seeds,
            record_every=2,
            target=0.6,
            evaluate_on=validation,
        )
        least.append(np.min(np.mean(runs.steps_to(0.6), axis=-1)))
    return least

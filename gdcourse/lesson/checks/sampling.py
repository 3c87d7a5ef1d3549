"""Chapter 6: which rows come when, and what that does to a gradient and to a floor."""

from functools import cache
from itertools import islice, permutations

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
from gdcourse.objectives import SoftmaxRegression
from gdcourse.run import descend
from gdcourse.sampling import (
    Balanced,
    BlockShuffled,
    InOrder,
    Shuffled,
    ShuffledOnce,
    Stratified,
    WithReplacement,
)


@exercise(
    "6.1",
    "ex-sampling-bend",
    '''
def exact_floor(alpha, x, residuals):
    """The two terms of the floor of reshuffling: squared mean, and variance."""
    ...
''',
    minutes=40,
    level=3,
    points=4,
    hints=(
        "One epoch in one order is an affine map of e; what does it do to e = 0?",
        "A row maps e to (1 − αx²)e − αxr, with the residual r = xθ* − y. Collect p over all "
        "orders, then take p̄²/(1 − A)² and Var(p)/(1 − A²).",
    ),
)
def exact_floor(answer):
    rng = np.random.default_rng(61)
    for n, alpha in ((4, 0.1), (5, 0.02), (5, 0.3)):
        x = rng.uniform(0.5, 1.5, n)
        r = rng.standard_normal(n)
        r -= x * (x @ r) / (x @ x)
        found = several(call(answer, alpha, x, r), 2, "what your function returns")
        bias, spread = (
            number(value, f"the {name} term")
            for value, name in zip(found, ("first", "second"), strict=True)
        )
        p = []
        for order in permutations(range(n)):
            e = 0.0
            for i in order:
                e = (1 - alpha * x[i] ** 2) * e - alpha * x[i] * r[i]
            p.append(e)
        p, A = np.array(p), np.prod(1 - alpha * x**2)
        what = f"for {n} rows and α = {alpha} your"
        compare(
            bias,
            (p.mean() / (1 - A)) ** 2,
            f"{what} squared mean",
            (p.mean() / (1 - A), "it is to be squared"),
            (p.mean() ** 2, "the epochs follow one another: solve m = Am + p̄"),
            (p.mean() ** 2 / (1 - A**2), "the mean is m = p̄/(1 − A), then squared"),
            (p.var() / (1 - A**2), "the two terms have changed places"),
        )
        compare(
            spread,
            p.var() / (1 - A**2),
            f"{what} variance",
            (p.var(), "the epochs follow one another: solve v = A²v + Var(p)"),
            (p.var() / (1 - A), "the variance shrinks by A² an epoch"),
            (p.var() / (1 - A) ** 2, "the epochs are independent: variances add up, not errors"),
            (np.var(p, ddof=1) / (1 - A**2), "these are all orders, not a sample of them"),
            (np.mean(p**2) / (1 - A**2), "take off the mean"),
        )
    return "both terms agree with every order walked step by step, on three drawn problems"


@exercise(
    "6.2",
    "ex-sampling-wait",
    '''
def name_of(first, second):
    """The scheme, by its name in `schemes`, from the row numbers of two epochs of 60 rows."""
    ...
''',
    minutes=40,
    level=2,
    points=4,
    hints=(
        "What can you count in one epoch, and what only by comparing the two?",
        "Repeated rows; the same order twice; neighbours of the file in one batch of 12; classes "
        "of 30, 18 and 12 rows in proportion, or even, in every batch.",
    ),
)
def name_of(answer):
    labels = np.repeat([0, 1, 2], [30, 18, 12])
    for name, scheme in {
        "in order": InOrder(12),
        "shuffled once": ShuffledOnce(12),
        "shuffled": Shuffled(12),
        "with replacement": WithReplacement(12),
        "stratified": Stratified(12, labels),
        "balanced": Balanced(12, labels),
        "block-shuffled": BlockShuffled(12, block_size=6, buffer_blocks=2),
    }.items():
        wrong, seeds = {}, range(1000, 1040)
        for seed in seeds:
            two = [np.arange(60)[each.rows] for each in islice(scheme.epochs(60, seed), 2)]
            found = call(answer, *two)
            expect(isinstance(found, str), "your function must return a name such as 'shuffled'")
            if found != name:
                wrong[found] = wrong.get(found, 0) + 1
        # Chance can make a shuffled epoch look stratified, once in a long while.
        if sum(wrong.values()) > 1:
            often = max(wrong, key=wrong.get)
            expect(
                False,
                f"of 40 draws of one scheme you call {wrong[often]} {often!r}, wrongly: which "
                "count would tell it from its like?",
            )
    return "all seven schemes are named, from 40 seeds each"


@exercise(
    "6.3",
    "ex-sampling-one-row",
    """
# Accuracies in %, one for each of ten or more seeds: with the last batch, and without it.
one_row_ends = [..., ...]
""",
    minutes=25,
    level=2,
    points=3,
    hints=(
        "How noisy is a step on one row, against a step on 16, at the same rate?",
        "For each seed split the digits anew and run gd.descend twice, with gd.Shuffled(16) and "
        "gd.Shuffled(16, drop_last=True), one epoch each; collect experiments.accuracy.",
    ),
)
def one_row_ends(answer):
    found = numbers(answer, (2, None), "`one_row_ends`")
    expect(
        found.shape[1] >= 10,
        f"that is {found.shape[1]} {'seed' if found.shape[1] == 1 else 'seeds'}: take ten or more",
    )
    expect(1.5 < found.max() <= 100, "the accuracies are to be in per cent")
    spread = found.std(axis=1, ddof=1) / found.shape[1] ** 0.5
    expect(np.all(spread > 1e-9), "all seeds give the same: is each one used?")
    expect(
        found[0].mean() < found[1].mean(),
        "the short batch does no harm in your runs: does the last batch hold one row, and is the "
        "order with, without?",
    )
    own = _accuracies()
    error = np.hypot(spread, own.std(axis=1, ddof=1) / 2)
    off = np.abs(found.mean(axis=1) - own.mean(axis=1))
    for k, name in enumerate(("with", "without")):
        expect(
            off[k] < 4 * error[k] + 1,
            f"{name} the last batch your mean is {off[k]:.0f} points away from what such a run "
            "gives: 1297 training rows, batches of 16, rate 0.1, one epoch",
        )
    return "both means, within their errors, and the last batch costs what it costs"


@cache
def _accuracies():
    """Four seeds of the runs of 6.5, in per cent: with the last batch, and without it."""
    digits, model = data.digits(), SoftmaxRegression(10)
    own = np.zeros((2, 4))
    for seed in range(4):
        train, (test_X, test_y) = data.split(*digits, 1297, 500, rng=100 + seed)
        for k, drop_last in enumerate((False, True)):
            theta, _ = descend(
                *train,
                np.zeros((65, 10)),
                objective=model,
                batches=Shuffled(16, drop_last=drop_last),
                learning_rate=0.1,
                n_epochs=1,
                rng=seed,
            )
            own[k, seed] = 100 * np.mean(model.predict(theta, test_X).argmax(axis=1) == test_y)
    return own


@exercise(
    "6.4",
    "ex-sampling-repair",
    '''
def dealt_batches(labels, batch_size, rng):
    """The balanced batches of one epoch, as arrays of row numbers; rng is a Generator."""
    ...
''',
    minutes=40,
    level=3,
    points=4,
    hints=(
        "Go through the places of the epoch, and ask for each which class may fill it.",
        "Place p belongs to class p modulo the number of classes; each class is an endless deck "
        "that is shuffled again when its last card is dealt.",
    ),
)
def dealt_batches(answer):
    cases = (([20] * 5, 16), ([40, 30, 20, 9, 1], 16), ([10] * 5, 4), ([7, 6], 5))
    for sizes, b in cases:
        n = sum(sizes)
        labels = np.random.default_rng(60).permutation(np.repeat(np.arange(len(sizes)), sizes))
        what = f"with classes of {', '.join(map(str, sizes))} rows and b = {b}"
        first_batches = []
        for seed in range(30):
            drawn = call(answer, labels, b, np.random.default_rng(seed))
            expect(hasattr(drawn, "__len__"), "the batches must come from a loop or in a list")
            batches = [numbers(batch, (None,), "a batch").astype(int) for batch in drawn]
            lengths = {len(batch) for batch in batches}
            expect(
                lengths == {b},
                f"{what} a batch has {min(lengths, default=0)} rows: exactly {b} each",
            )
            expect(
                len(batches) == -(-n // b),
                f"{what} an epoch has {len(batches)} batches, and not ⌈n/b⌉ of them",
            )
            rows = np.concatenate(batches)
            expect(rows.min() >= 0 and rows.max() < n, f"{what} a row number is not among the {n}")
            counts = [np.bincount(labels[batch], minlength=len(sizes)) for batch in batches]
            expect(
                np.max(np.ptp(counts, axis=1)) <= 1,
                f"{what} a batch holds {np.max(counts)} rows of one class and "
                f"{np.min(counts)} of another: the shares may differ by one",
            )
            visits = np.bincount(rows, minlength=n)
            spread = max(np.ptp(visits[labels == c]) for c in range(len(sizes)))
            expect(
                spread <= 1,
                f"{what} a row comes {spread} times more often than another of its class: use up "
                "the tail of a class before you start it again",
            )
            first_batches.append(frozenset(batches[0].tolist()))
        expect(
            len(set(first_batches)) > 3,
            f"{what} the first batch is nearly the same for each of 30 seeds: shuffle the classes",
        )
        met = np.bincount([row for batch in first_batches for row in batch], minlength=n)
        large = labels == np.argmax(sizes)
        expect(
            np.mean(met[large] == 0) < 0.6,
            f"{what} the first batches of 30 seeds hold few of the rows of a class: shuffle it",
        )
    return "sizes, shares and visits are right in four cases, and the rows are shuffled"


@exercise(
    "6.5",
    "ex-sampling-labels",
    '''
def mean_labels(scheme, labels, n_epochs, rng):
    """The mean number of different labels in a batch of scheme.epochs(len(labels), rng)."""
    ...
''',
    minutes=25,
    level=1,
    points=2,
    hints=(
        "What is len(np.unique(labels[batch]))?",
        "Average it over the batches of islice(scheme.epochs(len(labels), rng), n_epochs).",
    ),
)
def mean_labels(answer):
    labels = np.sort(np.random.default_rng(62).integers(5, size=90))
    for scheme, n_epochs in (
        (InOrder(15), 1),
        (InOrder(8), 2),
        (BlockShuffled(10, 10, 3), 40),
        (Shuffled(6), 40),
    ):
        found = number(call(answer, scheme, labels, n_epochs, 63), "your mean")
        batches = [b for epoch in islice(scheme.epochs(90, 63), n_epochs) for b in epoch]
        each = [len(np.unique(labels[batch])) for batch in batches]
        compare(
            found,
            np.mean(each),
            f"for {scheme!r} your mean",
            (np.sum(each) / n_epochs, "a mean over batches, not a sum over those of an epoch"),
            (np.sum(each), "it is a sum"),
            (len(labels[batches[0]]), "that is the number of rows"),
            (len(np.unique(labels)), "that is how many labels an epoch has"),
            rtol=0.03 if n_epochs == 40 else 1e-6,
        )
    return "the labels of every batch are counted, for four schemes"

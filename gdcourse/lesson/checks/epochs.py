"""Chapter 5: steps, samples and epochs, and what is written in which unit."""

from itertools import islice

import numpy as np

from gdcourse.lesson.checks.exercise import call, compare, exercise, expect, number, several
from gdcourse.sampling import InOrder, Shuffled, ShuffledOnce, WithReplacement, as_epoch

IMAGES = 1_281_167


@exercise(
    "5.1",
    "ex-epochs-convert-recipe",
    '''
def goyal(b, warmup_epochs=0):
    """The recipe as a function of the step, and the steps of an epoch."""
    ...
''',
    minutes=25,
    level=2,
    points=3,
    hints=(
        "Write every epoch of the recipe as that many times the steps of an epoch.",
        "k = ⌈1281167/b⌉; drops at 30k, 60k and 80k; from 0.1 to 0.1·b/256 in warmup_epochs·k "
        "steps.",
    ),
)
def goyal(answer):
    for b, warm in ((256, 0), (8192, 5), (1024, 5)):
        schedule, k = several(call(answer, b, warm), 2, "what your function returns")
        k = number(k, "the steps of an epoch")
        right = -(-IMAGES // b)
        compare(
            k,
            right,
            f"for b = {b} the number of steps of an epoch",
            (right - 1, "the last batch is short"),
        )
        peak, ramp = 0.1 * b / 256, warm * right
        if warm:
            for step in (0, ramp // 4, ramp // 2, ramp - 1):
                rate = number(call(schedule, step), "the rate")
                climbed = 0.1 + (peak - 0.1) * step / ramp
                expect(
                    abs(rate - climbed) <= 1.5 * (peak - 0.1) / ramp,
                    f"for b = {b} the rate at step {step} of the warm-up is {rate:.4g}: it climbs "
                    "in a straight line from 0.1 to the peak, over the steps of five epochs",
                )
        for epochs, share in ((5, 1), (29, 1), (31, 0.1), (59, 0.1), (61, 0.01), (81, 0.001)):
            compare(
                number(call(schedule, epochs * right + 1), "the rate"),
                share * peak,
                f"for b = {b}, after {epochs} epochs, the rate",
                (0.1 * share, "it grows with b"),
                (0.001 * peak, "the drops are written in epochs, and the schedule counts steps"),
                (0.1, "that is where the warm-up begins"),
            )
        for epochs, share in ((30, 0.1), (60, 0.01), (80, 0.001)):
            for off, factor in ((-2, 10), (1, 1)):
                compare(
                    number(call(schedule, epochs * right + off), "the rate"),
                    factor * share * peak,
                    f"for b = {b}, {abs(off)} steps {'before' if off < 0 else 'after'} the end of "
                    f"epoch {epochs}, the rate",
                )
    return "ramp, peak and drops stand at the right steps, for three batch sizes"


@exercise(
    "5.2",
    "ex-epochs-accumulation",
    '''
def accumulation_counts(n, n_devices, per_device, n_accumulate):
    """Updates an epoch, backward passes of a device, rows that batch normalisation sees."""
    ...
''',
    minutes=10,
    level=1,
    points=2,
    hints=(
        "Which of the four numbers multiply into the batch of one update?",
        "b = per_device · n_devices · n_accumulate, and ⌈n/b⌉ updates; a device has n/n_devices "
        "rows, per_device at a time.",
    ),
)
def accumulation_counts(answer):
    for n, devices, rows, times in ((60_000, 4, 16, 8), (50_000, 8, 32, 4), (1200, 2, 50, 3)):
        names = "updates", "backward passes", "rows that batch normalisation sees"
        found = several(call(answer, n, devices, rows, times), 3, "what your function returns")
        updates, passes, seen = (
            number(value, f"the {name}") for value, name in zip(found, names, strict=True)
        )
        whole = (
            f"for n = {n}, {devices} devices, {rows} rows, {times} passes an update: the number of"
        )
        b = rows * devices * times
        compare(
            updates,
            -(-n // b),
            f"{whole} updates",
            (n // b, "the short last batch is an update too"),
            (-(-n // (rows * times)), "the devices work on one update together"),
            (-(-n // (rows * devices)), "an update comes after all accumulation steps"),
            rtol=1e-9,
        )
        compare(
            passes,
            -(-(n // devices) // rows),
            f"{whole} backward passes of one device",
            (-(-n // rows), "a device sees only its own rows"),
            (times * -(-n // b), "the last update is short: it needs fewer passes"),
            (-(-n // b), "a device makes a pass for every accumulation step"),
            rtol=1e-9,
        )
        compare(
            seen,
            rows,
            f"{whole} rows that batch normalisation sees",
            (b, "its statistics are those of one pass on one device"),
            (rows * devices, "each device has its own statistics"),
            rtol=1e-9,
        )
    return "updates, passes and the rows of batch normalisation, for three machines"


@exercise(
    "5.3",
    "ex-epochs-never-seen",
    '''
def never_seen(scheme, n, n_epochs, rng):
    """How many of n rows no batch of n_epochs epochs of scheme.epochs(n, rng) holds."""
    ...
''',
    minutes=15,
    level=1,
    points=2,
    hints=(
        "Keep a mark for each row, over all epochs.",
        "seen = np.zeros(n, bool); for each of islice(scheme.epochs(n, rng), n_epochs) and each "
        "of its batches seen[batch] = True; count what is left.",
    ),
)
def never_seen(answer):
    dropped = {"drop_last": True}
    for scheme, n, n_epochs in (
        (InOrder(16, **dropped), 100, 4),
        (ShuffledOnce(16, **dropped), 100, 4),
        (Shuffled(16, **dropped), 100, 1),
        (Shuffled(40, **dropped), 100, 2),
        (WithReplacement(10), 100, 2),
        (InOrder(16), 100, 2),
    ):
        found = number(call(answer, scheme, n, n_epochs, 50), "your count")
        epochs = [as_epoch(n, each).rows for each in islice(scheme.epochs(n, 50), n_epochs)]
        rows = [np.arange(n)[each] for each in epochs]
        right = n - len(np.unique(np.concatenate(rows)))
        compare(
            found,
            right,
            f"for {scheme!r}, {n} rows and {n_epochs} epochs your count",
            (n - right, "that is how many rows are seen"),
            (
                sum(n - len(each) for each in rows),
                "a row left out in one epoch may come in another",
            ),
            (sum(n - len(np.unique(each)) for each in rows), "count over all epochs together"),
            (n - len(np.unique(rows[0])), "that is one epoch"),
            rtol=1e-9,
        )
    return "the same count as a list of all rows gives, for six schemes"


@exercise(
    "5.4",
    "ex-epochs-clocks",
    '''
def equal_at(steps, samples, other_steps, other_samples):
    """The t_0 / c at which two runs take the same time."""
    ...
''',
    minutes=20,
    level=2,
    points=3,
    hints=(
        "Write down the seconds of each run and set them equal.",
        "t_0·S + c·E = t_0·S' + c·E'; solve for t_0/c.",
    ),
)
def equal_at(answer):
    for S, E, S2, E2 in ((1000, 1000, 60, 2400), (60, 2400, 20, 60_000), (500, 4000, 100, 9000)):
        found = number(call(answer, S, E, S2, E2), "your ratio")
        seconds = [found * steps + samples for steps, samples in ((S, E), (S2, E2))]
        right = (E2 - E) / (S - S2)
        compare(
            found,
            right,
            f"at your t_0/c the two runs take {seconds[0]:,.0f} and {seconds[1]:,.0f} times c: it",
            (1 / right, "t_0/c, not c/t_0"),
            (-right, "look at the signs"),
            ((E2 / S2 - E / S), "times are added up, not times a step"),
            (E2 / E * S2 / S, "compare sums of two prices, not products of ratios"),
        )
    return "both runs take the same time there, for three pairs"


@exercise(
    "5.5",
    "ex-epochs-running-statistics",
    '''
def matched_momentum(m, factor):
    """The m of a batch smaller by the factor that remembers as many samples."""
    ...
''',
    minutes=25,
    level=2,
    points=3,
    hints=(
        "How much of the old average is left after one large batch, and after as many samples in "
        "small ones?",
        "(1 − m')^factor = 1 − m.",
    ),
)
def matched_momentum(answer):
    for m, factor in ((0.1, 8), (0.3, 4), (0.5, 2), (0.01, 16)):
        found = number(call(answer, m, factor), "your m")
        left = (1 - found) ** factor
        compare(
            found,
            1 - (1 - m) ** (1 / factor),
            f"after {factor} small batches {left:.4f} of the old average is left, and {1 - m} "
            f"after the large one (m = {m}): your m",
            (m / factor, "that is right for small m alone"),
            (m, "then it remembers fewer samples"),
            ((1 - m) ** (1 / factor), "that is what is kept, and m is what comes in"),
            (1 - (1 - m) ** factor, "the smaller batches must fade less, not more"),
            (m * factor, "the smaller batches must fade less, not more"),
            rtol=1e-3,
        )
    return "the old average fades as fast in samples, for four cases"

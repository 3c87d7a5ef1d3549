"""Chapter 10: what momentum changes, and when it pays."""

from itertools import islice

import numpy as np

from gdcourse.descent import updates
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
from gdcourse.sampling import Shuffled


@exercise(
    "10.1",
    "ex-momentum-average",
    '''
def translate(alpha, beta):
    """The heavy ball's pair (alpha', beta') for the averaging convention's alpha and beta."""
    ...
''',
    minutes=15,
    level=1,
    points=2,
    hints=(
        "What must v be for θ ← θ + v to be the same step?",
        "With v = −αm, v ← βv − α(1 − β)g: read off the pair.",
    ),
)
def translate(answer):
    X, y, _ = data.linear_problem(30, 3, noise=1.0, rng=100)
    for alpha, beta in ((0.1, 0.9), (0.3, 0.5), (0.2, 0.0)):
        found = several(call(answer, alpha, beta), 2, "what your function returns")
        rate, rolls = (number(value, name) for value, name in zip(found, ("α'", "β'"), strict=True))
        expect(0 <= rolls < 1, f"your β' is {rolls:.3g}: it must be from 0 to below 1")
        expect(rate > 0, f"your α' is {rate:.3g}: it must be positive")
        run = {"batches": Shuffled(5), "rng": 101}
        path = updates(X, y, np.zeros(3), **run, learning_rate=rate, momentum=rolls)
        found = np.array([theta for *_, theta in islice(path, 13)])
        batches = [batch for epoch in islice(Shuffled(5).epochs(30, 101), 2) for batch in epoch]
        theta, m, walked = np.zeros(3), 0.0, [np.zeros(3)]
        for rows in batches:
            g = X[rows].T @ (X[rows] @ theta - y[rows]) / 5
            m = beta * m + (1 - beta) * g
            theta = theta - alpha * m
            walked.append(theta)
        clue = ""
        if rolls != beta:
            clue = ": does β' do anything else than β?"
        elif np.isclose(rate, alpha):
            clue = ": the first step alone is already too long"
        elif np.isclose(rate, alpha / (1 - beta)):
            clue = ": the average makes each gradient smaller, not larger"
        off = np.linalg.norm(found - walked) / np.linalg.norm(walked)
        expect(
            off < 1e-6,
            f"for α = {alpha} and β = {beta} the two paths differ by {off:.0%}{clue}",
        )
    return "both conventions walk the same path, for three pairs"


@exercise(
    "10.2",
    "ex-momentum-cycle",
    '''
class Bent:
    """One variable: slope 25 theta below 1, theta + 24 from 1 to 2, 25 theta - 24 above."""

    def loss(self, theta, X, y):
        """A number; theta has shape (1,)."""
        ...

    def gradient(self, theta, X, y):
        """Shaped like theta."""
        ...
''',
    minutes=25,
    level=2,
    points=3,
    hints=(
        "Integrate each piece, and choose the constants so that the loss has no jump.",
        "12.5θ² below 1, ½θ² + 24θ − 12 from 1 to 2, 12.5θ² − 24θ + 36 above.",
    ),
)
def Bent(answer):  # noqa: N802 - the name of the answer
    bent = answer() if isinstance(answer, type) else answer
    for method in ("loss", "gradient"):
        expect(hasattr(bent, method), f"`Bent` must have a method {method}(theta, X, y)")

    def at(method, theta):
        found = call(getattr(bent, method), np.array([theta]), np.ones((1, 1)), np.zeros(1))
        return number(found, f"the {method}")

    def slope(t):
        return 25 * t if t < 1 else t + 24 if t <= 2 else 25 * t - 24

    for theta in (-1.5, -0.2, 0.4, 0.99, 1.01, 1.6, 1.99, 2.01, 3.3):
        compare(
            at("gradient", theta),
            slope(theta),
            f"the gradient at {theta}",
            (theta + 24, "that is the middle piece"),
            (25 * theta, "that is the first piece"),
            (25 * theta - 24, "that is the last piece"),
            (-slope(theta), "its sign is turned"),
        )
        if theta not in (0.99, 1.01, 1.99, 2.01):
            rise = (at("loss", theta + 1e-4) - at("loss", theta - 1e-4)) / 2e-4
            compare(
                rise,
                slope(theta),
                f"your loss rises by {rise:.4g} at {theta}, which is not the gradient: the slope",
                rtol=1e-3,
            )
    lowest = at("loss", 0.0)
    for bend in (1.0, 2.0):
        jump = at("loss", bend + 1e-7) - at("loss", bend - 1e-7)
        expect(
            abs(jump) < 1e-3,
            f"the loss jumps by {jump:.3g} at {bend:g}: choose the constants of the pieces",
        )
    expect(lowest < at("loss", 0.1), "the minimum is not at 0")
    return "slopes, loss and gradient fit together in all three pieces"


@exercise(
    "10.3",
    "ex-momentum-default",
    '''
def suits(beta):
    """The condition number for which beta is the heavy ball's best choice."""
    ...
''',
    minutes=20,
    level=2,
    points=2,
    hints=(
        "The derivation gives the best β for a κ. Turn it round.",
        "√β = (√κ − 1)/(√κ + 1), so √κ = (1 + √β)/(1 − √β).",
    ),
)
def suits(answer):
    for beta in (0.9, 0.5, 0.99, 0.1):
        found = number(call(answer, beta), "your condition number")
        expect(
            found >= 1, f"for β = {beta} your condition number is {found:.3g}, and none is below 1"
        )
        root = (1 + beta**0.5) / (1 - beta**0.5)
        best = ((found**0.5 - 1) / (found**0.5 + 1)) ** 2
        compare(
            found,
            root**2,
            f"at your condition number the best β is {best:.4f}, not {beta}: it",
            (root, "that is its root"),
            (((1 + beta) / (1 - beta)) ** 2, "the root of β is in the formula"),
            ((1 + beta) / (1 - beta), "the root of β is in the formula"),
            (root**4, "that is its square"),
            (1 / (1 - beta) ** 2, "that is a rule of thumb; invert the formula"),
            rtol=1e-3,
        )
    return "each β is the best one at the condition number you give for it"


@exercise(
    "10.4",
    "ex-momentum-turn",
    '''
def half_period(alpha, curvature, beta):
    """Steps between two crossings of zero, along a direction of that curvature."""
    ...
''',
    minutes=25,
    level=2,
    points=3,
    hints=(
        "The roots are a complex pair; by which angle does a step turn them?",
        "π/ω with ω = arccos((1 + β − αλ)/(2√β)).",
    ),
)
def half_period(answer):
    for alpha, curvature, beta in ((0.1, 0.5, 0.9), (0.01, 0.3, 0.99), (1.0, 0.8, 0.7)):
        found = number(call(answer, alpha, curvature, beta), "your half period")
        c, v, crossings = 1.0, 0.0, []
        for step in range(1, 4001):
            v = beta * v - alpha * curvature * c
            before, c = c, c + v
            if before * c < 0:
                crossings.append(step - 1 + before / (before - c))
            scale = abs(c) + abs(v)
            c, v = c / scale, v / scale  # the swing is all that counts
        measured = np.mean(np.diff(crossings))
        cosine = (1 + beta - alpha * curvature) / (2 * beta**0.5)
        turn = np.arccos(cosine)
        compare(
            found,
            np.pi / turn,
            f"for α = {alpha}, λ = {curvature} and β = {beta} the path crosses zero every "
            f"{measured:.1f} steps: your half period",
            (2 * np.pi / turn, "that is a whole period"),
            (1 / turn, "half a turn is π"),
            (turn, "that is the angle of a step"),
            (180 / np.pi * turn, "that is the angle of a step, in degrees"),
            (np.pi / cosine, "the angle, not its cosine"),
            rtol=1e-3,
        )
    return "the same time as between counted crossings, for three directions"


@exercise(
    "10.5",
    "ex-momentum-rounder",
    """
# Steps without momentum divided by steps with it, at b = 1, 64 and 4096:
rounder_gains = ...
""",
    minutes=30,
    level=2,
    points=3,
    hints=(
        "With noise the floor, without it the curvature limits the rate: which does momentum help?",
        "len(mean_losses(...)) - 1 at target=goal, once for grid with β = 0 and once for all pairs "
        "of grid and choices, on data.linear_problem(4000, 3, condition=10, **noisy).",
    ),
)
def rounder_gains(answer):
    found = numbers(answer, (3,), "`rounder_gains`")
    expect(
        np.all(found >= 1),
        "a gain is below 1, and β = 0 is one of the choices: divide the steps without by those "
        "with",
    )
    X, *_ = data.linear_problem(4000, 3, condition=10, noise=1.0, rng=0)
    h = np.linalg.eigvalsh(X.T @ X / 4000)
    limit = (h[-1] / h[0]) ** 0.5
    expect(
        found.max() < limit,
        f"a gain is above the root of the condition number, {limit:.1f}, which is the most "
        "that momentum can do",
    )
    steps = []
    for betas in ([0.0], 1 - 2.0 ** np.arange(0, -11.1, -0.5)):
        alpha, beta = np.meshgrid(2.0 ** np.arange(-6, 2.3, 0.25), betas)
        e = np.ones((3, *alpha.shape))  # in units in which each direction has a loss of ½
        v = 0 * e
        n_steps = 0
        while np.nanmin(np.sum(e**2, axis=0)) > 0.03:
            v = beta * v - alpha * h[:, None, None] * e
            e = e + v
            n_steps += 1
        steps.append(n_steps)
    right = steps[0] / steps[1]
    # At 4096 of 4000 rows, with replacement, there is still a little noise.
    expect(
        abs(found[2] / right - 1) < 0.25,
        f"at b = 4096 there is next to no noise, and counting gives another gain than "
        f"{found[2]:.2f}",
    )
    expect(
        found[0] < found[1] < found[2],
        "the gain grows with b: where noise sets the rate momentum gains least",
    )
    expect(1.05 < found[0] < 1.5, "at b = 1 noise sets the rate: expect little, and a little more")
    return "little at b = 1, and at b = 4096 what counting without noise gives"

"""What an experiment finds by trying: the seconds of a step, and the best learning rate."""

import math
from itertools import islice
from time import perf_counter

from gdcourse.base import validation
from gdcourse.base.backend import synchronize
from gdcourse.descent import updates
from gdcourse.objectives import LeastSquares

__all__ = ["seconds_per_step", "tune"]


def seconds_per_step(
    X, y, theta_init, *, objective=LeastSquares(), batches, n_steps=100, repeats=5
):
    """The seconds that one of the `updates` takes: the least of several measurements.

    Other programs can only make a step slower, so the smallest time is the least disturbed.
    The first step is left out, as it may load and compile, and the clock stops when the device
    has finished. Drawing the batches counts.

    Parameters
    ----------
    X : (n, d) array
    y : (n,) array
    theta_init : array
    objective : Objective
    batches : Sampler
    n_steps : int
        Steps in a measurement; its time is divided by them.
    repeats : int
        Measurements.

    Returns
    -------
    float
        In seconds.

    Examples
    --------
    >>> from gdcourse import FullBatch
    >>> seconds_per_step([[1.0], [1.0]], [1.0, 3.0], [0.0], batches=FullBatch()) > 0
    True
    """
    n_steps = validation.check_count("n_steps", n_steps)
    times = []
    for _ in range(validation.check_count("repeats", repeats)):
        # A tiny rate: the steps are to cost what steps cost, and lead nowhere.
        path = updates(
            X, y, theta_init, objective=objective, batches=batches, learning_rate=1e-9, rng=0
        )
        *_, (_, _, theta) = islice(path, 2)
        synchronize(theta)
        start = perf_counter()
        for _, _, theta in islice(path, n_steps):  # noqa: B007 (the last one is waited for)
            pass
        synchronize(theta)
        times.append((perf_counter() - start) / n_steps)
    return min(times)


def tune(score, guess, factor=2.0, *, max_scores=40):
    """The value with the lowest score, searched from a guess in steps of a factor.

    The search walks outwards until the best value has a worse or equal one on either side, so
    its optimum is never on the edge of what was tried.

    Parameters
    ----------
    score : callable
        Takes a value, such as a learning rate, and returns what is to be low; infinity or NaN
        says that the value does not serve.
    guess : float
        Where the search begins.
    factor : float
        The ratio of neighbouring values, above 1.
    max_scores : int
        How many values may be tried.

    Returns
    -------
    best : float
    scores : dict
        The score of every value tried, from the smallest value to the largest.

    Raises
    ------
    ValueError
        Where all values near the guess have infinite scores, or where the score still falls
        when `max_scores` values have been tried.

    Examples
    --------
    >>> best, scores = tune(lambda rate: abs(rate - 0.9), guess=0.25)
    >>> best, list(scores)
    (1.0, [0.125, 0.25, 0.5, 1.0, 2.0])
    """
    guess = validation.check_positive("guess", guess)
    if validation.check_positive("factor", factor) <= 1:
        raise ValueError(f"factor must be above 1, got {factor}")
    max_scores = validation.check_count("max_scores", max_scores, minimum=3)
    found = {0: score(guess)}
    while True:
        best = min(found, key=lambda k: math.inf if math.isnan(found[k]) else found[k])
        missing = {best - 1, best + 1} - found.keys()
        if not missing:
            break
        if len(found) + len(missing) > max_scores:
            raise ValueError(
                f"guess must be nearer to the optimum: from {guess} in {len(found)} values "
                f"the score still falls at {guess * factor**best:.3g}"
            )
        found |= {k: score(guess * factor**k) for k in missing}
    if not math.isfinite(found[best]):
        raise ValueError(f"guess must have a finite score, or a neighbour with one, got {guess}")
    return guess * factor**best, {guess * factor**k: found[k] for k in sorted(found)}

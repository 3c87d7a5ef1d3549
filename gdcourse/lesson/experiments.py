"""Procedures that the chapters measure with: tune, time, fit, compare."""

import math
import tracemalloc
from contextlib import contextmanager
from itertools import islice
from time import perf_counter
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import array_namespace, asarray, synchronize, take_rows, to_host
from gdcourse.base.docs import parameters_of
from gdcourse.descent import updates
from gdcourse.engine.many import descend_many
from gdcourse.noise import gradient_variance
from gdcourse.objectives import LeastSquares
from gdcourse.rows import compress, open_problem
from gdcourse.run import descend
from gdcourse.sampling import FullBatch, Shuffled, WithReplacement

__all__ = [
    "Fit",
    "TunedExcess",
    "TunedSteps",
    "accuracy",
    "accuracy_on_splits",
    "batch_errors",
    "compare_paired",
    "descents",
    "fit_hyperbola",
    "fit_power",
    "fit_step_time",
    "largest_curvature",
    "pair_correlation",
    "peak_memory",
    "relative_error",
    "seconds_in_rounds",
    "seconds_per_step",
    "steps_to_target",
    "tune",
    "tuned_excess",
]


@parameters_of(updates)
def seconds_per_step(
    X, y, theta_init, *, objective=LeastSquares(), batches, n_steps=100, repeats=5
):
    """The seconds that one of the `updates` takes: the least of several measurements.

    Other programs can only make a step slower, so the smallest time is the least disturbed.
    The first step is left out, as it may load and compile, and the clock stops when the device
    has finished. Drawing the batches counts.

    Parameters
    ----------
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


@parameters_of(descend_many)
def descents(problem, batches, learning_rate, some, n_epochs=1, *, seeds, **options):
    """The descent of a problem at every rate, from some of its seeds.

    Parameters
    ----------
    problem : (objective, X, y, starts)
        What is minimised, and one start for each of the seeds.
    some : slice
        Which of the seeds walk.
    seeds : sequence of seeds
        For `starts`, one for one.
    **options : optional
        Further arguments of `descend_many`: what to record, and where to stop.

    Returns
    -------
    Runs

    Examples
    --------
    >>> problem = LeastSquares(), np.eye(2), np.ones(2), np.zeros((4, 2))
    >>> descents(problem, FullBatch(), [0.1, 0.2], slice(3), seeds=range(4)).theta.shape
    (2, 3, 2)
    """
    objective, X, y, starts = problem
    return descend_many(
        X,
        y,
        starts[some],
        objective=objective,
        batches=batches,
        learning_rate=learning_rate,
        n_epochs=n_epochs,
        rng=seeds[some],
        **options,
    )


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


class TunedSteps(NamedTuple):
    """What `steps_to_target` finds.

    Attributes
    ----------
    learning_rate : float
        The rate with the fewest steps on the seeds of the search.
    steps : (n_seeds,) array
        Steps to the target on the other seeds, which did not choose the rate.
    mean, standard_error : float
        Of `steps`.
    scores : dict
        The mean number of steps on the seeds of the search, for every rate tried.
    runs : Runs
        Those of the report, as `descend_many` returns them.
    """

    learning_rate: float
    steps: np.ndarray
    mean: float
    standard_error: float
    scores: dict
    runs: object


@parameters_of(updates)
def steps_to_target(
    X,
    y,
    theta_init,
    *,
    objective=LeastSquares(),
    batches,
    target,
    guess,
    n_epochs,
    search_seeds,
    report_seeds,
    factor=2**0.5,
    **options,
):
    """The steps that a batch size needs to reach a loss, at its own best learning rate.

    The rate is tuned on some seeds and the steps are reported on others, since the fewest steps
    of many rates flatter the seeds that chose them. A run that does not arrive counts as
    infinitely many steps.

    Parameters
    ----------
    theta_init : array
        One start, or one for each of the search's seeds followed by one for each of the report's.
    target : float
        The loss to reach.
    guess : float
        The learning rate where the search begins.
    n_epochs : int
        The most passes over the data.
    search_seeds, report_seeds : sequence of seeds
        Without one in common.
    factor : float
        The ratio of neighbouring rates.
    **options : optional
        Further arguments of `descend_many`, such as ``record_every`` and ``evaluate_on``.

    Returns
    -------
    TunedSteps

    Raises
    ------
    ValueError
        Where a seed stands in both lists, where no rate near the guess arrives on all seeds, or
        where the best rate is on the edge of what was tried.
    """
    search_seeds, report_seeds = list(search_seeds), list(report_seeds)
    if any(seed in search_seeds for seed in report_seeds):
        raise ValueError("report_seeds must differ from search_seeds: they would choose and report")
    starts = np.asarray(theta_init) if isinstance(theta_init, list) else theta_init
    of_seeds = starts.shape[0] == len(search_seeds) + len(report_seeds) and starts.ndim > 1

    def run(rate, seeds, starts):
        return descend_many(
            X,
            y,
            starts,
            objective=objective,
            batches=batches,
            learning_rate=rate,
            n_epochs=n_epochs,
            rng=seeds,
            target=target,
            **options,
        )

    cut = len(search_seeds)
    for_search, for_report = (starts[:cut], starts[cut:]) if of_seeds else (starts, starts)

    def score(rate):
        return run(rate, search_seeds, for_search).steps_to(target).mean()

    rate, scores = tune(score, guess, factor)
    runs = run(rate, report_seeds, for_report)
    steps = runs.steps_to(target)
    error = np.std(steps, ddof=1) / len(steps) ** 0.5 if len(steps) > 1 else np.nan
    return TunedSteps(rate, steps, float(steps.mean()), float(error), scores, runs)


class Fit(NamedTuple):
    """A curve through measurements: its parameters, their standard errors, and its misfit.

    Attributes
    ----------
    parameters, errors : (k,) array
        What was fitted, and the standard error of each.
    misfit : float
        The root mean square of the relative deviations.
    """

    parameters: np.ndarray
    errors: np.ndarray
    misfit: float


def fit_hyperbola(batch_sizes, steps):
    """S = S_min·(1 + B/b): the fewest steps S_min, and the critical batch size B.

    Least squares of the relative deviations, since the errors of a count of steps are relative.

    Parameters
    ----------
    batch_sizes, steps : (m,) array
        Three or more.

    Returns
    -------
    Fit
        ``parameters`` are S_min, in steps, and B, in samples.

    References
    ----------
    S. McCandlish, J. Kaplan and D. Amodei (2018), arXiv:1812.06162.

    Examples
    --------
    >>> b = np.array([1, 4, 16, 64])
    >>> fit_hyperbola(b, 30 * (1 + 20 / b)).parameters.round(6).tolist()
    [30.0, 20.0]
    """
    b, steps = (np.asarray(values, dtype=float) for values in (batch_sizes, steps))
    # S = S_min + C/b is a line in 1/b; its relative deviations have the weights 1/S.
    design = np.stack([1 / steps, 1 / (b * steps)], axis=1)
    (lowest, slope), covariance, misfit = _solve(design, np.ones(len(b)))
    gradient = np.array([-slope / lowest**2, 1 / lowest])
    errors = np.sqrt([covariance[0, 0], gradient @ covariance @ gradient])
    return Fit(np.array([lowest, slope / lowest]), errors, misfit)


def fit_power(x, y):
    """y = c·x^p, a straight line on logarithmic axes: its slope p and the factor c.

    Parameters
    ----------
    x, y : (m,) array
        Positive, three or more.

    Returns
    -------
    Fit
        ``parameters`` are p and c.

    Examples
    --------
    >>> x = np.array([1.0, 10.0, 100.0])
    >>> fit_power(x, 5 * x**2).parameters.round(6).tolist()
    [2.0, 5.0]
    """
    log_x, log_y = np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float))
    design = np.stack([log_x, np.ones(len(log_x))], axis=1)
    (slope, offset), covariance, misfit = _solve(design, log_y)
    errors = np.sqrt(np.diag(covariance)) * [1, np.exp(offset)]
    return Fit(np.array([slope, np.exp(offset)]), errors, misfit)


def fit_step_time(batch_sizes, seconds, law=np.add):
    """t = law(t₀, b/r): the overhead t₀ of a step, and the knee b₀ = r·t₀.

    A law and a knee fix the shape of the curve. Measured times divided by it leave t₀ as the
    mean of their logarithms; the knee is the one of a thousand that leaves the least spread.

    Parameters
    ----------
    batch_sizes, seconds : (m,) array
        From the smallest batch size to the largest.
    law : callable
        ``np.add`` where the two costs add up, ``np.maximum`` where the longer hides the other.

    Returns
    -------
    overhead : float
        t₀, in seconds.
    knee : float
        b₀, in rows; rows a second are ``knee / overhead``.
    misfit : float
        The root mean square of the deviations of log t.

    Examples
    --------
    >>> b = 2 ** np.arange(13)
    >>> overhead, knee, misfit = fit_step_time(b, 5e-6 + b / 1e7)
    >>> round(1e6 * overhead, 1), round(knee)
    (5.0, 50)
    """
    batch_sizes, seconds = (np.asarray(values, dtype=float) for values in (batch_sizes, seconds))
    knees = np.geomspace(batch_sizes[0], batch_sizes[-1], 1000)
    logs = np.log(seconds / law(1, batch_sizes / knees[:, None]))
    best = np.argmin(logs.std(axis=1))
    return float(np.exp(logs[best].mean())), float(knees[best]), float(logs[best].std())


@contextmanager
def peak_memory():
    """Watch NumPy's allocations in a ``with`` block: the most bytes held above those before.

    Yields
    ------
    namespace
        Whose ``peak``, in bytes, is there when the block has ended.

    Examples
    --------
    >>> with peak_memory() as memory:
    ...     zeros = np.zeros(1_000_000)
    ...     ones = zeros + 1
    >>> round(memory.peak / 1e6)
    16
    """
    memory = SimpleNamespace(peak=None)
    tracemalloc.start()
    try:
        yield memory
        memory.peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _solve(design, values):
    """Least squares: the solution, its covariance from the residuals, and their rms."""
    m, k = design.shape
    if m <= k:
        raise ValueError(f"a fit of {k} parameters needs {k + 1} points or more, got {m}")
    solution = np.linalg.lstsq(design, values)[0]
    residual = values - design @ solution
    variance = residual @ residual / (m - k)
    return solution, variance * np.linalg.inv(design.T @ design), (residual @ residual / m) ** 0.5


@parameters_of(gradient_variance)
def largest_curvature(objective, theta, X, y, *, n_iterations=100, step=1e-4, rng=0):
    """The largest eigenvalue of the Hessian of J at θ, by power iteration.

    A product of the Hessian and a vector is a central difference of two gradients. The estimate
    grows towards the eigenvalue of the largest size, so the objective should have its largest
    curvature upwards.

    Parameters
    ----------
    n_iterations : int
        Products of the Hessian with a vector.
    step : float
        The length of the difference.
    rng : numpy.random.Generator, seed or None
        Draws the first direction.

    Returns
    -------
    float
        L; a full batch with a constant rate above 2/L leaves the neighbourhood of θ.

    Examples
    --------
    >>> X = np.diag([3.0, 1.0])
    >>> round(largest_curvature(LeastSquares(), [0.0, 0.0], X, [1.0, 1.0]), 6)
    4.5
    """
    objective, theta, data = open_problem(objective, theta, X, y)
    n_iterations = validation.check_count("n_iterations", n_iterations)
    direction = validation.check_rng(rng).standard_normal(theta.shape)
    for _ in range(n_iterations):
        direction = direction / np.linalg.norm(direction)
        ahead, behind = (
            data.mean(objective.gradient, theta + asarray(sign * step * direction, like=theta))
            for sign in (1, -1)
        )
        product = to_host(ahead - behind) / (2 * step)
        curvature, direction = float(np.sum(direction * product)), product
    return curvature


@parameters_of(gradient_variance)
def batch_errors(objective, theta, X, y, *, batches, n_epochs, rng=None):
    """For each epoch, the mean of ‖ĝ_B − ∇J‖² over its batches, at a θ that stays.

    The batches of an epoch depend on each other, so the epochs are the repetitions that a
    standard error needs.

    Parameters
    ----------
    objective : Objective
        One that takes many batches at once, as those of the package do.
    batches : Sampler
        With batches of one size: ``drop_last=True`` leaves a short one out.
    n_epochs : int
        How many passes over the data are drawn.
    rng : numpy.random.Generator, seed or None
        Draws the batches.

    Returns
    -------
    (n_epochs,) NumPy array

    Raises
    ------
    ValueError
        Where the batches of an epoch differ in size.

    Examples
    --------
    >>> from gdcourse import InOrder
    >>> X, y = np.ones((4, 1)), np.array([1.0, 3.0, 1.0, 3.0])
    >>> batch_errors(LeastSquares(), np.zeros(1), X, y, batches=InOrder(1), n_epochs=1)
    array([1.])
    """
    objective, theta, data = open_problem(objective, theta, X, y)
    n_epochs = validation.check_count("n_epochs", n_epochs)
    exact, means = data.mean(objective.gradient, theta), []
    xp, in_order = array_namespace(exact), np.arange(len(data))
    for epoch in islice(batches.epochs(len(data), rng), n_epochs):
        sizes = epoch.batch_sizes
        if np.ptp(sizes):
            raise ValueError(
                f"batches must be of one size, got {min(sizes)} to {max(sizes)}: set drop_last=True"
            )
        order = in_order if epoch.order is None else epoch.order
        rows = order[epoch.bounds[0] : epoch.bounds[-1]].reshape(len(epoch), -1)
        X_B, y_B = (take_rows(array, asarray(rows, like=array)) for array in (data.X, data.y))
        error = objective.gradient(theta, X_B, y_B) - exact
        means.append(xp.sum(error**2) / len(epoch))
    return to_host(xp.stack(means))


def accuracy(objective, theta, X, y):
    """The share of rows whose class has the highest score, in percent.

    Parameters
    ----------
    objective : SoftmaxRegression, MLP, or another with `predict`
        A model that gives a score for each class.
    theta : array
        Of one run, or of many: more axes in front.
    X : (n, d) array
        Features, one sample a row.
    y : (n,) array of labels 0, 1, ...
        Classes, one for each row of X.

    Returns
    -------
    float, or NumPy array with the axes of the runs

    Examples
    --------
    >>> from gdcourse import SoftmaxRegression
    >>> accuracy(SoftmaxRegression(2), np.array([[1.0, -1.0]]), np.array([[2.0], [-3.0]]), [0, 0])
    50.0
    """
    scores = to_host(objective.predict(theta, X))
    right = 100 * np.mean(scores.argmax(axis=-1) == to_host(np.asarray(y)), axis=-1)
    return right if right.ndim else float(right)


def accuracy_on_splits(splits, theta_init, *, batches, **options):
    """Train on the first part of each split, in the order of its rows, and test on the second.

    The run of split k has the seed k, so that schemes can be compared pair by pair.

    Parameters
    ----------
    splits : sequence of ((X, y), (X_test, y_test))
        Rows to train on and rows to test on.
    theta_init : array
        Where every run starts, shaped as the objective asks.
    batches : Sampler, or a function
        A function makes the sampler from the labels of a split, as `Stratified` needs them.
    **options : optional
        Further arguments of `descend`: the objective, the learning rate, the epochs.

    Returns
    -------
    (n_splits,) NumPy array
        In percent.
    """
    found = []
    for seed, (train, test) in enumerate(splits):
        scheme = batches(to_host(train[1])) if callable(batches) else batches
        theta, _ = descend(*train, theta_init, batches=scheme, rng=seed, **options)
        found.append(accuracy(options["objective"], theta, *test))
    return np.array(found)


def compare_paired(first, second):
    """The mean of first − second over pairs, and its standard error.

    Runs that share a split, a start or a seed share its luck, which their difference leaves out.

    Parameters
    ----------
    first, second : (m,) array
        Pair by pair, two or more.

    Returns
    -------
    difference, standard_error : float

    Examples
    --------
    >>> compare_paired([3.0, 5.0, 7.0], [2.0, 4.0, 6.0])
    (1.0, 0.0)
    """
    differences = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    if differences.ndim != 1 or len(differences) < 2:
        raise ValueError(f"pairs must be two or more along one axis, got {differences.shape}")
    error = np.std(differences, ddof=1) / len(differences) ** 0.5
    return float(differences.mean()), float(error)


def relative_error(found, expected):
    """‖found − expected‖ / ‖expected‖ of two arrays, on the host.

    Parameters
    ----------
    found, expected : array
        Of any library, and of one shape.

    Returns
    -------
    float

    Examples
    --------
    >>> relative_error([1.0, 2.2], [1.0, 2.0]) < 0.1
    True
    """
    found, expected = (
        np.asarray(to_host(a) if hasattr(a, "shape") else a) for a in (found, expected)
    )
    if found.shape != expected.shape:
        raise ValueError(f"found must have shape {expected.shape}, got {found.shape}")
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@parameters_of(updates)
def seconds_in_rounds(
    X,
    y,
    theta_init,
    batch_sizes,
    *,
    objective=LeastSquares(),
    scheme=WithReplacement,
    n_rounds=10,
    n_steps=10,
    repeats=1,
):
    """The seconds of a step at several batch sizes, `seconds_per_step` after another in rounds.

    A busy moment of the machine then spoils a round and not a batch size: take the least over
    the rounds.

    Parameters
    ----------
    batch_sizes : (m,) array of int
        All of them are timed in every round.
    scheme : callable
        Makes the sampler from a batch size.
    n_rounds : int
        How often.
    n_steps : int, or callable
        Steps in a measurement; a function tells it from the batch size.
    repeats : int
        Measurements of each size in a round, of which the least counts.

    Returns
    -------
    (n_rounds, m) NumPy array

    Examples
    --------
    >>> seconds_in_rounds([[1.0], [1.0]], [1.0, 3.0], [0.0], [1, 2], n_rounds=3).shape
    (3, 2)
    """
    shared = {"objective": objective, "repeats": repeats}
    return np.array(
        [
            [
                seconds_per_step(
                    X,
                    y,
                    theta_init,
                    batches=scheme(b),
                    n_steps=n_steps(b) if callable(n_steps) else n_steps,
                    **shared,
                )
                for b in map(int, batch_sizes)
            ]
            for _ in range(validation.check_count("n_rounds", n_rounds))
        ]
    )


def pair_correlation(errors, batches, n_epochs, rng=None):
    """The correlation of the errors of an epoch's first two batches, and its standard error.

    That is the mean of their product over the mean of their squares, over many epochs, at a θ
    that stays.

    Parameters
    ----------
    errors : (n, k) array
        For each row its gradient less that of all rows.
    batches : Sampler
        Whose first two batches have one size.
    n_epochs : int
        How many are drawn.
    rng : numpy.random.Generator, seed or None
        Draws them.

    Returns
    -------
    correlation, standard_error : float

    Examples
    --------
    >>> from gdcourse import InOrder
    >>> pair_correlation(np.array([[1.0], [-1.0]]), InOrder(1), n_epochs=2)
    (-1.0, 0.0)
    """
    errors = np.asarray(to_host(errors))
    pairs = np.array(
        [
            [errors[rows].mean(axis=0) for rows in islice(epoch, 2)]
            for epoch in islice(batches.epochs(len(errors), rng), n_epochs)
        ]
    )
    products = np.sum(pairs[:, 0] * pairs[:, 1], axis=-1)
    squares = np.sum(pairs**2, axis=(1, 2)) / 2
    ratio = products.mean() / squares.mean()
    error = np.std(products - ratio * squares, ddof=1) / len(pairs) ** 0.5
    return float(ratio), float(error / squares.mean())


class TunedExcess(NamedTuple):
    """What `tuned_excess` finds, budget by budget.

    Attributes
    ----------
    steps : (m,) array
        The budgets.
    rates : (m,) array
        For each the learning rate with the lowest mean excess loss on the seeds of the search.
    mean, error : (m,) array
        The excess loss at that rate on other seeds, and its standard error.
    """

    steps: np.ndarray
    rates: np.ndarray
    mean: np.ndarray
    error: np.ndarray

    def at(self, n_steps):
        """What belongs to the last budget within `n_steps`, as numbers of the same names."""
        k = np.searchsorted(self.steps, n_steps, side="right") - 1
        return TunedExcess(*(column[k] for column in self))


def tuned_excess(X, y, batch_size, steps, n_epochs, learning_rates, *, n_seeds=12, rng=0):
    """The excess loss of a batch size after several budgets of steps, each with its best rate.

    Every learning rate is tried on some seeds; the best is reported on as many new ones, since a
    rate chosen for its luck should not be praised for it. The runs are of least squares from
    θ = 0, over shuffled rows without a short last batch; the full batch draws nothing, so one
    run is enough.

    Parameters
    ----------
    X : (n, d) array
        Features, one sample a row.
    y : (n,) array
        Targets.
    batch_size : int
        b; n is the full batch.
    steps : (m,) array of int
        The budgets, rising.
    n_epochs : int
        Passes that are enough for the last of them.
    learning_rates : (k,) array
        Rising.
    n_seeds : int
        Seeds of the search, and of the report.
    rng : seed
        Makes the seeds.

    Returns
    -------
    TunedExcess

    Raises
    ------
    ValueError
        Where a best rate is the first or the last that was tried.

    Examples
    --------
    With b = n and one feature a step of 1/L arrives at once:

    >>> rates = [0.25, 0.5, 1.0]
    >>> found = tuned_excess([[1.0], [-1.0]], [2.0, -2.0], 2, [1], 1, rates)
    Traceback (most recent call last):
        ...
    ValueError: learning_rates must reach beyond 1.0, the best for 1 steps
    >>> tuned_excess([[1.0], [-1.0]], [2.0, -2.0], 2, [1], 1, [*rates, 2.0]).rates
    array([1.])
    """
    full = batch_size == len(y)
    batches = FullBatch() if full else Shuffled(batch_size, drop_last=True)
    n_seeds, rates = 1 if full else n_seeds, np.asarray(learning_rates, dtype=float)
    rows, steps = compress(X, y), np.asarray(steps)
    A, t = map(to_host, rows)
    best, H = np.linalg.lstsq(A, t, rcond=None)[0], A.T @ A / len(t)
    runs = descend_many(
        X,
        y,
        asarray(np.zeros(len(H)), like=rows[0]),
        batches=batches,
        learning_rate=rates,
        n_epochs=n_epochs,
        rng=np.random.default_rng(rng).integers(2**31, size=2 * n_seeds),
        record_every=steps,
        evaluate_on=rows,
        keep_theta=True,
    )
    away = to_host(runs.thetas)[:, :, np.isin(runs.history.step, steps)] - best
    with np.errstate(over="ignore", invalid="ignore"):  # some diverge
        # A quadratic form keeps the digits that a difference of two losses would lose.
        excess = np.nan_to_num(np.vecdot(away @ H, away) / 2, nan=np.inf)
        choice = np.argmin(excess[:, :n_seeds].mean(axis=1), axis=0)
    for k, budget in zip(choice, steps, strict=True):
        if not 0 < k < len(rates) - 1:
            raise ValueError(
                f"learning_rates must reach beyond {rates[k]}, the best for {budget} steps"
            )
    chosen = excess[choice, n_seeds:, np.arange(len(steps))]
    error = chosen.std(axis=1) / n_seeds**0.5
    return TunedExcess(steps, rates[choice], chosen.mean(axis=1), error)

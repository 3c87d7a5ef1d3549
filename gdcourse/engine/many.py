"""Many descents at once: a rate and a seed each, walked together and recorded together.

An experiment asks for the same descent at many learning rates and from many seeds. Runs whose
objective takes many runs at once share their steps: compiled where `compiled` knows the model,
and otherwise through `descent.steps` itself, with a θ of all runs, a batch of row numbers for each
and a rate for each. Any other objective, and rows that are not in memory, make one run at a time.
"""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from typing import Any

import numpy as np

from gdcourse import schedules
from gdcourse.base import validation
from gdcourse.base.backend import array_namespace, asarray, cut_blocks, take_rows, to_host
from gdcourse.base.docs import parameters_of
from gdcourse.base.progress import show_progress
from gdcourse.descent import Rule, State, draw_epochs, open_descent, steps, updates
from gdcourse.engine import compiled
from gdcourse.engine.log import check_record_every, cut_epochs, is_record
from gdcourse.objectives import MLP, LeastSquares, LogisticRegression, SoftmaxRegression
from gdcourse.rows import InMemory, LossAndGradient, open_problem
from gdcourse.sampling import Epoch, Shuffled, WithReplacement

__all__ = ["Histories", "Runs", "descend_many"]

TAKE_MANY_RUNS = (LeastSquares, LogisticRegression, SoftmaxRegression, MLP)
ROWS_DRAWN = 2**22  # row numbers of all seeds that are in memory at once
VALUES = 2**18  # of gathered rows at once, on the host; a device takes 64 times as many
VALUES_COPIED = 2**22  # of X, where it does not lie row by row
VALUES_A_THREAD = 2**20  # of rows that a part of the runs has to walk for a thread to pay
VALUES_A_DRAW = 4  # of rows, walked while one row is drawn


@dataclass(frozen=True)
class Histories:
    """Many descents at their record points, as NumPy arrays on the host.

    Attributes
    ----------
    step, epoch, samples_seen : (records,) array
        Updates made, passes over the data, and rows used, at each record.
    loss, gradient_norm : (n_rates, n_seeds, records) array
        NaN after a run has ended.
    diverged : (n_rates, n_seeds) bool array
        Whether the loss of a run stopped being finite.
    """

    step: np.ndarray
    epoch: np.ndarray
    samples_seen: np.ndarray
    loss: np.ndarray
    gradient_norm: np.ndarray
    diverged: np.ndarray


@dataclass(frozen=True)
class Runs:
    """What `descend_many` leaves behind; ``theta, history = runs`` takes it apart.

    An axis that was given as one value, one rate or one seed, is left out.

    Attributes
    ----------
    theta : (n_rates, n_seeds, ...) array
        The parameters at the end of each run, on the device and in the library they came in.
    history : Histories
        What was recorded along the way.
    thetas : (n_rates, n_seeds, records, ...) NumPy array, or None
        The parameters at every record, where `keep_theta` asked for them.
    seed_axis : int, or None
        The axis of the seeds, where there are several.
    """

    theta: Any
    history: Histories
    thetas: np.ndarray | None = None
    seed_axis: int | None = None

    def __iter__(self):
        return iter((self.theta, self.history))

    def steps_to(self, loss):
        """The first recorded step of each run whose loss is at `loss` or below, or infinity.

        Parameters
        ----------
        loss : float

        Returns
        -------
        (n_rates, n_seeds) array
        """
        reached = self.history.loss <= validation.check_number("loss", loss)
        steps = self.history.step[np.argmax(reached, axis=-1)]
        return np.where(reached.any(axis=-1), steps, math.inf)

    def mean(self, values="loss"):
        """The mean over seeds of a column of the history, or of one value or more a run.

        Parameters
        ----------
        values : str or (n_rates, n_seeds, ...) array
        """
        return np.mean(self._find(values), axis=self.seed_axis)

    def standard_error(self, values="loss"):
        """The standard error of `mean`, from the spread over seeds."""
        values = self._find(values)
        return np.std(values, axis=self.seed_axis, ddof=1) / values.shape[self.seed_axis] ** 0.5

    def _find(self, values):
        if self.seed_axis is None:
            raise ValueError("these runs have one seed: give rng a sequence of seeds")
        if isinstance(values, str):
            names = ("loss", "gradient_norm", "diverged")
            return getattr(self.history, validation.check_choice("values", values, names))
        values, shape = np.asarray(values), self.history.diverged.shape
        if values.shape[: len(shape)] != shape:
            raise ValueError(
                f"values must have the axes of the runs, {shape}, in front, got {values.shape}"
            )
        return values


@parameters_of(updates)
def descend_many(
    X,
    y,
    theta_init,
    *,
    objective=LeastSquares(),
    batches,
    learning_rate,
    n_epochs,
    rng,
    momentum=0.0,
    nesterov=False,
    record_every=None,
    target=None,
    evaluate_on=None,
    keep_theta=False,
    progress=False,
):
    """Run `descend` for every learning rate and every seed, all at once.

    Each run is the one that `descend` makes with that rate and that seed, to rounding.

    Parameters
    ----------
    theta_init : array
        Shaped as the objective asks: (d,) for the linear models. One for all runs, or with
        another axis in front one for each seed.
    batches : Sampler
        It has to cut the epochs of all seeds alike, as those of the package do.
    learning_rate : float or Schedule, or a sequence of them
        A sequence makes the first axis of the runs.
    n_epochs : int
        Passes of `batches` over the data.
    rng : sequence of seeds, or one seed
        A sequence makes the second axis of the runs; an int is one seed.
    record_every : int or sequence of int, optional
        Steps between records, or the steps to record at; by default, one record an epoch. The
        start and the end are always recorded.
    target : float, optional
        A run ends at the first record where its loss is at or below it, and costs nothing more.
    evaluate_on : pair (X, y), optional
        What the loss and the gradient are recorded on, such as validation data; by default,
        the data of the descent.
    keep_theta : bool
        Whether to keep the parameters at every record.
    progress : bool
        Whether to show a progress bar; needs tqdm.

    Returns
    -------
    Runs
        ``.theta``, ``.history``, ``.steps_to(loss)``, ``.mean()`` and ``.standard_error()``.

    Raises
    ------
    ValueError, TypeError
        As `descend`; also for an empty sequence, and for a sampler whose epochs differ in length.

    Examples
    --------
    >>> from gdcourse import Shuffled
    >>> X, y = [[1.0], [2.0], [3.0]], [2.0, 4.0, 6.0]
    >>> runs = descend_many(
    ...     X, y, [0.0], batches=Shuffled(1), learning_rate=[0.02, 0.1], n_epochs=20, rng=range(4)
    ... )
    >>> runs.theta.shape, runs.history.loss.shape
    ((2, 4, 1), (2, 4, 21))
    >>> runs.mean(runs.steps_to(0.01)).tolist()
    [36.0, 6.0]
    """
    rates, of_rates = _list(learning_rate, "learning_rate")
    seeds, of_seeds = _list(rng, "rng")
    shared, starts = _split_starts(theta_init, objective, len(seeds) if of_seeds else None)
    rule, data, state = open_descent(X, y, shared, objective, batches, rates[0], momentum, nesterov)
    if starts is not None:
        with validation.call_theta("theta_init"):
            starts, *_ = validation.check_problem(starts, data.X[:1, ...], data.y[:1])
    for seed in seeds:
        if type(seed) is not int or seed < 0:  # a generator is made for each in its turn
            validation.check_rng(seed)
    rules = [rule._replace(schedule=_check_schedule(rate)) for rate in rates]
    looked = data
    if evaluate_on is not None:
        pair = validation.check_pair("evaluate_on", evaluate_on)
        looked = open_problem(rule.objective, state.theta, *pair)[2]
    n_epochs = validation.check_count("n_epochs", n_epochs, minimum=0)
    record_every = check_record_every(record_every)
    keep_theta = validation.check_flag("keep_theta", keep_theta)
    target = -math.inf if target is None else validation.check_number("target", target)

    if type(data) is InMemory and isinstance(data.X, np.ndarray) and data.X.size <= VALUES_COPIED:
        data.X = np.ascontiguousarray(data.X)  # compiled loops read along rows
    together = type(rule.objective) in TAKE_MANY_RUNS and type(data) is type(looked) is InMemory
    seeds_at_once = max(1, ROWS_DRAWN // len(data)) if together else 1
    rates_at_once = len(rules) if together else 1
    results = {}
    total = n_epochs * len(data) * len(rules) * len(seeds)
    n_threads = os.cpu_count() or 1
    with ThreadPoolExecutor(n_threads) as pool, show_progress(progress)(total=total) as bar:
        for some in product(_chunk(rules, rates_at_once), _chunk(seeds, seeds_at_once)):
            group = _Group(*some, starts, state.theta, data, looked, together, target, keep_theta)
            group.share = partial(_share, pool, n_threads)
            epochs = group.draw(batches, seeds, n_epochs, whole=record_every is None)
            with np.errstate(over="ignore", invalid="ignore"):
                group.walk(cut_epochs(epochs, n_epochs, record_every), record_every, bar)
            results |= group.results
    return _gather(results, len(rules), len(seeds), of_rates, of_seeds, len(data), state.theta)


class _Group:
    """Runs that are walked together: some rates times some seeds.

    The runs under way are the first axis of `thetas`; `runs` has the numbers of their rates and
    seeds, (runs, 2). A run that has ended moves to `results`.
    """

    def __init__(self, rules, seeds, starts, shared, data, looked, together, target, keep_theta):
        self.rules = dict(rules)
        self.data, self.looked, self.together = data, looked, together
        self.target, self.keep_theta = target, keep_theta
        self.objective = next(iter(self.rules.values())).objective
        self.runs = np.array([(i, k) for i, _ in rules for k, _ in seeds])
        xp = array_namespace(shared)
        each = [shared if starts is None else starts[k, ...] for _, k in self.runs.tolist()]
        self.thetas = xp.stack(each)
        self.velocities = xp.zeros_like(self.thetas)
        self.step = self.samples_seen = 0
        self.records = []
        self.columns = {tuple(run): [] for run in self.runs.tolist()}
        self.results = {}

    def draw(self, batches, seeds, n_epochs, whole):
        """The epochs of the seeds that still have a run, together.

        Unless they are wanted `whole`, several may come as one.
        """
        numbers = np.unique(self.runs[:, 1]).tolist()
        rngs = {k: validation.check_rng(seeds[k]) for k in numbers}
        if type(batches) in (Shuffled, WithReplacement):  # the same, with fewer calls
            yield from self.draw_at_once(batches, rngs, n_epochs, whole)
            return
        draws = {k: draw_epochs(batches, len(self.data), rngs[k]) for k in numbers}
        epochs = [next(draws[k], None) for k in numbers]
        while None not in epochs:  # a reader's own sampler may end
            cuts = epochs[0].bounds
            for k, epoch in zip(numbers, epochs, strict=True):
                if not np.array_equal(epoch.bounds, cuts):
                    raise ValueError(
                        "batches must cut the epochs of all seeds alike, but those of seed number "
                        f"{k} end at {epoch.bounds} and those of number {numbers[0]} at {cuts}"
                    )
            as_they_lie = epochs[0].order is None
            orders = None if as_they_lie else np.array([epoch.order for epoch in epochs])
            yield _Epochs(np.array(numbers), orders, cuts)
            numbers = np.unique(self.runs[:, 1]).tolist()
            epochs = [next(draws[k], None) for k in numbers]

    def draw_at_once(self, batches, rngs, n_epochs, whole):
        """Epochs that owe nothing to each other; independent rows are drawn for several of them."""
        n_samples = len(self.data)
        cuts = next(draw_epochs(batches, n_samples, validation.check_rng(0))).bounds
        n_steps, length = len(cuts) - 1, cuts[-1]
        while n_epochs:
            numbers = np.unique(self.runs[:, 1]).tolist()
            several = max(1, 2 * VALUES // (len(numbers) * n_samples))
            several = min(several if type(batches) is WithReplacement else 1, n_epochs)
            orders = np.empty((len(numbers), several * length), dtype=np.int64)
            draw = partial(_fill, orders, batches, n_samples, [rngs[k] for k in numbers])
            if len(set(map(id, rngs.values()))) == len(rngs):
                self.share(draw, len(numbers), VALUES_A_DRAW * orders.shape[1])
            else:  # a generator given twice keeps its turns
                draw(slice(0, len(numbers)))
            bounds = np.append(
                np.add.outer(length * np.arange(several), cuts[:-1]), several * length
            )
            epochs = _Epochs(np.array(numbers), orders, bounds)
            at_once = n_steps if whole else several * n_steps
            for first in range(0, several * n_steps, at_once):
                yield epochs[first : first + at_once]
            n_epochs -= several

    def walk(self, parts, record_every, bar):
        """Walk and record until the parts or the runs are at their end."""
        self.record()
        while len(self.runs) and (part := next(parts, None)):
            before = self.samples_seen
            self.advance(part.epoch)
            if bar is not None:
                bar.update((self.samples_seen - before) * len(self.runs))
            if is_record(self.step, record_every) and self.step != self.records[-1][0]:
                self.record()
        if self.step != self.records[-1][0]:
            self.record()
        self.end(np.ones(len(self.runs), dtype=bool))

    def record(self):
        """Measure all runs; those that have diverged or reached the target end here."""
        losses, norms = self.measure()
        self.records.append((self.step, self.samples_seen))
        kept = to_host(self.thetas) if self.keep_theta else [None] * len(losses)
        for run, *column in zip(self.runs.tolist(), losses, norms, kept, strict=True):
            self.columns[tuple(run)].append(column)
        self.end(~np.isfinite(losses) | (losses <= self.target))

    def end(self, ended):
        """Move the runs marked by `ended` to the results."""
        if not ended.any():
            return
        for i in np.flatnonzero(ended):
            run = tuple(self.runs[i].tolist())
            self.results[run] = self.thetas[int(i), ...], self.records, self.columns[run]
        going = asarray(np.flatnonzero(~ended), like=self.thetas)
        self.runs = self.runs[~ended]
        self.thetas = take_rows(self.thetas, going)
        self.velocities = take_rows(self.velocities, going)

    def measure(self):
        """Losses and norms of gradients, (runs,) each, on the host."""
        function = LossAndGradient(self.objective)
        if not self.together:
            values = to_host(self.looked.mean(function, self.thetas[0, ...]))[None]
            return values[:, 0], np.linalg.norm(values[:, 1:].astype(float), axis=1)
        losses, norms = [], []
        for some in self.chunks(1):
            rows = _Shared(self.looked, some.stop - some.start, self.objective.width)
            values = to_host(rows.mean(function, self.thetas[some, ...]))
            losses.append(values[:, 0])
            norms.append(np.linalg.norm(values[:, 1:].astype(float), axis=1))
        return np.concatenate(losses), np.concatenate(norms)

    def chunks(self, batch_size):
        """Slices of the runs whose batches are in memory at once."""
        values = VALUES if isinstance(self.thetas, np.ndarray) else 64 * VALUES
        row = max(self.data.X.shape[1], self.objective.width)
        return cut_blocks(len(self.runs), max(1, values // (row * batch_size)))

    def advance(self, epoch):
        """Make the steps of a part of an epoch."""
        first, stop = self.step, self.step + len(epoch)
        order_of = np.searchsorted(epoch.seeds, self.runs[:, 1])
        numbers, rate_of = np.unique(self.runs[:, 0], return_inverse=True)
        if not self.together:
            self.advance_one(epoch.take(0), self.rules[int(numbers[0])])
        else:
            rates = [schedules.rates(self.rules[i].schedule, first, stop) for i in numbers.tolist()]
            rates = np.array(rates).reshape(len(numbers), -1)
            rule = next(iter(self.rules.values()))
            arrays = self.data.X, self.data.y, self.thetas[0, ...], self.objective, epoch
            if not rule.momentum and compiled.choose_sweep(*arrays) is compiled.compiled:
                self.sweep(epoch, order_of, rates, rate_of)
            else:
                self.take_steps(rule, epoch, order_of, rates, rate_of)
        self.step = stop
        self.samples_seen += int(epoch.bounds[-1] - epoch.bounds[0])

    def advance_one(self, epoch, rule):
        """The steps of a single run, as `descend` makes them."""
        state = State(self.step, self.samples_seen, self.thetas[0, ...], self.velocities[0, ...])
        for owner, part in self.data.parts(epoch):
            run = compiled.choose(rule, owner, state.theta, part)
            try:
                for state in run(rule, owner, part, state):  # noqa: B007, B020
                    pass
            except Exception as error:
                validation.tell_step(error, state.step)
                raise
        self.thetas = state.theta[None, ...]
        if rule.momentum:
            self.velocities = state.velocity[None, ...]

    def sweep(self, epoch, order_of, rates, rate_of):
        """The steps in machine code, the runs shared among threads."""
        self.thetas = np.array(self.thetas, order="C")
        orders = epoch.used

        def walk(part):
            compiled.sweep_runs(
                self.data.X,
                self.data.y,
                self.thetas[part],
                self.objective,
                orders,
                order_of[part],
                epoch.bounds,
                rates,
                rate_of[part],
            )

        self.share(walk, len(self.runs), orders.shape[1] * self.data.X.shape[1])

    def take_steps(self, rule, epoch, order_of, rates, rate_of):
        """The steps of `descent.steps`, with a batch and a rate for each run."""
        xp = array_namespace(self.thetas)
        widest = int(epoch.batch_sizes.max()) if len(epoch) else 1
        thetas, velocities = [], []
        for some in self.chunks(widest):
            n_runs = some.stop - some.start
            rows = _Shared(self.data, n_runs, self.objective.width)
            orders = None
            if epoch.orders is not None:
                orders = asarray(epoch.used[order_of[some]], like=self.data.X)
            dtype = str(self.thetas.dtype).split(".")[-1]
            alphas = asarray(rates[rate_of[some]], like=self.thetas, dtype=dtype)
            alphas = xp.reshape(alphas, (*alphas.shape, *[1] * (self.thetas.ndim - 1)))
            each = _RatesOfRuns(rule.objective, (self.step, alphas), rule.momentum, rule.nesterov)
            state = State(self.step, 0, self.thetas[some, ...], self.velocities[some, ...])
            for state in steps(each, rows, _Batches(orders, epoch.bounds), state):  # noqa: B007, B020
                pass
            thetas.append(state.theta)
            velocities.append(state.velocity)
        self.thetas, self.velocities = xp.concat(thetas), xp.concat(velocities)


class _RatesOfRuns(Rule):
    """A rule with a rate for each run: the schedule is a first step and their table."""

    def rate(self, step):
        first, rates = self.schedule
        return rates[:, step - first, ...]


class _Shared(InMemory):
    """Rows for many runs at once, in blocks that hold what all runs make of a row."""

    def __init__(self, data, n_runs, width):
        self.X, self.y = data.X, data.y
        values = VALUES if isinstance(self.X, np.ndarray) else 64 * VALUES
        self.block = max(1, values // (n_runs * max(self.X.shape[1], width)))


@dataclass(frozen=True)
class _Epochs:
    """An epoch of several seeds, cut alike; `orders` is (seeds, m), or None for rows in order."""

    seeds: np.ndarray
    orders: np.ndarray | None
    bounds: np.ndarray

    def __len__(self):
        return len(self.bounds) - 1

    def __getitem__(self, steps):
        start, stop, _ = steps.indices(len(self))
        return _Epochs(self.seeds, self.orders, self.bounds[start : max(start, stop) + 1])

    @property
    def batch_sizes(self):
        return np.diff(self.bounds)

    @property
    def used(self):
        """The rows of this part in their order of use, (seeds, m)."""
        if self.orders is None:
            return np.arange(self.bounds[0], self.bounds[-1])[None].repeat(len(self.seeds), axis=0)
        return np.ascontiguousarray(self.orders[:, self.bounds[0] : self.bounds[-1]])

    def take(self, number):
        """The epoch of one of the seeds."""
        return Epoch(None if self.orders is None else self.orders[number], self.bounds)


class _Batches:
    """Batches of many runs: row numbers (runs, b), or a slice that all runs share."""

    def __init__(self, orders, bounds):
        self.orders, self.bounds = orders, bounds
        self.batch_sizes = np.diff(bounds)

    def __iter__(self):
        for start, stop in pairwise(self.bounds.tolist()):
            if self.orders is None:
                yield slice(start, stop)
            else:
                first = int(self.bounds[0])
                yield self.orders[:, start - first : stop - first]


def _list(value, name):
    """The values of an axis, and whether it is one: a single value makes none."""
    if not (isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)):
        return [value], False
    values = list(value)
    if not values:
        raise ValueError(f"{name} must be one value or a sequence of them, got an empty one")
    return values, True


def _split_starts(theta_init, objective, n_seeds):
    """The start of all runs, or an example of it and the starts of each seed."""
    n_axes = 2 if isinstance(objective, SoftmaxRegression) else 1
    shape = theta_init.shape if hasattr(theta_init, "shape") else np.shape(theta_init)
    if n_seeds is None or len(shape) <= n_axes:
        return theta_init, None
    if shape[0] != n_seeds:
        raise ValueError(
            f"theta_init must be one start, or one for each of the {n_seeds} seeds, "
            f"got shape {tuple(shape)}"
        )
    return theta_init[0], theta_init


def _check_schedule(learning_rate):
    schedule = schedules.as_schedule(learning_rate)
    schedules.rate_at(schedule, 0)
    return schedule


def _share(pool, n_threads, function, n_runs, n_values):
    """Call `function` with slices of the runs, of `n_values` values each, one slice a thread."""
    cuts = np.linspace(0, n_runs, min(n_threads, 1 + n_values * n_runs // VALUES_A_THREAD) + 1)
    mine, *others = [slice(*pair) for pair in pairwise(cuts.astype(int).tolist())]
    waiting = [pool.submit(function, part) for part in others]
    function(mine)
    for thread in waiting:
        thread.result()


def _fill(orders, batches, n_samples, rngs, part):
    """Draw the rows of some seeds, as if they were of one epoch."""
    epoch = Epoch(None, np.array([0, orders.shape[1]]))
    for i in range(part.start, part.stop):
        orders[i] = batches.draw_order(epoch, n_samples, rngs[i])[: orders.shape[1]]


def _chunk(values, size):
    """Lists of at most `size` pairs of a number and a value."""
    numbered = list(enumerate(values))
    return [numbered[part] for part in cut_blocks(len(numbered), size)]


def _gather(results, n_rates, n_seeds, of_rates, of_seeds, n_rows, like):
    """The runs of all groups as arrays with the axes that were asked for."""
    runs = [results[i, k] for i in range(n_rates) for k in range(n_seeds)]
    records = max((records for _, records, _ in runs), key=len)
    axes = ((n_rates,) if of_rates else ()) + ((n_seeds,) if of_seeds else ())

    def column(number, shape=()):
        filled = np.full((len(runs), len(records), *shape), np.nan)
        for row, (_, _, measured) in zip(filled, runs, strict=True):
            row[: len(measured)] = [values[number] for values in measured]
        return filled.reshape(*axes, len(records), *shape)

    xp = array_namespace(like)
    thetas = xp.stack([theta for theta, _, _ in runs])
    step, samples_seen = np.array(records, np.int64).T
    last = np.array([measured[-1][0] for _, _, measured in runs])
    history = Histories(
        step,
        samples_seen / n_rows,
        samples_seen,
        column(0),
        column(1),
        ~np.isfinite(last).reshape(axes),
    )
    kept = None if runs[0][2][0][2] is None else column(2, like.shape)
    seed_axis = len(axes) - 1 if of_seeds else None
    return Runs(xp.reshape(thetas, (*axes, *like.shape)), history, kept, seed_axis)

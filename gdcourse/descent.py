"""Gradient descent: one update rule, and runs of it that are recorded."""

import math
from contextlib import closing, nullcontext
from functools import partial
from itertools import islice
from time import perf_counter

import numpy as np

from gdcourse import schedules, shards, sweeps, validation
from gdcourse.backend import array_namespace, asarray, rows, synchronize, to_host
from gdcourse.checkpoints import Checkpoint
from gdcourse.history import History, Run
from gdcourse.objectives import LeastSquares, weighted_mean
from gdcourse.sampling import FullBatch, Shuffled
from gdcourse.schedules import as_schedule, rate_at

__all__ = [
    "batch_gradient_descent",
    "descend",
    "minibatch_gradient_descent",
    "stochastic_gradient_descent",
    "updates",
]


def updates(X, y, theta_init, *, objective=LeastSquares(), batches, learning_rate, rng=None):
    """Every update of a gradient descent, for ever: θ ← θ − α_t·∇J_batch(θ).

    Parameters
    ----------
    X : (n, d) array, or the ShardedArray of `open_shards`
    y : (n,) array, or ShardedArray
    theta_init : array
        Shaped as the objective asks: (d,) for the linear models.
    objective : Objective
    batches : Sampler
        Such as ``Shuffled(batch_size=32)``.
    learning_rate : float or Schedule
    rng : numpy.random.Generator, seed or None

    Yields
    ------
    step : int
        Updates made so far; the start, step 0, comes first.
    samples_seen : int
    theta : array
        A new array each time, safe to keep.

    Raises
    ------
    ValueError, TypeError
        At the call, for arguments that do not fit together; at a draw, for a learning rate
        that is not positive and finite.

    Examples
    --------
    >>> from itertools import islice
    >>> path = updates([[1.0], [1.0]], [1.0, 3.0], [0.0], batches=FullBatch(), learning_rate=0.5)
    >>> [(step, seen, theta.tolist()) for step, seen, theta in islice(path, 3)]
    [(0, 0, [0.0]), (1, 2, [1.0]), (2, 4, [1.5])]
    """
    X, y, theta, schedule = checked(X, y, theta_init, objective, batches, learning_rate)
    epochs = drawn(batches, X.shape[0], np.random.default_rng(rng))
    return _updates(X, y, theta, objective, epochs, schedule)


def _updates(X, y, theta, objective, epochs, schedule):
    step = samples_seen = 0
    yield step, samples_seen, theta
    for epoch in epochs:
        for batch_size, theta in zip(
            epoch.batch_sizes.tolist(),
            _steps(X, y, theta, objective, epoch, schedule, step),
            strict=True,
        ):
            step += 1
            samples_seen += batch_size
            yield step, samples_seen, theta


def steps(X, y, theta, objective, epoch, schedule, step):
    """θ after each batch of an epoch: the definition that everything else must agree with."""
    for t, batch in enumerate(epoch.to(X), start=step):
        gradient = objective.gradient(theta, rows(X, batch), rows(y, batch))
        theta = theta - rate_at(schedule, t) * gradient
        yield theta


def descend(
    X,
    y,
    theta_init,
    *,
    objective=LeastSquares(),
    batches,
    learning_rate,
    n_epochs,
    rng=None,
    tol=None,
    record_every=None,
    progress=False,
    checkpoint=None,
):
    """Run `updates` for `n_epochs` and record the objective on all the data along the way.

    Parameters
    ----------
    X : (n, d) array, or the ShardedArray of `open_shards`
    y : (n,) array, or ShardedArray
    theta_init : array
        Shaped as the objective asks: (d,) for the linear models.
    objective : Objective
    batches : Sampler
    learning_rate : float or Schedule
    n_epochs : int
        Passes of `batches` over the data.
    rng : numpy.random.Generator, seed or None
    tol : float, optional
        Stop at the first record where the norm of the full gradient is below it.
    record_every : int, optional
        Steps between records; by default, one record an epoch. The start and the end are
        always recorded.
    progress : bool
        Whether to show a progress bar, in samples, that moves at each record; needs tqdm.
    checkpoint : path, optional
        A file that keeps the run: it is written anew at each record, except one at the end that
        `record_every` does not divide. Make the same call again after a kill, and it goes on
        from the last record to the very bits of a run that was not killed; only
        ``history.seconds`` counts the time of each. A run that was finished is returned at once,
        and with a larger `n_epochs` it goes on. Without a seed (``rng=None``) it goes on with
        the numbers that it began with; a Generator has to be handed over in its first state.
        Another call is known by its shapes, its start, its generator, the rows of its last batch
        (the first 64 of them), and by the loss, the norm and the rates at its records. What
        leaves all of these as they were is not seen: two other rows that changed places, or a
        schedule that differs only between the records.

    Returns
    -------
    Run
        ``theta``, on the device it came on, and ``history``. Both work in the wider precision
        of `theta_init` and `X`. A run whose loss stops being finite ends there with
        ``history.diverged`` set: that is a result. So is a run that you stop with Ctrl-C: it
        ends at its last record, with ``history.interrupted`` set.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit together; for a checkpoint that is damaged or was made by
        another call, which is left as it is.
    FileNotFoundError
        Where the folder of the checkpoint is missing.

    Examples
    --------
    >>> theta, history = descend(
    ...     [[1.0], [1.0]], [1.0, 3.0], [0.0], batches=FullBatch(), learning_rate=1.0, n_epochs=1
    ... )
    >>> theta.tolist(), history.loss.tolist()
    ([2.0], [2.5, 0.5])
    """
    X, y, theta, schedule = checked(X, y, theta_init, objective, batches, learning_rate)
    n_epochs = validation.count("n_epochs", n_epochs, minimum=0)
    tol = 0.0 if tol is None else validation.non_negative("tol", tol)
    if record_every is not None:
        record_every = validation.count("record_every", record_every)
    generator = np.random.default_rng(rng)
    file = saved = None
    if checkpoint is not None:
        file = Checkpoint.of(checkpoint, theta, X, record_every, generator)
        saved = file.read(seeded=rng is not None)
    bar = _bar(progress)
    parts = _parts(drawn(batches, X.shape[0], generator), n_epochs, record_every)
    walk = _Walk(X, y, theta, objective, schedule, tol, file)
    interrupted = False
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            if saved is None:
                walk.record(keep=True)
            else:
                walk.go_on(saved, parts)
            with bar(initial=walk.samples_seen, total=n_epochs * X.shape[0]) as shown:
                while not walk.stopped and (following := next(parts, None)):
                    part, seconds_to_draw, total = following
                    walk.advance(part, seconds_to_draw)
                    if record_every is None or walk.step % record_every == 0:
                        walk.record(keep=True)
                    _show(shown, walk, total)
                if walk.records[-1][0] != walk.step:
                    walk.record(keep=False)
    except KeyboardInterrupt:
        if walk.recorded is None:
            raise
        interrupted = True
    theta, n_records = walk.recorded
    records = walk.records[:n_records]
    diverged = not np.isfinite(records[-1][4])
    return Run(theta, History.from_records(records, diverged, interrupted))


class _Walk:
    """A descent under way: where it stands, and what it has recorded."""

    def __init__(self, X, y, theta, objective, schedule, tol, file):
        self.X, self.y, self.theta = X, y, theta
        self.objective, self.schedule, self.tol, self.file = objective, schedule, tol, file
        self.step = self.samples_seen = self.n_parts = 0
        self.seconds = 0.0
        self.part = None
        self.records = []
        self.recorded = None  # θ at the last record, and how many records there are

    @property
    def stopped(self):
        """Whether the last record ends the run."""
        loss, norm = self.records[-1][4:6]
        return not np.isfinite(loss) or norm < self.tol

    def advance(self, part, seconds_to_draw):
        """Make the steps of the next part of the epochs."""
        start = perf_counter()
        self.theta = _advance(
            self.X, self.y, self.theta, self.objective, part, self.schedule, self.step
        )
        synchronize(self.theta)
        self.seconds += seconds_to_draw + perf_counter() - start
        self._pass(part)

    def _pass(self, part):
        self.part = part
        self.n_parts += 1
        self.step += len(part)
        self.samples_seen += int(part.bounds[-1] - part.bounds[0])

    def record(self, keep):
        """Measure on all the data; with `keep`, put the run on disk where the caller wants it."""
        loss, norm = _loss_and_norm(self.X, self.y, self.theta, self.objective)
        epoch = self.samples_seen / self.X.shape[0]
        rate = _next_rate(self.schedule, self.step)
        self.records.append((self.step, epoch, self.samples_seen, self.seconds, loss, norm, rate))
        self.recorded = self.theta, len(self.records)  # at once: Ctrl-C may come anywhere
        if keep and self.file is not None:
            self.file.write(self.theta, self.records, self._place())

    def _place(self):
        counts = self.n_parts, self.step, self.samples_seen
        return self.file.place(*counts, self.part, self.theta, self.X, self.y)

    def go_on(self, saved, parts):
        """Pass over the parts that are done, and stand where a checkpoint was written."""
        for part, *_ in islice(parts, saved.place["parts"]):
            self._pass(part)
        if self.n_parts < saved.place["parts"]:
            reached = f"it stands at step {saved.records[-1][0]}"
            raise self.file.foreign(f"{reached}, but n_epochs ends at step {self.step}")
        self.theta = asarray(saved.theta, like=self.theta)
        loss, norm = _loss_and_norm(self.X, self.y, self.theta, self.objective)
        self.file.compare(saved, self._place(), loss, norm)
        for step, *_, then in saved.records:
            now = _next_rate(self.schedule, step)
            if not (math.isnan(then) or math.isclose(now, then, rel_tol=1e-12)):
                raise self.file.foreign(f"the learning rate of step {step} was {then} and is {now}")
        for step, *_, norm, _ in saved.records[:-1]:
            if norm < self.tol:
                raise self.file.foreign(f"with tol={self.tol} it would have ended at step {step}")
        *measured, rate = saved.records[-1]
        if math.isnan(rate):  # the end of a table of rates that may be longer now
            rate = _next_rate(self.schedule, self.step)
        self.records = [*saved.records[:-1], (*measured, rate)]
        self.seconds = measured[3]
        self.recorded = self.theta, len(self.records)


def _next_rate(schedule, step):
    """The rate of the next step; NaN where a table of rates ends, as a next step would show."""
    try:
        return float(schedule(step))
    except LookupError:
        return math.nan


def _advance(X, y, theta, objective, epoch, schedule, step):
    """θ after the last batch of an epoch: many steps at once where that is possible."""
    if isinstance(X, shards.ShardedArray):
        return _last(theta, _over_shards(X, y, theta, objective, epoch, schedule, step, _at_once))
    sweep = sweeps.choose(X, y, theta, objective, epoch)
    if sweep is not None:
        rates = schedules.rates(schedule, step, step + len(epoch))
        return sweep(X, y, theta, objective, epoch, rates)
    return _last(theta, steps(X, y, theta, objective, epoch, schedule, step))


def _at_once(*arguments):
    yield _advance(*arguments)


def _last(theta, thetas):
    for theta in thetas:  # none for an epoch without a batch
        pass
    return theta


def _steps(X, y, theta, objective, epoch, schedule, step):
    """`steps`, also over rows in shards."""
    run = _over_shards if isinstance(X, shards.ShardedArray) else steps
    return run(X, y, theta, objective, epoch, schedule, step)


def _over_shards(X, y, theta, objective, epoch, schedule, step, run=steps):
    """θ after each `run` over a part of the epoch that fits in memory, read ahead."""
    with closing(shards.chunks(X, y, epoch)) as chunks:
        for part, pieces in chunks:
            if len(part) == 1:
                gradient = weighted_mean(partial(objective.gradient, theta), pieces)
                theta = theta - rate_at(schedule, step) * gradient
                yield theta
            else:
                for theta in run(*next(pieces), theta, objective, part, schedule, step):
                    yield theta
            step += len(part)


def _loss_and_norm(X, y, theta, objective):
    """The objective and the norm of its gradient over all rows."""
    if isinstance(X, shards.ShardedArray):
        loss, gradient = shards.evaluate(objective, theta, X, y)
    else:
        loss = objective.loss(theta, X, y)
        gradient = objective.gradient(theta, X, y)
    return float(to_host(loss)), float(np.linalg.norm(to_host(gradient)))


def _between_records(epoch, step, record_every):
    """An epoch, cut after every step whose number `record_every` divides."""
    if record_every is None:
        return [epoch]
    cuts = range(record_every - step % record_every, len(epoch), record_every)
    return [epoch[a:b] for a, b in zip([0, *cuts], [*cuts, len(epoch)], strict=True)]


def _parts(epochs, n_epochs, record_every):
    """The epochs, cut where a record may lie.

    Yields
    ------
    part : Epoch
    seconds : float
        That drawing it took.
    total : int
        Samples of the whole run, if the epochs to come are as long as this one.
    """
    step = samples_seen = 0
    start = perf_counter()
    for number, epoch in enumerate(islice(epochs, n_epochs)):
        seconds = perf_counter() - start
        n_samples = int(epoch.bounds[-1] - epoch.bounds[0])
        total = samples_seen + (n_epochs - number) * n_samples
        for part in _between_records(epoch, step, record_every):
            yield part, seconds, total
            seconds = 0.0
        step += len(epoch)
        samples_seen += n_samples
        start = perf_counter()


def _bar(show):
    """What makes a progress bar in samples, or something as quiet as nothing."""
    if not show:
        return lambda **_: nullcontext()
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("progress=True needs tqdm: `pip install tqdm`") from error
    return partial(tqdm, unit="sample", unit_scale=True)


def _show(bar, walk, total):
    if bar is not None:
        bar.total = total
        bar.set_postfix(loss=f"{walk.records[-1][4]:.4g}", refresh=False)
        bar.update(walk.samples_seen - bar.n)


def checked(X, y, theta_init, objective, batches, learning_rate):
    """What every descent checks at the door; the start is copied, to be safe to keep."""
    look = shards.problem if isinstance(X, shards.ShardedArray) else validation.problem
    theta, X, y = look(objective, theta_init, X, y)
    theta = array_namespace(theta).asarray(theta, copy=True)
    schedule = as_schedule(learning_rate)
    rate_at(schedule, 0)
    validation.sampler(batches)
    return X, y, theta, schedule


def drawn(batches, n_samples, generator):
    """The epochs of a scheme, each held to the rows that there are."""
    return map(partial(_held, n_samples), batches.epochs(n_samples, generator))


def _held(n_samples, epoch):
    if epoch.order is None and epoch.bounds[-1] > n_samples:
        raise ValueError(
            f"an epoch must end within the {n_samples} rows, but its bounds end at "
            f"{epoch.bounds[-1]}"
        )
    return epoch


def batch_gradient_descent(
    X,
    y,
    theta_init,
    learning_rate=0.01,
    n_epochs=100,
    tol=1e-6,
    *,
    objective=LeastSquares(),
    record_every=None,
    progress=False,
    checkpoint=None,
):
    """Full-batch gradient descent: one step an epoch, with the exact gradient.

    `descend` with ``FullBatch()``.

    Parameters
    ----------
    X, y, theta_init, learning_rate, n_epochs, tol, objective, record_every, progress, checkpoint
        As in `descend`.

    Returns
    -------
    Run

    References
    ----------
    Y. Nesterov (2018), doi:10.1007/978-3-319-91578-4, sections 1.2 and 2.1, for its rate.

    Examples
    --------
    >>> theta, history = batch_gradient_descent([[1.0], [2.0]], [2.0, 4.0], [0.0], 0.2)
    >>> theta.round(6).tolist()
    [2.0]
    """
    return descend(
        X,
        y,
        theta_init,
        objective=objective,
        batches=FullBatch(),
        learning_rate=learning_rate,
        n_epochs=n_epochs,
        tol=tol,
        record_every=record_every,
        progress=progress,
        checkpoint=checkpoint,
    )


def stochastic_gradient_descent(
    X,
    y,
    theta_init,
    learning_rate=0.01,
    n_epochs=10,
    *,
    rng=None,
    objective=LeastSquares(),
    tol=None,
    record_every=None,
    progress=False,
    checkpoint=None,
):
    """Stochastic gradient descent: n steps an epoch, each with the gradient of one row.

    `minibatch_gradient_descent` with batches of one.

    Parameters
    ----------
    X, y, theta_init, learning_rate, n_epochs, rng, objective, tol, record_every, progress
        As in `descend`.
    checkpoint
        As in `descend`.

    Returns
    -------
    Run

    References
    ----------
    H. Robbins and S. Monro (1951), doi:10.1214/aoms/1177729586.

    Examples
    --------
    >>> theta, history = stochastic_gradient_descent([[1.0], [2.0]], [2.0, 4.0], [0.0], 0.2, rng=0)
    >>> theta.round(3).tolist(), history.step[-1].item()
    ([2.0], 20)
    """
    return minibatch_gradient_descent(
        X,
        y,
        theta_init,
        1,
        learning_rate,
        n_epochs,
        rng=rng,
        objective=objective,
        tol=tol,
        record_every=record_every,
        progress=progress,
        checkpoint=checkpoint,
    )


def minibatch_gradient_descent(
    X,
    y,
    theta_init,
    batch_size=32,
    learning_rate=0.01,
    n_epochs=50,
    *,
    rng=None,
    objective=LeastSquares(),
    tol=None,
    record_every=None,
    progress=False,
    checkpoint=None,
):
    """Mini-batch gradient descent: n/b steps an epoch, each with the mean gradient of b rows.

    `descend` with ``Shuffled(batch_size)``.

    Parameters
    ----------
    X, y, theta_init
        As in `descend`.
    batch_size : int
        From 1 to the number of rows; the last batch of an epoch can be shorter.
    learning_rate, n_epochs, rng, objective, tol, record_every, progress, checkpoint
        As in `descend`.

    Returns
    -------
    Run

    References
    ----------
    L. Bottou, F. E. Curtis and J. Nocedal (2018), doi:10.1137/16M1080173.

    Examples
    --------
    >>> X, y = [[1.0], [2.0], [3.0]], [2.0, 4.0, 6.0]
    >>> theta, history = minibatch_gradient_descent(X, y, [0.0], batch_size=2, rng=0)
    >>> theta.round(2).tolist(), history.step[-1].item()
    ([1.98], 100)
    """
    return descend(
        X,
        y,
        theta_init,
        objective=objective,
        batches=Shuffled(batch_size),
        learning_rate=learning_rate,
        n_epochs=n_epochs,
        rng=rng,
        tol=tol,
        record_every=record_every,
        progress=progress,
        checkpoint=checkpoint,
    )

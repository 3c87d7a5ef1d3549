"""Gradient descent: one update rule, and runs of it that are recorded."""

from contextlib import closing
from functools import partial
from itertools import islice
from time import perf_counter

import numpy as np

from gdcourse import schedules, shards, sweeps, validation
from gdcourse.backend import array_namespace, rows, synchronize, to_host
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
    epochs = batches.epochs(X.shape[0], np.random.default_rng(rng))
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
        Whether to show a progress bar; needs tqdm.

    Returns
    -------
    Run
        ``theta``, on the device it came on, and ``history``. Both work in the wider precision
        of `theta_init` and `X`. A run whose loss stops being finite ends there with
        ``history.diverged`` set: that is a result.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit together.

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
    n = X.shape[0]
    epochs = islice(_drawn(batches.epochs(n, np.random.default_rng(rng))), n_epochs)
    step = samples_seen = 0
    seconds = 0.0
    records = []

    def finished():
        loss, norm = _loss_and_norm(X, y, theta, objective)
        rate = float(schedule(step))
        records.append((step, samples_seen / n, samples_seen, seconds, loss, norm, rate))
        return not np.isfinite(loss) or norm < tol

    with np.errstate(over="ignore", invalid="ignore"):
        stop = finished()
        for epoch, seconds_to_draw in _progress(epochs, n_epochs, progress):
            seconds += seconds_to_draw
            for part in _between_records(epoch, step, record_every):
                if stop:
                    break
                start = perf_counter()
                theta = _advance(X, y, theta, objective, part, schedule, step)
                synchronize(theta)
                seconds += perf_counter() - start
                step += len(part)
                samples_seen += int(part.bounds[-1] - part.bounds[0])
                if record_every is None or step % record_every == 0:
                    stop = finished()
            if stop:
                break
        if records[-1][0] != step:
            finished()
    return Run(theta, History.from_records(records, diverged=not np.isfinite(records[-1][4])))


def _advance(X, y, theta, objective, epoch, schedule, step):
    """θ after the last batch of an epoch: many steps at once where that is possible."""
    if isinstance(X, shards.ShardedArray):
        return _last(_over_shards(X, y, theta, objective, epoch, schedule, step, _at_once))
    sweep = sweeps.choose(X, y, theta, objective, epoch)
    if sweep is not None:
        rates = schedules.rates(schedule, step, step + len(epoch))
        return sweep(X, y, theta, objective, epoch, rates)
    return _last(steps(X, y, theta, objective, epoch, schedule, step))


def _at_once(*arguments):
    yield _advance(*arguments)


def _last(thetas):
    for theta in thetas:
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


def _drawn(epochs):
    """Each epoch, and the seconds that drawing its order took."""
    start = perf_counter()
    for epoch in epochs:
        yield epoch, perf_counter() - start
        start = perf_counter()


def _progress(epochs, n_epochs, show):
    if not show:
        return epochs
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("progress=True needs tqdm: `pip install tqdm`") from error
    return tqdm(epochs, total=n_epochs, unit="epoch")


def checked(X, y, theta_init, objective, batches, learning_rate):
    """What every descent checks at the door; the start is copied, to be safe to keep."""
    look = shards.problem if isinstance(X, shards.ShardedArray) else validation.problem
    theta, X, y = look(objective, theta_init, X, y)
    theta = array_namespace(theta).asarray(theta, copy=True)
    schedule = as_schedule(learning_rate)
    rate_at(schedule, 0)
    validation.sampler(batches)
    return X, y, theta, schedule


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
):
    """Full-batch gradient descent: one step an epoch, with the exact gradient.

    `descend` with ``FullBatch()``; see there for the parameters.

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
):
    """Stochastic gradient descent: n steps an epoch, each with the gradient of one row.

    `minibatch_gradient_descent` with batches of one; see `descend` for the parameters.

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
):
    """Mini-batch gradient descent: n/b steps an epoch, each with the mean gradient of b rows.

    `descend` with ``Shuffled(batch_size)``; see there for the parameters.

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
    )

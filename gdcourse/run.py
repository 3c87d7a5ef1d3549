"""A descent that is recorded: the loss, the gradient and the clock along the way."""

from time import perf_counter

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import synchronize
from gdcourse.base.docs import parameters_of
from gdcourse.base.progress import show_progress
from gdcourse.descent import draw_epochs, open_descent, updates
from gdcourse.engine import compiled
from gdcourse.engine.checkpoint import Checkpoint
from gdcourse.engine.log import Log, check_record_every, cut_epochs, is_record, measure, move_bar
from gdcourse.history import History, Run
from gdcourse.objectives import LeastSquares
from gdcourse.rows import open_problem
from gdcourse.sampling import FullBatch, Shuffled


@parameters_of(updates)
def descend(
    X,
    y,
    theta_init,
    *,
    objective=LeastSquares(),
    batches,
    learning_rate,
    n_epochs,
    momentum=0.0,
    nesterov=False,
    rng=None,
    tol=None,
    record_every=None,
    progress=False,
    checkpoint=None,
):
    """Run `updates` for `n_epochs` and record the objective on all the data along the way.

    Parameters
    ----------
    n_epochs : int
        Passes over the data, zero or more.
    tol : float, optional
        Stop at the first record where the norm of the full gradient is below it.
    record_every : int or sequence of int, optional
        Steps between records, or the steps to record at; by default, one record an epoch. The
        start and the end are always recorded.
    progress : bool
        Whether to show a progress bar, in samples, that moves at each record; needs tqdm.
    checkpoint : path, optional
        A file that keeps the run: it is written anew at each record, except one at the end that
        `record_every` does not divide. Make the same call again after a kill, and it goes on
        from the last record to the very bits of a run that was not killed; only
        ``history.seconds`` counts the time of each. A run that was finished is returned at once,
        and with a larger `n_epochs` it goes on. Without a seed (``rng=None``) it goes on with
        the numbers that it began with; a Generator has to be handed over in its first state.
        The file remembers the other arguments: a call that differs in one of them is refused,
        and so is one with other data, which is known by its loss. Of a schedule that is a
        function only the name and the recorded rates are compared.

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
    # Where a record cannot miss a NaN, the first one looks for it, and the rows are read once.
    look = checkpoint is not None or not compiled.reads_all(objective, X)
    rule, data, state = open_descent(
        X, y, theta_init, objective, batches, learning_rate, momentum, nesterov, look=look
    )
    n_epochs = validation.check_count("n_epochs", n_epochs, minimum=0)
    tol = 0.0 if tol is None else validation.check_non_negative("tol", tol)
    record_every = check_record_every(record_every)
    generator = validation.check_rng(rng)
    file = None
    if checkpoint is not None:
        options = {"batches": batches, "tol": tol, "record_every": record_every}
        file = Checkpoint(checkpoint, generator, rng is not None)
        file.know(rule, data.X, state.theta, options)
    show = show_progress(progress)
    log = Log(rule, data, file, () if look else (X, y))
    interrupted = False
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            state = log.begin(state)
            parts = cut_epochs(draw_epochs(batches, len(data), generator), n_epochs, record_every)
            if state.step:
                file.replay(parts, state.step)
            with show(initial=state.samples_seen, total=n_epochs * len(data)) as bar:
                while not log.has_ended(tol) and (part := next(parts, None)):
                    start = perf_counter()
                    for owner, epoch in log.parts(part.epoch, state):
                        run = compiled.choose(rule, owner, state.theta, epoch)
                        try:
                            for state in run(rule, owner, epoch, state):  # noqa: B007, B020
                                pass
                        except Exception as error:
                            validation.tell_step(error, state.step)
                            raise
                    synchronize(state.theta)
                    log.seconds += part.seconds + perf_counter() - start
                    at_record = is_record(state.step, record_every)
                    if at_record and state.step != log.records[-1].step:
                        log.record(state, keep=True)
                    move_bar(bar, state, log.records[-1], part.total)
            if log.records[-1].step != state.step:
                log.record(state)
    except KeyboardInterrupt:
        if log.last is None:
            raise
        interrupted = True
    state, n_records = log.last
    return Run(state.theta, History.from_records(log.records[:n_records], interrupted))


@parameters_of(descend)
def evaluate(objective, theta, X, y):
    """J(θ) and ∇J(θ) on all the rows, which are read once for both.

    Parameters
    ----------
    theta : array
        The parameters, shaped as the objective asks: (d,) for the linear models.

    Returns
    -------
    loss : float
    gradient : array, shaped like `theta`

    Examples
    --------
    >>> loss, gradient = evaluate(LeastSquares(), [0.0], [[1.0], [1.0]], [1.0, 3.0])
    >>> loss, gradient.tolist()
    (2.5, [-2.0])
    """
    objective, theta, data = open_problem(objective, theta, X, y)
    loss, gradient = measure(objective, theta, data)
    return float(loss), gradient


@parameters_of(descend)
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
    run = {"objective": objective, "learning_rate": learning_rate, "n_epochs": n_epochs}
    run |= {"tol": tol, "record_every": record_every, "progress": progress}
    return descend(X, y, theta_init, batches=FullBatch(), checkpoint=checkpoint, **run)


@parameters_of(descend)
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

    `descend` with ``Shuffled(1)``.

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
    run = {"objective": objective, "learning_rate": learning_rate, "n_epochs": n_epochs}
    run |= {"rng": rng, "tol": tol, "record_every": record_every, "progress": progress}
    return descend(X, y, theta_init, batches=Shuffled(1), checkpoint=checkpoint, **run)


@parameters_of(descend)
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
    batch_size : int
        From 1 to the number of rows; the last batch of an epoch can be shorter.

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
    run = {"objective": objective, "learning_rate": learning_rate, "n_epochs": n_epochs}
    run |= {"rng": rng, "tol": tol, "record_every": record_every, "progress": progress}
    return descend(X, y, theta_init, batches=Shuffled(batch_size), checkpoint=checkpoint, **run)

"""Gradient descent: the one update rule, with or without momentum."""

from typing import Any, NamedTuple

from gdcourse.base import validation
from gdcourse.base.backend import array_namespace
from gdcourse.objectives import LeastSquares, Objective
from gdcourse.rows import open_problem
from gdcourse.sampling import as_epoch
from gdcourse.schedules import as_schedule, rate_at


class Rule(NamedTuple):
    """How a descent steps: v ← β·v − α_t·∇J_batch(θ), θ ← θ + v."""

    objective: Objective
    schedule: Any
    momentum: float = 0.0
    nesterov: bool = False

    def rate(self, step):
        """The learning rate of a step, checked as it is drawn."""
        return rate_at(self.schedule, step)


class State(NamedTuple):
    """Where a descent stands."""

    step: int  # updates made so far
    samples_seen: int
    theta: Any
    velocity: Any = 0.0


def steps(rule, data, epoch, state):
    """The state after each batch of an epoch: the definition that everything else agrees with."""
    step, samples_seen, theta, velocity = state
    for batch, batch_size in zip(epoch, epoch.batch_sizes.tolist(), strict=True):
        at = theta + rule.momentum * velocity if rule.nesterov else theta
        gradient = data.mean(rule.objective.gradient, at, batch)
        velocity = rule.momentum * velocity - rule.rate(step) * gradient
        theta = theta + velocity
        step, samples_seen = step + 1, samples_seen + batch_size
        yield State(step, samples_seen, theta, velocity)


def updates(
    X,
    y,
    theta_init,
    *,
    objective=LeastSquares(),
    batches,
    learning_rate,
    momentum=0.0,
    nesterov=False,
    rng=None,
):
    """Every update of a gradient descent, without end: θ ← θ − α_t·∇J_batch(θ).

    With momentum, v ← β·v − α_t·∇J_batch(θ) and θ ← θ + v, from v = 0: the heavy ball. α_t stands
    inside the velocity, as in both papers; libraries that step by θ ← θ − α_t·v differ while α_t
    changes. Where they weight the gradient by 1 − β, their α is this one over 1 − β.

    Parameters
    ----------
    X : (n, d) array, or ShardedArray
        Features, one sample a row: in memory, in shards, or on workers.
    y : (n,) array, or ShardedArray
        Targets or class labels, one for each row of X.
    theta_init : array
        The start, shaped as the objective asks: (d,) for the linear models.
    objective : Objective
        What is minimised, such as ``LeastSquares()``.
    batches : Sampler
        Which rows each step sees, such as ``Shuffled(batch_size=32)``.
    learning_rate : float or Schedule
        α_t, positive: a number, or a schedule that gives one for each step.
    momentum : float
        β, zero or more and less than 1.
    nesterov : bool
        Whether the gradient is taken at θ + β·v, as in Nesterov's method.
    rng : numpy.random.Generator, seed or None
        Decides every random draw: the same seed, the same batches.

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

    References
    ----------
    B. T. Polyak (1964), doi:10.1016/0041-5553(64)90137-5; I. Sutskever, J. Martens, G. Dahl and
    G. Hinton (2013), proceedings.mlr.press/v28/sutskever13, for this form of Nesterov's method.

    Examples
    --------
    >>> from itertools import islice
    >>> from gdcourse import FullBatch
    >>> problem = {"X": [[1.0], [1.0]], "y": [1.0, 3.0], "theta_init": [0.0]}
    >>> path = updates(**problem, batches=FullBatch(), learning_rate=0.5)
    >>> [(step, seen, theta.tolist()) for step, seen, theta in islice(path, 3)]
    [(0, 0, [0.0]), (1, 2, [1.0]), (2, 4, [1.5])]

    With momentum, the second step goes a quarter of the first one further:

    >>> path = updates(**problem, batches=FullBatch(), learning_rate=0.5, momentum=0.25)
    >>> [theta.tolist() for step, seen, theta in islice(path, 3)]
    [[0.0], [1.0], [1.75]]
    """
    rule, data, state = open_descent(
        X, y, theta_init, objective, batches, learning_rate, momentum, nesterov
    )
    epochs = draw_epochs(batches, len(data), validation.check_rng(rng))
    return _update(rule, data, epochs, state)


def _update(rule, data, epochs, state):
    yield state.step, state.samples_seen, state.theta
    for epoch in epochs:
        for owner, part in data.parts(epoch):
            try:
                for state in steps(rule, owner, part, state):  # noqa: B020
                    yield state.step, state.samples_seen, state.theta
            except Exception as error:
                validation.tell_step(error, state.step)
                raise


def open_descent(
    X, y, theta_init, objective, batches, learning_rate, momentum, nesterov, *, look=True
):
    """The rule, the owner of the rows and the start of a descent, from checked arguments."""
    with validation.call_theta("theta_init"):
        objective, theta, data = open_problem(objective, theta_init, X, y, look=look)
    schedule = as_schedule(learning_rate)
    rate_at(schedule, 0)
    validation.check_sampler(batches)
    momentum = validation.check_momentum("momentum", momentum)
    theta = array_namespace(theta).asarray(theta, copy=True)  # what is yielded is safe to keep
    nesterov = validation.check_flag("nesterov", nesterov)
    return Rule(objective, schedule, momentum, nesterov), data, State(0, 0, theta)


def draw_epochs(batches, n_samples, generator):
    """The epochs of a sampling scheme, each looked at when it is drawn."""
    epochs = batches.epochs(n_samples, generator)
    if not hasattr(epochs, "__iter__"):
        raise TypeError(f"the method epochs of batches must yield epochs, got {epochs!r}")
    return _look(batches, n_samples, iter(epochs))


def _look(batches, n_samples, epochs):
    step = 0
    while True:
        try:
            epoch = as_epoch(n_samples, next(epochs))
        except StopIteration:
            return
        except Exception as error:
            validation.tell_batches(error, batches, step)
            raise
        step += len(epoch)
        yield epoch

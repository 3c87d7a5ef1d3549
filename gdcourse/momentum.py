"""Gradient descent with momentum: the heavy ball and Nesterov's method."""

import numpy as np

from gdcourse import validation
from gdcourse.backend import array_namespace, rows
from gdcourse.descent import checked, drawn
from gdcourse.objectives import LeastSquares
from gdcourse.schedules import rate_at

__all__ = ["momentum_updates"]


def momentum_updates(
    X,
    y,
    theta_init,
    *,
    objective=LeastSquares(),
    batches,
    learning_rate,
    momentum,
    nesterov=False,
    rng=None,
):
    """Every update of a gradient descent with momentum, for ever.

    v ← β·v − α_t·∇J_batch(θ), θ ← θ + v, from v = 0: the heavy ball. With `nesterov` the
    gradient is taken at θ + β·v. A momentum of zero is `updates`.

    Parameters
    ----------
    X : (n, d) array
    y : (n,) array
    theta_init : array
        Shaped as the objective asks: (d,) for the linear models.
    objective : Objective
    batches : Sampler
        Such as ``Shuffled(batch_size=32)``.
    learning_rate : float or Schedule
        α_t. It stands inside the velocity, as in both papers; libraries that step by
        θ ← θ − α_t·v differ while α_t changes. Where they weigh the gradient by 1 − β, their α
        is this one over 1 − β.
    momentum : float
        β, zero or more and less than 1.
    nesterov : bool
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

    References
    ----------
    B. T. Polyak (1964), doi:10.1016/0041-5553(64)90137-5; I. Sutskever, J. Martens, G. Dahl and
    G. Hinton (2013), proceedings.mlr.press/v28/sutskever13, for this form of Nesterov's method.

    Examples
    --------
    The second step goes a quarter of the first one further than its own gradient asks.

    >>> from itertools import islice
    >>> from gdcourse import FullBatch
    >>> problem = {"X": [[1.0], [1.0]], "y": [1.0, 3.0], "theta_init": [0.0]}
    >>> path = momentum_updates(
    ...     **problem, batches=FullBatch(), learning_rate=0.5, momentum=0.25
    ... )
    >>> [(step, seen, theta.tolist()) for step, seen, theta in islice(path, 3)]
    [(0, 0, [0.0]), (1, 2, [1.0]), (2, 4, [1.75])]
    """
    X, y, theta, schedule = checked(X, y, theta_init, objective, batches, learning_rate)
    momentum = validation.non_negative("momentum", momentum)
    if momentum >= 1:
        raise ValueError(f"momentum must be less than 1, or nothing slows down, got {momentum}")
    epochs = drawn(batches, X.shape[0], np.random.default_rng(rng))
    return steps(X, y, theta, objective, epochs, schedule, momentum, nesterov)


def steps(X, y, theta, objective, epochs, schedule, momentum, nesterov):
    """The loop of `momentum_updates`."""
    velocity = array_namespace(theta).zeros_like(theta)
    step = samples_seen = 0
    yield step, samples_seen, theta
    for epoch in epochs:
        sizes = epoch.batch_sizes.tolist()
        for batch_size, batch in zip(sizes, epoch.to(X), strict=True):
            at = theta + momentum * velocity if nesterov else theta
            gradient = objective.gradient(at, rows(X, batch), rows(y, batch))
            velocity = momentum * velocity - rate_at(schedule, step) * gradient
            theta = theta + velocity
            step += 1
            samples_seen += batch_size
            yield step, samples_seen, theta

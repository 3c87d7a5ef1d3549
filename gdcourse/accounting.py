"""Counting: epochs and samples, the memory of a step, a large batch in small ones."""

import itertools
from typing import NamedTuple

from gdcourse.base import validation
from gdcourse.base.docs import parameters_of
from gdcourse.rows import open_problem, weighted_mean


class TrainingCounts(NamedTuple):
    """How many of each a training run makes."""

    iterations_per_epoch: int
    iterations: int
    samples_seen: int


class TrainingMemory(NamedTuple):
    """Bytes that a training step holds, by what holds them."""

    parameters: int
    gradients: int
    activations: int
    optimizer: int

    @property
    def total(self):
        """The sum, in bytes."""
        return sum(self)


def iterations_per_epoch(n_samples, batch_size, drop_last=False):
    """⌈n/b⌉ updates in one pass over the data, or ⌊n/b⌋ where a short last batch is left out.

    Parameters
    ----------
    n_samples : int
        n, rows of the data.
    batch_size : int
        b, rows in a batch, from 1 to n.
    drop_last : bool
        Whether to leave out a last batch that would be shorter than the others.

    Returns
    -------
    int

    Examples
    --------
    >>> iterations_per_epoch(60_000, 128), iterations_per_epoch(60_000, 128, drop_last=True)
    (469, 468)
    """
    n_samples = validation.check_count("n_samples", n_samples)
    batch_size = validation.check_count("batch_size", batch_size, maximum=n_samples)
    drop_last = validation.check_flag("drop_last", drop_last)
    return n_samples // batch_size if drop_last else -(-n_samples // batch_size)


@parameters_of(iterations_per_epoch)
def training_counts(n_samples, batch_size, n_epochs, drop_last=False):
    """Iterations an epoch, iterations in all, and samples seen.

    Parameters
    ----------
    n_epochs : int
        Passes over the data.

    Returns
    -------
    TrainingCounts
        ``.iterations_per_epoch``, ``.iterations``, ``.samples_seen``.

    Examples
    --------
    >>> training_counts(60_000, 128, n_epochs=10)
    TrainingCounts(iterations_per_epoch=469, iterations=4690, samples_seen=600000)
    """
    n_samples = validation.check_count("n_samples", n_samples)
    batch_size = validation.check_count("batch_size", batch_size, maximum=n_samples)
    n_epochs = validation.check_count("n_epochs", n_epochs, minimum=0)
    per_epoch = iterations_per_epoch(n_samples, batch_size, drop_last)
    samples = per_epoch * batch_size if drop_last else n_samples
    return TrainingCounts(per_epoch, per_epoch * n_epochs, samples * n_epochs)


def accumulate_gradient(objective, theta, micro_batches):
    """The gradient of one large batch, a micro-batch at a time: exact for uneven sizes.

    Each micro-batch gradient is a mean, so it is weighted by its number of rows.

    Parameters
    ----------
    objective : Objective
        What is minimised, such as ``LeastSquares()``.
    theta : array
        The parameters, shaped as the objective asks: (d,) for the linear models.
    micro_batches : iterable of (X, y) pairs
        Parts of one large batch, each with a row at least; they may differ in length.

    Returns
    -------
    array, shaped like `theta`

    Examples
    --------
    >>> from gdcourse import LeastSquares
    >>> parts = [([[1.0]], [1.0]), ([[1.0], [1.0]], [4.0, 4.0])]
    >>> accumulate_gradient(LeastSquares(), [0.0], parts)
    array([-3.])
    """
    pairs = validation.check_pairs("micro_batches", micro_batches)
    first = next(pairs, None)
    if first is None:
        raise ValueError("micro_batches must hold at least one (X, y) pair")
    objective, theta, data = open_problem(objective, theta, *first)
    opened = (open_problem(objective, theta, *pair)[2] for pair in pairs)
    owners = itertools.chain([data], opened)
    pieces = (piece for data in owners for piece in data.pieces())
    return weighted_mean(objective.gradient, theta, pieces)


def training_memory(
    n_parameters, activations_per_sample, batch_size, *, bytes_per_value=4, optimizer_states=0
):
    """Memory = parameters + gradients + activations·b + optimiser state, in bytes.

    Parameters
    ----------
    n_parameters : int
        Numbers that the model learns.
    activations_per_sample : int
        Values kept for the backward pass, per sample.
    batch_size : int
        b, rows whose activations are in memory at once.
    bytes_per_value : int
        4 for single precision.
    optimizer_states : int
        Values kept per parameter: 0 for gradient descent, 1 for momentum, 2 for Adam.

    Returns
    -------
    TrainingMemory
        ``.parameters``, ``.gradients``, ``.activations``, ``.optimizer`` and ``.total``. What
        a library takes for work space comes on top.

    References
    ----------
    S. Rajbhandari et al. (2020), "ZeRO", arXiv:1910.02054.

    Examples
    --------
    >>> training_memory(1000, activations_per_sample=50, batch_size=32, optimizer_states=2).total
    22400
    """
    n_parameters = validation.check_count("n_parameters", n_parameters)
    activations = validation.check_count(
        "activations_per_sample", activations_per_sample, minimum=0
    )
    batch_size = validation.check_count("batch_size", batch_size)
    size = validation.check_count("bytes_per_value", bytes_per_value)
    states = validation.check_count("optimizer_states", optimizer_states, minimum=0)
    return TrainingMemory(
        parameters=size * n_parameters,
        gradients=size * n_parameters,
        activations=size * activations * batch_size,
        optimizer=size * states * n_parameters,
    )

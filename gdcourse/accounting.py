"""Counting: epochs and samples, the memory of a step, accumulation, what workers have to say."""

import itertools
import math
from typing import NamedTuple

from gdcourse import validation
from gdcourse.objectives import weighted_mean

__all__ = [
    "accumulate_gradient",
    "allreduce_seconds",
    "balanced_workers",
    "data_parallel_step",
    "iterations_per_epoch",
    "training_counts",
    "training_memory",
]


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


class ParallelStep(NamedTuple):
    """Seconds of a data-parallel step, by what they are spent on."""

    compute: float
    communication: float

    @property
    def total(self):
        """The sum, in seconds: nothing overlaps."""
        return sum(self)


def iterations_per_epoch(n_samples, batch_size, drop_last=False):
    """⌈n/b⌉ updates in one pass over the data, or ⌊n/b⌋ where a short last batch is left out.

    Parameters
    ----------
    n_samples, batch_size : int
    drop_last : bool

    Returns
    -------
    int

    Raises
    ------
    ValueError
        For a batch size outside 1..n_samples.

    Examples
    --------
    >>> iterations_per_epoch(60_000, 128), iterations_per_epoch(60_000, 128, drop_last=True)
    (469, 468)
    """
    n_samples = validation.count("n_samples", n_samples)
    batch_size = validation.count("batch_size", batch_size, maximum=n_samples)
    return n_samples // batch_size if drop_last else -(-n_samples // batch_size)


def training_counts(n_samples, batch_size, n_epochs, drop_last=False):
    """Iterations an epoch, iterations in all, and samples seen.

    Parameters
    ----------
    n_samples, batch_size, n_epochs : int
    drop_last : bool
        Whether a short last batch is left out of every epoch.

    Returns
    -------
    TrainingCounts
        ``.iterations_per_epoch``, ``.iterations``, ``.samples_seen``.

    Examples
    --------
    >>> training_counts(60_000, 128, n_epochs=10)
    TrainingCounts(iterations_per_epoch=469, iterations=4690, samples_seen=600000)
    """
    n_samples = validation.count("n_samples", n_samples)
    batch_size = validation.count("batch_size", batch_size, maximum=n_samples)
    n_epochs = validation.count("n_epochs", n_epochs, minimum=0)
    per_epoch = iterations_per_epoch(n_samples, batch_size, drop_last)
    samples = per_epoch * batch_size if drop_last else n_samples
    return TrainingCounts(per_epoch, per_epoch * n_epochs, samples * n_epochs)


def accumulate_gradient(objective, theta, micro_batches):
    """The gradient of one large batch, a micro-batch at a time: exact for uneven sizes.

    Each micro-batch gradient is a mean, so it is weighted by its number of rows.

    Parameters
    ----------
    objective : Objective
    theta : array
    micro_batches : iterable of (X, y) pairs

    Returns
    -------
    array, shaped like `theta`

    Raises
    ------
    ValueError
        Where there is no micro-batch, or one of them does not fit the objective.

    Examples
    --------
    >>> from gdcourse import LeastSquares
    >>> parts = [([[1.0]], [1.0]), ([[1.0], [1.0]], [4.0, 4.0])]
    >>> accumulate_gradient(LeastSquares(), [0.0], parts)
    array([-3.])
    """
    micro_batches = iter(micro_batches)
    first = next(micro_batches, None)
    if first is None:
        raise ValueError("micro_batches must hold at least one (X, y) pair")
    X, y = first
    theta, *first = validation.problem(objective, theta, X, y)
    rest = (validation.problem(objective, theta, X, y)[1:] for X, y in micro_batches)
    return weighted_mean(
        lambda X, y: objective.gradient(theta, X, y), itertools.chain([first], rest)
    )


def training_memory(
    n_parameters, activations_per_sample, batch_size, *, bytes_per_value=4, optimizer_states=0
):
    """Memory = parameters + gradients + activations·b + optimiser state, in bytes.

    Parameters
    ----------
    n_parameters : int
    activations_per_sample : int
        Values kept for the backward pass, per sample.
    batch_size : int
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
    n_parameters = validation.count("n_parameters", n_parameters)
    activations = validation.count("activations_per_sample", activations_per_sample, minimum=0)
    batch_size = validation.count("batch_size", batch_size)
    size = validation.count("bytes_per_value", bytes_per_value)
    states = validation.count("optimizer_states", optimizer_states, minimum=0)
    return TrainingMemory(
        parameters=size * n_parameters,
        gradients=size * n_parameters,
        activations=size * activations * batch_size,
        optimizer=size * states * n_parameters,
    )


def allreduce_seconds(n_bytes, n_workers, bandwidth, latency, *, method="ring"):
    """Seconds until each of P workers holds the sum of an array that each of them has.

    A message of m bytes takes latency + m/bandwidth. The methods differ in how many messages
    have to wait for one another, and in what goes through the busiest link:

    - ``"ring"``: everybody passes pieces of 1/P to one neighbour, 2(P−1) latencies and
      2(P−1)/P times the array. No method moves less.
    - ``"tree"``: recursive halving, then doubling, the same volume with 2 log₂P latencies;
      exact for powers of two.
    - ``"star"``: one worker receives the arrays of the others and sends the sum to each,
      2 latencies (those of the others overlap) and 2(P−1) times the array.

    The additions themselves are left out.

    Parameters
    ----------
    n_bytes : float
        Size of the array.
    n_workers : float
        P, 1 or more.
    bandwidth : float
        Bytes a second, of each worker's link.
    latency : float
        Seconds that a message takes however short it is.
    method : str

    Returns
    -------
    float

    References
    ----------
    P. Patarasuk and X. Yuan (2009), doi:10.1016/j.jpdc.2008.09.002 (ring).
    R. Thakur, R. Rabenseifner and W. Gropp (2005), doi:10.1177/1094342005051521 (halving and
    doubling).

    Examples
    --------
    >>> allreduce_seconds(4e6, 4, bandwidth=1e9, latency=1e-3)
    0.012
    """
    n_bytes = validation.non_negative("n_bytes", n_bytes)
    bandwidth = validation.positive("bandwidth", bandwidth)
    latency = validation.non_negative("latency", latency)
    p = _workers(n_workers)
    costs = {  # messages in a row, and arrays through the busiest link
        "ring": (2 * (p - 1), 2 * (p - 1) / p),
        "tree": (2 * math.log2(p), 2 * (p - 1) / p),
        "star": (2 * (p > 1), 2 * (p - 1)),
    }
    if method not in costs:
        known = ", ".join(costs)
        raise ValueError(f"method must be one of {known}, got {method!r}")
    messages, arrays = costs[method]
    return messages * latency + arrays * n_bytes / bandwidth


def data_parallel_step(
    n_workers,
    *,
    batch_size,
    seconds_per_sample,
    n_bytes,
    bandwidth,
    latency,
    method="ring",
    local_steps=1,
):
    """A step of P workers: each computes on b/P rows, then they average their gradients.

    Parameters
    ----------
    n_workers : float
        P, 1 or more.
    batch_size : float
        Rows of all workers together. Held fixed while P grows, this is *strong* scaling; with
        P times the rows of a worker it is *weak* scaling.
    seconds_per_sample : float
        Time of one worker for the gradient of one row.
    n_bytes, bandwidth, latency, method
        As in `allreduce_seconds`.
    local_steps : int
        Steps that a worker makes by itself between two averages ("local SGD"): the average
        is then paid once in so many steps.

    Returns
    -------
    ParallelStep
        ``.compute``, ``.communication`` and ``.total``, in seconds a step.

    Examples
    --------
    >>> data_parallel_step(
    ...     4, batch_size=400, seconds_per_sample=1e-3, n_bytes=4e6, bandwidth=1e9, latency=1e-3
    ... )
    ParallelStep(compute=0.1, communication=0.012)
    """
    n_workers = _workers(n_workers)
    batch_size = validation.positive("batch_size", batch_size)
    seconds_per_sample = validation.positive("seconds_per_sample", seconds_per_sample)
    local_steps = validation.count("local_steps", local_steps)
    seconds = allreduce_seconds(n_bytes, n_workers, bandwidth, latency, method=method)
    return ParallelStep(batch_size / n_workers * seconds_per_sample, seconds / local_steps)


def balanced_workers(
    compute_seconds, n_bytes, bandwidth, latency, *, method="ring", scaling="strong"
):
    """The number of workers from which a step is more communication than computing.

    It solves compute_seconds/P = allreduce_seconds(n_bytes, P, ...), for one batch cut into P
    parts; or compute_seconds = allreduce_seconds(n_bytes, P, ...), for a batch on each worker.

    Parameters
    ----------
    compute_seconds : float
        Time of one worker for the whole batch, or with ``scaling="weak"`` for its own rows.
    n_bytes, bandwidth, latency, method
        As in `allreduce_seconds`.
    scaling : str
        ``"strong"`` for a batch of a fixed size, ``"weak"`` for one of a fixed size a worker.

    Returns
    -------
    float
        P, more than 1 and seldom whole; infinite where communication never takes so long.

    Examples
    --------
    >>> n_workers = balanced_workers(0.4, n_bytes=0, bandwidth=1e9, latency=1e-3)
    >>> round(n_workers * (n_workers - 1), 9)  # 0.4/P = 2(P - 1)·0.001
    200.0
    """
    compute_seconds = validation.positive("compute_seconds", compute_seconds)
    if scaling not in ("strong", "weak"):
        raise ValueError(f"scaling must be 'strong' or 'weak', got {scaling!r}")

    def computes_longer(n_workers):
        share = compute_seconds / n_workers if scaling == "strong" else compute_seconds
        return share > allreduce_seconds(n_bytes, n_workers, bandwidth, latency, method=method)

    low, high = 1.0, 2.0
    while computes_longer(high):
        low, high = high, 2 * high
        if high > 1e300:
            return math.inf
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if computes_longer(middle) else (low, middle)
    return high


def _workers(n_workers):
    number = validation.positive("n_workers", n_workers)
    if number < 1:
        raise ValueError(f"n_workers must be 1 or more, got {n_workers}")
    return number

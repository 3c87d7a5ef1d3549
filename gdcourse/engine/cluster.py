"""What a network costs a data-parallel step: a model of messages and the busiest link."""

import math
from typing import NamedTuple

from gdcourse.base import validation


class ParallelStep(NamedTuple):
    """Seconds of a data-parallel step, by what they are spent on."""

    compute: float
    communication: float

    @property
    def total(self):
        """The sum, in seconds: nothing overlaps."""
        return sum(self)


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
        ``"ring"``, ``"tree"`` or ``"star"``.

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
    n_bytes = validation.check_non_negative("n_bytes", n_bytes)
    bandwidth = validation.check_positive("bandwidth", bandwidth)
    latency = validation.check_non_negative("latency", latency)
    p = _workers(n_workers)
    costs = {  # messages in a row, and arrays through the busiest link
        "ring": (2 * (p - 1), 2 * (p - 1) / p),
        "tree": (2 * math.log2(p), 2 * (p - 1) / p),
        "star": (2 * (p > 1), 2 * (p - 1)),
    }
    messages, arrays = costs[validation.check_choice("method", method, costs)]
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
    n_bytes : float
        Size of the gradient, in bytes.
    bandwidth : float
        Bytes a second, of each worker's link.
    latency : float
        Seconds that a message takes however short it is.
    method : str
        ``"ring"``, ``"tree"`` or ``"star"``, see `allreduce_seconds`.
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
    batch_size = validation.check_positive("batch_size", batch_size)
    seconds_per_sample = validation.check_positive("seconds_per_sample", seconds_per_sample)
    local_steps = validation.check_count("local_steps", local_steps)
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
    n_bytes : float
        Size of the gradient, in bytes.
    bandwidth : float
        Bytes a second, of each worker's link.
    latency : float
        Seconds that a message takes however short it is.
    method : str
        ``"ring"``, ``"tree"`` or ``"star"``, see `allreduce_seconds`.
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
    compute_seconds = validation.check_positive("compute_seconds", compute_seconds)
    scaling = validation.check_choice("scaling", scaling, ("strong", "weak"))

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
    number = validation.check_positive("n_workers", n_workers)
    if number < 1:
        raise ValueError(f"n_workers must be 1 or more, got {n_workers}")
    return number

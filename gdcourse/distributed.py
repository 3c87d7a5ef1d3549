"""Data-parallel objectives: rows in shards across the workers of a Dask client.

A shard is loaded once, by a worker, and stays there. At each evaluation θ goes out, each shard
answers with the sum over its rows, and the sums come back through a tree. The descent and the
sampling schemes do not change: they see an objective, and a column of row numbers for X.
"""

import asyncio
import threading
from concurrent.futures import CancelledError
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np

from gdcourse import validation
from gdcourse.backend import asarray, namespace, rows, to_host
from gdcourse.shards import ShardedArray, open_shards

try:
    import dask
    import distributed
except ImportError as error:
    raise ImportError(
        "gdcourse.distributed needs Dask: `pip install 'gdcourse[distributed]'`"
    ) from error

__all__ = ["DataParallel", "Report"]

BRANCHES = 8  # sums that one task of the tree adds up
PATIENCE = 1.0  # seconds without an answer, after which to look whether there are workers


class Report(NamedTuple):
    """What the evaluations of a `DataParallel` objective have cost so far.

    Attributes
    ----------
    n_shards : int
    n_workers : int
        Workers that the scheduler has now.
    steps : int
        Evaluations: each gradient is one, and each loss.
    bytes_sent : int
        θ and row numbers that went out, θ once for each shard that took part. Like
        `bytes_received`, it counts the arrays alone, without what wraps them on the way.
    bytes_received : int
        Sums that came back, one for each shard that took part. In a tree over P shards on P
        workers P − 1 sums move between workers and one to the client; with several shards on
        a worker, fewer do.
    compute_seconds : float
        Of each evaluation the time of the busiest thread, measured on the workers.
    communication_seconds : float
        The rest of the time that the caller waited: messages, scheduling, sums in the tree.
    loads : int
        Times that a shard was read from its files, of those that took part: `n_shards`, and
        more after a worker was lost.
    """

    n_shards: int
    n_workers: int
    steps: int
    bytes_sent: int
    bytes_received: int
    compute_seconds: float
    communication_seconds: float
    loads: int


class DataParallel:
    """An objective over rows that lie in shards on the workers of a Dask client.

    J(θ) = Σ_k n_k J_k(θ) / Σ_k n_k over shards of n_k rows: exact for unequal shards too.

    The shards are read by tasks on the workers, spread evenly over them, so every worker must
    find the directory under the same path. Where a worker is lost, the scheduler has its shards
    read again by the others, and the work goes on. Sums are added in the order of the shards,
    so the answer does not depend on where they lie. Workers started with
    ``GDCOURSE_BACKEND=cupy`` hold their shards on their GPU; sums come back to the host.

    θ is in double precision. Dask can let an idle worker help a busy one, and then copies a
    shard to it; the setting ``distributed.scheduler.work-stealing: False`` forbids it.

    Parameters
    ----------
    client : distributed.Client
    objective : Objective
    directory : path
        As `write_shards` leaves it.
    timeout : float
        Seconds to wait for a first worker, or for another where all are lost.

    Attributes
    ----------
    X : (n, 1) array
        The numbers of the rows, which stand for the data in a descent. Give them to `descend`
        together with `y` and ``objective=job``.
    y : (n,) array
        Zeros.

    Raises
    ------
    FileNotFoundError, ValueError
        For a shard that is missing, cut short or not finite, by its name.
    RuntimeError
        Where there has been no worker for `timeout` seconds.

    Examples
    --------
    >>> with Client("scheduler:8786") as client:  # doctest: +SKIP
    ...     job = DataParallel(client, LeastSquares(), "/data/shards")
    ...     run = {"batches": Shuffled(batch_size=4096), "learning_rate": 0.1, "n_epochs": 3}
    ...     theta, history = descend(job.X, job.y, theta, objective=job, **run)
    """

    def __init__(self, client, objective, directory, timeout=60.0):
        if client.asynchronous:
            raise TypeError("client must not be asynchronous: a descent waits for each gradient")
        self.client = client
        self.objective = objective
        self.timeout = validation.positive("timeout", timeout)
        X, y = open_shards(Path(directory).resolve())
        n = len(X)
        pairs = [pair for pair in zip(X.shards, y.shards, strict=True) if pair[0].shape[0]]
        self._cuts = np.cumsum([0, *(shard.shape[0] for shard, _ in pairs)])
        self.X = np.arange(n, dtype=np.float64)[:, None]
        self.X.flags.writeable = False
        self.y = np.broadcast_to(0.0, n)
        self._steps = self._sent = self._received = 0
        self._compute = self._seconds = 0.0
        self._tokens = set()
        self._shards = self._load(pairs)

    def __repr__(self):
        return f"DataParallel({self.objective!r}, {len(self._shards)} shards)"

    def loss(self, theta, X, y):
        """J(θ) on the rows whose numbers are in X, a 0-d array."""
        return self._mean(self.objective.loss, theta, X)

    def gradient(self, theta, X, y):
        """∇J(θ) on the rows whose numbers are in X, shaped like θ."""
        return self._mean(self.objective.gradient, theta, X)

    def per_sample_gradients(self, theta, X, y):
        """The gradient of each row whose number is in X, shape (n, *theta.shape)."""
        start = perf_counter()
        taking, places = self._taking(X)
        answers = [
            self._result(answer)
            for answer in self._sums(self.objective.per_sample_gradients, theta, taking, False)
        ]
        received = sum(answer.value.nbytes for answer in answers)
        self._count(theta, taking, answers, received, perf_counter() - start)
        gradients = np.concatenate([answer.value for answer in answers])
        gradients[places] = gradients.copy()
        return gradients

    def check(self, theta, X, y):
        """What the objective checks at the door, on every worker for its own rows."""
        if hasattr(self.objective, "check"):
            several = [self.objective] * len(self._shards), [theta] * len(self._shards)
            for answer in self._map(_check, self._shards, *several):
                self._result(answer)

    def report(self):
        """What the evaluations have cost so far: a `Report`."""
        return Report(
            n_shards=len(self._shards),
            n_workers=len(self._workers()),
            steps=self._steps,
            bytes_sent=self._sent,
            bytes_received=self._received,
            compute_seconds=self._compute,
            communication_seconds=self._seconds - self._compute,
            loads=len(self._tokens),
        )

    def _load(self, pairs):
        """A future for each shard, spread evenly over the workers, once all are loaded."""
        # Not tied to a worker: Dask would wait for that one where all are replaced.
        futures = self._map(_load, pairs)
        for answer in self._map(_loaded, futures):
            self._result(answer)
        return futures

    def _mean(self, function, theta, X):
        """The mean over the rows given of what `function` gives as means over shards."""
        start = perf_counter()
        taking, _ = self._taking(X)
        levels = [self._sums(function, theta, taking, True)]
        while len(levels[-1]) > 1:
            sums = levels[-1]
            groups = [sums[a : a + BRANCHES] for a in range(0, len(sums), BRANCHES)]
            levels.append(self._map(_add, groups))
        answer = self._result(levels[-1][0])
        received = answer.value.nbytes * len(taking)
        self._count(theta, taking, [answer], received, perf_counter() - start)
        return answer.value / answer.n_rows

    def _sums(self, function, theta, taking, summed):
        """A future for the answer of each shard that takes part."""
        shards = [self._shards[k] for k, _ in taking]
        chosen = [part for _, part in taking]
        # By position: as a keyword, Dask would keep a large θ under the one key "theta".
        several = ([value] * len(taking) for value in (function, theta, summed))
        return self._map(_answer, shards, chosen, *several)

    def _map(self, function, *arguments):
        # Each key is a group of its own. What looks like a large group with few inputs, Dask
        # gives to whoever is free, and moves its shards there.
        name = f"gdcourse{function.__name__.replace('_', '-')}-{uuid4()}"
        keys = [(f"{name}-{k}", 0) for k in range(len(arguments[0]))]
        # θ goes out at every step: it is no large graph that had better be scattered before.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            return self.client.map(function, *arguments, key=keys, pure=False)

    def _taking(self, X):
        """Which rows each shard takes part with, and where these stand in X.

        Returns pairs of a shard's number and a slice or indices of its rows, and the places in
        X, shard after shard. A slice of `self.X` needs no row numbers sent.
        """
        chosen = self._chosen(X)
        if isinstance(chosen, slice):
            shares = [
                (k, slice(max(chosen.start, a) - a, min(chosen.stop, b) - a))
                for k, (a, b) in enumerate(pairwise(self._cuts.tolist()))
            ]
            return [(k, part) for k, part in shares if part.start < part.stop], slice(None)
        of_shard = np.searchsorted(self._cuts, chosen, side="right") - 1
        places = np.argsort(of_shard, kind="stable")
        numbers, starts = np.unique(of_shard[places], return_index=True)
        parts = np.split(chosen[places], starts[1:])
        return [
            (k, p - self._cuts[k]) for k, p in zip(numbers.tolist(), parts, strict=True)
        ], places

    def _chosen(self, X):
        """The rows that X stands for: a slice where X is one of `self.X`, or their numbers."""
        n = len(self.X)
        if X.ndim != 2 or X.shape[0] == 0 or X.shape[1] != 1:
            raise ValueError(f"X must be rows of job.X, which stand for the data, got {X.shape}")
        ours, theirs = self.X.__array_interface__, X.__array_interface__
        first, rest = divmod(theirs["data"][0] - ours["data"][0], self.X.itemsize)
        inside = rest == 0 and first >= 0 and first + len(X) <= n
        if inside and (X.dtype, X.strides) == (self.X.dtype, self.X.strides):
            return slice(first, first + len(X))
        chosen = X[:, 0].astype(np.int64)
        if chosen.min() < 0 or chosen.max() >= n or (chosen != X[:, 0]).any():
            raise ValueError(f"X must be rows of job.X, the whole numbers 0..{n - 1}")
        return chosen

    def _count(self, theta, taking, answers, received, seconds):
        self._steps += 1
        self._sent += sum(theta.nbytes + getattr(part, "nbytes", 0) for _, part in taking)
        self._received += received
        self._compute += max(_merged(answer.busy for answer in answers).values())
        self._seconds += seconds
        self._tokens.update(*(answer.tokens for answer in answers))

    def _result(self, future):
        """The result of a future; an error where there are no workers to bring it."""
        begun, deserted = [], None
        while not self.client.sync(self._patiently, future, begun):
            if self._workers():
                deserted = None
                continue
            deserted = monotonic() if deserted is None else deserted
            if monotonic() - deserted > self.timeout:
                self.client.loop.add_callback(begun[0].cancel)
                raise RuntimeError(
                    f"there has been no worker for {self.timeout:g} seconds: start one, and "
                    "run this again"
                )
        try:
            return begun[0].result()
        except (CancelledError, asyncio.CancelledError) as error:
            raise RuntimeError(
                "the scheduler is gone, or was told to forget the shards: make the job anew"
            ) from error
        except Exception:
            # The client would keep the error, and with its frames this job and its shards.
            future.release()
            raise

    async def _patiently(self, future, begun):
        """Whether the task that brings the result, which is `begun` once, has ended."""
        # It is never cancelled under way: the client joins later ones to it, and would fail them.
        if not begun:
            begun.append(asyncio.ensure_future(self.client.gather(future, asynchronous=True)))
        done, _ = await asyncio.wait(begun, timeout=PATIENCE)
        return bool(done)

    def _workers(self):
        """The addresses of the workers that take work."""
        known = self.client.scheduler_info(n_workers=-1).get("workers", {})
        return sorted(address for address, one in known.items() if one["status"] == "running")


@dataclass(frozen=True)
class _Loaded:
    """A shard in the memory of a worker, or of its GPU; `token` tells one reading from another."""

    X: Any
    y: Any
    token: str

    def __sizeof__(self):
        return self.X.nbytes + self.y.nbytes  # by which the scheduler knows it is dear to move


class _Answer(NamedTuple):
    """What shards say of their rows: a sum, over how many, and who was busy for how long."""

    value: np.ndarray
    n_rows: int
    busy: dict
    tokens: set


def _load(pair):
    like = namespace().empty(0)
    arrays = (asarray(ShardedArray((shard,))[:], like) for shard in pair)
    try:
        return _Loaded(*validation.data(*arrays), uuid4().hex)
    except ValueError as error:
        raise ValueError(f"in shard {pair[0].path}: {error}") from None


def _loaded(shard):
    """Nothing, once a shard is there."""


def _check(shard, objective, theta):
    objective.check(asarray(theta, shard.X), shard.X, shard.y)


def _answer(shard, chosen, function, theta, summed):
    start = perf_counter()
    if not isinstance(chosen, slice):
        chosen = asarray(chosen, shard.X)
    X, y = rows(shard.X, chosen), rows(shard.y, chosen)
    value = to_host(function(asarray(theta, X), X, y))
    n_rows = X.shape[0]
    value = value * n_rows if summed else value
    thread = f"{distributed.get_worker().address} {threading.get_ident()}"
    return _Answer(value, n_rows, {thread: perf_counter() - start}, {shard.token})


def _add(answers):
    values, counts, busy, tokens = zip(*answers, strict=True)
    return _Answer(sum(values[1:], values[0]), sum(counts), _merged(busy), set().union(*tokens))


def _merged(several):
    """Seconds by thread, added up."""
    total = {}
    for busy in several:
        for thread, seconds in busy.items():
            total[thread] = total.get(thread, 0.0) + seconds
    return total

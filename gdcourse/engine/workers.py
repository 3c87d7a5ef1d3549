"""Rows in shards on the workers of a Dask client, which answer with means over them.

A shard is loaded once, by a worker, and stays there. For each mean θ goes out, each shard answers
with the sum over its rows, and the sums come back through a tree. Nothing else changes: a descent,
a variance or an evaluation asks the owner of the rows for a mean, wherever they lie.
"""

import asyncio
import threading
from concurrent.futures import CancelledError
from copy import copy
from dataclasses import dataclass, field
from itertools import pairwise
from time import monotonic, perf_counter
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import asarray, double, namespace, take_rows, to_host
from gdcourse.engine.sharded import Sharded, ShardedArray, open_shards
from gdcourse.rows import ALL, InMemory

try:
    import dask
    import distributed
except ImportError as error:
    raise ImportError(
        "gdcourse.engine.workers needs Dask: `pip install 'gdcourse[distributed]'`"
    ) from error

__all__ = ["DataParallel", "Report"]

BRANCHES = 8  # sums that one task of the tree adds up
POLL_SECONDS = 1.0  # without an answer, until the next look whether there are workers


class Report(NamedTuple):
    """What the means of a `DataParallel` have cost so far.

    Attributes
    ----------
    n_shards : int
        Shards that hold the rows.
    n_workers : int
        Workers that the scheduler has now.
    steps : int
        Means over rows: one for each step of a descent, and one for each record.
    bytes_sent : int
        θ and row numbers that went out, θ once for each shard that took part. Like
        `bytes_received`, it counts the arrays alone, without what wraps them on the way.
    bytes_received : int
        Sums that came back, one for each shard that took part. In a tree over P shards on P
        workers P − 1 sums move between workers and one to the client; with several shards on
        a worker, fewer do.
    compute_seconds : float
        Of each mean the time of the busiest thread, measured on the workers.
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


@dataclass(frozen=True)
class RemoteArray(ShardedArray):
    """An array whose rows lie in shards on workers; its `owner` is a `DataParallel`."""

    owner: Any = field(default=None, repr=False, compare=False)


class DataParallel(Sharded):
    """Rows in shards on the workers of a Dask client: its `X` and `y` stand for them.

    A mean over rows is Σ_k n_k·mean_k / Σ_k n_k over shards of n_k rows: exact for unequal shards.

    The shards are read by tasks on the workers, spread evenly over them, so every worker must
    find the directory under the same path. Where a worker is lost, the scheduler has its shards
    read again by the others, and the work goes on. Sums are added in the order of the shards,
    so the answer does not depend on where they lie. Workers started with
    ``GDCOURSE_BACKEND=cupy`` hold their shards on their GPU; sums come back to the host. What needs
    the rows themselves, such as `compress`, reads them from the files, here.

    Dask can let an idle worker help a busy one, and then copies a shard to it; the setting
    ``distributed.scheduler.work-stealing: False`` forbids it.

    Parameters
    ----------
    client : distributed.Client
        A client with a worker at least.
    directory : path
        As `write_shards` leaves it.
    timeout : float
        Seconds to wait for a first worker, or for another where all are lost.

    Attributes
    ----------
    X : (n, d) RemoteArray
        To be handed on, together with `y`, wherever a function takes arrays.
    y : (n,) RemoteArray
        Targets or class labels, one for each row of X.

    Raises
    ------
    FileNotFoundError, ValueError
        For a shard that is missing, cut short or not finite, by its name. If it happens under
        way, put the shard back and go on with the same `DataParallel`.
    RuntimeError
        Where there has been no worker for `timeout` seconds, or the client is closed.

    Examples
    --------
    >>> with Client("scheduler:8786") as client:  # doctest: +SKIP
    ...     rows = DataParallel(client, "/data/shards")
    ...     run = {"batches": Shuffled(batch_size=4096), "learning_rate": 0.1, "n_epochs": 3}
    ...     theta, history = descend(rows.X, rows.y, theta, **run)
    """

    def __init__(self, client, directory, timeout=60.0):
        if not isinstance(client, distributed.Client):
            raise TypeError(f"client must be a distributed.Client, got {client!r}")
        if client.asynchronous:
            raise TypeError("client must not be asynchronous: a descent waits for each gradient")
        directory = validation.check_path("directory", directory).resolve()
        self.timeout = validation.check_positive("timeout", timeout)
        self._client = client
        X, y = self._files = open_shards(directory)
        self.block, self.width = Sharded(X, y).block, 1
        pairs = [pair for pair in zip(X.shards, y.shards, strict=True) if pair[0].shape[0]]
        self._cuts = np.cumsum([0, *(shard.shape[0] for shard, _ in pairs)])
        self._costs = dict.fromkeys(("steps", "sent", "received", "compute", "seconds"), 0)
        self._tokens = set()
        self._shards = self._load(pairs)

    # Made anew each time: an array kept here would keep this owner, and so all shards, in memory
    # until Python looks for cycles.
    X = property(lambda self: RemoteArray(self._files[0].shards, self))
    y = property(lambda self: RemoteArray(self._files[1].shards, self))

    @property
    def client(self):
        """The client, unless it is closed."""
        if self._client.status in ("closing", "closed"):
            raise RuntimeError("the client is closed: make the DataParallel anew with another one")
        return self._client

    def __repr__(self):
        return f"DataParallel({len(self._shards)} shards)"

    def open(self, X, y, *, look=True):
        """The owner itself: the values were read when the shards were loaded."""
        if not isinstance(y, RemoteArray) or (X, y) != (self.X, self.y):
            raise ValueError("X and y must be the X and the y of one DataParallel")
        return self

    def open_problem(self, objective, theta, X, y, *, look=True):
        """See `InMemory.open_problem`; each worker checks its own rows."""
        data = copy(self.open(X, y))  # with the same shards and costs
        data.width = objective.width
        theta, *_ = validation.check_problem(theta, *_one_row(X))
        self._read_again()
        several = [objective] * len(self._shards), [theta] * len(self._shards)
        for answer in self._map(_check, self._shards, *several):
            self._find_result(answer)
        return theta, data

    def mean(self, function, theta, batch=ALL, *, width=None):
        """See `InMemory.mean`; computed where the rows lie."""
        start = perf_counter()
        self._read_again()
        theta = None if theta is None else to_host(theta)
        shares = self._find_shares(batch)
        shards = [self._shards[k] for k, _ in shares]
        # By position: as a keyword, Dask would keep a large θ under the one key "theta".
        several = ([value] * len(shares) for value in (function, theta, width or self.width))
        levels = [self._map(_answer, shards, [share for _, share in shares], *several)]
        while len(levels[-1]) > 1:
            sums = levels[-1]
            groups = [sums[a : a + BRANCHES] for a in range(0, len(sums), BRANCHES)]
            levels.append(self._map(_add, groups))
        answer = self._find_result(levels[-1][0])
        self._count(theta, shares, answer, perf_counter() - start)
        return (answer.value / answer.n_rows).astype(answer.dtype, copy=False)

    def parts(self, epoch):
        """The owner and the epoch: every batch is a mean."""
        yield self, epoch

    def report(self):
        """What the means have cost so far: a `Report`."""
        steps, sent, received, compute, seconds = self._costs.values()
        return Report(
            n_shards=len(self._shards),
            n_workers=len(self._list_workers()),
            steps=steps,
            bytes_sent=sent,
            bytes_received=received,
            compute_seconds=compute,
            communication_seconds=seconds - compute,
            loads=len(self._tokens),
        )

    def _load(self, pairs):
        """A future for each shard, spread evenly over the workers, once all are loaded."""
        # Not tied to a worker: Dask would wait for that one where all are replaced.
        futures = self._map(_load, pairs)
        for answer in self._map(_touch, futures):
            self._find_result(answer)
        return futures

    def _read_again(self):
        """Have shards read again that could not be when their worker was lost."""
        failed = [shard for shard in self._shards if shard.status == "error"]
        if failed:
            self.client.retry(failed)

    def _map(self, function, *arguments):
        # Each key is a group of its own. What looks like a large group with few inputs, Dask
        # gives to whoever is free, and moves its shards there.
        name = f"gdcourse{function.__name__.replace('_', '-')}-{uuid4()}"
        keys = [(f"{name}-{k}", 0) for k in range(len(arguments[0]))]
        # θ goes out at every step: it is no large graph that had better be scattered before.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            return self.client.map(function, *arguments, key=keys, pure=False)

    def _find_shares(self, batch):
        """Pairs of a shard's number and a slice or indices of those of its rows in the batch."""
        if isinstance(batch, slice):
            start, stop, _ = batch.indices(len(self))
            shares = [
                (k, slice(max(start, a) - a, min(stop, b) - a))
                for k, (a, b) in enumerate(pairwise(self._cuts.tolist()))
            ]
            return [(k, share) for k, share in shares if share.start < share.stop]
        chosen = batch.astype(np.int64)  # n need not fit in a smaller kind
        chosen = np.where(chosen < 0, chosen + len(self), chosen)
        of_shard = np.searchsorted(self._cuts, chosen, side="right") - 1
        places = np.argsort(of_shard, kind="stable")
        numbers, starts = np.unique(of_shard[places], return_index=True)
        shares = np.split(chosen[places], starts[1:])
        return [(k, rows - self._cuts[k]) for k, rows in zip(numbers.tolist(), shares, strict=True)]

    def _count(self, theta, shares, answer, seconds):
        theta_bytes = 0 if theta is None else theta.nbytes
        self._costs["steps"] += 1
        self._costs["sent"] += sum(theta_bytes + getattr(rows, "nbytes", 0) for _, rows in shares)
        self._costs["received"] += answer.value.nbytes * len(shares)
        self._costs["compute"] += max(answer.busy.values())
        self._costs["seconds"] += seconds
        self._tokens |= answer.tokens

    def _find_result(self, future):
        """The result of a future; an error where there are no workers to bring it."""
        gathering, alone_since = [], None
        while not self.client.sync(self._wait, future, gathering):
            if self._list_workers():
                alone_since = None
                continue
            alone_since = monotonic() if alone_since is None else alone_since
            if monotonic() - alone_since > self.timeout:
                self.client.loop.add_callback(gathering[0].cancel)
                raise RuntimeError(
                    f"there has been no worker for {self.timeout:g} seconds: start one, and "
                    "run this again"
                )
        try:
            return gathering[0].result()
        except (CancelledError, asyncio.CancelledError) as error:
            raise RuntimeError(
                "the scheduler is gone, or has forgotten the shards: make the DataParallel anew"
            ) from error
        except Exception:
            # The client would keep the error, and with its frames this owner and its shards.
            future.release()
            raise

    async def _wait(self, future, gathering):
        """Wait a little for a result; return whether it has come.

        `gathering` holds the one task that brings it. To cancel that task would fail all later
        ones too, since the client joins them to it.
        """
        if not gathering:
            gathering.append(asyncio.ensure_future(self.client.gather(future, asynchronous=True)))
        done, _ = await asyncio.wait(gathering, timeout=POLL_SECONDS)
        return bool(done)

    def _list_workers(self):
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
    """A sum over rows, over how many, of which type; who was busy for how long, on what shards."""

    value: np.ndarray
    n_rows: int
    dtype: np.dtype
    busy: dict
    tokens: set


def _load(pair):
    like = namespace().empty(0)
    arrays = (asarray(ShardedArray((shard,))[:], like) for shard in pair)
    try:
        return _Loaded(*validation.check_data(*arrays), uuid4().hex)
    except ValueError as error:
        raise ValueError(f"in shard {pair[0].path}: {error}") from None


def _touch(shard):
    """Return nothing: a task that waits until a shard is loaded."""


def _one_row(X):
    """A row that stands for those of X where only shapes and precisions are checked."""
    return np.zeros((1, *X.shape[1:]), X.dtype), np.zeros(1, X.dtype)


def _check(shard, objective, theta):
    objective.check(asarray(theta, shard.X), shard.X, shard.y)


def _answer(shard, share, function, theta, width):
    start = perf_counter()
    if not isinstance(share, slice):
        share = asarray(share, shard.X)
    X, y = take_rows(shard.X, share), take_rows(shard.y, share)
    theta = None if theta is None else asarray(theta, X)
    mean = to_host(InMemory(X, y, width).mean(function, theta))
    n_rows = X.shape[0]
    thread = f"{distributed.get_worker().address} {threading.get_ident()}"
    busy = {thread: perf_counter() - start}
    return _Answer(double(mean) * n_rows, n_rows, mean.dtype, busy, {shard.token})


def _add(answers):
    values, counts, dtypes, seconds, tokens = zip(*answers, strict=True)
    busy = {}
    for thread, spent in (pair for each in seconds for pair in each.items()):
        busy[thread] = busy.get(thread, 0.0) + spent
    return _Answer(sum(values[1:], values[0]), sum(counts), dtypes[0], busy, set().union(*tokens))

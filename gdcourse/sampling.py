"""Sampling schemes: which rows make up each mini-batch of each epoch.

A scheme is an immutable value. ``scheme.epochs(n_samples, rng)`` yields one `Epoch` after
another, without end. Rows are always drawn on the host by a NumPy generator, so that every array
library sees the same batches from the same seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise, repeat
from typing import Protocol

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import asarray, is_array_api_obj
from gdcourse.base.docs import parameters_of
from gdcourse.rows import own


@dataclass(frozen=True, eq=False)
class Epoch:
    """One order of the rows, cut into batches.

    Attributes
    ----------
    order : (m,) int array, or None
        Row indices in the order of use; None stands for all rows as they lie, and the batches
        are then slices, which copy nothing.
    bounds : (k + 1,) int array
        Batch j is ``order[bounds[j]:bounds[j + 1]]``, which holds a row at least.

    Examples
    --------
    >>> epoch = Epoch(order=np.array([2, 0, 1]), bounds=np.array([0, 2, 3]))
    >>> [batch.tolist() for batch in epoch]
    [[2, 0], [1]]
    """

    order: np.ndarray | None
    bounds: np.ndarray

    def __post_init__(self):
        bounds, order = validation.check_bounds(self.bounds, self.order)
        vars(self).update(bounds=bounds, order=order)

    def __len__(self):
        return len(self.bounds) - 1

    def __iter__(self):
        bounds = self.bounds.tolist()
        for start, stop in pairwise(bounds):
            yield slice(start, stop) if self.order is None else self.order[start:stop]

    def __getitem__(self, steps):
        """The part of the epoch with the batches of the slice `steps`, without a copy."""
        if not isinstance(steps, slice) or steps.step not in (None, 1):
            raise TypeError(f"an epoch takes a slice of neighbouring batches, got {steps!r}")
        start, stop, _ = steps.indices(len(self))
        return Epoch(self.order, self.bounds[start : max(start, stop) + 1])

    def reorder(self, order):
        """The same cuts of another order, which is not looked at: for schemes that are tested."""
        epoch = object.__new__(Epoch)
        vars(epoch).update(order=order, bounds=self.bounds, is_checked=True)
        return epoch

    is_checked = False  # whether its rows need no look

    @property
    def rows(self):
        """All rows in their order of use: indices, or a slice."""
        used = slice(self.bounds[0], self.bounds[-1])
        return used if self.order is None else self.order[used]

    @property
    def batch_sizes(self):
        """Samples in each batch, shape (k,)."""
        return np.diff(self.bounds)

    def to(self, array):
        """The same epoch with its order on the device of `array`, moved there in one copy."""
        on_host = isinstance(array, np.ndarray) or not is_array_api_obj(array)
        if on_host or not isinstance(self.order, np.ndarray):
            return self
        return Epoch(asarray(self.order, like=array), self.bounds)


class Sampler(Protocol):
    """What a descent asks of a sampling scheme; anything with this method will do."""

    def epochs(self, n_samples, rng) -> Iterator[Epoch]:
        """One pass over `n_samples` rows after another, without end, drawn with `rng`.

        A pass is an `Epoch`, or an iterable of batches: lists or arrays of row numbers.
        """


def as_epoch(n_samples, drawn):
    """What a sampler has drawn, an `Epoch` or an iterable of batches, as an `Epoch` of n rows."""
    if not isinstance(drawn, Epoch):
        batches = validation.check_batches(drawn)
        order = np.concatenate([np.empty(0, dtype=np.int64), *batches])
        drawn = Epoch(order, np.cumsum([0, *map(len, batches)]))
    if not drawn.is_checked:
        validation.check_within(n_samples, drawn.bounds, drawn.order)
    return drawn


@dataclass(frozen=True)
class _Scheme:
    """What the schemes share: checks before the first draw, and bounds of equal batches."""

    batch_size: int
    drop_last: bool = field(default=False, kw_only=True)

    def __post_init__(self):
        for name, value in vars(self).items():
            if isinstance(value, np.integer):  # unsigned and small ones count otherwise
                object.__setattr__(self, name, int(value))

    def epochs(self, n_samples, rng=None):
        """Epochs without end; `rng` is a Generator, a seed or None."""
        self._check(validation.check_count("n_samples", n_samples))
        return self._epochs(n_samples, validation.check_rng(rng))

    def _check(self, n_samples):
        validation.check_count("batch_size", self.batch_size, maximum=n_samples)
        validation.check_flag("drop_last", self.drop_last)

    def _bounds(self, n_samples):
        starts = np.arange(0, n_samples + 1, self.batch_size)
        short = starts[-1] < n_samples and not self.drop_last
        return np.append(starts, n_samples) if short else starts

    def _equal_bounds(self, n_samples):
        """As many batches as `_bounds`, all of the full size."""
        return self.batch_size * np.arange(len(self._bounds(n_samples)))


@dataclass(frozen=True)
class FullBatch:
    """All rows in one batch: full-batch gradient descent.

    Examples
    --------
    >>> [rows.indices(5) for rows in next(FullBatch().epochs(5))]  # a slice: nothing is copied
    [(0, 5, 1)]
    """

    def epochs(self, n_samples, rng=None):
        """Epochs of one batch, without end; nothing is drawn."""
        return repeat(Epoch(None, np.array([0, validation.check_count("n_samples", n_samples)])))


@dataclass(frozen=True)
class InOrder(_Scheme):
    """The rows as they lie, the same in every epoch: safe only where their order is random.

    Parameters
    ----------
    batch_size : int
        b, from 1 to the number of samples.
    drop_last : bool
        Whether to leave out a last batch that would be shorter than the others.

    Examples
    --------
    >>> epoch = next(InOrder(batch_size=2).epochs(5))
    >>> [list(range(5))[rows] for rows in epoch]
    [[0, 1], [2, 3], [4]]
    """

    def _epochs(self, n_samples, rng):
        return repeat(Epoch(None, self._bounds(n_samples)))


@parameters_of(InOrder)
@dataclass(frozen=True)
class ShuffledOnce(_Scheme):
    """One random order, the same in every epoch ("shuffle once").

    References
    ----------
    I. Safran and O. Shamir (2020), arXiv:1908.00045.

    Examples
    --------
    >>> epochs = ShuffledOnce(batch_size=3).epochs(6, rng=0)
    >>> [[batch.tolist() for batch in next(epochs)] for _ in range(2)]
    [[[3, 2, 5], [4, 0, 1]], [[3, 2, 5], [4, 0, 1]]]
    """

    def _epochs(self, n_samples, rng):
        return repeat(Epoch(rng.permutation(n_samples), self._bounds(n_samples)))


@parameters_of(InOrder)
@dataclass(frozen=True)
class Shuffled(_Scheme):
    """A new random order every epoch ("random reshuffling"): each row once an epoch.

    Examples
    --------
    >>> epoch = next(Shuffled(batch_size=2).epochs(5, rng=0))
    >>> [batch.tolist() for batch in epoch]
    [[2, 4], [3, 0], [1]]

    References
    ----------
    K. Mishchenko, A. Khaled and P. Richtárik (2020), arXiv:2006.05988.
    """

    def _epochs(self, n_samples, rng):
        epoch = Epoch(None, self._bounds(n_samples))
        while True:
            yield epoch.reorder(self.draw_order(epoch, n_samples, rng))

    def draw_order(self, epoch, n_samples, rng):
        """The rows of one epoch, which owes nothing to the others."""
        return rng.permutation(n_samples)


@dataclass(frozen=True)
class WithReplacement(_Scheme):
    """Every batch drawn afresh from all rows, with replacement: independent batches.

    An epoch has as many batches as one of `Shuffled`, all of them of exactly `batch_size`. A
    share of about 1/e of the rows is left out of each epoch.

    Parameters
    ----------
    batch_size : int
        b, from 1 to the number of samples; every batch has exactly as many.
    drop_last : bool
        Whether an epoch has ⌊n/b⌋ batches, or ⌈n/b⌉.

    References
    ----------
    H. Robbins and S. Monro (1951), doi:10.1214/aoms/1177729586.

    Examples
    --------
    >>> [batch.tolist() for batch in next(WithReplacement(batch_size=3).epochs(6, rng=0))]
    [[5, 3, 3], [1, 1, 0]]
    """

    def _epochs(self, n_samples, rng):
        epoch = Epoch(None, self._equal_bounds(n_samples))
        while True:
            yield epoch.reorder(self.draw_order(epoch, n_samples, rng))

    def draw_order(self, epoch, n_samples, rng):
        """The rows of one epoch, which owes nothing to the others."""
        return rng.integers(n_samples, size=epoch.bounds[-1])


@parameters_of(InOrder)
@dataclass(frozen=True)
class BlockShuffled(_Scheme):
    """Shuffles blocks of neighbouring rows, then rows inside a buffer of blocks.

    For data on disk: only `buffer_blocks` blocks have to be in memory at once, and each row
    is used once an epoch.

    Parameters
    ----------
    block_size : int
        Neighbouring rows that are read together.
    buffer_blocks : int
        Blocks that are shuffled together.

    References
    ----------
    L. Xu et al. (2022), "CorgiPile", doi:10.1145/3514221.3526150.

    Examples
    --------
    >>> scheme = BlockShuffled(batch_size=4, block_size=2, buffer_blocks=2)
    >>> [batch.tolist() for batch in next(scheme.epochs(8, rng=0))]  # two blocks at a time
    [[1, 0, 5, 4], [3, 7, 2, 6]]
    """

    block_size: int
    buffer_blocks: int = 8

    def _check(self, n_samples):
        super()._check(n_samples)
        validation.check_count("block_size", self.block_size, maximum=n_samples)
        validation.check_count("buffer_blocks", self.buffer_blocks)

    def _epochs(self, n_samples, rng):
        bounds = self._bounds(n_samples)
        within = np.arange(self.block_size)
        n_blocks = -(-n_samples // self.block_size)
        while True:
            chosen = rng.permutation(n_blocks)
            order = np.empty(n_samples, dtype=np.int64)  # filled in place: n can be large
            filled = 0
            for i in range(0, n_blocks, self.buffer_blocks):
                starts = self.block_size * chosen[i : i + self.buffer_blocks, None]
                buffer = (starts + within).reshape(-1)
                buffer = rng.permutation(buffer[buffer < n_samples])
                order[filled : filled + len(buffer)] = buffer
                filled += len(buffer)
            yield Epoch(order, bounds)


@dataclass(frozen=True, eq=False)
class _ByClass(_Scheme):
    """What the schemes that look at the labels share."""

    labels: np.ndarray = field(repr=False)

    def _check(self, n_samples):
        super()._check(n_samples)
        validation.check_labels(self.labels, n_samples)

    def _classes(self, n_samples):
        """The row indices of each class."""
        codes = validation.check_labels(self.labels, n_samples)
        return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])


@parameters_of(InOrder)
@dataclass(frozen=True, eq=False)
class Stratified(_ByClass):
    """Every batch holds the classes in their proportions; each row once an epoch.

    The classes are laid evenly around a circle, each row of a class at random among the places
    of its class, and the circle is opened at a random point. A row is therefore equally likely
    at every place: the gradient of a batch is unbiased, and its variance between the classes
    is gone. Where the batch size divides the classes, every batch has exactly their shares.

    Parameters
    ----------
    labels : (n_samples,) array
        The class of each row, of any kind and library, none missing.

    Examples
    --------
    >>> labels = ["a", "a", "a", "a", "b", "b"]
    >>> [batch.tolist() for batch in next(Stratified(3, labels).epochs(6, rng=0))]
    [[2, 0, 5], [1, 3, 4]]
    """

    def _epochs(self, n_samples, rng):
        bounds = self._bounds(n_samples)
        classes = self._classes(n_samples)
        sizes = np.array([len(members) for members in classes])
        ranks = np.arange(len(sizes))
        # Classes of 100, 60 and 40 rows are 20 rounds of 5, 3 and 2. Offsets between 0 and 1
        # keep rare classes of equal size from standing side by side.
        rounds = np.gcd.reduce(sizes)
        each = sizes // rounds
        places = [
            (np.arange(k) + (c + 0.5) / len(each)) / k for c, k in zip(ranks, each, strict=True)
        ]
        pattern = np.repeat(ranks, each)[np.argsort(np.concatenate(places), kind="stable")]
        circle = np.empty(n_samples, dtype=np.int64)  # the number of a member at every place
        circle[np.argsort(np.tile(pattern, rounds), kind="stable")] = np.arange(n_samples)
        while True:
            members = np.concatenate([rng.permutation(rows_of) for rows_of in classes])
            yield Epoch(np.roll(members[circle], rng.integers(n_samples)), bounds)


@parameters_of(WithReplacement)
@dataclass(frozen=True, eq=False)
class Balanced(_ByClass):
    """Every batch holds the same share of every class, rare classes reused.

    The gradient of a batch is biased for J: it is the gradient of the objective in which every
    class weighs the same. A batch that the number of classes does not divide gives its spare
    places to the classes in turn. An epoch has as many batches as one of `Shuffled`, all of
    exactly `batch_size`; a class that runs out is shuffled again and reused.

    Parameters
    ----------
    labels : (n_samples,) array
        The class of each row, of any kind and library, none missing.

    Examples
    --------
    >>> labels = ["a", "a", "a", "a", "a", "b"]  # row 5 stands for its class in every batch
    >>> [batch.tolist() for batch in next(Balanced(4, labels).epochs(6, rng=0))]
    [[5, 2, 5, 4], [5, 3, 5, 0]]
    """

    def _epochs(self, n_samples, rng):
        bounds = self._equal_bounds(n_samples)
        classes = self._classes(n_samples)
        waiting = [np.empty(0, dtype=np.int64) for _ in classes]
        while True:
            turns = (np.arange(bounds[-1]) + rng.integers(len(classes))) % len(classes)
            order = np.empty(bounds[-1], dtype=np.int64)
            for c, members in enumerate(classes):
                places = np.flatnonzero(turns == c)
                rounds = -(-max(0, len(places) - len(waiting[c])) // len(members))
                again = [rng.permutation(members) for _ in range(rounds)]
                waiting[c] = np.concatenate([waiting[c], *again])
                order[places], waiting[c] = np.split(waiting[c], [len(places)])
            yield Epoch(order, bounds)


def shuffled_batches(X, y, batch_size, rng=None):
    """The (X_batch, y_batch) pairs of one epoch in a random order, each row once.

    The last batch can be shorter.

    Parameters
    ----------
    X : (n, d) array
        Features, one sample a row.
    y : (n,) array
        Targets or class labels, one for each row of X.
    batch_size : int
        b, from 1 to n.
    rng : numpy.random.Generator, seed or None
        Decides the order: the same seed, the same batches.

    Returns
    -------
    iterator of (X_batch, y_batch) pairs

    Examples
    --------
    >>> X, y = np.arange(10.0).reshape(5, 2), np.arange(5.0)
    >>> [y_batch.tolist() for _, y_batch in shuffled_batches(X, y, 2, rng=0)]
    [[2.0, 4.0], [3.0, 0.0], [1.0]]
    """
    data = own(X, y)
    return map(data.take, next(Shuffled(batch_size).epochs(len(data), rng)).to(data.X))


@parameters_of(shuffled_batches)
def sampled_batches(X, y, batch_size, n_batches, rng=None):
    """`n_batches` (X_batch, y_batch) pairs, each drawn with replacement.

    Parameters
    ----------
    n_batches : int
        How many batches to draw.

    Returns
    -------
    iterator of (X_batch, y_batch) pairs

    Examples
    --------
    >>> X, y = np.arange(10.0).reshape(5, 2), np.arange(5.0)
    >>> [y_batch.tolist() for _, y_batch in sampled_batches(X, y, 2, n_batches=2, rng=0)]
    [[4.0, 3.0], [2.0, 1.0]]
    """
    data = own(X, y)
    size = validation.check_count("batch_size", batch_size, maximum=len(data))
    n_batches = validation.check_count("n_batches", n_batches)
    return map(data.take, draw_rows(len(data), size, n_batches, validation.check_rng(rng), data.X))


def draw_rows(n_samples, batch_size, n_batches, generator, like):
    """Batches drawn with replacement one by one, on the device of the array `like`."""
    for _ in range(n_batches):
        yield from Epoch(generator.integers(n_samples, size=batch_size), [0, batch_size]).to(like)


@parameters_of(shuffled_batches)
def stratified_batches(X, y, batch_size, rng=None):
    """The (X_batch, y_batch) pairs of one epoch, each with the classes of `y` in proportion.

    Every row is used once, and the last batch can be shorter; see `Stratified`.

    Parameters
    ----------
    y : (n,) array
        Class labels, one for each row of X.

    Returns
    -------
    iterator of (X_batch, y_batch) pairs

    Examples
    --------
    >>> X, y = np.arange(6.0)[:, None], [0, 0, 0, 0, 1, 1]
    >>> [y_batch.tolist() for _, y_batch in stratified_batches(X, y, 3, rng=0)]
    [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    """
    data = own(X, y)
    epochs = Stratified(batch_size, y).epochs(len(data), rng)
    return map(data.take, next(epochs).to(data.X))

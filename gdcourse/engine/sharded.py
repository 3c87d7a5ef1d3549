"""Data larger than memory: a directory of .npy shards that is read a piece at a time.

The names of the files carry their number, so a missing shard is noticed; their headers carry
their shapes, so a shard that was cut short is noticed too.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from tokenize import TokenError
from typing import NamedTuple

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import cut_blocks, take_rows, to_host
from gdcourse.rows import ALL, InMemory, count_rows, cut_batch, weighted_mean
from gdcourse.sampling import Epoch

MOST_SHARDS = 99_999  # whose numbers have the five digits of their names
PIECE = 2**24  # bytes of X in memory at a time, and at most as many mapped


class Shard(NamedTuple):
    """One .npy file: its path, and what its header says."""

    path: Path
    shape: tuple
    dtype: np.dtype
    offset: int

    def read(self, start=0, stop=None):
        """Rows start..stop as a memory map of these rows alone, or an error that names the file."""
        stop = self.shape[0] if stop is None else stop
        row = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        complete = self.offset + row * self.shape[0]
        try:
            size = self.path.stat().st_size
            if size != complete:
                fault = "is cut short" if size < complete else "does not end where it says"
                raise ValueError(
                    f"shard {self.path} {fault}: its header promises {complete} bytes, "
                    f"and it has {size}; write it again"
                )
            shape = (stop - start, *self.shape[1:])
            return np.memmap(self.path, self.dtype, "r", self.offset + start * row, shape)
        except FileNotFoundError:
            raise _missing(self.path) from None


def _missing(path):
    return FileNotFoundError(f"shard {path} is missing: put it back, or write the shards again")


def _shard(path):
    """The shard in a file, from its header."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                version, np.lib.format.read_array_header_2_0
            )
            shape, columns_first, dtype = read(file)
            shard = Shard(path, shape, dtype, file.tell())
    except FileNotFoundError:
        raise _missing(path) from None
    except (ValueError, SyntaxError, TokenError) as error:  # as NumPy has them for a bad byte
        raise ValueError(f"shard {path} has no whole .npy header: write it again") from error
    if not shape:
        raise ValueError(f"shard {path} holds a single number: write rows")
    if columns_first and len(shape) > 1:
        raise ValueError(f"shard {path} lies column by column: write its rows one after another")
    if dtype not in (np.float32, np.float64) or not dtype.isnative:
        raise TypeError(f"shard {path} must hold float32 or float64, got {dtype.str}")
    return shard


@dataclass(frozen=True)
class ShardedArray:
    """An array whose rows lie one after another in .npy files, and not in memory.

    Rows that are asked for come as a NumPy array: ``X[start:stop]``, ``X[[3, 1]]``, ``X[0]``,
    and ``np.asarray(X)`` for all of them. The files are mapped for each read and let go after
    it, so that what has been read does not pile up in memory.

    Attributes
    ----------
    shards : tuple of Shard
        The files, in the order of the rows.
    shape, dtype, ndim
        As of an array in memory.
    """

    shards: tuple

    @cached_property
    def shape(self):
        return (sum(shard.shape[0] for shard in self.shards), *self.shards[0].shape[1:])

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def dtype(self):
        return self.shards[0].dtype

    @property
    def row_bytes(self):
        return self.dtype.itemsize * int(np.prod(self.shape[1:]))

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("the rows of a ShardedArray can only be copied into memory")
        return np.asarray(self[:], dtype)

    def _refuse(self, *_):
        raise TypeError(
            "the rows of a ShardedArray are on disk: hand it to a function that reads them a piece "
            "at a time, such as gd.evaluate, or take some with X[start:stop]"
        )

    # What a formula asks first of an array in memory; NumPy would load all rows for it.
    __matmul__ = __mul__ = __rmatmul__ = _refuse
    __array_ufunc__ = None
    mT = property(_refuse)  # noqa: N815 (the standard's name)

    def __getitem__(self, chosen):
        if isinstance(chosen, tuple):
            if len(chosen) != 2 or chosen[1] is not Ellipsis:
                raise TypeError("a ShardedArray gives whole rows: write X[rows], then take columns")
            chosen = chosen[0]
        if isinstance(chosen, slice):
            start, stop, stride = chosen.indices(len(self))
            if stride != 1:
                return self._gather(np.arange(start, stop, stride))
            return self._read(start, max(start, stop))
        return self.take(chosen)

    def take(self, chosen, axis=0):
        """Rows by their numbers, as ``take`` of an array along its first axis."""
        if axis != 0:
            raise ValueError(f"a ShardedArray gives whole rows: axis must be 0, got {axis}")
        chosen = np.asarray(chosen)
        if not chosen.size:
            return np.empty((0, *self.shape[1:]), self.dtype)
        if chosen.ndim > 1 or not np.issubdtype(chosen.dtype, np.integer):
            raise TypeError("rows must be a slice, or whole numbers along one axis")
        if chosen.min() < -len(self) or chosen.max() >= len(self):
            row = chosen.max() if chosen.max() >= len(self) else chosen.min()
            raise IndexError(f"row {row} is out of bounds for {len(self)} rows")
        chosen = chosen.astype(np.int64)  # n need not fit in a smaller kind
        gathered = self._gather(np.where(chosen < 0, chosen + len(self), chosen).reshape(-1))
        return gathered if chosen.ndim else gathered[0]

    @cached_property
    def _windows(self):
        """Cuts of the rows into windows of at most `PIECE` bytes, none across two shards.

        The first row of each window and, at the end, n; and for each its shard and its first
        row there.
        """
        size = max(1, PIECE // self.row_bytes)
        cuts, places, first = [], [], 0
        for shard in self.shards:
            for part in cut_blocks(shard.shape[0], size):
                cuts.append(first + part.start)
                places.append((shard, part.start))
            first += shard.shape[0]
        return np.array([*cuts, first]), places

    def _window(self, k):
        """The rows of window k, mapped."""
        cuts, places = self._windows
        shard, start = places[k]
        return shard.read(start, start + int(cuts[k + 1] - cuts[k]))

    def _read(self, start, stop):
        """Neighbouring rows."""
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        cuts, _ = self._windows
        k = np.searchsorted(cuts, start, side="right") - 1
        while start < stop:
            end = min(stop, cuts[k + 1])
            out[len(out) - (stop - start) :][: end - start] = self._window(k)[
                start - cuts[k] : end - cuts[k]
            ]
            start, k = end, k + 1
        return out

    def _gather(self, chosen):
        """Any rows: read in the order in which they lie, and put in the order asked for."""
        out = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        by_place = np.argsort(chosen)
        sorted_rows = chosen[by_place]
        cuts, _ = self._windows
        ends = np.searchsorted(sorted_rows, cuts)
        for k in np.flatnonzero(np.diff(ends)):
            part = slice(ends[k], ends[k + 1])
            out[by_place[part]] = self._window(k).take(sorted_rows[part] - cuts[k], axis=0)
        return out


def write_shards(directory, X, y, rows_per_shard):
    """Write X and y as shards of `rows_per_shard` rows, the last one perhaps shorter.

    ``X-00000-of-00004.npy`` and ``y-00000-of-00004.npy`` hold the first rows. One shard is in
    memory at a time, so X may be a memory map or a `ShardedArray`.

    Parameters
    ----------
    directory : path
        Made where there is none.
    X : (n, d) array
        Features, one sample a row.
    y : (n,) array
        Targets or class labels, one for each row of X.
    rows_per_shard : int
        Rows of each file, 1 or more.

    Raises
    ------
    FileExistsError
        Where the directory holds shards already.
    ValueError, TypeError
        For shapes that disagree, no rows, more than 99999 shards, or values that are not finite
        or wider than double precision. What was written before the value was met is removed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as directory:
    ...     write_shards(directory, [[1.0], [2.0], [3.0]], [1.0, 2.0, 3.0], rows_per_shard=2)
    ...     X, y = open_shards(directory)
    ...     print(X.shape, X[[2, 0]].tolist(), y[1:].tolist())
    (3, 1) [[3.0], [1.0]] [2.0, 3.0]
    """
    X, y = (
        array if isinstance(array, ShardedArray) else validation.as_array(name, array)
        for name, array in (("X", X), ("y", y))
    )
    _check_shapes(X, y)
    size = validation.check_count("rows_per_shard", rows_per_shard)
    n = X.shape[0]
    if n > MOST_SHARDS * size:
        raise ValueError(f"rows_per_shard must be at least {-(-n // MOST_SHARDS)}, got {size}")
    directory = validation.check_path("directory", directory)
    directory.mkdir(parents=True, exist_ok=True)
    if _files(directory, "X") or _files(directory, "y"):
        raise _occupied(directory)
    count = -(-n // size)
    written = []
    try:
        for k, part in enumerate(cut_blocks(n, size)):
            pair = validation.check_data(to_host(take_rows(X, part)), to_host(take_rows(y, part)))
            for name, array in zip("Xy", pair, strict=True):
                _save(directory / _name(name, k, count), _storable(name, array), written)
    except BaseException:
        for path in written:
            with suppress(FileNotFoundError):
                path.unlink()
        raise


def _occupied(directory):
    return FileExistsError(f"{directory} holds shards already: choose another directory")


def _save(path, array, written):
    """Write a shard that nobody else has begun, and add it to those written."""
    try:
        with path.open("xb") as file:
            written.append(path)
            np.save(file, array)
    except FileExistsError:
        raise _occupied(path.parent) from None
    except OSError as error:  # of a full disk, NumPy tells neither the file nor the cause
        error.add_note(f"while {path} was written; the shards are removed")
        raise


def _storable(name, array):
    """Single or double precision as this machine has it, row after row; half becomes single."""
    dtype = np.result_type(array.dtype, np.float32)
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must fit in float32 or float64, got {array.dtype}: round it first")
    return np.ascontiguousarray(array, dtype)


def open_shards(directory):
    """The X and the y of `write_shards`, without reading their rows.

    Hand both to `descend` or `updates` in place of arrays. The shards may differ in length, so
    files of the same names that another program wrote will do. While a run reads them, put a new
    file in the place of an old one by renaming it: the system ends a process under which a
    mapped file is cut short.

    Parameters
    ----------
    directory : path
        A folder of shards.

    Returns
    -------
    X : (n, d) ShardedArray
    y : (n,) ShardedArray
        ``np.asarray(y)`` has the n values in memory.

    Raises
    ------
    FileNotFoundError
        For a directory without shards, and for a missing shard, by its name.
    ValueError, TypeError
        For a shard that is cut short, or that disagrees with the others.
    """
    directory = validation.check_path("directory", directory)
    found = _files(directory, "X") + _files(directory, "y")
    if not found:
        raise FileNotFoundError(f"no shards X-00000-of-... in {directory}: see write_shards")
    counts = {max(1, int(path.stem[-5:])) for path in found}
    if len(counts) > 1:
        raise ValueError(f"{directory} holds sets of {sorted(counts)} shards: keep one of them")
    numbers = range(counts.pop())
    X, y = (
        ShardedArray(tuple(_shard(directory / _name(name, k, len(numbers))) for k in numbers))
        for name in "Xy"
    )
    for of_X, of_y in zip(X.shards, y.shards, strict=True):
        for shard, shape in (of_X, (of_X.shape[0], *X.shape[1:])), (of_y, of_X.shape[:1]):
            if shard.shape != shape or shard.dtype != X.dtype:
                raise ValueError(
                    f"shard {shard.path} must have shape {shape} and dtype {X.dtype} to match the "
                    f"others, got {shard.shape} and {shard.dtype}"
                )
            shard.read(0, 0)
    _check_shapes(X, y)
    return X, y


class Sharded(InMemory):
    """Rows in shards, of which a few pieces are in memory at a time, read ahead."""

    def __init__(self, X, y, width=1):
        self.X, self.y, self.width = X, y, width
        self.block = max(1, PIECE // X.row_bytes)

    @classmethod
    def open(cls, X, y, *, look=True):
        data = cls(X, _match(X, y))
        if look:
            with closing(data.pieces()) as pieces:
                for pair in pieces:
                    validation.check_data(*pair)
        return data

    @classmethod
    def open_problem(cls, objective, theta, X, y, *, look=True):
        data = cls(X, _match(X, y), objective.width)
        with closing(data.pieces()) as pieces:
            for X_piece, y_piece in pieces:
                theta, *pair = validation.check_problem(theta, X_piece, y_piece, look=look)
                objective.check(theta, *pair)
        return theta, data

    def mean(self, function, theta, batch=ALL, *, width=None):
        """See `InMemory.mean`; a piece is read while the one before is worked on."""

        def mean_of_piece(theta, X, y):
            return InMemory(X, y, width or self.width).mean(function, theta)

        with closing(self.pieces(batch)) as pieces:
            return weighted_mean(mean_of_piece, theta, pieces)

    def pieces(self, batch=ALL, size=None):
        """The rows of `batch` in pairs (X, y), read ahead."""
        size = min(size or self.block, self.block)
        return self._read_ahead(cut_batch(batch, len(self), size))

    def parts(self, epoch):
        """Pairs of an owner and a part of the epoch: its rows in memory, or one large batch."""
        parts = _fit_batches(epoch, self.block)
        fitting = (part.rows for part in parts if count_rows(part.rows, len(self)) <= self.block)
        with closing(self._read_ahead(fitting)) as ahead:
            for part in parts:
                if count_rows(part.rows, len(self)) > self.block:
                    yield self, part
                else:
                    near = InMemory(*next(ahead), self.width)
                    yield near, Epoch(None, part.bounds - part.bounds[0])

    def _read_ahead(self, batches):
        """(X, y) for each batch; a thread reads the next one while the caller has this one."""
        with ThreadPoolExecutor(1, thread_name_prefix="gdcourse-reader") as reader:
            coming = None
            for batch in batches:
                ready, coming = coming, reader.submit(self.take, batch)
                if ready is not None:
                    yield ready.result()
            if coming is not None:
                yield coming.result()


ShardedArray.owner = Sharded


def _fit_batches(epoch, most):
    """An epoch cut into parts of at most `most` rows, and single batches that are larger."""
    cuts = [0]
    while cuts[-1] < len(epoch):
        fitting = np.searchsorted(epoch.bounds, epoch.bounds[cuts[-1]] + most, side="right") - 1
        cuts.append(max(cuts[-1] + 1, int(fitting)))
    return [epoch[a:b] for a, b in pairwise(cuts)]


def _match(X, y):
    """`y` for the rows of X: shards, or an array in memory in the precision of X."""
    if isinstance(y, ShardedArray):
        _check_shapes(X, y)
        return y
    return validation.check_data(np.broadcast_to(X.dtype.type(0), X.shape), y, look=False)[1]


def _check_shapes(X, y):
    """Shapes that agree, as `validation.check_data` has them, without a look at the values."""
    X, y = (np.broadcast_to(0.0, array.shape) for array in (X, y))
    validation.check_data(X, y, look=False)


def _name(name, k, count):
    return f"{name}-{k:05d}-of-{count:05d}.npy"


def _files(directory, name):
    pattern = rf"{name}-\d{{5}}-of-\d{{5}}\.npy"
    return [path for path in directory.glob("*.npy") if re.fullmatch(pattern, path.name)]

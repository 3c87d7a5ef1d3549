"""A run on disk: written whole or not at all, and continued only by the call that made it.

A checkpoint is a NumPy archive without pickled objects: ``theta``, one array for each column of
the history, and ``about``, a JSON text that says which call made it and where that call stands.
The order of the rows is not in it: a run that goes on draws it again from the generator's first
state and passes over what is done. That is right for any sampling scheme, and costs little.
"""

import hashlib
import io
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gdcourse.backend import asarray, rows, to_host
from gdcourse.history import COLUMNS, History

__all__ = ["Checkpoint", "Saved"]

FORMAT = 1
ROWS = 64  # of the last batch, compared to the bit: the same rows in another order show there
CURE = "give another path, or remove the file to start afresh"


class Saved(NamedTuple):
    """What a checkpoint holds: θ on the host, the records, and where the run stands.

    Attributes
    ----------
    theta : array
    records : list of tuple
        A row of the history each.
    place : dict
        Steps and samples so far, the state of the generator, and digests of the last batch.
    """

    theta: np.ndarray
    records: list
    place: dict


@dataclass
class Checkpoint:
    """The file of one call.

    Attributes
    ----------
    path : Path
    generator : numpy.random.Generator
        What the batches are drawn with, in its first state.
    call : dict
        What has to be the same whenever the call is made again.
    stamp : tuple or None
        Which file this run has read or written last; None where there was none.
    """

    path: Path
    generator: np.random.Generator
    call: dict
    stamp: tuple | None = None

    @classmethod
    def of(cls, path, theta_init, X, record_every, generator):
        """The file at `path`, for a call with these arguments; it is not read yet.

        Raises
        ------
        TypeError, ValueError, FileNotFoundError
            For what is no path, for a folder in its place, and where its folder is missing.
        """
        theta = to_host(theta_init)
        call = {
            "format": FORMAT,
            "the shape of X": list(X.shape),
            "the dtype of theta": theta.dtype.str,
            "the shape of theta": list(theta.shape),
            "theta_init": _digest(theta),
            "record_every": record_every,
            "the first state of rng": _state(generator),
        }
        return cls(_checked(path), generator, call)

    def read(self, *, seeded):
        """What the file holds as `Saved`, or None where there is no file.

        A generator without a seed of the caller's own takes the first state of the run.

        Raises
        ------
        ValueError
            Where the file is damaged, is no checkpoint, or was made by another call.
        """
        self.stamp = _stamp(self.path)
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                theta = file["theta"]
                records = list(zip(*(file[name].tolist() for name in COLUMNS), strict=True))
                about = json.loads(str(file["about"]))
            call, place = about["call"], about["place"]
        except MemoryError:
            raise
        except Exception as error:  # zipfile, NumPy and json each have their own for a bad byte
            raise ValueError(
                f"the checkpoint {self.path} is damaged, or is none ({error}): {CURE}"
            ) from error
        if not seeded:
            with suppress(ValueError):  # of another kind of generator; told as such just below
                first = call["the first state of rng"]
                self.generator.bit_generator.state = json.loads(first)
                self.call["the first state of rng"] = first
        self._same(call, self.call)
        return Saved(theta, records, place)

    def place(self, parts, step, samples_seen, part, theta, X, y):
        """Where a run stands: the parts of its epochs that are done, and the last of them."""
        return {
            "parts": parts,
            "the number of steps": step,
            "the number of samples": samples_seen,
            "the state of rng": _state(self.generator),
            "the order of the rows": _order(part),
            "a value in the last batch": _last_rows(part, theta, X, y),
        }

    def compare(self, saved, place, loss, norm):
        """Raise ValueError unless a run that was brought back stands where it was left.

        Loss and norm may differ by rounding, on the scale of where the run began: another
        number of threads adds in another order.
        """
        self._same(saved.place, place)
        measured = np.array([record[4:6] for record in (saved.records[0], saved.records[-1])])
        scale = np.max(np.abs(measured), initial=0, where=np.isfinite(measured))
        allowed = 1000 * np.finfo(saved.theta.dtype).eps * scale
        for name, then, now in zip(COLUMNS[4:6], measured[1], (loss, norm), strict=True):
            if not np.isclose(now, then, rtol=0, atol=allowed, equal_nan=True):
                raise self.foreign(
                    f"at its theta, {name} was {then} and is {now}; "
                    "the data or the objective are others"
                )

    def write(self, theta, records, place):
        """Put a run in the file, which keeps the one before until this one is complete.

        Raises
        ------
        ValueError
            Where somebody else has written the file in the meantime; it is left as it is.
        """
        about = json.dumps({"call": self.call, "place": place})
        columns = History.from_records(records, diverged=False).asdict()
        # A name of its own: what a kill left behind, or another process writes, is not in the way.
        temporary = self.path.with_name(f"{self.path.name}.{os.urandom(4).hex()}.tmp")
        try:
            with open(temporary, "xb") as file:
                np.savez(file, theta=to_host(theta), about=np.array(about), **columns)
                file.flush()
                os.fsync(file.fileno())
            if _stamp(self.path) not in (None, self.stamp):
                raise ValueError(
                    f"the checkpoint {self.path} was written by another program during this run, "
                    "and is left as it is: give every run a path of its own"
                )
            os.replace(temporary, self.path)
            self.stamp = _stamp(self.path)
        except OSError as error:
            error.add_note(f"while the checkpoint {self.path} was written, which is as it was")
            raise
        finally:
            temporary.unlink(missing_ok=True)
        _settle(self.path.parent)

    def foreign(self, why):
        """The error for a file that another call made."""
        return ValueError(f"the checkpoint {self.path} was made by another call: {why}; {CURE}")

    def _same(self, then, now):
        for name in {**now, **then}:
            if then.get(name) != now.get(name):
                raise self.foreign(_difference(name, then.get(name), now.get(name)))


def _checked(path):
    try:
        path = Path(path)
    except TypeError:
        raise TypeError(f"checkpoint must be a path, got {path!r}") from None
    path = Path(os.path.realpath(path))  # what a link leads to, wherever the run goes meanwhile
    if path.is_dir():
        raise ValueError(f"checkpoint must be the path of a file, but {path} is a folder")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"checkpoint: there is no folder {path.parent}; make it first")
    return path


def _stamp(path):
    """What tells a file from another one under its name; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _settle(folder):
    """Have the new name of a file outlive a loss of power, where a folder can be flushed."""
    with suppress(AttributeError, OSError):  # no O_DIRECTORY on Windows; no fsync on some shares
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _state(generator):
    """The state of a generator as a text."""
    return json.dumps(generator.bit_generator.state, default=lambda value: value.tolist())


def _order(part):
    """A digest of which rows a part of an epoch takes, and in what batches."""
    if part is None:
        return None
    taken = slice(part.bounds[0], part.bounds[-1])
    return _digest(part.bounds, *(() if part.order is None else (part.order[taken],)))


def _last_rows(part, theta, X, y):
    """A digest of the data in the last batch of a part: of its first rows, where it is large."""
    if part is None or len(part) == 0:
        return None
    start, stop = part.bounds[-2:].tolist()
    last = slice(start, min(stop, start + ROWS))
    batch = last if part.order is None else asarray(part.order[last], like=theta)
    return _digest(rows(X, batch), rows(y, batch))


def _digest(*arrays):
    """A short text that differs where a dtype, a shape or a bit of the arrays does."""
    digest = hashlib.sha256()
    for array in map(to_host, arrays):
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _difference(name, then, now):
    told = all(len(str(value)) < 32 for value in (then, now))
    return f"{name} was {then} and is {now}" if told else f"{name} was another"

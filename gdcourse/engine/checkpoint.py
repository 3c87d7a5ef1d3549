"""A run on disk: written whole or not at all, and continued only by the call that made it.

A checkpoint is a NumPy archive without pickled objects: ``theta`` and ``velocity``, one array
for each column of the history, and ``about``, a JSON text with the arguments of the call and the
state of its generator. The order of the rows is not in it: a run that goes on draws it again from
the generator's first state and passes over what is done, which is right for any sampling scheme.
"""

import errno
import glob
import hashlib
import io
import json
import operator
import os
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import asarray, is_array_api_obj, to_host
from gdcourse.descent import State
from gdcourse.history import Record

CURE = "give another path, or remove the file to start afresh"


class Checkpoint:
    """The file of one call.

    Parameters
    ----------
    path : path
    generator : numpy.random.Generator
        What the batches are drawn with, in its first state.
    seeded : bool
        Whether the caller chose that state; otherwise it is taken from the file.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        For what is no path, for a folder or a device in its place, and where its folder is
        missing.
    """

    def __init__(self, path, generator, seeded):
        self.path = _check_path(path)
        self.generator = generator
        self.seeded = seeded
        self.call = {}
        self.stamp = None  # of the file that this run has read or written last
        self.saved_rng = None

    def know(self, rule, X, theta_init, options):
        """Describe the arguments that have to be the same whenever the call is made again."""
        theta = to_host(theta_init)
        for name, array in ("X", X), ("theta", theta):
            self.call[f"shape of {name}"] = str(tuple(array.shape))
            self.call[f"dtype of {name}"] = str(array.dtype).split(".")[-1]  # in every library
        self.call["theta_init"] = digest(theta.tobytes())
        arguments = rule._asdict() | options
        arguments["learning_rate"] = arguments.pop("schedule")
        self.call |= {name: describe(value) for name, value in arguments.items()}
        self.call["rng"] = describe_generator(self.generator)

    def read(self, state):
        """The saved state and the records of its history, or None where there is no file.

        Raises
        ------
        ValueError
            Where the file is damaged, is no checkpoint, or was made by another call.
        """
        self.stamp = _find_stamp(self.path)
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            arrays, records, then, self.saved_rng = _parse(content)
            if not self.seeded:
                with suppress(ValueError):  # of another kind of generator: told as such below
                    self.generator.bit_generator.state = json.loads(then["rng"])
                    self.call["rng"] = describe_generator(self.generator)
        except MemoryError as error:
            error.add_note(f"while the checkpoint {self.path} was read")
            raise
        except Exception as error:  # zipfile, NumPy and json each have their own for a bad byte
            raise ValueError(
                f"the checkpoint {self.path} is damaged, or is no checkpoint ({error}): {CURE}"
            ) from error
        for name in {**self.call, **then}:
            if then.get(name) != self.call.get(name):
                raise self.refuse(tell_difference(name, then.get(name), self.call.get(name)))
        theta, velocity = (
            asarray(array, like=state.theta) if array.size else 0.0 for array in arrays
        )
        return State(records[-1].step, records[-1].samples_seen, theta, velocity), records

    def compare_loss(self, records, loss):
        """Raise ValueError where θ does not have the loss that was recorded: the data differ.

        It may differ by rounding, on the scale of where the run began: another number of threads
        adds in another order.
        """
        then, now = records[-1].loss, float(loss)
        scale = np.nan_to_num(abs(records[0].loss), posinf=0.0)
        allowed = 1000 * np.finfo(loss.dtype).eps * max(scale, abs(then))
        if not np.isclose(now, then, rtol=0, atol=allowed, equal_nan=True):
            raise self.refuse(
                f"X or y differ, for the loss at the saved theta was {then} and is {now}"
            )

    def compare_rates(self, records, rates):
        """Raise ValueError where a schedule gives other rates than those recorded."""
        for record, now in zip(records, rates, strict=True):
            then = record.learning_rate
            if not (np.isnan(then) or np.isclose(now, then, rtol=1e-12, atol=0)):
                raise self.refuse(
                    f"the learning rate of step {record.step} was {then} and is {now}"
                )

    def replay(self, parts, step):
        """Draw again, and pass over, what a run had drawn when it stood at `step`."""
        reached = 0
        while reached < step:
            part = next(parts, None)
            if part is None:
                raise self.refuse(f"it is at step {step}, and n_epochs ends at step {reached}")
            reached += len(part.epoch)
        if reached != step or describe_generator(self.generator) != self.saved_rng:
            raise self.refuse("batches does not draw the rows that it drew before")

    def write(self, state, records):
        """Put a run in the file, which keeps the one before until this one is complete.

        Raises
        ------
        ValueError
            Where somebody else has written the file in the meantime; it is left as it is.
        """
        about = json.dumps({"call": self.call, "rng": describe_generator(self.generator)})
        columns = zip(Record._fields, map(np.asarray, zip(*records, strict=True)), strict=True)
        at_rest = type(state.velocity) is float  # the 0.0 of the start, told as an empty array
        velocity = np.empty(0) if at_rest else to_host(state.velocity)
        arrays = {"theta": to_host(state.theta), "velocity": velocity}
        _remove_orphans(self.path)
        temporary = _name_temporary(self.path)
        try:
            with open(temporary, "xb") as file:
                np.savez(file, about=np.array(about), **arrays, **dict(columns))
                file.flush()
                os.fsync(file.fileno())
            is_free = _find_stamp(self.path) in (None, self.stamp)
            if not (is_free and temporary.exists()):  # another run removes it as an orphan
                raise ValueError(
                    f"the checkpoint {self.path} was written by another program during this run, "
                    "and is left as it is: give every run a path of its own"
                )
            os.replace(temporary, self.path)
            self.stamp = _find_stamp(self.path)
        except OSError as error:
            error.add_note(f"while the checkpoint {self.path} was written, which is as it was")
            raise
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(self.path.parent)

    def refuse(self, why):
        """The error for a file that another call made."""
        return ValueError(f"the checkpoint {self.path} was made by another call: {why}; {CURE}")


def describe(value):
    """An argument as a text that is the same in another process: its repr without addresses.

    What a dataclass holds in arrays, or leaves out of its repr as a scheme does its labels, is
    told by a digest.
    """
    text = validation.tell_part(value)
    for field in fields(value) if is_dataclass(value) else ():
        held = getattr(value, field.name)
        if not field.repr or isinstance(held, np.ndarray):
            held = to_host(held) if is_array_api_obj(held) else np.asarray(held)
            text += f" with {field.name} {digest(repr(held.tolist()).encode())}"
    return text


def describe_generator(generator):
    """The state of a generator as a text."""
    return json.dumps(generator.bit_generator.state, default=lambda value: value.tolist())


def digest(content):
    """A short text that tells bytes from others."""
    return hashlib.sha256(content).hexdigest()[:16]


def tell_difference(name, then, now):
    """What differs between two calls, in words."""
    told = name not in ("rng", "theta_init") and len(f"{then}{now}") < 400
    return f"{name} was {then} and is {now}" if told else f"{name} differs"


def _parse(content):
    """θ and the velocity, the records, the call, and the state of its generator; or any error."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        theta, velocity = file["theta"], file["velocity"]
        columns = [file[name].tolist() for name in Record._fields]
        about = json.loads(str(file["about"]))
    call, rng = dict(about["call"]), about["rng"]
    records = [
        Record(operator.index(step), float(epoch), operator.index(seen), *map(float, rest))
        for step, epoch, seen, *rest in zip(*columns, strict=True)
    ]
    if not (
        records
        and str(theta.shape) == call["shape of theta"]
        and np.can_cast(call["dtype of theta"], theta.dtype)  # a gradient may have widened it
        and velocity.shape in (theta.shape, (0,))
        and theta.dtype.kind == velocity.dtype.kind == "f"
    ):
        raise ValueError("it does not hold the arrays that it promises")
    return (theta, velocity), records, call, rng


def _check_path(path):
    path = validation.check_path("checkpoint", path)
    path = Path(os.path.realpath(path))  # what a link leads to, wherever the run goes meanwhile
    if os.path.isdir(path):
        raise ValueError(f"checkpoint must be the path of a file, but {path} is a folder")
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"checkpoint must be a regular file, but {path} is a device or a pipe")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"checkpoint: there is no folder {path.parent}; make it first")
    temporary = _name_temporary(path)
    try:
        _find_stamp(temporary)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise ValueError(
            f"checkpoint must have a shorter name: {path.name} has {len(path.name)} letters, and "
            f"{len(temporary.name) - len(path.name)} are added while it is written"
        ) from None
    return path


def _name_temporary(path):
    """Where to write a file before it is whole: a name that no other process has."""
    return path.with_name(f"{path.name}.{os.urandom(4).hex()}.tmp")


def _remove_orphans(path):
    """Remove what kills have left behind of earlier writes."""
    pattern = f"{glob.escape(path.name)}.{'[0-9a-f]' * 8}.tmp"
    for orphan in path.parent.glob(pattern):
        with suppress(OSError):  # another process has removed it, or on Windows is writing it
            orphan.unlink()


def _find_stamp(path):
    """What tells a file from another one under its name; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _flush_folder(folder):
    """Have the new name of a file outlive a loss of power, where a folder can be flushed."""
    with suppress(AttributeError, OSError):  # no O_DIRECTORY on Windows; no fsync on some shares
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

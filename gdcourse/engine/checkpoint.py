"""A run on disk: written whole or not at all, and continued only by the call that made it.

A checkpoint is a NumPy archive without pickled objects: ``theta`` and ``velocity``, one array
for each column of the history, and ``about``, a JSON text with the arguments of the call and the
state of its generator. The order of the rows is not in it: a run that goes on draws it again from
the generator's first state and passes over what is done, which is right for any sampling scheme.
"""

import hashlib
import io
import json
import os
import re
from contextlib import suppress
from pathlib import Path

import numpy as np

from gdcourse.base.backend import asarray, to_host
from gdcourse.descent import State

CURE = "give another path, or remove the file to start afresh"
COLUMNS = ("step", "epoch", "samples_seen", "seconds", "loss", "gradient_norm", "learning_rate")


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
        For what is no path, for a folder in its place, and where its folder is missing.
    """

    def __init__(self, path, generator, seeded):
        self.path = _check_path(path)
        self.generator = generator
        self.seeded = seeded
        self.call = {"rng": describe_generator(generator)}
        self.stamp = None  # of the file that this run has read or written last
        self.saved_rng = None

    def know(self, rule, shape, theta_init, options):
        """Describe the arguments that have to be the same whenever the call is made again."""
        arguments = {
            **rule._asdict(),
            **options,
            "shape of X": shape,
            "dtype of theta": theta_init.dtype,
        }
        self.call |= {name: describe(value) for name, value in arguments.items()}
        self.call["theta_init"] = hashlib.sha256(to_host(theta_init).tobytes()).hexdigest()

    def read(self, state):
        """The saved state and the rows of its history, or None where there is no file.

        Raises
        ------
        ValueError
            Where the file is damaged, is no checkpoint, or was made by another call.
        """
        self.stamp = _find_stamp(self.path)
        if self.stamp is None:
            return None
        try:
            with np.load(io.BytesIO(self.path.read_bytes()), allow_pickle=False) as file:
                arrays = [file[name] for name in ("theta", "velocity")]
                records = list(zip(*(file[name].tolist() for name in COLUMNS), strict=True))
                about = json.loads(str(file["about"]))
            then, self.saved_rng = about["call"], about["rng"]
            step, _, samples_seen, *_ = records[-1]
        except MemoryError:
            raise
        except Exception as error:  # zipfile, NumPy and json each have their own for a bad byte
            raise ValueError(
                f"the checkpoint {self.path} is damaged, or is none ({error}): {CURE}"
            ) from error
        if not self.seeded:
            with suppress(ValueError):  # of another kind of generator: told as such just below
                self.generator.bit_generator.state = json.loads(then["rng"])
                self.call["rng"] = then["rng"]
        for name in {**self.call, **then}:
            if then.get(name) != self.call.get(name):
                raise self.refuse(tell_difference(name, then.get(name), self.call.get(name)))
        theta, velocity = (asarray(array, like=state.theta) for array in arrays)
        return State(step, samples_seen, theta, velocity), records

    def compare_loss(self, records, measured):
        """Raise ValueError where θ does not have the loss that was recorded: the data differ.

        It may differ by rounding, on the scale of where the run began: another number of threads
        adds in another order.
        """
        then, now = records[-1].loss, float(measured[0])
        scale = np.nan_to_num(abs(records[0].loss), posinf=0.0)
        allowed = 1000 * np.finfo(measured[1].dtype).eps * max(scale, abs(then))
        if not (np.isclose(now, then, rtol=0, atol=allowed, equal_nan=True)):
            raise self.refuse(
                f"X or y differ from those of the saved run: its loss was {then} and is {now}"
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
                raise self.refuse(f"it stands at step {step}, but n_epochs ends at step {reached}")
            reached += len(part.epoch)
        if reached != step or describe_generator(self.generator) != self.saved_rng:
            raise self.refuse("batches draws other rows than before")

    def write(self, state, records):
        """Put a run in the file, which keeps the one before until this one is complete.

        Raises
        ------
        ValueError
            Where somebody else has written the file in the meantime; it is left as it is.
        """
        about = json.dumps({"call": self.call, "rng": describe_generator(self.generator)})
        columns = dict(zip(COLUMNS, map(np.asarray, zip(*records, strict=True)), strict=True))
        arrays = {"theta": to_host(state.theta), "velocity": np.zeros(())}
        if not isinstance(state.velocity, float):
            arrays["velocity"] = to_host(state.velocity)
        # A name of its own: what a kill left behind, or another process writes, is not in the way.
        temporary = self.path.with_name(f"{self.path.name}.{os.urandom(4).hex()}.tmp")
        try:
            with open(temporary, "xb") as file:
                np.savez(file, about=np.array(about), **arrays, **columns)
                file.flush()
                os.fsync(file.fileno())
            if _find_stamp(self.path) not in (None, self.stamp):
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
    """An argument as a text that is the same in another process: its repr without addresses."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def describe_generator(generator):
    """The state of a generator as a text."""
    return json.dumps(generator.bit_generator.state, default=lambda value: value.tolist())


def tell_difference(name, then, now):
    """What differs between two calls, in words."""
    told = all(len(str(value)) < 200 for value in (then, now)) and name != "theta_init"
    return f"{name} was {then} and is {now}" if told else f"{name} was another"


def _check_path(path):
    try:
        path = Path(path)
    except TypeError:
        raise TypeError(f"checkpoint must be a path, got {path!r}") from None
    path = Path(os.path.realpath(path))  # what a link leads to, wherever the run goes meanwhile
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "no plain file"
        raise ValueError(f"checkpoint must be the path of a file, but {path} is {kind}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"checkpoint: there is no folder {path.parent}; make it first")
    return path


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

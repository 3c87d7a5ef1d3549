"""What a descent leaves behind."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class Record(NamedTuple):
    """One row of a `History`."""

    step: int
    epoch: float
    samples_seen: int
    seconds: float
    loss: float
    gradient_norm: float
    learning_rate: float


@dataclass(frozen=True)
class History:
    """A descent at its record points, as NumPy arrays on the host; record 0 is the start.

    Attributes
    ----------
    step : (r,) int64 array
        Updates made so far.
    epoch : (r,) float array
        Samples seen divided by the number of samples.
    samples_seen : (r,) int64 array
        Sample gradients computed so far.
    seconds : (r,) float array
        Time spent on drawing batches and on updates, but not on recording. Where a full-batch
        step takes the gradient of a record, the time of both stands for it.
    loss : (r,) float array
        The objective on all the data.
    gradient_norm : (r,) float array
        The Euclidean norm of the gradient on all the data.
    learning_rate : (r,) float array
        The rate that the schedule gives for the next step; NaN at the end of a table of rates.
    diverged : bool
        Whether the loss stopped being finite; the run ends there.
    interrupted : bool
        Whether Ctrl-C ended the run; its last record is the last one before.
    """

    step: np.ndarray
    epoch: np.ndarray
    samples_seen: np.ndarray
    seconds: np.ndarray
    loss: np.ndarray
    gradient_norm: np.ndarray
    learning_rate: np.ndarray
    diverged: bool = False
    interrupted: bool = False

    @classmethod
    def from_records(cls, records, interrupted=False):
        """The history of a list of `Record`."""
        columns = map(np.asarray, zip(*records, strict=True))
        # Counts are int64 on a platform of 32 bits, too: squared, they would not fit in less.
        columns = (np.astype(c, np.int64) if c.dtype.kind == "i" else c for c in columns)
        return cls(*columns, diverged=not np.isfinite(records[-1].loss), interrupted=interrupted)

    def __len__(self):
        return len(self.step)

    def __repr__(self):
        state = "diverged" if self.diverged else f"loss {self.loss[-1]:.4g}"
        state += ", interrupted" if self.interrupted else ""
        return f"History({len(self)} records, {self.step[-1]} steps, {state})"

    def asdict(self):
        """The recorded columns by name, ready for ``pandas.DataFrame``."""
        return {name: getattr(self, name) for name in Record._fields}


class Run(NamedTuple):
    """What a descent gives back: ``theta, history = descend(...)`` takes it apart.

    Attributes
    ----------
    theta : array
        The parameters at the end, on the device and in the library they came in.
    history : History
        What was recorded along the way.
    """

    theta: Any
    history: History

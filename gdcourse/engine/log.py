"""The log of a run under way: its records, and where a record may lie."""

import math
from itertools import islice, pairwise
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import array_namespace, to_host
from gdcourse.history import Record
from gdcourse.rows import LossAndGradient, own
from gdcourse.sampling import Epoch
from gdcourse.schedules import rate_at


class Log:
    """The records of a run under way."""

    def __init__(self, rule, data, file, unread=()):
        self.rule, self.data, self.file = rule, data, file
        self.unread = unread  # X and y as they were handed over, if nobody has looked at them
        self.records = []
        self.seconds = 0.0
        self.last = None  # the state at the last record, and how many records there are
        self.gradient = None  # of all rows in that state, and the seconds that it took
        self.gradient_seconds = 0.0

    def begin(self, state):
        """The state that the run begins in: the start, or where its file stands."""
        saved = self.file and self.file.read(state)
        if not saved:
            self.record(state, keep=True)
            first = self.records[0]
            if self.unread and not np.isfinite(first.loss + first.gradient_norm):
                own(*self.unread)  # reads the values, and names what is not finite
            return state
        state, records = saved
        self.records = [Record(*record) for record in records]
        self.file.compare_loss(self.records, self.evaluate(state))
        rates = [find_rate(self.rule.schedule, record.step) for record in self.records]
        self.file.compare_rates(self.records, rates)
        # A table of rates that ended here may be longer now.
        self.records[-1] = self.records[-1]._replace(learning_rate=rates[-1])
        self.seconds = self.records[-1].seconds
        self.last = state, len(self.records)
        return state

    def record(self, state, *, keep=False):
        """Measure on all the data; with `keep`, put the run on disk where the caller wants it."""
        loss = self.evaluate(state)
        gradient = to_host(self.gradient).astype(float)  # a square may overflow
        self.records.append(
            Record(
                state.step,
                state.samples_seen / len(self.data),
                state.samples_seen,
                self.seconds,
                float(loss),
                float(np.linalg.norm(gradient)),
                find_rate(self.rule.schedule, state.step),
            )
        )
        self.last = state, len(self.records)  # at once: Ctrl-C may come anywhere
        if keep and self.file is not None:
            self.file.write(state, self.records)

    def evaluate(self, state):
        """The loss in a state; its gradient is kept."""
        start = perf_counter()
        loss, self.gradient = measure(self.rule.objective, state.theta, self.data)
        self.gradient_seconds = perf_counter() - start
        return loss

    def parts(self, epoch, state):
        """`parts` of the owner, or the gradient of the last record where the next step needs it.

        The time that it took is the step's then.
        """
        takes_all = epoch.order is None and np.array_equal(epoch.bounds, [0, len(self.data)])
        if takes_all and state is self.last[0] and not self.rule.nesterov:
            self.seconds += self.gradient_seconds
            return [(Known(self.gradient), epoch)]
        return self.data.parts(epoch)

    def has_ended(self, tol):
        """Whether the last record ends the run."""
        record = self.records[-1]
        return not np.isfinite(record.loss) or record.gradient_norm < tol


class Known(NamedTuple):
    """An owner of rows whose mean gradient is at hand."""

    gradient: Any

    def mean(self, function, theta, batch):
        """The gradient that is known."""
        return self.gradient


def measure(objective, theta, data):
    """J(θ) on the host, and ∇J(θ), shaped like θ."""
    values = data.mean(LossAndGradient(objective), theta)
    gradient = array_namespace(values).reshape(values[1:], theta.shape)
    return to_host(values[:1])[0], gradient


def find_rate(schedule, step):
    """The rate of a step to come; NaN where the schedule ends before it."""
    try:
        return rate_at(schedule, step)
    except Exception:  # it may be a reader's own, and the run does not need this rate
        return math.nan


class Part(NamedTuple):
    """A part of an epoch between two records.

    Attributes
    ----------
    epoch : Epoch
    seconds : float
        That drawing it took.
    total : int
        Samples of the whole run, if the epochs to come are as long as this one.
    """

    epoch: Epoch
    seconds: float
    total: int


def cut_epochs(epochs, n_epochs, record_every):
    """The epochs, cut where a record lies."""
    step = samples_seen = 0
    start = perf_counter()
    for number, epoch in enumerate(islice(epochs, n_epochs)):
        seconds = perf_counter() - start
        n_samples = int(epoch.bounds[-1] - epoch.bounds[0])
        total = samples_seen + (n_epochs - number) * n_samples
        for first, last in pairwise([0, *_find_cuts(step, len(epoch), record_every), len(epoch)]):
            yield Part(epoch[first:last], seconds, total)
            seconds = 0.0
        step += len(epoch)
        samples_seen += n_samples
        start = perf_counter()


def check_record_every(record_every):
    """None, a number of steps, or a tuple of the steps to record at."""
    if record_every is None or not np.ndim(record_every):
        return (
            None if record_every is None else validation.check_count("record_every", record_every)
        )
    return tuple(sorted(set(validation.check_each("record_every", record_every, _check_step))))


def _check_step(name, step):
    return validation.check_count(name, step, minimum=0)


def is_record(step, record_every):
    """Whether a run is recorded after this step, which ends a part of an epoch."""
    if record_every is None:
        return True
    return step in record_every if isinstance(record_every, tuple) else step % record_every == 0


def _find_cuts(step, n_steps, record_every):
    """Where the `n_steps` steps after `step` are cut."""
    if record_every is None:
        return ()
    if isinstance(record_every, tuple):
        return [mark - step for mark in record_every if 0 < mark - step < n_steps]
    return range(record_every - step % record_every, n_steps, record_every)


def move_bar(bar, state, record, total):
    if bar is not None:
        bar.total = total
        bar.set_postfix(loss=f"{record.loss:.4g}", refresh=False)
        bar.update(state.samples_seen - bar.n)

"""Learning-rate schedules: values that turn a step t = 0, 1, 2, ... into a learning rate.

Each is an immutable, picklable value, and takes a step or an array of steps. Any function of the
step serves as a schedule too.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gdcourse.base import validation

__all__ = ["constant", "cosine", "exponential", "inverse_sqrt", "inverse_time"]
__all__ += ["piecewise", "warmup"]


LEAST = np.finfo(float).tiny  # a rate of zero would end a run that a smaller one would not


class _Schedule:
    """A schedule of this file: a call takes an array of steps as well as one."""

    takes_arrays = True

    def __post_init__(self):
        for name, check in CHECKS.items():
            if hasattr(self, name):
                object.__setattr__(self, name, check(name, getattr(self, name)))


CHECKS = {
    "learning_rate": validation.check_positive,
    "decay": validation.check_non_negative,
    "n_steps": validation.check_count,
}


@dataclass(frozen=True)
class constant(_Schedule):
    """The same learning rate α at every step.

    Parameters
    ----------
    learning_rate : float
        α, positive.

    Examples
    --------
    >>> constant(0.1)(1000)
    0.1
    """

    learning_rate: float

    def __call__(self, step):
        return self.learning_rate + 0.0 * step


@dataclass(frozen=True)
class inverse_time(_Schedule):
    """α / (1 + decay·t): satisfies the conditions of Robbins and Monro (1951).

    Parameters
    ----------
    learning_rate : float
        α, the rate of step 0.
    decay : float
        Per step, zero or more; after 1/decay steps the rate has halved.

    Examples
    --------
    >>> inverse_time(0.1, decay=0.01)(100)
    0.05

    References
    ----------
    H. Robbins and S. Monro (1951), doi:10.1214/aoms/1177729586.
    """

    learning_rate: float
    decay: float

    def __call__(self, step):
        return self.learning_rate / (1 + self.decay * step)


@dataclass(frozen=True)
class inverse_sqrt(_Schedule):
    """α / √(1 + decay·t): slower than ``inverse_time``; made for averaged iterates.

    Parameters
    ----------
    learning_rate : float
        α, the rate of step 0.
    decay : float
        Per step, zero or more; after 3/decay steps the rate has halved.

    Examples
    --------
    >>> inverse_sqrt(0.1, decay=0.01)(300)
    0.05

    References
    ----------
    B. T. Polyak and A. B. Juditsky (1992), doi:10.1137/0330046.
    """

    learning_rate: float
    decay: float

    def __call__(self, step):
        return self.learning_rate / (1 + self.decay * step) ** 0.5


@dataclass(frozen=True)
class exponential(_Schedule):
    """α·decayᵗ, with 0 < decay ≤ 1; never zero, however large t is.

    Parameters
    ----------
    learning_rate : float
        α, the rate of step 0.
    decay : float
        The factor from one step to the next.

    Examples
    --------
    >>> float(exponential(0.1, decay=0.5)(2))
    0.025
    """

    learning_rate: float
    decay: float

    def __post_init__(self):
        super().__post_init__()
        if validation.check_positive("decay", self.decay) > 1:
            raise ValueError(f"decay must be in (0, 1], got {self.decay}")

    def __call__(self, step):
        return np.maximum(self.learning_rate * self.decay ** np.float64(step), LEAST)


@dataclass(frozen=True)
class piecewise(_Schedule):
    """``values[k]`` from step ``boundaries[k - 1]`` until before ``boundaries[k]``.

    Parameters
    ----------
    boundaries : sequence of k increasing steps
        Where the rate changes.
    values : sequence of k + 1 learning rates
        The rates in turn, each positive.

    Examples
    --------
    >>> drop = piecewise([100, 200], [0.1, 0.01, 0.001])
    >>> [float(drop(step)) for step in (99, 100, 200)]
    [0.1, 0.01, 0.001]
    """

    boundaries: tuple
    values: tuple

    def __post_init__(self):
        boundaries = validation.check_each("boundaries", self.boundaries, validation.check_count)
        values = validation.check_each("values", self.values, validation.check_positive)
        if any(a >= b for a, b in pairwise(boundaries)):
            raise ValueError(f"boundaries must increase, got {boundaries}")
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"values must be one more than the {len(boundaries)} boundaries, got {len(values)}"
            )
        object.__setattr__(self, "boundaries", boundaries)
        object.__setattr__(self, "values", values)

    def __call__(self, step):
        return np.asarray(self.values)[np.searchsorted(self.boundaries, step, side="right")]


@dataclass(frozen=True)
class cosine(_Schedule):
    """α·(1 + cos(π·t/n_steps))/2: half a cosine from α towards zero.

    The last of the `n_steps` rates is held for any later step, so a rate is never zero.

    Parameters
    ----------
    learning_rate : float
        α, the rate of step 0.
    n_steps : int
        Steps of the whole run.

    References
    ----------
    I. Loshchilov and F. Hutter (2017), arXiv:1608.03983.

    Examples
    --------
    >>> [round(float(cosine(0.1, n_steps=4)(step)), 4) for step in range(4)]
    [0.1, 0.0854, 0.05, 0.0146]
    """

    learning_rate: float
    n_steps: int

    def __call__(self, step):
        left = 1 - np.minimum(1.0 * step, self.n_steps - 1) / self.n_steps
        return self.learning_rate * np.sin(0.5 * np.pi * left) ** 2  # 1 + cos would round to zero


@dataclass(frozen=True)
class warmup(_Schedule):
    """The first `n_steps` of `schedule` scaled by 1/n_steps, 2/n_steps, ..., 1.

    A linear ramp that starts above zero.

    Parameters
    ----------
    schedule : float or Schedule
        What the ramp leads to, counted from step 0.
    n_steps : int
        Steps of the ramp.

    References
    ----------
    P. Goyal et al. (2017), arXiv:1706.02677.

    Examples
    --------
    >>> ramp = warmup(0.4, n_steps=4)
    >>> [round(float(ramp(step)), 2) for step in range(6)]
    [0.1, 0.2, 0.3, 0.4, 0.4, 0.4]
    """

    schedule: object
    n_steps: int

    def __post_init__(self):
        object.__setattr__(self, "schedule", as_schedule(self.schedule, "schedule"))
        super().__post_init__()

    @property
    def takes_arrays(self):
        return getattr(self.schedule, "takes_arrays", False)

    def __call__(self, step):
        return self.schedule(step) * np.minimum(1, (step + 1.0) / self.n_steps)


def as_schedule(value, name="learning_rate"):
    """A schedule from a number or from any function of the step."""
    if isinstance(value, type):
        raise TypeError(f"{name} must be a value such as constant(0.1), got {value}")
    return value if callable(value) else constant(validation.check_rate(name, value))


def rate_at(schedule, step):
    """The learning rate of `step` as a float, checked as it is drawn."""
    try:
        drawn = schedule(step)
    except Exception as error:
        validation.tell_schedule(error, schedule, step)
        raise
    return validation.check_drawn_rate(schedule, drawn, step)


def rates(schedule, start, stop):
    """The learning rates of the steps ``start..stop - 1``, as `rate_at` gives them one by one."""
    if isinstance(schedule, constant):  # checked when it was made
        return np.full(stop - start, float(schedule.learning_rate))
    if not getattr(schedule, "takes_arrays", False):
        return np.array([rate_at(schedule, step) for step in range(start, stop)])
    drawn = np.broadcast_to(schedule(np.arange(start, stop)), stop - start)
    for step in start + np.flatnonzero(~((drawn > 0) & np.isfinite(drawn)))[:1]:
        rate_at(schedule, int(step))
    return drawn

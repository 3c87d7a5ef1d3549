"""Schedules follow their formulas, one step at a time and many at once."""

import copy
import math
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdcourse import schedules

FORMULAS = {
    "constant": (schedules.constant(0.3), lambda t: 0.3),
    "inverse time": (schedules.inverse_time(0.3, decay=0.02), lambda t: 0.3 / (1 + 0.02 * t)),
    "inverse root": (
        schedules.inverse_sqrt(0.3, decay=0.02),
        lambda t: 0.3 / math.sqrt(1 + 0.02 * t),
    ),
    "exponential": (schedules.exponential(0.3, decay=0.95), lambda t: 0.3 * 0.95**t),
    "piecewise": (
        schedules.piecewise([3, 10], [0.3, 0.2, 0.1]),
        lambda t: 0.3 if t < 3 else 0.2 if t < 10 else 0.1,
    ),
    "cosine": (
        schedules.cosine(0.3, n_steps=20),
        lambda t: 0.15 * (1 + math.cos(math.pi * min(t, 19) / 20)),
    ),
    "warmup": (
        schedules.warmup(schedules.exponential(0.3, 0.9), n_steps=5),
        lambda t: 0.3 * 0.9**t * min(1, (t + 1) / 5),
    ),
    "warmup of a number": (schedules.warmup(0.3, n_steps=5), lambda t: 0.3 * min(1, (t + 1) / 5)),
}

every_schedule = pytest.mark.parametrize(
    ("schedule", "formula"), FORMULAS.values(), ids=FORMULAS.keys()
)


@every_schedule
def test_a_schedule_is_its_formula(schedule, formula):
    for step in (0, 1, 2, 3, 4, 5, 9, 10, 11, 18, 19, 20, 100):
        assert schedules.rate_at(schedule, step) == pytest.approx(formula(step), rel=1e-14)


@every_schedule
def test_a_schedule_takes_all_steps_at_once(schedule, formula):
    steps = np.arange(30)
    assert schedule(steps).shape == steps.shape
    np.testing.assert_allclose(schedule(steps), [formula(step) for step in steps], rtol=1e-14)


@every_schedule
def test_a_schedule_is_an_immutable_value(schedule, formula):
    again = pickle.loads(pickle.dumps(schedule))
    assert again == schedule == copy.deepcopy(schedule)
    assert hash(again) == hash(schedule)
    with pytest.raises(FrozenInstanceError):
        schedule.learning_rate = 1.0


NESTED = [
    *(schedule for schedule, _ in FORMULAS.values()),
    lambda step: 0.1 / (1 + step % 3) if step else 0.5,  # takes no array of steps
    schedules.warmup(lambda step: 0.1 if step < 4 else 0.2, 3),
    schedules.warmup(schedules.warmup(lambda step: 0.1 if step < 4 else 0.2, 3), 5),
]


@given(st.sampled_from(NESTED), st.integers(0, 40), st.integers(0, 40))
def test_rates_are_those_of_single_steps(schedule, start, length):
    rates = schedules.rates(schedule, start, start + length)
    one_by_one = [schedules.rate_at(schedule, step) for step in range(start, start + length)]
    np.testing.assert_allclose(rates, one_by_one, rtol=1e-15)


@given(st.floats(1e-6, 1e3), st.integers(1, 1000))
def test_a_cosine_falls_from_its_rate_and_never_to_zero(rate, n_steps):
    drawn = schedules.cosine(rate, n_steps)(np.arange(n_steps + 3))
    assert drawn[0] == rate
    assert np.all(np.diff(drawn) <= 0)
    assert np.all(drawn > 0)


@given(st.floats(1e-6, 1e3), st.integers(1, 1000))
def test_a_warmup_climbs_evenly_from_above_zero(rate, n_steps):
    drawn = schedules.warmup(rate, n_steps)(np.arange(n_steps + 3))
    np.testing.assert_allclose(drawn[:n_steps], rate / n_steps * np.arange(1, n_steps + 1))
    np.testing.assert_array_equal(drawn[n_steps - 1 :], rate)


def test_a_rate_is_a_python_float():
    for schedule in (np.float32, lambda step: np.float64(0.5), lambda step: np.array(0.5)):
        assert type(schedules.rate_at(schedule, 1)) is float


@pytest.mark.parametrize("bad", [0.0, -0.5, float("nan"), float("inf")])
@pytest.mark.parametrize("first", [3, 17])
def test_a_bad_rate_names_its_step(bad, first):
    def schedule(step):
        return 0.1 if step < first else bad

    message = f"gives {bad} at step {first}"
    with pytest.raises(ValueError, match=message):
        schedules.rates(schedule, 0, 20)
    with pytest.raises(ValueError, match=message):
        schedules.rate_at(schedule, first)


def test_a_rate_that_fades_to_zero_names_its_step():
    with pytest.raises(ValueError, match=r"gives 0.0 at step 4"):
        schedules.rates(lambda step: 1e-100**step, 0, 8)


@pytest.mark.parametrize("step", [73_922, 10**9, np.array([0, 73_922]), np.array([80_000.0])])
def test_an_exponential_rate_is_small_and_not_zero(step):
    """0.1·0.99ᵗ is zero in double precision from step 73,922 on, which ended long runs."""
    rate = schedules.exponential(0.1, 0.99)(step)
    assert np.all(rate > 0)
    assert np.min(rate) < 1e-300


@pytest.mark.parametrize("kind", ["uint8", "int8", "int64", "float32"])
def test_a_step_of_any_kind_of_number_gives_the_same_rate(kind):
    top = 127 if kind == "int8" else 255
    for schedule in (
        schedules.inverse_time(0.1, 1),
        schedules.inverse_sqrt(0.1, 3),
        schedules.exponential(0.1, 0.9),
        schedules.cosine(0.1, 300),
        schedules.warmup(0.1, 300),
        schedules.piecewise([5], [1, 0.1]),
    ):
        found = schedule(np.array([3, top], dtype=kind))
        np.testing.assert_allclose(found, [schedule(3), schedule(top)], rtol=1e-6)


def test_a_class_is_no_schedule():
    with pytest.raises(TypeError, match=r"learning_rate must be a value such as constant\(0.1\)"):
        schedules.as_schedule(schedules.constant)


def test_any_function_is_a_schedule():
    assert schedules.as_schedule(max) is max
    assert schedules.as_schedule(0.5) == schedules.constant(0.5)


@pytest.mark.parametrize("n_steps", [1, 10, 10**9, 10**12])
def test_the_last_rate_of_a_cosine_is_small_and_not_zero(n_steps):
    last = schedules.cosine(0.1, n_steps)(n_steps - 1)
    assert last == pytest.approx(0.1 * (np.pi / 2 / n_steps) ** 2, rel=0.6)
    assert last == schedules.cosine(0.1, n_steps)(n_steps + 5) > 0

"""A stopwatch read on a machine whose time the test sets, and a search that ends on no edge."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import problem

import gdcourse as gd
from gdcourse.lesson import experiments as measuring


@dataclass
class Machine:
    """Gradients take the seconds of a list; a device only takes orders until it is waited for."""

    seconds: list
    is_device: bool = False
    now: float = 0.0
    ordered: float = 0.0

    def gradient(self, theta, X, y):
        self.ordered += self.seconds.pop(0)
        if not self.is_device:
            self.wait(theta)
        return gd.LeastSquares().gradient(theta, X, y)

    def wait(self, array):
        self.now, self.ordered = self.now + self.ordered, 0.0

    def __getattr__(self, name):
        return getattr(gd.LeastSquares(), name)


@pytest.mark.parametrize("is_device", [False, True])
def test_the_least_disturbed_measurement_without_its_first_step_counts(is_device, monkeypatch):
    theta, X, y = problem(gd.LeastSquares())
    warm_up, calm, busy = 50.0, [2.0, 4.0], [2.0, 9.0]
    machine = Machine([warm_up, *busy, warm_up, *calm, warm_up, *busy], is_device)
    monkeypatch.setattr(measuring, "perf_counter", lambda: machine.now)
    monkeypatch.setattr(measuring, "synchronize", machine.wait)
    seconds = measuring.seconds_per_step(
        X, y, theta, objective=machine, batches=gd.Shuffled(4), n_steps=2, repeats=3
    )
    assert seconds == np.mean(calm)
    assert not machine.seconds


def test_a_step_is_timed_in_every_library(xp):
    theta, X, y = (xp.asarray(array) for array in problem(gd.LeastSquares()))
    assert 0 < measuring.seconds_per_step(X, y, theta, batches=gd.Shuffled(4), repeats=1) < 60


@given(st.floats(-12, 12), st.floats(-6, 6), st.floats(1.1, 4))
def test_the_search_finds_the_minimum_of_a_valley_from_any_guess(optimum, guess, factor):
    best, scores = measuring.tune(
        lambda value: abs(math.log(value) - optimum), math.exp(guess), factor, max_scores=400
    )
    assert abs(math.log(best) - optimum) <= 0.5 * math.log(factor) + 1e-9
    assert scores[best] == min(scores.values())
    assert list(scores) == sorted(scores)
    assert min(scores) < best < max(scores)


def test_values_that_do_not_serve_bound_the_search():
    best, scores = measuring.tune(lambda rate: 1 / rate if rate < 3 else math.inf, 0.5)
    assert best == 2.0
    assert scores[4.0] == math.inf


@pytest.mark.parametrize("guess", [0.5, 4.0])
def test_a_score_that_is_no_number_does_not_serve(guess):
    """As the loss of a run that diverged, where the guess lies there too."""
    best, scores = measuring.tune(lambda rate: 1 / rate if rate < 3 else math.nan, guess)
    assert best == 2.0
    assert math.isnan(scores[4.0])


def test_a_search_without_an_end_or_a_start_is_an_error():
    with pytest.raises(ValueError, match="guess must be nearer"):
        measuring.tune(lambda rate: -rate, 1.0)
    with pytest.raises(ValueError, match="guess must have a finite score"):
        measuring.tune(lambda rate: math.inf, 1.0)
    with pytest.raises(ValueError, match="factor must be above 1"):
        measuring.tune(abs, 1.0, 1.0)
    with pytest.raises(ValueError, match="guess must be positive"):
        measuring.tune(abs, -1.0)
    with pytest.raises(ValueError, match="repeats must be at least 1"):
        measuring.seconds_per_step([[1.0]], [1.0], [0.0], batches=gd.FullBatch(), repeats=0)

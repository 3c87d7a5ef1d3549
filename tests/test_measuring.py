"""A stopwatch read on a machine whose time the test sets, and a search that ends on no edge."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import OBJECTIVES, problem

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


def test_a_hyperbola_is_found_through_its_noise():
    """Its parameters lie within four of their standard errors, and the errors shrink as 1/√m."""
    rng = np.random.default_rng(0)
    b = np.tile(2.0 ** np.arange(9), 4)
    deviations, widths = [], []
    for _ in range(60):
        steps = 30 * (1 + 20 / b) * (1 + 0.05 * rng.standard_normal(len(b)))
        fit = measuring.fit_hyperbola(b, steps)
        deviations.append((fit.parameters - [30, 20]) / fit.errors)
        widths.append(fit.misfit)
    assert np.abs(deviations).max() < 4.5
    assert np.std(deviations, axis=0) == pytest.approx(1, abs=0.3)
    assert np.mean(widths) == pytest.approx(0.05, rel=0.1)


def test_a_power_is_found_through_its_noise():
    rng = np.random.default_rng(1)
    x = np.geomspace(1e-3, 10, 12)
    deviations = []
    for _ in range(60):
        y = 5 * x**1.5 * np.exp(0.1 * rng.standard_normal(len(x)))
        fit = measuring.fit_power(x, y)
        deviations.append((fit.parameters[0] - 1.5) / fit.errors[0])
    assert np.std(deviations) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("fit", [measuring.fit_hyperbola, measuring.fit_power])
def test_a_fit_needs_a_point_more_than_parameters(fit):
    with pytest.raises(ValueError, match="needs 3 points or more, got 2"):
        fit([1, 2], [3, 2])


@given(st.floats(-16, -5), st.floats(1, 7), st.sampled_from([np.add, np.maximum]))
def test_the_time_of_a_step_is_taken_apart_by_the_law_that_made_it(log_overhead, log_knee, law):
    b = 2.0 ** np.arange(13)
    overhead, knee = math.exp(log_overhead), math.exp(log_knee)
    seconds = overhead * law(1, b / knee)
    found = measuring.fit_step_time(b, seconds, law)
    assert found[:2] == pytest.approx((overhead, knee), rel=0.01)
    assert found[2] < 0.01
    other = np.maximum if law is np.add else np.add
    assert measuring.fit_step_time(b, seconds, other)[2] > 5 * found[2]


def test_the_peak_of_memory_is_that_of_the_arrays_alive_at_once():
    with measuring.peak_memory() as memory:
        for _ in range(3):
            halves = np.zeros(250_000), np.zeros(250_000)
            del halves
    assert memory.peak == pytest.approx(4e6, rel=0.01)


@pytest.mark.parametrize("objective", OBJECTIVES[:6], ids=repr)
def test_the_largest_curvature_is_that_of_the_hessian(xp, objective):
    theta, X, y = problem(objective, 40)
    p = theta.size
    columns = []
    for unit in np.eye(p).reshape(p, *theta.shape):
        ahead, behind = (objective.gradient(theta + s * 1e-5 * unit, X, y) for s in (1, -1))
        columns.append((ahead - behind).reshape(-1) / 2e-5)
    largest = np.linalg.eigvalsh(np.array(columns))[-1]
    there = [xp.asarray(array) for array in (theta, X, y)]
    found = measuring.largest_curvature(objective, *there, n_iterations=500)
    assert found == pytest.approx(largest, rel=1e-5)


def test_a_rate_above_two_over_the_curvature_diverges():
    theta, X, y = problem(gd.LeastSquares(), 40)
    limit = 2 / measuring.largest_curvature(gd.LeastSquares(), theta, X, y, n_iterations=300)
    ends = [
        gd.batch_gradient_descent(X, y, theta, rate * limit, 3000).history.loss[-1]
        for rate in (0.99, 1.01)
    ]
    assert ends[0] < gd.LeastSquares().loss(theta, X, y) < ends[1]


@pytest.mark.parametrize("objective", OBJECTIVES[:6], ids=repr)
def test_the_errors_of_batches_have_the_variance_of_theory(xp, objective):
    """With and without replacement, within four of the standard errors that epochs give."""
    theta, X, y = problem(objective, 40)
    variance = gd.gradient_variance(objective, theta, X, y)
    there = [xp.asarray(array) for array in (theta, X, y)]
    for batches, n in ((gd.WithReplacement(8), None), (gd.Shuffled(8), 40)):
        means = measuring.batch_errors(objective, *there, batches=batches, n_epochs=400, rng=0)
        error = np.std(means, ddof=1) / 20
        assert abs(means.mean() - gd.batch_gradient_variance(variance, 8, n)) < 4 * error
        assert error < 0.1 * means.mean()


def test_batches_that_lie_in_order_have_one_error_and_uneven_ones_none():
    theta, X, y = problem(gd.LeastSquares(), 40)
    exact = gd.LeastSquares().gradient(theta, X, y)
    halves = [gd.LeastSquares().gradient(theta, X[i : i + 20], y[i : i + 20]) for i in (0, 20)]
    expected = np.mean(np.sum((np.array(halves) - exact) ** 2, axis=1))
    found = measuring.batch_errors(
        gd.LeastSquares(), theta, X, y, batches=gd.InOrder(20), n_epochs=2
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    with pytest.raises(ValueError, match="of one size, got 1 to 39: set drop_last"):
        measuring.batch_errors(gd.LeastSquares(), theta, X, y, batches=gd.Shuffled(39), n_epochs=1)


def test_accuracy_counts_the_highest_scores():
    objective = gd.SoftmaxRegression(3)
    theta, X, y = problem(objective, 50)
    expected = 100 * np.mean(np.argmax(X @ theta, axis=1) == y)
    assert measuring.accuracy(objective, theta, X, y) == expected
    many = measuring.accuracy(objective, np.stack([theta, 0 * theta]), X, y)
    np.testing.assert_allclose(many, [expected, 100 * np.mean(y == 0)])


def test_accuracy_on_splits_is_that_of_each_run_on_its_own_test():
    theta, X, y = problem(gd.SoftmaxRegression(3), 60)
    splits = [((X[k:40], y[k:40]), (X[40:], y[40:])) for k in (0, 10)]
    options = {"objective": gd.SoftmaxRegression(3), "learning_rate": 0.3, "n_epochs": 2}
    for batches in (gd.Shuffled(8), lambda labels: gd.Balanced(8, labels)):
        found = measuring.accuracy_on_splits(splits, theta, batches=batches, **options)
        for seed, (train, test) in enumerate(splits):
            scheme = batches if isinstance(batches, gd.Shuffled) else batches(train[1])
            end, _ = gd.descend(*train, theta, batches=scheme, rng=seed, **options)
            assert found[seed] == measuring.accuracy(options["objective"], end, *test)


def test_pairs_leave_out_the_luck_that_they_share():
    rng = np.random.default_rng(2)
    luck, first, second = rng.standard_normal((3, 400)) * [[10], [1], [1]]
    difference, error = measuring.compare_paired(luck + first + 1, luck + second)
    assert error == pytest.approx(2**0.5 / 20, rel=0.15)
    assert abs(difference - 1) < 4 * error
    with pytest.raises(ValueError, match="pairs must be two or more"):
        measuring.compare_paired([1], [2])


def test_steps_to_a_target_are_reported_on_seeds_that_did_not_choose():
    theta, X, y = problem(gd.LeastSquares(), 200)
    lowest = gd.LeastSquares().loss(np.linalg.lstsq(X, y)[0], X, y)
    arguments = {"batches": gd.Shuffled(8), "target": 1.1 * lowest, "guess": 0.05, "n_epochs": 20}
    arguments |= {"search_seeds": range(4), "report_seeds": range(4, 12), "record_every": 1}
    found = measuring.steps_to_target(X, y, theta, **arguments)
    tried = list(found.scores)
    assert tried[0] < found.learning_rate < tried[-1]
    assert found.scores[found.learning_rate] == min(found.scores.values())
    run = {"batches": gd.Shuffled(8), "learning_rate": found.learning_rate, "n_epochs": 20}
    for seed, steps in zip(range(4, 12), found.steps, strict=True):
        _, history = gd.descend(X, y, theta, rng=seed, record_every=1, **run)
        assert steps == history.step[history.loss <= 1.1 * lowest][0]
    assert found.mean == found.steps.mean()
    np.testing.assert_array_equal(found.runs.steps_to(1.1 * lowest), found.steps)
    assert found.standard_error == pytest.approx(found.steps.std(ddof=1) / 8**0.5)
    with pytest.raises(ValueError, match="must differ from search_seeds"):
        measuring.steps_to_target(X, y, theta, **(arguments | {"report_seeds": [3, 9]}))
    with pytest.raises(ValueError, match="finite score"):
        measuring.steps_to_target(X, y, theta, **(arguments | {"target": 0.0}))


def test_a_relative_error_is_that_of_the_arrays(xp):
    found = measuring.relative_error(xp.asarray([3.0, 4.5]), xp.asarray([3.0, 4.0]))
    assert found == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"found must have shape \(2,\), got \(1,\)"):
        measuring.relative_error([1.0], [1.0, 2.0])


def test_rounds_go_through_all_batch_sizes_before_the_next(monkeypatch):
    asked = []

    def stopwatch(*_, batches, n_steps, **__):
        asked.append((batches.batch_size, n_steps))
        return float(len(asked))

    monkeypatch.setattr(measuring, "seconds_per_step", stopwatch)
    theta, X, y = problem(gd.LeastSquares(), 8)
    options = {"scheme": gd.Shuffled, "n_rounds": 2, "n_steps": lambda b: 8 // b}
    found = measuring.seconds_in_rounds(X, y, theta, np.array([1, 4]), **options)
    assert asked == 2 * [(1, 8), (4, 2)]
    np.testing.assert_array_equal(found, [[1, 2], [3, 4]])

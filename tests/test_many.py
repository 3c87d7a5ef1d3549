"""Many runs at once: each is the run that `descend` makes with its rate and its seed."""

import os
import threading
import tracemalloc
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import OBJECTIVES, Quartic, problem

import gdcourse as gd
from gdcourse import schedules
from gdcourse.engine import compiled, many

LEAST_SQUARES = gd.LeastSquares()
N = 23
LABELS = np.arange(N) % 3
SCHEMES = [
    gd.FullBatch(),
    gd.InOrder(5),
    gd.Shuffled(1),
    gd.Shuffled(5),
    gd.ShuffledOnce(7, drop_last=True),
    gd.WithReplacement(4),
    gd.BlockShuffled(5, block_size=2),
    gd.Stratified(5, labels=LABELS),
    gd.Balanced(5, labels=LABELS),
]
RATES = [0.05, 0.002, schedules.inverse_time(0.1, 0.1), lambda step: 0.1 / (1 + step % 3)]
every_objective = pytest.mark.parametrize("objective", [*OBJECTIVES, Quartic()], ids=repr)


def small(objective, n=N, **dtype):
    return problem(LEAST_SQUARES if isinstance(objective, Quartic) else objective, n, **dtype)


def hold(runs, rates, seeds, one, **tolerance):
    """Hold each of the runs to the one that `one(rate, seed)` makes by itself."""
    for i, rate in enumerate(rates):
        for k, seed in enumerate(seeds):
            theta, history = one(rate, seed)
            n = len(history)
            np.testing.assert_allclose(gd.to_host(runs.theta[i, k, ...]), theta, **tolerance)
            np.testing.assert_array_equal(runs.history.step[:n], history.step)
            np.testing.assert_array_equal(runs.history.samples_seen[:n], history.samples_seen)
            assert runs.history.step.dtype == np.int64
            np.testing.assert_allclose(runs.history.epoch[:n], history.epoch)
            assert runs.history.diverged[i, k] == history.diverged
            for name in ("loss", "gradient_norm"):
                column = getattr(runs.history, name)[i, k]
                np.testing.assert_allclose(column[:n], getattr(history, name), **tolerance)
                assert np.isnan(column[n:]).all()


@every_objective
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_every_run_is_the_run_of_its_rate_and_its_seed(objective, scheme, momentum):
    theta, X, y = small(objective)
    options = {"objective": objective, "batches": scheme, "momentum": momentum}
    options |= {"n_epochs": 2, "record_every": 3, "nesterov": momentum > 0}
    rates = [0.001, schedules.inverse_time(0.002, 0.1)]
    runs = gd.descend_many(X, y, theta, learning_rate=rates, rng=[3, 4, 5], **options)

    def one(rate, seed):
        return gd.descend(X, y, theta, learning_rate=rate, rng=seed, **options)

    hold(runs, rates, [3, 4, 5], one, rtol=1e-9, atol=1e-11)


@st.composite
def experiments(draw):
    n = draw(st.integers(1, 30))
    kind = draw(st.sampled_from([gd.Shuffled, gd.WithReplacement, gd.InOrder, gd.ShuffledOnce]))
    return {
        "n": n,
        "objective": draw(st.sampled_from(OBJECTIVES)),
        "batches": kind(draw(st.integers(1, n)), drop_last=draw(st.booleans())),
        "dtype": draw(st.sampled_from([np.float32, np.float64])),
        "rates": draw(st.lists(st.sampled_from(RATES), min_size=1, max_size=3)),
        "seeds": draw(st.lists(st.integers(0, 99), min_size=1, max_size=3)),
        "n_epochs": draw(st.integers(0, 3)),
        "record_every": draw(st.none() | st.integers(1, 40)),
        "compilable": draw(st.booleans()),
    }


@given(experiments())
def test_runs_are_descents_whatever_is_asked(e):
    theta, X, y = small(e["objective"], e["n"], dtype=e["dtype"])
    options = {name: e[name] for name in ("objective", "batches", "n_epochs", "record_every")}
    with pytest.MonkeyPatch.context() as patch:
        if not e["compilable"]:
            patch.setattr(compiled, "find_spec", lambda name: None)
        runs = gd.descend_many(X, y, theta, learning_rate=e["rates"], rng=e["seeds"], **options)
    assert runs.theta.dtype == e["dtype"]

    def one(rate, seed):
        return gd.descend(X, y, theta, learning_rate=rate, rng=seed, **options)

    tolerance = 5000 * np.finfo(e["dtype"]).eps
    hold(runs, e["rates"], e["seeds"], one, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("batches", [gd.FullBatch(), gd.Shuffled(5), gd.Shuffled(1)], ids=repr)
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_every_library_walks_the_same_runs(xp, objective, batches, momentum):
    theta, X, y = problem(objective, N)
    options = {"objective": objective, "batches": batches, "momentum": momentum, "n_epochs": 2}
    options |= {"learning_rate": [0.01, 0.1], "rng": range(3), "keep_theta": True}
    here = gd.descend_many(X, y, theta, **options)
    there = gd.descend_many(*map(xp.asarray, (X, y, theta)), **options)
    assert there.theta.device == xp.device
    np.testing.assert_allclose(gd.to_host(there.theta), here.theta, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(there.thetas, here.thetas, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(there.history.loss, here.history.loss, rtol=1e-9, atol=1e-12)


def test_each_seed_may_have_its_start():
    objective = gd.MLP((4, 5, 3))
    _, X, y = problem(objective, N)
    starts = [objective.initial(seed) for seed in range(3)]
    options = {"objective": objective, "batches": gd.Shuffled(5), "n_epochs": 2}
    runs = gd.descend_many(X, y, starts, learning_rate=[0.1], rng=range(3), **options)
    for seed, start in enumerate(starts):
        one, _ = gd.descend(X, y, start, learning_rate=0.1, rng=seed, **options)
        np.testing.assert_allclose(runs.theta[0, seed], one, rtol=1e-10)


@pytest.mark.parametrize("rate", [0.1, [0.1, 0.2]])
@pytest.mark.parametrize("rng", [0, range(3)])
def test_an_axis_of_one_value_is_left_out(rate, rng):
    theta, X, y = small(LEAST_SQUARES)
    runs = gd.descend_many(
        X,
        y,
        theta,
        batches=gd.Shuffled(5),
        learning_rate=rate,
        n_epochs=2,
        rng=rng,
        keep_theta=True,
    )
    axes = (2,) * (rate != 0.1) + (3,) * (rng != 0)
    assert runs.theta.shape == (*axes, 4)
    assert runs.history.loss.shape == runs.history.gradient_norm.shape == (*axes, 3)
    assert runs.history.diverged.shape == runs.steps_to(0.1).shape == axes
    assert runs.thetas.shape == (*axes, 3, 4)
    theta, history = runs
    assert theta is runs.theta
    assert history is runs.history
    if rng == 0:
        with pytest.raises(ValueError, match="one seed: give rng a sequence"):
            runs.mean()
    else:
        assert runs.mean().shape == (*axes[:-1], 3)


def test_means_and_their_errors_are_over_seeds():
    theta, X, y = small(LEAST_SQUARES)
    runs = gd.descend_many(
        X, y, theta, batches=gd.Shuffled(1), learning_rate=[0.01, 0.1], n_epochs=2, rng=range(5)
    )
    losses = runs.history.loss
    np.testing.assert_allclose(runs.mean(), losses.mean(axis=1))
    error = losses.std(axis=1, ddof=1) / np.sqrt(5)
    np.testing.assert_allclose(runs.standard_error("loss"), error)
    np.testing.assert_allclose(runs.mean(losses[..., -1]), losses[..., -1].mean(axis=1))


def test_runs_can_be_recorded_at_steps_of_ones_own():
    theta, X, y = small(LEAST_SQUARES)
    options = {"batches": gd.Shuffled(5), "n_epochs": 3, "record_every": [1, 2, 7, 9, 99]}
    runs = gd.descend_many(X, y, theta, learning_rate=[0.01, 0.1], rng=range(2), **options)
    assert runs.history.step.tolist() == [0, 1, 2, 7, 9, 15]

    def one(rate, seed):
        return gd.descend(X, y, theta, learning_rate=rate, rng=seed, **options)

    hold(runs, [0.01, 0.1], range(2), one, rtol=1e-10)


def test_steps_to_a_loss_are_those_of_the_first_record_at_it():
    theta, X, y = small(LEAST_SQUARES)
    options = {"batches": gd.Shuffled(1), "n_epochs": 4, "record_every": 3}
    runs = gd.descend_many(X, y, theta, learning_rate=[1e-9, 0.05], rng=range(4), **options)
    loss = np.median(runs.history.loss[1, :, -1])
    found = runs.steps_to(loss)
    assert np.isinf(found[0]).all()
    for seed in range(4):
        _, history = gd.descend(X, y, theta, learning_rate=0.05, rng=seed, **options)
        there = history.step[history.loss <= loss]
        assert found[1, seed] == (there[0] if len(there) else np.inf)


@pytest.mark.parametrize("way", ["compiled", "together", "one by one"])
def test_a_run_ends_where_it_reaches_its_target(monkeypatch, way):
    theta, X, y = small(LEAST_SQUARES)
    objective = Quartic() if way == "one by one" else LEAST_SQUARES
    if way == "together":
        monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    options = {"objective": objective, "batches": gd.Shuffled(1), "n_epochs": 6}
    options |= {"learning_rate": [0.001, 0.01], "rng": range(3), "record_every": 4}
    whole = gd.descend_many(X, y, theta, keep_theta=True, **options)
    target = np.median(whole.history.loss)
    runs = gd.descend_many(X, y, theta, target=target, **options)
    np.testing.assert_array_equal(runs.steps_to(target), whole.steps_to(target))
    assert np.isfinite(runs.steps_to(target)).any()
    for i, k in np.ndindex(2, 3):
        reached = np.flatnonzero(whole.history.loss[i, k] <= target)
        last = reached[0] if len(reached) else len(whole.history.step) - 1
        np.testing.assert_allclose(runs.theta[i, k], whole.thetas[i, k, last], rtol=1e-9)
        assert np.isnan(runs.history.loss[i, k, last + 1 :]).all()


def test_a_run_that_has_ended_draws_and_computes_nothing_more():
    """Where all have reached the target at the start, not one batch is drawn."""

    class Never(gd.Shuffled):
        def _epochs(self, n_samples, rng):
            raise AssertionError("a batch was drawn")
            yield

    theta, X, y = small(LEAST_SQUARES)
    runs = gd.descend_many(
        X, y, theta, batches=Never(1), learning_rate=0.1, n_epochs=9, rng=range(3), target=1e9
    )
    assert runs.history.step.tolist() == [0]
    np.testing.assert_array_equal(runs.theta, [theta] * 3)


def test_validation_data_can_be_what_is_recorded():
    theta, X, y = small(gd.LeastSquares(), 40)
    options = {"batches": gd.Shuffled(5), "learning_rate": 0.05, "n_epochs": 2}
    runs = gd.descend_many(
        X[:30], y[:30], theta, rng=range(2), evaluate_on=(X[30:], y[30:]), **options
    )
    for seed in range(2):
        end, _ = gd.descend(X[:30], y[:30], theta, rng=seed, **options)
        np.testing.assert_allclose(runs.theta[seed], end, rtol=1e-10)
        expected = LEAST_SQUARES.loss(end, X[30:], y[30:])
        assert runs.history.loss[seed, -1] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("objective", [LEAST_SQUARES, gd.SoftmaxRegression(3), Quartic()], ids=repr)
def test_shards_are_walked_by_many_runs_too(tmp_path, objective):
    theta, X, y = small(objective)
    gd.write_shards(tmp_path, X, y, 5)
    options = {"objective": objective, "batches": gd.Shuffled(4), "n_epochs": 2}
    options |= {"learning_rate": [0.001, 0.01], "rng": range(2)}
    expected = gd.descend_many(X, y, theta, **options)
    found = gd.descend_many(*gd.open_shards(tmp_path), theta, **options)
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-9)
    np.testing.assert_allclose(found.history.loss, expected.history.loss, rtol=1e-9)


@pytest.mark.parametrize("scheme", [gd.Shuffled, gd.WithReplacement])
def test_groups_of_seeds_change_nothing(monkeypatch, scheme):
    theta, X, y = small(LEAST_SQUARES)
    options = {"batches": scheme(2), "learning_rate": [0.01, 0.1], "n_epochs": 3}
    options["record_every"] = 5
    expected = gd.descend_many(X, y, theta, rng=range(5), **options)
    monkeypatch.setattr(many, "ROWS_DRAWN", 2 * N)
    monkeypatch.setattr(many, "VALUES", 40)
    monkeypatch.setattr(many, "VALUES_A_THREAD", 10)
    found = gd.descend_many(X, y, theta, rng=range(5), **options)
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-12)
    np.testing.assert_allclose(found.history.loss, expected.history.loss, rtol=1e-12)


class Watched(np.random.Generator):
    """A generator that notes which threads it draws in, and may wait there for another."""

    meeting = None

    def integers(self, *args, **options):
        if self.meeting:
            self.meeting.wait()
        self.threads = [*getattr(self, "threads", []), threading.get_ident()]
        return super().integers(*args, **options)


@pytest.mark.parametrize("given_twice", [True, False])
def test_a_generator_given_twice_keeps_its_turns(monkeypatch, given_twice):
    theta, X, y = small(LEAST_SQUARES)
    monkeypatch.setattr(many, "VALUES_A_THREAD", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    first, second = (Watched(np.random.PCG64(seed)) for seed in (0, 1))
    rngs = [first, first if given_twice else second]
    if not given_twice:
        first.meeting = second.meeting = threading.Barrier(2, timeout=60)
    options = {"batches": gd.WithReplacement(1), "learning_rate": 0.01, "n_epochs": 2}
    gd.descend_many(X, y, theta, rng=rngs, record_every=99, **options)
    threads = {thread for rng in rngs for thread in rng.threads}
    assert len(threads) == (1 if given_twice else 2)


def test_memory_is_that_of_the_records_and_not_of_the_steps():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2000, 10)), rng.standard_normal(2000)
    options = {"batches": gd.Shuffled(1), "learning_rate": [0.001, 0.002], "rng": range(32)}
    gd.descend_many(X, y, np.zeros(10), n_epochs=1, **options)
    peaks = []
    for n_epochs in (2, 20):
        tracemalloc.start()
        gd.descend_many(X, y, np.zeros(10), n_epochs=n_epochs, **options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 18 more records of 64 runs: two numbers each, in lists. The steps of all runs are 36,000 more,
    # and their row numbers alone would be 18 MB.
    assert peaks[1] < peaks[0] + 18 * 64 * 1000


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("shared", [True, False])
def test_an_objective_broadcasts_over_runs(xp, objective, shared):
    """Axes in front of θ, X and y give as many losses and gradients."""
    problems = [problem(objective, 7, seed) for seed in range(6)]
    thetas = np.array([theta for theta, _, _ in problems])
    Xs, ys = (np.array([p[k] for p in problems]) for k in (1, 2))
    if shared:
        Xs, ys = Xs[0], ys[0]
    shape = thetas.shape[1:]
    there = (
        xp.asarray(thetas.reshape(2, 3, *shape)),
        *(xp.asarray(a if shared else a.reshape(2, 3, *a.shape[1:])) for a in (Xs, ys)),
    )
    losses, gradients = objective.loss(*there), objective.gradient(*there)
    assert (losses.shape, gradients.shape) == ((2, 3), (2, 3, *shape))
    for i, (theta, X, y) in enumerate(problems):
        X, y = (Xs, ys) if shared else (X, y)
        loss = gd.to_host(losses).reshape(-1)[i]
        assert loss == pytest.approx(float(objective.loss(theta, X, y)), rel=1e-12)
        found = gd.to_host(gradients).reshape(6, *shape)[i]
        expected = objective.gradient(theta, X, y)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_a_readers_own_sampler_may_end():
    class TwoEpochs:
        def epochs(self, n_samples, rng):
            return islice(gd.Shuffled(5).epochs(n_samples, rng), 2)

    theta, X, y = small(LEAST_SQUARES)
    options = {"learning_rate": [0.1, 0.05], "n_epochs": 9, "rng": range(3)}
    found = gd.descend_many(X, y, theta, batches=TwoEpochs(), **options)
    expected = gd.descend_many(X, y, theta, batches=gd.Shuffled(5), **options | {"n_epochs": 2})
    np.testing.assert_array_equal(found.theta, expected.theta)
    np.testing.assert_array_equal(found.history.step, expected.history.step)

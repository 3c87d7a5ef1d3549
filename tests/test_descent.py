"""Descents: the update rule, what is recorded, and what theory says of the path."""

import hashlib
import signal
import sys
import warnings
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import OBJECTIVES, Quartic, problem

import gdcourse as gd
from gdcourse import schedules

LEAST_SQUARES = gd.LeastSquares()
LABELS = np.arange(12) % 3
SCHEMES = [
    gd.FullBatch(),
    gd.InOrder(5),
    gd.Shuffled(5),
    gd.ShuffledOnce(5, drop_last=True),
    gd.WithReplacement(1),
    gd.BlockShuffled(5, block_size=2),
    gd.Stratified(5, labels=LABELS),
    gd.Balanced(5, labels=LABELS),
]
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: type(s).__name__)
every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)


def run(objective=LEAST_SQUARES, n=12, **changes):
    """A short descent on a small problem."""
    theta, X, y = problem(LEAST_SQUARES if isinstance(objective, Quartic) else objective, n)
    good = {
        "X": X,
        "y": y,
        "theta_init": theta,
        "objective": objective,
        "batches": gd.Shuffled(5),
        "learning_rate": 0.05,
        "n_epochs": 3,
        "rng": 0,
    }
    return gd.descend(**(good | changes))


def quadratic(n=40, seed=0):
    """A least-squares problem, the eigenvalues of its Hessian and its minimiser."""
    theta, X, y = problem(LEAST_SQUARES, n, seed)
    eigenvalues = np.linalg.eigvalsh(X.T @ X / n)
    return theta, X, y, eigenvalues, np.linalg.lstsq(X, y)[0]


# The update rule


@every_objective
@every_scheme
def test_a_path_is_the_update_rule_written_by_hand(objective, scheme):
    theta, X, y = problem(objective)
    schedule = schedules.inverse_time(0.1, 0.5)
    rng = np.random.default_rng(3)
    epochs = scheme.epochs(12, rng)
    path = gd.updates(
        X, y, theta, objective=objective, batches=scheme, learning_rate=schedule, rng=3
    )
    assert next(path)[:2] == (0, 0)
    step = seen = 0
    for epoch in islice(epochs, 3):
        for batch in epoch:
            theta = theta - 0.1 / (1 + 0.5 * step) * objective.gradient(theta, X[batch], y[batch])
            step += 1
            seen += len(y[batch])
            path_step, path_seen, path_theta = next(path)
            assert (path_step, path_seen) == (step, seen)
            np.testing.assert_allclose(path_theta, theta, rtol=1e-12, atol=1e-14)


@every_objective
@every_scheme
def test_one_seed_is_one_path_on_every_library(xp, objective, scheme):
    theta, X, y = problem(objective)
    there = dict(zip(("X", "y", "theta_init"), map(xp.asarray, (X, y, theta)), strict=True))
    expected, history = run(objective, batches=scheme)
    measured, elsewhere = run(objective, batches=scheme, **there)
    assert measured.device == xp.device
    np.testing.assert_allclose(gd.to_host(measured), expected, rtol=1e-10, atol=1e-12)
    for name, column in history.asdict().items():
        if name != "seconds":
            np.testing.assert_allclose(getattr(elsewhere, name), column, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("objective", [Quartic(), gd.MLP((4, 5, 3), l2=0.1)], ids=repr)
@every_scheme
def test_updates_and_descend_walk_one_path_to_the_bit(objective, scheme):
    theta, X, y = problem(LEAST_SQUARES if isinstance(objective, Quartic) else objective)
    arguments = {
        "objective": objective,
        "batches": scheme,
        "learning_rate": schedules.cosine(0.01, 50),
        "rng": 11,
    }
    last, history = gd.descend(X, y, theta, n_epochs=4, **arguments)
    *_, (step, seen, theta) = islice(gd.updates(X, y, theta, **arguments), history.step[-1] + 1)
    assert (step, seen) == (history.step[-1], history.samples_seen[-1])
    np.testing.assert_array_equal(theta, last)


@every_objective
@given(n=st.integers(1, 20), seed=st.integers(0, 99))
def test_a_minibatch_of_n_is_full_batch(objective, n, seed):
    theta, X, y = problem(objective, n, seed)
    full, _ = gd.batch_gradient_descent(X, y, theta, 0.1, 3, tol=0, objective=objective)
    mini, _ = gd.minibatch_gradient_descent(X, y, theta, n, 0.1, 3, rng=seed, objective=objective)
    np.testing.assert_allclose(mini, full, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES[:3], ids=repr)
def test_the_named_variants_are_descents(objective):
    theta, X, y = problem(objective, 20)
    options = {"objective": objective, "record_every": 2, "tol": 1e-3}
    for variant, batches in [
        (gd.batch_gradient_descent, gd.FullBatch()),
        (gd.stochastic_gradient_descent, gd.Shuffled(1)),
        (gd.minibatch_gradient_descent, gd.Shuffled(7)),
    ]:
        extra = {} if variant is gd.batch_gradient_descent else {"rng": 5}
        size = {"batch_size": 7} if variant is gd.minibatch_gradient_descent else {}
        named = variant(X, y, theta, learning_rate=0.2, n_epochs=4, **size, **extra, **options)
        general = gd.descend(
            X, y, theta, batches=batches, learning_rate=0.2, n_epochs=4, **extra, **options
        )
        np.testing.assert_array_equal(named.theta, general.theta)
        np.testing.assert_array_equal(named.history.loss, general.history.loss)


def test_the_defaults_of_the_named_variants_are_those_of_the_course():
    theta, X, y = problem(LEAST_SQUARES, 64)
    assert gd.batch_gradient_descent(X, y, theta).history.step[-1] == 100
    assert gd.stochastic_gradient_descent(X, y, theta).history.step[-1] == 64 * 10
    assert gd.minibatch_gradient_descent(X, y, theta).history.step[-1] == 2 * 50


# Arrays in and arrays out


@every_objective
@every_scheme
def test_single_precision_stays_single(xp, objective, scheme):
    theta, X, y = (xp.asarray(array) for array in problem(objective, dtype=np.float32))
    result, _ = run(
        objective, batches=scheme, X=X, y=y, theta_init=theta, learning_rate=np.float64(0.05)
    )
    assert gd.to_host(result).dtype == np.float32
    paths = gd.updates(
        X, y, theta, objective=objective, batches=scheme, learning_rate=schedules.cosine(0.1, 9)
    )
    assert {gd.to_host(theta).dtype for _, _, theta in islice(paths, 4)} == {np.dtype("float32")}


@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_single_precision_walks_the_path_of_double(batch_size):
    theta, X, y = problem(LEAST_SQUARES)
    single = {"X": X.astype("f4"), "y": y.astype("f4"), "theta_init": theta.astype("f4")}
    expected, _ = run(batches=gd.Shuffled(batch_size))
    measured, _ = run(batches=gd.Shuffled(batch_size), **single)
    np.testing.assert_allclose(measured, expected, rtol=1e-4)


@every_objective
@every_scheme
def test_the_arrays_of_the_caller_are_untouched(objective, scheme):
    arrays = problem(objective)
    before = [hashlib.sha256(array.tobytes()).digest() for array in arrays]
    theta, X, y = arrays
    result, _ = run(objective, batches=scheme, X=X, y=y, theta_init=theta)
    for _, _, theta in islice(
        gd.updates(X, y, arrays[0], objective=objective, batches=scheme, learning_rate=0.1, rng=0),
        5,
    ):
        theta[...] = np.nan  # what is yielded is the reader's own
        break
    result[...] = np.nan
    assert [hashlib.sha256(array.tobytes()).digest() for array in arrays] == before


def test_a_run_without_a_step_returns_an_array_of_its_own():
    theta, X, y = problem(LEAST_SQUARES)
    result, history = gd.batch_gradient_descent(X, y, theta, n_epochs=0)
    assert len(history) == 1
    assert not np.shares_memory(result, theta)
    np.testing.assert_array_equal(result, theta)


def test_every_theta_of_the_updates_can_be_kept():
    theta, X, y = problem(LEAST_SQUARES)
    thetas = [
        theta
        for _, _, theta in islice(
            gd.updates(X, y, theta, batches=gd.Shuffled(1), learning_rate=0.1), 30
        )
    ]
    assert len({theta.tobytes() for theta in thetas}) == 30


LAYOUTS = {
    "lists": lambda a: a.tolist(),
    "tuples": lambda a: tuple(map(tuple, a.tolist())) if a.ndim == 2 else tuple(a.tolist()),
    "column order": np.asfortranarray,
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "read only": lambda a: np.frombuffer(a.tobytes()).reshape(a.shape),
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
}


@every_objective
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("batch_size", [1, 12])
def test_the_layout_of_arrays_does_not_matter(objective, layout, batch_size):
    theta, X, y = problem(objective, 40)
    expected, _ = run(objective, 40, batches=gd.Shuffled(batch_size))
    measured, _ = run(
        objective,
        X=layout(X),
        y=layout(y),
        theta_init=layout(theta),
        batches=gd.Shuffled(batch_size),
    )
    np.testing.assert_allclose(measured, expected, rtol=1e-10)


def test_arrays_on_disk_are_read_as_they_lie(tmp_path):
    _, X, _ = problem(LEAST_SQUARES)
    on_disk = np.memmap(tmp_path / "X", dtype=X.dtype, mode="w+", shape=X.shape)
    on_disk[:] = X
    for batches in (gd.FullBatch(), gd.InOrder(5), gd.Shuffled(1)):
        expected, _ = run(batches=batches)
        measured, _ = run(X=on_disk, batches=batches)
        assert type(measured) is np.ndarray
        np.testing.assert_allclose(measured, expected, rtol=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES[2:], ids=repr)
@pytest.mark.parametrize("kind", ["int64", "uint8", "float32", "float64"])
def test_labels_of_any_kind_give_one_path(xp, objective, kind):
    theta, X, y = problem(objective)
    there = {"X": xp.asarray(X), "theta_init": xp.asarray(theta), "y": xp.asarray(y, kind)}
    np.testing.assert_allclose(
        gd.to_host(run(objective, **there).theta), run(objective).theta, rtol=1e-10, atol=1e-13
    )


def test_whole_numbers_are_data_too():
    X, y = np.array([[1, 2], [3, 5], [8, 13]], dtype=np.int8), np.array([1, 0, 1])
    for objective in (gd.LeastSquares(), gd.LogisticRegression()):
        whole = gd.batch_gradient_descent(X, y, [0, 0], objective=objective)
        real = gd.batch_gradient_descent(X * 1.0, y * 1.0, [0.0, 0.0], objective=objective)
        np.testing.assert_array_equal(whole.theta, real.theta)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("d", [1, 3])
def test_one_row_and_one_column_are_enough(xp, n, d):
    """The first step from zero is α·Xᵀy/n."""
    X, y = np.arange(1.0, n * d + 1).reshape(n, d), np.arange(1.0, n + 1)
    theta, history = gd.batch_gradient_descent(
        xp.asarray(X), xp.asarray(y), np.zeros(d).tolist(), 0.01, n_epochs=1
    )
    np.testing.assert_allclose(gd.to_host(theta), 0.01 * X.T @ y / n)
    assert history.samples_seen.tolist() == [0, n]


# What is recorded


@st.composite
def recordings(draw):
    n = draw(st.integers(1, 20))
    scheme = draw(st.sampled_from([gd.Shuffled, gd.InOrder, gd.WithReplacement]))
    return {
        "n": n,
        "batches": scheme(draw(st.integers(1, n)), drop_last=draw(st.booleans())),
        "n_epochs": draw(st.integers(0, 4)),
        "record_every": draw(st.none() | st.integers(1, 25)),
    }


@given(recordings())
def test_records_are_the_start_every_k_steps_and_the_end(recording):
    n, batches, every = (recording[name] for name in ("n", "batches", "record_every"))
    schedule = schedules.inverse_time(0.05, 0.1)
    history = run(**recording, learning_rate=schedule).history
    sizes = [
        size
        for epoch in islice(batches.epochs(n, 0), recording["n_epochs"])
        for size in epoch.batch_sizes
    ]
    per_epoch = len(sizes) // max(1, recording["n_epochs"])
    steps = range(0, len(sizes) + 1, (every or per_epoch) or 1)
    expected = sorted({*steps, len(sizes)})
    seen = np.concatenate([[0], np.cumsum(sizes)])[expected]
    assert history.step.tolist() == expected
    np.testing.assert_array_equal(history.samples_seen, seen)
    np.testing.assert_allclose(history.epoch, seen / n)
    np.testing.assert_allclose(history.learning_rate, [schedule(step) for step in expected])
    assert not history.diverged


@given(st.lists(st.integers(0, 12), max_size=6))
def test_records_can_be_asked_for_by_their_steps(marks):
    history = run(n_epochs=3, record_every=marks).history  # 9 steps
    assert history.step.tolist() == sorted({0, 9, *(mark for mark in marks if mark <= 9)})
    every = run(n_epochs=3, record_every=1).history
    np.testing.assert_array_equal(history.loss, every.loss[history.step])


@pytest.mark.parametrize("record_every", [None, 1, 4])
def test_a_record_holds_the_objective_on_all_rows(record_every):
    theta, X, y = problem(LEAST_SQUARES)
    objective = gd.LeastSquares(l2=0.2)
    options = {"objective": objective, "batches": gd.Shuffled(5), "learning_rate": 0.1, "rng": 1}
    history = gd.descend(X, y, theta, n_epochs=5, record_every=record_every, **options).history
    thetas = [theta for _, _, theta in islice(gd.updates(X, y, theta, **options), 16)]
    for step, loss, norm in zip(history.step, history.loss, history.gradient_norm, strict=True):
        assert loss == pytest.approx(objective.loss(thetas[step], X, y), rel=1e-12)
        gradient = objective.gradient(thetas[step], X, y)
        assert norm == pytest.approx(np.sqrt(np.sum(gradient**2)), rel=1e-12)


def test_seconds_start_at_zero_and_only_grow():
    seconds = run(n_epochs=20, record_every=1).history.seconds
    assert seconds[0] == 0
    assert np.all(np.diff(seconds) > 0)


@pytest.mark.parametrize("record_every", [None, 1, 7])
def test_a_tolerance_stops_at_the_first_record_below_it(record_every):
    theta, X, y, eigenvalues, _ = quadratic()
    tol = 1e-3
    options = {"batches": gd.FullBatch(), "learning_rate": 1 / eigenvalues[-1], "n_epochs": 2000}
    result, history = gd.descend(X, y, theta, tol=tol, record_every=record_every, **options)
    assert history.step[-1] < 2000
    assert history.step[-1] % (record_every or 1) == 0
    assert np.all(history.gradient_norm[:-1] >= tol)
    assert np.linalg.norm(LEAST_SQUARES.gradient(result, X, y)) < tol
    unstopped = gd.descend(X, y, theta, tol=None, record_every=record_every, **options).history
    assert unstopped.step[-1] == 2000
    np.testing.assert_array_equal(unstopped.loss[: len(history)], history.loss)


def test_a_start_below_the_tolerance_makes_no_step():
    _, X, y, _, minimiser = quadratic()
    _, history = gd.batch_gradient_descent(X, y, minimiser, tol=1e-6)
    assert history.step.tolist() == [0]


@pytest.mark.parametrize("tol", [None, 0.0])
def test_without_a_tolerance_a_run_goes_on_even_at_the_minimiser(tol):
    X, y = np.ones((2, 1)), np.array([2.0, 2.0])
    _, history = gd.batch_gradient_descent(X, y, [2.0], n_epochs=3, tol=tol)
    assert history.gradient_norm.tolist() == [0, 0, 0, 0]


@every_scheme
@pytest.mark.parametrize("record_every", [None, 1, 2])
def test_divergence_is_recorded_without_a_warning(xp, scheme, record_every):
    theta, X, y = (xp.asarray(array) for array in problem(LEAST_SQUARES))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result, history = run(
            X=X,
            y=y,
            theta_init=theta,
            batches=scheme,
            learning_rate=1e3,
            n_epochs=400,
            record_every=record_every,
        )
    assert history.diverged
    assert history.epoch[-1] < 400
    assert not np.isfinite(history.loss[-1])
    assert np.all(np.isfinite(history.loss[:-1]))
    assert result.device == xp.device


def test_a_finished_run_has_not_diverged():
    assert not run().history.diverged


# Schedules


@every_scheme
def test_a_schedule_is_drawn_once_a_step_in_order(scheme):
    drawn = []

    def schedule(step):
        drawn.append(step)
        return 0.1

    theta, X, y = problem(LEAST_SQUARES)
    path = gd.updates(
        X, y, theta, objective=Quartic(), batches=scheme, learning_rate=schedule, rng=0
    )
    drawn.clear()  # one is drawn at the door
    list(islice(path, 8))
    assert drawn == list(range(7))


@pytest.mark.parametrize("batch_size", [1, 5])
def test_a_bad_rate_raises_at_its_draw_and_names_its_step(batch_size):
    def schedule(step):
        return 0.01 if step != 4 else float("nan")

    theta, X, y = problem(LEAST_SQUARES, 30)
    message = r"positive and finite, but the schedule gives nan at step 4"
    with pytest.raises(ValueError, match=message):
        run(n=30, batches=gd.Shuffled(batch_size), learning_rate=schedule)
    path = gd.updates(X, y, theta, batches=gd.Shuffled(batch_size), learning_rate=schedule)
    assert len(list(islice(path, 5))) == 5
    with pytest.raises(ValueError, match=message):
        next(path)


@pytest.mark.parametrize("batch_size", [1, 5, 12])
@pytest.mark.parametrize("record_every", [None, 1, 7])
@pytest.mark.parametrize("kind", [list, np.array, lambda rates: dict(enumerate(rates))])
def test_a_table_of_rates_may_end_with_the_run(batch_size, record_every, kind):
    options = {"n": 30, "batches": gd.Shuffled(batch_size), "record_every": record_every}
    n_steps = 3 * -(-30 // batch_size)
    table = [0.05 / (1 + step) for step in range(n_steps + 1)]
    expected = run(**options, learning_rate=kind(table).__getitem__)
    theta, history = run(**options, learning_rate=kind(table[:-1]).__getitem__)
    np.testing.assert_array_equal(theta, expected.theta)
    np.testing.assert_array_equal(history.loss, expected.history.loss)
    rates, longer = history.learning_rate, expected.history.learning_rate
    np.testing.assert_array_equal(rates[:-1], longer[:-1])
    assert np.isnan(rates[-1])
    assert longer[-1] == table[-1]


@pytest.mark.parametrize("record_every", [None, 1, 7])
def test_a_table_of_rates_that_is_too_short_says_so(record_every):
    for batch_size in (1, 5):
        n_steps = 3 * 30 // batch_size
        table = [0.05] * (n_steps - 1)
        options = {"n": 30, "batches": gd.Shuffled(batch_size), "record_every": record_every}
        with pytest.raises(IndexError, match="list index out of range"):
            run(**options, learning_rate=table.__getitem__)


# Ctrl-C


@pytest.fixture
def listening():
    """A process started in the background of a shell does not hear Ctrl-C by itself."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ctrl_c_at(last):
    """A schedule under which a reader presses Ctrl-C at the step `last`."""

    def schedule(step):
        if step == last:
            signal.raise_signal(signal.SIGINT)
        return 1e-3

    return schedule


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("objective", [LEAST_SQUARES, Quartic()], ids=["compiled", "not compiled"])
@pytest.mark.parametrize("progress", [False, True])
@pytest.mark.parametrize("record_every", [None, 7])
def test_ctrl_c_returns_what_was_recorded(objective, progress, record_every):
    options = {"objective": objective, "n": 30, "batches": gd.Shuffled(1)}
    options |= {"record_every": record_every}
    theta, history = run(**options, learning_rate=ctrl_c_at(73), progress=progress)
    assert history.interrupted
    assert not history.diverged
    assert history.step[-1] == (60 if record_every is None else 70)
    whole = run(**options, learning_rate=lambda step: 1e-3).history
    assert not whole.interrupted
    np.testing.assert_array_equal(history.loss, whole.loss[: len(history)])
    _, X, y = problem(LEAST_SQUARES, 30)
    assert objective.loss(theta, X, y) == history.loss[-1]


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("record", range(4))
def test_ctrl_c_while_recording_returns_the_record_before(record):
    class Slow(Quartic):
        records = 0

        def loss(self, theta, X, y):
            if Slow.records == record:
                signal.raise_signal(signal.SIGINT)
            Slow.records += 1
            return super().loss(theta, X, y)

    if record == 0:
        with pytest.raises(KeyboardInterrupt):
            run(Slow())
        return
    theta, history = run(Slow())
    assert history.interrupted
    assert len(history) == record
    expected = run(Quartic(), n_epochs=record - 1)
    np.testing.assert_array_equal(theta, expected.theta)
    np.testing.assert_array_equal(history.loss, expected.history.loss)


# A reader's own parts


@dataclass(frozen=True)
class Growing:
    """A reader's own sampler: the batch size doubles every epoch."""

    batch_size: int = 1

    def epochs(self, n_samples, rng):
        size = self.batch_size
        while True:
            cuts = [*range(0, n_samples, size), n_samples]
            yield gd.Epoch(rng.permutation(n_samples), np.array(cuts))
            size = min(2 * size, n_samples)


@pytest.mark.parametrize("record_every", [None, 1, 3])
def test_a_readers_own_sampler_needs_only_its_method(xp, record_every):
    theta, X, y = (xp.asarray(array) for array in problem(LEAST_SQUARES))
    result, history = run(
        X=X, y=y, theta_init=theta, batches=Growing(), n_epochs=5, record_every=record_every
    )
    assert history.step[-1] == 12 + 6 + 3 + 2 + 1
    assert history.epoch[-1] == 5
    expected, _ = run(batches=Growing(), n_epochs=5, record_every=record_every)
    np.testing.assert_allclose(gd.to_host(result), expected, rtol=1e-10)


@dataclass(frozen=True)
class TwoEpochs:
    """A reader's own sampler that comes to an end."""

    def epochs(self, n_samples, rng):
        return islice(gd.Shuffled(5).epochs(n_samples, rng), 2)


def test_a_readers_own_sampler_may_end():
    theta, X, y = problem(LEAST_SQUARES)
    result, history = run(batches=TwoEpochs(), n_epochs=9)
    assert history.step[-1] == 6
    *_, (step, _, last) = gd.updates(X, y, theta, batches=TwoEpochs(), learning_rate=0.05, rng=0)
    assert step == 6
    np.testing.assert_array_equal(last, result)


@pytest.mark.parametrize("record_every", [None, 1])
@pytest.mark.parametrize("row", [30, -31])
def test_a_readers_own_sampler_that_misses_the_rows_is_told(record_every, row):
    @dataclass(frozen=True)
    class Beyond:
        def epochs(self, n_samples, rng):
            while True:
                yield gd.Epoch(np.full(n_samples, row), np.arange(n_samples + 1))

    with pytest.raises(IndexError, match=r"out of bounds|none of the 30"):
        run(n=30, batches=Beyond(), record_every=record_every)


@pytest.mark.parametrize("kind", [list, *(np.dtype(k).type for k in "bBhHiILlqQ")])
def test_an_order_may_hold_any_kind_of_whole_number(kind):
    @dataclass(frozen=True)
    class Own:
        def epochs(self, n_samples, rng):
            order, bounds = rng.permutation(100), np.arange(0, 101, 4)
            both = ([*a] if kind is list else a.astype(kind) for a in (order, bounds))
            while True:
                yield gd.Epoch(*both)

    expected, _ = run(n=100, batches=gd.Shuffled(4), n_epochs=1)
    np.testing.assert_array_equal(run(n=100, batches=Own(), n_epochs=1).theta, expected)


@pytest.mark.parametrize("record_every", [None, 3])
def test_an_epoch_without_a_batch_is_no_step(record_every):
    """As a sampler may give that finds no row to its liking."""

    @dataclass(frozen=True)
    class Some:
        def epochs(self, n_samples, rng):
            for epoch in gd.Shuffled(5).epochs(n_samples, rng):
                yield epoch[:0]
                yield epoch

    found, history = run(batches=Some(), n_epochs=4, record_every=record_every)
    expected, there = run(batches=gd.Shuffled(5), n_epochs=2, record_every=record_every)
    np.testing.assert_array_equal(found, expected)
    assert sorted({*history.step}) == there.step.tolist()


@every_scheme
def test_a_readers_own_objective_needs_only_its_methods(scheme):
    result, history = run(Quartic(), batches=scheme, learning_rate=1e-3)
    assert history.loss[-1] < history.loss[0]
    assert result.shape == (4,)


# What theory says


def test_full_batch_contracts_at_the_spectral_radius():
    """The error of a quadratic is multiplied by I − αH, whose largest factor remains."""
    theta, X, y, eigenvalues, minimiser = quadratic()
    for rate in (0.5 / eigenvalues[-1], 1.0 / eigenvalues[-1], 1.9 / eigenvalues[-1]):
        radius = np.max(np.abs(1 - rate * eigenvalues))
        n_steps = int(np.log(1e-7) / np.log(radius))  # late, and well above rounding
        path = gd.updates(X, y, theta, batches=gd.FullBatch(), learning_rate=rate)
        errors = [np.linalg.norm(theta - minimiser) for _, _, theta in islice(path, n_steps)]
        assert errors[-1] / errors[-2] == pytest.approx(radius, rel=0.01)


@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_two_over_the_largest_curvature_is_the_cliff(l2):
    theta, X, y, eigenvalues, _ = quadratic()
    cliff = 2 / (eigenvalues[-1] + l2)
    below, above = (
        gd.batch_gradient_descent(
            X, y, theta, cliff * factor, 3000, 0, objective=gd.LeastSquares(l2)
        ).history
        for factor in (0.99, 1.01)
    )
    assert below.gradient_norm[-1] < 1e-9
    assert above.diverged or above.loss[-1] > 1e6 * above.loss[0]


def test_sgd_on_data_without_noise_finds_the_truth():
    theta, X, _ = problem(LEAST_SQUARES, 50)
    result, _ = gd.stochastic_gradient_descent(X, X @ theta, 0 * theta, 0.05, 100, rng=0)
    np.testing.assert_allclose(result, theta, rtol=1e-9)


# Progress


def test_progress_is_shown_on_demand(capsys):
    pytest.importorskip("tqdm")
    expected, history = run()
    assert capsys.readouterr().err == ""
    shown, _ = run(progress=True)
    last = capsys.readouterr().err.split("\r")[-1]
    assert "100%" in last
    assert "36.0/36.0 " in last
    assert "sample/s" in last
    assert f"loss={history.loss[-1]:.4g}]" in last
    np.testing.assert_array_equal(shown, expected)


@every_scheme
@pytest.mark.parametrize("record_every", [None, 2])
def test_a_progress_bar_ends_at_its_end_and_a_resumed_one_begins_where_it_was(
    tmp_path, capsys, scheme, record_every
):
    text = pytest.importorskip("tqdm").tqdm.format_sizeof
    options = {"batches": scheme, "record_every": record_every, "checkpoint": tmp_path / "run"}
    run(n_epochs=2, **options)
    with np.load(options["checkpoint"]) as kept:
        seen = kept["samples_seen"][-1]
    assert seen > 0
    whole = run(n_epochs=4, progress=True, **options).history.samples_seen[-1]
    first, *_, last = capsys.readouterr().err.split("\r")[1:]
    assert f"| {text(seen)}/" in first
    assert f"| {text(whole)}/{text(whole)} " in last


def test_progress_without_tqdm_names_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"progress=True needs tqdm: `pip install tqdm`"):
        run(progress=True)

"""A compiled sweep is the definition, faster: both must walk the same path."""

import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gdcourse as gd
from gdcourse import descent, schedules
from gdcourse.engine import compiled as sweeps
from gdcourse.engine import loops
from gdcourse.rows import InMemory

RATES = (
    0.05,
    schedules.inverse_time(0.1, 0.1),
    schedules.warmup(schedules.cosine(0.1, 40), 7),
    lambda step: 0.1 / (1 + step % 3),
)

OBJECTIVES = [
    gd.LeastSquares(),
    gd.LeastSquares(l2=0.3),
    gd.LogisticRegression(),
    gd.LogisticRegression(l2=0.3),
    gd.SoftmaxRegression(3, l2=0.3),
]


@st.composite
def runs(draw):
    n = draw(st.integers(1, 40))
    d = draw(st.integers(1, 6))
    scheme = draw(st.sampled_from([gd.Shuffled, gd.ShuffledOnce, gd.InOrder, gd.WithReplacement]))
    return {
        "n": n,
        "d": d,
        "objective": draw(st.sampled_from(OBJECTIVES)),
        "batches": scheme(draw(st.integers(1, n)), drop_last=draw(st.booleans())),
        "learning_rate": draw(st.sampled_from(RATES)),
        "dtype": draw(st.sampled_from([np.float32, np.float64])),
        "seed": draw(st.integers(0, 2**16)),
    }


@given(runs())
@settings(max_examples=200, deadline=None)
def test_a_sweep_walks_the_path_of_the_definition(run):
    X, y, theta = problem(run)
    schedule = schedules.as_schedule(run["learning_rate"])
    rng = np.random.default_rng(run["seed"])
    step, expected, swept = 3, theta, theta
    for _, epoch in zip(range(3), run["batches"].epochs(run["n"], rng), strict=False):
        expected = define(X, y, expected, run["objective"], epoch, schedule, step)
        rates = schedules.rates(schedule, step, step + len(epoch))
        swept = sweeps.compiled(X, y, swept, run["objective"], epoch, rates)
        step += len(epoch)
    assert swept.dtype == run["dtype"]
    tolerance = 2000 * np.finfo(run["dtype"]).eps
    np.testing.assert_allclose(swept, expected, rtol=tolerance, atol=tolerance)


def define(X, y, theta, objective, epoch, schedule, step):
    """θ after an epoch, as the definition has it."""
    rule = descent.Rule(objective, schedule)
    *_, state = descent.steps(rule, InMemory(X, y), epoch, descent.State(step, 0, theta))
    return state.theta


def problem(run):
    rng = np.random.default_rng(run["seed"])
    n_classes = getattr(run.get("objective"), "n_classes", None)
    shape = (run["d"], n_classes) if n_classes else run["d"]
    X = rng.uniform(-1, 1, (run["n"], run["d"])).astype(run["dtype"])
    y = rng.integers(0, n_classes or 2, run["n"]).astype(run["dtype"])
    return X, y, rng.standard_normal(shape).astype(run["dtype"])


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_compiled_loop_is_the_python_one(monkeypatch, objective, batch_size):
    run = {"n": 11, "d": 3, "seed": 1, "dtype": np.float64, "objective": objective}
    X, y, theta = problem(run)
    epoch = next(gd.Shuffled(batch_size).epochs(11, 0))
    rates = np.linspace(0.1, 0.2, len(epoch))
    compiled = sweeps.compiled(X, y, theta, objective, epoch, rates)
    monkeypatch.setattr(loops, "machine_code", lambda loop: loop)
    interpreted = sweeps.compiled(X, y, theta, objective, epoch, rates)
    np.testing.assert_allclose(compiled, interpreted, rtol=1e-12)


def test_the_exponential_is_that_of_numpy_over_its_whole_range():
    """Within 1e-14, or a unit of the smallest numbers, and at the ends of the range exactly."""
    pytest.importorskip("numba")
    from numba import njit

    loops.teach_compiler()

    @njit(**loops.FAST)  # as in the loops: sums may be reordered there, but not in it
    def fill(x, found):
        for i in range(len(x)):
            found[i] = loops.exponential(x[i])

    rng = np.random.default_rng(0)
    ends = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308, 5e-324, 709.78, 709.79, -745.1, -746]
    x = np.concatenate([ends, rng.uniform(-750, 715, 10**5), rng.uniform(-1, 1, 10**5)])
    found = np.empty_like(x)
    fill(x, found)
    with np.errstate(over="ignore", under="ignore"):
        expected = np.exp(x)
        interpreted = [loops.exponential(value) for value in x[:100]]
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=5e-324)
    np.testing.assert_array_equal(found[:7], expected[:7])
    np.testing.assert_allclose(interpreted, expected[:100], rtol=1e-14, atol=5e-324)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [3, loops.WIDE + 1])
@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_one_pass_over_all_rows_is_the_loss_and_the_gradient(objective, d, dtype):
    """Over tiles that are full and one that is not, and scores from −100 to 100."""
    X, y, theta = problem({"n": 300, "d": d, "seed": 1, "dtype": dtype, "objective": objective})
    for scale in (1, 30):
        both = gd.evaluate(objective, scale * theta, X, y)
        wide = scale * theta.astype(float), X.astype(float), y.astype(float)
        for found, method in zip(both, (objective.loss, objective.gradient), strict=True):
            tolerance = 200 * np.finfo(dtype).eps
            expected = method(*wide)
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)


def test_small_logistic_losses_keep_their_digits():
    """Beside 1, each e⁻⁴⁰ would be lost; and the product of many factors stays in range."""
    X = np.ones((300_000, 1))
    for theta, expected in (([-40.0], np.exp(-40.0)), ([0.0], np.log(2)), ([800.0], 800.0)):
        loss, _ = gd.evaluate(gd.LogisticRegression(), theta, X, np.zeros(len(X)))
        assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_the_first_record_finds_what_is_not_finite(objective, value):
    """Compiled, the door leaves the look to it: also at θ = 0, and where a sigmoid saturates."""
    run = {"n": 300, "d": 3, "seed": 4, "dtype": np.float64, "objective": objective}
    X, y, theta = problem(run)
    call = {"batches": gd.FullBatch(), "learning_rate": 0.1, "n_epochs": 1}
    assert sweeps.reads_all(objective, X)
    for start in (0 * theta, theta):
        for row in (0, 130, 299):
            bad = X.copy()
            bad[row, row % 3] = value
            with pytest.raises(ValueError, match="X must be finite, but holds NaN or infinity"):
                gd.descend(bad, y, start, objective=objective, **call)
            bad = y.copy()
            bad[row] = value
            with pytest.raises(ValueError, match="y must be finite, but holds NaN or infinity"):
                gd.descend(X, bad, start, objective=objective, **call)
    huge, _ = gd.descend(X, y, 1e200 * theta, objective=objective, **call)  # which diverges
    assert huge.shape == theta.shape


@pytest.mark.parametrize(
    ("options", "evaluations"),
    [({}, 6), ({"momentum": 0.5}, 6), ({"record_every": 2}, 6), ({"nesterov": True}, 11)],
    ids=str,
)
def test_a_full_step_after_a_record_takes_its_gradient(options, evaluations):
    calls = []

    class Counted(gd.LeastSquares):
        def gradient(self, theta, X, y):
            calls.append(1)
            return super().gradient(theta, X, y)

    X, y, theta = problem({"n": 50, "d": 3, "seed": 2, "dtype": np.float64})
    options = {"batches": gd.FullBatch(), "learning_rate": 0.1} | options
    found, history = gd.descend(X, y, theta, objective=Counted(), n_epochs=5, **options)
    assert len(calls) == evaluations
    assert np.all(np.diff(history.seconds) > 0)
    options.pop("record_every", None)
    path = gd.updates(X, y, theta, **options)
    *_, (_, _, expected) = islice(path, 6)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("batches", [gd.FullBatch(), gd.InOrder(270)], ids=repr)
@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_steps_in_passes_walk_the_path_of_the_definition(objective, batches, momentum):
    """Also where the last batch is too short for a pass, and without a record between."""
    X, y, theta = problem(
        {"n": 600, "d": 3, "seed": 5, "dtype": np.float64, "objective": objective}
    )
    rule = descent.Rule(objective, schedules.constant(0.1), momentum)
    epoch = next(batches.epochs(600))
    step = sweeps.choose(rule, InMemory(X, y), theta, epoch)
    assert step is not descent.steps
    start = descent.State(0, 0, theta)
    for found, expected in zip(
        step(rule, InMemory(X, y), epoch, start),
        descent.steps(rule, InMemory(X, y), epoch, start),
        strict=True,
    ):
        np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-12)
        assert found[:2] == expected[:2]


def test_a_sweep_needs_no_place_to_keep_its_machine_code(monkeypatch):
    caching = pytest.importorskip("numba.core.caching")
    X, y, theta = problem({"n": 20, "d": 3, "seed": 2, "dtype": np.float64})
    run = {"batches": gd.Shuffled(1), "learning_rate": 0.1, "n_epochs": 1, "rng": 0}
    expected = gd.descend(X, y, theta, **run).theta
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    loops.machine_code.cache_clear()
    found = gd.descend(X, y, theta, **run).theta
    loops.machine_code.cache_clear()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("scheme", [gd.Shuffled, gd.InOrder])
def test_a_part_of_an_epoch_can_be_swept(objective, batch_size, scheme):
    X, y, theta = problem({"n": 20, "d": 3, "seed": 7, "dtype": np.float64, "objective": objective})
    part = next(scheme(batch_size).epochs(20, 1))[2:5]
    if part.order is not None:
        part = gd.Epoch(np.where(part.order % 2, part.order, part.order - 20), part.bounds)
    expected = define(X, y, theta, objective, part, schedules.constant(0.1), 0)
    swept = sweeps.compiled(X, y, theta, objective, part, np.full(3, 0.1))
    np.testing.assert_allclose(swept, expected, rtol=1e-12)


def test_other_threads_run_during_a_sweep():
    X, y, theta = problem({"n": 1000, "d": 100, "seed": 7, "dtype": np.float64})
    order = np.random.default_rng(0).integers(1000, size=4_000_000)
    epoch = gd.Epoch(order, np.arange(0, 4_000_001, 100))
    rates = np.full(len(epoch), 1e-4)
    sweeps.compiled(X, y, theta, gd.LeastSquares(), epoch[:16], rates[:16])  # compiled by now
    arguments = (X, y, theta, gd.LeastSquares(), epoch, rates)
    sweep = Thread(target=sweeps.compiled, args=arguments)
    turns = [time.perf_counter()]
    sweep.start()
    while sweep.is_alive():
        time.sleep(0.001)
        turns.append(time.perf_counter())
    # A sweep that kept the interpreter would be one long pause.
    assert np.diff(turns).max() < 0.5 * (turns[-1] - turns[0])


@pytest.mark.parametrize("n_runs", [3, 4, 9])
@pytest.mark.parametrize("d", [loops.SHORT, loops.SHORT + 1])
def test_runs_that_take_turns_walk_as_each_does_alone(n_runs, d):
    objective = gd.LeastSquares(l2=0.3)
    X, y, theta = problem({"n": 40, "d": d, "seed": 3, "dtype": np.float64})
    epochs = list(islice(gd.Shuffled(1).epochs(40, 0), 2))
    rates = np.array([[0.01], [0.02], [0.03]]).repeat(40, axis=1)
    thetas = np.stack([theta * k for k in range(n_runs)])
    order_of, rate_of = np.arange(n_runs) % 2, np.arange(n_runs) % 3
    expected = [
        sweeps.compiled(X, y, start, objective, epochs[order_of[k]], rates[rate_of[k]])
        for k, start in enumerate(thetas.copy())
    ]
    orders, bounds = np.stack([epoch.order for epoch in epochs]), epochs[0].bounds
    sweeps.sweep_runs(X, y, thetas, objective, orders, order_of, bounds, rates, rate_of)
    np.testing.assert_allclose(thetas, expected, rtol=1e-12)


def walk_all():
    """Every compiled loop, over epochs that end with the last row in memory."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 3)), rng.integers(2, size=300).astype(float)
    for objective in OBJECTIVES[1], OBJECTIVES[3], OBJECTIVES[4]:
        theta = np.zeros((3, 3) if objective is OBJECTIVES[4] else 3)
        for batch_size in (1, 7):
            epoch = next(gd.Shuffled(batch_size).epochs(300, rng))
            sweeps.compiled(X, y, theta, objective, epoch, np.full(len(epoch), 0.01))
        gd.evaluate(objective, theta, X, y)


def test_machine_code_reads_nothing_beyond_its_arrays(tmp_path):
    """What is fetched ahead of the last rows as well; without the check it would change nothing."""
    tests, package = Path(__file__).parent, Path(gd.__file__).parents[1]
    checked = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "0"}
    path = os.pathsep.join(map(str, (tests, package)))
    subprocess.run(
        [sys.executable, "-c", "import test_sweeps; test_sweeps.walk_all()"],
        env=os.environ | checked | {"PYTHONPATH": path},
        check=True,
    )


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("record_every", [None, 1, 50])
def test_without_numba_the_answers_are_the_same(monkeypatch, objective, record_every):
    X, y, theta = problem(
        {"n": 300, "d": 4, "seed": 2, "dtype": np.float64, "objective": objective}
    )
    arguments = {
        "objective": objective,
        "batches": gd.Shuffled(4),
        "learning_rate": schedules.inverse_time(0.2, 0.01),
        "n_epochs": 2,
        "rng": 5,
        "record_every": record_every,
    }
    calls = []
    compiled_loop = sweeps.compiled
    monkeypatch.setattr(sweeps, "compiled", lambda *a: calls.append(1) or compiled_loop(*a))
    compiled = gd.descend(X, y, theta, **arguments)
    assert bool(calls) == (record_every != 1)
    monkeypatch.setattr(sweeps, "find_spec", lambda name: None)
    calls.clear()
    plain = gd.descend(X, y, theta, **arguments)
    assert not calls
    np.testing.assert_allclose(compiled.theta, plain.theta, rtol=1e-12)
    np.testing.assert_allclose(compiled.history.loss, plain.history.loss, rtol=1e-12)
    np.testing.assert_array_equal(compiled.history.step, plain.history.step)


@given(runs())
@settings(max_examples=100, deadline=None)
def test_blocks_of_single_rows_walk_the_path_of_the_definition(run):
    run["objective"] = gd.LeastSquares()
    run["batches"] = type(run["batches"])(1)
    X, y, theta = problem(run)
    schedule = schedules.as_schedule(run["learning_rate"])
    epoch = next(run["batches"].epochs(run["n"], run["seed"]))
    expected = define(X, y, theta, run["objective"], epoch, schedule, 0)
    rates = schedules.rates(schedule, 0, len(epoch))
    swept = sweeps.triangular(X, y, theta, run["objective"], epoch, rates, block=7)
    assert swept.dtype == run["dtype"]
    tolerance = 2000 * np.finfo(run["dtype"]).eps
    np.testing.assert_allclose(swept, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("outlier", [1, 30, 1000])
def test_blocks_of_single_rows_keep_their_digits_where_a_run_diverges(xp, outlier):
    """Elimination with pivots lost all of them: θ grows to 1e26 within a block and back."""
    X, y, theta = problem({"n": 192, "d": 4, "seed": 1, "dtype": np.float64})
    X[::40] *= outlier
    epoch = next(gd.Shuffled(1).epochs(192, 0))
    schedule = schedules.constant(0.3)
    expected = define(X, y, theta, gd.LeastSquares(), epoch, schedule, 0)
    moved = [xp.asarray(array) for array in (X, y, theta)]
    swept = sweeps.triangular(*moved, gd.LeastSquares(), epoch, np.full(192, 0.3))
    np.testing.assert_allclose(gd.to_host(swept), expected, rtol=1e-11)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_run_diverges_in_any_layout(order):
    X, y, theta = problem({"n": 200, "d": 4, "seed": 0, "dtype": np.float64})
    run = {"n_epochs": 20, "rng": 0}
    _, history = gd.stochastic_gradient_descent(np.array(X, order=order), y, theta, 10, **run)
    assert history.diverged


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
def test_blocks_of_single_rows_take_any_precision(dtype):
    X, y, theta = problem({"n": 64, "d": 3, "seed": 2, "dtype": np.float64})
    X, y, theta = (array.astype(dtype) for array in (X, y, theta))
    run = {"batches": gd.Shuffled(1), "learning_rate": 0.1, "n_epochs": 1, "rng": 0}
    swept = gd.descend(X, y, theta, **run).theta
    plain = gd.descend(X, y, theta, record_every=1, **run).theta
    assert swept.dtype == dtype
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(swept.astype(float), plain.astype(float), rtol=200 * eps)


def test_rows_in_single_precision_are_walked_in_the_precision_of_theta():
    X, y, theta = problem({"n": 64, "d": 3, "seed": 2, "dtype": np.float32})
    run = {"batches": gd.Shuffled(1), "learning_rate": 0.1, "n_epochs": 1, "rng": 0}
    wide = theta.astype(np.float64)
    swept = gd.descend(X, y, wide, **run).theta
    plain = gd.descend(X, y, wide, record_every=1, **run).theta
    np.testing.assert_allclose(swept, plain, rtol=1e-12)


@pytest.mark.parametrize("label", [-1, 3, 1e7])
def test_a_label_that_changed_after_the_door_writes_nowhere(label):
    """A row of no class has the scores pushed down, and no other memory is touched."""
    objective = gd.SoftmaxRegression(3)
    run = {"n": 40, "d": 3, "seed": 3, "dtype": np.float64, "objective": objective}
    X, y, theta = problem(run)
    y[5] = label
    epoch = next(gd.Shuffled(1).epochs(40, 0))
    swept = sweeps.compiled(X, y, theta, objective, epoch, np.full(40, 0.1))
    expected = define(X, y, theta, objective, epoch, schedules.constant(0.1), 0)
    np.testing.assert_allclose(swept, expected, rtol=1e-12)


@pytest.mark.parametrize("scheme", [gd.Shuffled, gd.InOrder])
def test_blocks_of_single_rows_stay_on_the_device(xp, scheme):
    X, y, theta = problem({"n": 50, "d": 3, "seed": 8, "dtype": np.float64})
    run = {"batches": scheme(1), "learning_rate": 0.1, "n_epochs": 2, "rng": 3}
    epoch = next(run["batches"].epochs(50, 3))
    moved = [xp.asarray(array) for array in (X, y, theta)]
    if not isinstance(moved[0], np.ndarray):
        assert sweeps.choose_sweep(*moved, gd.LeastSquares(), epoch) is sweeps.triangular
    there, here = gd.descend(*moved, **run), gd.descend(X, y, theta, **run)
    np.testing.assert_allclose(gd.to_host(there.theta), here.theta, rtol=1e-12)


def test_a_sweep_leaves_the_arrays_of_the_caller_alone():
    X, y, theta = problem({"n": 64, "d": 4, "seed": 3, "dtype": np.float64})
    for array in (X, y, theta):
        array.flags.writeable = False
    before = theta.copy()
    gd.stochastic_gradient_descent(X, y, theta, 0.1, rng=0)
    np.testing.assert_array_equal(theta, before)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_a_sweep_makes_a_new_theta(objective):
    """A record or a checkpoint may hold the one before."""
    run = {"n": 20, "d": 3, "seed": 3, "dtype": np.float64, "objective": objective}
    X, y, theta = problem(run)
    before = theta.copy()
    epoch = next(gd.Shuffled(1).epochs(20, 0))
    assert not np.array_equal(sweeps.compiled(X, y, theta, objective, epoch, np.ones(20)), before)
    np.testing.assert_array_equal(theta, before)


@pytest.mark.parametrize("sign", [-1, 1])
def test_large_scores_overflow_no_exponential(sign):
    objective = gd.SoftmaxRegression(3)
    run = {"n": 20, "d": 3, "seed": 3, "dtype": np.float64, "objective": objective}
    X, y, theta = problem(run)
    X, theta = abs(X) + 1, sign * (1000 + abs(theta))
    epoch = next(gd.Shuffled(1).epochs(20, 0))
    expected = define(X, y, theta, objective, epoch, schedules.constant(0.1), 0)
    swept = sweeps.compiled(X, y, theta, objective, epoch, np.full(20, 0.1))
    assert np.isfinite(swept).all()
    np.testing.assert_allclose(swept, expected, rtol=1e-12)


def test_many_small_gradients_count_beside_a_large_one_in_single_precision():
    """Beside 1, single precision drops each of them: 2⁻²⁶ is below half an ulp."""
    X = np.full((20_001, 1), 2.0**-13, np.float32)
    X[0] = 1
    y, theta = np.full(len(X), -1, np.float32), np.zeros(1, np.float32)
    norms = 1 + 20_000 * 2.0**-26
    mean = (1 + 20_000 * 2.0**-13) / len(X)
    variance = gd.gradient_variance(gd.LeastSquares(), theta, X, y)
    assert variance == pytest.approx(norms / len(X) - mean**2, rel=1e-9)


@pytest.mark.parametrize("n", [2**14, 2**25])
def test_a_large_batch_in_single_precision_does_not_stall(n):
    """Row by row in single precision, a sum of ones stops at 2²⁴."""
    X = np.broadcast_to(np.float32(1), (n, 1)).copy()
    epoch = gd.Epoch(None, np.array([0, n]))
    swept = sweeps.compiled(
        X, X[:, 0], np.zeros(1, np.float32), gd.LeastSquares(), epoch, np.full(1, 0.5)
    )
    assert swept == pytest.approx(0.5, rel=1e-6)


def test_a_divergent_sweep_is_recorded_as_divergent():
    X, y, theta = problem({"n": 64, "d": 4, "seed": 4, "dtype": np.float64})
    _, history = gd.stochastic_gradient_descent(X, y, theta, 1e3, n_epochs=20, rng=0)
    assert history.diverged
    assert not np.isfinite(history.loss[-1])


def test_a_bad_rate_names_its_step_in_a_sweep():
    X, y, theta = problem({"n": 64, "d": 4, "seed": 5, "dtype": np.float64})
    with pytest.raises(ValueError, match=r"gives -0.5 at step 40"):
        gd.stochastic_gradient_descent(X, y, theta, lambda t: 0.1 if t < 40 else -0.5, rng=0)
    with pytest.raises(ValueError, match=r"gives 0.0 at step 33"):
        gd.stochastic_gradient_descent(X, y, theta, lambda t: 0.1 * 1e-10**t, rng=0)


@pytest.mark.parametrize(
    "change",
    [
        {"objective": gd.MLP((4, 2))},
        {"objective": gd.LeastSquares(l2=0.1), "X": np.ones((64, 4), dtype=np.float32)},
        {"objective": gd.LeastSquares(l2=0.1), "X": np.asfortranarray(np.ones((64, 4)))},
        {"epoch": next(gd.FullBatch().epochs(64))},
        {"epoch": next(gd.Shuffled(8).epochs(64, 0))},
    ],
    ids=["perceptron", "mixed precision", "column order", "full batch", "few steps"],
)
def test_a_sweep_is_not_taken_where_it_does_not_pay(change):
    X, y, theta = problem({"n": 64, "d": 4, "seed": 6, "dtype": np.float64})
    fitting = {
        "X": X,
        "y": y,
        "theta": theta,
        "objective": gd.LeastSquares(),
        "epoch": next(gd.Shuffled(2).epochs(64, 0)),
    }
    assert sweeps.choose_sweep(**fitting) is sweeps.compiled
    assert sweeps.choose_sweep(**(fitting | change)) is None

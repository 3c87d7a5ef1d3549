"""Rows on real worker processes: one answer, whatever happens to the workers."""

import asyncio
import gc
import multiprocessing
import os
import shutil
import signal
import threading
import time
from functools import partial
from itertools import islice
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster, Worker, wait
from problems import OBJECTIVES, problem

import gdcourse as gd
from gdcourse.engine import workers as engine
from gdcourse.engine.workers import DataParallel

N = 103
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has one way to end a process
SECONDS = 60  # for a test, after which it has hung
FORKS = "forkserver" in multiprocessing.get_all_start_methods()
METHOD = "forkserver" if FORKS else "spawn"  # a fork of a server that has imported Dask is quick
PROCESSES = multiprocessing.get_context(METHOD)
if FORKS:
    PROCESSES.set_forkserver_preload(["distributed", "gdcourse.engine.workers"])


@pytest.fixture(autouse=True)
def watchdog():
    """An error in place of a test that hangs, where the system has an alarm clock."""

    def bark(*_):
        raise AssertionError(f"nothing happened for {SECONDS} seconds")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    signal.signal(signal.SIGALRM, bark)
    # Again each second: an error inside a finaliser is swallowed.
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


def work(address):
    """Be a worker process that nobody starts again when it dies."""

    async def serve():
        async with Worker(address, nthreads=1, memory_limit=0, death_timeout=60) as worker:
            await worker.finished()

    with dask.config.set({"distributed.logging.distributed": "critical"}):
        asyncio.run(serve())


class Workers:
    """A scheduler, a client, and worker processes."""

    def __init__(self, cluster, client):
        self.cluster, self.client, self.processes = cluster, client, []

    def start(self, count):
        for _ in range(count):
            process = PROCESSES.Process(target=work, args=[self.cluster.scheduler_address])
            process.start()
            self.processes.append(process)

    def exactly(self, count):
        """This client, with so many workers and without the shards of earlier tests."""
        gc.collect()
        alive = self.alive()
        for process in alive[count:]:
            self.kill(process)
        self.start(count - len(alive))
        self.settle(count)
        return self.client

    def settle(self, count):
        while len(self.client.nthreads()) != count:
            time.sleep(0.02)

    def kill(self, process=None):
        """SIGKILL for a process, or for the first; it is gone when this returns."""
        process = process or self.alive()[0]
        process.kill()
        process.join()

    def busiest(self):
        """The process with the most shards, and how many these are."""
        places = list(self.places().values())
        address = max(places, key=places.count)
        number = self.client.run(os.getpid)[address]
        return next(p for p in self.processes if p.pid == number), places.count(address)

    def places(self):
        """The worker of each shard; an error where a shard has two."""
        held = self.client.has_what()
        places = [(key, w) for w, keys in held.items() for key in keys if "load-" in str(key)]
        assert len(dict(places)) == len(places)
        return dict(places)

    def alive(self):
        return [process for process in self.processes if process.is_alive()]


@pytest.fixture(scope="module")
def workers():
    """A scheduler that moves no shard, so that what is read again can be counted."""
    with (
        pytest.MonkeyPatch.context() as patch,
        dask.config.set({"distributed.scheduler.work-stealing": False}),
        LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        patch.setenv("OMP_NUM_THREADS", "1")
        crowd = Workers(cluster, client)
        yield crowd
        for process in crowd.alive():
            crowd.kill(process)


@pytest.fixture
def quick_look(monkeypatch):
    """Looks for workers every few milliseconds."""
    monkeypatch.setattr(engine, "POLL_SECONDS", 0.02)


def ragged(directory, X, y, *lengths):
    """Shards of these lengths; the rest of the rows in the last one."""
    directory.mkdir()
    count = len(lengths) + 1
    for name, array in ("X", X), ("y", y):
        for k, part in enumerate(np.split(array, np.cumsum(lengths))):
            np.save(directory / f"{name}-{k:05d}-of-{count:05d}.npy", part)
    return directory


@pytest.fixture
def case(tmp_path):
    """A small problem, and the same rows in four unequal shards."""
    theta, X, y = problem(gd.LeastSquares(), N)
    return theta, X, y, ragged(tmp_path / "shards", X, y, 1, 50, 22)


class Slow(gd.LeastSquares):
    """Least squares whose gradient takes some time on the workers."""

    def gradient(self, theta, X, y):
        time.sleep(0.02)
        return super().gradient(theta, X, y)


class SlowOnSmallShards(gd.LeastSquares):
    def gradient(self, theta, X, y):
        time.sleep(0.3 if X.shape[0] == 1 else 0)
        return super().gradient(theta, X, y)


RUN = {"learning_rate": 0.05, "n_epochs": 3, "rng": 2}
SOME = RUN | {"batches": gd.Shuffled(40)}
close = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12)


def descend(rows, theta, **options):
    return gd.descend(rows.X, rows.y, theta, **options)


def gradient(rows, theta):
    return gd.evaluate(gd.LeastSquares(), theta, rows.X, rows.y)[1]


def meanwhile(action, at_step):
    """A learning rate of 0.05 that does something once, at a step."""

    def rate(step):
        if step == at_step and not done:
            done.append(action())
        return 0.05

    done = []
    return rate


# One answer


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_workers_answer_as_memory_does(workers, tmp_path, objective):
    theta, X, y = problem(objective, N)
    rows = DataParallel(workers.exactly(2), ragged(tmp_path / "shards", X, y, 1, 50, 22))
    for batch in (slice(None), slice(40, 80), slice(3, 4), np.array([102, 0, 7, -96, 50, -1])):
        for function in (objective.loss, objective.gradient):
            close(rows.mean(function, theta, batch), function(theta, X[batch], y[batch]))
    for measure in (gd.gradient_variance, gd.noise_scale):
        close(measure(objective, theta, rows.X, rows.y), measure(objective, theta, X, y))
    for found, expected in zip(
        gd.evaluate(objective, theta, rows.X, rows.y),
        gd.evaluate(objective, theta, X, y),
        strict=True,
    ):
        assert type(found) is type(expected)
        close(found, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"batches": gd.FullBatch()},
        {"batches": gd.FullBatch(), "momentum": 0.5},
        {"batches": gd.InOrder(40)},
        {"batches": gd.Shuffled(40)},
        {"batches": gd.Shuffled(40), "momentum": 0.5, "nesterov": True, "record_every": 2},
        {"batches": gd.WithReplacement(30, drop_last=True)},
        {"batches": gd.BlockShuffled(40, block_size=9, buffer_blocks=3)},
        {"batches": gd.Balanced(50, labels=np.arange(N) % 3)},
    ],
    ids=lambda options: "-".join([type(options["batches"]).__name__, *list(options)[1:]]),
)
def test_a_descent_does_not_notice(workers, case, options):
    """And it costs a mean for each record and each step, or none for a step that a record made."""
    theta, X, y, directory = case
    options = RUN | options | {"objective": gd.LeastSquares(l2=0.3)}
    expected, history = gd.descend(X, y, theta, **options)
    rows = DataParallel(workers.exactly(2), directory)
    found, there = descend(rows, theta, **options)
    close(found, expected)
    for name, column in history.asdict().items():
        if name != "seconds":
            close(getattr(there, name), column)
    made_by_record = len(there) - 1 if isinstance(options["batches"], gd.FullBatch) else 0
    assert rows.report().steps == there.step[-1] + len(there) - made_by_record


def test_every_other_function_does_not_notice_either(workers, case):
    theta, X, y, directory = case
    rows = DataParallel(workers.exactly(2), directory)
    options = {"learning_rate": 0.05, "batches": gd.Shuffled(40), "rng": 2, "momentum": 0.5}
    there = gd.updates(rows.X, rows.y, theta, **options)
    for found, expected in zip(islice(there, 9), gd.updates(X, y, theta, **options), strict=False):
        assert found[:2] == expected[:2]
        close(found[2], expected[2])
    for exact in (True, False):
        floors = [gd.noise_floor(*data, 0.05, exact=exact) for data in ((rows.X, rows.y), (X, y))]
        close(*floors)
    close(gd.stability_limit(rows.X, 4), gd.stability_limit(X, 4))
    for found, expected in zip(gd.compress(rows.X, rows.y), gd.compress(X, y), strict=True):
        close(found, expected)
    sizes = {"batch_sizes": (2, 50), "n_batches": 3, "rng": 1}
    estimate = partial(gd.estimate_noise_scale, gd.LeastSquares(), theta)
    close(estimate(rows.X, rows.y, **sizes), estimate(X, y, **sizes))
    np.testing.assert_array_equal(rows.X, X)


def test_a_small_variance_keeps_its_digits(workers, tmp_path):
    X, y = np.ones((N, 2)), 1 + 1e-6 * np.arange(N)
    rows = DataParallel(workers.exactly(2), ragged(tmp_path / "shards", X, y, 1, 50))
    given = gd.LeastSquares(), np.full(2, 100.0)
    found = gd.gradient_variance(*given, rows.X, rows.y)
    np.testing.assert_allclose(found, gd.gradient_variance(*given, X, y), rtol=1e-9)


def test_a_tree_of_many_shards_is_one_sum(workers, tmp_path):
    """21 shards: three sums of sums, and a sum of these; and of two rows, by small numbers."""
    theta, X, y = problem(gd.LeastSquares(), 210)
    directory = tmp_path / "shards"
    gd.write_shards(directory, X, y, 10)
    rows = DataParallel(workers.exactly(2), directory)
    for batch in (slice(None), np.array([-1, 5], "i1")):
        expected = gd.LeastSquares().gradient(theta, X[batch], y[batch])
        close(rows.mean(gd.LeastSquares().gradient, theta, batch), expected)
    report = rows.report()
    assert (report.n_shards, report.n_workers, report.loads) == (21, 2, 21)


def test_a_shard_without_rows_is_left_out(workers, tmp_path):
    theta, X, y = problem(gd.LeastSquares(), N)
    rows = DataParallel(workers.exactly(2), ragged(tmp_path / "shards", X, y, 0, 50, 0))
    close(gradient(rows, theta), gd.LeastSquares().gradient(theta, X, y))
    assert rows.report().n_shards == 2


def test_what_is_reported_is_what_was_done(workers, case):
    theta, _, _, directory = case
    rows = DataParallel(workers.exactly(2), directory)
    objective = gd.LeastSquares()
    assert rows.report() == (4, 2, 0, 0, 0, 0.0, 0.0, 0)
    rows.mean(objective.gradient, theta)  # all rows: no numbers of rows go out
    assert rows.report()[2:5] == (1, 4 * theta.nbytes, 4 * theta.nbytes)
    rows.mean(objective.gradient, theta, np.array([60, 1, 2]))  # 3 rows in 2 shards
    assert rows.report()[2:5] == (2, 6 * theta.nbytes + 3 * 8, 6 * theta.nbytes)
    rows.mean(objective.loss, theta)
    report = rows.report()
    assert report[2:5] == (3, 10 * theta.nbytes + 3 * 8, 6 * theta.nbytes + 4 * 8)
    assert (report.n_shards, report.n_workers, report.loads) == (4, 2, 4)
    gd.evaluate(objective, theta, rows.X, rows.y)  # the loss and the gradient in one mean
    assert rows.report()[2:5] == (4, report[3] + 4 * theta.nbytes, report[4] + 4 * 5 * 8)


def test_time_is_split_into_computing_and_communicating(workers, case):
    """Two shards on each of two workers sleep 20 ms each: the busiest thread takes 40 ms."""
    theta, _, _, directory = case
    rows = DataParallel(workers.exactly(2), directory)
    start = time.perf_counter()
    for _ in range(5):
        rows.mean(Slow().gradient, theta)
    waited = time.perf_counter() - start
    report = rows.report()
    assert 5 * 0.04 <= report.compute_seconds <= waited
    assert report.communication_seconds > 0
    total = report.compute_seconds + report.communication_seconds
    np.testing.assert_allclose(total, waited, rtol=0.05)


def test_shards_stay_where_they_are(workers, case):
    """Also where Dask takes the tasks of many steps for one large group, and shares it out."""
    theta, _, _, directory = case
    rows = DataParallel(workers.exactly(2), directory)
    before = workers.places()
    assert sorted(map(list(before.values()).count, set(before.values()))) == [2, 2]
    descend(rows, theta, objective=Slow(), **RUN | {"batches": gd.Shuffled(10), "n_epochs": 2})
    assert workers.places() == before


def test_a_model_of_many_values_a_row_works_in_smaller_blocks(workers, tmp_path):
    """The owner that a function opens knows how wide its objective is, and shares the costs."""
    objective = gd.MLP((4, 5000, 3))
    theta, X, y = problem(objective, 30)
    rows = DataParallel(workers.exactly(2), ragged(tmp_path / "shards", X, y, 15))
    _, data = rows.open_problem(objective, theta, rows.X, rows.y)
    assert (data.width, rows.width) == (objective.width, 1)
    close(data.mean(objective.gradient, theta), objective.gradient(theta, X, y))
    assert rows.report() == data.report()
    assert rows.report().steps == 1


def test_a_run_over_workers_goes_on_from_its_checkpoint(workers, case, tmp_path):
    theta, _, _, directory = case
    rows = DataParallel(workers.exactly(2), directory)
    options = SOME | {"momentum": 0.5, "checkpoint": tmp_path / "run"}
    descend(rows, theta, **options | {"n_epochs": 1})
    found, history = descend(rows, theta, **options)
    expected, whole = descend(rows, theta, **SOME, momentum=0.5)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(history.loss, whole.loss)


def test_what_cannot_be_is_refused_by_name(workers, case):
    theta, X, y, directory = case
    client = workers.exactly(2)
    for bad, error, message in (
        ((None, directory), TypeError, "client must be a distributed.Client, got None"),
        ((client, gd.LeastSquares()), TypeError, r"directory must be a path, got LeastSquares\("),
        ((client, gd.LeastSquares(), directory), TypeError, "directory must be a path, got Least"),
        ((client, directory.parent), FileNotFoundError, r"no shards X-00000-of-\.\.\. in "),
        ((client, directory, 0), ValueError, "timeout must be positive and finite, got 0.0"),
        ((client, directory, "long"), TypeError, "timeout must be a number, got 'long'"),
    ):
        with pytest.raises(error, match=message):
            DataParallel(*bad)
    rows = DataParallel(client, directory)
    for wrong in ((rows.X, y), (rows.X, rows.X), (rows.y, rows.X), (rows.X, X)):
        with pytest.raises(ValueError, match="X and y must be the X and the y of one DataParallel"):
            gd.evaluate(gd.LeastSquares(), theta, *wrong)
    with pytest.raises(ValueError, match="labels 0 and 1"):
        descend(rows, theta, objective=gd.LogisticRegression(), **SOME)
    with pytest.raises(ValueError, match=r"theta_init must have shape \(4,\)"):
        descend(rows, theta[1:], **SOME)


def test_a_client_that_is_closed_or_told_to_forget_is_an_error(workers, case):
    theta, _, _, directory = case
    workers.exactly(2)
    with Client(workers.cluster) as client:
        rows = DataParallel(client, directory)
    for use in (
        rows.report,
        partial(gradient, rows, theta),
        partial(DataParallel, client, directory),
    ):
        with pytest.raises(RuntimeError, match="the client is closed: make the DataParallel anew"):
            use()
    rows = DataParallel(workers.client, directory)
    workers.client.cancel(rows._shards)
    with pytest.raises(RuntimeError, match="the scheduler is gone, or has forgotten the shards: "):
        gradient(rows, theta)


def test_an_owner_that_is_dropped_lets_go_of_its_shards_at_once(workers, case):
    theta, _, _, directory = case
    rows = DataParallel(workers.exactly(2), directory)
    gradient(rows, theta)
    gc.disable()
    try:
        del rows
        while workers.places():
            time.sleep(0.02)
    finally:
        gc.enable()


def test_an_error_lets_go_of_the_shards(workers, case):
    theta, _, _, directory = case
    rows = DataParallel(workers.exactly(2), directory)
    with pytest.raises(ValueError, match="mismatch"):
        rows.mean(gd.LeastSquares().gradient, theta[1:])
    del rows
    while workers.places():
        gc.collect()
        time.sleep(0.02)


def test_a_large_theta_is_a_new_one_at_every_step(workers, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 40_000)), rng.standard_normal(30)
    gd.write_shards(tmp_path / "shards", X, y, 10)
    rows = DataParallel(workers.exactly(2), tmp_path / "shards")
    for _ in range(2):
        theta = rng.standard_normal(40_000)
        expected = gd.LeastSquares().gradient(theta, X, y)
        np.testing.assert_allclose(gradient(rows, theta), expected, rtol=1e-9)


# What goes wrong with workers


@pytest.mark.parametrize("scheme", [gd.FullBatch(), gd.Shuffled(40)], ids=["all", "some"])
def test_a_worker_killed_in_mid_run_changes_nothing(workers, case, scheme):
    """Its shards are read again by the other; sums go by the shards, so no bit changes."""
    theta, _, _, directory = case
    rows = DataParallel(workers.exactly(2), directory)
    options = RUN | {"batches": scheme, "objective": Slow()}
    expected, _ = descend(rows, theta, **options)
    assert rows.report().loads == 4
    victim, lost = workers.busiest()
    kill = meanwhile(lambda: threading.Timer(0.03, workers.kill, [victim]).start(), 2)
    found, _ = descend(rows, theta, **options | {"learning_rate": kill})
    np.testing.assert_array_equal(found, expected)
    report = rows.report()
    assert (report.n_workers, report.loads) == (1, 4 + lost)


def test_a_worker_added_in_mid_run_changes_nothing(workers, case):
    theta, _, _, directory = case
    rows = DataParallel(workers.exactly(1), directory)
    expected, _ = descend(rows, theta, objective=Slow(), **SOME)

    def add():
        workers.start(1)
        workers.settle(2)

    options = SOME | {"learning_rate": meanwhile(add, 2), "objective": Slow()}
    found, _ = descend(rows, theta, **options)
    np.testing.assert_array_equal(found, expected)
    report = rows.report()
    assert (report.n_workers, report.loads) == (2, 4)


def test_a_new_worker_takes_over_from_the_last_one(workers, case):
    """The only worker dies, and another comes while the descent waits."""
    theta, X, y, directory = case
    rows = DataParallel(workers.exactly(1), directory)

    def replace():
        workers.kill()
        workers.start(1)

    found, _ = descend(rows, theta, **SOME | {"learning_rate": meanwhile(replace, 3)})
    close(found, gd.descend(X, y, theta, **SOME).theta)


def test_no_worker_left_is_an_error(workers, case, quick_look):
    theta, _, _, directory = case
    rows = DataParallel(workers.exactly(1), directory, timeout=0.2)
    with pytest.raises(RuntimeError, match=r"there has been no worker for 0.2 seconds: start one"):
        descend(rows, theta, **SOME | {"learning_rate": meanwhile(workers.kill, 3)})


def test_no_worker_from_the_start_is_an_error(workers, case, quick_look):
    client = workers.exactly(0)
    with pytest.raises(RuntimeError, match=r"there has been no worker for 0.2 seconds: start one"):
        DataParallel(client, case[-1], timeout=0.2)


def test_a_slow_worker_is_waited_for(workers, case, quick_look):
    """One shard takes longer than both the look for workers and the time allowed without any."""
    theta, X, y, directory = case
    rows = DataParallel(workers.exactly(2), directory, timeout=0.1)
    run = RUN | {"batches": gd.FullBatch(), "n_epochs": 2}
    found, _ = descend(rows, theta, objective=SlowOnSmallShards(), **run)
    close(found, gd.descend(X, y, theta, **run).theta)


def test_an_answer_that_takes_longer_than_a_look_breaks_no_later_one(workers, case, monkeypatch):
    """A look that gave up on an answer under way had every later one of the client fail."""
    monkeypatch.setattr(engine, "POLL_SECONDS", 0.001)
    theta, X, y, directory = case
    rows = DataParallel(workers.exactly(2), directory)
    expected = gd.LeastSquares().gradient(theta, X, y)
    for _ in range(30):
        close(rows.mean(gd.LeastSquares().gradient, theta), expected)


def test_a_nanny_starts_a_killed_worker_again(case):
    theta, X, y, directory = case
    one_each = {"n_workers": 2, "threads_per_worker": 1}
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": METHOD}),
        LocalCluster(**one_each, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        rows = DataParallel(client, directory)
        victim = next(iter(client.run(os.getpid).values()))
        kill = meanwhile(lambda: os.kill(victim, KILL), 3)
        found, _ = descend(rows, theta, **SOME | {"learning_rate": kill})
        while len(client.nthreads()) < 2:
            time.sleep(0.02)
        again = gradient(rows, theta)
    close(found, gd.descend(X, y, theta, **SOME).theta)
    close(again, gd.LeastSquares().gradient(theta, X, y))


# What goes wrong with files


def spoil(path, how):
    if how == "missing":
        path.unlink()
    else:
        with path.open("r+b") as file:
            file.truncate(130)  # a header, and not one row


BAD = {"missing": (FileNotFoundError, "is missing"), "cut short": (ValueError, "is cut short")}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_shard_is_named_at_the_start(workers, case, how):
    *_, directory = case
    spoil(directory / "X-00002-of-00004.npy", how)
    error, message = BAD[how]
    with pytest.raises(error, match=rf"X-00002-of-00004.npy {message}"):
        DataParallel(workers.client, directory)


@pytest.mark.parametrize("how", BAD)
def test_a_bad_shard_is_named_when_it_has_to_be_read_again_and_may_be_put_back(
    workers, case, tmp_path, how
):
    theta, X, y, directory = case
    shutil.copytree(directory, tmp_path / "kept")
    rows = DataParallel(workers.exactly(2), directory)

    def kill():
        for path in directory.iterdir():
            spoil(path, how)
        workers.kill()

    error, message = BAD[how]
    with pytest.raises(error, match=rf"shard .*-of-00004.npy {message}"):
        descend(rows, theta, **SOME | {"learning_rate": meanwhile(kill, 3)})
    with pytest.raises(error, match=rf"shard .*-of-00004.npy {message}"):
        gradient(rows, theta)
    wait(rows._shards, timeout=60)  # nobody puts a file back that fast
    shutil.copytree(tmp_path / "kept", directory, dirs_exist_ok=True)
    close(descend(rows, theta, **SOME).theta, gd.descend(X, y, theta, **SOME).theta)


def test_a_shard_with_a_bad_value_is_named(workers, case):
    _, X, y, directory = case
    X[60, 2] = np.nan
    shutil.rmtree(directory)
    ragged(directory, X, y, 1, 50, 22)
    with pytest.raises(ValueError, match=r"in shard .*X-00002-of-00004.npy: X must be finite"):
        DataParallel(workers.exactly(2), directory)


# Memory


def anonymous():
    """Bytes that this process holds, without the files that it has mapped."""
    import ctypes

    ctypes.CDLL("libc.so.6").malloc_trim(0)
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux counts the pages")
def test_a_worker_holds_its_shards_and_a_constant(workers, tmp_path):
    """Two workers hold 32 MB each of 64 MB, and a full gradient takes only blocks above that."""
    rng = np.random.default_rng(0)
    n, d = 80_000, 100
    gd.write_shards(tmp_path / "few", X := rng.standard_normal((4000, d)), X[:, 0], 500)
    gd.write_shards(tmp_path / "all", X := rng.standard_normal((n, d)), X[:, 0], n // 8)
    client = workers.exactly(2)
    # So that each worker has imported and compiled what it needs before the counting starts.
    descend(DataParallel(client, tmp_path / "few"), np.zeros(d), **SOME)
    before = client.run(anonymous)
    client.run(lambda: Path("/proc/self/clear_refs").write_text("5"))  # the peak starts here
    start = client.run(peak)
    rows = DataParallel(client, tmp_path / "all")
    descend(rows, np.zeros(d), **RUN | {"batches": gd.Shuffled(5000), "n_epochs": 1})
    share = X.nbytes / 2
    for worker, held in client.run(anonymous).items():
        assert held - before[worker] < share + 2**23
    for worker, most in client.run(peak).items():
        assert most - start[worker] < share + 3 * 2**24

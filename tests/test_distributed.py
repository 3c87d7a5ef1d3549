"""Data-parallel objectives on real processes: one answer, whatever happens to the workers."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster
from problems import OBJECTIVES, problem

import gdcourse as gd
from gdcourse.engine import workers as distributed

HERE = Path(__file__).parent
N = 103
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has one way to end a process
SECONDS = 60  # for a test, after which it has hung


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


class Workers:
    """A scheduler, a client, and worker processes that nobody starts again when they die."""

    def __init__(self, cluster, client):
        self.cluster, self.client, self.processes = cluster, client, []

    def start(self, count):
        command = [sys.executable, "-m", "distributed.cli.dask_worker"]
        command += [self.cluster.scheduler_address, "--no-nanny", "--no-dashboard"]
        command += ["--nthreads", "1", "--memory-limit", "0", "--death-timeout", "60"]
        paths = os.pathsep.join(map(str, (HERE, HERE.parent)))
        for _ in range(count):
            process = subprocess.Popen(
                command,
                env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
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
        process.wait()

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
        return [process for process in self.processes if process.poll() is None]

    def stop(self):
        for process in self.alive():
            self.kill(process)


@pytest.fixture(scope="module")
def workers():
    """A scheduler that moves no shard, so that what is read again can be counted."""
    with (
        dask.config.set({"distributed.scheduler.work-stealing": False}),
        LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        crowd = Workers(cluster, client)
        yield crowd
        crowd.stop()


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


RUN = {"learning_rate": 0.05, "n_epochs": 4, "rng": 2}


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
def test_shards_give_the_gradient_of_all_rows(workers, tmp_path, objective):
    theta, X, y = problem(objective, N)
    directory = ragged(tmp_path / "shards", X, y, 1, 50, 22)
    job = distributed.DataParallel(workers.exactly(2), objective, directory)
    twice = np.array([102, 0, 7, 7, 50, 51, 90, 7])
    for rows in (slice(None), slice(40, 80), slice(3, 4), twice):
        given, expected = (theta, job.X[rows], job.y[rows]), (theta, X[rows], y[rows])
        for name in ("loss", "gradient", "per_sample_gradients"):
            np.testing.assert_allclose(
                getattr(job, name)(*given),
                getattr(objective, name)(*expected),
                rtol=1e-12,
                atol=1e-12,
            )


@pytest.mark.parametrize(
    "scheme",
    [
        gd.FullBatch(),
        gd.InOrder(40),
        gd.Shuffled(40),
        gd.WithReplacement(30, drop_last=True),
        gd.BlockShuffled(40, block_size=9, buffer_blocks=3),
        gd.Balanced(50, labels=np.arange(N) % 3),
    ],
    ids=lambda scheme: type(scheme).__name__,
)
def test_the_engine_does_not_notice(workers, case, scheme):
    theta, X, y, directory = case
    objective = gd.LeastSquares(l2=0.3)
    expected, history = gd.descend(X, y, theta, objective=objective, batches=scheme, **RUN)
    job = distributed.DataParallel(workers.exactly(2), objective, directory)
    found, there = gd.descend(job.X, job.y, theta, objective=job, batches=scheme, **RUN)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    for name, column in history.asdict().items():
        if name != "seconds":
            np.testing.assert_allclose(getattr(there, name), column, rtol=1e-12, atol=1e-12)


def test_a_tree_of_many_shards_is_one_sum(workers, tmp_path):
    """20 shards: three sums of sums, and a sum of these."""
    theta, X, y = problem(gd.LeastSquares(), N)
    directory = tmp_path / "shards"
    gd.write_shards(directory, X, y, 5)
    job = distributed.DataParallel(workers.exactly(2), gd.LeastSquares(), directory)
    expected = gd.LeastSquares().gradient(theta, X, y)
    np.testing.assert_allclose(job.gradient(theta, job.X, job.y), expected, rtol=1e-12)
    report = job.report()
    assert (report.n_shards, report.n_workers, report.loads) == (21, 2, 21)


def test_a_shard_without_rows_is_left_out(workers, tmp_path):
    theta, X, y = problem(gd.LeastSquares(), N)
    directory = ragged(tmp_path / "shards", X, y, 0, 50, 0)
    job = distributed.DataParallel(workers.exactly(2), gd.LeastSquares(), directory)
    expected = gd.LeastSquares().gradient(theta, X, y)
    np.testing.assert_allclose(job.gradient(theta, job.X, job.y), expected, rtol=1e-12)
    assert job.report().n_shards == 2


def test_what_is_reported_is_what_was_done(workers, case):
    theta, _, _, directory = case
    job = distributed.DataParallel(workers.exactly(2), gd.LeastSquares(), directory)
    assert job.report() == (4, 2, 0, 0, 0, 0.0, 0.0, 0)
    job.gradient(theta, job.X, job.y)  # all rows: no numbers of rows go out
    assert job.report()[2:5] == (1, 4 * theta.nbytes, 4 * theta.nbytes)
    job.gradient(theta, job.X[[60, 1, 2]], job.y[:3])  # 3 rows in 2 shards
    assert job.report()[2:5] == (2, 6 * theta.nbytes + 3 * 8, 6 * theta.nbytes)
    job.loss(theta, job.X, job.y)
    report = job.report()
    assert report[2:5] == (3, 10 * theta.nbytes + 3 * 8, 6 * theta.nbytes + 4 * 8)
    assert (report.n_shards, report.n_workers, report.loads) == (4, 2, 4)


def test_time_is_split_into_computing_and_communicating(workers, case):
    """Two shards on each of two workers sleep 20 ms each: the busiest thread takes 40 ms."""
    theta, _, _, directory = case
    job = distributed.DataParallel(workers.exactly(2), Slow(), directory)
    start = time.perf_counter()
    for _ in range(5):
        job.gradient(theta, job.X, job.y)
    waited = time.perf_counter() - start
    report = job.report()
    assert 5 * 0.04 <= report.compute_seconds <= waited
    assert report.communication_seconds > 0
    total = report.compute_seconds + report.communication_seconds
    np.testing.assert_allclose(total, waited, rtol=0.05)


def test_shards_stay_where_they_are(workers, case):
    """Also where Dask takes the tasks of many steps for one large group, and shares it out."""
    theta, _, _, directory = case
    job = distributed.DataParallel(workers.exactly(2), Slow(), directory)
    before = workers.places()
    assert sorted(map(list(before.values()).count, set(before.values()))) == [2, 2]
    gd.descend(job.X, job.y, theta, objective=job, batches=gd.Shuffled(10), **RUN)
    assert workers.places() == before


def test_rows_of_something_else_are_refused(workers, case):
    theta, X, y, directory = case
    job = distributed.DataParallel(workers.exactly(2), gd.LeastSquares(), directory)
    for wrong in (X, X[:, :1], job.X + 0.5, job.X + 1, job.X - 1):
        with pytest.raises(ValueError, match=r"X must be rows of job.X"):
            job.gradient(theta, wrong, y)


def test_the_door_is_that_of_the_objective(workers, case):
    theta, _, _, directory = case
    job = distributed.DataParallel(workers.exactly(2), gd.LogisticRegression(), directory)
    with pytest.raises(ValueError, match="labels 0 and 1"):
        gd.descend(job.X, job.y, theta, objective=job, batches=gd.FullBatch(), **RUN)
    job = distributed.DataParallel(workers.client, gd.LeastSquares(), directory)
    with pytest.raises(ValueError, match=r"theta must have shape \(4,\)"):
        gd.descend(job.X, job.y, theta[1:], objective=job, batches=gd.FullBatch(), **RUN)


def test_an_error_lets_go_of_the_shards(workers, case):
    theta, _, _, directory = case
    job = distributed.DataParallel(workers.exactly(2), gd.LeastSquares(), directory)
    with pytest.raises(ValueError, match="mismatch"):
        job.gradient(theta[1:], job.X, job.y)
    del job
    while workers.places():
        gc.collect()
        time.sleep(0.02)


def test_a_large_theta_is_a_new_one_at_every_step(workers, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 40_000)), rng.standard_normal(30)
    gd.write_shards(tmp_path / "shards", X, y, 10)
    job = distributed.DataParallel(workers.exactly(2), gd.LeastSquares(), tmp_path / "shards")
    for _ in range(2):
        theta = rng.standard_normal(40_000)
        expected = gd.LeastSquares().gradient(theta, X, y)
        np.testing.assert_allclose(job.gradient(theta, job.X, job.y), expected, rtol=1e-9)


# What goes wrong with workers


@pytest.mark.parametrize("scheme", [gd.FullBatch(), gd.Shuffled(40)], ids=["all", "some"])
def test_a_worker_killed_in_mid_run_changes_nothing(workers, case, scheme):
    """Its shards are read again by the other; sums go by the shards, so no bit changes."""
    theta, _, _, directory = case
    job = distributed.DataParallel(workers.exactly(2), Slow(), directory)
    expected, _ = gd.descend(job.X, job.y, theta, objective=job, batches=scheme, **RUN)
    assert job.report().loads == 4
    victim, lost = workers.busiest()
    kill = meanwhile(lambda: threading.Timer(0.03, workers.kill, [victim]).start(), 2)
    options = RUN | {"learning_rate": kill, "batches": scheme}
    found, _ = gd.descend(job.X, job.y, theta, objective=job, **options)
    np.testing.assert_array_equal(found, expected)
    report = job.report()
    assert (report.n_workers, report.loads) == (1, 4 + lost)


def test_a_worker_added_in_mid_run_changes_nothing(workers, case):
    theta, _, _, directory = case
    job = distributed.DataParallel(workers.exactly(1), Slow(), directory)
    expected, _ = gd.descend(job.X, job.y, theta, objective=job, batches=gd.Shuffled(40), **RUN)

    def add():
        workers.start(1)
        workers.settle(2)

    options = RUN | {"learning_rate": meanwhile(add, 2), "batches": gd.Shuffled(40)}
    found, _ = gd.descend(job.X, job.y, theta, objective=job, **options)
    np.testing.assert_array_equal(found, expected)
    report = job.report()
    assert (report.n_workers, report.loads) == (2, 4)


def test_a_new_worker_takes_over_from_the_last_one(workers, case):
    """The only worker dies, and another comes while the descent waits."""
    theta, X, y, directory = case
    job = distributed.DataParallel(workers.exactly(1), gd.LeastSquares(), directory)

    def replace():
        workers.kill()
        workers.start(1)

    expected, _ = gd.descend(X, y, theta, batches=gd.Shuffled(40), **RUN)
    options = RUN | {"learning_rate": meanwhile(replace, 3), "batches": gd.Shuffled(40)}
    found, _ = gd.descend(job.X, job.y, theta, objective=job, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_no_worker_left_is_an_error(workers, case):
    theta, _, _, directory = case
    job = distributed.DataParallel(workers.exactly(1), gd.LeastSquares(), directory, timeout=1)
    options = RUN | {"learning_rate": meanwhile(workers.kill, 3)}
    with pytest.raises(RuntimeError, match="there has been no worker for 1 seconds: start one"):
        gd.descend(job.X, job.y, theta, objective=job, batches=gd.Shuffled(40), **options)


def test_no_worker_from_the_start_is_an_error(workers, case):
    client = workers.exactly(0)
    with pytest.raises(RuntimeError, match="there has been no worker for 1 seconds: start one"):
        distributed.DataParallel(client, gd.LeastSquares(), case[-1], timeout=1)


def test_a_slow_worker_is_waited_for(workers, case, monkeypatch):
    """One shard takes longer than both the look for workers and the time allowed without any."""
    monkeypatch.setattr(distributed, "PATIENCE", 0.05)
    theta, X, y, directory = case
    job = distributed.DataParallel(workers.exactly(2), SlowOnSmallShards(), directory, timeout=0.1)
    run = RUN | {"batches": gd.FullBatch(), "n_epochs": 2}
    found, _ = gd.descend(job.X, job.y, theta, objective=job, **run)
    expected, _ = gd.descend(X, y, theta, **run)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_an_answer_that_takes_longer_than_a_look_breaks_no_later_one(workers, case, monkeypatch):
    """A look that gave up on an answer under way had every later one of the client fail."""
    monkeypatch.setattr(distributed, "PATIENCE", 0.001)
    theta, X, y, directory = case
    job = distributed.DataParallel(workers.exactly(2), gd.LeastSquares(), directory)
    expected = gd.LeastSquares().gradient(theta, X, y)
    for _ in range(30):
        np.testing.assert_allclose(job.gradient(theta, job.X, job.y), expected, rtol=1e-12)


def test_a_nanny_starts_a_killed_worker_again(case):
    theta, X, y, directory = case
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        job = distributed.DataParallel(client, gd.LeastSquares(), directory)
        victim = next(iter(client.run(os.getpid).values()))
        kill = meanwhile(lambda: os.kill(victim, KILL), 3)
        options = RUN | {"learning_rate": kill, "batches": gd.Shuffled(40)}
        found, _ = gd.descend(job.X, job.y, theta, objective=job, **options)
        while len(client.nthreads()) < 2:
            time.sleep(0.02)
        again = job.gradient(theta, job.X, job.y)
    expected, _ = gd.descend(X, y, theta, batches=gd.Shuffled(40), **RUN)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(again, gd.LeastSquares().gradient(theta, X, y), rtol=1e-12)


# What goes wrong with files


def spoil(path, how):
    if how == "missing":
        path.unlink()
    else:
        with path.open("r+b") as file:
            file.truncate(200)


BAD = {"missing": (FileNotFoundError, "is missing"), "cut short": (ValueError, "is cut short")}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_shard_is_named_at_the_start(workers, case, how):
    *_, directory = case
    spoil(directory / "X-00002-of-00004.npy", how)
    error, message = BAD[how]
    with pytest.raises(error, match=rf"X-00002-of-00004.npy {message}"):
        distributed.DataParallel(workers.client, gd.LeastSquares(), directory)


@pytest.mark.parametrize("how", BAD)
def test_a_bad_shard_is_named_when_it_has_to_be_read_again(workers, case, how):
    theta, _, _, directory = case
    job = distributed.DataParallel(workers.exactly(2), gd.LeastSquares(), directory)

    def kill():
        for name in "X", "y":
            for k in range(4):
                spoil(directory / f"{name}-{k:05d}-of-00004.npy", how)
        workers.kill()

    error, message = BAD[how]
    options = RUN | {"learning_rate": meanwhile(kill, 3), "batches": gd.Shuffled(40)}
    with pytest.raises(error, match=rf"shard .*-of-00004.npy {message}"):
        gd.descend(job.X, job.y, theta, objective=job, **options)


def test_a_shard_with_a_bad_value_is_named(workers, case):
    _, X, y, directory = case
    X[60, 2] = np.nan
    shutil.rmtree(directory)
    ragged(directory, X, y, 1, 50, 22)
    with pytest.raises(ValueError, match=r"in shard .*X-00002-of-00004.npy: X must be finite"):
        distributed.DataParallel(workers.exactly(2), gd.LeastSquares(), directory)


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
    gd.write_shards(tmp_path, X := rng.standard_normal((n, d)), X[:, 0], n // 8)
    client = workers.exactly(2)
    before = client.run(anonymous)
    client.run(lambda: Path("/proc/self/clear_refs").write_text("5"))  # the peak starts here
    start = client.run(peak)
    job = distributed.DataParallel(client, gd.LeastSquares(), tmp_path)
    gd.descend(
        job.X, job.y, np.zeros(d), objective=job, batches=gd.Shuffled(5000), **RUN | {"n_epochs": 1}
    )
    share = X.nbytes / 2
    for worker, held in client.run(anonymous).items():
        assert held - before[worker] < share + 2**23
    for worker, most in client.run(peak).items():
        assert most - start[worker] < share + 3 * 2**24

"""Time one training step against the batch size, NumPy and CuPy side by side, on this machine.

    python benchmarks/gpu.py

First it checks that both walk the same path. Then it times least squares, softmax regression
and a multi-layer perceptron at b = 1 ... 65,536, in single and double precision, and writes
book/results/gpu_<device>.csv, which the chapter on GPUs draws. It needs an NVIDIA GPU, CuPy,
and a few minutes with nothing else running.
"""

import datetime
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import gdcourse as gd
from gdcourse.base.backend import take_rows
from gdcourse.lesson import tables as results

N_SAMPLES, N_FEATURES, N_CLASSES = 65_536, 64, 10
BATCH_SIZES = tuple(2**k for k in range(17))
DTYPES = ("float32", "float64")
MODELS = ("least squares", "softmax", "MLP")
LEARNING_RATE = 0.01
REPEATS = 7
SHORTEST = 0.02  # seconds in one timing: far above the grain of the clocks
FOLDER = Path(__file__).parents[1] / "book" / "results"


class Case(NamedTuple):
    """A model, its data and where it starts, all of one array library."""

    objective: Any
    theta: Any
    X: Any
    y: Any

    def move(self, asarray):
        """The same case in the arrays that `asarray` makes of NumPy's."""
        return Case(self.objective, *map(asarray, (self.theta, self.X, self.y)))

    def step(self, theta, X, y):
        """One update of `gdcourse.descent.steps`, at a constant rate."""
        return theta - LEARNING_RATE * self.objective.gradient(theta, X, y)


def make_case(model, dtype, n_samples=N_SAMPLES):
    """A random problem for one of `MODELS`, in NumPy arrays."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, N_FEATURES)).astype(dtype)
    labels = rng.integers(0, N_CLASSES, n_samples).astype(dtype)
    if model == "least squares":
        targets = rng.standard_normal(n_samples).astype(dtype)
        return Case(gd.LeastSquares(), np.zeros(N_FEATURES, dtype), X, targets)
    if model == "softmax":
        theta = np.zeros((N_FEATURES, N_CLASSES), dtype)
        return Case(gd.SoftmaxRegression(N_CLASSES), theta, X, labels)
    mlp = gd.MLP((N_FEATURES, 128, N_CLASSES))
    return Case(mlp, mlp.initial(rng, dtype=dtype), X, labels)


# The check


def disagreement(case, asarray, batch_size, n_steps=5):
    """How far two paths are apart after `n_steps`, relative to the way that they have come."""
    batches = draw(case, batch_size, n_steps)
    other = case.move(asarray)
    theta, theta_other = case.theta, other.theta
    for batch in batches:
        theta = case.step(theta, take_rows(case.X, batch), take_rows(case.y, batch))
        there = asarray(batch)
        theta_other = other.step(theta_other, take_rows(other.X, there), take_rows(other.y, there))
    distance = np.linalg.norm(gd.to_host(theta_other) - theta)
    return float(distance / np.linalg.norm(theta - case.theta))


def check(asarray, batch_sizes=(1, 64, 4096), n_samples=N_SAMPLES):
    """Hold the arrays that `asarray` makes against NumPy's, for every model and precision.

    Raises
    ------
    AssertionError
        Naming the first case in which the paths part.
    """
    for model in MODELS:
        for dtype in DTYPES:
            case = make_case(model, dtype, n_samples)
            tolerance = 1000 * np.finfo(dtype).eps
            for batch_size in batch_sizes:
                difference = disagreement(case, asarray, batch_size)
                if not difference < tolerance:
                    raise AssertionError(
                        f"{model}, {dtype}, b = {batch_size}: the paths are {difference:.1e} "
                        f"apart, which is more than {tolerance:.1e}"
                    )


def draw(case, batch_size, n_batches):
    """Row indices of `n_batches` batches, drawn on the host."""
    rng = np.random.default_rng(batch_size)
    return [rng.integers(case.X.shape[0], size=batch_size) for _ in range(n_batches)]


# The clock


def runner(case, batches, asarray=None):
    """A function that makes k steps; with `asarray`, each copies its rows from the host."""

    def run(n_steps):
        theta = start
        for k in range(n_steps):
            batch = batches[k % len(batches)]
            X, y = take_rows(case.X, batch), take_rows(case.y, batch)
            if asarray is not None:
                X, y = asarray(X), asarray(y)
            theta = case.step(theta, X, y)
        return theta

    start = case.theta if asarray is None else asarray(case.theta)
    return run


def seconds_per_step(run, seconds, shortest=SHORTEST, repeats=REPEATS):
    """The median over `repeats` timings, each of as many steps as take `shortest` seconds.

    Parameters
    ----------
    run : callable
        ``run(k)`` makes k steps.
    seconds : callable
        ``seconds(run, k)`` is the time that ``run(k)`` takes, all its work done.
    """
    n_steps = 2
    seconds(run, n_steps)  # the first call compiles kernels and fills caches
    while seconds(run, n_steps) < shortest:
        n_steps *= 2
    return statistics.median(seconds(run, n_steps) for _ in range(repeats)) / n_steps


def wall_seconds(run, n_steps):
    """Seconds on the host's clock."""
    start = perf_counter()
    run(n_steps)
    return perf_counter() - start


def event_seconds(cupy):
    """A clock that reads CUDA events: from the first step's launch to the last one's end."""

    def seconds(run, n_steps):
        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        run(n_steps)
        stop.record()
        stop.synchronize()
        return cupy.cuda.get_elapsed_time(start, stop) / 1e3

    return seconds


def measure(cupy, model, dtype, batch_size):
    """The rows of the table for one model, precision and batch size."""
    case = make_case(model, dtype)
    on_device = case.move(cupy.asarray)
    batches = draw(case, batch_size, 8)
    clock = event_seconds(cupy)
    timings = {
        ("numpy", "resident"): (runner(case, batches), wall_seconds),
        ("cupy", "resident"): (runner(on_device, list(map(cupy.asarray, batches))), clock),
        ("cupy", "copied"): (runner(case, batches, cupy.asarray), clock),
    }
    for (library, rows_are), (run, seconds) in timings.items():
        yield {
            "model": model,
            "dtype": dtype,
            "library": library,
            "data": rows_are,
            "batch_size": batch_size,
            "seconds_per_step": f"{seconds_per_step(run, seconds):.4e}",
        }


# The table


def header(cupy):
    """What the table says about the machine: the reader's only way to judge it."""
    runtime = cupy.cuda.runtime
    return {
        "device": device_name(cupy),
        "driver": driver_version(),
        "CUDA": f"{version(runtime.runtimeGetVersion())} (the driver offers "
        f"{version(runtime.driverGetVersion())})",
        "CuPy": cupy.__version__,
        "NumPy": np.__version__,
        "Python": platform.python_version(),
        "processor": f"{processor()}, {os.cpu_count()} logical cores",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python benchmarks/gpu.py",
        "model sizes": f"{N_SAMPLES} rows of {N_FEATURES} features, {N_CLASSES} classes, "
        "MLP with 128 hidden units",
        "step": "take the rows of a batch, gradient, update; median of "
        f"{REPEATS} timings of at least {SHORTEST} s; drawing the batch is left out",
        "data": "resident = rows taken from an array of the same library; "
        "copied = rows taken on the host and copied to the device at every step",
    }


def device_name(cupy):
    return cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()


def driver_version():
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown (nvidia-smi does not answer)"
    return answer.splitlines()[0].strip()


def version(number):
    """CUDA's 12040 as 12.4."""
    return f"{number // 1000}.{number % 1000 // 10}"


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def table_path(device, folder=FOLDER):
    """Where the table of a device stands."""
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    return Path(folder) / f"gpu_{slug}.csv"


def find_cupy():
    """CuPy with a device, or None."""
    try:
        import cupy
    except ImportError:
        return None
    return cupy if cupy.cuda.is_available() else None


def main():
    cupy = find_cupy()
    if cupy is None:
        sys.exit(
            "There is nothing to time here: benchmarks/gpu.py needs an NVIDIA GPU and CuPy "
            "(`pip install cupy-cuda13x`, or cupy-cuda12x)."
        )
    check(cupy.asarray)
    print("NumPy and CuPy walk the same paths; timing ...", flush=True)
    measurements = []
    for model in MODELS:
        for dtype in DTYPES:
            for batch_size in BATCH_SIZES:
                measurements += measure(cupy, model, dtype, batch_size)
            print(f"{model}, {dtype}: done", flush=True)
    path = table_path(device_name(cupy))
    results.write_table(path, header(cupy), measurements)
    print(f"written: {path}")


if __name__ == "__main__":
    main()

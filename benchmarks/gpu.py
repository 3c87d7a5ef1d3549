"""What a training step costs on a GPU, NumPy and CuPy side by side, on this machine.

    python benchmarks/gpu.py

First it checks that both walk the same path, at every size that is timed. Then it measures the
parts that stand in `PARTS`, from the time of a step at b = 1 ... 65,536 to the memory that one
holds, and writes a table for each: book/results/gpu_<device>_<part>.csv. A part that fails is
named at the end, and the others are written all the same. It needs an NVIDIA GPU, CuPy with
NVIDIA's libraries, 4 GB of memory on both sides, and some ten minutes with nothing else running.
"""

import datetime
import os
import platform
import re
import statistics
import subprocess
import sys
import traceback
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import gdcourse as gd
from gdcourse.base.backend import array_namespace, take_rows
from gdcourse.lesson import tables as results
from gdcourse.lesson.experiments import fit_step_time, peak_memory
from gdcourse.rows import InMemory

N_FEATURES, N_HIDDEN, N_CLASSES = 64, 128, 10
N_SAMPLES = 2**20  # 268 MB in single precision: more than the caches of a device hold
BATCH_SIZES = tuple(2**k for k in range(17))
CAPTURED_SIZES = (1, 64, 4096)
MEMORY_SIZES = (128, 256, 512, 4096, 65_536)
DTYPES = ("float32", "float64")
MODELS = ("least squares", "softmax", "MLP")
LEARNING_RATE = 0.01
REPEATS = 7
SHORTEST = 0.02  # seconds in one timing: far above the grain of the clocks
COPIED = 2**28  # bytes of the array whose copy gives the bandwidth of a memory
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
    mlp = gd.MLP((N_FEATURES, N_HIDDEN, N_CLASSES))
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


def check(asarray, batch_sizes=BATCH_SIZES, n_samples=N_SAMPLES):
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
    """Row indices of at most `n_batches` batches, drawn on the host; no row comes twice.

    Batches that come again and again would lie in a cache, and a step would cost less than in
    training.
    """
    order = np.random.default_rng(batch_size).permutation(case.X.shape[0])
    n_batches = min(n_batches, len(order) // batch_size)
    return list(order[: n_batches * batch_size].reshape(n_batches, batch_size))


# Places: where arrays lie, and what measures there


class Place(NamedTuple):
    """An array library, with its clock and its meter of memory.

    ``seconds(run, k)`` is the time that ``run(k)`` takes, all its work done; ``peak(run)`` the
    most bytes that ``run()`` holds above those held before.
    """

    library: str
    asarray: Callable
    seconds: Callable
    peak: Callable


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


def host_peak(run):
    """Bytes, as NumPy reports them to `tracemalloc`."""
    with peak_memory() as memory:
        run()
    return memory.peak


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


def device_peak(cupy):
    """A meter that listens to CuPy's memory pool."""

    class Listener(cupy.cuda.MemoryHook):
        held = peak = 0

        def malloc_postprocess(self, **memory):
            self.held += memory["mem_size"]
            self.peak = max(self.peak, self.held)

        def free_postprocess(self, **memory):
            self.held -= memory["mem_size"]

    def peak(run):
        with Listener() as listener:
            run()
        return listener.peak

    return peak


def places(cupy):
    """The host and the device."""
    return (
        Place("numpy", np.asarray, wall_seconds, host_peak),
        Place("cupy", cupy.asarray, event_seconds(cupy), device_peak(cupy)),
    )


# The parts


def steps(cupy, cases=None):
    """Seconds of a step against b: rows on the host, on the device, and copied at every step.

    A step reads and writes its rows of X when it takes them, and its two products read them
    again: at least those bytes are moved.
    """
    host, device = places(cupy)
    for model, dtype in cases or [(model, dtype) for model in MODELS for dtype in DTYPES]:
        case = make_case(model, dtype, N_SAMPLES)
        on_device = case.move(device.asarray)
        for batch_size in BATCH_SIZES:
            batches = draw(case, batch_size, 4096)
            there = list(map(device.asarray, batches))
            timings = {
                ("numpy", "resident"): (runner(case, batches), host.seconds),
                ("cupy", "resident"): (runner(on_device, there), device.seconds),
                ("cupy", "copied"): (runner(case, batches, device.asarray), device.seconds),
            }
            for (library, rows_are), (run, seconds) in timings.items():
                step = seconds_per_step(run, seconds)
                yield {
                    "model": model,
                    "dtype": dtype,
                    "library": library,
                    "data": rows_are,
                    "batch_size": batch_size,
                    "seconds_per_step": f"{step:.4e}",
                    "bytes_per_second": f"{4 * batch_size * case.X[0].nbytes / step:.4e}",
                }


def laws(timed):
    """t_0 and r from the rows of `steps`: does the longer of the two costs count, or their sum?"""
    keys = ("model", "dtype", "library", "data")

    def which(row):
        return [row[key] for key in keys]

    for values, group in groupby(sorted(timed, key=which), key=which):
        points = [(row["batch_size"], float(row["seconds_per_step"])) for row in group]
        sizes, seconds = np.array(sorted(points)).T
        for name, law in (("sum", np.add), ("maximum", np.maximum)):
            t_0, knee, misfit = fit_step_time(sizes, seconds, law)
            yield {
                **dict(zip(keys, values, strict=True)),
                "law": name,
                "t_0": f"{t_0:.4e}",
                "rows_per_second": f"{knee / t_0:.4e}",
                "knee": f"{knee:.0f}",
                "misfit": f"{misfit:.3f}",
            }


def bandwidth(cupy):
    """What the memories give: bytes read and written a second by the copy of a large array."""
    for place in places(cupy):
        source = place.asarray(np.ones(COPIED, "uint8"))
        target = source + 0

        def run(n_steps, source=source, target=target):
            for _ in range(n_steps):
                target[...] = source

        rate = 2 * source.nbytes / seconds_per_step(run, place.seconds)
        yield {"library": place.library, "bytes": COPIED, "bytes_per_second": f"{rate:.4e}"}


def step_in_place(theta, X, y):
    """A step of least squares without matrix products, which CuPy's capture does not take."""
    xp = array_namespace(theta)
    residual = xp.sum(X * theta, axis=1) - y
    theta -= LEARNING_RATE / X.shape[0] * xp.sum(X * residual[:, None], axis=0)


def captured(stream, step):
    """The launches of `step`, recorded once, as a function that replays them."""
    stream.begin_capture()
    step()
    return stream.end_capture().launch


def graphs(cupy):
    """Eight launches a step, made by Python each time or replayed as one CUDA graph."""
    for batch_size in CAPTURED_SIZES:
        host, seconds = make_case("least squares", "float32", batch_size), event_seconds(cupy)
        with cupy.cuda.Stream(non_blocking=True) as stream:
            there = host.move(cupy.asarray)
            theta = there.theta.copy()

            def step(theta=theta, there=there):
                step_in_place(theta, there.X, there.y)

            step()  # compiles, and fills the pool of this stream
            for launched, once in (("one by one", step), ("as a graph", captured(stream, step))):
                theta[...] = 0

                def run(n_steps, once=once):
                    for _ in range(n_steps):
                        once()

                run(5)
                hold_steps(gd.to_host(theta), host)
                yield {
                    "batch_size": batch_size,
                    "launched": launched,
                    "seconds_per_step": f"{seconds_per_step(run, seconds):.4e}",
                }


def hold_steps(theta, case, n_steps=5):
    """Hold `theta` against as many steps of the package from zero, on the host."""
    expected = case.theta
    for _ in range(n_steps):
        expected = case.step(expected, case.X, case.y)
    distance = np.linalg.norm(theta - expected) / np.linalg.norm(expected)
    if not distance < 1000 * np.finfo(theta.dtype).eps:
        raise AssertionError(f"b = {case.X.shape[0]}: the paths are {distance:.1e} apart")


def memory(cupy):
    """The peak of a step of the MLP, predicted by `gd.training_memory` and measured.

    A row keeps the inputs and outputs of all layers, their slopes, and the work space of the
    widest hidden one; chapter 7 counts them.
    """
    host = make_case("MLP", "float32", max(MEMORY_SIZES))
    layers = host.objective.layer_sizes
    activations = sum(layers) + sum(layers[1:]) + 2 * max(layers[1:-1])
    for place in places(cupy):
        case = host.move(place.asarray)
        for batch_size in MEMORY_SIZES:
            if batch_size > InMemory(case.X, case.y, max(layers)).block:
                continue  # the package works on a block of it at a time
            batch = place.asarray(np.arange(batch_size))

            def run(case=case, batch=batch):
                case.step(case.theta + 0, take_rows(case.X, batch), take_rows(case.y, batch))

            run()
            predicted = gd.training_memory(case.theta.size, activations, batch_size).total
            yield {
                "library": place.library,
                "batch_size": batch_size,
                "predicted_bytes": predicted,
                "measured_bytes": place.peak(run),
            }


PARTS = {
    "steps": steps,
    "bandwidth": bandwidth,
    "graphs": graphs,
    "memory": memory,
    # "runs": many runs at once against one after the other, once the package can make them.
}


# The tables


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
        "memory": data_sheet_bandwidth(cupy),
        "model sizes": f"{N_SAMPLES} rows of {N_FEATURES} features, {N_CLASSES} classes, "
        f"MLP with {N_HIDDEN} hidden units",
        "step": "take the rows of a batch, gradient, update; median of "
        f"{REPEATS} timings of at least {SHORTEST} s; drawing the batch is left out",
        "data": "resident = rows taken from an array of the same library; "
        "copied = rows taken on the host and copied to the device at every step",
    }


def device_name(cupy):
    return cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()


def data_sheet_bandwidth(cupy):
    """Bytes a second by the clock and the width of the device's memory: two bits a clock."""
    runtime, number = cupy.cuda.runtime, cupy.cuda.Device().id
    try:
        kilohertz = runtime.deviceGetAttribute(runtime.cudaDevAttrMemoryClockRate, number)
        bits = runtime.deviceGetAttribute(runtime.cudaDevAttrGlobalMemoryBusWidth, number)
    except RuntimeError as error:  # CuPy's errors of CUDA are of this kind
        return f"unknown ({error})"
    return f"{2e3 * kilohertz * bits / 8:.3e} bytes/s by clock and width"


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


def table_path(device, part, folder=FOLDER):
    """Where a table of a device stands."""
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    return Path(folder) / f"gpu_{slug}_{part}.csv"


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
    print("NumPy and CuPy walk the same paths; measuring ...", flush=True)
    failed = write_parts(cupy, PARTS)
    if failed:
        sys.exit(f"Not measured: {', '.join(failed)}; the lines above say why.")


def write_parts(cupy, parts, folder=FOLDER):
    """Measure parts and write their tables; the names of those that failed."""
    failed, about = [], header(cupy)

    def write(part, rows_of):
        try:
            measured = []
            for row in rows_of:
                measured.append(row)
                print(part, *row.values(), flush=True)
            path = table_path(about["device"], part, folder)
            results.write_table(path, about, measured)
            print(f"written: {path}", flush=True)
        except Exception:  # one part must not cost the others, which took minutes
            traceback.print_exc()
            failed.append(part)
            return []
        return measured

    for part, rows_of in parts.items():
        measured = write(part, rows_of(cupy))
        if part == "steps" and measured:
            write("laws", laws(measured))
    return failed


if __name__ == "__main__":
    main()

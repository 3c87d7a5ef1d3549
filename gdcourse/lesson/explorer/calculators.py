"""Figures over counts and costs: measured runs, bytes, and the seconds of many workers."""

import numpy as np

from gdcourse.accounting import training_memory
from gdcourse.base import validation
from gdcourse.engine.cluster import balanced_workers, data_parallel_step
from gdcourse.lesson.explorer.figure import choice, log_grid, show, slider

__all__ = ["axis_toggle", "batch_calculator", "memory_calculator", "scaling_calculator"]

VARIANTS = ("full batch", "mini-batch", "SGD")  # have a colour


def axis_toggle(histories, *, lowest, overhead, seconds_per_row, target=0.01, name="axis-toggle"):
    """The same runs against steps, samples or seconds: the order of the curves changes.

    Parameters
    ----------
    histories : dict of History
        By variant: "full batch", "mini-batch", "SGD". A run that diverges is shown up to its
        last finite loss.
    lowest : float
        J at the minimiser.
    overhead, seconds_per_row : float
        A step of b rows is taken to last overhead + b·seconds_per_row: two measured numbers
        of a machine. The reader can move the first.
    target : float
        Share of the first excess loss that the table counts to; the reader can move it.
    name : str
        A name for the figure, its own on its page.

    Returns
    -------
    Explorer
    """
    overhead = validation.check_positive("overhead", overhead)
    per_row = validation.check_positive("seconds_per_row", seconds_per_row)
    target = validation.check_positive("target", target)
    shares = [0.5, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
    aim = slider("Target: share of the first excess loss", "share", shares, target)
    aim["values"].reverse()
    excesses = {variant: _excess(variant, histories[variant], lowest) for variant in histories}
    if not excesses:
        raise ValueError("histories must hold at least one run")
    first = max(excess[0] for excess in excesses.values())
    runs = []
    for variant, excess in excesses.items():
        history = histories[variant]
        kept = _thin(history.step[: len(excess)], excess, first * np.array(aim["values"]))
        columns = {"step": history.step, "samples": history.samples_seen, "excess": excess}
        run = {"name": variant} | {key: column[kept].tolist() for key, column in columns.items()}
        runs.append(run | {"diverged": len(excess) < len(history.loss)})
    if max(run["step"][-1] for run in runs) == 0:
        raise ValueError("histories must hold a finite loss after step 0")
    axes = {"steps": "steps", "samples": "samples seen", "seconds": "seconds"}
    controls = {
        "axis": choice("Horizontal axis", axes, "steps"),
        "target": aim,
        "overhead": slider(
            "Fixed cost of a step, whatever b", "seconds", log_grid(1e-8, 1e-3), overhead
        ),
    }
    label = (
        f"Excess loss of {', '.join(excesses)} against steps, samples or seconds, on logarithmic "
        "axes, and a dashed line at the target."
    )
    presets = {"samples": {"axis": "samples"}, "seconds": {"axis": "seconds"}}
    dear = {"axis": "seconds", "overhead": 1e-3}
    presets |= {"seconds, each step a call over a network": dear}
    presets |= {"seconds, in a compiled loop": dear | {"overhead": 1e-8}}
    data = {"runs": runs, "per_row": per_row, "controls": controls, "presets": presets}
    return show(name, "axes", label, data)


def _excess(variant, history, lowest):
    """J − J* to four digits, as long as it is finite."""
    if variant not in VARIANTS:
        raise ValueError(f"histories must be named {', '.join(VARIANTS)}, got {variant!r}")
    excess = np.array([float(f"{loss:.4g}") for loss in history.loss - lowest])
    finite = np.isfinite(excess)
    if not (finite[0] and excess[0] > 0):
        raise ValueError(
            f"the first loss of {variant!r} must be finite and above lowest, "
            f"got {history.loss[0]:.4g} and {lowest:.4g}"
        )
    return excess if finite.all() else excess[: finite.argmin()]


def _thin(steps, excess, targets, n_points=60):
    """About `n_points` of the records, evenly on a log scale, and where each target is reached."""
    wanted = np.geomspace(max(1, steps[1]), steps[-1], n_points) if len(steps) > 1 else []
    reached = [np.flatnonzero(excess < target)[:1] for target in targets]
    places = np.concatenate([[0], np.searchsorted(steps, wanted), *reached])
    return np.unique(places.astype(int))


def _whole(name, value, minimum=1):
    """A count that may be written as 1e8."""
    return validation.check_count(name, round(validation.check_non_negative(name, value)), minimum)


def memory_calculator(
    *,
    n_parameters=5e8,
    activations_per_sample=1e7,
    batch_size=128,
    bytes_per_value=4,
    optimizer_states=2,
    device_memory=24e9,
    overhead=2e-3,
    rows_per_second=2e4,
    name="memory-calculator",
):
    """What a training step holds in memory and how long it takes: `training_memory`, and
    t(b) = max(t₀, b/r).

    Parameters
    ----------
    n_parameters : int
        Numbers that the model learns.
    activations_per_sample : int
        Values kept for the backward pass, per sample.
    batch_size : int
        b, rows whose activations are in memory at once.
    bytes_per_value : int
        4 for single precision.
    optimizer_states : int
        Values kept per parameter: 0 for gradient descent, 1 for momentum, 2 for Adam.
    device_memory : float
        Bytes.
    overhead : float
        t₀, the seconds that a step takes however small the batch.
    rows_per_second : float
        r, the throughput of a large batch.
    name : str
        A name for the figure, its own on its page.

    Returns
    -------
    Explorer
    """
    n_parameters = _whole("n_parameters", n_parameters)
    activations = _whole("activations_per_sample", activations_per_sample, minimum=0)
    training_memory(  # checks the rest
        n_parameters,
        activations,
        batch_size,
        bytes_per_value=bytes_per_value,
        optimizer_states=optimizer_states,
    )
    device_memory = validation.check_positive("device_memory", device_memory)
    overhead = validation.check_positive("overhead", overhead)
    speed = validation.check_positive("rows_per_second", rows_per_second)
    methods = {0: "gradient descent: none", 1: "momentum: 1", 2: "Adam: 2"}
    methods |= {6: "Adam in mixed precision: 6"}
    states = {k: methods.get(k, f"{k}") for k in sorted({*methods, optimizer_states})}
    sizes = {size: f"{size}" for size in sorted({2, 4, 8, bytes_per_value})}
    kept = "Values kept per row for the backward pass"
    controls = {
        "n_parameters": slider(
            "Parameters of the model", "number", log_grid(1e3, 1e12, 5), n_parameters
        ),
        "activations": slider(kept, "number", log_grid(1e2, 1e9, 5), activations),
        "batch_size": slider("Batch size", "rows", [2**k for k in range(17)], batch_size),
        "bytes": choice("Bytes of a value", sizes, bytes_per_value, rare=True),
        "states": choice(
            "Values of optimiser state a parameter", states, optimizer_states, rare=True
        ),
        "device": slider("Memory of the device", "bytes", log_grid(1e9, 1e12, 5), device_memory),
        "overhead": slider(
            "Shortest step, t₀", "seconds", log_grid(1e-5, 1, 5), overhead, rare=True
        ),
        "speed": slider(
            "Rows a second at most, r", "number", log_grid(10, 1e8, 5), speed, rare=True
        ),
    }
    label = (
        "Above, a bar of the memory of a training step, by what holds it, beside the memory of "
        "the device. Below, the seconds of a step against the batch size, both logarithmic: the "
        "larger of the shortest step and a time in proportion to the rows."
    )
    return show(name, "memory", label, {"controls": controls})


def batch_calculator(
    *, overhead, rows_per_second, noise_scale, batch_size, name="batch-calculator"
):
    """The batch size with the least time to a target, from two numbers of a machine and one of a
    job: b* = √(B b₀), where b₀ = r t₀.

    Parameters
    ----------
    overhead : float
        t₀, the seconds of a step, whatever its batch.
    rows_per_second : float
        r: a row adds 1/r seconds to a step.
    noise_scale : float
        B, the critical batch size: S(b) = S_min (1 + B/b) steps reach the target.
    batch_size : int
        Where its control stands at first.
    name : str
        A name for the figure, its own on its page.

    Returns
    -------
    Explorer
    """
    overhead = validation.check_positive("overhead", overhead)
    speed = validation.check_positive("rows_per_second", rows_per_second)
    noise = validation.check_positive("noise_scale", noise_scale)
    batch_size = validation.check_count("batch_size", batch_size)
    controls = {
        "overhead": slider("Fixed cost of a step, t₀", "seconds", log_grid(1e-8, 10, 5), overhead),
        "speed": slider("Rows a second at most, r", "number", log_grid(1, 1e9, 5), speed),
        "noise": slider("Noise scale, B", "number", log_grid(1, 1e6, 5), noise),
        "batch_size": slider("Your batch size", "rows", [2**k for k in range(20)], batch_size),
    }
    presets = {
        "a compiled loop": {"overhead": 1e-7, "speed": 1e7},
        "an accelerator": {"overhead": 1e-3, "speed": 1e6},
        "workers on a slow network": {"overhead": 1.0, "speed": 1e4},
        "a noisier job": {"noise": 1e4},
    }
    label = (
        "Time to a target against the batch size, both logarithmic, and its two parts: the fixed "
        "cost of the steps falls, the time of the rows rises. A dashed line stands at the least."
    )
    return show(name, "price", label, {"controls": controls, "presets": presets})


def scaling_calculator(
    *,
    n_workers=64,
    n_parameters=1e8,
    bytes_per_value=4,
    batch_size=4096,
    seconds_per_sample=1e-3,
    bandwidth=1e9,
    latency=1e-5,
    local_steps=1,
    method="ring",
    scaling="strong",
    name="scaling-calculator",
):
    """What a step of P workers spends on computing and on communication: `data_parallel_step`.

    Parameters
    ----------
    n_workers : int
        P, where its control stands at first.
    n_parameters, bytes_per_value : int
        Their product is the size of a gradient.
    batch_size : int
        Rows of all workers together, or with ``scaling="weak"`` of each of them.
    seconds_per_sample : float
        Time of one worker for the gradient of one row.
    bandwidth : float
        Bytes a second, of each worker's link.
    latency : float
        Seconds that a message takes however short it is.
    local_steps : int
        Steps that a worker makes by itself between two averages.
    method : str
        ``"ring"``, ``"tree"`` or ``"star"``, see `allreduce_seconds`.
    scaling : str
        ``"strong"`` for a batch of a fixed size, ``"weak"`` for one of a fixed size a worker.
    name : str
        A name for the figure, its own on its page.

    Returns
    -------
    Explorer
    """
    n_parameters = _whole("n_parameters", n_parameters)
    n_bytes = n_parameters * validation.check_count("bytes_per_value", bytes_per_value)
    n_workers = validation.check_count("n_workers", n_workers)
    batch_size = validation.check_count("batch_size", batch_size)
    sample = validation.check_positive("seconds_per_sample", seconds_per_sample)
    bandwidth = validation.check_positive("bandwidth", bandwidth)
    latency = validation.check_positive("latency", latency)
    link = {"n_bytes": n_bytes, "bandwidth": bandwidth, "latency": latency, "method": method}
    work = {"batch_size": batch_size, "seconds_per_sample": sample}
    data_parallel_step(n_workers, **work, **link, local_steps=local_steps)  # both check the rest
    balanced_workers(1.0, **link, scaling=scaling)
    powers = [2**k for k in range(25)]
    repeats = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    sizes = {size: f"{size}" for size in sorted({1, 2, 4, 8, bytes_per_value})}
    methods = {"ring": "a ring", "tree": "a tree (halving and doubling)"}
    methods |= {"star": "a star: all with one"}
    scalings = {"strong": "one batch, cut into P parts"}
    scalings |= {"weak": "a batch of its own for each worker"}
    controls = {
        "n_workers": slider("Workers, P", "count", powers[:21], n_workers),
        "scaling": choice("Every step", scalings, scaling),
        "batch_size": slider("Rows b of that batch", "count", powers, batch_size),
        "sample": slider(
            "Time of a row on one worker", "seconds", log_grid(1e-8, 1e3, 5), sample, rare=True
        ),
        "method": choice("Who talks to whom", methods, method),
        "n_parameters": slider(
            "Parameters of the model", "number", log_grid(1e2, 1e12, 5), n_parameters, rare=True
        ),
        "bytes": choice("Bytes of a value", sizes, bytes_per_value, rare=True),
        "bandwidth": slider(
            "Bandwidth of a worker's link",
            "bandwidth",
            log_grid(1e5, 1e12, 5),
            bandwidth,
            rare=True,
        ),
        "latency": slider(
            "Latency of a message", "seconds", log_grid(1e-7, 1, 5), latency, rare=True
        ),
        "local_steps": slider(
            "Local steps between two averages", "count", repeats, local_steps, rare=True
        ),
    }
    label = (
        "Seconds of a step against the number of workers, both logarithmic: computing, "
        "communication and their sum. A dashed line stands where the first two are equal, if "
        "that is in the picture."
    )
    return show(name, "scaling", label, {"controls": controls})

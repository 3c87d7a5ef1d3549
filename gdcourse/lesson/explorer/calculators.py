"""Figures over counts and costs: measured runs, bytes, and the seconds of many workers."""

import numpy as np

from gdcourse import validation
from gdcourse.accounting import balanced_workers, data_parallel_step, training_memory
from gdcourse.lesson.explorer.figure import control, log_grid, show

__all__ = ["axis_toggle", "memory_calculator", "scaling_calculator"]

VARIANTS = ("full batch", "mini-batch", "SGD")  # have a colour


def axis_toggle(
    histories,
    *,
    lowest,
    overhead,
    seconds_per_row,
    target=0.01,
    name="axis-toggle",
):
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

    Returns
    -------
    Explorer
    """
    overhead = validation.positive("overhead", overhead)
    per_row = validation.positive("seconds_per_row", seconds_per_row)
    target = validation.positive("target", target)
    shares = control([0.5, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001], target)
    shares["values"].reverse()
    excesses = {variant: _excess(variant, histories[variant], lowest) for variant in histories}
    if not excesses:
        raise ValueError("histories must hold at least one run")
    first = max(excess[0] for excess in excesses.values())
    runs = []
    for variant, excess in excesses.items():
        history = histories[variant]
        kept = _thin(history.step[: len(excess)], excess, first * np.array(shares["values"]))
        columns = {"step": history.step, "samples": history.samples_seen, "excess": excess}
        run = {"name": variant} | {key: column[kept].tolist() for key, column in columns.items()}
        runs.append(run | {"diverged": len(excess) < len(history.loss)})
    if max(run["step"][-1] for run in runs) == 0:
        raise ValueError("histories must hold a finite loss after step 0")
    controls = {
        "axis": {"values": ["steps", "samples", "seconds"], "value": "steps"},
        "target": shares,
        "overhead": control(log_grid(1e-8, 1e-3), overhead),
    }
    return show(name, "axes", {"runs": runs, "perRow": per_row, "controls": controls})


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
    wanted = np.geomspace(1, max(1, steps[-1]), n_points)
    reached = [np.flatnonzero(excess < target)[:1] for target in targets]
    places = np.concatenate([[0], np.searchsorted(steps, wanted), *reached])
    return np.unique(places[places < len(steps)].astype(int))


def _whole(name, value, minimum=1):
    """A count that may be written as 1e8."""
    return validation.count(name, round(validation.non_negative(name, value)), minimum)


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
    n_parameters, activations_per_sample, batch_size, bytes_per_value, optimizer_states
        As in `training_memory`.
    device_memory : float
        Bytes.
    overhead : float
        t₀, the seconds that a step takes however small the batch.
    rows_per_second : float
        r, the throughput of a large batch.
    name : str

    Returns
    -------
    Explorer
    """
    n_parameters = _whole("n_parameters", n_parameters)
    activations = _whole("activations_per_sample", activations_per_sample, minimum=0)
    training_memory(  # checks the rest of its arguments
        n_parameters,
        activations,
        batch_size,
        bytes_per_value=bytes_per_value,
        optimizer_states=optimizer_states,
    )
    device_memory = validation.positive("device_memory", device_memory)
    overhead = validation.positive("overhead", overhead)
    speed = validation.positive("rows_per_second", rows_per_second)
    controls = {
        "n_parameters": control(log_grid(1e3, 1e12, 5), n_parameters),
        "activations": control(log_grid(1e2, 1e9, 5), activations),
        "batch_size": control([2**k for k in range(17)], batch_size),
        "bytes": control([2, 4, 8], bytes_per_value),
        "states": control([0, 1, 2, 6], optimizer_states),
        "device": control(log_grid(1e9, 1e12, 5), device_memory),
        "overhead": control(log_grid(1e-5, 1, 5), overhead),
        "speed": control(log_grid(10, 1e8, 5), speed),
    }
    return show(name, "memory", {"controls": controls})


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
    n_parameters, bytes_per_value : int
        Their product is the size of a gradient.
    batch_size : int
        Rows of all workers together, or with ``scaling="weak"`` of each of them.
    seconds_per_sample, bandwidth, latency, local_steps, method
        As in `data_parallel_step`.
    scaling : str
        As in `balanced_workers`.
    name : str

    Returns
    -------
    Explorer
    """
    n_parameters = _whole("n_parameters", n_parameters)
    n_bytes = n_parameters * validation.count("bytes_per_value", bytes_per_value)
    n_workers = validation.count("n_workers", n_workers)
    batch_size = validation.count("batch_size", batch_size)
    latency = validation.positive("latency", latency)
    link = {"n_bytes": n_bytes, "bandwidth": bandwidth, "latency": latency, "method": method}
    work = {"batch_size": batch_size, "seconds_per_sample": seconds_per_sample}
    # Both check the arguments that they share with this figure.
    data_parallel_step(n_workers, **work, **link, local_steps=local_steps)
    balanced_workers(1.0, **link, scaling=scaling)
    controls = {
        "n_workers": control([2**k for k in range(21)], n_workers),
        "n_parameters": control(log_grid(1e2, 1e12, 5), n_parameters),
        "bytes": control([1, 2, 4, 8], bytes_per_value),
        "batch_size": control([2**k for k in range(25)], batch_size),
        "sample": control(log_grid(1e-8, 1e3, 5), float(seconds_per_sample)),
        "bandwidth": control(log_grid(1e5, 1e12, 5), float(bandwidth)),
        "latency": control(log_grid(1e-7, 1, 5), latency),
        "local_steps": control([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000], local_steps),
        "method": {"values": ["ring", "tree", "star"], "value": method},
        "scaling": {"values": ["strong", "weak"], "value": scaling},
    }
    return show(name, "scaling", {"controls": controls})

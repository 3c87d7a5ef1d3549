"""Interactive figures: Python draws them, a script in the page lets the reader move them.

Each function returns a figure that a notebook shows: an SVG, a table of its numbers, and the
data as JSON. Where the book's script ``explorer.js`` runs, it adds controls and computes the
same runs again from these data and from the batches drawn here, with the same formula. Without
the script the figure and the table remain. It is no part of ``import gdcourse``, which needs
no matplotlib: ``from gdcourse.lesson import explorer``.
"""

import json
from dataclasses import dataclass, field
from html import escape
from itertools import islice

import numpy as np

from gdcourse import schedules
from gdcourse.accounting import training_memory
from gdcourse.base import validation
from gdcourse.base.backend import to_host
from gdcourse.descent import updates
from gdcourse.engine.cluster import balanced_workers, data_parallel_step
from gdcourse.lesson.figures import COLOURS
from gdcourse.lesson.theory import noise_floor, stability_limit, stationary_covariance
from gdcourse.sampling import FullBatch, WithReplacement

__all__ = [
    "Explorer",
    "axis_toggle",
    "heavy_ball",
    "memory_calculator",
    "noise_ball",
    "scaling_calculator",
    "three_estimators",
    "your_update",
]

SCALE = 1000  # data are rounded to thousandths and embedded as integers
DEFAULT_UPDATE = """\
def update(theta, X, y, learning_rate, step):
    gradient = [0.0, 0.0]
    for (x1, x2), target in zip(X, y):
        residual = x1 * theta[0] + x2 * theta[1] - target
        gradient[0] += residual * x1 / len(y)
        gradient[1] += residual * x2 / len(y)
    return [
        theta[0] - learning_rate * gradient[0],
        theta[1] - learning_rate * gradient[1],
    ]
"""


@dataclass(frozen=True)
class Explorer:
    """A figure that a notebook shows and a page of the book lets the reader move.

    Attributes
    ----------
    name : str
        Its own on its page.
    html : str
        The figure, a table of its numbers, and its data.
    """

    name: str
    html: str = field(repr=False)

    def _repr_html_(self):
        return self.html


# Figures over two parameters

DIVERGING = np.errstate(over="ignore", invalid="ignore")  # a run that diverges is a result


@DIVERGING
def three_estimators(
    X,
    y,
    start,
    *,
    learning_rate=0.2,
    batch_size=32,
    batch_sizes=(2, 4, 8, 16, 32, 64),
    n_steps=60,
    rng=0,
    name="three-estimators",
):
    """Full batch, mini-batch and SGD from one start, on the level lines of least squares.

    Parameters
    ----------
    X : (n, 2) array
    y : (n,) array
        Rounded, like X, to three decimals.
    start : pair of float
        θ at step 0, rounded to six decimals.
    learning_rate : float
        Where its control stands at first.
    batch_size : int
        Where its control stands at first.
    batch_sizes : sequence of int
        What the reader can choose from.
    n_steps : int
    rng : seed
        Mini-batches are those of ``WithReplacement(b)`` with this seed, for every b.
    name : str
        A name for the figure, its own on its page.

    Returns
    -------
    Explorer
    """
    descent = _Descent(X, y, start, learning_rate, batch_size, batch_sizes, n_steps, rng)
    runs = [
        ("full batch", "full batch", FullBatch()),
        ("mini-batch", "mini-batch", WithReplacement(batch_size)),
        ("SGD", "SGD", WithReplacement(1)),
    ]
    thetas = [descent.path(batches) for _, _, batches in runs]
    marks = [
        descent.run_marks(path, COLOURS[c]) for path, (_, c, _) in zip(thetas, runs, strict=True)
    ]
    counts = [descent.n, descent.batch_size, 1]
    rows = [
        (label, [f"{b}", f"{n_steps * b:,}", *descent.numbers(path)], COLOURS[c])
        for (label, c, _), path, b in zip(runs, thetas, counts, strict=True)
    ]
    label = (
        f"Level lines of a loss over two parameters, and {n_steps} steps of full batch, "
        f"mini-batch and SGD from one start. The full batch goes straight to the minimum, the "
        f"mini-batch wobbles, SGD wanders."
    )
    payload = descent.payload(
        view="estimators",
        runs=["n", "b", 1],
        controls={"learning_rate": descent.rates, "batch_size": descent.batch_sizes},
    )
    head = [f"after {n_steps} steps", "rows a step", "rows read", "excess loss", "distance to ★"]
    return _figure(name, descent.svg(name, label, marks, rows), head, rows, payload)


@DIVERGING
def noise_ball(
    X,
    y,
    start,
    *,
    learning_rate=0.1,
    batch_size=1,
    batch_sizes=(1, 2, 4, 8),
    n_steps=600,
    rng=0,
    name="noise-ball",
):
    """Where SGD with a constant learning rate ends: around the minimiser, not on it.

    The reader sets the learning rate, the batch size, a decay of the rate (that of
    ``schedules.inverse_time``) and an average of the iterates of the second half. The ellipse
    is that of ``stationary_covariance``: two standard deviations, which hold 86% of a normal
    distribution.

    Parameters
    ----------
    X, y, start, learning_rate, batch_size, batch_sizes, n_steps, rng, name
        As in `three_estimators`.

    Returns
    -------
    Explorer
    """
    descent = _Descent(X, y, start, learning_rate, batch_size, batch_sizes, n_steps, rng)
    path = descent.path(WithReplacement(descent.batch_size))
    colour = COLOURS["SGD" if descent.batch_size == 1 else "mini-batch"]
    half = n_steps // 2
    settled = np.mean([descent.excess(theta) for theta in path[half + 1 :]])
    limit = stability_limit(descent.X, descent.batch_size)
    floor, ellipse = "none: beyond the limit", ""
    if learning_rate < limit:
        problem = (descent.X, descent.y, learning_rate, descent.batch_size)
        floor = _number(noise_floor(*problem))
        ellipse = descent.ellipse(2 * stationary_covariance(*problem) * 2)
    marks = [
        descent.run_marks(path, colour, faint=True),
        f'<path class="gd-dots" d="{descent.dots(path[half + 1 :])}" stroke="{colour}"/>',
        f'<ellipse class="gd-theory" {ellipse}/>',
        '<g class="gd-average" hidden=""><path d=""/></g>',
    ]
    rows = [
        ("last iterate", [_loss(descent.excess(path[-1]), descent.excess(path[0]))], colour),
        (f"mean over steps {half + 1} to {n_steps}", [_number(settled)], colour),
        ("theory: the noise floor", [floor], "currentColor"),
        ("rate from which the mean squared error grows", [_number(limit)], None),
    ]
    label = (
        f"Level lines of a loss over two parameters and {n_steps} steps of SGD. They go to the "
        f"minimum and then scatter around it, within the dashed ellipse that theory predicts."
    )
    payload = descent.payload(
        view="ball",
        runs=["b"],
        half=half,
        controls={
            "learning_rate": descent.rates,
            "batch_size": descent.batch_sizes,
            "decay": {"values": [0, 0.003, 0.01, 0.03, 0.1, 0.3], "value": 0},
            "average": False,
        },
    )
    svg = descent.svg(name, label, marks)
    return _figure(name, svg, [f"after {n_steps} steps", "excess loss J − J*"], rows, payload)


@DIVERGING
def your_update(
    X,
    y,
    start,
    *,
    code=DEFAULT_UPDATE,
    learning_rate=0.1,
    batch_size=8,
    batch_sizes=(1, 2, 4, 8, 16, 32),
    n_steps=60,
    rng=0,
    name="your-update",
):
    """An update rule that the reader edits and runs in the page, beside the package's.

    The code defines ``update(theta, X, y, learning_rate, step)``: it gets a list of two
    parameters and the rows of one mini-batch as lists, and returns the next two parameters.
    It runs in the browser, on MicroPython.

    Parameters
    ----------
    X, y, start, learning_rate, batch_size, batch_sizes, n_steps, rng, name
        As in `three_estimators`.
    code : str
        What the editor holds at first.

    Returns
    -------
    Explorer
    """
    descent = _Descent(X, y, start, learning_rate, batch_size, batch_sizes, n_steps, rng)
    path = descent.path(WithReplacement(descent.batch_size))
    numbers = [f"{n_steps}", *descent.numbers(path)]
    marks = [
        descent.run_marks(path, COLOURS["mini-batch"]),
        descent.run_marks(path[:1], YOURS),
    ]
    rows = [
        ("gdcourse", numbers, COLOURS["mini-batch"]),
        ("your update", ["0", *descent.numbers(path[:1])], YOURS),
    ]
    label = (
        f"Level lines of a loss over two parameters, and {n_steps} mini-batch steps of the "
        f"package. The path of your own update rule is drawn beside it."
    )
    payload = descent.payload(
        view="yours",
        runs=["b"],
        code=code,
        controls={"learning_rate": descent.rates, "batch_size": descent.batch_sizes},
    )
    head = [f"after {n_steps} steps", "steps", "excess loss", "distance to ★"]
    shown = f'<pre class="gd-code"><code>{escape(code)}</code></pre>'
    return _figure(name, descent.svg(name, label, marks, rows), head, rows, payload, shown)


@DIVERGING
def heavy_ball(
    X,
    y,
    start,
    *,
    learning_rate=0.16,
    momentum=0.9,
    n_steps=60,
    name="heavy-ball",
):
    """The exact gradient without momentum, with the heavy ball's, and with Nesterov's.

    The reader sets the learning rate and the momentum coefficient. The table's last column is
    the share of the error that a step keeps in the long run, from the eigenvalues of the 2×2
    matrices of `momentum_updates` along the two axes of the valley.

    Parameters
    ----------
    X, y, start, learning_rate, n_steps, name
        As in `three_estimators`; `gdcourse.compress` leaves three rows of X and y to embed.
    momentum : float
        Where its control stands at first.

    Returns
    -------
    Explorer
    """
    n = len(y)
    descent = _Descent(X, y, start, learning_rate, n, (), n_steps, 0)
    momentum = validation.check_non_negative("momentum", momentum)
    betas = sorted({*(k / 10 for k in range(10)), 0.95, 0.98, momentum})
    rows, marks = [], []
    for (label, colour), beta, nesterov in zip(
        ROLLING.items(), (0.0, momentum, momentum), (False, False, True), strict=True
    ):
        steps = updates(
            descent.X,
            descent.y,
            descent.start,
            batches=FullBatch(),
            learning_rate=descent.learning_rate,
            momentum=beta,
            nesterov=nesterov,
        )
        path = np.array([theta for _, _, theta in islice(steps, n_steps + 1)])
        kept = _kept(np.linalg.eigvalsh(descent.hessian), descent.learning_rate, beta, nesterov)
        marks.append(descent.run_marks(path, colour))
        rows.append((label, [*descent.numbers(path), f"{kept:.3f}"], colour))
    label = (
        f"Level lines of a loss over two parameters, and {n_steps} steps of gradient descent, of "
        f"the heavy ball and of Nesterov's method from one start. Gradient descent creeps along "
        f"the valley, the other two roll along it, and past the minimum when there is too much "
        f"momentum."
    )
    payload = descent.payload(
        view="rolling",
        runs=[[0, False], [1, False], [1, True]],
        controls={
            "learning_rate": descent.rates,
            "momentum": {"values": betas, "value": momentum},
        },
    )
    head = [f"after {n_steps} steps", "excess loss", "distance to ★", "kept a step"]
    return _figure(name, descent.svg(name, label, marks, rows), head, rows, payload)


def _kept(curvatures, learning_rate, momentum, nesterov):
    """The largest absolute root of z² − pz + q over the curvatures: the rate of a descent."""
    factor = 1 - learning_rate * curvatures
    p = (1 + momentum) * factor if nesterov else momentum + factor
    q = momentum * factor if nesterov else momentum + 0 * factor
    spread = np.sqrt(p * p - 4 * q + 0j)
    return float(np.max(np.abs([p + spread, p - spread])) / 2)


ROLLING = {"gradient descent": "#0072B2", "heavy ball": "#CC79A7", "Nesterov": "#E69F00"}
YOURS = "#CC79A7"
FRAME = {"left": 44, "top": 26, "width": 386, "height": 274}  # inside a picture of 440 by 345


class _Descent:
    """Least squares in two parameters, rounded as the page gets it, and its picture."""

    def __init__(self, X, y, start, learning_rate, batch_size, batch_sizes, n_steps, rng):
        X, y = validation.check_data(X, y)
        X, y = (np.rint(SCALE * to_host(a)).astype(int) for a in (X, y))
        if X.shape[1] != 2:
            raise ValueError(f"X must have two columns, got {X.shape[1]}: there are two axes")
        self.integers = {"X": X.ravel().tolist(), "y": y.tolist()}
        self.X, self.y, self.n = X / SCALE, y / SCALE, len(y)
        self.start = np.round(np.asarray(start, dtype=float), 6)
        if self.start.shape != (2,) or not np.isfinite(self.start).all():
            raise ValueError(f"start must be two finite numbers, got {start!r}")
        self.learning_rate = validation.check_positive("learning_rate", learning_rate)
        self.n_steps = validation.check_count("n_steps", n_steps)
        sizes = validation.check_each("batch_sizes", batch_sizes, validation.check_count)
        self.batch_size = validation.check_count("batch_size", batch_size, maximum=self.n)
        sizes = sorted({self.batch_size, *(b for b in sizes if b <= self.n)})
        self.batch_sizes = {"values": sizes, "value": self.batch_size}
        self.rates = {"values": _rates(0.01, 3, self.learning_rate), "value": self.learning_rate}
        self.rng = validation.check_count("rng", rng, minimum=0)
        # The rows that WithReplacement draws from a seed are one stream, however it is cut.
        draws = np.random.default_rng(self.rng).integers(self.n, size=self.n_steps * sizes[-1])
        self.width = len(np.base_repr(self.n - 1, 36))
        self.order = "".join(np.base_repr(i, 36).lower().zfill(self.width) for i in draws)
        self.hessian = self.X.T @ self.X / self.n
        if np.linalg.eigvalsh(self.hessian)[0] < 1e-9:
            raise ValueError("X must have independent columns: there is no single minimiser")
        self.minimiser = np.linalg.solve(self.hessian, self.X.T @ self.y / self.n)
        reach = np.abs(self.start - self.minimiser) / (FRAME["width"], FRAME["height"])
        half = 1.25 * reach.max() * np.array([FRAME["width"], FRAME["height"]])
        self.corner = np.round(self.minimiser - half, 3)  # lower left
        self.pixels = round(FRAME["width"] / (2 * half[0]), 3)  # for a unit, on both axes

    def path(self, batches):
        """The package's run, an (n_steps + 1, 2) array."""
        steps = updates(
            self.X,
            self.y,
            self.start,
            batches=batches,
            learning_rate=schedules.constant(self.learning_rate),
            rng=self.rng,
        )
        return np.array([theta for _, _, theta in islice(steps, self.n_steps + 1)])

    def excess(self, theta):
        """J(θ) − J*, as a quadratic form: without cancellation near the minimiser."""
        error = theta - self.minimiser
        return 0.5 * error @ self.hessian @ error

    def numbers(self, path):
        error = path[-1] - self.minimiser
        first = self.excess(path[0])
        return [_loss(self.excess(path[-1]), first), _number(np.linalg.norm(error))]

    def payload(self, **more):
        box = FRAME | {"corner": self.corner.tolist(), "pixels": self.pixels}
        return {
            "kind": "descent",
            "scale": SCALE,
            **self.integers,
            "order": self.order,
            "digits": self.width,
            "start": self.start.tolist(),
            "steps": self.n_steps,
            "box": box,
            **more,
        }

    def at(self, theta):
        """θ in pixels."""
        x, y = (np.asarray(theta) - self.corner) * self.pixels
        return FRAME["left"] + x, FRAME["top"] + FRAME["height"] - y

    def points(self, path):
        pairs = []
        for theta in path:
            x, y = self.at(theta)
            if not abs(x) + abs(y) < 1e6:
                break
            pairs.append(f"{x:.1f},{y:.1f}")
        return " ".join(pairs)

    def dots(self, path):
        spots = [(x, y) for x, y in map(self.at, path) if abs(x) + abs(y) < 1e6]
        return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in spots)

    def run_marks(self, path, colour, faint=False):
        points = self.points(path)
        x, y = points.split()[-1].split(",")
        kind = "gd-run gd-faint" if faint else "gd-run"
        line = f'<polyline points="{points}" stroke="{colour}"/>'
        return f'<g class="{kind}">{line}<circle cx="{x}" cy="{y}" r="5" fill="{colour}"/></g>'

    def ellipse(self, covariance):
        """Attributes of the ellipse of errors e with eᵀ C⁻¹ e = 1."""
        variances, basis = np.linalg.eigh(covariance)
        x, y = self.at(self.minimiser)
        angle = -np.degrees(np.arctan2(basis[1, 1], basis[0, 1])) % 180
        radii = self.pixels * np.sqrt(variances)
        return (
            f'rx="{radii[1]:.1f}" ry="{radii[0]:.1f}" '
            f'transform="translate({x:.1f} {y:.1f}) rotate({angle:.1f})"'
        )

    def svg(self, name, label, marks, rows=()):
        left, top, width, height = FRAME.values()
        corners = self.corner + np.array([[0, 0], [width, 0], [0, height], [width, height]]) / (
            self.pixels
        )
        highest = max(map(self.excess, corners))
        levels = np.geomspace(highest * 1e-3, highest, 12)
        inverse = np.linalg.inv(self.hessian)
        rings = "".join(f"<ellipse {self.ellipse(2 * level * inverse)}/>" for level in levels)
        x, y = self.at(self.minimiser)
        star = f'<text class="gd-star" x="{x:.1f}" y="{y + 6:.1f}">★</text>'
        inside = (
            f"{_clipped(name, FRAME)}"
            f'<g class="gd-levels" stroke="#999" stroke-width=".8">{rings}</g>'
            f'<g stroke-width="1.6" stroke-linejoin="round">{"".join(marks)}</g></g>{star}'
        )
        legend = _legend([(row[0], row[-1]) for row in rows], left)
        far = self.corner + np.array([width, height]) / self.pixels
        across = [
            (left + (t - self.corner[0]) * self.pixels, _tick(t))
            for t in _ticks(self.corner[0], far[0])
        ]
        up = [
            (top + height - (t - self.corner[1]) * self.pixels, _tick(t))
            for t in _ticks(self.corner[1], far[1])
        ]
        return _svg(345, label, legend + _axes(FRAME, across, up, "θ₁", "θ₂") + inside)


# Figures over counts and costs


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
        By variant: "full batch", "mini-batch", "SGD".
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
    overhead = validation.check_positive("overhead", overhead)
    per_row = validation.check_positive("seconds_per_row", seconds_per_row)
    shares = sorted({0.5, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, target}, reverse=True)
    excesses = {
        variant: np.array([float(f"{loss:.4g}") for loss in history.loss - lowest])
        for variant, history in histories.items()
    }
    first = max(float(excess[0]) for excess in excesses.values())
    runs = []
    for variant, excess in excesses.items():
        history = histories[variant]
        kept = _thinned(history.step, excess, [share * first for share in shares])
        columns = {"step": history.step, "samples": history.samples_seen, "excess": excess}
        runs.append({"name": variant} | {key: c[kept].tolist() for key, c in columns.items()})
    least = min(e for run in runs for e in run["excess"] if e > 0)
    rises = [_decade(least), _decade(first, up=True)]
    overheads = _rates(1e-8, 1e-3, overhead)
    frame = FRAME | {"left": 52, "width": 378}
    payload = {
        "kind": "axes",
        "runs": runs,
        "rise": rises,
        "first": first,
        "perRow": per_row,
        "box": frame,
        "controls": {
            "axis": {"values": ["steps", "samples", "seconds"], "value": "steps"},
            "target": {"values": shares, "value": target},
            "overhead": {"values": overheads, "value": overhead},
        },
    }
    highest = max(run["step"][-1] for run in runs)
    span = [0, _decade(highest, up=True)]
    colours = [COLOURS[run["name"]] for run in runs]
    lines = "".join(
        f'<polyline points="{_log_points(run["step"], run["excess"], frame, span, rises)}" '
        f'stroke="{colour}"/>'
        for run, colour in zip(runs, colours, strict=True)
    )
    height = _log_at(target * first, rises, frame["top"] + frame["height"], -frame["height"])
    aim = f'<path class="gd-theory" d="M{frame["left"]} {height:.1f}h{frame["width"]}"/>'
    label = (
        "Excess loss of three runs, full batch, mini-batch and SGD, against the number of steps, "
        "both on logarithmic axes. Against samples or seconds their order changes."
    )
    across = _log_ticks(span, frame["left"], frame["width"])
    up = _log_ticks(rises, frame["top"] + frame["height"], -frame["height"])
    axes = _axes(frame, across, up, "steps", "excess loss J − J*")
    marks = f'<g fill="none" stroke-width="2">{lines}{aim}</g>'
    rows = []
    for run, colour in zip(runs, colours, strict=True):
        k = next((i for i, e in enumerate(run["excess"]) if e < target * first), None)
        cells = ["not reached"] * 3
        if k is not None:
            steps, samples = run["step"][k], run["samples"][k]
            seconds = steps * overhead + samples * per_row
            cells = [f"{steps:,}", f"{samples:,}", _unit(seconds, "s")]
        rows.append((run["name"], cells, colour))
    head = ["to the dashed line", "steps", "samples", "time"]
    legend = _legend([(row[0], row[-1]) for row in rows], frame["left"])
    return _figure(name, _svg(345, label, legend + axes + marks), head, rows, payload)


PARTS = {
    "parameters": "#0072B2",
    "gradients": "#009E73",
    "activations": "#D55E00",
    "optimizer": "#CC79A7",
}


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
    counts = (round(n_parameters), round(activations_per_sample), batch_size)
    memory = training_memory(
        *counts, bytes_per_value=bytes_per_value, optimizer_states=optimizer_states
    )
    powers = [2**k for k in range(17)]
    controls = {
        "n_parameters": {"values": _rates(1e3, 1e12, counts[0], 5), "value": counts[0]},
        "activations": {"values": _rates(1e2, 1e9, counts[1], 5), "value": counts[1]},
        "batch_size": {"values": sorted({*powers, batch_size}), "value": batch_size},
        "bytes": {"values": sorted({2, 4, 8, bytes_per_value}), "value": bytes_per_value},
        "states": {"values": sorted({0, 1, 2, 6, optimizer_states}), "value": optimizer_states},
        "device": {"values": _rates(1e9, 1e12, device_memory, 5), "value": device_memory},
        "overhead": {"values": _rates(1e-5, 1, overhead, 5), "value": overhead},
        "speed": {"values": _rates(10, 1e8, rows_per_second, 5), "value": rows_per_second},
    }
    bar = {"left": 10, "top": 24, "width": 420, "height": 26}
    frame = {"left": 52, "top": 92, "width": 378, "height": 208}
    span, rises = [0, 5], [-6, 3]
    payload = {
        "kind": "memory",
        "bar": bar,
        "box": frame,
        "span": span,
        "rise": rises,
        "controls": controls,
    }
    full = max(memory.total, device_memory)
    rects, x = [], 0
    for part, colour in PARTS.items():
        width = bar["width"] * getattr(memory, part) / full
        rects.append(
            f'<rect x="{bar["left"] + x:.1f}" y="{bar["top"]}" width="{width:.1f}" '
            f'height="{bar["height"]}" fill="{colour}"/>'
        )
        x += width
    edge = bar["left"] + bar["width"] * device_memory / full
    limit = (
        f'<path class="gd-theory" d="M{edge:.1f} {bar["top"] - 6}v{bar["height"] + 12}"/>'
        f'<text class="gd-limit" x="{edge:.1f}" y="14" text-anchor="end">device memory</text>'
    )

    def seconds(b):
        return max(overhead, b / rows_per_second)

    sizes = [10 ** (k / 10) for k in range(51)]
    points = _log_points(sizes, [seconds(b) for b in sizes], frame, span, rises)
    spot = _log_points([batch_size], [seconds(batch_size)], frame, span, rises).split(",")
    across = _log_ticks(span, frame["left"], frame["width"])
    up = _log_ticks(rises, frame["top"] + frame["height"], -frame["height"])
    svg = (
        "".join(rects)
        + limit
        + _axes(frame, across, up, "batch size b", "seconds a step")
        + f'<polyline points="{points}" fill="none" stroke="{COLOURS["full batch"]}" '
        f'stroke-width="2"/><circle cx="{spot[0]}" cy="{spot[1]}" r="5" '
        f'fill="{COLOURS["full batch"]}"/>'
    )
    label = (
        "Above, a bar of the memory of a training step, by what holds it, beside the memory of "
        "the device. Below, the seconds of a step against the batch size: flat, then rising in "
        "proportion."
    )
    fits = "fits" if memory.total <= device_memory else "does not fit"
    time = seconds(batch_size)
    rows = [
        (part.replace("optimizer", "optimiser"), [_unit(getattr(memory, part), "B")], colour)
        for part, colour in PARTS.items()
    ]
    rows += [
        ("total", [f"{_unit(memory.total, 'B')}, {fits}"], None),
        ("time of a step", [_unit(time, "s")], None),
        ("rows a second", [_number(batch_size / time)], None),
        ("share of the peak", [f"{100 * batch_size / time / rows_per_second:.0f} %"], None),
    ]
    return _figure(name, _svg(345, label, svg), ["memory and time", "value"], rows, payload)


SHARES = {"computing": "#0072B2", "communication": "#D55E00", "step": "currentColor"}
SCALING = {"strong": "one batch, cut into P parts", "weak": "a batch of its own for each worker"}


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
    given = {
        "n_workers": validation.check_count("n_workers", n_workers),
        "n_parameters": validation.check_count("n_parameters", round(n_parameters)),
        "bytes": validation.check_count("bytes_per_value", bytes_per_value),
        "batch_size": validation.check_count("batch_size", batch_size),
        "sample": validation.check_positive("seconds_per_sample", seconds_per_sample),
        "bandwidth": validation.check_positive("bandwidth", bandwidth),
        "latency": validation.check_positive("latency", latency),
        "local_steps": validation.check_count("local_steps", local_steps),
        "method": method,
        "scaling": scaling,
    }
    values = {
        "n_workers": [2**k for k in range(21)],
        "n_parameters": _rates(1e2, 1e12, given["n_parameters"], 5),
        "bytes": [1, 2, 4, 8],
        "batch_size": [2**k for k in range(25)],
        "sample": _rates(1e-8, 1e3, given["sample"], 5),
        "bandwidth": _rates(1e5, 1e12, given["bandwidth"], 5),
        "latency": _rates(1e-7, 1, given["latency"], 5),
        "local_steps": [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
        "method": ["ring", "tree", "star"],
        "scaling": list(SCALING),
    }
    link = {"n_bytes": given["n_parameters"] * given["bytes"], "method": method}
    link |= {"bandwidth": given["bandwidth"], "latency": given["latency"]}
    seconds = given["batch_size"] * given["sample"]
    balance = balanced_workers(seconds * local_steps, **link, scaling=scaling)

    def step(p):
        rows = given["batch_size"] * (p if scaling == "weak" else 1)
        work = {"batch_size": rows, "seconds_per_sample": given["sample"]}
        return data_parallel_step(p, **work, **link, local_steps=local_steps)

    frame = {"left": 52, "top": 26, "width": 378, "height": 274}
    span, rises = [0, 6], [-6, 4]
    payload = {
        "kind": "scaling",
        "box": frame,
        "span": span,
        "rise": rises,
        "controls": {key: _among(values[key], value) for key, value in given.items()},
    }
    counts = [10 ** (k / 10) for k in range(61)]
    steps = [step(p) for p in counts]
    curves = [[getattr(s, part) for s in steps] for part in ("compute", "communication", "total")]
    styles = ('stroke-width="2"', 'stroke-width="2"', 'stroke-width="7" stroke-opacity=".3"')
    lines = "".join(
        f'<polyline points="{_log_points(counts, curve, frame, span, rises)}" stroke="{colour}" '
        f"{style}/>"
        for curve, colour, style in zip(curves, SHARES.values(), styles, strict=True)
    )
    now = step(n_workers)
    spot = _log_points([n_workers], [now.total], frame, span, rises).split(",")
    most = 1e9  # workers: the figure ends long before
    edge = _log_at(min(balance, most), span, frame["left"], frame["width"])
    svg = (
        _legend(list(SHARES.items()), frame["left"])
        + _axes(
            frame,
            _log_ticks(span, frame["left"], frame["width"]),
            _log_ticks(rises, frame["top"] + frame["height"], -frame["height"]),
            "workers P",
            "seconds a step",
        )
        + _clipped(name, frame)
        + f'{lines}<path class="gd-theory" d="M{edge:.1f} {frame["top"]}v{frame["height"]}"/>'
        f'<circle cx="{spot[0]}" cy="{spot[1]}" r="5" fill="currentColor"/></g>'
    )
    label = (
        "Seconds of a step against the number of workers, both logarithmic: computing, "
        "communication and their sum. A dashed line stands where the first two are equal."
    )
    speed_up = (n_workers if scaling == "weak" else 1) * seconds / now.total
    rows = [
        ("computing", [_unit(now.compute, "s")], SHARES["computing"]),
        ("communication", [_unit(now.communication, "s")], SHARES["communication"]),
        ("step", [_unit(now.total, "s")], SHARES["step"]),
        ("communication's share of the step", [_percent(now.communication / now.total)], None),
        ("rows a second", [_number(speed_up / given["sample"])], None),
        ("times as fast as one worker", [_number(speed_up)], None),
        ("share of the perfect speed-up", [_percent(speed_up / n_workers)], None),
        (
            "more communication than computing from P =",
            [_number(balance) if balance < most else "none up to 10⁹"],
            None,
        ),
    ]
    head = [f"with {n_workers:,} workers", "value"]
    return _figure(name, _svg(345, label, svg), head, rows, payload)


# Numbers, axes and the frame around a figure: explorer.js has the same, function by function


def _number(value):
    """Four digits, in powers of ten where that is shorter."""
    if not np.isfinite(value):
        return "∞"
    rounded = float(f"{value:.4g}")
    if rounded == 0 or 1e-4 <= abs(rounded) < 1e4:
        return f"{rounded:g}".replace("-", "−")
    digits, power = f"{value:.3e}".split("e")
    factor = "" if float(digits) == 1 else f"{float(digits):g}·"
    return f"{factor}10{_raised(int(power))}".replace("-", "−")


def _raised(power):
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _loss(excess, first):
    """An excess loss, with what it means where it is tiny, large or gone."""
    if excess < 1e-12:
        return "below 10⁻¹²"
    return _number(excess) + (" diverging" if not excess < 1e3 * first else "")


UNITS = {"s": [("s", 1), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)]}
UNITS["B"] = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1)]


def _unit(value, unit):
    name, size = next((u for u in UNITS[unit] if value >= u[1]), UNITS[unit][-1])
    return f"{_number(value / size)} {name}"


def _percent(share):
    return f"{_number(float(f'{100 * share:.2g}'))} %"


def _rates(low, high, value, per_decade=10):
    """Values even on a log scale, of two digits, and `value` among them."""
    first, last = (round(per_decade * np.log10(end)) for end in (low, high))
    grid = {float(f"{10 ** (k / per_decade):.2g}") for k in range(first, last + 1)}
    return sorted({*grid, float(value)})


def _among(values, chosen):
    """What a control offers, and where it stands at first."""
    return {"values": values if chosen in values else sorted([*values, chosen]), "value": chosen}


def _ticks(low, high):
    """Multiples of 1, 2 or 5 times a power of ten, about five of them."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step


def _tick(value):
    return f"{value:.3g}".replace("-", "−") if abs(value) > 1e-9 else "0"


def _decade(value, up=False):
    return int(np.ceil(np.log10(value)) if up else np.floor(np.log10(value)))


def _log_at(value, span, origin, length):
    return origin + length * (np.log10(value) - span[0]) / (span[1] - span[0])


def _log_ticks(span, origin, length):
    decades = span[1] - span[0]
    powers = range(span[0], span[1] + 1, -(-decades // 7))
    return [(origin + length * (p - span[0]) / decades, f"10{_raised(p)}") for p in powers]


def _log_points(across, up, frame, span, rise):
    bottom = frame["top"] + frame["height"]
    pairs = [
        (
            _log_at(x, span, frame["left"], frame["width"]),
            _log_at(y, rise, bottom, -frame["height"]),
        )
        for x, y in zip(across, up, strict=True)
        if x > 0 and y > 0
    ]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)


def _thinned(steps, excess, targets, n_points=60):
    """About `n_points` of the records, evenly on a log scale, and where each target is reached."""
    wanted = np.geomspace(max(1, steps[1]), steps[-1], n_points)
    reached = [np.flatnonzero(excess < target)[:1] for target in targets]
    return np.unique(np.concatenate([[0], np.searchsorted(steps, wanted), *reached]))


def _axes(frame, across, up, x_label, y_label):
    left, top, width, height = (frame[key] for key in ("left", "top", "width", "height"))
    bottom = top + height
    x_marks = "".join(
        f'<path d="M{x:.1f} {bottom}v4"/><text x="{x:.1f}" y="{bottom + 17}">{text}</text>'
        for x, text in across
    )
    y_marks = "".join(
        f'<path d="M{left} {y:.1f}h-4"/><text x="{left - 7}" y="{y + 4:.1f}">{text}</text>'
        for y, text in up
    )
    middle = top + height / 2
    return (
        f'<g class="gd-axes" stroke="currentColor" stroke-width=".8" fill="none">'
        f'<path d="M{left} {top}v{height}h{width}"/>'
        f'<g class="gd-x" text-anchor="middle">{x_marks}</g>'
        f'<g class="gd-y" text-anchor="end">{y_marks}</g>'
        f'<text class="gd-x-label" text-anchor="middle" x="{left + width / 2:.0f}" '
        f'y="{bottom + 34}">{x_label}</text>'
        f'<text text-anchor="middle" transform="translate(12 {middle:.0f}) rotate(-90)">'
        f"{y_label}</text></g>"
    )


def _clipped(name, frame):
    """Open a group of which only what lies in the frame is seen."""
    left, top, width, height = (frame[key] for key in ("left", "top", "width", "height"))
    return (
        f'<clipPath id="gd-{name}-frame"><rect x="{left}" y="{top}" width="{width}" '
        f'height="{height}"/></clipPath>'
        f'<g clip-path="url(#gd-{name}-frame)" fill="none">'
    )


def _legend(entries, left):
    """Names with their colours, side by side above a picture."""
    marks = []
    for text, colour in entries:
        marks.append(
            f'<circle cx="{left + 5}" cy="12" r="5" fill="{colour}"/>'
            f'<text x="{left + 15}" y="16">{text}</text>'
        )
        left += 30 + 7 * len(text)
    return "".join(marks)


def _svg(height, label, inside):
    return (
        f'<svg viewBox="0 0 440 {height}" role="img" aria-label="{escape(label)}" '
        f'font-size="12" xmlns="http://www.w3.org/2000/svg">'
        f"<style>.gd-explorer text{{fill:currentColor;stroke:none}}</style>{inside}</svg>"
    )


def _figure(name, svg, head, rows, payload, extra=""):
    """The picture, its table and its data as one piece of HTML."""
    if not name.replace("-", "").isalnum():
        raise ValueError(f"name must be letters, digits and hyphens, got {name!r}")
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    lines = []
    for label, cells, colour in rows:
        swatch = f'<i style="background:{colour}"></i>' if colour else ""
        numbers = "".join(f"<td>{cell}</td>" for cell in cells)
        lines.append(f'<tr><th scope="row">{swatch}{label}</th>{numbers}</tr>')
    data = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return Explorer(
        name,
        f'<div class="gd-explorer" id="gd-{name}"><div class="gd-picture">{svg}</div>{extra}'
        f'<table class="gd-numbers"><thead><tr>{titles}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
        f'<script type="application/json">{data}</script></div>',
    )

"""Figures over two parameters: the data of least squares, and the rows that are drawn from it."""

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import to_host
from gdcourse.lesson.explorer.figure import choice, log_grid, show, slider
from gdcourse.lesson.theory import noise_floor, stability_limit, stationary_covariance

__all__ = ["heavy_ball", "noise_ball", "three_estimators", "your_update"]

SCALE = 1000  # data are rounded to thousandths and embedded as integers
LARGEST = 2**53 // SCALE  # beyond it, the integers would not be exact in the page
BLANK = """\
def update(theta, X, y, learning_rate, step):
    gradient = [0.0, 0.0]
    for (x1, x2), target in zip(X, y):
        guess = x1 * theta[0] + x2 * theta[1]
        residual = guess - target
        # add this row to the gradient
    # return the next theta, not this one
    return theta
"""
HINT = (
    "The loss of a row is residual²/2. Its derivative by theta[0] is residual · x1, by theta[1] "
    "residual · x2. The gradient of the batch is the mean over its len(y) rows, and a step goes "
    "against it. For momentum, keep velocity = [0.0, 0.0] in a line above the function, and "
    "change its entries: it lasts from call to call."
)
SUM = """\
    gradient = [0.0, 0.0]
    for (x1, x2), target in zip(X, y):
        guess = x1 * theta[0] + x2 * theta[1]
        residual = guess - target
        gradient[0] += residual * x1 / len(y)
        gradient[1] += residual * x2 / len(y)
"""
SOLUTIONS = {
    0: f"""\
def update(theta, X, y, learning_rate, step):
{SUM}    return [
        theta[0] - learning_rate * gradient[0],
        theta[1] - learning_rate * gradient[1],
    ]
""",
    0.9: f"""\
velocity = [0.0, 0.0]

def update(theta, X, y, learning_rate, step):
{SUM}    for k in (0, 1):
        velocity[k] *= 0.9
        velocity[k] -= learning_rate * gradient[k]
    return [theta[0] + velocity[0], theta[1] + velocity[1]]
""",
}
HARNESS = """\
import json, page
def _walk(given):
    names = {"__name__": "your code"}
    exec(compile(page.code, "your code", "exec"), names)
    if "update" not in names:
        raise NameError("your code must define update(theta, X, y, learning_rate, step)")
    X, y = given["X"], [value / given["scale"] for value in given["y"]]
    X = [(X[2 * i] / given["scale"], X[2 * i + 1] / given["scale"]) for i in range(len(y))]
    theta, rate = given["start"], given["rate"]
    for step, rows in enumerate(given["batches"]):
        batch = [X[i] for i in rows], [y[i] for i in rows]
        theta = names["update"](list(theta), *batch, rate, step)
        try:
            first, second = theta
            page.add(first + 0.0, second + 0.0)
        except (TypeError, ValueError):
            got = repr(theta) + " at step " + str(step)
            raise ValueError("update must return two numbers, got " + got)
_walk(json.loads(page.given))
"""


def three_estimators(
    X,
    y,
    start,
    *,
    learning_rate=0.2,
    batch_size=32,
    batch_sizes=(2, 4, 8, 16, 32, 64),
    n_steps=60,
    overhead=6e-6,
    seconds_per_row=12e-9,
    rng=0,
    name="three-estimators",
):
    """Full batch, mini-batch and SGD from one start, on the level lines of least squares.

    Below, their losses on a clock that the reader chooses. It counts steps, or the samples or the
    seconds of a mini-batch step: then each run makes as many steps as it can afford.

    Parameters
    ----------
    X : (n, 2) array
        Two features, one sample a row, rounded to three decimals.
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
        Steps of each path.
    overhead, seconds_per_row : float
        A step of b rows is taken to last overhead + b·seconds_per_row.
    rng : seed
        Mini-batches are those of ``WithReplacement(b)`` with this seed, for every b.
    name : str
        A name for the figure, its own on its page.

    Returns
    -------
    Explorer
    """
    data = _sampled_data(X, y, start, learning_rate, batch_size, batch_sizes, n_steps, rng)
    controls = data["controls"]
    controls["batch_size"]["label"] = "Batch size of the mini-batch"
    clocks = {"steps": "steps", "samples": "samples seen", "seconds": "seconds"}
    controls["axis"] = choice("Stop all at the same number of", clocks, "steps")
    data["overhead"] = validation.check_positive("overhead", overhead)
    data["per_row"] = validation.check_positive("seconds_per_row", seconds_per_row)
    low, high = _limit_in(controls["learning_rate"]["values"], _curvatures(data)[1])
    smallest, largest = (controls["batch_size"]["values"][k] for k in (0, -1))
    data["presets"] = {
        "the full batch at its limit": {"learning_rate": low},
        "beyond it": {"learning_rate": high},
        "the same rows for all": {"axis": "samples"},
        "the smallest mini-batch": {"batch_size": smallest},
        "the largest": {"batch_size": largest},
    }
    seen = "the paths of full batch, mini-batch and SGD from one start"
    return _show(name, "estimators", seen, data)


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
    X : (n, 2) array
        Two features, one sample a row, rounded to three decimals.
    y : (n,) array
        Targets, rounded to three decimals.
    start : pair of float
        θ at step 0, rounded to six decimals.
    learning_rate : float
        Where its control stands at first.
    batch_size : int
        Where its control stands at first.
    batch_sizes : sequence of int
        What the reader can choose from.
    n_steps : int
        Steps of each path.
    rng : seed
        Mini-batches are those of ``WithReplacement(b)`` with this seed, for every b.
    name : str
        A name for the figure, its own on its page.

    Returns
    -------
    Explorer
    """
    data = _sampled_data(X, y, start, learning_rate, batch_size, batch_sizes, n_steps, rng)
    half = data["steps"] // 2
    decays = [0, 0.003, 0.01, 0.03, 0.1, 0.3]
    controls = data["controls"]
    rates, sizes = (controls[key]["values"] for key in ("learning_rate", "batch_size"))
    theory = [_theory(*_embedded(data), batch_size, rates) for batch_size in sizes]
    controls["decay"] = slider("Decay of the learning rate, α/(1 + decay·t)", "decay", decays, 0)
    controls["average"] = {"label": f"Average θ after step {half}", "value": False}
    data["presets"] = {
        "small steps": {"learning_rate": rates[0]},
        "a larger batch": {"batch_size": sizes[-1]},
        "a rate that decays": {"decay": 0.03},
        "the average": {"average": True},
    }
    seen = (
        f"the path of SGD, its iterates after step {half} as dots; an ellipse that theory "
        "predicts around the minimum is dashed"
    )
    return _show(name, "ball", seen, data | {"half": half, "theory": theory})


def your_update(
    X,
    y,
    start,
    *,
    code=BLANK,
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
    It runs in the browser, on MicroPython. Three tests hold its path against the package's.

    Parameters
    ----------
    X : (n, 2) array
        Two features, one sample a row, rounded to three decimals.
    y : (n,) array
        Targets, rounded to three decimals.
    start : pair of float
        θ at step 0, rounded to six decimals.
    learning_rate : float
        Where its control stands at first.
    batch_size : int
        Where its control stands at first.
    batch_sizes : sequence of int
        What the reader can choose from.
    n_steps : int
        Steps of each path.
    rng : seed
        Mini-batches are those of ``WithReplacement(b)`` with this seed, for every b.
    name : str
        A name for the figure, its own on its page.
    code : str
        What the editor holds at first.

    Returns
    -------
    Explorer
    """
    data = _sampled_data(X, y, start, learning_rate, batch_size, batch_sizes, n_steps, rng)
    tasks = {0: "a gradient step", 0.9: "with momentum, β = 0.9"}
    data["controls"] = {"level": choice("Write", tasks, 0)} | data["controls"]
    seen = "two paths on the same mini-batches, the package's and that of your own update"
    texts = {"code": code, "hint": HINT, "solutions": SOLUTIONS, "harness": HARNESS}
    return _show(name, "yours", seen, data | texts)


def heavy_ball(X, y, start, *, learning_rate=0.16, momentum=0.9, n_steps=60, name="heavy-ball"):
    """The exact gradient without momentum, with the heavy ball's, and with Nesterov's.

    The reader sets the learning rate and the momentum coefficient. The table's last column is
    the share of the error that a step keeps in the long run, from the eigenvalues of the 2×2
    matrices of the update along the two axes of the valley.

    Parameters
    ----------
    X : (n, 2) array
        Two features, one sample a row, rounded to three decimals; `gdcourse.compress` leaves
        three rows to embed.
    y : (n,) array
        Targets, rounded to three decimals.
    start : pair of float
        θ at step 0, rounded to six decimals.
    learning_rate : float
        Where its control stands at first.
    n_steps : int
        Steps of each path.
    name : str
        A name for the figure, its own on its page.
    momentum : float
        Where its control stands at first.

    Returns
    -------
    Explorer
    """
    data = _data(X, y, start, learning_rate, n_steps)
    momentum = validation.check_non_negative("momentum", momentum)
    betas = [*(k / 10 for k in range(10)), 0.95, 0.98]
    controls = data["controls"]
    controls["momentum"] = slider("Momentum", "momentum", betas, momentum)
    rates, (low, high) = controls["learning_rate"]["values"], _curvatures(data) ** 0.5
    best = {
        "learning_rate": min(rates, key=lambda rate: abs(np.log(rate * (high + low) ** 2 / 4))),
        "momentum": min(betas, key=lambda beta: abs(beta - ((high - low) / (high + low)) ** 2)),
    }
    data["presets"] = {
        "near the best pair": best,
        "too much momentum": best | {"momentum": 0.95},
        "no momentum": {"momentum": 0},
        "beyond the limit of gradient descent": {"learning_rate": _limit_in(rates, high**2)[1]},
    }
    seen = (
        "the paths of gradient descent, the heavy ball and Nesterov's method from one start, "
        "all with the exact gradient"
    )
    return _show(name, "rolling", seen, data)


def _show(name, kind, seen, data):
    """The figure, with its steps as the last control."""
    data["controls"]["step"] = slider("Step", "step", range(data["steps"] + 1), data["steps"])
    label = (
        f"Level lines of a loss over two parameters, a star at its minimum, and {seen}. "
        "Below, the excess loss as it falls."
    )
    return show(name, kind, label, data)


def _data(X, y, start, learning_rate, n_steps):
    """Least squares in two parameters, rounded as the page gets it, and the control of the rate."""
    X, y = (to_host(array) for array in validation.check_data(X, y))
    if X.shape[1] != 2:
        raise ValueError(f"X must have two columns, got {X.shape[1]}: there are two axes")
    for label, array in {"X": X, "y": y}.items():
        if (largest := abs(array).max()) > LARGEST:
            raise ValueError(f"{label} must lie within ±{LARGEST:.0e}, got {largest:.3g}: scale it")
    theta = np.round(np.asarray(start, dtype=float), 6)
    if theta.shape != (2,) or not np.isfinite(theta).all():
        raise ValueError(f"start must be two finite numbers, got {start!r}")
    learning_rate = validation.check_positive("learning_rate", learning_rate)
    data = {
        "scale": SCALE,
        "X": np.rint(SCALE * X).astype(np.int64).ravel().tolist(),
        "y": np.rint(SCALE * y).astype(np.int64).tolist(),
        "start": theta.tolist(),
        "steps": validation.check_count("n_steps", n_steps),
    }
    rate = slider("Learning rate", "rate", log_grid(0.01, 3), learning_rate)
    data["controls"] = {"learning_rate": rate}
    X, _ = _embedded(data)
    low, high = np.linalg.eigvalsh(X.T @ X)
    if low <= 1e-9 * high:
        raise ValueError("X must have independent columns: there is no single minimiser")
    return data


def _sampled_data(X, y, start, learning_rate, batch_size, batch_sizes, n_steps, rng):
    """The same with mini-batches, and the control of their size.

    The rows that ``WithReplacement`` draws from a seed are one stream, however it is cut. A row
    is written in so many digits to base 36.
    """
    data = _data(X, y, start, learning_rate, n_steps)
    n = len(data["y"])
    batch_size = validation.check_count("batch_size", batch_size, maximum=n)
    sizes = validation.check_each("batch_sizes", batch_sizes, validation.check_count)
    size = slider("Batch size", "rows", [b for b in sizes if b <= n], batch_size)
    data["controls"]["batch_size"] = size
    rng = np.random.default_rng(validation.check_count("rng", rng, minimum=0))
    rows = rng.integers(n, size=data["steps"] * size["values"][-1])
    digits = len(np.base_repr(n - 1, 36))
    order = "".join(np.base_repr(row, 36).lower().zfill(digits) for row in rows)
    return data | {"order": order, "digits": digits}


def _embedded(data):
    """X and y as the page gets them."""
    return np.reshape(data["X"], (-1, 2)) / SCALE, np.array(data["y"]) / SCALE


def _curvatures(data):
    """The smallest and the largest curvature."""
    X, y = _embedded(data)
    return np.linalg.eigvalsh(X.T @ X / len(y))


def _limit_in(rates, curvature):
    """The last rate below 2/L and the first that is not, as far as there are such."""
    k = int(np.clip(np.searchsorted(rates, 2 / curvature), 1, len(rates) - 1))
    return rates[k - 1], rates[k]


def _theory(X, y, batch_size, rates):
    """The limit of the learning rate, and for each rate below it the floor and its covariance."""

    def shorten(value):
        return float(f"{value:.6g}")

    limit = stability_limit(X, batch_size)
    balls = []
    for rate in (rate for rate in rates if rate < limit):
        (c11, c12), (_, c22) = stationary_covariance(X, y, rate, batch_size)
        floor = noise_floor(X, y, rate, batch_size)
        balls.append([shorten(value) for value in (floor, c11, c12, c22)])
    return {"limit": shorten(limit), "balls": balls}

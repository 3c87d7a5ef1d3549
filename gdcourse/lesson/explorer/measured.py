"""Figures over what a chapter has measured: a map of errors, orders of the rows, a picture."""

import base64

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import to_host
from gdcourse.lesson.explorer.figure import choice, show, slider
from gdcourse.objectives import LeastSquares
from gdcourse.rows import compress

__all__ = ["filling", "row_orders", "valley"]


def valley(
    batch_sizes,
    rates,
    excess,
    *,
    start,
    limits,
    n_samples,
    batch_size,
    learning_rate,
    name="valley",
):
    """A map of the final error over batch size and learning rate, and two cuts through it.

    The reader drags a cell. Below, the error against the batch size: with the learning rate of
    the cell kept, and with the best one for each batch size.

    Parameters
    ----------
    batch_sizes : (m,) sequence of int
        Each a constant factor from the one before, like the rates.
    rates : (k,) sequence of float
        Learning rates times L, the largest curvature. They, like all that follows, are rounded
        to three digits.
    excess : (m, k) array
        Final excess losses, not finite where a run diverged.
    start : float
        The excess loss before the first step: where `excess` is no lower, the map is grey.
    limits : (m,) sequence of float
        The stability limit of each batch size, times L.
    n_samples : int
        Rows that each run reads: it makes n_samples/b steps.
    batch_size : int
        With `learning_rate`, the cell that is chosen at first.
    learning_rate : float
        Times L, as in `rates`.
    name : str
        A name for the figure, its own on its page.

    Returns
    -------
    Explorer
    """
    sizes = validation.check_each("batch_sizes", batch_sizes, validation.check_count)
    excess = np.asarray(excess, dtype=float)
    if excess.shape != (len(sizes), len(rates)):
        raise ValueError(
            f"excess must have shape {(len(sizes), len(rates))}, for each batch size and rate, "
            f"got {excess.shape}"
        )
    start = _shorten(validation.check_positive("start", start))
    errors = [[_shorten(e) if e < start else None for e in of_size] for of_size in excess.tolist()]
    if not all(any(of_size) for of_size in errors):
        raise ValueError("excess must be lower than start for a rate of each batch size")
    rates = [_shorten(rate) for rate in rates]
    if _shorten(learning_rate) not in rates or batch_size not in sizes:
        raise ValueError(f"there is no cell at {batch_size!r} and {learning_rate!r}")
    data = {
        "sizes": sizes,
        "rates": rates,
        "excess": errors,
        "limits": [_shorten(limit) for limit in limits],
        "rows": validation.check_count("n_samples", n_samples),
        "start": start,
        "controls": {
            "batch_size": slider("Batch size", "rows", sizes, batch_size),
            "learning_rate": slider(
                "Learning rate, times L", "number", rates, _shorten(learning_rate)
            ),
        },
    }
    label = (
        "A map of the final error over batch size and learning rate, both on logarithmic axes, "
        "dark where it is low, with the best rate of each batch size as a dot, and the stability "
        "limit as a line. Below, the error against the batch size, for the rate that is chosen "
        "and for the best."
    )
    return show(name, "valley", label, data)


def row_orders(orders, errors, *, learning_rates, learning_rate, scheme, name="row-orders"):
    """Which row is read when, in two epochs, and how far from the minimiser that leaves a run.

    Parameters
    ----------
    orders : dict of (2n,) array of int
        By scheme: the rows of two epochs of n, as they are read, one a step.
    errors : dict of (m, n) array
        By scheme: the mean squared distance to the minimiser for each learning rate, after
        1 to n rows of a late epoch. Rounded to three digits.
    learning_rates : (m,) sequence of float
        What the reader can choose from, rounded to two digits.
    learning_rate : float
        Where its control stands at first.
    scheme : str
        The same for the order.
    name : str
        A name for the figure, its own on its page.

    Returns
    -------
    Explorer
    """
    if orders.keys() != errors.keys() or scheme not in orders:
        raise ValueError("orders and errors must be of the same schemes, the chosen one among them")
    n = len(orders[scheme]) // 2
    rates = [float(f"{rate:.2g}") for rate in learning_rates]
    schemes = {}
    for key, order in orders.items():
        found = np.asarray(errors[key], dtype=float)
        if found.shape != (len(rates), n) or len(order) != 2 * n:
            raise ValueError(
                f"{key!r} must have {2 * n} rows and errors of shape {(len(rates), n)}, "
                f"got {len(order)} and {found.shape}"
            )
        shortened = [[_shorten(error) for error in of_rate] for of_rate in found.tolist()]
        schemes[key] = {"order": np.asarray(order).tolist(), "errors": shortened}
    controls = {
        "scheme": choice("Order of the rows", {key: key for key in schemes}, scheme),
        "learning_rate": slider("Learning rate", "rate", rates, float(f"{learning_rate:.2g}")),
        "step": slider("Rows read", "step", range(2 * n + 1), 2 * n),
    }
    label = (
        "Dots show which row is read when, over two epochs. Below, on a logarithmic axis, the "
        "mean squared distance to the minimum along the same rows, for each order."
    )
    data = {"schemes": schemes, "n": n, "steps": 2 * n, "controls": controls}
    return show(name, "orders", label, data)


def filling(X, y, runs, *, columns, corner, size, name="filling"):
    """Pixels filled in from their neighbours, along some runs: the picture comes as they go.

    Parameters
    ----------
    X : (n, 24) array
        Colours of the eight pixels around each, as ``data.china(standardise=False)`` has them.
    y : (n,) array
        Green of the pixel itself.
    runs : dict of Runs
        By variant ("full batch", "mini-batch", "SGD", in this order): one run on standardised X
        and y, by `descend_many` with `keep_theta`.
    columns : int
        Pixels in a line of the picture.
    corner : (int, int)
        Line and column of the first pixel that is shown.
    size : (int, int)
        Lines and columns that are shown; of the latter, a multiple of four.
    name : str
        A name for the figure, its own on its page.

    Returns
    -------
    Explorer
    """
    (top, left), (height, width) = corner, size
    picture = np.reshape(X, (-1, columns, 8, 3))[..., 0, :]  # each pixel is the first of another's
    window = picture[top : top + height + 2, left : left + width + 2]
    if window.shape[:2] != (height + 2, width + 2) or width % 4:
        raise ValueError(f"the picture has no {size} pixels at {corner}, in columns by fours")
    centre, deviation = np.mean(X, axis=0), np.std(X, axis=0)
    centred = compress((X - centre) / deviation, (y - np.mean(y)) / np.std(y))
    lowest = LeastSquares().loss(np.linalg.lstsq(*centred, rcond=None)[0], *centred)
    seen = {variant: run.history.samples_seen for variant, run in runs.items()}
    rows = np.unique(np.concatenate([*seen.values()]))
    drawn = []
    for variant, run in runs.items():
        weights = np.std(y) * to_host(run.thetas).reshape(-1, len(centre)) / deviation
        first = 255 * (np.mean(y) - weights @ centre)
        drawn.append(
            {
                "name": variant,
                "steps": run.history.step.tolist(),
                "place": (np.searchsorted(seen[variant], rows, side="right") - 1).tolist(),
                "excess": [_shorten(loss / lowest - 1) for loss in np.ravel(run.history.loss)],
                "weights": np.column_stack([first, weights]).round(4).tolist(),
            }
        )
    last = len(rows) - 1
    data = {
        "colours": base64.b64encode(np.rint(255 * window).astype(np.uint8).tobytes()).decode(),
        "width": width,
        "rows": rows.tolist(),
        "runs": drawn,
        "steps": last,
        "controls": {"step": slider("Moment", "step", range(last + 1), last)},
    }
    label = (
        "Four strips of one part of a photograph in grey: as photographed, and with each pixel "
        "filled in by the model of each variant. Below, on logarithmic axes, the losses of the "
        "three against the rows that they have read."
    )
    return show(name, "filling", label, data)


def _shorten(value):
    return float(f"{value:.3g}")

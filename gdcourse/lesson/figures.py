"""Figures of the course: each takes data and axes, returns the axes, and computes nothing.

One colour for one variant, in every chapter; the colours are those of Okabe and Ito, which
survive colour blindness.
"""

import matplotlib.pyplot as plt
import numpy as np

__all__ = [
    "COLOURS",
    "LABELS",
    "cloud",
    "contours",
    "curve",
    "legend_above",
    "mark",
    "path",
    "points_and_theory",
    "use_style",
]

#: Variant, or theory: its colour in every chapter.
COLOURS = {
    "full batch": "#0072B2",
    "mini-batch": "#009E73",
    "SGD": "#D55E00",
    "theory": "#444444",
}

#: Name of a column of a history: label of its axis.
LABELS = {
    "step": "steps (updates)",
    "epoch": "epochs",
    "samples_seen": "samples seen",
    "seconds": "seconds",
    "loss": "loss $J$",
    "gradient_norm": r"gradient norm $\|\nabla J\|$",
    "learning_rate": r"learning rate $\alpha$",
}


def use_style():
    """Draw the figures that follow in the style of the course."""
    plt.style.use("gdcourse.lesson.gdcourse")


def curve(history, ax, *, x="step", y="loss", offset=0.0, variant=None, **line):
    """One column of a history against another, on a logarithmic vertical axis.

    Parameters
    ----------
    history : History
    ax : matplotlib.axes.Axes
    x, y : str
        Columns of the history.
    offset : float
        Taken off `y`: the loss at the minimiser, to show the excess.
    variant : str, optional
        "full batch", "mini-batch" or "SGD": decides colour and label.
    **line : optional
        Properties of the line, as of ``ax.plot``.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    style = {"color": COLOURS[variant], "label": variant} if variant else {}
    ax.plot(getattr(history, x), getattr(history, y) - offset, **(style | line))
    ax.set(xlabel=LABELS[x], ylabel=LABELS[y], yscale="log")
    return ax


def contours(first, second, values, ax, *, minimiser=None):
    """Level lines of an objective over two parameters.

    Parameters
    ----------
    first : (m,) array
        Values of θ₁.
    second : (k,) array
        Values of θ₂.
    values : (k, m) array
        The objective, drawn at levels that are even on a log scale.
    ax : matplotlib.axes.Axes
    minimiser : pair of float, optional

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    span = values - values.min()
    levels = np.geomspace(max(span.max() * 1e-3, np.finfo(float).tiny), span.max(), 12)
    ax.contour(first, second, span, levels=levels, colors="0.7", linewidths=0.8)
    if minimiser is not None:
        ax.plot(*minimiser, "*", color="0.15", markersize=11, zorder=5)
    ax.set(xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")
    return ax


def cloud(estimates, exact, radius, ax, *, variant="mini-batch"):
    """Estimates of a gradient, the exact one as a star, and a circle of the typical distance.

    Parameters
    ----------
    estimates : (m, 2) array
    exact : pair of float
    radius : float
        What theory gives for the root of the mean square of the distance.
    ax : matplotlib.axes.Axes
    variant : str
        "mini-batch" or "SGD": decides the colour of the estimates, and their label.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    ax.scatter(*np.asarray(estimates).T, s=9, color=COLOURS[variant], label=variant)
    star = {"s": 130, "marker": "*", "zorder": 4, "color": COLOURS["full batch"]}
    ax.scatter(*exact, **star, label="full batch")
    turn = np.exp(1j * np.linspace(0, 2 * np.pi, 200))
    circle = exact[0] + radius * turn.real, exact[1] + radius * turn.imag
    line = {"color": COLOURS["theory"], "linewidth": 1.2}
    ax.plot(*circle, **line, label="theory: the typical distance")
    ax.set(xlabel=r"$\partial J / \partial\theta_1$", aspect="equal")
    return ax


def path(thetas, ax, *, variant=None, **line):
    """The way of a descent through two parameters.

    Parameters
    ----------
    thetas : (m, 2) array
    ax : matplotlib.axes.Axes
    variant : str, optional
        "full batch", "mini-batch" or "SGD": decides colour and label.
    **line : optional
        Properties of the line, as of ``ax.plot``.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    thetas = np.asarray(thetas)
    style = {"marker": "o", "markersize": 3, "linewidth": 1.2}
    if variant:
        style |= {"color": COLOURS[variant], "label": variant}
    ax.plot(thetas[:, 0], thetas[:, 1], **(style | line))
    return ax


def points_and_theory(x, measured, theory, ax, *, errors=None, variant=None, label=None):
    """Measured points with error bars, and the line that theory draws through them.

    Parameters
    ----------
    x, measured, theory : (m,) array
    ax : matplotlib.axes.Axes
    errors : (m,) array, optional
        Half the length of each bar.
    variant : str, optional
        "full batch", "mini-batch" or "SGD": decides the colour, and the label without `label`.
    label : str, optional

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    colour = COLOURS.get(variant, "C0")
    ax.errorbar(x, measured, yerr=errors, fmt="o", color=colour, capsize=2, label=label or variant)
    ax.plot(x, theory, "--", color=COLOURS["theory"], linewidth=1.2, zorder=1)
    return ax


def legend_above(figure, ax, ncols):
    """One legend for all panels of a figure, above them.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    ax : matplotlib.axes.Axes
        Whose lines and points are named.
    ncols : int
        Entries side by side.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    handles = ax.get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=ncols)
    return ax


def mark(x, text, ax, *, height=0.97, side="right"):
    """A place on the horizontal axis: a thin vertical line, and its name beside it.

    Parameters
    ----------
    x : float
    text : str
    ax : matplotlib.axes.Axes
    height : float
        Where the text ends, from 0 at the bottom of the axes to 1 at their top.
    side : str
        The side of the line that the text stands on, "left" or "right".

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    ax.axvline(x, color="0.75", linewidth=1, zorder=0)
    ax.annotate(
        text,
        (x, height),
        xycoords=ax.get_xaxis_transform(),
        xytext=(4 if side == "right" else -4, 0),
        textcoords="offset points",
        ha="left" if side == "right" else "right",
        va="top",
        color="0.35",
        fontsize=9,
    )
    return ax

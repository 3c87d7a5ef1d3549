"""Figures of the course: each takes data and axes, returns the axes, and computes nothing.

One colour, one kind of dashes and one mark for one variant, in every chapter. The colours are
those of Okabe and Ito, which survive colour blindness; dashes and marks survive a grey printer.

In a notebook each figure is drawn three times: as pixels, which are compared when the notebook is
run again, and twice as SVG, which is sharp at any scale: as it was laid out, and with its panels
below one another, for a page as narrow as a telephone.
"""

import re
import sys

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex

__all__ = [
    "COLOURS",
    "LABELS",
    "LOOKS",
    "SLOPES",
    "arrows",
    "cloud",
    "contours",
    "curve",
    "legend_above",
    "lines",
    "mark",
    "order_strips",
    "passes",
    "path",
    "points_and_theory",
    "shades",
    "use_style",
]

#: Variant, or theory: its colour in every chapter.
COLOURS = {
    "full batch": "#0072B2",
    "mini-batch": "#009E73",
    "SGD": "#D55E00",
    "theory": "#444444",
}

#: Variant: its look in every chapter, as properties of a line; the moving figures have it too.
LOOKS = {
    "full batch": {"linestyle": "-", "marker": "o"},
    "mini-batch": {"linestyle": (0, (4.5, 1.5)), "marker": "s"},
    "SGD": {"linestyle": (0, (1.9, 0.9)), "marker": "^"},
}
LOOKS = {name: {"color": COLOURS[name], **look} for name, look in LOOKS.items()}

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

#: Name of the two parts of a gradient, on the axes of a picture of it.
SLOPES = tuple(rf"$\partial J\,/\,\partial\theta_{k}$" for k in (1, 2))

#: Media type under which a notebook keeps a figure for a narrow page.
NARROW = "image/vnd.gdcourse.narrow+svg"
NARROW_INCHES = 3.9  # at 358 pixels, the column of a telephone, nine points are eleven pixels


def use_style():
    """Draw the figures that follow in the style of the course; in a notebook, also as SVG."""
    plt.style.use("gdcourse.lesson.gdcourse")
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()):
        shell.display_formatter.mimebundle_formatter.for_type(plt.Figure, draw_all)


def draw_all(figure):
    """Return a figure by media type: as pixels, as SVG, and as SVG for a narrow page.

    The figure is left as it is on the narrow page, so nothing may draw it again: Jupyter would
    take the pixels of the backend's own formatter.
    """
    from IPython import get_ipython
    from IPython.core.pylabtools import print_figure

    if shell := get_ipython():
        shell.display_formatter.formatters["image/png"].pop(plt.Figure, None)

    drawn = {"image/png": print_figure(figure, base64=True)}
    svg = write_svg(figure)
    if len(svg) > 500_000:
        return drawn  # a photograph weighs less as it is
    drawn["image/svg+xml"] = svg
    if all(has_frame(ax) for ax in figure.axes):  # a drawing without has its one layout
        stack(figure)
        drawn[NARROW] = write_svg(figure)
    return drawn


def write_svg(figure):
    """Return a figure as SVG, its letters as outlines: an image may load no fonts of its page.

    What has thousands of parts becomes pixels in it, 200 an inch.
    """
    from IPython.core.pylabtools import print_figure

    for artist in figure.findobj(lambda artist: count_parts(artist) > 2000):
        artist.set_rasterized(True)
    text = print_figure(figure, "svg", dpi=200, metadata={"Date": None})
    text = " ".join(text.split())  # a notebook keeps it in one line
    return PLACES.sub(lambda place: DECIMALS.sub(r"\1", place[0]), text)


PLACES = re.compile(r' (?:d|x|y)="[^"]*"')
DECIMALS = re.compile(r"(\.\d\d)\d+")  # a hundredth of a point is enough


def count_parts(artist):
    """Return the number of marks or faces of an artist, each a node of an SVG; a line is one."""
    if isinstance(artist, plt.Line2D):
        has_marks = artist.get_marker() not in (None, "", " ", "None")
        return len(artist.get_xdata()) if has_marks and artist.get_markevery() is None else 1
    if hasattr(artist, "get_offsets"):  # a collection
        return max(len(artist.get_offsets()), len(artist.get_paths()))
    return 1


def has_frame(ax):
    """Tell whether axes show at least one of their sides."""
    return ax.axison and any(side.get_visible() for side in ax.spines.values())


def stack(figure):
    """Lay the panels of a figure below one another, in the width of a telephone."""
    panels = [ax for ax in figure.axes if ax.get_subplotspec()]
    old = panels[0].get_subplotspec().get_gridspec()
    width, height = figure.get_size_inches()
    each = height / old.nrows
    if each > 2:  # not a strip
        each = np.clip(each * NARROW_INCHES * old.ncols / width, 3.0, 3.4)
    if old.ncols > 1:
        new = old.__class__(len(panels), 1, figure=figure)
        shared = panels[0].get_shared_y_axes()
        for ax, place in zip(panels, new, strict=True):
            ax.set_subplotspec(place)
            if shared.joined(panels[0], ax):
                ax.tick_params(labelleft=True)
                ax.set_ylabel(ax.get_ylabel() or panels[0].get_ylabel())
        for ax in set(figure.axes) - set(panels):  # a scale of colours
            ax.set_box_aspect(ax.get_box_aspect() * len(panels))
    figure.set_size_inches(NARROW_INCHES, each * len(panels))
    for legend in list(figure.legends):
        labels = [text.get_text() for text in legend.get_texts()]
        legend.remove()
        columns = int(NARROW_INCHES / (0.45 + 0.065 * max(map(len, labels))))  # of nine points
        legend_above(figure, panels[0], max(1, min(len(labels), columns)))


def curve(history, ax, *, x="step", y="loss", offset=0.0, variant=None, **line):
    """One column of a history against another, on a logarithmic vertical axis.

    Parameters
    ----------
    history : History
        What was recorded along the way.
    ax : matplotlib.axes.Axes
        Axes to draw on.
    x, y : str
        Columns of the history.
    offset : float
        Taken off `y`: the loss at the minimiser, to show the excess.
    variant : str, optional
        "full batch", "mini-batch" or "SGD": decides the look and the label.
    **line : optional
        Properties of the line, as of ``ax.plot``.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    style = LOOKS[variant] | {"label": variant, "markevery": 0.2} if variant else {}
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
        Axes to draw on.
    minimiser : pair of float, optional
        θ* = (θ₁, θ₂), marked with a star.

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


def arrows(vectors, names, ax):
    """Vectors as arrows from the origin, each with its name beside its head, off the next head.

    Parameters
    ----------
    vectors : (m, 2) array
        Their heads, one a row.
    names : sequence of m str
        What stands beside the heads.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    greys = np.linspace(0.45, 0.75, len(names))
    heads = np.vstack([vectors, [0, 0]])
    for (x, y), name, grey in zip(np.asarray(vectors), names, greys, strict=True):
        others = heads[np.any(heads != (x, y), axis=1)]
        near = others[np.argmin(np.linalg.norm(others - (x, y), axis=1))]
        arrow = {"arrowstyle": "->", "color": f"{grey}", "lw": 2}
        ax.annotate("", (x, y), (0, 0), arrowprops=arrow)
        away = {"ha": "right" if x < near[0] else "left", "va": "top" if y < 0 else "bottom"}
        ax.annotate(name, (x, y), (0, 4 if y > 0 else -4), textcoords="offset points", **away)
        ax.plot(x, y, alpha=0)  # the arrows decide the limits
    ax.axhline(0, color="0.7", linewidth=0.8)
    ax.axvline(0, color="0.7", linewidth=0.8)
    ax.set(xlabel=SLOPES[0], ylabel=SLOPES[1])
    return ax


def cloud(estimates, exact, radius, ax, *, variant="mini-batch"):
    """Estimates of a gradient, the exact one as a star, and a circle of the typical distance.

    Parameters
    ----------
    estimates : (m, 2) array
        Gradients of batches, one a row.
    exact : pair of float
        The gradient of all rows.
    radius : float
        What theory gives for the root of the mean square of the distance.
    ax : matplotlib.axes.Axes
        Where to draw.
    variant : str
        "mini-batch" or "SGD": decides the colour of the estimates, and their label.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    look = {"color": COLOURS[variant], "marker": LOOKS[variant]["marker"]}
    ax.scatter(*np.asarray(estimates).T, s=9, **look, label=variant)
    star = {"s": 130, "marker": "*", "zorder": 4, "color": COLOURS["full batch"]}
    ax.scatter(*exact, **star, label="full batch")
    turn = np.exp(1j * np.linspace(0, 2 * np.pi, 200))
    circle = exact[0] + radius * turn.real, exact[1] + radius * turn.imag
    line = {"color": COLOURS["theory"], "linewidth": 1.2}
    ax.plot(*circle, **line, label="theory: the typical distance")
    ax.set(xlabel=SLOPES[0], aspect="equal")
    return ax


def order_strips(orders, colours, batch_size, ax):
    """The rows that some schemes hand out, a strip of coloured cells for each scheme.

    Parameters
    ----------
    orders : dict of (n_epochs, n) int arrays
        The rows in their order, for each name of a scheme.
    colours : (n,) array of colours
        Of the rows.
    batch_size : int
        Gaps stand between the batches.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    n_epochs, n = next(iter(orders.values())).shape
    cells = np.arange(n_epochs * n)
    places = cells + cells // batch_size * 0.8 + cells // n * 2
    for line, rows in enumerate(orders.values()):
        hues = np.asarray(colours)[rows.ravel()]
        ax.bar(places, 0.7, bottom=-line - 0.35, width=1, color=hues)
    ax.set(xticks=[], ylim=(0.4 - len(orders), 1.5))
    ax.set_yticks(-np.arange(len(orders)), orders)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    return ax


def passes(epochs, ax):
    """Passes over rows as numbered squares, framed by batch, over rulers of three units.

    Parameters
    ----------
    epochs : list of lists of batches
        A batch is a sequence of row numbers.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    green, x = COLOURS["mini-batch"], 0
    steps_at, epochs_at = [], []
    for k, epoch in enumerate(epochs):
        for batch in epoch:
            frame = {"fill": False, "edgecolor": green, "linewidth": 1.6}
            ax.add_patch(plt.Rectangle((x + 0.03, 0), len(batch) - 0.06, 1, **frame))
            for row in batch:
                ax.bar(x + 0.5, 0.84, 0.84, 0.08, color=green, alpha=0.25 * (k + 1))
                ax.text(x + 0.5, 0.5, row, ha="center", va="center")
                x += 1
            steps_at.append(x)
        epochs_at.append(x)
    rulers = {"steps": steps_at, "samples": steps_at, "epochs": epochs_at}
    for level, (name, places) in enumerate(rulers.items()):
        height = -0.75 - 0.95 * level
        ax.plot([0, x], [height, height], color="0.6", linewidth=0.8)
        ax.text(-0.4, height, name, ha="right", va="center")
        for count, place in enumerate(places, start=1):
            ax.plot([place] * 2, [height - 0.12, height + 0.12], color="0.4")
            text = place if name == "samples" else count
            ax.text(place, height - 0.2, text, ha="center", va="top")
    ax.set(xlim=(-3.6, x + 0.5), ylim=(-3.4, 1.2))
    ax.axis("off")
    return ax


def path(thetas, ax, *, variant=None, **line):
    """The way of a descent through two parameters.

    Parameters
    ----------
    thetas : (m, 2) array
        θ₁ and θ₂ after each step.
    ax : matplotlib.axes.Axes
        Axes to draw on.
    variant : str, optional
        "full batch", "mini-batch" or "SGD": decides the look and the label.
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
        style |= LOOKS[variant] | {"label": variant}
    ax.plot(thetas[:, 0], thetas[:, 1], **(style | line))
    return ax


def points_and_theory(x, measured, theory, ax, *, errors=None, variant=None, label=None, law=None):
    """Measured points with error bars, and the line that theory draws through them.

    Parameters
    ----------
    x, measured, theory : (m,) array
        The horizontal axis, what was measured there, and what theory says.
    ax : matplotlib.axes.Axes
        Axes to draw on.
    errors : (m,) array, optional
        Half the length of each bar.
    variant : str, optional
        "full batch", "mini-batch" or "SGD": decides colour and mark, and the label without `label`.
    label : str, optional
        What the legend calls the points.
    law : str, optional
        What it calls the line.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    look = {"color": "C0", "marker": "o"} | LOOKS.get(variant, {}) | {"linestyle": "none"}
    ax.errorbar(x, measured, yerr=errors, capsize=2, label=label or variant, **look)
    ax.plot(x, theory, "--", color=COLOURS["theory"], linewidth=1.2, zorder=1, label=law)
    return ax


def legend_above(figure, ax, ncols):
    """One legend for all panels of a figure, above them.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure that holds the panels.
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
        Where the line stands, in the unit of the axis.
    text : str
        What is written beside it.
    ax : matplotlib.axes.Axes
        Axes to draw on.
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


def lines(x, named, ax, *, look=None, **properties):
    """Rows of numbers over one horizontal axis, both scales logarithmic, each by its name.

    Colour, dashes and mark are those of what is no variant: the first row has the first of the
    style's colours, a whole line and dots.

    Parameters
    ----------
    x : (m,) array
        The horizontal axis of all of them.
    named : dict of (m,) arrays
        By what the legend calls them; what is NaN is left out.
    ax : matplotlib.axes.Axes
        Axes to draw on.
    look : dict, optional
        Properties of every line, as of ``ax.plot``.
    **properties : optional
        Of the axes, as of ``ax.set``.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.
    """
    looks = zip("os^D", ("-", "--", ":", "-."), strict=True)
    for (name, values), (marker, dashes) in zip(named.items(), looks, strict=False):
        style = {"marker": marker, "linestyle": dashes, "markersize": 4} | (look or {})
        ax.plot(x, values, label=name, **style)
    ax.set(**{"xscale": "log", "yscale": "log"} | properties)
    return ax


def shades(batch_sizes, n_samples):
    """A colour for each batch size: of SGD for one row, of the full batch for all, else a green.

    Parameters
    ----------
    batch_sizes : sequence of int
        From the smallest to the largest; those between 1 and `n_samples` have greens, from light
        to dark.
    n_samples : int
        n, rows in all.

    Returns
    -------
    dict of str
        The colour by the batch size.

    Examples
    --------
    >>> shades([1, 16, 100], 100)[16].upper() == COLOURS["mini-batch"]
    True
    """
    ends = {1: COLOURS["SGD"], n_samples: COLOURS["full batch"]}
    between = [b for b in batch_sizes if b not in ends]
    greens = "#7fcfb9", COLOURS["mini-batch"], "#00543d"
    ramp = LinearSegmentedColormap.from_list("", greens, N=257)
    places = np.linspace(0, 1, len(between)) if len(between) > 1 else [0.5]
    ends |= {b: to_hex(ramp(place)) for b, place in zip(between, places, strict=True)}
    return {b: ends[b] for b in batch_sizes}

"""Figures of matplotlib in the page, as Jupyter shows them."""

import base64
import io

import matplotlib.pyplot as plt
import page_kernel
from matplotlib.backends.backend_agg import (
    FigureCanvasAgg as FigureCanvas,
)

__all__ = ["FigureCanvas", "show"]


def show(*args, **kwargs):
    """Send all open figures to the page, and close them."""
    try:
        for number in plt.get_fignums():
            send(plt.figure(number))
    finally:
        plt.close("all")


def send(figure):
    """Send one figure, cut to what is drawn."""
    file = io.BytesIO()
    figure.canvas.print_figure(
        file,
        format="png",
        dpi=figure.dpi,
        facecolor=figure.get_facecolor(),
        edgecolor=figure.get_edgecolor(),
        bbox_inches="tight",
    )
    text = base64.b64encode(file.getvalue()).decode()
    page_kernel.session.flush()
    page_kernel.session.send(kind="display", data={"image/png": text})

"""Interactive figures: Python makes their data, one script draws them.

Each function returns a figure that a notebook shows: a picture, a table of its numbers, and the
data as JSON. The script makes the picture when the cell runs, in Node, and again in a page of
the book, where it adds controls and computes the same runs from these data and from the batches
drawn here, with the formulas of the package. Without a script the picture and the table remain.
"""

from gdcourse.lesson.explorer.calculators import (
    axis_toggle,
    batch_calculator,
    memory_calculator,
    scaling_calculator,
)
from gdcourse.lesson.explorer.descents import (
    heavy_ball,
    noise_ball,
    three_estimators,
    your_update,
)
from gdcourse.lesson.explorer.figure import Explorer
from gdcourse.lesson.explorer.measured import filling, row_orders, valley

__all__ = [
    "Explorer",
    "axis_toggle",
    "batch_calculator",
    "filling",
    "heavy_ball",
    "memory_calculator",
    "noise_ball",
    "row_orders",
    "scaling_calculator",
    "three_estimators",
    "valley",
    "your_update",
]

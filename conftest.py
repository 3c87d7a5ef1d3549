"""Compare the pictures of the chapters, which nbval takes on trust; mark what is slow."""

import base64
import io
import os

# Read when NumPy is loaded, here and in the kernels: small matrices gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from nbval.plugin import IPyNbCell
from PIL import Image

TOLERANCE = 2.0  # root mean square over all pixels, of 255; a moved curve makes 5 or more

os.environ.pop("MPLBACKEND", None)  # the kernels of the chapters draw inline

SLOW = ("tests/browser/", "tests/test_distributed.py")
LONG = ("book/", *SLOW, "tests/test_shards.py", "tests/test_checkpoints.py", "tests/test_course.py")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    """Mark what starts a browser, a kernel or workers, which a quick run leaves out.

    Long files come first, so that several processes end together.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    for item in items:
        has_kernel = isinstance(item, IPyNbCell) or "executed" in getattr(item, "fixturenames", ())
        if has_kernel or item.nodeid.startswith(SLOW):
            item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """After nbval has run and compared a cell, compare the pictures that it drew.

    A picture is compared as pixels; the same figure as SVG differs in its last digits.
    """
    if isinstance(item, IPyNbCell):
        item.parent.skip_compare += ("image/svg+xml", "image/vnd.gdcourse.narrow+svg")
    result = yield
    if isinstance(item, IPyNbCell) and item.options["check"]:
        fault = picture_fault(pictures(item.cell.outputs), pictures(item.test_outputs))
        if fault:
            item.raise_cell_error(fault)
    return result


def pictures(outputs):
    """Return the PNG pictures among a cell's outputs as float arrays of shape (h, w, 4)."""
    encoded = [
        output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})
    ]
    images = [Image.open(io.BytesIO(base64.b64decode(text))) for text in encoded]
    return [np.asarray(image.convert("RGBA"), dtype=float) for image in images]


def picture_fault(stored, drawn):
    """Say how the pictures drawn differ from the stored ones, or return None."""
    if len(stored) != len(drawn):
        return f"Drew {len(drawn)} pictures where {len(stored)} are stored"
    for number, (old, new) in enumerate(zip(stored, drawn, strict=True), start=1):
        if old.shape != new.shape:
            return f"Picture {number} has shape {new.shape} where {old.shape} is stored"
        distance = np.sqrt(np.mean((old - new) ** 2))
        if distance > TOLERANCE:
            return f"Picture {number} differs from the stored one by {distance:.1f} of 255 (RMS)"
    return None

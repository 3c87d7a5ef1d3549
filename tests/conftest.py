"""The array libraries that the numerical tests run on, and one setting for hypothesis."""

import os
import platform
import sys
from dataclasses import dataclass
from typing import Any

import array_api_strict
import numpy as np
import pytest
from hypothesis import settings

# The same examples on every machine, but others where a number of them is asked for, as by the
# weekly workflow; and no clock: a slow machine is not an error.
MANY = os.environ.get("GDCOURSE_EXAMPLES")
settings.register_profile(
    "course", derandomize=not MANY, print_blob=True, deadline=None, max_examples=int(MANY or 60)
)
settings.load_profile("course")

# requirements.txt names a wheel of CuPy for this system alone, and there it must be installed. Its
# makers have none for Python 3.15 yet.
if (sys.platform, platform.machine()) != ("linux", "x86_64") or sys.version_info >= (3, 15):
    collect_ignore = ["test_cupy_signatures.py"]


@dataclass(frozen=True)
class Library:
    """An array library, and the device that a test puts its arrays on."""

    namespace: Any
    device: Any

    def asarray(self, values, dtype=None):
        """Host `values` as an array on the device."""
        return self.namespace.asarray(np.asarray(values, dtype=dtype), device=self.device)

    def __repr__(self):
        return self.namespace.__name__


# array-api-strict stands in for a GPU: its arrays lie on a virtual device.
LIBRARIES = [
    Library(np, "cpu"),
    Library(array_api_strict, array_api_strict.Device("device1")),
]

try:
    import cupy

    # Without a device there is no CuPy parameter at all: a skipped test would look like a check.
    # Nor without NVIDIA's compiler, which CuPy needs for its first sum and its wheel lacks.
    if cupy.cuda.is_available() and cupy.cuda.nvrtc.getVersion():
        LIBRARIES.append(Library(cupy, cupy.cuda.Device()))
except (ImportError, RuntimeError):
    pass


def pytest_report_header():
    """Which libraries the numerical tests meet here."""
    return f"array libraries: {', '.join(map(repr, LIBRARIES))}"


# What reads a value on the host, and so makes it wait for the device. array-api-strict refuses
# `__array__` and `__buffer__` on its virtual devices by itself, and lets these through.
HOST_READS = ("__bool__", "__complex__", "__dlpack__", "__float__", "__index__", "__int__")


class HostReadError(Exception):
    """A value of the device was read on the host other than through `to_host`."""


@pytest.fixture(params=LIBRARIES, ids=repr)
def xp(request, monkeypatch):
    """Each library in turn; an implicit copy from its device to the host raises."""
    if request.param.namespace is not array_api_strict:
        yield request.param
        return
    kind = type(array_api_strict.empty(0))
    for name in HOST_READS:
        monkeypatch.setattr(kind, name, _guarded(name, getattr(kind, name)))
    # A shape that depends on values makes the host wait as well.
    with array_api_strict.ArrayAPIStrictFlags(boolean_indexing=False, data_dependent_shapes=False):
        yield request.param


def _guarded(name, method):
    host = array_api_strict.__array_namespace_info__().default_device()

    def read(array, *args, **kwargs):
        if array.device != host:
            raise HostReadError(f"{name} of an array on {array.device}")
        return method(array, *args, **kwargs)

    return read

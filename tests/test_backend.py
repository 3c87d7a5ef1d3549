"""The file that knows the array libraries, and the fixture that stands in for a GPU."""

import sys
from types import SimpleNamespace

import array_api_strict
import numpy as np
import pytest

import gdcourse as gd
from gdcourse.base import backend


@pytest.mark.parametrize("name", [None, "", "numpy", " NumPy "])
def test_numpy_is_the_default(monkeypatch, name):
    if name is None:
        monkeypatch.delenv("GDCOURSE_BACKEND", raising=False)
    else:
        monkeypatch.setenv("GDCOURSE_BACKEND", name)
    assert gd.namespace() is np


def test_an_unknown_library_is_named(monkeypatch):
    monkeypatch.setenv("GDCOURSE_BACKEND", "torch")
    with pytest.raises(ValueError, match="must be 'numpy' or 'cupy', got 'torch'"):
        gd.namespace()


@pytest.mark.parametrize(
    ("cupy", "message"),
    [
        (None, "not installed: install it with `pip install cupy"),
        (SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False)), "no CUDA device"),
    ],
    ids=["not installed", "no device"],
)
def test_cupy_that_cannot_run_is_one_clear_error(monkeypatch, cupy, message):
    monkeypatch.setenv("GDCOURSE_BACKEND", "cupy")
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(RuntimeError, match=message):
        gd.namespace()


def test_cupy_with_a_device_is_chosen(monkeypatch):
    cupy = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: True))
    monkeypatch.setenv("GDCOURSE_BACKEND", "cupy")
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert gd.namespace() is cupy


@pytest.mark.parametrize("dtype", ["int64", "float32", "bool"])
def test_values_go_to_the_device_and_come_back(xp, dtype):
    values = np.array([[0, 1], [2, 3]], dtype=dtype)
    there = backend.asarray(values, like=xp.asarray(0.0))
    assert backend.device(there) == xp.device
    back = gd.to_host(there)
    assert isinstance(back, np.ndarray)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, values)


def test_to_host_takes_numpy_scalars():
    assert gd.to_host(np.float64(2.0)).shape == ()


@pytest.mark.parametrize("shape", [(5,), (5, 2), (5, 2, 3)])
@pytest.mark.parametrize("batch", [slice(1, 4), [4, 0, 0]], ids=["slice", "indices"])
def test_rows_are_those_of_numpy(xp, shape, batch):
    array = np.arange(np.prod(shape)).reshape(shape)
    there = batch if isinstance(batch, slice) else xp.asarray(batch)
    taken = backend.take_rows(xp.asarray(array), there)
    np.testing.assert_array_equal(gd.to_host(taken), array[batch])


def test_a_cupy_array_is_waited_for_and_copied(monkeypatch):
    waits = []
    array = SimpleNamespace(
        get=lambda: np.ones(2), device=SimpleNamespace(synchronize=lambda: waits.append(1))
    )
    monkeypatch.setattr(backend, "is_cupy_array", lambda a: a is array)
    np.testing.assert_array_equal(backend.to_host(array), [1, 1])
    backend.synchronize(array)
    backend.synchronize(np.ones(2))
    assert waits == [1]


class Slip(gd.LeastSquares):
    """Least squares with a slip of the kind that NumPy forgives and a GPU does not."""

    def __init__(self, slip):
        super().__init__()
        object.__setattr__(self, "slip", slip)

    def gradient(self, theta, X, y):
        gradient = super().gradient(theta, X, y)
        return self.slip(gradient)


SLIPS = {
    "float()": lambda g: g * float(g[0]),
    "int()": lambda g: g * int(g[0]),
    "bool()": lambda g: g if g[0] > 0 else -g,
    "complex()": lambda g: g * complex(g[0]).real,
    "slice bound": lambda g: g[: array_namespace(g).astype(g[0] * 0 + 2, "int64")],
    "index of a list": lambda g: g * [1.0, 2.0][array_namespace(g).astype(g[0] * 0, "int64")],
    "NumPy array to the right": lambda g: g + np.ones(2),
    "NumPy array to the left": lambda g: np.ones(2) + g,
    "NumPy scalar": lambda g: g * np.float64(2.0),
    "NumPy function": lambda g: np.tanh(g),
    "DLPack": lambda g: np.from_dlpack(g),
    "array on the default device": lambda g: g + array_namespace(g).ones(2),
    "boolean mask": lambda g: g[g > -1e9],
}


def array_namespace(array):
    """The library of an array, with `astype` by name as NumPy has it."""
    space = array.__array_namespace__()
    return SimpleNamespace(
        ones=space.ones, astype=lambda a, name: space.astype(a, getattr(space, name))
    )


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS.keys())
def test_the_fixture_catches_a_slip_that_numpy_forgives(xp, slip):
    X, y, theta = (xp.asarray(a) for a in ([[1.0, 2.0], [3.0, 5.0]], [1.0, 2.0], [0.0, 0.0]))

    def run():
        return gd.descend(
            X,
            y,
            theta,
            objective=Slip(slip),
            batches=gd.FullBatch(),
            learning_rate=0.01,
            n_epochs=1,
        )

    if xp.namespace is array_api_strict:
        with pytest.raises(Exception, match=r"device|Expected Array|boolean_indexing"):
            run()
    elif xp.namespace is np:
        run()

"""Which array library holds the data: the only file that knows CuPy.

Everything in the package follows the arrays that it is given, so the same formula runs on
NumPy, on CuPy, or on any library that follows the Python array API standard. What remains is
here: choosing a library, moving arrays on and off a device, and taking rows.
"""

import os

import array_api_compat
import numpy as np
from array_api_compat import device, is_array_api_obj, is_cupy_array

__all__ = [
    "array_namespace",
    "asarray",
    "cut_blocks",
    "device",
    "double",
    "is_array_api_obj",
    "namespace",
    "synchronize",
    "take_rows",
    "to_host",
]


NUMPY = array_api_compat.array_namespace(np.empty(0))


def array_namespace(*arrays):
    """The array library of `arrays`, with the functions of the Python array API standard.

    Parameters
    ----------
    *arrays : array
        Of one library.

    Returns
    -------
    module
    """
    if all(type(array) is np.ndarray for array in arrays):  # asked in every step: be quick
        return NUMPY
    return array_api_compat.array_namespace(*arrays)


def namespace():
    """The array library named by the environment variable ``GDCOURSE_BACKEND``.

    Returns
    -------
    module
        ``numpy`` (the default) or ``cupy``.

    Raises
    ------
    ValueError
        Where the variable names another library.
    RuntimeError
        Where CuPy is asked for and is not installed, or finds no CUDA device.

    Examples
    --------
    >>> import gdcourse as gd
    >>> xp = gd.namespace()
    >>> float(xp.sum(xp.ones(3)))
    3.0
    """
    name = os.environ.get("GDCOURSE_BACKEND", "").strip().lower() or "numpy"
    if name == "numpy":
        return np
    if name != "cupy":
        raise ValueError(f"GDCOURSE_BACKEND must be 'numpy' or 'cupy', got {name!r}")
    return _cupy()


def _cupy():
    cure = (
        "install it with `pip install cupy-cuda13x` (or cupy-cuda12x) on a machine with an "
        "NVIDIA GPU, or unset GDCOURSE_BACKEND to use NumPy"
    )
    try:
        import cupy
    except ImportError as error:
        raise RuntimeError(f"GDCOURSE_BACKEND=cupy, but CuPy is not installed: {cure}") from error
    if not cupy.cuda.is_available():
        raise RuntimeError(f"GDCOURSE_BACKEND=cupy, but CuPy finds no CUDA device: {cure}")
    return cupy


def asarray(values, like, dtype=None):
    """Host `values` as an array of the library and on the device of `like`.

    Parameters
    ----------
    values : array_like on the host
        Numbers, lists of them, or a NumPy array.
    like : array
        Decides the library and the device.
    dtype : str, optional
        Name of a type, such as ``"int64"``; by default that of `values`.

    Returns
    -------
    array
    """
    xp = array_namespace(like)
    return xp.asarray(np.asarray(values, dtype=dtype), device=device(like))


def to_host(array):
    """`array` as a NumPy array; waits for the device where there is one.

    Parameters
    ----------
    array : array of any library
        On the host or a device.

    Returns
    -------
    numpy.ndarray
        `array` itself where it is one.
    """
    if isinstance(array, np.ndarray | np.generic):
        return np.asarray(array)
    if is_cupy_array(array):
        return array.get()
    host = array_namespace(array).__array_namespace_info__().default_device()
    return np.from_dlpack(array.to_device(host))


def take_rows(array, batch):
    """Rows of an array, one batch of them.

    Parameters
    ----------
    array : (n, ...) array
        Rows along the first axis, on the host or a device.
    batch : slice or (b,) int array, or (runs, b) for many runs
        Indices lie on the device of `array`.

    Returns
    -------
    (b, ...) array, or (runs, b, ...)
    """
    if isinstance(batch, slice):
        return array[batch, ...]
    if isinstance(array, np.ndarray) and not array.flags.c_contiguous:
        return array[batch]  # `take` would copy all of it first
    if batch.ndim > 1:
        xp = array_namespace(array)
        flat = take_rows(array, xp.reshape(batch, (-1,)))
        return xp.reshape(flat, (*batch.shape, *array.shape[1:]))
    if hasattr(array, "take"):  # the method is faster than the function of its library
        return array.take(batch, axis=0)
    return array_namespace(array).take(array, batch, axis=0)


def cut_blocks(n_rows, size):
    """Slices that cut all rows into neighbours, `size` at a time; the last can be shorter.

    Parameters
    ----------
    n_rows, size : int
        Rows in all, and rows of a slice.

    Returns
    -------
    iterator of slice
    """
    return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def double(array):
    """An array in double precision at least, for sums that need the digits.

    Parameters
    ----------
    array : array of any library
        On the host or a device.

    Returns
    -------
    array
        `array` itself where it is precise enough.
    """
    xp = array_namespace(array)
    return xp.astype(array, xp.result_type(array.dtype, xp.float64), copy=False)


def synchronize(array):
    """Wait until the device that holds `array` has finished, so that a clock tells the truth.

    Parameters
    ----------
    array : array of any library
        What the device is computing.
    """
    if is_cupy_array(array):
        array.device.synchronize()

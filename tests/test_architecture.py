"""The ground plan of the package, read from its source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gdcourse"
FILES = sorted(PACKAGE.glob("*.py"))
TREES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

# From the ground up: a file imports only from floors below its own.
FLOORS = [
    ["backend"],
    ["validation"],
    ["schedules", "history"],
    ["objectives", "sampling"],
    ["checkpoints", "sweeps", "shards"],
    ["descent"],
    ["noise", "accounting", "measuring", "data", "momentum", "figures", "teaching", "results"],
    ["explorer", "distributed"],
    ["__init__"],
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}

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
        if module == "gdcourse":
            yield name, ""
        elif module.startswith("gdcourse."):
            yield module.removeprefix("gdcourse."), name


def test_every_file_has_its_floor():
    assert set(TREES) <= set(FLOOR)


@every_file
def test_imports_go_downwards(name):
    for other, _ in own_imports(TREES[name]):
        assert FLOOR[other] < FLOOR[name], f"{name} imports from {other}"


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
    assert bool(known) == (name == "backend")


@every_file
def test_matplotlib_is_imported_in_one_file(name):
    known = [module for module, _ in imports(TREES[name]) if module.startswith("matplotlib")]
    assert bool(known) == (name == "figures")


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

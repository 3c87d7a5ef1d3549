"""Every call that may meet CuPy's arrays, held against CuPy's own signatures, without a device.

The calls are read from the source. What is called on a name that `array_namespace` returned is
looked up in `array_api_compat.cupy`, which is what it returns for CuPy's arrays; what is called
on a parameter `xp`, on `gd.namespace()` or on `cupy` itself, in CuPy. Nobody can tell from the
source which objects are arrays, so every attribute that NumPy's arrays have is held against
CuPy's arrays: a method that NumPy has and CuPy lacks passes every test on NumPy.

Where `inspect` knows no signature, two rules take its place. A ufunc takes its inputs, perhaps
its outputs behind them, and the keywords of its docstring. Of what is compiled the docstring
begins with the signature. And where `array_api_compat` takes any keyword, to hand it on, CuPy's
function of the same name must take it.

The wheel of CuPy that requirements.txt names is for Linux on x86-64 and Python up to 3.14;
elsewhere, conftest.py does not collect this file.
"""

import ast
import inspect
import json
import re
import types
from collections import defaultdict
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import array_api_compat.cupy
import cupy
import cupy_stand_in
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
LIBRARIES = {"compat": array_api_compat.cupy, "cupy": cupy, "array": cupy.ndarray}
ARRAY_NAMES = {name for name in dir(np.ndarray) if not name.startswith("_")} | {"get"}

# What NumPy's arrays have and CuPy's lack, where no array of CuPy's can come.
NUMPY_ONLY = {
    ("backend", "to_device"): "arrays of CuPy have returned two lines above",
    ("loops", "ctypes"): "the loops that Numba compiles take arrays of NumPy alone",
}


OWNERS = {"data", "owner"}  # of rows: they have a mean, and are no arrays


class Use(NamedTuple):
    """A name taken from a library, and how it is called: `n_positional` is None where it is not."""

    library: str
    name: str
    n_positional: int | None = None
    keywords: tuple = ()
    open_ended: bool = False  # there is a *argument or a **argument, of any length

    def __str__(self):
        if self.n_positional is None:
            return f"{self.library}.{self.name}"
        arguments = [*"_" * self.n_positional, *(f"{key}=" for key in self.keywords)]
        return f"{self.library}.{self.name}({', '.join(arguments)}{'...' * self.open_ended})"


class Collector(ast.NodeVisitor):
    """Collects the uses in a file, with the lines where they stand."""

    def __init__(self, tree):
        self.scopes = [{}]  # names and the library that they hold, from the outermost scope on
        self.modules = {name for node in ast.walk(tree) for name in imported(node)}
        self.uses = []
        self.enter(tree)
        self.visit(tree)

    def enter(self, node):
        """Note the names that a module or a function binds to a library."""
        for inner in own_nodes(node):
            if isinstance(inner, ast.Assign) and (library := self.library(inner.value)):
                names = [target.id for target in inner.targets if isinstance(target, ast.Name)]
                self.scopes[-1].update(dict.fromkeys(names, library))

    def visit_FunctionDef(self, node):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        self.scopes.append({a.arg: "cupy" for a in arguments if a.arg in ("xp", "cupy")})
        self.enter(node)
        self.generic_visit(node)
        self.scopes.pop()

    def library(self, node):
        """The library that an expression is, or None."""
        if isinstance(node, ast.Name):
            if node.id == "cupy":
                return "cupy"
            return next((s[node.id] for s in reversed(self.scopes) if node.id in s), None)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).split(".")[-1]
            return {"array_namespace": "compat", "namespace": "cupy"}.get(called)
        return None

    def visit_Call(self, node):
        if isinstance(node.func, ast.Attribute):
            starred = [a for a in node.args if isinstance(a, ast.Starred)]
            keywords = tuple(k.arg for k in node.keywords if k.arg)
            open_ended = bool(starred) or len(keywords) < len(node.keywords)
            self.note(node.func, len(node.args) - len(starred), keywords, open_ended)
            self.visit(node.func.value)
            node = ast.Tuple([*node.args, *(k.value for k in node.keywords)])
        self.generic_visit(node)

    def visit_Attribute(self, node):
        self.note(node)
        self.generic_visit(node)

    def note(self, node, *call):
        path, root = [node.attr], node.value
        while isinstance(root, ast.Attribute):
            path.insert(0, root.attr)
            root = root.value
        if library := self.library(root):
            self.uses.append((Use(library, ".".join(path), *call), node.lineno))
        elif node.attr in ARRAY_NAMES and not (
            isinstance(node.value, ast.Name) and node.value.id in {*self.modules, *OWNERS}
        ):
            self.uses.append((Use("array", node.attr, *call), node.lineno))


def imported(node):
    """The names under which an import binds modules, and what is taken from them."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)


def own_nodes(function):
    """The nodes of a function or module, without those of the functions inside it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield from own_nodes(child)


def fault(use):
    """Why CuPy would refuse a use, or None."""
    try:
        thing = attrgetter(use.name)(LIBRARIES[use.library])
    except AttributeError as error:
        return str(error)
    if use.n_positional is None:
        return None
    if not callable(thing):
        return "it is not a function"
    if isinstance(thing, cupy.ufunc):
        return ufunc_fault(thing, use)
    return signature_fault(thing, use)


def ufunc_fault(ufunc, use):
    """The rule for ufuncs: inputs, outputs behind them, and the keywords of the docstring."""
    known = re.findall(r"^ {4}(\w+)[: (]", ufunc.__call__.__doc__, re.M)
    if unknown := set(use.keywords) - set(known):
        return f"a ufunc takes no keyword {', '.join(sorted(unknown))}"
    n_inputs = ufunc.nargs - ufunc.nout
    if not (0 if use.open_ended else n_inputs) <= use.n_positional <= ufunc.nargs:
        return f"it takes {n_inputs} arrays, and {ufunc.nout} to write to"
    return None


def signature_fault(function, use):
    found = signature(function)
    bind = found.bind_partial if use.open_ended else found.bind
    itself = [None] if use.library == "array" else []
    try:
        bind(*itself, *[None] * use.n_positional, **dict.fromkeys(use.keywords))
    except TypeError as error:
        return f"{error}: {found}"
    if use.library == "compat" and takes_any_keyword(found):
        behind = signature(attrgetter(use.name)(cupy))
        if unknown := set(use.keywords) - {*found.parameters, *behind.parameters}:
            return f"neither array_api_compat nor CuPy takes a keyword {', '.join(sorted(unknown))}"
    return None


def takes_any_keyword(found):
    return any(p.kind is p.VAR_KEYWORD for p in found.parameters.values())


def signature(function):
    """What `inspect` says or, of a compiled function, the first line of its docstring."""
    try:
        return inspect.signature(function)
    except ValueError:
        first = function.__doc__.strip().splitlines()[0]
        arguments = re.search(r"\((.*)\)", first)[1]
        types_of_c = r"\b(?:int|size_t|Py_ssize_t|bool|intptr_t) (?=\w)"
        arguments = re.sub(types_of_c, "", arguments)
        namespace = {}
        exec(f"def written({arguments}): pass", {"_malloc": None}, namespace)
        return inspect.signature(namespace["written"])


def sources():
    """The package and the benchmark for GPUs, and the code cells of the chapters."""
    for path in [*sorted((ROOT / "gdcourse").rglob("*.py")), ROOT / "benchmarks" / "gpu.py"]:
        yield path.relative_to(ROOT).as_posix(), path.stem, path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        yield path.relative_to(ROOT).as_posix(), path.stem, "\n".join(code)


def collect():
    """All uses, with the places where they stand."""
    found = defaultdict(list)
    for path, stem, text in sources():
        for use, line in Collector(ast.parse(text)).uses:
            # A chapter's objects are figures as often as arrays: of those, its libraries alone.
            if use.library != "array" or path.endswith(".py"):
                found[use].append((path, stem, line))
    return found


USES = collect()


@pytest.mark.parametrize("use", sorted(USES, key=str), ids=str)
def test_cupy_takes_it(use):
    places = [
        f"{path}:{line}"
        for path, stem, line in USES[use]
        if use.library != "array" or (stem, use.name) not in NUMPY_ONLY
    ]
    complaint = fault(use) if places else None
    cure = "; where no array of CuPy comes, name it in NUMPY_ONLY" * (use.library == "array")
    assert complaint is None, f"{complaint}; used in {', '.join(places)}{cure}"


def test_exceptions_are_still_needed():
    used = {(stem, use.name) for use, places in USES.items() for _, stem, _ in places}
    assert NUMPY_ONLY.keys() <= used
    assert not [name for _, name in NUMPY_ONLY if hasattr(cupy.ndarray, name)]


def test_the_calls_of_the_package_are_found():
    names = {(use.library, use.name) for use in USES}
    assert {("compat", "linalg.qr"), ("compat", "vecdot"), ("compat", "float64")} <= names
    assert {("cupy", "asarray"), ("cupy", "cuda.is_available")} <= names
    assert {("array", "take"), ("array", "T"), ("array", "device"), ("array", "get")} <= names


class Empty:
    """What Python itself gives every class, more with each version."""


def missing_from(stand_in, real):
    """The names of a stand-in, and of the classes in it, that the real thing lacks."""
    for name, value in vars(stand_in).items():
        if name in vars(Empty):
            continue
        if not hasattr(real, name):
            yield name
        elif isinstance(value, types.SimpleNamespace | type):
            yield from missing_from(value, getattr(real, name))


def test_the_stand_in_has_nothing_that_cupy_lacks():
    assert list(missing_from(cupy_stand_in.cupy, cupy)) == []
    wrong = types.SimpleNamespace(cuda=types.SimpleNamespace(Event=cupy_stand_in.Stream))
    missing = ["__enter__", "__exit__", "begin_capture", "end_capture"]
    assert list(missing_from(wrong, cupy)) == missing


RIGHT = [
    "array_namespace(a).tanh(a)",
    "array_namespace(a).tanh(a, out=b)",
    "xp = array_namespace(a)\nxp.concat([a, b], axis=0)",
    "xp = array_namespace(a)\nxp.zeros(2, order='C')",  # CuPy's own keyword, handed on
    "def f(a, xp):\n    return xp.concatenate([a])",
    "def f(a, xp):\n    return xp.result_type(*a)",
    "def f(a):\n    xp = array_namespace(a)\n    return lambda b: xp.sum(b, axis=0)",
    "a.take(b, axis=0)",
    "a.shape[0] + a.T.ndim",
    "import cupy\ncupy.cuda.get_elapsed_time(a, b)",
    "import json\njson.dumps(a, sort_keys=True)",  # a module's, not an array's
]


@pytest.mark.parametrize("source", RIGHT)
def test_a_right_call_passes(source):
    assert [fault(use) for use, _ in Collector(ast.parse(source)).uses if fault(use)] == []


WRONG = {
    "array_namespace(a).tanhh(a)": "has no attribute 'tanhh'",
    "xp = array_namespace(a)\nlambda b: xp.cumul(b)": "has no attribute 'cumul'",
    "xp = array_namespace(a)\nxp.linalg.qrr(a)": "has no attribute 'qrr'",
    "xp = array_namespace(a)\nxp.sum(a, axes=0)": "unexpected keyword argument 'axes'",
    "xp = array_namespace(a)\nxp.zeros(2, dtyp=b)": "takes a keyword dtyp",
    "xp = array_namespace(a)\nxp.tril(a, 1, 2)": "too many positional arguments",
    "xp = array_namespace(a)\nxp.astype(a)": "missing a required argument: 'dtype'",
    "xp = array_namespace(a)\nxp.sum(b, **c, axes=0)": "unexpected keyword argument 'axes'",
    "xp = array_namespace(a)\nxp.float64.bits": "has no attribute 'bits'",
    "array_namespace(a).exp(a, b, c)": "takes 1 arrays",
    "array_namespace(a).exp()": "takes 1 arrays",
    "array_namespace(a).exp(a, where=b)": "takes no keyword where",
    "def f(a, xp):\n    return xp.concat([a], dim=0)": "unexpected keyword argument 'dim'",
    "a.take(b, axis=0, mode='clip')": "unexpected keyword argument 'mode'",
    "a.take(b, 0, c, d)": "too many positional arguments",
    "a.ctypes": "has no attribute 'ctypes'",
    "import cupy\ncupy.cuda.get_elapsed_time(a)": "missing a required argument",
}


@pytest.mark.parametrize(("source", "complaint"), WRONG.items(), ids=WRONG)
def test_a_wrong_call_is_noticed(source, complaint):
    (found,) = (fault(use) for use, _ in Collector(ast.parse(source)).uses if fault(use))
    assert complaint in found

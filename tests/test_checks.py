"""Every check passes the worked solution, in any form, and names what a mistake breaks.

The solutions are those of the book: of each notebook, the statements that the answer needs.
A planted mistake is an edit of the solution's source, with a part of the message it must meet.
"""

import ast
import dis
import functools
import json
import re

import array_api_strict
import numpy as np
import pytest
from sphinx_external_toc.parsing import parse_toc_yaml

import course
from gdcourse.lesson.checks import EXERCISES, check

LABEL = re.compile(r"^:label: (ex-\S+)$", re.M)
SOLUTION = re.compile(r"\{solution(?:-start)?\} (ex-\S+)")


def prints(cell):
    """What a stored cell has printed."""
    for output in cell.get("outputs", ()):
        yield from output.get("text", ())


@functools.cache
def chapters():
    """The cells of each page that has exercises: kind, source, and what is printed."""
    found = []
    for page in parse_toc_yaml(course.ROOT / "_toc.yml"):
        path = course.ROOT / f"{page}.ipynb"
        if path.exists():
            cells = json.loads(path.read_text("utf-8"))["cells"]
            texts = [
                (cell["cell_type"], "".join(cell["source"]), "".join(prints(cell)))
                for cell in cells
            ]
            if any("{exercise}" in text for _, text, _ in texts):
                found.append(texts)
    return found


@functools.cache
def printed():
    """The number of each exercise, by its label, and its text."""
    numbers = {}
    for chapter, texts in enumerate(chapters(), start=1):
        prose = "\n".join(text for kind, text, _ in texts if kind == "markdown")
        blocks = re.findall(r"^(:{3,}|`{3,})\{exercise\}(.*?)^\1$", prose, re.M | re.S)
        for number, (_, block) in enumerate(blocks, start=1):
            numbers[LABEL.search(block)[1]] = f"{chapter}.{number}", block
    return numbers


def cells_of(label):
    """The cells of a chapter up to the end of the solution of `label`, and where it begins."""
    (texts,) = (texts for texts in chapters() if any(f":label: {label}\n" in t[1] for t in texts))
    begins = None
    for place, (kind, text, _) in enumerate(texts):
        if kind == "markdown":
            if begins is not None and "{solution-end}" in text:
                return texts[:place], begins
            if label in SOLUTION.findall(text):
                begins = place
    raise AssertionError(f"no solution of {label} ends")


def solution_cells(label):
    """The cells of the solution alone."""
    cells, begins = cells_of(label)
    return cells[begins:]


def statements_up_to(label):
    """All statements of a chapter's code, to the end of the solution of `label`."""
    for kind, text, _ in cells_of(label)[0]:
        if kind == "code":
            yield from ((node, ast.get_source_segment(text, node)) for node in ast.parse(text).body)


def names(code):
    """The names that a piece of code takes from its module, and those that it stores first."""
    taken, stored = set(), set()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"):
            taken |= {step.argval} - stored
        elif step.opname == "STORE_NAME":
            stored.add(step.argval)
        elif isinstance(step.argval, type(code)):
            taken |= names(step.argval)[0] - stored
    return taken, stored


def changed(node):
    """The names whose values a statement changes in place: `a[k] = ...`, `a.append(...)`."""
    found = set()
    for part in ast.walk(node):
        target = None
        if isinstance(part, ast.Subscript | ast.Attribute) and isinstance(part.ctx, ast.Store):
            target = part.value
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
            method = part.value.func
            if getattr(method, "attr", "") in ("append", "extend", "update"):
                target = method.value
        if isinstance(target, ast.Name):
            found.add(target.id)
    return found


@functools.cache
def solution(name):
    """The source that defines the worked answer, and nothing that it does not need."""
    exercise = EXERCISES[name]
    needed, kept = {exercise.deliver}, []
    for node, source in reversed(list(statements_up_to(exercise.label))):
        taken, stored = names(compile(ast.Module([node], []), "<cell>", "exec"))
        if needed & (stored | changed(node)):
            kept.append(source)
            needed = needed - stored | taken
    return "\n".join(reversed(kept))


def answer_of(name, source):
    namespace = {}
    exec(source, namespace)
    return namespace[EXERCISES[name].deliver]


# Where the answer takes long to measure, the numbers that the solution has printed.
STORED = {"3.4": r"excess (\S+)"}


@functools.cache
def worked(name):
    if name not in STORED:
        return answer_of(name, solution(name))
    printed = "".join(output for _, _, output in solution_cells(EXERCISES[name].label))
    return [float(number) for number in re.findall(STORED[name], printed)]


def verdict(name, answer, capsys):
    check(name, answer)
    (line,) = capsys.readouterr().out.splitlines()
    return line


every_exercise = pytest.mark.parametrize("name", EXERCISES)


@every_exercise
def test_the_worked_solution_is_right(name, capsys):
    assert verdict(name, worked(name), capsys).startswith(f"{name} right: ")


def recast(value, form):
    """An answer in another form: what it returns, for a function."""
    if callable(value):
        return lambda *arguments: recast(value(*arguments), form)
    if isinstance(value, tuple):
        return tuple(recast(part, form) for part in value)
    return form(value)


FORMS = {
    "list": lambda value: np.asarray(value).tolist(),
    "single precision": lambda value: np.asarray(value, dtype="float32"),
    "another library": lambda value: array_api_strict.asarray(np.asarray(value)),
}


@pytest.mark.parametrize("form", FORMS)
@every_exercise
def test_a_right_answer_passes_in_every_form(name, form, capsys):
    answer = recast(worked(name), FORMS[form])
    assert verdict(name, answer, capsys).startswith(f"{name} right: ")


# Another way to the same answer: source that replaces the solution.
OTHER_WAYS = [
    (
        "1.1",
        """
import numpy as np
def descend_within(distance, X, y, theta, learning_rate):
    H = X.T @ X / len(y)
    tol = np.linalg.norm(H, -2) * distance
    for k in range(10**6):
        slope = np.mean(X * (X @ theta - y)[:, None], axis=0)
        if np.sqrt(sum(slope**2)) <= tol:
            return [list(theta), k]
        theta -= learning_rate * slope
""",
    ),
    (
        "1.2",
        """
import math, numpy as np
def steps_a_digit(X):
    h = np.linalg.eigvals(X.T @ X / len(X))
    return math.ceil(-1 / math.log10((max(h) - min(h)) / (max(h) + min(h))))
""",
    ),
    (
        "1.3",
        """
import numpy as np
def best_rate(X):
    s = np.linalg.svd(X)[1] ** 2 / len(X)
    return 2 / (s[0] + s[-1])
""",
    ),
    (
        "1.4",
        """
import numpy as np
def chunked_gradient(chunks, theta):
    X = np.vstack([X for X, _ in chunks])
    return X.T @ (X @ theta - np.concatenate([y for _, y in chunks])) / len(X)
""",
    ),
    ("1.5", "def break_even(n, d): return -(-(d + 1)**2 // (2 * d))"),
    (
        "1.5",
        "def break_even(n, d): return 2 * n * (d + 1)**2 / (4 * n * d - 4 * d * (d + 1))",
    ),
    (
        "2.1",
        """
import numpy as np
def sgd_with_history(X, y, theta, learning_rate, n_epochs, rng):
    rng, found, t = np.random.default_rng(rng), [], [*theta]
    for _ in range(n_epochs):
        for i in rng.permutation(len(y)):
            r = sum(a * b for a, b in zip(X[i], t)) - y[i]
            t = [b - learning_rate * r * a for a, b in zip(X[i], t)]
        found.append(0.5 * np.var(X @ t - y) + 0.5 * np.mean(X @ t - y)**2)
    return found
""",
    ),
    (
        "2.3",
        """
import math, numpy as np
def order_floor(X, y, b):
    n = len(y)
    r = y - X @ np.linalg.pinv(X) @ y
    S = np.cov((X * r[:, None]).T)
    alpha = 0.02 * b * np.mean(r**2) / np.trace(S)
    mu = np.linalg.svd(X)[1][-1]**2 / n
    return [alpha, math.ceil(math.log(0.01) / math.log(1 - alpha * mu)), alpha * mu]
""",
    ),
    (
        "2.5",
        """
import numpy as np
def two_averages(X, y, theta, learning_rate, n_steps, rng):
    paths = []
    for t in theta:
        path = [t]
        for _ in range(n_steps):
            i = rng.integers(len(y))
            t = t - learning_rate * (X[i] @ t - y[i]) * X[i]
            path.append(t)
        paths.append(path)
    paths = np.array(paths)
    return paths.mean(axis=1), paths[:, n_steps // 2:].mean(axis=1)
""",
    ),
    (
        "3.1",
        """
import numpy as np
def minibatch(X, y, theta, b, alpha, n_epochs, rng, drop_last=False):
    for _ in range(n_epochs):
        order = rng.permutation(len(y))
        for rows in np.split(order, range(b, len(y), b)):
            if len(rows) == b or not drop_last:
                theta = theta - alpha * np.mean(X[rows] * (X[rows] @ theta - y[rows])[:, None], 0)
    return theta
""",
    ),
    ("3.2", "def batch_for(ratio, epsilon, n): return n / (1 + (n - 1) * epsilon**2 / ratio)"),
    (
        "3.3",
        """
def pair_ratio(errors, epoch):
    e = [errors[rows].sum(axis=0) for rows in epoch]
    k = range(len(e))
    pairs = [e[i] @ e[j] for i in k for j in k if i < j]
    return sum(pairs) / len(pairs) / (sum(v @ v for v in e) / len(e))
""",
    ),
]


@pytest.mark.parametrize(("name", "source"), OTHER_WAYS, ids=range(len(OTHER_WAYS)))
def test_another_way_is_right_too(name, source, capsys):
    assert verdict(name, answer_of(name, source), capsys).startswith(f"{name} right: ")


# For each exercise: what stands in the solution, what a mistake makes of it, and what the check
# says. "" stands for the end of the solution.
MISTAKES = {
    "1.1": [
        ("distance * np.linalg.eigvalsh(gd.to_host(X.T @ X / len(y)))[0]", "distance", "you stop"),
        ("len(y)))[0]", "len(y)))[-1]", "away from the minimiser"),
        ("tol = distance", "tol = 0.2 * distance", "largest tol that still guarantees"),
        ("n_steps = 0", "n_steps = 1", "count the updates"),
        ("tol = distance", "tol = distance**2", "largest tol that still guarantees"),
        ("(gradient)) < tol", "(gradient)) ** 2 < tol", "away from the minimiser"),
        ("return theta, n_steps", "return theta", "must be 2 values"),
    ],
    "1.2": [
        ("cond(X.T @ X)", "cond(X)", "condition number of X"),
        ("np.log(10) /", "1 /", "a factor of ten, not of e"),
        ("np.log(10) /", "np.log(10) / 2 /", "not of its square"),
        ("(k + 1) / (k - 1)", "k / (k - 1)", "1/L is not the best"),
        ("return np.log(10)", "return k #", "not yet a number of steps"),
        ("return", "return -", "too small"),
    ],
    "1.3": [
        ("return grid[np.argmin(rho_on_grid)]", "return 1 / L", "the flattest waits"),
        ("return grid[np.argmin(rho_on_grid)]", "return 2 / L", "steepest direction never"),
        ("return grid[np.argmin(rho_on_grid)]", "return 1 / mu", "flattest direction alone"),
        ("X.T @ X / len(X)", "X.T @ X", "mean over rows"),
        ("return grid[np.argmin", "return np.min #", "must be a number"),
        ("np.maximum(abs", "np.minimum(abs", "the rate is too"),
        ("np.argmin", "np.argmax", "the rate is too"),
    ],
    "1.4": [
        ("len(y_part) / n_rows *", "1 / len(chunks) *", "every chunk weighs the same"),
        ("len(y_part) / n_rows *", "", "without weights"),
        ("len(y_part) / n_rows *", "len(y_part) *", "it is the sum over rows"),
        ("X_part @ theta - y_part", "y_part - X_part @ theta", "sign is turned"),
        ("in chunks:\n        gradient", "in chunks[:-1]:\n        gradient", "chunk is missing"),
        ("return total", "return [total]", "shape (3,)"),
    ],
    "1.5": [
        ("/ (4 * n * d)", "", "what compression costs"),
        ("4 * n * d", "2 * n * d", "multiplications and as many additions"),
        ("2 * n * (d", "n * (d", "2n(d + 1)²"),
        ("(d + 1) ** 2", "d**2", "the triangle has d + 1 columns"),
        ("(4 * n * d)", "(4 * d)", "does the number of rows matter"),
        ("return 2", "return -2", "too small"),
    ],
    "2.1": [
        ("        losses.append", "            losses.append", "60 losses for 5 epochs"),
        ("/ 2)\n", ")\n", "half the mean square"),
        ("np.mean((X", "np.sum((X", "a sum"),
        ("for i in rng.permutation(len(y))", "for i in range(len(y))", "off by"),
        ("rng.permutation(len(y))", "rng.integers(len(y), size=len(y))", "off by"),
        ("rng.permutation(len(y))", "np.random.default_rng(21).permutation(12)", "same order"),
        ("np.array(losses)", "losses[-1]", "shape ()"),
    ],
    "2.2": [
        ("order[:k]", "order[: k + 1]", "same theta"),
        ("g[order[k]] - g.mean(axis=0)", "g.mean(axis=0) - g[order[k]]", "sign is turned"),
        ("total / len(orders)", "total", "not their mean"),
        ("order[:k]", "order[:0]", "theta has to move"),
        ("theta - learning_rate", "theta + learning_rate", "off by"),
        ("return total", "return np.linalg.norm(total)", "shape (2,)"),
        ("theta = np.zeros(X.shape[1])\n        for", "for", "raises"),
    ],
    "2.3": [
        ("* 4 * b /", "* 4 /", "where is b"),
        ("* 4 * b /", "* 4 / b /", "wrong side"),
        ("* 4 * b /", "* 2 * b /", "too small"),
        ("0.01 * lowest", "lowest", "one per cent is 0.01"),
        ("np.log(100) /", "np.log(10) /", "not its square"),
        ("np.log(100) / (alpha * mu)", "np.log(100) / mu", "rate of the run"),
        ("mu), alpha * mu", "mu), mu", "starts at your rate"),
        ("mu), alpha * mu", "mu), 2 * alpha * mu", "γ must exceed"),
        ("len(y))[0]", "len(y))[-1]", "smallest eigenvalue"),
    ],
    "2.4": [
        ("np.mean(x**4)", "np.mean(x**2)**2", "the full batch"),
        ("return 2 * np", "return np", "shrinks fastest"),
        ("np.mean(x**2) /", "np.var(x) /", "not the variance"),
        ("2 * np.mean(x**2) / np.mean(x**4)", "2 / 3", "limit of one law"),
        ("2 * np.mean(x**2) / np.mean(x**4)", "2 / np.max(x**2)", "every single row"),
        ("np.mean(x**4)", "np.sum(x**4)", "shrinks by"),
    ],
    "2.5": [
        ("return whole, half", "return half, whole", "changed places"),
        ("return whole, half", "return whole, theta", "last iterate"),
        ("return whole, half", "return whole, whole", "over all steps"),
        ("(step - n_steps // 2)", "step", "second half is off"),
        ("size=(len(theta), 1)", "size=(1, 1)", "every run draws the same rows"),
        ("rng.integers(len(y)", "rng.integers(len(y) // 2", "equally likely"),
        ("return whole, half", "return whole.mean(axis=0), half.mean(axis=0)", "shape (3, 2)"),
        ("theta - learning_rate", "theta + learning_rate", "off by"),
    ],
    "3.1": [
        ("/ len(batch)", "/ b", "by its own rows"),
        ("/ len(batch)", "/ len(y)", "not by n"),
        ("/ len(batch)", "", "no sum"),
        ("theta - alpha", "theta + alpha", "it climbs"),
        ("stop = len(y) // b * b if drop_last else len(y)", "stop = len(y)", "still used"),
        (
            "stop = len(y) // b * b if drop_last else len(y)",
            "stop = len(y) // b * b",
            "short batch is left out",
        ),
        ("len(y) // b * b", "(len(y) - 1) // b * b", "full batch is left out"),
        ("range(0, stop, b)", "range(0, stop - b, b)", "short batch is left out"),
    ],
    "3.2": [
        ("n / (1 + (n - 1) / q)", "q", "with replacement"),
        ("epsilon**2", "epsilon", "square of epsilon"),
        ("ratio / epsilon**2", "ratio", "where is epsilon"),
        ("n / (1 + (n - 1) / q)", "n - n / (1 + (n - 1) / q)", "what is left out"),
        ("ratio / epsilon**2", "ratio**0.5 / epsilon", "one of squares"),
        ("return int", "return -int", "your batch size is -"),
    ],
    "3.3": [
        ("return pairs", "return -pairs", "sign is turned"),
        ("(k * (k - 1))", "k**2", "not k²"),
        ("(k * (k - 1))", "k", "mean over pairs"),
        ("(gram.sum() - np.trace(gram)) / (k * (k - 1))", "gram.sum() / k**2", "no pair with"),
        ("return pairs / (np.trace(gram) / k)", "return -1 / (k - 1)", "measure it"),
        ("(np.trace(gram) / k)", "(np.trace(gram) / k) ** 0.5", "your ratio is too"),
    ],
    "3.4": [
        ("", "valley = valley[::-1]", "how many steps"),
        ("", "valley[2] *= 2", "full batch ends lower"),
        ("", "valley = valley[:2]", "shape (2,)"),
        ("", "valley[0] *= 4", "b = 64 a better rate ends lower"),
        ("", "valley[1] /= 4", "b = 256 no rate"),
        ("", "valley[2] /= 2", "how many steps"),
        ("", "valley = [value + 0.5 for value in valley]", "above its minimum"),
    ],
}
PLANTED = [(name, *mistake) for name, mistakes in MISTAKES.items() for mistake in mistakes]


@pytest.mark.parametrize(("name", "old", "new", "says"), PLANTED)
def test_a_planted_mistake_is_told(name, old, new, says, capsys):
    if old:
        source = solution(name)
        assert source.count(old) == 1, "the solution has changed: plant the mistake anew"
        source = source.replace(old, new)
    else:
        source = f"{EXERCISES[name].deliver} = {worked(name)!r}\n{new}"
    answer = answer_of(name, source)
    line = verdict(name, answer, capsys)
    assert line.startswith(f"{name} not yet: ")
    assert says in line


def test_every_exercise_has_five_mistakes():
    assert {name: len(mistakes) >= 5 for name, mistakes in MISTAKES.items()} == dict.fromkeys(
        EXERCISES, True
    )


@pytest.mark.parametrize("name", EXERCISES)
def test_what_is_no_answer_is_told(name, capsys):
    exercise = EXERCISES[name]
    namespace = {}
    exec(exercise.stub, namespace)
    stub = namespace[exercise.deliver]
    assert "begun" in verdict(name, stub, capsys)
    assert "not begun" in verdict(name, ..., capsys)
    assert "None" in verdict(name, None, capsys)
    if not callable(stub):
        assert "must be numbers" in verdict(name, "about 3", capsys)
        assert "nan" in verdict(name, [float("nan")] * len(worked(name)), capsys)
        return
    assert "must be a function" in verdict(name, 3.0, capsys)

    def fails(*arguments):
        raise ZeroDivisionError("division by zero")

    assert "raises ZeroDivisionError: division by zero" in verdict(name, fails, capsys)
    assert "must be" in verdict(name, lambda *_: "about 3", capsys)
    assert "raises TypeError" in verdict(name, lambda: 0, capsys)


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_is_the_one_of_the_book(name):
    exercise = EXERCISES[name]
    number, text = printed()[exercise.label]
    assert number == name
    assert re.search(rf"`{exercise.deliver}[`(]", text), "the book does not say what to deliver"
    assert len(exercise.hints) == 2
    assert all(hint.endswith(("?", ".")) for hint in exercise.hints)
    assert exercise.level in (1, 2, 3)
    assert 5 <= exercise.minutes <= 60
    assert 1 <= exercise.points <= 5


def test_every_exercise_of_the_book_has_a_check():
    assert [number for number, _ in printed().values()][: len(EXERCISES)] == list(EXERCISES)


def test_an_unknown_exercise_is_named():
    with pytest.raises(ValueError, match=r"name must be one of 1\.1, 1\.2, .*, got '1\.9'"):
        check("1.9", 0)


def test_the_arguments_of_a_function_stay_as_they_are(capsys):
    """The same problem asked twice is the same, whatever the first call did to it."""

    def spoil(chunks, theta):
        for X, _ in chunks:
            X *= 0
        return theta

    first, second = (verdict("1.4", spoil, capsys) for _ in range(2))
    assert first == second

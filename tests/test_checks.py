"""Every check passes the worked solution, in any form, and names what a mistake breaks.

The solutions are those of the book: of each notebook, the statements that the answer needs.
A planted mistake is an edit of the solution's source, with a part of the message it must meet.
"""

import ast
import dis
import functools
import json
import re
import sys
from collections import Counter

import array_api_strict
import numpy as np
import pytest

import course
import gdcourse as gd
from gdcourse.lesson import data
from gdcourse.lesson.checks import EXERCISES, capstone, check, exercise, tradeoffs
from tools.plain import number_chapters

LABEL = re.compile(r"^:label: (ex-\S+)$", re.M)
SOLUTION = re.compile(r"\{solution(?:-start)?\} (ex-\S+)")


def prints(cell):
    """What a stored cell has printed."""
    for output in cell.get("outputs", ()):
        yield from output.get("text", ())


@functools.cache
def chapters():
    """The cells of each page of a chapter, with its number: kind, source, and what is printed."""
    found = []
    for page, number in number_chapters(course.ROOT / "_toc.yml")[0].items():
        cells = json.loads((course.BOOK / f"{page}.ipynb").read_text("utf-8"))["cells"]
        texts = [
            (cell["cell_type"], "".join(cell["source"]), "".join(prints(cell))) for cell in cells
        ]
        found.append((number, texts))
    return found


@functools.cache
def printed():
    """The number of each exercise, by its label, and its text."""
    numbers, counts = {}, Counter()
    for chapter, texts in chapters():
        prose = "\n".join(text for kind, text, _ in texts if kind == "markdown")
        for _, block in re.findall(r"^(:{3,}|`{3,})\{exercise\}(.*?)^\1$", prose, re.M | re.S):
            counts[chapter] += 1
            numbers[LABEL.search(block)[1]] = f"{chapter}.{counts[chapter]}", block
    return numbers


def cells_of(label):
    """The cells of a chapter up to the end of the solution of `label`, and where it begins."""
    (texts,) = (
        texts for _, texts in chapters() if any(f":label: {label}\n" in t[1] for t in texts)
    )
    begins = None
    for place, (kind, text, _) in enumerate(texts):
        if kind == "markdown":
            if begins is not None and "{solution-end}" in text:
                return texts[:place], begins
            if label in SOLUTION.findall(text):
                begins = place
                inline = re.search(rf"\{{solution\}} {label}\n.*?```python\n(.*?)```", text, re.S)
                if inline:  # a solution without a cell
                    return [*texts[:place], ("code", inline[1], "")], place
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
        while isinstance(target, ast.Subscript):
            target = target.value
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


# Where an answer takes long to measure: what the solution has printed, and how it is read.
STORED = {
    "3.2": (r"excess (\S+)", list),
    "4.1": (r"a factor (\S+)", lambda found: found[::-1]),
    "4.4": (r"(?:linear|root): ([\d.]+)", list),
    "9.2": (
        r"target 0.6: S_min = (\d+), B = (\d+)",
        lambda found: [found[0] * (1 + found[1] / b) for b in (8, 128)],
    ),
    "9.5": (r"sqrt\((\d+) x (\d+)\) = (\d+)", list),
    "10.5": (r"gain (\S+)", list),
    "11.4": (
        r"^(?:in order|shuffled) *: (\S+)%",
        lambda found: [8, found[0] / 100, found[1] / 100],
    ),
}


@functools.cache
def worked(name):
    if name not in STORED:
        return answer_of(name, solution(name))
    pattern, read = STORED[name]
    printed = "\n".join(output for _, _, output in solution_cells(EXERCISES[name].label))
    found = np.ravel(re.findall(pattern, printed, re.M)).astype(float)
    return list(read(found.tolist()))


def verdict(name, answer, capsys):
    capsys.readouterr()  # what a solution has printed
    check(name, answer)
    (line,) = capsys.readouterr().out.splitlines()
    return line


def of_exercises(rows):
    """Parameters whose first is the number of an exercise; the slow ones are marked."""
    return [pytest.param(*row, marks=marks_of(row[0])) for row in rows]


def marks_of(name):
    return [pytest.mark.slow] * (name in SLOW) + [pytest.mark.long] * (name in LONG)


LONG = {"11.5"}  # its notebook holds the solution on each run
SLOW = {"3.2", "4.4", "6.3", "9.2", "11.1", "11.3", "11.4", "11.5"}  # runs, and a picture
every_exercise = pytest.mark.parametrize("name", of_exercises((name,) for name in EXERCISES))


@every_exercise
def test_the_worked_solution_is_right(name, capsys):
    assert verdict(name, worked(name), capsys).startswith(f"{name} right: ")


def recast(value, form):
    """An answer in another form: what it returns, for a function."""
    if callable(value):
        return lambda *arguments: recast(value(*arguments), form)
    if isinstance(value, tuple):
        return tuple(recast(part, form) for part in value)
    if hasattr(value, "__next__"):
        return [recast(part, form) for part in value]
    return form(value)


FORMS = {
    "list": lambda value: np.asarray(value).tolist(),
    "single precision": lambda value: np.asarray(value, dtype="float32"),
    "another library": lambda value: array_api_strict.asarray(np.asarray(value)),
}


# Not for names and classes.
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "name", of_exercises((name,) for name in EXERCISES if name not in ("6.2", "9.4", "10.2"))
)
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
    ("3.3", "def batch_for(ratio, epsilon, n): return n / (1 + (n - 1) * epsilon**2 / ratio)"),
    (
        "3.4",
        """
def pair_ratio(errors, epoch):
    e = [errors[rows].sum(axis=0) for rows in epoch]
    k = range(len(e))
    pairs = [e[i] @ e[j] for i in k for j in k if i < j]
    return sum(pairs) / len(pairs) / (sum(v @ v for v in e) / len(e))
""",
    ),
    ("4.2", "def price(ratio): return [1 / (ratio - 1), 1 + 1 / (ratio - 1)]"),
    (
        "4.3",
        """
import numpy as np
def pooled_scale(b, small, B, large):
    signal, trace = np.linalg.solve([[1, 1 / b], [1, 1 / B]], [np.mean(small), np.mean(large)])
    return trace / signal
""",
    ),
    (
        "4.5",
        """
import math
def equal_steps(n, b, n_epochs, other_b):
    return math.ceil(n_epochs * math.ceil(n / b) / math.ceil(n / other_b))
""",
    ),
    (
        "5.1",
        """
import math
def goyal(b, warmup_epochs=0):
    k = math.ceil(1281167 / b)
    def rate(step):
        if step < warmup_epochs * k:
            return 0.1 + (b / 2560 - 0.1) * step / (warmup_epochs * k)
        return b / 2560 / 10 ** sum(step // k >= e for e in (30, 60, 80))
    return rate, k
""",
    ),
    (
        "5.2",
        """
import numpy as np
def accumulation_counts(n, n_devices, per_device, n_accumulate):
    rows = per_device * n_devices
    return np.ceil([n / (rows * n_accumulate), n / rows, per_device])
""",
    ),
    (
        "5.3",
        """
from itertools import islice
def never_seen(scheme, n, n_epochs, rng):
    left = set(range(n))
    for epoch in islice(scheme.epochs(n, rng), n_epochs):
        for batch in epoch:
            rows = range(n)[batch] if isinstance(batch, slice) else batch.tolist()
            left -= set(rows)
    return len(left)
""",
    ),
    ("5.4", "def equal_at(S, E, S_2, E_2): return -(E - E_2) / (S - S_2)"),
    (
        "5.5",
        """
import math
def matched_momentum(m, factor): return -math.expm1(math.log1p(-m) / factor)
""",
    ),
    (
        "6.4",
        """
import numpy as np
def dealt_batches(labels, batch_size, rng):
    names = np.unique(labels)
    hands = {c: [] for c in names}
    batches = []
    for _ in range(-(-len(labels) // batch_size)):
        even, spare = divmod(batch_size, len(names))
        lucky = set(rng.choice(names, spare, replace=False))
        batch = []
        for c in names:
            for _ in range(even + (c in lucky)):
                if not hands[c]:
                    hands[c] = rng.permutation(np.flatnonzero(labels == c)).tolist()
                batch.append(hands[c].pop())
        batches.append(batch)
    return batches
""",
    ),
    (
        "6.1",
        """
import itertools, numpy as np
def exact_floor(alpha, x, residuals):
    maps = [(1 - alpha * a * a, alpha * a * r) for a, r in zip(x, residuals)]
    ends = []
    for order in itertools.permutations(maps):
        e = 0
        for shrink, push in order:
            e = shrink * e + push
        ends.append(e)
    A = np.prod([shrink for shrink, _ in maps])
    return [np.mean(ends) ** 2 / (1 - A) ** 2, np.std(ends) ** 2 / (1 - A * A)]
""",
    ),
    (
        "6.5",
        """
def mean_labels(scheme, labels, n_epochs, rng):
    epochs, total, count = scheme.epochs(len(labels), rng), 0, 0
    for _ in range(n_epochs):
        for batch in next(epochs):
            total, count = total + len(set(labels[batch].tolist())), count + 1
    return total / count
""",
    ),
    (
        "7.1",
        """
def flushed_epoch(micro_batches, m, theta, learning_rate):
    held, count = 0, 0
    for k, (X, y) in enumerate(micro_batches, start=1):
        held, count = held + X.T @ (X @ theta - y) / len(y), count + 1
        if k % m == 0 or k == len(micro_batches):
            theta = theta - learning_rate * held / count
            held, count = 0, 0
    return theta
""",
    ),
    ("7.2", "import numpy as np\ndef loss_factors(n): return np.array(n) / np.sum(n)"),
    (
        "7.3",
        """
def largest_batch(budget, n_parameters, activations):
    b = 0
    while 4 * (2 * n_parameters + (b + 1) * activations) <= budget:
        b += 1
    return b
""",
    ),
    (
        "7.4",
        """
def block_of_steps(X, y, theta, learning_rate):
    r = X @ theta - y
    for i in range(len(y)):
        r[i + 1:] -= learning_rate * r[i] * X[i + 1:] @ X[i]
    return theta - learning_rate * r @ X
""",
    ),
    (
        "8.4",
        """
import numpy as np
def without_one(shards, missing, alpha, n_steps):
    theta = np.zeros(shards[0][0].shape[1])
    for t in range(n_steps):
        there = [s for k, s in enumerate(shards) if k != missing(t)]
        slopes = [X.T @ (X @ theta - y) / len(y) for X, y in there]
        theta -= alpha * np.mean(slopes, axis=0)
    return theta.tolist()
""",
    ),
    (
        "8.1",
        """
import numpy as np
def variance_of(G, block, memory, batch):
    G = G - G.mean(axis=0)
    M, m = len(G) // block, memory // block
    s2 = (G ** 2).sum() / len(G)
    t2 = sum((G[i:i + block].mean(axis=0) ** 2).sum() for i in range(0, len(G), block)) / M
    V = t2 * (1 / m - 1 / M) * M / (M - 1)
    return V + (s2 - V) * (1 / batch - 1 / memory) * memory / (memory - 1)
""",
    ),
    (
        "8.5",
        """
import numpy as np
def once(shards): return sum(np.linalg.pinv(X) @ y for X, y in shards) / len(shards)
""",
    ),
    ("8.3", "def goes_on_at(k, t): return t - t % k"),
    (
        "9.1",
        """
import numpy as np
def from_two(b_1, S_1, b_2, S_2):
    E, S = np.polyfit([1 / b_1, 1 / b_2], [S_1, S_2], 1)
    return np.array([S, E / S])
""",
    ),
    (
        "9.3",
        """
import numpy as np
def cheapest_batch(B, t_0, r, p):
    b = np.arange(1, 20_000)
    return b[np.argmin((1 + B / b) * (t_0 + b / r) + p * (b + B))]
""",
    ),
    (
        "9.4",
        """
class Smooth:
    def epochs(self, n_samples, rng):
        size, k = 8.0, 0
        while True:
            order, b = rng.permutation(n_samples), round(size)
            yield [order[i:i + b] for i in range(0, n_samples, b)]
            k += 1
            if k > 16:
                size = min(128, size * 16 ** 0.05)
smooth = Smooth()
""",
    ),
    ("10.1", "def translate(alpha, beta): return alpha - alpha * beta, beta"),
    (
        "10.2",
        """
class Bent:
    def gradient(self, theta, X, y):
        (t,) = theta
        return [25 * t if t < 1 else t + 24 if t < 2 else 25 * t - 24]
    def loss(self, theta, X, y):
        (t,) = theta
        return sum(g * (min(t, b) - a) + h * (min(t, b) - a) ** 2 / 2
                   for a, b, g, h in ((0, 1, 0, 25), (1, 2, 25, 1), (2, 9, 26, 25))
                   if t > a) if t > 0 else 12.5 * t * t
""",
    ),
    ("10.3", "import math\ndef suits(beta): return math.exp(4 * math.atanh(math.sqrt(beta)))"),
    (
        "10.4",
        """
import numpy as np
def half_period(alpha, curvature, beta):
    return np.pi / max(np.angle(np.roots([1, alpha * curvature - 1 - beta, beta])))
""",
    ),
    (
        "11.2",
        """
import numpy as np
def steps_to_one_percent(X, y):
    H, g = X.T @ X / len(y), X.T @ y / len(y)
    rate, theta, steps = 1 / np.linalg.norm(H, 2), np.zeros(len(g)), 0
    least = np.mean((y - X @ np.linalg.solve(H, g)) ** 2)
    while np.mean((y - X @ theta) ** 2) > 1.01 * least:
        theta, steps = theta - rate * (H @ theta - g), steps + 1
    return steps
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
        (
            "distance * np.linalg.eigvalsh(gd.to_host(X.T @ X / len(y)))[0]",
            "distance",
            "by which eigenvalue",
        ),
        ("len(y)))[0]", "len(y)))[-1]", "by which eigenvalue"),
        ("(X @ theta - y) / len(y)", "(X @ theta - y)", "divide its gradient by n"),
        ("(X @ theta - y) / len(y)", "(X @ theta - y) / len(y) * 2", "no factor 2"),
        ("theta - learning_rate", "theta + learning_rate", "has not ended"),
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
        ("return", "return -", "sign is turned"),
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
        ("return total", "return [total]", "shape (1, 3); take the one"),
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
        ("for i in rng.permutation(len(y))", "for i in range(len(y))", "in the order of rng"),
        ("rng.permutation(len(y))", "rng.integers(len(y), size=len(y))", "without replacement"),
        ("rng.permutation(len(y))", "rng.integers(len(y) - 2, size=3)", "off by"),
        ("theta - learning_rate", "theta + learning_rate", "it climbs"),
        ("theta - learning_rate *", "theta - 2 * learning_rate *", "no factor 2"),
        ("- y[i]) * X[i]", "- y[i]) * X[i] / len(y)", "not divided by n"),
        (
            "        for i in rng.permutation(len(y)):\n"
            "            theta = theta - learning_rate * (X[i] @ theta",
            "        old = theta\n"
            "        for i in rng.permutation(len(y)):\n"
            "            theta = theta - learning_rate * (X[i] @ old",
            "that the last one left",
        ),
        ("rng.permutation(len(y))", "np.random.default_rng(21).permutation(12)", "same order"),
        ("np.array(losses)", "losses[-1]", "shape ()"),
    ],
    "2.2": [
        ("order[:k]", "order[: k + 1]", "same theta"),
        ("g[order[k]] - g.mean(axis=0)", "g.mean(axis=0) - g[order[k]]", "sign is turned"),
        ("total / len(orders)", "total", "not their mean"),
        ("order[:k]", "order[:0]", "theta has to move"),
        ("theta - learning_rate", "theta + learning_rate", "does the path go down"),
        ("g[order[k]] - g.mean(axis=0)", "g[order[k]] - g.sum(axis=0)", "divide its gradient by n"),
        (" - g.mean(axis=0)", "", "subtract the gradient of all rows"),
        ("return total", "return np.linalg.norm(total)", "shape (2,)"),
        ("theta = np.zeros(X.shape[1])\n        for", "for", "raises"),
        (
            "total = 0.0\n    for order in orders:\n        theta = np.zeros(X.shape[1])",
            "total, theta = 0.0, np.zeros(X.shape[1])\n    for order in orders:",
            "begins at theta = 0",
        ),
    ],
    "2.3": [
        ("* 4 * b /", "* 4 /", "where is b"),
        ("* 4 * b /", "* 4 / b /", "wrong side"),
        ("* 4 * b /", "* 2 * b /", "too small"),
        ("0.01 * lowest", "lowest", "one per cent is 0.01"),
        ("np.mean(np.sum(", "np.sum(np.sum(", "S is a mean over rows"),
        ("np.mean((X", "np.sum((X", "J* is a mean over rows"),
        ("** 2) / 2", "** 2)", "half the mean square"),
        ("gradients = X * (X @ best", "gradients = X * (X @ (0 * best)", "at the minimiser"),
        ("X.T @ X / len(y)", "X.T @ X", "X'X/n"),
        ("alpha, np.log(100)", "alpha, np.log(1 / 100)", "its sign is turned"),
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
        ("np.mean(x**4)", "np.sum(x**4)", "not sums"),
        ("np.mean(x**2)", "np.sum(x**2)", "not sums"),
    ],
    "2.5": [
        ("return whole, half", "return half, whole", "changed places"),
        ("return whole, half", "return whole, theta", "last iterate"),
        ("return whole, half", "return whole, whole", "over all steps"),
        ("(step - n_steps // 2)", "step", "how many iterates"),
        ("learning_rate * gradient", "learning_rate * gradient / len(y)", "not divided by n"),
        ("size=(len(theta), 1)", "size=(1, 1)", "every run draws the same rows"),
        ("rng.integers(len(y)", "rng.integers(len(y) // 2", "equally likely"),
        ("return whole, half", "return whole.mean(axis=0), half.mean(axis=0)", "shape (3, 2)"),
        ("theta - learning_rate", "theta + learning_rate", "it climbs"),
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
        ("rng.permutation(len(y))", "rng.integers(len(y), size=len(y))", "without replacement"),
        ("rng.permutation(len(y))", "range(len(y))", "cut the batches from"),
        ("X[batch] @ theta - y[batch]", "X[batch] @ theta - y[0]", "your theta is off by"),
        ("theta - alpha", "theta - 2 * alpha", "no factor 2"),
        (
            "X[batch] @ theta",
            "X[batch] @ (old := theta if start == 0 else old)",
            "that the last one left",
        ),
        ("    return theta", "    return [theta, theta]", "shape (2, 3); take the one"),
    ],
    "3.3": [
        ("n / (1 + (n - 1) / q)", "q", "with replacement"),
        ("epsilon**2", "epsilon", "square of epsilon"),
        ("ratio / epsilon**2", "ratio", "where is epsilon"),
        ("n / (1 + (n - 1) / q)", "n - n / (1 + (n - 1) / q)", "what is left out"),
        ("ratio / epsilon**2", "ratio**0.5 / epsilon", "one of squares"),
        ("return int", "return -int", "your batch size is -"),
        ("(n - 1) / q", "(n - 1) * q", "asks for more rows"),
    ],
    "3.4": [
        ("return pairs", "return -pairs", "sign is turned"),
        ("(k * (k - 1))", "k**2", "not k²"),
        ("(k * (k - 1))", "k", "mean over pairs"),
        ("(gram.sum() - np.trace(gram)) / (k * (k - 1))", "gram.sum() / k**2", "no pair with"),
        ("return pairs / (np.trace(gram) / k)", "return -1 / (k - 1)", "measure it"),
        ("(np.trace(gram) / k)", "(np.trace(gram) / k) ** 0.5", "not by a length"),
        ("(np.trace(gram) / k)", "np.trace(gram)", "squares are summed"),
        ("/ (k * (k - 1))", "", "products are summed"),
        ("(k * (k - 1))", "(k * (k - 1) / 2)", "each pair counts once"),
    ],
    "3.2": [
        ("", "valley = valley[::-1]", "how many steps"),
        ("", "valley[2] *= 2", "full batch ends lower"),
        ("", "valley = valley[:2]", "shape (2,)"),
        ("", "valley[0] *= 4", "b = 64 a better rate ends lower"),
        ("", "valley[1] /= 4", "b = 256 no rate"),
        ("", "valley[2] /= 2", "how many steps"),
        ("", "valley = [value + 0.5 for value in valley]", "above its minimum"),
    ],
    "4.1": [
        ("", "factors[0] = 2.0", "what the bound says"),
        ("", "factors[0] = 4.0", "every direction is forgotten"),
        ("", "factors = factors[::-1]", "predicted factor is too large"),
        ("", "factors[1] = 4", "further from the prediction"),
        ("", "factors[0] = 1 / factors[0]", "divide the earlier by the later"),
        ("", "factors = factors[:1]", "shape (2,)"),
    ],
    "4.2": [
        ("1 / (ratio - 1)", "ratio - 1", "other way round"),
        ("1 / (ratio - 1)", "1 / ratio", "not S/S_min"),
        ("1 / (ratio - 1)", "ratio", "solve for b"),
        ("return b, ratio * b", "return b, b", "a step reads b rows"),
        ("return b, ratio * b", "return b, ratio", "number of steps"),
        ("return b, ratio * b", "return ratio * b, b", "the batch size is too large"),
    ],
    "4.3": [
        ("return trace / (large - trace / b_large)", "return trace / large", "larger batches have"),
        ("return trace / (large - trace / b_large)", "return trace", "that is σ²"),
        ("trace / (large - trace / b_large)", "(large - trace / b_large) / trace", "noise over"),
        ("(large - trace / b_large)", "(large - trace / b_large) ** 2", "is too"),
        ("(small - large) / (1", "(large - small) / (1", "too small"),
        (
            "return trace / (large - trace / b_large)",
            "return (trace / (large - trace / b_large)) ** 0.5",
            "ratio of squares",
        ),
        (
            "small, large = np.mean(small), np.mean(large)",
            "small, large = small[:1], large[:1]",
            "noise scale is too",
        ),
    ],
    "4.4": [
        ("", "two_rules = two_rules[::-1]", "near that of the other rule"),
        ("", "two_rules[1] = two_rules[0]", "near that of the other rule"),
        ("", "two_rules[0] *= 2", "too high"),
        ("", "two_rules[1] /= 2", "too low"),
        ("", "two_rules = two_rules[:1]", "shape (2,)"),
    ],
    "4.5": [
        ("return n_steps //", "return n_steps #", "number of steps"),
        ("n_steps // gd.iterations_per_epoch(n, other_b)", "n_epochs", "equal epochs"),
        ("n_steps // gd.iterations_per_epoch(n, other_b)", "n_epochs * other_b // b", "short last"),
        ("n_steps // gd.iterations_per_epoch(n, other_b)", "n_epochs * b / other_b", "fewer steps"),
        ("gd.iterations_per_epoch(n, b)", "n // b", "too small"),
        ("return n_steps //", "return -n_steps //", "too small"),
    ],
    "5.1": [
        ("[30 * k, 60 * k, 80 * k]", "[30, 60, 80]", "written in epochs"),
        ("gd.iterations_per_epoch(n_images, b)", "n_images // b", "last batch is short"),
        ("peak = 0.1 * b / 256", "peak = 0.1", "straight line"),
        ("ramp = warmup_epochs * k", "ramp = warmup_epochs", "straight line"),
        ("0.1 + (peak - 0.1) *", "peak *", "straight line"),
        ("0.1, 0.01, 0.001]", "0.1, 0.1, 0.1]", "too large"),
        ("return schedule, k", "return schedule", "must be 2 values"),
    ],
    "5.2": [
        ("* n_accumulate\n", "\n", "after all accumulation"),
        ("per_device * n_devices *", "per_device *", "devices work on one update"),
        ("(n, b)", "(n, b, True)", "short last batch is an update"),
        ("n // n_devices", "n", "only its own rows"),
        (
            "gd.iterations_per_epoch(n // n_devices, per_device)",
            "updates * n_accumulate",
            "needs fewer passes",
        ),
        ("backward, per_device", "backward, b", "one pass on one device"),
    ],
    "5.3": [
        ("np.sum(~seen)", "np.sum(seen)", "rows are seen"),
        ("seen[batch] = True", "seen[batch] = ~seen[batch]", "too large"),
        ("(n, rng), n_epochs)", "(n, rng), 1)", "that is one epoch"),
        (
            "n_epochs):\n        for batch",
            "n_epochs):\n        seen[:] = False\n        for batch",
            "too large",
        ),
        ("int(np.sum(~seen))", "np.flatnonzero(~seen)", "one number"),
        ("int(np.sum(~seen))", "np.mean(~seen)", "too small"),
    ],
    "5.4": [
        (
            "(other_samples - samples) / (steps - other_steps)",
            "(steps - other_steps) / (other_samples - samples)",
            "not c/t_0",
        ),
        ("(steps - other_steps)", "(other_steps - steps)", "signs"),
        (
            "(other_samples - samples) / (steps - other_steps)",
            "other_samples / other_steps - samples / steps",
            "not times a step",
        ),
        ("(steps - other_steps)", "steps", "too small"),
        (
            "(other_samples - samples) / (steps - other_steps)",
            "other_samples / samples * other_steps / steps",
            "products",
        ),
        (
            "(other_samples - samples) / (steps - other_steps)",
            "other_samples - samples",
            "too large",
        ),
    ],
    "5.5": [
        ("(1 / factor)", "factor", "fade less"),
        ("1 - (1 - m) ** (1 / factor)", "m / factor", "small m alone"),
        ("1 - (1 - m) ** (1 / factor)", "m", "remembers fewer"),
        ("1 - (1 - m) ** (1 / factor)", "(1 - m) ** (1 / factor)", "what is kept"),
        ("1 - (1 - m) ** (1 / factor)", "m * factor", "fade less"),
        ("1 - (1 - m) ** (1 / factor)", "(1 - m) ** (1 / factor) - 1", "too small"),
    ],
    "6.4": [
        ("yield from rng.permutation(deck)", "yield from deck", "shuffle"),
        ("yield from rng.permutation(deck)", "yield rng.choice(deck)", "more often than another"),
        ("-(-len(labels) // batch_size)", "len(labels) // batch_size", "⌈n/b⌉"),
        (
            "for _ in range(batch_size)",
            "for _ in range(batch_size // len(packs) * len(packs))",
            "exactly",
        ),
        ("place += 1", "place += 2", "may differ by one"),
        ("packs[place % len(packs)]", "packs[rng.integers(len(packs))]", "may differ by one"),
        ("yield np.array(batch)", "yield np.array(batch) + 1", "not among"),
    ],
    "6.1": [
        ("(push.mean() / (1 - A)) ** 2", "push.mean() / (1 - A)", "squared mean is too"),
        ("(push.mean() / (1 - A)) ** 2", "push.mean() ** 2", "solve m"),
        ("push.var() / (1 - A**2)", "push.var()", "solve v"),
        ("push.var() / (1 - A**2)", "push.var() / (1 - A)", "A² an epoch"),
        ("push.var()", "push.var(ddof=1)", "not a sample"),
        ("push.var() /", "np.mean(push**2) /", "take off the mean"),
        (
            "return (push.mean() / (1 - A)) ** 2, push.var() / (1 - A**2)",
            "return push.var() / (1 - A**2), (push.mean() / (1 - A)) ** 2",
            "changed places",
        ),
    ],
    "6.2": [
        (
            'return "balanced" if even else "with replacement"',
            'return "with replacement"',
            "you call",
        ),
        ("min(together) == 11", "min(together) == 12", "wrongly"),
        ("np.mean(together) > 6", "np.mean(together) > 1", "wrongly"),
        ("off <= 1", "off <= 3", "wrongly"),
        ("np.array_equal(first, second)", "False", "wrongly"),
        ("[6, 3.6, 2.4]", "[4, 4, 4]", "wrongly"),
        (
            'return "stratified" if off <= 1 else "shuffled"',
            "return off <= 1",
            "must return a name",
        ),
    ],
    "6.5": [
        ("np.mean([len", "np.sum([len", "a mean over batches"),
        ("len(np.unique(batch))", "len(batch)", "number of rows"),
        ("[labels[batch] for epoch in epochs for batch in epoch]", "[labels]", "an epoch has"),
        ("np.mean([len(np.unique(batch))", "np.max([len(np.unique(batch))", "too large"),
        (
            "np.mean([len(np.unique(batch)) for batch in batches])",
            "len(np.unique(batches[0]))",
            "your mean is too",
        ),
        (
            "return np.mean([len(np.unique(batch)) for batch in batches])",
            "return [len(np.unique(batch)) for batch in batches]",
            "one number",
        ),
    ],
    "6.3": [
        ("", "one_row_ends = one_row_ends[::-1]", "order with, without"),
        ("", "one_row_ends = [each[:1] for each in one_row_ends]", "ten or more"),
        ("", "one_row_ends = [[v / 100 for v in each] for each in one_row_ends]", "per cent"),
        ("", "one_row_ends = [[sum(each) / 12] * 12 for each in one_row_ends]", "the same"),
        ("", "one_row_ends[0] = [v / 2 for v in one_row_ends[0]]", "points away"),
        ("", "one_row_ends = one_row_ends[0]", "shape (2, any)"),
    ],
    "7.1": [
        (
            "range(0, len(micro_batches), m)",
            "range(0, len(micro_batches) - m + 1, m)",
            "never used",
        ),
        ("micro_batches[i : i + m]", "micro_batches[i : i + 1]", "off by"),
        ("theta - learning_rate", "theta + learning_rate", "off by"),
        (
            "learning_rate * gradient",
            "learning_rate * gradient * len(micro_batches[i : i + m]) / m",
            "divides by m",
        ),
        (
            "learning_rate * gradient",
            "learning_rate * gradient * len(micro_batches[i : i + m])",
            "buffer holds a sum",
        ),
        ("learning_rate):\n", "learning_rate):\n    m = 1\n", "after every micro-batch"),
        ("learning_rate):\n", "learning_rate):\n    m = 100\n", "once an epoch"),
    ],
    "7.2": [
        ("count / sum(token_counts)", "1 / len(token_counts)", "weighs more than"),
        ("count / sum(token_counts)", "count", "mean over all tokens"),
        (
            "count / sum(token_counts)",
            "count / sum(token_counts) * len(token_counts)",
            "without the 1/m",
        ),
        ("count / sum(token_counts)", "1.0", "a sum of means"),
        ("count / sum(token_counts)", "count / max(token_counts)", "not by the most"),
        ("count / sum(token_counts)", "-count / sum(token_counts)", "zero or less"),
    ],
    "7.3": [
        (
            "max(0, int(left // (4 * activations)))",
            "(budget - 4 * n_parameters) // (4 * activations)",
            "as large as the parameters",
        ),
        (
            "max(0, int(left // (4 * activations)))",
            "budget // (4 * activations)",
            "need room",
        ),
        (
            "max(0, int(left // (4 * activations)))",
            "(budget - 16 * n_parameters) // (4 * activations)",
            "keeps no state",
        ),
        (
            "int(left // (4 * activations)))",
            "int(left // (4 * activations))) + 1",
            "more than there is",
        ),
        ("(4 * activations)))", "(4 * activations))) - 1", "leaves room"),
        (
            "max(0, int(left // (4 * activations)))",
            "(budget - 8 * n_parameters) / (4 * activations)",
            "rows are whole",
        ),
    ],
    "7.4": [
        ("k=-1", "k=0", "strictly below"),
        ("xp.tril(X @ X.T, k=-1)", "xp.triu(X @ X.T, k=1)", "not above"),
        ("learning_rate * below", "below", "where is α"),
        ("+ learning_rate * below", "- learning_rate * below", "sign in the system"),
        ("theta - learning_rate * (X.T", "theta + learning_rate * (X.T", "sign of the last"),
        ("xp.tril(X @ X.T, k=-1)", "X @ X.T", "only the part"),
        (" + learning_rate * below", "", "every row sees"),
    ],
    "8.4": [
        ("missing(t)", "missing(t + 1)", "the first step is"),
        ("if j != k]", "if j == k]", "left out"),
        ("alpha, n_steps):\n", "alpha, n_steps):\n    alpha = 0.75 * alpha\n", "did answer"),
        ("range(n_steps)", "range(n_steps - 1)", "off by"),
        ("M @ theta + push", "M @ theta - push", "off by"),
        ("maps[missing(t)]", "maps[3]", "off by"),
    ],
    "8.1": [
        ("return of_buffer + gd", "return gd", "buffer itself varies"),
        (" - of_buffer", "", "less than σ²"),
        (
            "of_buffer + gd.batch_gradient_variance(rest, batch, memory)",
            "of_buffer",
            "a batch of it adds",
        ),
        ("(rest, batch, memory)", "(rest, batch)", "rows of a batch are drawn without"),
        ("(between, m, len(means))", "(between, m)", "blocks are drawn without"),
        (
            "of_buffer + gd.batch_gradient_variance(rest, batch, memory)",
            "gd.batch_gradient_variance(G.var(axis=0).sum(), batch, len(G))",
            "full shuffle",
        ),
    ],
    "8.2": [
        ("", "shares = shares[::-1]", "the other network"),
        ("", "shares = [[100 * v for v in row] for row in shares]", "below 1"),
        ("", "shares[0][1] = shares[0][0]", "with 1 byte a value"),
        ("", "shares[1][2], shares[1][3] = shares[1][3], shares[1][2]", "with ten local steps"),
        ("", "shares[0] = [v / (1 - v) for v in shares[0]]", "of the whole step"),
        ("", "shares = shares[0]", "shape (2, 4)"),
    ],
    "8.5": [
        ("np.mean(own, axis=0)", "np.sum(own, axis=0)", "a sum"),
        ("np.mean(own, axis=0)", "own[0]", "one worker"),
        ("np.mean(own, axis=0)", "np.median(own, axis=0)", "not a median"),
        (
            "np.mean(own, axis=0)",
            "np.average(own, axis=0, weights=[len(y) for _, y in shards])",
            "each the same",
        ),
        (
            "np.mean(own, axis=0)",
            "np.linalg.lstsq(*map(np.concatenate, zip(*shards)))[0]",
            "all rows together",
        ),
        ("np.mean(own, axis=0)", "-np.mean(own, axis=0)", "off by"),
    ],
    "8.3": [
        ("fails_at // record_every * record_every", "fails_at", "not in the file"),
        ("fails_at // record_every * record_every", "fails_at // record_every", "not its step"),
        ("fails_at // record_every * record_every", "0", "before the failure"),
        (
            "fails_at // record_every * record_every",
            "-(-fails_at // record_every) * record_every",
            "never written",
        ),
        (
            "fails_at // record_every * record_every",
            "fails_at // record_every * record_every + 1",
            "record itself",
        ),
        ("fails_at // record_every * record_every", "record_every", "too small"),
    ],
    "9.1": [
        ("return S_min, E_min / S_min", "return E_min / S_min, S_min", "changed places"),
        ("return S_min, E_min / S_min", "return S_min, E_min", "divide it by S_min"),
        ("S_1 - E_min / b_1", "S_1 + E_min / b_1", "sign of E_min/b"),
        ("S_min, E_min / S_min", "S_min, S_min / E_min", "other way round"),
        ("S_min, E_min / S_min", "S_min, E_min * S_min", "do not multiply"),
        ("S_1 - E_min / b_1", "min(S_1, S_2)", "even the larger"),
    ],
    "9.2": [
        ("", "rougher = rougher[::-1]", "as soon as you say"),
        ("", "rougher = [3 * v for v in rougher]", "arrives sooner"),
        ("", "rougher[0] *= 8", "count steps"),
        ("", "rougher = [16, 17]", "as soon as you say"),
        ("", "rougher[1] *= 2", "at b = 128 a better rate"),
        ("", "rougher = rougher[0]", "shape (2,)"),
    ],
    "9.3": [
        ("1 / r + p", "1 / r", "where is p"),
        (") ** 0.5", ")", "root of the product"),
        ("B * t_0 /", "t_0 /", "where is B"),
        ("t_0 / (1 / r + p)", "t_0 * (r + p)", "where is p"),
        ("return", "return -", "not positive"),
        ("B * t_0", "2 * B * t_0", "too large"),
    ],
    "9.4": [
        ("number - 16", "number - 15", "an epoch too early"),
        ("number - 16", "number", "keep 8 for the first"),
        ("/ 20, 1)", "/ 20, 2)", "stop at 128"),
        ("np.append(starts, n_samples)", "starts", "each once"),
        ("rng.permutation(n_samples)", "np.arange(n_samples)", "the same order"),
        ("number in count()", "number in range(40)", "without end"),
        (
            "rng.permutation(n_samples)",
            "np.random.default_rng(number).permutation(n_samples)",
            "depend on rng",
        ),
    ],
    "9.5": [
        ("", "choice[2] = choice[0]", "the problem alone"),
        ("", "choice[2] = choice[1]", "the machine alone"),
        ("", "choice[2] = choice[0] * choice[1]", "the root of the product"),
        ("", "choice[0] = 0.5", "a noise scale of 0.5"),
        ("", "choice[1] *= -1", "must be positive"),
        ("", "choice = choice[::-1]", "too small"),
    ],
    "10.1": [
        ("alpha * (1 - beta), beta", "alpha, beta", "too long"),
        ("alpha * (1 - beta), beta", "alpha / (1 - beta), beta", "smaller, not larger"),
        ("alpha * (1 - beta), beta", "alpha * (1 - beta), 1 - beta", "anything else than"),
        ("alpha * (1 - beta), beta", "beta, alpha * (1 - beta)", "the two paths differ"),
        ("alpha * (1 - beta), beta", "alpha * (1 - beta)", "must be 2 values"),
        ("alpha * (1 - beta), beta", "-alpha * (1 - beta), beta", "must be positive"),
    ],
    "10.2": [
        ("12.5 * t**2 - 24 * t + 36", "12.5 * t**2 - 24 * t", "jumps"),
        ("0.5 * t**2 + 24 * t - 12", "0.5 * t**2 + 24 * t", "jumps"),
        ("25 * theta - 24)", "25 * theta)", "first piece"),
        ("theta + 24)", "theta - 24)", "gradient at"),
        ("(theta < 1) | (theta > 2), outside", "theta < 1, outside", "middle piece"),
        ("return np.where((theta", "return -np.where((theta", "sign is turned"),
        ("np.where(t < 1, 12.5", "np.where(t < 1, 25", "not the gradient"),
    ],
    "10.3": [
        (
            "((1 + beta**0.5) / (1 - beta**0.5)) ** 2",
            "(1 + beta**0.5) / (1 - beta**0.5)",
            "its root",
        ),
        (
            "((1 + beta**0.5) / (1 - beta**0.5)) ** 2",
            "((1 + beta) / (1 - beta)) ** 2",
            "the root of β",
        ),
        ("(1 - beta**0.5)) ** 2", "(1 - beta**0.5)) ** 4", "its square"),
        ("((1 + beta**0.5) / (1 - beta**0.5)) ** 2", "1 / (1 - beta) ** 2", "rule of thumb"),
        ("(1 - beta**0.5)) ** 2", "(1 - beta**0.5)) ** -2", "none is below 1"),
        ("(1 - beta**0.5)) ** 2", "(1 - beta**0.5)) ** 2 + 1", "the best β is"),
    ],
    "10.4": [
        ("np.pi / turn", "2 * np.pi / turn", "whole period"),
        ("np.pi / turn", "1 / turn", "half a turn"),
        ("np.pi / turn", "turn", "angle of a step"),
        ("2 * beta**0.5", "2 * beta", "nan"),
        ("1 + beta - alpha", "1 + beta + alpha", "nan"),
        ("np.arccos(", "(", "not its cosine"),
    ],
    "10.5": [
        ("", "rounder_gains = rounder_gains[::-1]", "another gain"),
        ("", "rounder_gains = [1 / gain for gain in rounder_gains]", "below 1"),
        ("", "rounder_gains[2] = 7.0", "root of the condition number"),
        ("", "rounder_gains[0] = 1.9", "at b = 1 noise sets the rate"),
        ("", "rounder_gains[1] = 1.1", "grows with b"),
        ("", "rounder_gains = rounder_gains[:2]", "shape (3,)"),
    ],
    "11.1": [
        ("", "split_losses = [2 * v for v in split_losses]", "half the mean square"),
        ("", "split_losses[1] = split_losses[0]", "training loss"),
        ("", "split_losses = [*split_losses[:2], *split_losses[:1:-1]]", "pixels come first"),
        ("", "split_losses[2] *= (25 * 638 * 85 / 25) ** 0.5", "spread of a pixel"),
        ("", "split_losses[3] *= 5**0.5", "spread of a band"),
        ("", "split_losses[3] *= 0.8**0.5", "divide by four"),
        ("", "split_losses = split_losses[:3]", "shape (4,)"),
    ],
    "11.2": [
        ("** (2 * t)", "** t", "square of the distance"),
        ("enough = 0.01", "enough = 0.1", "not 10 %"),
        ("enough = 0.01", "enough = 0.02", "½ is in"),
        ("0.5 * shrunk", "shrunk", "too large"),
        ("np.argmax(", "-1 + np.argmax(", "the first step"),
        ("(eigenvalues * c**2)", "c**2", "too"),
    ],
    "11.3": [
        ("", "noise_scales = noise_scales[1:]", "shape (6,)"),
        ("", "noise_scales[0] = 1 / noise_scales[0]", "noise over signal"),
        ("", "noise_scales[1:] = [noise_scales[1]] * 5", "two seeds"),
        ("", "noise_scales[1:] = [1.1, 1.2, 1.3, 1.4, 1.5]", "hardly grows"),
        ("", "noise_scales[0] **= 0.5", "ratio of squares"),
        ("", "noise_scales[1:] = [v / 10 for v in noise_scales[1:]]", "such a noise scale"),
    ],
    "11.4": [
        ("", "order_ends[1:] = order_ends[:0:-1]", "more harm"),
        ("", "order_ends[1:] = [100 * v for v in order_ends[1:]]", "not in per cent"),
        ("", "order_ends[1:] = [1 + v for v in order_ends[1:]]", "take off the 1"),
        ("", "order_ends[0] = 8.5", "whole"),
        ("", "order_ends[2] *= 2", "too large for a mean"),
        ("", "order_ends[1] *= 1.5", "too large"),
    ],
    "11.5": [
        ("", "trained[0] = [0.0] * 24", "1 of 5 seeds"),
        ("", "trained = trained[:1]", "shape (5, 24)"),
        ("", "trained = [trained[0]] * 5", "two seeds"),
        ("", "trained = [[1.2 * v for v in each] for each in trained]", "every one has to arrive"),
        (
            "",
            "from gdcourse.lesson.checks import capstone\ntrained = [capstone._best()[0]] * 5",
            "exact fit",
        ),
    ],
}
PLANTED = [(name, *mistake) for name, mistakes in MISTAKES.items() for mistake in mistakes]


@pytest.mark.parametrize(("name", "old", "new", "says"), of_exercises(PLANTED))
def test_a_planted_mistake_is_told(name, old, new, says, capsys, monkeypatch):
    if "not ended" in says:
        monkeypatch.setattr(exercise, "PATIENCE", 0.3)
    if old:
        source = solution(name)
        assert source.count(old) == 1, "the solution has changed: plant the mistake anew"
        source = source.replace(old, new)
    else:
        numbers = np.asarray(worked(name)).tolist()
        source = f"{EXERCISES[name].deliver} = {numbers!r}\n{new}"
    answer = answer_of(name, source)
    line = verdict(name, answer, capsys)
    assert line.startswith(f"{name} not yet: ")
    assert says in line


def test_every_exercise_has_five_mistakes():
    assert {name: len(mistakes) >= 5 for name, mistakes in MISTAKES.items()} == dict.fromkeys(
        EXERCISES, True
    )


@every_exercise
def test_what_is_no_answer_is_told(name, capsys):
    exercise = EXERCISES[name]
    namespace = {}
    exec(exercise.stub, namespace)
    stub = namespace[exercise.deliver]
    assert "begun" in verdict(name, stub, capsys)
    assert "not begun" in verdict(name, ..., capsys)
    assert "None" in verdict(name, None, capsys)
    if isinstance(stub, type):
        assert "must have a method" in verdict(name, 3.0, capsys)
        return
    if not callable(stub):
        assert "must be numbers" in verdict(name, "about 3", capsys)
        holes = np.full(np.shape(worked(name)), np.nan)
        assert "nan" in verdict(name, holes, capsys)
        return
    assert "must be a function" in verdict(name, 3.0, capsys)

    def fails(*arguments):
        raise ZeroDivisionError("division by zero")

    assert "raises ZeroDivisionError: division by zero" in verdict(name, fails, capsys)
    assert "must" in verdict(name, lambda *_: ("about 3", {}), capsys)
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
    assert [number for number, _ in printed().values()] == list(EXERCISES)


def test_an_unknown_exercise_is_named():
    with pytest.raises(ValueError, match=r"name must be one of 1\.1, 1\.2, .*, got '1\.9'"):
        check("1.9", 0)


def test_what_an_answer_prints_is_not_shown(capsys):
    def loud(n, d):
        print("here")
        return worked("1.5")(n, d)

    assert verdict("1.5", loud, capsys).startswith("1.5 right: ")


def test_a_check_that_lacks_the_data_says_so(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr(tradeoffs, "_ends_of_rules", tradeoffs._ends_of_rules.__wrapped__)
    line = verdict("4.4", [0.1, 0.2], capsys)
    assert line == (
        "4.4 cannot be checked here: the real data come with scikit-learn: "
        "`pip install scikit-learn`"
    )


def test_an_assert_of_the_answer_itself_is_told_without_the_words_of_numpy(capsys):
    def strict(n, d):
        np.testing.assert_allclose(n, d)

    line = verdict("1.5", strict, capsys)
    assert line == (
        "1.5 not yet: an assert in your own function does not hold (called with 100000, 10)"
    )


def test_an_answer_that_never_ends_is_broken_off(capsys, monkeypatch):
    monkeypatch.setattr(exercise, "PATIENCE", 0.1)

    def endless(n, d):
        while True:
            n += 1

    before = sys.gettrace()
    assert "has not ended after 0.1 seconds" in verdict("1.5", endless, capsys)
    assert sys.gettrace() is before


def test_the_arguments_of_a_function_stay_as_they_are(capsys):
    """The same problem asked twice is the same, whatever the first call did to it."""

    def spoil(chunks, theta):
        for X, _ in chunks:
            X *= 0
        return theta

    first, second = (verdict("1.4", spoil, capsys) for _ in range(2))
    assert first == second


# The capstone's challenge


def test_a_plan_ends_where_theory_says():
    """The full batch at 1/L meets 1 % after just the steps that the eigenvalues give."""
    *rows, _ = data.linear_problem(200, 5, condition=30, noise=0.3, rng=0)
    eigenvalues = np.linalg.eigvalsh(rows[0].T @ rows[0] / 200)
    plan = {"batches": gd.FullBatch(), "schedule": lambda n_steps: 1 / eigenvalues[-1]}
    passes = worked("11.2")(*rows)
    for given in (passes - 1, passes):
        above = capstone.challenge(given, **plan, rows=rows)
        assert np.all((above <= 0.01) == (given == passes))


def test_a_part_of_a_pass_reads_that_part():
    *rows, _ = data.linear_problem(200, 5, rng=0)
    told = []

    def schedule(n_steps):
        told.append(n_steps)
        return 0.01

    for passes in (0.25, 1, 3):
        capstone.challenge(passes, batches=gd.Shuffled(10), schedule=schedule, rows=rows)
    assert told == [5, 20, 60]
    with pytest.raises(ValueError, match="passes must be a whole number or between 0 and 1"):
        capstone.challenge(1.5, batches=gd.Shuffled(10), schedule=schedule, rows=rows)

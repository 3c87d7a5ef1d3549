"""One epoch of gradient descent on one processor thread, beside the peers that are installed.

Loops against loops, an order drawn for each epoch and nothing recorded; `calls` compares whole
calls. Every contestant is handed the same rows in the same order, and its parameters are compared
with ours before the clock starts. The contestants then take turns, round after round, so that
a machine that slows down slows all of them. Figures are nanoseconds a sample.
"""

import argparse
import datetime
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import numpy as np

import gdcourse as gd
from benchmarks import calls, clock, many, memory, perceptron, roofline
from benchmarks.gpu import FOLDER, processor
from gdcourse.lesson import data
from gdcourse.lesson import tables as results

COLUMNS = ("model", "n", "d", "dtype", "b", "epochs", "who", "median", "low", "high", "ours_is")
RATE = {"least squares": 0.2, "logistic": 0.5, "softmax": 0.5}
N_CLASSES = 10
COMPILED = "PyTorch, fused SGD, compiled"
SLOW = "PyTorch, DataLoader", "PyTorch, fused SGD", COMPILED  # which get fewer rows


def objective_of(model):
    """The gdcourse objective of a model's name."""
    return {
        "least squares": gd.LeastSquares(),
        "logistic": gd.LogisticRegression(),
        "softmax": gd.SoftmaxRegression(N_CLASSES),
    }[model]


def problem(model, n, d, dtype):
    """X, y and a start for one model."""
    X, y, _ = data.linear_problem(n, d, rng=0)
    if model == "logistic":
        y = (y > 0).astype(float)
    elif model == "softmax":
        y = np.random.default_rng(1).integers(N_CLASSES, size=n).astype(float)
    theta = np.zeros((d, N_CLASSES) if model == "softmax" else d)
    return X.astype(dtype), y.astype(dtype), theta.astype(dtype)


def ours(model, X, y, theta, b, rate, n_epochs, seed):
    """`gd.descend`; its own clock leaves out the checks at the door and the two records."""
    run = gd.descend(
        X,
        y,
        theta,
        objective=objective_of(model),
        batches=gd.Shuffled(b),
        learning_rate=rate,
        n_epochs=n_epochs,
        rng=seed,
        record_every=sys.maxsize,
    )
    return run.theta, run.history.seconds[-1]


def orders(n, n_epochs, seed):
    """The same orders of the rows as `gd.Shuffled` draws from this seed."""
    rng = np.random.default_rng(seed)
    return (rng.permutation(n) for _ in range(n_epochs))


def residuals(model, z, y, xp):
    """The slope of the loss in the predictions, for NumPy and for jax.numpy."""
    if model == "least squares":
        return z - y
    if model == "logistic":
        return 1 / (1 + xp.exp(-z)) - y
    p = xp.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True) - (y[:, None] == xp.arange(N_CLASSES))


def plain_loop(model, X, y, theta, b, rate, n_epochs, seed):
    """The loop that one writes first: index a batch, form the gradient, step."""
    for order in orders(len(X), n_epochs, seed):
        for start in range(0, len(X), b):
            batch = order[start : start + b]
            X_batch, y_batch = X[batch], y[batch]
            gradient = X_batch.T @ residuals(model, X_batch @ theta, y_batch, np) / len(batch)
            theta = theta - rate * gradient
    return theta


def torch_slopes(model, z, y):
    """The slope of the loss in the predictions, in PyTorch."""
    import torch

    if model == "least squares":
        return z - y
    if model == "logistic":
        return torch.sigmoid(z) - y
    return torch.softmax(z, 1) - torch.nn.functional.one_hot(y.long(), N_CLASSES)


def torch_index_loop(model, X, y, theta, b, rate, n_epochs, seed):
    """PyTorch tensors, a batch indexed at a time, the gradient by hand, nothing recorded."""
    import torch

    X, y, theta = torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(theta.copy())
    with torch.no_grad():
        for order in orders(len(X), n_epochs, seed):
            order = torch.from_numpy(order)
            for start in range(0, len(X), b):
                batch = order[start : start + b]
                X_batch = X[batch]
                slopes = torch_slopes(model, X_batch @ theta, y[batch])
                theta -= rate / len(batch) * (X_batch.T @ slopes)
    return theta.numpy()


def torch_expert_loop(model, X, y, theta, b, rate, n_epochs, seed):
    """Rows gathered in chunks into one buffer, views of it, inference mode, fused updates."""
    import torch

    X, y, theta = torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(theta.copy())
    chunk = max(1, 2**16 // (X.shape[1] * b)) * b
    with torch.inference_mode():
        X_room, y_room = torch.empty_like(X[:chunk]), torch.empty_like(y[:chunk])
        for order in orders(len(X), n_epochs, seed):
            order = torch.from_numpy(order)
            for first in range(0, len(X), chunk):
                rows = order[first : first + chunk]
                X_chunk = torch.index_select(X, 0, rows, out=X_room[: len(rows)])
                y_chunk = torch.index_select(y, 0, rows, out=y_room[: len(rows)])
                for X_batch, y_batch in zip(X_chunk.split(b), y_chunk.split(b), strict=True):
                    if model == "least squares":
                        slopes = torch.addmv(y_batch, X_batch, theta, beta=-1)
                    else:
                        slopes = torch_slopes(model, X_batch @ theta, y_batch)
                    step = torch.addmv if slopes.ndim == 1 else torch.addmm
                    step(theta, X_batch.T, slopes, alpha=-rate / len(slopes), out=theta)
    return theta.numpy()


def torch_loss(model, z, y):
    """The mean loss of predictions, in PyTorch."""
    from torch.nn import functional

    if model == "least squares":
        return 0.5 * functional.mse_loss(z, y)
    if model == "logistic":
        return functional.binary_cross_entropy_with_logits(z, y)
    return functional.cross_entropy(z, y.long())


def torch_batch_loss(model, theta, X, y, batch):
    """The mean loss of a batch, indexed; what is differentiated, and compiled."""
    return torch_loss(model, X[batch] @ theta, y[batch])


def torch_fused_sgd(model, X, y, theta, b, rate, n_epochs, seed, loss=torch_batch_loss):
    """A batch indexed at a time, autograd, and optim.SGD in its fused form."""
    import torch

    theta = torch.from_numpy(theta.copy()).requires_grad_()
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    optimizer = torch.optim.SGD([theta], lr=rate, fused=True)
    for order in orders(len(X), n_epochs, seed):
        for batch in torch.from_numpy(order).split(b):
            optimizer.zero_grad()
            loss(model, theta, X, y, batch).backward()
            optimizer.step()
    return theta.detach().numpy()


def torch_data_loader(model, X, y, theta, b, rate, n_epochs, seed):
    """What tutorials show: DataLoader, autograd and optim.SGD."""
    import torch

    class Shuffled(torch.utils.data.Sampler):
        def __init__(self):
            self.orders = orders(len(X), n_epochs, seed)

        def __iter__(self):
            return iter(next(self.orders).tolist())

        def __len__(self):
            return len(X)

    theta = torch.from_numpy(theta.copy()).requires_grad_()
    rows = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    loader = torch.utils.data.DataLoader(rows, batch_size=b, sampler=Shuffled())
    optimizer = torch.optim.SGD([theta], lr=rate)
    for _ in range(n_epochs):
        for X_batch, y_batch in loader:
            optimizer.zero_grad()
            torch_loss(model, X_batch @ theta, y_batch).backward()
            optimizer.step()
    return theta.detach().numpy()


_jax_epochs = {}


def jax_scan(model, X, y, theta, b, rate, n_epochs, seed):
    """One jitted lax.scan an epoch, over batches gathered inside it; the data stay put."""
    import jax
    import jax.numpy as jnp

    if model not in _jax_epochs:

        @jax.jit
        def epoch(theta, X, y, batches, rate):
            def step(theta, batch):
                X_batch = X[batch]
                slopes = residuals(model, X_batch @ theta, y[batch], jnp)
                return theta - rate / batch.shape[0] * (X_batch.T @ slopes), None

            return jax.lax.scan(step, theta, batches)[0]

        _jax_epochs[model] = epoch
    rate = jnp.asarray(rate, dtype=theta.dtype)
    theta = jnp.asarray(theta)
    for order in orders(len(X), n_epochs, seed):
        full = len(order) // b * b
        theta = _jax_epochs[model](theta, X, y, order[:full].reshape(-1, b), rate)
        if full < len(order):
            theta = _jax_epochs[model](theta, X, y, order[None, full:], rate)
    return np.asarray(theta.block_until_ready())


def contestants(model, b, X, y):
    """Name -> function for all that are installed and can do this case."""
    found = {"gdcourse": ours, "plain NumPy loop": plain_loop}
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        found["PyTorch, index loop"] = torch_index_loop
        found["PyTorch, expert loop"] = torch_expert_loop
        found["PyTorch, fused SGD"] = torch_fused_sgd
        found[COMPILED] = partial(torch_fused_sgd, loss=torch.compile(torch_batch_loss))
        found["PyTorch, DataLoader"] = torch_data_loader
    if find_spec("jax"):
        import jax

        jax.config.update("jax_enable_x64", True)
        on_jax = jax.numpy.asarray(X), jax.numpy.asarray(y)
        found["JAX, lax.scan"] = lambda model, X, y, *rest: jax_scan(model, *on_jax, *rest)
    return found


def check(model, found, X, y, theta, b, rate):
    """Stop unless every contestant ends where we do."""
    expected, _ = ours(model, X, y, theta, b, rate, 1, 0)
    scale = np.abs(expected).max()
    tolerance = 1e-9 if X.dtype == np.float64 else 1e-3
    for who, function in found.items():
        if who in SLOW and len(X) // b > 5000:
            rows = slice(0, 5000 * b)
            wanted, _ = ours(model, X[rows], y[rows], theta, b, rate, 1, 0)
            got = function(model, X[rows], y[rows], theta, b, rate, 1, 0)
        else:
            wanted = expected
            got = function(model, X, y, theta, b, rate, 1, 0)
            got = got[0] if who == "gdcourse" else got
        error = np.abs(np.asarray(got) - wanted).max() / scale
        if not error < tolerance:
            raise SystemExit(f"{who} ends {error:.1e} away from gdcourse on {model}, b = {b}")


def seconds_of(who, function, model, X, y, theta, b, rate, n_epochs, seed):
    """Seconds and samples of one run; the slowest contestants run on fewer rows."""
    rows = len(X)
    if who in SLOW:
        rows = min(rows, 2000 * b)
    elif b == 1 and who in ("PyTorch, index loop", "PyTorch, expert loop", "plain NumPy loop"):
        rows = min(rows, 50_000)
    start = time.perf_counter()
    result = function(model, X[:rows], y[:rows], theta, b, rate, n_epochs, seed)
    seconds = result[1] if who == "gdcourse" else time.perf_counter() - start
    return seconds, rows * n_epochs


def measure(model, n, d, dtype, b, n_epochs, rounds):
    """The rows of the table for one case, ours first."""
    X, y, theta = problem(model, n, d, dtype)
    rate = RATE[model] / (1 + d / b)
    found = contestants(model, b, X, y)
    check(model, found, X, y, theta, b, rate)
    figures = {who: [] for who in found}
    for seed in range(rounds):
        for who, function in found.items():
            seconds, samples = seconds_of(
                who, function, model, X, y, theta, b, rate, n_epochs, seed
            )
            figures[who].append(1e9 * seconds / samples)
    for who, times in figures.items():
        ratio = statistics.median(
            them / us for them, us in zip(times, figures["gdcourse"], strict=True)
        )
        yield figures_row((model, n, d, dtype, b, n_epochs), who, times, ratio)


def figures_row(case, who, times, ratio):
    """A row of the table."""
    statistic = (f(times) for f in (statistics.median, min, max))
    values = (*case, who, *(f"{value:.1f}" for value in statistic), f"{ratio:.2f}")
    return dict(zip(COLUMNS, values, strict=True))


QUICK = [("least squares", 20_000, 20, "float64", b, 1) for b in (1, 32, 256)]
STANDARD = [
    *[("least squares", 100_000, 20, "float64", b, e) for b in (1, 32, 256) for e in (1, 10)],
    *[("logistic", 100_000, 20, "float64", b, 1) for b in (1, 32, 256)],
    *[("softmax", 100_000, 20, "float64", b, 1) for b in (1, 32, 256)],
]
WIDE = [
    *[("least squares", 100_000, d, "float64", b, 1) for d in (5, 100) for b in (1, 32, 256)],
    *[("least squares", 20_000, 500, "float64", b, 1) for b in (1, 32, 256)],
    *[("least squares", 100_000, 20, "float32", b, 1) for b in (1, 32, 256)],
    *[("least squares", 1_000_000, 20, "float64", b, 1) for b in (32, 256)],
]
LARGE = [("least squares", 1_000_000, 20, "float64", 1, 1)]
CASES = {"quick": QUICK, "standard": STANDARD, "wide": WIDE, "large": LARGE}


def whole_passes(rounds, n=1_000_000, d=20):
    """Full-batch steps, compression and the gradient variance, beside what they replace."""
    X, y, _ = data.linear_problem(n, d, rng=0)
    theta, model = np.zeros(d), gd.LeastSquares()

    def descent(X, y, n_epochs):
        return partial(
            gd.batch_gradient_descent, X, y, theta, 0.5, n_epochs, 0.0, record_every=n_epochs
        )

    def bare_products():
        return X.T @ (X @ theta)

    def bare_steps():
        at = theta
        for _ in range(50):
            at = at - 0.5 / n * (X.T @ (X @ at - y))
        return at

    def recorded_steps():
        return gd.batch_gradient_descent(X, y, theta, 0.5, 50, 0.0).theta

    def compressed():
        return descent(*gd.compress(X, y), 200)()

    def materialised():
        gradients = model.per_sample_gradients(theta, X, y)
        return np.sum((gradients - gradients.mean(axis=0)) ** 2) / n

    full, small = descent(X, y, 200)().theta, compressed().theta
    if np.abs(recorded_steps() - bare_steps()).max() > 1e-10:
        raise SystemExit("the path of bare products is another one")
    if np.abs(full - small).max() > 1e-10:
        raise SystemExit("the path on compressed rows is another one")
    if abs(materialised() / gd.gradient_variance(model, theta, X, y) - 1) > 1e-10:
        raise SystemExit("the gradient variance is another one")
    pairs = [
        (
            "full-batch gradient",
            partial(model.gradient, theta, X, y),
            "two bare products",
            bare_products,
        ),
        ("50 recorded steps", recorded_steps, "50 steps of two products", bare_steps),
        ("200 steps, compressed", compressed, "200 steps, all rows", descent(X, y, 200)),
        (
            "gradient_variance",
            partial(gd.gradient_variance, model, theta, X, y),
            "all per-sample gradients",
            materialised,
        ),
    ]
    for name, first, other_name, second in pairs:
        times = clock.take_turns({name: first, other_name: second}, rounds)
        case = {"model": "least squares", "n": n, "d": d, "dtype": "float64", "b": n, "epochs": 1}
        yield from clock.rows(times, name, 1e-9 * n, **case)


FIRST_CALL = """
import time, numpy as np, gdcourse as gd
X, y = np.ones((64, 20)), np.ones(64)
for batch_size in (1, 1):
    start = time.perf_counter()
    gd.minibatch_gradient_descent(X, y, np.zeros(20), batch_size, n_epochs=1, rng=0)
    print(time.perf_counter() - start)
"""


def compilation(rounds):
    """Seconds of a first call in a new process: nothing compiled yet, then from the cache."""
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"NUMBA_CACHE_DIR": cache}
            for state in ("first call, compiling", "first call, compiled before"):
                command = [sys.executable, "-c", FIRST_CALL]
                printed = subprocess.run(
                    command, env=environment, capture_output=True, text=True, check=True
                ).stdout
                seconds = float(printed.split()[0])
                yield {"what": state, "seconds": f"{seconds:.3f}"}


NANOSECONDS = (
    "nanoseconds a sample, shuffling included, compilation not: median, lowest and highest of "
    "{rounds} rounds in which the contestants take turns; ours_is: how many times faster "
    "gdcourse is, the median over the rounds"
)
OTHERS = {  # what measures, and what its figures are
    "passes": (whole_passes, NANOSECONDS),
    "calls": (
        calls.compare,
        "nanoseconds a sample of whole calls, with their default checks, records and shuffling, "
        "compilation not: median, lowest and highest of {rounds} rounds in which the contestants "
        "take turns; ours_is: how many times faster gdcourse is, the median over the rounds",
    ),
    "fits": (
        calls.fits,
        "milliseconds of a whole fit: median, lowest and highest of {rounds} rounds in which the "
        "contestants take turns; loss: where it ends; above: how far above the lowest of them",
    ),
    "perceptron": (perceptron.compare, NANOSECONDS),
    "roofline": (
        roofline.measure,
        "a sample: bytes that have to be read, operations, the nanoseconds that each takes at the "
        "ceilings of this machine, those measured, medians of {rounds} rounds, and the share of "
        "the higher ceiling in them",
    ),
    "many": (
        many.compare,
        "nanoseconds a sample of one of 64 runs of single rows, on all cores, drawing included and "
        "compilation not: median, lowest and highest of {rounds} rounds in which the contestants "
        "take turns; ours_is: how many times faster gdcourse is, the median over the rounds",
    ),
    "compile": (compilation, "seconds of a first descent in a new process, {rounds} times"),
    "memory": (
        lambda rounds: memory.measure(),
        "MB, the most that a process held above what it held before the run: own_mb is its own, "
        "with_file_pages_mb counts pages of mapped files too, which the system takes back when "
        "it needs them",
    ),
}


def main(arguments=None):
    """Measure, print and write book/results/cpu_<cases>.csv."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="?", choices=[*CASES, *OTHERS], default="standard")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    # One processor for all, whatever they would take; who looks at memory needs another.
    if hasattr(os, "sched_setaffinity") and options.cases != "memory":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    measured = []
    if options.cases in OTHERS:
        rows = OTHERS[options.cases][0](options.rounds)
    else:
        rows = (row for case in CASES[options.cases] for row in measure(*case, options.rounds))
    for row in rows:
        measured.append(row)
        print(*(f"{value!s:>12}" for value in row.values()), flush=True)
    path = FOLDER / f"cpu_{options.cases}.csv"
    results.write_table(path, header(options), measured)
    print(f"written: {path}")


def header(options):
    """What the table says about the machine and the contestants."""
    _, figures = OTHERS.get(options.cases, (measure, NANOSECONDS))
    packages = ("numpy", "numba", "scikit-learn", "torch", "jax")
    packages += ("vowpalwabbit",) if options.cases == "fits" else ()
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "processor": f"{processor()}, {'all cores' if options.cases == 'many' else 'one thread'}",
        "system": f"{platform.system()}, Python {platform.python_version()}",
        **versions,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python3 course.py bench {options.cases} --rounds {options.rounds}",
        "figures": figures.format(rounds=options.rounds),
    }


if __name__ == "__main__":
    main()

"""Whole calls beside whole calls: what a caller waits for, with checks, records and drawing.

The loops alone are in `cpu`. Here every contestant is called as its users call it, with its
default checks, and nobody is handed an order. A last table asks whether it should be SGD at all:
whole fits of logistic regression, with how far above the lowest loss each of them ends.
"""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import gdcourse as gd
from benchmarks import clock
from gdcourse.lesson import data

N, D, RATE = 100_000, 20, 0.01
L2 = 1e-4


def problem(model, n):
    """X, y with targets or with the classes 0 and 1."""
    X, y, _ = data.linear_problem(n, D, rng=0)
    return X, y if model == "least squares" else (y > 0).astype(float)


def descend(model, X, y, n_epochs, batches=None):
    """`gd.descend` with its records and checks: θ."""
    objective = gd.LeastSquares() if model == "least squares" else gd.LogisticRegression()
    return gd.descend(
        X,
        y,
        np.zeros(D),
        objective=objective,
        batches=batches or gd.Shuffled(1),
        learning_rate=RATE,
        n_epochs=n_epochs,
        rng=0,
    ).theta


def sgd_of(model, **options):
    """The estimator of scikit-learn that makes the same steps."""
    from sklearn.linear_model import SGDClassifier, SGDRegressor

    options = {"learning_rate": "constant", "eta0": RATE, "penalty": None} | options
    options |= {"fit_intercept": False, "tol": None, "random_state": 0}
    if model == "least squares":
        return SGDRegressor(loss="squared_error", **options)
    return SGDClassifier(loss="log_loss", **options)


def fit(model, X, y, n_epochs, **options):
    """One call of `fit`: θ."""
    return sgd_of(model, max_iter=n_epochs, **options).fit(X, y).coef_.ravel()


def partial_fit(model, X, y, n_epochs, **options):
    """A call of `partial_fit` for each epoch: θ."""
    estimator = sgd_of(model, **options)
    classes = {} if model == "least squares" else {"classes": np.unique(y)}
    for _ in range(n_epochs):
        estimator.partial_fit(X, y, **classes)
    return estimator.coef_.ravel()


CASES = [("least squares", 1), ("least squares", 10), ("logistic", 1), ("logistic", 10)]


def compare(rounds, n=N):
    """A row for each case and contestant, single rows, in nanoseconds a sample."""
    for model, n_epochs in CASES:
        X, y = problem(model, n)
        rest = model, X, y, n_epochs
        in_order = descend(*rest, gd.InOrder(1))
        for peer in fit, partial_fit:  # which shuffle by themselves; as the rows lie, all agree
            found = peer(*rest, shuffle=False)
            np.testing.assert_allclose(found, in_order, rtol=1e-9, atol=1e-12)
        contestants = {
            "gdcourse": lambda rest=rest: descend(*rest),
            "scikit-learn, fit": lambda rest=rest: fit(*rest),
            "scikit-learn, partial_fit": lambda rest=rest: partial_fit(*rest),
        }
        times = clock.take_turns(contestants, rounds)
        case = {"model": model, "n": n, "d": D, "b": 1, "epochs": n_epochs}
        yield from clock.rows(times, "gdcourse", 1e-9 * n * n_epochs, **case)


def fits(rounds, n=N):
    """A row for each way to fit one logistic regression, in milliseconds, from whole calls."""
    X, y = problem("least squares", n)
    y = (np.random.default_rng(1).random(n) < 1 / (1 + np.exp(-y))).astype(float)
    objective = gd.LogisticRegression(l2=L2)
    ways = {"gdcourse, SGD": lambda: sgd(X, y), "gdcourse, full batch": lambda: full(X, y)}
    if find_spec("sklearn"):
        ways |= {
            "scikit-learn, SGDClassifier": lambda: fit("logistic", X, y, 1, **RIDGE),
            "scikit-learn, liblinear": lambda: solve(X, y, "liblinear"),
            "scikit-learn, lbfgs": lambda: solve(X, y, "lbfgs"),
            "scikit-learn, newton-cholesky": lambda: solve(X, y, "newton-cholesky"),
        }
    with tempfile.TemporaryDirectory() as folder:
        if find_spec("vowpalwabbit"):
            path = Path(folder) / "examples.txt"
            write_examples(path, X, y)
            ways["Vowpal Wabbit, text file"] = lambda: wabbit(path)
        losses = {who: float(objective.loss(way(), X, y)) for who, way in ways.items()}
        times = clock.take_turns(ways, rounds)
    for row in clock.rows(times, "gdcourse, SGD", 1e-3, model="logistic", n=n, d=D):
        above = losses[row["who"]] - min(losses.values())
        yield row | {"loss": f"{losses[row['who']]:.6f}", "above": f"{above:.1e}"}


RIDGE = {"penalty": "l2", "alpha": L2, "learning_rate": "invscaling", "eta0": 0.5}


def sgd(X, y):
    """One epoch of batches of 32."""
    return gd.descend(
        X,
        y,
        np.zeros(D),
        objective=gd.LogisticRegression(l2=L2),
        batches=gd.Shuffled(32),
        learning_rate=gd.schedules.inverse_time(0.5, 1e-3),
        n_epochs=1,
        rng=0,
    ).theta


def full(X, y):
    """Full batches until the gradient is small."""
    objective = gd.LogisticRegression(l2=L2)
    return gd.batch_gradient_descent(X, y, np.zeros(D), 2.0, 1000, 1e-4, objective=objective).theta


def solve(X, y, solver):
    """A solver of scikit-learn to its own tolerance."""
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression(C=1 / (len(X) * L2), solver=solver, fit_intercept=False)
    return estimator.fit(X, y).coef_.ravel()


def write_examples(path, X, y):
    """X and y as Vowpal Wabbit reads them: a label of −1 or 1, then numbered features."""
    np.savetxt(
        path,
        np.column_stack([2 * y - 1, X]),
        fmt=" ".join(["%d |", *(f"{j}:%.17g" for j in range(X.shape[1]))]),
    )


def wabbit(path):
    """One pass of Vowpal Wabbit over a file of examples, which it parses: θ."""
    from vowpalwabbit import Workspace

    options = f"-d {path} --loss_function logistic --l2 {L2 / N} --noconstant --quiet"
    workspace = Workspace(options)
    theta = np.array([workspace.get_weight_from_name(str(j)) for j in range(D)])
    workspace.finish()
    return theta

"""Errors at the door: each bad input of each public function has a message that names the cure."""

import re
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from types import SimpleNamespace

import array_api_strict
import numpy as np
import pytest
from dask.array import from_array
from problems import OBJECTIVES, problem
from scipy.sparse import csr_matrix

import gdcourse as gd
from gdcourse import schedules
from gdcourse.base import validation
from gdcourse.lesson import data

X = np.arange(12.0).reshape(6, 2)
Y = np.arange(6.0)
LABELS = np.array([0, 0, 0, 1, 1, 2])
THETA = np.zeros(2)
NAN, INF = float("nan"), float("inf")
MASKED = np.ma.masked_greater(X, 5)
MASKED_CURE = "fill it, or drop the rows with a mask"
SEED_CURE = "a seed: a whole number of zero or more"


class Table:
    """What stands in for a table of pandas with columns of several kinds: an array of objects."""

    def __init__(self, last, *columns):
        self.columns = [*"abcdefgh"[: len(columns) - 1], last]
        self.array = np.array([*zip(*columns, strict=True)], dtype=object)
        self.shape = self.array.shape

    def __array__(self, dtype=None, copy=None):
        return self.array


class Series(Table):
    """A column of such a table."""

    def __init__(self, values):
        self.array = np.array(values, dtype=object)


class NAType:
    """As the missing value of pandas: it is neither equal to itself nor different."""

    def __eq__(self, other):
        return self

    __ne__, __hash__ = __eq__, None

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    def __repr__(self):
        return "NA"


NA = NAType()


def descend(**changes):
    good = {
        "X": X,
        "y": Y,
        "theta_init": THETA,
        "batches": gd.Shuffled(2),
        "learning_rate": 0.1,
        "n_epochs": 2,
    }
    return gd.descend(**(good | changes))


def updates(**changes):
    good = {"X": X, "y": Y, "theta_init": THETA, "batches": gd.Shuffled(2), "learning_rate": 0.1}
    return gd.updates(**(good | changes))


def many(**changes):
    good = {"X": X, "y": Y, "theta_init": THETA, "batches": gd.Shuffled(5)}
    return gd.descend_many(
        **(good | {"learning_rate": [0.1], "n_epochs": 3, "rng": range(3)} | changes)
    )


class Uneven:
    """A reader's sampler whose epochs differ from seed to seed."""

    def epochs(self, n_samples, rng):
        while True:
            size = int(rng.integers(1, 5))
            yield gd.Epoch(np.arange(4), np.arange(0, 5, size) if 4 % size == 0 else [0, 4])


class Own:
    """A reader's sampling scheme whose second epoch is not one."""

    def __init__(self, batches):
        self.batches = batches

    def epochs(self, n_samples, rng):
        yield gd.Epoch(None, np.array([0, 2, 4, 6]))
        yield self.batches


class Returning:
    """A reader's sampling scheme that yields nothing."""

    def __init__(self, value):
        self.value = value

    def epochs(self, n_samples, rng):
        return self.value


class Mean:
    """A reader's objective, ‖θ − mean of y‖²/2, or what its methods are told to give."""

    def __init__(self, **given):
        self.given = given

    def __repr__(self):
        return "Mean()"

    def give(self, name, X, otherwise):
        given = self.given.get(name, otherwise)
        return given(X) if callable(given) else given

    def loss(self, theta, X, y):
        return self.give("loss", X, 0.5 * float(np.sum((theta - y.mean()) ** 2)))

    def gradient(self, theta, X, y):
        return self.give("gradient", X, theta - y.mean())

    def per_sample_gradients(self, theta, X, y):
        return self.give("per_sample", X, theta - y[:, None])


class WithoutSamples:
    """A reader's objective with two of the three methods."""

    loss, gradient = Mean.loss, Mean.gradient


class Beyond:
    """A reader's sampling scheme that counts too far."""

    def epochs(self, n_samples, rng):
        while True:
            yield gd.Epoch(None, np.array([0, n_samples, n_samples + 2]))


def noise(function, **changes):
    good = {"objective": gd.LeastSquares(), "theta": THETA, "X": X, "y": Y}
    return function(**(good | changes))


def estimate(**changes):
    return noise(gd.estimate_noise_scale, **({"batch_sizes": (1, 2), "n_batches": 3} | changes))


def parallel(**changes):
    good = {"n_workers": 2, "batch_size": 8, "seconds_per_sample": 1e-3, "n_bytes": 8}
    return gd.data_parallel_step(**(good | {"bandwidth": 1e9, "latency": 0} | changes))


def epochs(scheme, n_samples=6):
    return scheme.epochs(n_samples)


def put(position, value):
    array = X.copy()
    array[position] = value
    return array


# Public name: bad calls of it, with the error of each, what its message must say, and the cure
# that it must name word for word. Without a cure, the message itself says what is allowed.
BAD_CALLS = {
    "descend": [
        (
            lambda: descend(X=Y),
            ValueError,
            r"X must have two axes .*got shape \(6,\)",
            "reshape a single feature with X[:, None]",
        ),
        (lambda: descend(X=X[None]), ValueError, r"X must have two axes"),
        (lambda: descend(X=X[:0], y=Y[:0]), ValueError, r"at least one row.*got shape \(0, 2\)"),
        (lambda: descend(X=X[:, :0]), ValueError, r"one column, got shape \(6, 0\)"),
        (lambda: descend(X=put((3, 1), NAN)), ValueError, "X must be finite", "remove those rows"),
        (lambda: descend(X=put((5, 0), -INF)), ValueError, r"X must be finite"),
        (
            lambda: descend(X=X + 0j),
            TypeError,
            r"X must hold real numbers, got dtype complex128",
            "take the real part",
        ),
        (
            lambda: descend(X=[["a", "b"]] * 6),
            TypeError,
            r"X must hold real numbers, but X\[0, 0\] is the text 'a'",
            "drop the column, or encode it, such as with pandas.get_dummies",
        ),
        (
            lambda: descend(X=X.astype(str)),
            TypeError,
            r"but X\[0, 0\] is the text '0.0'",
            "convert it with .astype(float)",
        ),
        (
            lambda: descend(X=Table("t", X[:, 0], ["x"] * 6)),
            TypeError,
            r"X must hold real numbers, but its column 't' is the text 'x'",
            "drop the column, or encode it",
        ),
        (
            lambda: descend(X=Table("t", X[:, 0], [1, NA, *range(4)])),
            TypeError,
            r"X must hold real numbers, but its column 't' is missing",
            "drop such rows, or fill them",
        ),
        (
            lambda: descend(X=Table("t", X[:, 0], [date(2026, 11, 28)] * 6)),
            TypeError,
            r"its column 't' is datetime.date\(2026, 11, 28\)",
            "convert it to numbers, or leave it out",
        ),
        (
            lambda: descend(X=[[1.0], [1.0, 2.0]]),
            ValueError,
            r"X must be an array.*ragged list",
            "give all rows the same length",
        ),
        (
            lambda: descend(X=None),
            TypeError,
            r"X must be an array of numbers, got a NoneType",
            "give a list of numbers for each row",
        ),
        (
            lambda: descend(X={"a": Y, "b": Y}),
            TypeError,
            r"X must be an array of numbers, got a dict",
            "make it an array with np.column_stack(list(it.values()))",
        ),
        (
            lambda: descend(y=(value for value in Y)),
            TypeError,
            r"y must be an array of numbers, got a generator",
            "make it an array with np.array(list(it))",
        ),
        *(
            (lambda X=masked: descend(X=X), TypeError, "X is a masked array", MASKED_CURE)
            for masked in (MASKED, list(MASKED))
        ),
        (
            lambda: descend(X=csr_matrix(X)),
            TypeError,
            r"X must be an array of numbers, got a csr_matrix",
            "make it dense with .toarray()",
        ),
        (
            lambda: descend(X=from_array(X)),
            TypeError,
            r"X is an array of dask, with which the package does not work",
            "hand over X.compute()",
        ),
        (
            lambda: descend(X=X.astype(np.float16), y=Y * 1e6),
            ValueError,
            r"y must fit in the precision of X, float16",
            "convert X to a wider one",
        ),
        (
            lambda: descend(theta_init=NAN),
            ValueError,
            r"theta_init must be finite",
            "start from finite values",
        ),
        (lambda: descend(learning_rate=np.True_), TypeError, r"must be a number, got np.True_"),
        (
            lambda: descend(batches=Beyond()),
            ValueError,
            r"an epoch must end within the 6 rows, but its bounds end at 8",
        ),
        (lambda: descend(y=Y[:5]), ValueError, r"y must have shape \(6,\).*got \(5,\)"),
        (lambda: descend(y=1.0), ValueError, r"y must have shape \(6,\).*got \(\)"),
        (lambda: descend(y=Y[:, None]), ValueError, r"got \(6, 1\)", "flatten it with y[:, 0]"),
        (lambda: descend(y=X), ValueError, r"got \(6, 2\)", "take y.argmax(axis=1) where it has"),
        (lambda: descend(y=Y * NAN), ValueError, r"y must be finite"),
        (
            lambda: descend(y=list("ababab")),
            TypeError,
            r"y must hold real numbers, but y\[0\] is the text 'a'",
            "number the classes with np.unique(y, return_inverse=True)[1]",
        ),
        (lambda: descend(y=None), TypeError, r"y must be an array of numbers"),
        (lambda: descend(theta_init=[0.0]), ValueError, r"theta_init .*shape \(2,\).*got \(1,\)"),
        (lambda: descend(theta_init=[0.0, NAN]), ValueError, r"theta_init must be finite"),
        (lambda: descend(theta_init=None), TypeError, r"theta_init must be an array of numbers"),
        (
            lambda: descend(theta_init=array_api_strict.zeros(2)),
            TypeError,
            r"two libraries: theta_init is array_api_strict, X is numpy, y is numpy",
            "move them to one with xp.asarray first",
        ),
        (lambda: descend(objective=gd.LeastSquares), TypeError, r"such as LeastSquares\(\)"),
        (lambda: descend(objective="mse"), TypeError, r"objective must be .*got 'mse'"),
        (lambda: descend(batches=gd.Shuffled), TypeError, r"such as Shuffled\(batch_size=32\)"),
        (lambda: descend(batches=2), TypeError, r"batches must be a sampling scheme.*got 2"),
        (lambda: descend(learning_rate=0.0), ValueError, r"learning_rate must be positive.*0.0"),
        (lambda: descend(learning_rate=-1), ValueError, r"must be positive and finite, got -1"),
        (lambda: descend(learning_rate=NAN), ValueError, r"positive and finite, got nan"),
        (lambda: descend(learning_rate=INF), ValueError, r"positive and finite, got inf"),
        (lambda: descend(learning_rate="0.1"), TypeError, r"must be a number, got '0.1'"),
        (lambda: descend(learning_rate=True), TypeError, r"must be a number, got True"),
        (lambda: descend(learning_rate=None), TypeError, r"must be a number, got None"),
        (
            lambda: descend(learning_rate=[0.1, 0.2]),
            TypeError,
            r"learning_rate must be a number or a function of the step, got a list",
            "make one of a table with lambda step: table[step]",
        ),
        (lambda: descend(learning_rate=lambda t: -1.0), ValueError, r"gives -1.0 at step 0"),
        *(
            (
                lambda rate=rate: descend(learning_rate=lambda t: rate),
                TypeError,
                r"(?s)a schedule must give a number, but <function .*> gives .* at step 0",
            )
            for rate in (None, "0.1", True, 1j, [0.1], X)
        ),
        (
            lambda: descend(learning_rate=lambda t: 0.1 - 0.05 * t),
            ValueError,
            r"must be positive and finite, but the schedule gives .* at step 2",
        ),
        *(
            (
                lambda walk=walk: walk(learning_rate=lambda step: [0.1, 0.01][step]),
                IndexError,
                r"(?s)list index out of range.*the schedule <function .*> was asked for step 2"
                r".*it gave 0.01 for step 1",
                "let it give a rate for every step of the run, or hold its last one",
            )
            for walk in (descend, lambda **changes: list(islice(updates(**changes), 9)))
        ),
        (lambda: descend(rng=-1), ValueError, r"rng must be .*got -1", SEED_CURE),
        (lambda: descend(rng="seed"), TypeError, r"rng must be .*got 'seed'", SEED_CURE),
        (lambda: descend(nesterov="no"), TypeError, r"nesterov must be True or False, got 'no'"),
        (lambda: descend(progress="no"), TypeError, r"progress must be True or False, got 'no'"),
        (lambda: descend(n_epochs=-1), ValueError, r"n_epochs must be at least 0, got -1"),
        (lambda: descend(n_epochs=2.0), TypeError, r"n_epochs must be an integer, got 2.0"),
        (lambda: descend(n_epochs=True), TypeError, r"n_epochs must be an integer, got True"),
        (lambda: descend(tol=-1e-3), ValueError, r"tol must be zero or more"),
        (lambda: descend(tol=NAN), ValueError, r"tol must be zero or more"),
        (lambda: descend(record_every=0), ValueError, r"record_every must be at least 1, got 0"),
        (lambda: descend(record_every=1.5), TypeError, r"record_every must be an integer"),
        *(
            (
                lambda batches=batches: descend(batches=Own(batches)),
                error,
                f"(?s){message}.*while batches, <.*Own object>, drew the epoch of step 3",
                *cure,
            )
            for batches, error, message, *cure in (
                (5, TypeError, "a sampler must yield an Epoch, or batches of row numbers, got 5"),
                (None, TypeError, "a sampler must yield an Epoch"),
                ([[0, 6]], IndexError, r"a batch holds row 6, which is out of bounds for 6 rows"),
                ([0, 1], TypeError, r"the rows of a batch must be whole numbers along one axis"),
                ([[0.5]], TypeError, r"must be whole numbers .*got shape \(1,\) and dtype float64"),
                ([Y > 2], TypeError, r"and dtype bool", "take np.flatnonzero of a mask"),
                ([[0], []], ValueError, r"a batch must hold a row", "leave it out"),
            )
        ),
        *(
            (lambda batches=batches: descend(batches=batches), TypeError, message)
            for batches, message in (
                (Returning(5), r"the method epochs of batches must yield epochs, got 5"),
                (SimpleNamespace(epochs=3), r"batches must be a sampling scheme such as"),
            )
        ),
        *(
            (
                lambda changes=changes: descend(objective=Mean(**changes), n_epochs=0),
                error,
                rf"the {message} of Mean\(\) must {words}",
                *cure,
            )
            for changes, error, message, words, *cure in (
                ({"loss": None}, TypeError, "loss", "be an array of the lib", "with xp.asarray"),
                ({"loss": "1"}, TypeError, "loss", "be an array of the library of theta, got '1'"),
                ({"loss": Y}, ValueError, "loss", "be one number", "take the mean over the rows"),
                ({"loss": np.array(1j)}, TypeError, "loss", "hold real numbers, got dtype compl"),
                ({"gradient": 1.0}, TypeError, "gradient", "be an array of the library of theta"),
                ({"gradient": [0.0, 0.0]}, TypeError, "gradient", "be an array", "xp.asarray"),
                (
                    {"gradient": array_api_strict.zeros(2)},
                    TypeError,
                    "gradient",
                    "be an array of the library of theta",
                ),
                (
                    {"gradient": THETA[:, None]},
                    ValueError,
                    "gradient",
                    r"have shape \(2,\), got \(2, 1\): nothing is broadcast",
                ),
                ({"gradient": np.array(1.0)}, ValueError, "gradient", r"have shape .*, got \(\)"),
            )
        ),
        (
            lambda: descend(
                objective=Mean(gradient=lambda X: THETA if len(X) > 1 else THETA[0]),
                batches=gd.InOrder(5),
            ),
            ValueError,
            r"(?s)the gradient of Mean\(\) must have shape \(2,\), got \(\).*after step 1 of",
        ),
    ],
    "updates": [
        (lambda: updates(X=put((0, 0), NAN)), ValueError, r"X must be finite"),
        (lambda: updates(theta_init=[0.0]), ValueError, r"theta_init .*shape \(2,\)"),
        (lambda: updates(batches="Shuffled"), TypeError, r"batches must be a sampling scheme"),
        (lambda: updates(batches=gd.Shuffled(7)), ValueError, r"batch_size must be in 1..6, got 7"),
        (lambda: updates(learning_rate=0), ValueError, r"learning_rate must be positive"),
        (lambda: updates(learning_rate=lambda t: NAN), ValueError, r"gives nan at step 0"),
        (lambda: updates(objective=gd.MLP((3, 2))), ValueError, r"X must have 3 columns .*got 2"),
        (lambda: updates(momentum=1), ValueError, r"momentum must be less than 1.*1.0"),
        (lambda: updates(momentum=-0.1), ValueError, r"momentum must be zero or more"),
        (lambda: updates(momentum=NAN), ValueError, r"momentum must be zero or more"),
        (lambda: updates(momentum="0.9"), TypeError, r"momentum must be a number"),
        (lambda: updates(batches=2), TypeError, r"batches must be a sampling scheme"),
        (lambda: updates(rng=-1), ValueError, r"rng must be .*got -1", SEED_CURE),
        (lambda: updates(nesterov=None), TypeError, r"nesterov must be True or False, got None"),
        (
            lambda: list(islice(updates(objective=Mean(gradient=1.0)), 2)),
            TypeError,
            r"(?s)the gradient of Mean\(\) must be an array .*got 1.0.*after step 0 of the descent",
        ),
    ],
    "descend_many": [
        *(
            (lambda changes=changes: many(**changes), error, message, *cure)
            for changes, error, message, *cure in (
                ({"learning_rate": []}, ValueError, "learning_rate must be one value or a seq"),
                ({"learning_rate": [0.1, -1]}, ValueError, "learning_rate must be positive"),
                ({"learning_rate": [0.1, lambda t: 0.0]}, ValueError, "gives 0.0 at step 0"),
                (
                    {"learning_rate": lambda step: [0.1, 0.01][step]},
                    IndexError,
                    r"(?s)list index .*asked for step 2.*it gave 0.01 for step 1",
                    "or hold its last one",
                ),
                ({"rng": []}, ValueError, "rng must be one value or a sequence of them"),
                ({"rng": [0, -1]}, ValueError, "rng must be .*got -1", SEED_CURE),
                ({"rng": 1.5}, TypeError, "rng must be .*got 1.5", SEED_CURE),
                (
                    {"theta_init": np.zeros((5, 2))},
                    ValueError,
                    "theta_init must be one start, or one for each of the 3 seeds, got shape",
                ),
                ({"theta_init": np.zeros(3)}, ValueError, r"theta_init must have shape \(2,\)"),
                ({"theta_init": np.full((3, 2), NAN)}, ValueError, "theta_init must be finite"),
                ({"target": "low"}, TypeError, "target must be a number, got 'low'"),
                ({"batches": gd.Shuffled(99)}, ValueError, "batch_size must be in 1..6, got 99"),
                ({"batches": Uneven()}, ValueError, "must cut the epochs of all seeds alike"),
                ({"batches": Own(5)}, TypeError, "(?s)a sampler must yield .*epoch of step 3"),
                ({"objective": Mean(gradient=1.0)}, TypeError, r"gradient of Mean\(\) must be an"),
                ({"n_epochs": -1}, ValueError, "n_epochs must be at least 0"),
                ({"record_every": 0}, ValueError, "record_every must be at least 1"),
                ({"momentum": 1}, ValueError, "momentum must be less than 1"),
                ({"nesterov": 1}, TypeError, "nesterov must be True or False, got 1"),
                ({"keep_theta": "no"}, TypeError, "keep_theta must be True or False"),
                ({"progress": "no"}, TypeError, "progress must be True or False"),
                ({"evaluate_on": (X[:, [0, 0, 1]], Y)}, ValueError, "theta must have shape"),
                ({"evaluate_on": X}, TypeError, r"evaluate_on must be made of pairs \(X, y\)"),
            )
        ),
        (lambda: many().steps_to("low"), TypeError, r"loss must be a number, got 'low'"),
        (lambda: many().mean("los"), ValueError, r"values must be one of loss, gradient_norm, div"),
        (
            lambda: many().mean([1.0]),
            ValueError,
            r"values must have the axes of the runs, \(1, 3\)",
        ),
        (
            lambda: many(rng=0).mean(),
            ValueError,
            r"these runs have one seed",
            "give rng a sequence of seeds",
        ),
    ],
    "batch_gradient_descent": [
        (lambda: gd.batch_gradient_descent(X, Y[:3], THETA), ValueError, r"y must have shape"),
        (lambda: gd.batch_gradient_descent(X, Y, THETA, tol=-1), ValueError, r"tol must be zero"),
    ],
    "stochastic_gradient_descent": [
        (lambda: gd.stochastic_gradient_descent(Y, Y, THETA), ValueError, r"X must have two axes"),
        (lambda: gd.stochastic_gradient_descent(X, Y, THETA, -1), ValueError, r"positive"),
    ],
    "minibatch_gradient_descent": [
        (lambda: gd.minibatch_gradient_descent(X, Y, THETA), ValueError, r"in 1..6, got 32"),
        (lambda: gd.minibatch_gradient_descent(X, Y, THETA, 0), ValueError, r"in 1..6, got 0"),
        (
            lambda: gd.minibatch_gradient_descent(X, Y, THETA, 2.0),
            TypeError,
            r"an integer, got 2.0",
        ),
        (lambda: gd.minibatch_gradient_descent(X, Y, THETA, True), TypeError, r"integer, got True"),
    ],
    "LeastSquares": [
        (
            lambda: gd.LeastSquares(-0.1),
            ValueError,
            r"l2 must be zero or more and finite, got -0.1",
        ),
        (lambda: gd.LeastSquares(NAN), ValueError, r"l2 must be zero or more"),
        (lambda: gd.LeastSquares("1"), TypeError, r"l2 must be a number, got '1'"),
        (
            lambda: gd.LeastSquares().loss(THETA, X, Y[:, None]),
            ValueError,
            r"y must have shape \(6,\).*got \(6, 1\)",
        ),
        (
            lambda: gd.LeastSquares().gradient(THETA, X.tolist(), Y.tolist()),
            TypeError,
            r"the methods of an objective take arrays of one library",
            "convert lists and tables with np.asarray",
        ),
    ],
    "LogisticRegression": [
        (lambda: gd.LogisticRegression(l2=INF), ValueError, r"l2 must be zero or more"),
        *(
            (
                lambda y=y: descend(objective=gd.LogisticRegression(), y=y),
                ValueError,
                rf"y must hold the labels 0 and 1 for LogisticRegression, got values from {found}",
                cure,
            )
            for y, found, cure in (
                (2 * (Y > 2) - 1, "-1 to 1", "take (y + 1) / 2"),
                (1 + (Y > 2), "1 to 2", "subtract 1"),
                (Y / 5, "0 to 1", "number them with np.unique(y, return_inverse=True)[1]"),
                (Y, "0 to 5", "LogisticRegression has 2 classes, so give it more, or merge some"),
            )
        ),
        (
            lambda: descend(objective=gd.LogisticRegression(), y=LABELS, theta_init=np.zeros(3)),
            ValueError,
            r"theta_init must have shape \(2,\)",
        ),
    ],
    "SoftmaxRegression": [
        (lambda: gd.SoftmaxRegression(1), ValueError, r"n_classes must be at least 2, got 1"),
        (lambda: gd.SoftmaxRegression(2.0), TypeError, r"n_classes must be an integer, got 2.0"),
        (lambda: gd.SoftmaxRegression(3, l2=-1), ValueError, r"l2 must be zero or more"),
        (
            lambda: descend(objective=gd.SoftmaxRegression(3), y=LABELS),
            ValueError,
            r"theta_init must have shape \(2, 3\) for this X, got \(2,\)",
        ),
        *(
            (
                lambda y=y: descend(
                    objective=gd.SoftmaxRegression(3), y=y, theta_init=np.zeros((2, 3))
                ),
                ValueError,
                r"whole class labels 0..2 for SoftmaxRegression",
                cure,
            )
            for y, cure in (
                (LABELS + 1, "subtract 1"),
                (LABELS - 1, "number them with np.unique"),
                (LABELS / 2, "number them with np.unique"),
                (LABELS * 2, "SoftmaxRegression has 3 classes, so give it more, or merge some"),
            )
        ),
        (
            lambda: descend(
                objective=gd.SoftmaxRegression(3), y=np.eye(3)[LABELS], theta_init=np.zeros((2, 3))
            ),
            ValueError,
            r"y must have shape \(6,\) to match the rows of X, got \(6, 3\)",
            "take y.argmax(axis=1) where it has a column a class",
        ),
    ],
    "MLP": [
        (lambda: gd.MLP(5), TypeError, r"layer_sizes must be a sequence, got 5"),
        (lambda: gd.MLP((5,)), ValueError, r"from the inputs to at least 2 classes, got \(5,\)"),
        (lambda: gd.MLP((5, 1)), ValueError, r"at least 2 classes"),
        (lambda: gd.MLP((5, 0, 2)), ValueError, r"layer_sizes must be at least 1, got 0"),
        (lambda: gd.MLP((5, 2.0)), TypeError, r"layer_sizes must be an integer, got 2.0"),
        (lambda: gd.MLP((5, 2), l2=-1), ValueError, r"l2 must be zero or more"),
        (
            lambda: descend(objective=gd.MLP((2, 3)), y=LABELS),
            ValueError,
            r"theta_init must have shape \(9,\)",
        ),
        (
            lambda: descend(objective=gd.MLP((2, 2)), y=LABELS, theta_init=np.zeros(6)),
            ValueError,
            r"y must hold the labels 0 and 1 for MLP, got values from 0 to 2",
            "MLP has 2 classes, so give it more, or merge some",
        ),
        (
            lambda: gd.MLP((2, 2)).loss(np.zeros(8), X, Y > 2),
            ValueError,
            r"theta must have shape \(6,\) for this MLP, got \(8,\)",
        ),
        (lambda: gd.MLP((2, 2)).initial(-1), ValueError, r"rng must be .*got -1", SEED_CURE),
        (lambda: gd.MLP((2, 2)).initial(0, X.tolist()), TypeError, r"like must be an array"),
    ],
    "compress": [
        (lambda: gd.compress(X, Y[:3]), ValueError, r"y must have shape \(6,\)"),
        (lambda: gd.compress(put((0, 0), INF), Y), ValueError, r"X must be finite"),
        (lambda: gd.compress([], []), ValueError, r"X must have two axes"),
    ],
    "FullBatch": [
        (lambda: epochs(gd.FullBatch(), 0), ValueError, r"n_samples must be at least 1, got 0"),
    ],
    **{
        name: [
            (lambda s=scheme: epochs(s(0)), ValueError, r"batch_size must be in 1..6, got 0"),
            (lambda s=scheme: epochs(s(7)), ValueError, r"batch_size must be in 1..6, got 7"),
            (lambda s=scheme: epochs(s(2.0)), TypeError, r"must be an integer, got 2.0"),
            (lambda s=scheme: epochs(s(True)), TypeError, r"must be an integer, got True"),
            (lambda s=scheme: epochs(s(1), 0), ValueError, r"n_samples must be at least 1, got 0"),
            (lambda s=scheme: s(1).epochs(6, -1), ValueError, r"rng must be .*got -1", SEED_CURE),
            (
                lambda s=scheme: epochs(s(1, drop_last="no")),
                TypeError,
                r"drop_last must be True or False, got 'no'",
            ),
        ]
        for name, scheme in {
            "Shuffled": gd.Shuffled,
            "ShuffledOnce": gd.ShuffledOnce,
            "InOrder": gd.InOrder,
            "WithReplacement": gd.WithReplacement,
        }.items()
    },
    **{
        name: [
            (
                lambda s=scheme: epochs(s(2, labels=LABELS[:5])),
                ValueError,
                r"labels must have shape \(6,\), one a sample, got \(5,\)",
            ),
            (lambda s=scheme: epochs(s(2, labels=None)), ValueError, r"labels must .*got \(\)"),
            (
                lambda s=scheme: epochs(s(2, labels=np.eye(3)[LABELS])),
                ValueError,
                r"labels must have shape \(6,\), one a sample, got \(6, 3\)",
                "take labels.argmax(axis=1) where it has a column a class",
            ),
            *(
                (
                    lambda s=scheme, labels=labels: epochs(s(2, labels=labels)),
                    ValueError,
                    r"labels must not be missing, but labels\[5\] is (nan|None|NA)",
                    "drop those rows, or give them a class of their own",
                )
                for labels in (
                    [0, 0, 1, 1, 2, NAN],
                    [*"aabbc", None],
                    [*"aabbc", NAN],
                    [*"aabbc", NA],
                    Series([*"aabbc", NAN]),
                    array_api_strict.asarray([0, 0, 1, 1, 2, NAN]),
                )
            ),
            (
                lambda s=scheme: epochs(s(2, labels=[1, "1", 1, "1", 1, "1"])),
                TypeError,
                r"labels must be of one kind, got int, str",
                "convert them, such as with map(str, labels)",
            ),
            (
                lambda s=scheme: epochs(s(2, labels=np.ma.masked_greater(LABELS, 1))),
                TypeError,
                "labels is a masked array",
                MASKED_CURE,
            ),
            (lambda s=scheme: epochs(s(7, labels=LABELS)), ValueError, r"in 1..6, got 7"),
        ]
        for name, scheme in {"Stratified": gd.Stratified, "Balanced": gd.Balanced}.items()
    },
    "BlockShuffled": [
        (lambda: epochs(gd.BlockShuffled(0, 2)), ValueError, r"batch_size must be in 1..6"),
        (lambda: epochs(gd.BlockShuffled(2, 0)), ValueError, r"block_size must be in 1..6, got 0"),
        (lambda: epochs(gd.BlockShuffled(2, 7)), ValueError, r"block_size must be in 1..6, got 7"),
        (
            lambda: epochs(gd.BlockShuffled(2, 2, 0)),
            ValueError,
            r"buffer_blocks must be at least 1",
        ),
    ],
    "Epoch": [
        (lambda: gd.Epoch(None, np.arange(3))[0], TypeError, r"a slice of neighbouring batches"),
        (lambda: gd.Epoch(None, np.arange(3))[::2], TypeError, r"neighbouring batches"),
        (lambda: gd.Epoch(np.arange(4), [0, 2, 2, 4]), ValueError, r"empty batch .* got \[0 2 2\]"),
        (lambda: gd.Epoch(None, np.arange(-2, 9)), ValueError, r"begin at 0 .* got \[-2\]"),
        (lambda: gd.Epoch(np.arange(4), np.arange(0)), ValueError, r"bounds must begin .* \[\]"),
        (lambda: gd.Epoch(np.arange(4), np.arange(6)), ValueError, r"within the 4 rows .* got 5"),
        (lambda: gd.Epoch(np.arange(4), np.arange(3.0)), TypeError, r"bounds must be whole"),
        (
            lambda: gd.Epoch(np.ones(4, bool), [0, 2]),
            TypeError,
            r"order must be whole .*\(4,\) and dtype bool",
            "take np.flatnonzero of a mask",
        ),
        (lambda: gd.Epoch(np.ones((4, 2), int), [0, 2]), TypeError, r"order must be whole"),
    ],
    "shuffled_batches": [
        (lambda: gd.shuffled_batches(X, Y, 7), ValueError, r"batch_size must be in 1..6, got 7"),
        (lambda: gd.shuffled_batches(X, Y[:2], 2), ValueError, r"y must have shape"),
        (lambda: gd.shuffled_batches(X, Y, 2, -1), ValueError, r"rng must be", SEED_CURE),
    ],
    "sampled_batches": [
        (lambda: gd.sampled_batches(X, Y, 7, 1), ValueError, r"batch_size must be in 1..6, got 7"),
        (
            lambda: gd.sampled_batches(X, Y, 2, 0),
            ValueError,
            r"n_batches must be at least 1, got 0",
        ),
        (lambda: gd.sampled_batches(Y, Y, 2, 1), ValueError, r"X must have two axes"),
        (lambda: gd.sampled_batches(X, Y, 2, 1, -1), ValueError, r"rng must be", SEED_CURE),
    ],
    "stratified_batches": [
        (lambda: gd.stratified_batches(X, Y, 0), ValueError, r"batch_size must be in 1..6, got 0"),
        (lambda: gd.stratified_batches(X, Y * NAN, 2), ValueError, r"y must be finite"),
    ],
    "evaluate": [
        (lambda: noise(gd.evaluate, theta=[0.0]), ValueError, r"theta must have shape"),
        (lambda: noise(gd.evaluate, X=put((3, 1), NAN)), ValueError, r"X must be finite"),
        (lambda: noise(gd.evaluate, objective="mse"), TypeError, r"objective must be .*got 'mse'"),
    ],
    "gradient_variance": [
        (lambda: noise(gd.gradient_variance, theta=[0.0]), ValueError, r"theta must have shape"),
        (lambda: noise(gd.gradient_variance, y=Y[:1]), ValueError, r"y must have shape"),
        (
            lambda: noise(gd.gradient_variance, objective=Mean(per_sample=X.T)),
            ValueError,
            r"the per_sample_gradients of Mean\(\) must have shape \(6, 2\), got \(2, 6\)",
        ),
        (
            lambda: noise(gd.gradient_variance, objective=WithoutSamples()),
            NotImplementedError,
            r"WithoutSamples object.* has no method",
            "per_sample_gradients(theta, X, y)",
        ),
    ],
    "noise_scale": [
        (lambda: noise(gd.noise_scale, X=Y), ValueError, r"X must have two axes"),
        (lambda: noise(gd.noise_scale, objective=None), TypeError, r"objective must be"),
    ],
    "batch_gradient_variance": [
        (lambda: gd.batch_gradient_variance(-1, 2), ValueError, r"variance must be zero or more"),
        (lambda: gd.batch_gradient_variance(1, 0), ValueError, r"batch_size must be at least 1"),
        (lambda: gd.batch_gradient_variance(1, 4, 3), ValueError, r"batch_size must be in 1..3"),
        (lambda: gd.batch_gradient_variance(1, 4, 0), ValueError, r"n_samples must be at least 1"),
    ],
    "estimate_noise_scale": [
        (lambda: estimate(batch_sizes=3), TypeError, r"must be two whole numbers, got 3"),
        (
            lambda: estimate(batch_sizes=(1, 2, 3)),
            ValueError,
            r"two whole numbers, got \(1, 2, 3\)",
        ),
        (lambda: estimate(batch_sizes=(1.0, 2)), TypeError, r"two whole numbers"),
        (lambda: estimate(batch_sizes=(2, 2)), ValueError, r"a smaller and a larger one"),
        (lambda: estimate(n_batches=0), ValueError, r"n_batches must be at least 1"),
        (lambda: estimate(rng=-1), ValueError, r"rng must be", SEED_CURE),
        (lambda: estimate(y=Y[:2]), ValueError, r"y must have shape"),
    ],
    "stationary_covariance": [
        (
            lambda: gd.stationary_covariance(X, Y, 0.0),
            ValueError,
            r"learning_rate must be positive",
        ),
        (
            lambda: gd.stationary_covariance(X, Y, 0.1, 0),
            ValueError,
            r"batch_size must be at least",
        ),
        (
            lambda: gd.stationary_covariance(X, Y, 0.1, l2=-1),
            ValueError,
            r"l2 must be zero or more",
        ),
        (
            lambda: gd.stationary_covariance(X, Y, 9.0),
            ValueError,
            r"learning_rate must be below .* for batches of 1, got 9",
            "lower it or raise batch_size",
        ),
        (
            lambda: gd.stationary_covariance(X, Y, 0.1, exact="no"),
            TypeError,
            r"exact must be True or False, got 'no'",
        ),
        (
            lambda: gd.stationary_covariance(X[:, [0, 0]], Y, 0.1),
            ValueError,
            r"X must have 2 independent columns",
            "drop some columns or set l2 > 0",
        ),
    ],
    "noise_floor": [
        (lambda: gd.noise_floor(X, Y[:2], 0.1), ValueError, r"y must have shape"),
        (lambda: gd.noise_floor(X, Y, -0.1), ValueError, r"learning_rate must be positive"),
    ],
    "stability_limit": [
        (lambda: gd.stability_limit(X, 0), ValueError, r"batch_size must be at least 1"),
        (lambda: gd.stability_limit(Y), ValueError, r"X must have two axes"),
        (lambda: gd.stability_limit(None), TypeError, r"X must be an array of numbers, got a None"),
        (lambda: gd.stability_limit([[1.0], [1, 2]]), ValueError, "ragged list", "the same length"),
        (lambda: gd.stability_limit(csr_matrix(X)), TypeError, "X must be .*csr", ".toarray()"),
        (lambda: gd.stability_limit(MASKED), TypeError, "X is a masked array", MASKED_CURE),
        (lambda: gd.stability_limit(X[:, :0]), ValueError, r"one column, got shape \(6, 0\)"),
        (lambda: gd.stability_limit(X * 0), ValueError, r"2 independent columns"),
    ],
    "iterations_per_epoch": [
        (lambda: gd.iterations_per_epoch(0, 1), ValueError, r"n_samples must be at least 1, got 0"),
        (lambda: gd.iterations_per_epoch(5, 6), ValueError, r"batch_size must be in 1..5, got 6"),
        (lambda: gd.iterations_per_epoch(5.0, 2), TypeError, r"n_samples must be an integer"),
        (lambda: gd.iterations_per_epoch(5, 2, "no"), TypeError, r"drop_last must be True or"),
    ],
    "training_counts": [
        (lambda: gd.training_counts(5, 6, 1), ValueError, r"batch_size must be in 1..5, got 6"),
        (lambda: gd.training_counts(5, 2, -1), ValueError, r"n_epochs must be at least 0, got -1"),
    ],
    "accumulate_gradient": [
        (
            lambda: gd.accumulate_gradient(gd.LeastSquares(), THETA, []),
            ValueError,
            r"micro_batches must hold at least one \(X, y\) pair",
        ),
        *(
            (
                lambda given=given: gd.accumulate_gradient(gd.LeastSquares(), THETA, given),
                TypeError,
                r"micro_batches must be made of pairs \(X, y\), .*got type",
                "such as [(X[:10], y[:10]), (X[10:], y[10:])]",
            )
            for given in (X, (X, Y), None, [(X, Y, Y)])
        ),
        (
            lambda: gd.accumulate_gradient(gd.LeastSquares(), THETA, [(X, Y), (X[:, :1], Y)]),
            ValueError,
            r"theta must have shape \(1,\)",
        ),
        (
            lambda: gd.accumulate_gradient(gd.LeastSquares(), [0.0], [(X, Y)]),
            ValueError,
            r"theta must have shape \(2,\)",
        ),
    ],
    "allreduce_seconds": [
        (lambda: gd.allreduce_seconds(-1, 2, 1e9, 0), ValueError, r"n_bytes must be zero or more"),
        (lambda: gd.allreduce_seconds(1, 0.5, 1e9, 0), ValueError, r"n_workers must be 1 or more"),
        (lambda: gd.allreduce_seconds(1, 2, 0, 0), ValueError, r"bandwidth must be positive"),
        (lambda: gd.allreduce_seconds(1, 2, 1e9, -1), ValueError, r"latency must be zero or more"),
        (
            lambda: gd.allreduce_seconds(1, 2, 1e9, 0, method="bus"),
            ValueError,
            r"method must be one of ring, tree, star, got 'bus'",
        ),
    ],
    "balanced_workers": [
        (lambda: gd.balanced_workers(0, 1, 1, 1), ValueError, r"compute_seconds must be positive"),
        (lambda: gd.balanced_workers(1, 1, -1, 1), ValueError, r"bandwidth must be positive"),
        (
            lambda: gd.balanced_workers(1, 1, 1, 1, scaling="fixed"),
            ValueError,
            r"scaling must be one of strong, weak, got 'fixed'",
        ),
    ],
    "data_parallel_step": [
        (lambda: parallel(n_workers=0.9), ValueError, r"n_workers must be 1 or more, got 0.9"),
        (lambda: parallel(batch_size=0), ValueError, r"batch_size must be positive"),
        (lambda: parallel(seconds_per_sample=NAN), ValueError, r"seconds_per_sample must be"),
        (lambda: parallel(local_steps=0), ValueError, r"local_steps must be at least 1, got 0"),
        (lambda: parallel(method=None), ValueError, r"method must be one of ring, tree, star"),
        (lambda: parallel(method=[]), ValueError, r"method must be one of ring, .* got \[\]"),
    ],
    "training_memory": [
        (lambda: gd.training_memory(0, 1, 1), ValueError, r"n_parameters must be at least 1"),
        (lambda: gd.training_memory(1, -1, 1), ValueError, r"activations_per_sample must be"),
        (lambda: gd.training_memory(1, 1, 0), ValueError, r"batch_size must be at least 1"),
        (lambda: gd.training_memory(1, 1, 1, bytes_per_value=0), ValueError, r"bytes_per_value"),
        (lambda: gd.training_memory(1, 1, 1, optimizer_states=-1), ValueError, r"optimizer_states"),
    ],
    "source_of": [
        (lambda: gd.source_of(len), TypeError, r"must be written in Python, got <built-in"),
        (lambda: gd.source_of(5), TypeError, r"must be written in Python, got 5"),
        (lambda: gd.source_of(put, docstring=1), TypeError, r"docstring must be True or False"),
    ],
    "schedules.constant": [
        (lambda: schedules.constant(0), ValueError, r"learning_rate must be positive"),
        (lambda: schedules.constant(NAN), ValueError, r"learning_rate must be positive"),
    ],
    "schedules.inverse_time": [
        (lambda: schedules.inverse_time(-1, 0.1), ValueError, r"learning_rate must be positive"),
        (lambda: schedules.inverse_time(1, -0.1), ValueError, r"decay must be zero or more"),
    ],
    "schedules.inverse_sqrt": [
        (lambda: schedules.inverse_sqrt(INF, 0.1), ValueError, r"learning_rate must be positive"),
        (lambda: schedules.inverse_sqrt(1, NAN), ValueError, r"decay must be zero or more"),
    ],
    "schedules.exponential": [
        (lambda: schedules.exponential(0, 0.5), ValueError, r"learning_rate must be positive"),
        (lambda: schedules.exponential(1, 0), ValueError, r"decay must be positive"),
        (lambda: schedules.exponential(1, 1.1), ValueError, r"decay must be in \(0, 1\], got 1.1"),
    ],
    "schedules.piecewise": [
        (lambda: schedules.piecewise([2, 2], [1, 2, 3]), ValueError, r"boundaries must increase"),
        (lambda: schedules.piecewise([2], [1, 2, 3]), ValueError, r"one more than the 1 bound"),
        (lambda: schedules.piecewise([2], [1, 0]), ValueError, r"values must be positive"),
        (lambda: schedules.piecewise([0], [1, 2]), ValueError, r"boundaries must be at least 1"),
        (
            lambda: schedules.piecewise(2, [1, 2]),
            TypeError,
            r"boundaries must be a sequence, got 2",
        ),
    ],
    "schedules.cosine": [
        (lambda: schedules.cosine(0, 5), ValueError, r"learning_rate must be positive"),
        (lambda: schedules.cosine(1, 0), ValueError, r"n_steps must be at least 1"),
    ],
    "schedules.warmup": [
        (lambda: schedules.warmup(0, 5), ValueError, r"schedule must be positive"),
        (lambda: schedules.warmup(0.1, 0), ValueError, r"n_steps must be at least 1"),
    ],
    "open_shards": [
        (
            lambda: gd.open_shards("nowhere"),
            FileNotFoundError,
            r"no shards X-00000-of-\.\.\. in nowhere",
            "see write_shards",
        ),
        (lambda: gd.open_shards(5), TypeError, r"directory must be a path, got 5"),
    ],
    "write_shards": [
        (lambda: gd.write_shards("nowhere", X, Y[:5], 2), ValueError, r"y must have shape \(6,\)"),
        (lambda: gd.write_shards("nowhere", Y, Y, 2), ValueError, r"X must have two axes"),
        (lambda: gd.write_shards("nowhere", X[:0], Y[:0], 2), ValueError, r"at least one row"),
        (lambda: gd.write_shards("nowhere", X, Y, 0), ValueError, r"rows_per_shard must be at le"),
        (lambda: gd.write_shards(None, X, Y, 2), TypeError, r"directory must be a path, got None"),
        (lambda: gd.write_shards("nowhere", MASKED, Y, 2), TypeError, "X is a mask", MASKED_CURE),
        (lambda: gd.write_shards("nowhere", X, MASKED[:, 0], 2), TypeError, "y is", MASKED_CURE),
        (lambda: gd.write_shards("nowhere", csr_matrix(X), Y, 2), TypeError, "X must", ".toarray"),
        (
            lambda: gd.write_shards("nowhere", [[1.0], [1.0, 2.0]], Y[:2], 2),
            ValueError,
            "X must be an array, got a ragged list",
            "give all rows the same length",
        ),
    ],
    "data.split": [
        (lambda: data.split(X, Y, 4, 3), ValueError, r"sizes must add up to at most 6 rows, got 7"),
        (lambda: data.split(X, Y, 0), ValueError, r"sizes must be at least 1, got 0"),
        (lambda: data.split(X, Y[:3], 2), ValueError, r"y must have shape"),
        (lambda: data.split(X, Y, 2, rng=-1), ValueError, r"rng must be", SEED_CURE),
    ],
    "data.linear_problem": [
        (lambda: data.linear_problem(0, 1), ValueError, r"n_samples must be at least 1"),
        (lambda: data.linear_problem(1, 0), ValueError, r"n_features must be at least 1"),
        (lambda: data.linear_problem(1, 1, noise=-1), ValueError, r"noise must be zero or more"),
        (
            lambda: data.linear_problem(1, 1, condition=0.5),
            ValueError,
            r"condition must be 1 or more",
        ),
    ],
}


@pytest.mark.parametrize(
    ("call", "error", "message", "cure"),
    [
        pytest.param(*case, *[None] * (4 - len(case)), id=f"{name}-{k}")
        for name, cases in BAD_CALLS.items()
        for k, case in enumerate(cases)
    ],
)
def test_a_bad_input_is_named_at_the_door(call, error, message, cure):
    with pytest.raises(error, match=message) as caught:
        call()
    words = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    if cure is None:
        assert re.search(r"\bmust\b|\btakes\b|out of bounds", words)
    else:
        assert cure in words


def test_every_public_function_has_a_bad_input():
    # These compute nothing.
    values = {"History", "Run", "Runs", "Objective", "Sampler", "ShardedArray"}
    elsewhere = {"namespace", "to_host", "schedules"}  # the first two are in test_backend
    assert set(gd.__all__) - values - elsewhere <= set(BAD_CALLS)
    assert {f"schedules.{name}" for name in schedules.__all__} <= set(BAD_CALLS)


@pytest.mark.parametrize("place", [(0, 0), (1023, 1), (1024, 0), (2999, 1)])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_one_bad_value_is_found_wherever_it_is(xp, place, value):
    array = np.zeros((3000, 2))
    array[place] = value
    with pytest.raises(ValueError, match="X must be finite"):
        validation.check_data(xp.asarray(array), xp.asarray(np.zeros(3000)))


def test_infinities_of_both_signs_do_not_cancel(xp):
    with pytest.raises(ValueError, match="X must be finite"):
        validation.check_data(xp.asarray([[INF], [-INF]]), xp.asarray([0.0, 0.0]))


def test_finite_values_whose_sum_overflows_are_finite(xp):
    validation.check_data(xp.asarray(np.full((3000, 2), 1e308)), xp.asarray(np.zeros(3000)))


def test_arrays_on_two_devices_are_named():
    here = array_api_strict.zeros(2)
    there = array_api_strict.zeros(2, device=array_api_strict.Device("device1"))
    with pytest.raises(ValueError, match=r"two devices: X on .*CPU.*, y on .*device1"):
        validation.check_data(here[:, None], there)


def test_devices_need_no_hash(monkeypatch):
    class Device:
        """Like a device of CuPy, which can be compared and has no hash."""

        def __eq__(self, other):
            return isinstance(other, Device)

    monkeypatch.setattr(validation, "device", lambda array: Device())
    validation.check_data(X, Y)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("kind", ["int8", "uint8", "int64", "bool"])
def test_whole_numbers_become_double_precision(xp, objective, kind):
    theta, X, y = problem(objective)
    y = (y > 0).astype(kind)
    arrays = validation.check_problem(
        xp.asarray(0 * theta, kind), xp.asarray(X > 0, kind), xp.asarray(y)
    )
    assert [gd.to_host(array).dtype for array in arrays] == [np.float64] * 3


@pytest.mark.parametrize(
    ("theta", "X", "expected"),
    [
        ("float32", "float32", "float32"),
        ("float64", "float64", "float64"),
        ("float32", "float64", "float64"),
        ("float64", "float32", "float64"),
        ("int64", "float32", "float32"),
        ("float32", "int64", "float64"),
    ],
)
@pytest.mark.parametrize("y", ["float32", "float64", "int64"])
def test_theta_takes_the_wider_precision(xp, theta, X, y, expected):
    theta, X_seen, y_seen = validation.check_problem(
        xp.asarray([0, 0], theta),
        xp.asarray([[1, 2], [3, 4]], X),
        xp.asarray([1, 2], y),
    )
    assert gd.to_host(theta).dtype == expected
    assert (
        gd.to_host(X_seen).dtype == gd.to_host(y_seen).dtype == ("float64" if X == "int64" else X)
    )


def test_lists_follow_the_arrays_beside_them(xp):
    theta, X, y = validation.check_problem([0.0], xp.asarray([[1.0], [2.0]]), [1, 2])
    assert theta.device == X.device == y.device == xp.device


def test_floating_arrays_are_not_copied():
    X_seen, y_seen = validation.check_data(X, Y)
    assert X_seen is X
    assert y_seen is Y


class Frame:
    """What stands in for a table of pandas: a shape, no array, and a way to become one."""

    def __init__(self, values):
        self.values = values
        self.shape = values.shape
        self.dtype = values.dtype

    def __array__(self, dtype=None, copy=None):
        return self.values


def test_tables_become_arrays():
    X_seen, y_seen = validation.check_data(Frame(X), Frame(Y))
    np.testing.assert_array_equal(X_seen, X)
    np.testing.assert_array_equal(y_seen, Y)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64])
def test_counts_may_be_numpy_integers(kind):
    assert type(validation.check_count("n", kind(100), maximum=100)) is int
    assert gd.training_counts(np.int32(60_000), kind(100), 10**6, drop_last=True) == (
        600,
        600 * 10**6,
        60_000 * 10**6,
    )


# What becomes numbers without a guess is taken


def of_objects(values):
    return np.array(values, dtype=object)


@pytest.mark.parametrize(
    "values",
    [
        Table("c", [1.5, 2, 3, 4, 5, 6], [True, False, True, True, False, True]),
        of_objects([[1.5, True], [2, False], [3, True], [4, True], [5, False], [6, True]]),
        [
            [Fraction(3, 2), np.True_],
            [Decimal(2), np.False_],
            *([np.float32(k), k != 5] for k in range(3, 7)),
        ],
    ],
    ids=["table", "objects", "kinds of numbers"],
)
def test_what_becomes_numbers_without_a_guess_is_taken(values):
    plain = np.array([[1.5, 1], [2, 0], [3, 1], [4, 1], [5, 0], [6, 1]])
    found = noise(gd.evaluate, X=values, y=Series(Y))
    np.testing.assert_array_equal(found[1], noise(gd.evaluate, X=plain)[1])


def test_labels_of_any_kind_and_library_are_classes(xp):
    """Words, numbers, dates or bytes; lists, columns of tables or arrays on a device."""
    words = np.array([*"aaabbc"])
    expected = list(next(gd.Stratified(2, labels=LABELS).epochs(6, 0)))
    days = np.array(["2026-11-27"] * 3 + ["2026-11-28"] * 2 + ["2026-11-29"], dtype="M8[D]")
    for labels in (
        words,
        words.tolist(),
        words.astype(bytes),
        Series(words.tolist()),
        days,
        of_objects([1, 1.0, True, 2, 2, 3]),
        xp.asarray(LABELS),
        xp.asarray(LABELS + 0.5),
    ):
        np.testing.assert_array_equal(
            list(next(gd.Stratified(2, labels=labels).epochs(6, 0))), expected
        )


def test_a_column_may_have_the_name_of_an_attribute():
    table = Frame(X)
    table.owner = Frame(X[:, 0])
    assert noise(gd.noise_scale, X=table) == noise(gd.noise_scale)

"""Objectives: J(θ) = (1/n) Σ L_i(θ) + (l2/2)·‖θ‖², its gradient, and the gradients of its samples.

An objective is an immutable value that holds no data. The linear models are one class with
one formula for the gradient, Xᵀ residual(Xθ, y)/n + l2·θ, and differ in their residual. The
intercept, where one is wanted, is a column of ones in X.
"""

from copy import copy
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import array_namespace, asarray


class Objective:
    """What a descent asks of an objective: a loss, its gradient, and those of the samples.

    Anything with the first three methods will do; the others stand here for all. What a reader's
    own methods give is held to its shape, and never broadcast; a loss may be a plain number.

    All methods take `theta`, `X` of shape (n, d) and `y` of shape (n,), arrays of one library.
    Those of the package also take many runs at once: axes before the ones named here, of theta,
    of X and y, or of all three, give as many losses and gradients.
    """

    l2 = 0.0  # weight of the ridge term (l2/2)·‖θ‖²
    width = 1  # values that a gradient makes of a row, if these are more than d

    def loss(self, theta, X, y):
        """The mean loss over the rows given: a 0-d array."""
        raise NotImplementedError(f"{self} has no method loss(theta, X, y)")

    def gradient(self, theta, X, y):
        """The mean gradient over the rows given, shaped like `theta`."""
        raise NotImplementedError(f"{self} has no method gradient(theta, X, y)")

    def per_sample_gradients(self, theta, X, y):
        """The gradient of every row, shape ``(n, *theta.shape)``; their mean is `gradient`."""
        raise NotImplementedError(f"{self} has no method per_sample_gradients(theta, X, y)")

    def squared_gradient_norms(self, theta, X, y):
        """‖∇L_i(θ)‖² for every row, without the ridge term, shape (n,)."""
        gradients = self.without_ridge().per_sample_gradients(theta, X, y)
        xp = array_namespace(gradients)
        flat = xp.reshape(gradients, (gradients.shape[0], -1))
        return xp.vecdot(flat, flat)

    def without_ridge(self):
        """The same objective with l2 = 0."""
        bare = copy(self)
        object.__setattr__(bare, "l2", 0.0)
        return bare

    def check(self, theta, X, y):
        """Raise ValueError where θ, X or the labels do not fit the objective."""

    def __init_subclass__(cls, **options):
        """Norms that a parent knows are not those of a gradient of one's own, which is held."""
        super().__init_subclass__(**options)
        if cls.__module__ != __name__:
            validation.hold_methods(cls)
        names = vars(cls).keys()
        if {"gradient", "per_sample_gradients"} & names and "squared_gradient_norms" not in names:
            cls.squared_gradient_norms = Objective.squared_gradient_norms


class _ThreeMethods(Objective):
    """A reader's objective with the three methods, and what `Objective` adds to them."""

    def __init__(self, objective):
        self.objective = objective
        for name in ("loss", "gradient", "per_sample_gradients"):
            if hasattr(objective, name):  # a reader's loop may ask for the gradient alone
                setattr(self, name, partial(validation.hold, objective, name))

    def __repr__(self):
        return repr(self.objective)


def complete(objective):
    """`objective` itself, or with the methods of `Objective` around its three."""
    if isinstance(objective, Objective):
        return objective
    if isinstance(objective, type) or not hasattr(objective, "gradient"):
        raise TypeError(f"objective must be a value such as LeastSquares(), got {objective!r}")
    return _ThreeMethods(objective)


class _LinearModel(Objective):
    """What the linear models share: predictions Xθ, and a gradient through their residual."""

    _axes = 1  # of θ: features, and classes where there are several

    def __post_init__(self):
        object.__setattr__(self, "l2", validation.check_non_negative("l2", self.l2))

    def predict(self, theta, X):
        """Xθ, before any link function, shape (n,) or (n, n_classes)."""
        return _multiply(X, theta, self._axes)

    def loss(self, theta, X, y):
        """J(θ) on the rows given, a 0-d array."""
        validation.check_rows(X, y)
        losses = self.sample_losses(self.predict(theta, X), y)
        return array_namespace(losses).mean(losses, axis=-1) + _ridge(self.l2, theta, self._axes)

    def gradient(self, theta, X, y):
        """∇J(θ) = Xᵀ residual(Xθ, y)/n + l2·θ on the rows given, shaped like `theta`."""
        validation.check_rows(X, y)
        residual = self.residual(self.predict(theta, X), y)
        gradient = _multiply(X.mT, residual, self._axes) / X.shape[-2]
        return gradient + self.l2 * theta if self.l2 else gradient

    def per_sample_gradients(self, theta, X, y):
        """∇L_i(θ) + l2·θ for every row, shape ``(n, *theta.shape)``."""
        validation.check_rows(X, y)
        residual = self.residual(self.predict(theta, X), y)
        if self._axes == 1:
            return X * residual[:, None] + self.l2 * theta
        return X[:, :, None] * residual[:, None, :] + self.l2 * theta

    def squared_gradient_norms(self, theta, X, y):
        """‖∇L_i(θ)‖² = ‖residual_i‖²·‖x_i‖² without the ridge term: no (n, d) array is made."""
        validation.check_rows(X, y)
        residual = self.residual(self.predict(theta, X), y)
        xp = array_namespace(X)
        squared = residual * residual if self._axes == 1 else xp.vecdot(residual, residual)
        return squared * xp.vecdot(X, X)

    def check(self, theta, X, y):
        validation.check_shape("theta", theta, X.shape[1:], "for this X")


def _multiply(A, v, axes):
    """A @ v for a vector v (one axis) or a matrix (two), and for many of them at once."""
    if axes == 2:
        return A @ v
    if A.ndim == 2 and v.ndim > 1:  # many vectors, one matrix
        return v @ A.mT
    return (A @ v[..., None])[..., 0]


@dataclass(frozen=True)
class LeastSquares(_LinearModel):
    """Linear regression: J(θ) = ‖Xθ − y‖²/(2n) + (l2/2)·‖θ‖².

    Parameters
    ----------
    l2 : float
        Weight of the ridge term, zero or more.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.array([[1.0], [2.0]]), np.array([2.0, 4.0])
    >>> LeastSquares().gradient(np.array([0.0]), X, y)
    array([-5.])
    """

    l2: float = 0.0

    def residual(self, z, y):
        """z − y, shape (n,)."""
        return z - y

    def sample_losses(self, z, y):
        """(z − y)²/2, shape (n,)."""
        return 0.5 * (z - y) ** 2


@dataclass(frozen=True)
class LogisticRegression(_LinearModel):
    """Two classes, y in {0, 1}: J(θ) = mean(log(1 + eᶻ) − y·z) + (l2/2)·‖θ‖², z = Xθ.

    Parameters
    ----------
    l2 : float
        Weight of the ridge term, zero or more. Without it, and with classes that a plane
        separates, there is no finite minimiser.

    References
    ----------
    D. R. Cox (1958), doi:10.1111/j.2517-6161.1958.tb00292.x.

    Examples
    --------
    >>> X, y = np.array([[1.0], [3.0]]), np.array([0.0, 1.0])
    >>> LogisticRegression().gradient(np.array([0.0]), X, y)
    array([-0.5])
    """

    l2: float = 0.0

    def residual(self, z, y):
        """σ(z) − y, shape (n,): with s = 1 − 2y it is s·σ(sz) = s·exp(−log(1 + e⁻ˢᶻ)).

        This cancels in neither tail, and overflows nowhere.
        """
        xp = array_namespace(z)
        sign = 1 - 2 * y
        return sign * xp.exp(-xp.logaddexp(xp.zeros_like(z), -sign * z))

    def sample_losses(self, z, y):
        """log(1 + eᶻ) − y·z = log(1 + eˢᶻ), shape (n,)."""
        xp = array_namespace(z)
        return xp.logaddexp(xp.zeros_like(z), (1 - 2 * y) * z)

    def check(self, theta, X, y):
        super().check(theta, X, y)
        validation.check_classes(y, 2, "LogisticRegression")


def _scores(inputs, weights):
    """inputs @ weights, laid out class by class: what runs over classes then runs along memory."""
    return (weights.mT @ inputs.mT).mT


class _SoftmaxOutput:
    """Softmax cross-entropy over the classes, which lie along the last axis of the scores z."""

    def residual(self, z, y):
        """softmax(z) − onehot(y), shape (n, n_classes)."""
        xp = array_namespace(z)
        exponentials = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
        probabilities = exponentials / xp.sum(exponentials, axis=-1, keepdims=True)
        return probabilities - self._onehot(z, y)

    def sample_losses(self, z, y):
        """log Σ_k exp(z_k) − z_y, shape (n,)."""
        xp = array_namespace(z)
        shifted = z - xp.max(z, axis=-1, keepdims=True)
        return xp.log(xp.sum(xp.exp(shifted), axis=-1)) - xp.sum(
            shifted * self._onehot(z, y), axis=-1
        )

    def _onehot(self, z, y):
        xp = array_namespace(z)
        classes = xp.arange(z.shape[-1], dtype=y.dtype, device=y.device)
        return xp.astype(classes[:, None] == y[..., None, :], z.dtype).mT


@dataclass(frozen=True)
class SoftmaxRegression(_SoftmaxOutput, _LinearModel):
    """`n_classes` classes, y in 0..n_classes−1, θ of shape (d, n_classes), Z = Xθ.

    J(θ) = mean(log Σ_k exp(z_k) − z_y) + (l2/2)·‖θ‖².

    Parameters
    ----------
    n_classes : int
        Two or more.
    l2 : float
        Weight of the ridge term, zero or more.

    Examples
    --------
    >>> X, y = np.array([[1.0], [3.0]]), np.array([0, 1])
    >>> SoftmaxRegression(n_classes=2).gradient(np.zeros((1, 2)), X, y)
    array([[ 0.5, -0.5]])
    """

    n_classes: int
    l2: float = 0.0
    _axes = 2

    def __post_init__(self):
        super().__post_init__()
        n_classes = validation.check_count("n_classes", self.n_classes, minimum=2)
        object.__setattr__(self, "n_classes", n_classes)

    @property
    def width(self):
        return self.n_classes

    def predict(self, theta, X):
        return _scores(X, theta)

    def check(self, theta, X, y):
        validation.check_shape("theta", theta, (X.shape[1], self.n_classes), "for this X")
        validation.check_classes(y, self.n_classes, "SoftmaxRegression")


@dataclass(frozen=True)
class MLP(_SoftmaxOutput, Objective):
    """A multi-layer perceptron: tanh layers with biases, then softmax cross-entropy.

    The parameters are one flat vector θ: for each layer its weights (inputs × outputs, row by
    row), then its biases.

    Parameters
    ----------
    layer_sizes : sequence of int
        Inputs, hidden layers, classes: ``(64, 32, 10)``.
    l2 : float
        Weight of the ridge term on all of θ, zero or more.

    Examples
    --------
    >>> MLP((64, 32, 10)).initial(rng=0).shape
    (2410,)

    References
    ----------
    I. Goodfellow (2015), arXiv:1510.01799, for the norms of per-sample gradients.
    """

    layer_sizes: tuple
    l2: float = 0.0

    def __post_init__(self):
        sizes = validation.check_layers("layer_sizes", self.layer_sizes)
        object.__setattr__(self, "layer_sizes", sizes)
        object.__setattr__(self, "l2", validation.check_non_negative("l2", self.l2))

    @property
    def n_parameters(self):
        """Length of θ: for each layer, outputs times one more than the inputs."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(self.layer_sizes))

    def initial(self, rng=None, like=None, dtype="float64"):
        """Random parameters, shape (n_parameters,): uniform weights (Glorot), zero biases.

        They are of the library and on the device of `like`, by default NumPy's.
        """
        rng = validation.check_rng(rng)
        layers = []
        for fan_in, fan_out in pairwise(self.layer_sizes):
            limit = (6 / (fan_in + fan_out)) ** 0.5
            layers += [rng.uniform(-limit, limit, fan_in * fan_out), np.zeros(fan_out)]
        return asarray(np.concatenate(layers), validation.check_like(like), dtype)

    @property
    def width(self):
        return max(self.layer_sizes)

    def predict(self, theta, X):
        """Class scores before the softmax, shape (n, n_classes)."""
        return self._activations(self._weights(theta), X)[-1]

    def loss(self, theta, X, y):
        validation.check_rows(X, y)
        losses = self.sample_losses(self.predict(theta, X), y)
        return array_namespace(losses).mean(losses, axis=-1) + _ridge(self.l2, theta, axes=1)

    def gradient(self, theta, X, y):
        """∇J(θ) on the rows given, by back-propagation, shape (n_parameters,)."""
        xp = array_namespace(theta)
        layers = []
        for inputs, delta in self._backward(theta, X, y):
            of_weights = inputs.mT @ delta
            of_biases = xp.sum(delta, axis=-2)
            layers += [xp.reshape(of_weights, (*of_biases.shape[:-1], -1)), of_biases]
        gradient = xp.concat(layers, axis=-1) / X.shape[-2]
        return gradient + self.l2 * theta if self.l2 else gradient

    def per_sample_gradients(self, theta, X, y):
        """∇L_i(θ) + l2·θ for every row, shape (n, n_parameters)."""
        xp = array_namespace(theta)
        n = X.shape[0]
        layers = []
        for inputs, delta in self._backward(theta, X, y):
            layers += [xp.reshape(inputs[:, :, None] * delta[:, None, :], (n, -1)), delta]
        return xp.concat(layers, axis=1) + self.l2 * theta

    def squared_gradient_norms(self, theta, X, y):
        """‖∇L_i(θ)‖² = Σ_layers ‖δ_i‖²·(‖a_i‖² + 1) without the ridge term, shape (n,)."""
        xp = array_namespace(theta)
        return sum(
            xp.vecdot(delta, delta) * (xp.vecdot(inputs, inputs) + 1)
            for inputs, delta in self._backward(theta, X, y)
        )

    def check(self, theta, X, y):
        if X.shape[1] != self.layer_sizes[0]:
            raise ValueError(
                f"X must have {self.layer_sizes[0]} columns for {self}, got {X.shape[1]}"
            )
        validation.check_shape("theta", theta, (self.n_parameters,), f"for {self}")
        validation.check_classes(y, self.layer_sizes[-1], "MLP")

    def _weights(self, theta):
        """The matrix and the biases of each layer, as views of θ."""
        xp = array_namespace(theta)
        layers, start = [], 0
        for fan_in, fan_out in pairwise(self.layer_sizes):
            middle, stop = start + fan_in * fan_out, start + (fan_in + 1) * fan_out
            matrix = xp.reshape(theta[..., start:middle], (*theta.shape[:-1], fan_in, fan_out))
            layers.append((matrix, theta[..., None, middle:stop]))
            start = stop
        validation.check_shape("theta", theta, (*theta.shape[:-1], start), "for this MLP")
        return layers

    def _activations(self, layers, X):
        """The inputs of every layer, and the scores at the end."""
        *hidden, (matrix, bias) = layers
        xp = array_namespace(matrix)
        activations = [X]
        for weights, biases in hidden:
            activations.append(xp.tanh(activations[-1] @ weights + biases))
        return [*activations, _scores(activations[-1], matrix) + bias]

    def _backward(self, theta, X, y):
        """For each layer, first to last, its inputs (n, in) and the slopes δ (n, out) of L_i."""
        validation.check_rows(X, y)
        layers = self._weights(theta)
        *inputs, scores = self._activations(layers, X)
        delta = self.residual(scores, y)
        slopes = [delta]
        for (matrix, _), activation in zip(reversed(layers[1:]), reversed(inputs[1:]), strict=True):
            delta = (delta @ matrix.mT) * (1 - activation**2)
            slopes.append(delta)
        return list(zip(inputs, reversed(slopes), strict=True))


def _ridge(l2, theta, axes):
    """(l2/2)·‖θ‖² over the last `axes` axes of θ."""
    if not l2:
        return 0.0
    return 0.5 * l2 * array_namespace(theta).sum(theta * theta, axis=tuple(range(-axes, 0)))

"""Objectives: J(θ) = (1/n) Σ L_i(θ) + (l2/2)·‖θ‖², its gradient, and the gradients of its samples.

An objective is an immutable value that holds no data. The linear models are one class with
one formula for the gradient, Xᵀ residual(Xθ, y)/n + l2·θ, and differ in their residual. The
intercept, where one is wanted, is a column of ones in X.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from gdcourse import validation
from gdcourse.backend import array_namespace, asarray, block_rows, blocks, to_host

__all__ = [
    "MLP",
    "LeastSquares",
    "LogisticRegression",
    "Objective",
    "SoftmaxRegression",
    "compress",
]


class Objective(Protocol):
    """What a descent asks of an objective; anything with these three methods will do.

    All of them take `theta`, `X` of shape (n, d) and `y` of shape (n,), arrays of one library.
    """

    def loss(self, theta, X, y):
        """The mean loss over the rows given: a 0-d array."""

    def gradient(self, theta, X, y):
        """The mean gradient over the rows given, shaped like `theta`."""

    def per_sample_gradients(self, theta, X, y):
        """The gradient of every row, shape ``(n, *theta.shape)``; their mean is `gradient`."""


class _LinearModel:
    """What the linear models share: predictions Xθ, and a gradient through their residual."""

    _width = 1  # predictions for a row

    def __post_init__(self):
        object.__setattr__(self, "l2", validation.non_negative("l2", self.l2))

    def predict(self, theta, X):
        """Xθ, before any link function, shape (n,) or (n, n_classes)."""
        return X @ theta

    def loss(self, theta, X, y):
        """J(θ) on the rows given, a 0-d array."""

        def mean_loss(X, y):
            losses = self.sample_losses(self._predict(theta, X, y), y)
            return array_namespace(losses).mean(losses)

        return _mean_over_blocks(mean_loss, X, y, self._width) + _ridge(self.l2, theta)

    def gradient(self, theta, X, y):
        """∇J(θ) = Xᵀ residual(Xθ, y)/n + l2·θ on the rows given, shaped like `theta`."""

        def mean_gradient(X, y):
            return X.T @ self.residual(self._predict(theta, X, y), y) / X.shape[0]

        gradient = _mean_over_blocks(mean_gradient, X, y, self._width)
        return gradient + self.l2 * theta if self.l2 else gradient

    def per_sample_gradients(self, theta, X, y):
        """∇L_i(θ) + l2·θ for every row, shape ``(n, *theta.shape)``."""
        residual = self.residual(self._predict(theta, X, y), y)
        if residual.ndim == 1:
            return X * residual[:, None] + self.l2 * theta
        return X[:, :, None] * residual[:, None, :] + self.l2 * theta

    def squared_gradient_norms(self, theta, X, y):
        """‖∇L_i(θ)‖² = ‖residual_i‖²·‖x_i‖², shape (n,), without the ridge term.

        The ridge term is the same for every sample, so it adds nothing to their variance.
        No array of shape (n, d) is made.
        """
        residual = self.residual(self._predict(theta, X, y), y)
        xp = array_namespace(residual)
        squared = residual * residual if residual.ndim == 1 else xp.vecdot(residual, residual)
        return squared * xp.vecdot(X, X)

    def _predict(self, theta, X, y):
        prediction = self.predict(theta, X)
        if y.shape != prediction.shape[:1]:
            raise ValueError(
                f"y must have shape {prediction.shape[:1]} to match the rows of X, got {y.shape}"
            )
        return prediction

    def check(self, theta, X, y):
        _check_theta(theta, X.shape[1:])


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
    >>> import numpy as np
    >>> X, y = np.array([[1.0], [2.0]]), np.array([0.0, 1.0])
    >>> LogisticRegression().gradient(np.array([0.0]), X, y)
    array([-0.25])
    """

    l2: float = 0.0

    def residual(self, z, y):
        """σ(z) − y, shape (n,); the hyperbolic tangent never overflows."""
        return 0.5 * (1 + array_namespace(z).tanh(0.5 * z)) - y

    def sample_losses(self, z, y):
        """log(1 + eᶻ) − y·z, shape (n,)."""
        xp = array_namespace(z)
        return xp.logaddexp(xp.zeros_like(z), z) - y * z

    def check(self, theta, X, y):
        super().check(theta, X, y)
        xp = array_namespace(y)
        if not to_host(xp.all((y == 0) | (y == 1))):
            raise ValueError("y must hold the labels 0 and 1 for LogisticRegression")


def _scores(inputs, weights):
    """inputs @ weights, laid out class by class: what runs over classes then runs along memory."""
    return (weights.T @ inputs.T).T


class _SoftmaxOutput:
    """Softmax cross-entropy over `n_classes` outputs."""

    def residual(self, z, y):
        """softmax(z) − onehot(y), shape (n, n_classes)."""
        xp = array_namespace(z)
        exponentials = xp.exp(z - xp.max(z, axis=1, keepdims=True))
        probabilities = exponentials / xp.sum(exponentials, axis=1, keepdims=True)
        return probabilities - self._onehot(z, y)

    def sample_losses(self, z, y):
        """log Σ_k exp(z_k) − z_y, shape (n,)."""
        xp = array_namespace(z)
        shifted = z - xp.max(z, axis=1, keepdims=True)
        return xp.log(xp.sum(xp.exp(shifted), axis=1)) - xp.sum(
            shifted * self._onehot(z, y), axis=1
        )

    def _onehot(self, z, y):
        xp = array_namespace(z)
        classes = xp.arange(z.shape[1], dtype=y.dtype, device=y.device)
        return xp.astype(classes[:, None] == y[None, :], z.dtype).T

    def _check_labels(self, y, n_classes):
        xp = array_namespace(y)
        if not to_host(xp.all((y == xp.floor(y)) & (y >= 0) & (y < n_classes))):
            raise ValueError(
                f"y must hold whole class labels 0..{n_classes - 1} for {type(self).__name__}"
            )


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
    >>> import numpy as np
    >>> X, y = np.array([[1.0], [1.0]]), np.array([0.0, 1.0])
    >>> SoftmaxRegression(2).gradient(np.zeros((1, 2)), X, y)
    array([[0., 0.]])
    """

    n_classes: int
    l2: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        n_classes = validation.count("n_classes", self.n_classes, minimum=2)
        object.__setattr__(self, "n_classes", n_classes)

    @property
    def _width(self):
        return self.n_classes

    def predict(self, theta, X):
        return _scores(X, theta)

    def check(self, theta, X, y):
        _check_theta(theta, (X.shape[1], self.n_classes))
        self._check_labels(y, self.n_classes)


@dataclass(frozen=True)
class MLP(_SoftmaxOutput):
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
    >>> import numpy as np
    >>> model = MLP((64, 32, 10))
    >>> model.n_parameters
    2410
    >>> model.initial(np.random.default_rng(0)).shape
    (2410,)

    References
    ----------
    I. Goodfellow (2015), arXiv:1510.01799, for the norms of per-sample gradients.
    """

    layer_sizes: tuple
    l2: float = 0.0

    def __post_init__(self):
        sizes = validation.each("layer_sizes", self.layer_sizes, validation.count)
        if len(sizes) < 2 or sizes[-1] < 2:
            raise ValueError(
                f"layer_sizes must run from the inputs to at least 2 classes, got {sizes}"
            )
        object.__setattr__(self, "layer_sizes", sizes)
        object.__setattr__(self, "l2", validation.non_negative("l2", self.l2))

    @property
    def n_parameters(self):
        """Length of θ: for each layer, outputs times one more than the inputs."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(self.layer_sizes))

    def initial(self, rng=None, like=None, dtype="float64"):
        """Random parameters, shape (n_parameters,): uniform weights (Glorot), zero biases.

        Parameters
        ----------
        rng : numpy.random.Generator, seed or None
        like : array, optional
            Decides the library and the device; NumPy by default.
        dtype : str
            Name of a floating-point type.

        Returns
        -------
        (n_parameters,) array
        """
        rng = np.random.default_rng(rng)
        layers = []
        for fan_in, fan_out in pairwise(self.layer_sizes):
            limit = (6 / (fan_in + fan_out)) ** 0.5
            layers += [rng.uniform(-limit, limit, fan_in * fan_out), np.zeros(fan_out)]
        return asarray(np.concatenate(layers), np.empty(0) if like is None else like, dtype)

    def predict(self, theta, X):
        """Class scores before the softmax, shape (n, n_classes)."""
        return self._activations(self._weights(theta), X)[-1]

    def loss(self, theta, X, y):
        """J(θ) on the rows given, a 0-d array."""

        def mean_loss(X, y):
            losses = self.sample_losses(self.predict(theta, X), y)
            return array_namespace(losses).mean(losses)

        return _mean_over_blocks(mean_loss, X, y, max(self.layer_sizes)) + _ridge(self.l2, theta)

    def gradient(self, theta, X, y):
        """∇J(θ) on the rows given, by back-propagation, shape (n_parameters,)."""
        xp = array_namespace(theta)

        def mean_gradient(X, y):
            layers = []
            for inputs, delta in self._backward(theta, X, y):
                layers += [xp.reshape(inputs.T @ delta, (-1,)), xp.sum(delta, axis=0)]
            return xp.concat(layers) / X.shape[0]

        return _mean_over_blocks(mean_gradient, X, y, max(self.layer_sizes)) + self.l2 * theta

    def per_sample_gradients(self, theta, X, y):
        """∇L_i(θ) + l2·θ for every row, shape (n, n_parameters)."""
        xp = array_namespace(theta)
        n = X.shape[0]
        layers = []
        for inputs, delta in self._backward(theta, X, y):
            layers += [xp.reshape(inputs[:, :, None] * delta[:, None, :], (n, -1)), delta]
        return xp.concat(layers, axis=1) + self.l2 * theta

    def squared_gradient_norms(self, theta, X, y):
        """‖∇L_i(θ)‖² = Σ_layers ‖δ_i‖²·(‖a_i‖² + 1), shape (n,), without the ridge term."""
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
        _check_theta(theta, (self.n_parameters,))
        self._check_labels(y, self.layer_sizes[-1])

    def _weights(self, theta):
        """The matrix and the biases of each layer, as views of θ."""
        xp = array_namespace(theta)
        layers, start = [], 0
        for fan_in, fan_out in pairwise(self.layer_sizes):
            middle, stop = start + fan_in * fan_out, start + (fan_in + 1) * fan_out
            matrix = xp.reshape(theta[start:middle], (fan_in, fan_out))
            layers.append((matrix, theta[middle:stop]))
            start = stop
        return layers

    def _activations(self, layers, X):
        """The inputs of every layer, and the scores at the end."""
        xp = array_namespace(X)
        *hidden, (matrix, bias) = layers
        activations = [X]
        for weights, biases in hidden:
            activations.append(xp.tanh(activations[-1] @ weights + biases))
        return [*activations, _scores(activations[-1], matrix) + bias]

    def _backward(self, theta, X, y):
        """For each layer, first to last, its inputs (n, in) and the slopes δ (n, out) of L_i."""
        layers = self._weights(theta)
        *inputs, scores = self._activations(layers, X)
        delta = self.residual(scores, y)
        slopes = [delta]
        for (matrix, _), activation in zip(reversed(layers[1:]), reversed(inputs[1:]), strict=True):
            delta = (delta @ matrix.T) * (1 - activation**2)
            slopes.append(delta)
        return list(zip(inputs, reversed(slopes), strict=True))


def weighted_mean(function, parts):
    """The mean over all rows, from the mean that `function` gives for each (X, y) of `parts`."""
    total, n_samples = 0.0, 0
    for X, y in parts:
        total = total + X.shape[0] * function(X, y)
        n_samples += X.shape[0]
    return total / n_samples


def _mean_over_blocks(function, X, y, width):
    """`function(X, y)`, a mean over rows, from blocks of rows that fit in a processor's cache.

    X is then read from memory once, and what is made on the way is as large as a block.
    """
    n, block = X.shape[0], block_rows(X, width)
    if n <= block or y.shape != (n,):
        return function(X, y)
    return weighted_mean(function, ((X[part, ...], y[part]) for part in blocks(n, block)))


def _ridge(l2, theta):
    return 0.5 * l2 * array_namespace(theta).sum(theta * theta) if l2 else 0.0


def _check_theta(theta, shape):
    if theta.shape != tuple(shape):
        raise ValueError(f"theta must have shape {tuple(shape)} for this X, got {theta.shape}")


def compress(X, y):
    """Least squares in at most d + 1 rows: the same J(θ) at every θ as with all n.

    The triangle R of a QR factorisation of [X y] has the same inner products as [X y]. Its
    rows, scaled by √(rows/n) because J is a mean, therefore give the same loss and the same
    gradient, and so the same full-batch path, at O(d²) a step. The condition number is that
    of X; forming XᵀX would square it. The rows are read once, a block at a time.

    Parameters
    ----------
    X : (n, d) array
    y : (n,) array

    Returns
    -------
    X_small : (min(n, d + 1), d) array
    y_small : (min(n, d + 1),) array

    Raises
    ------
    ValueError, TypeError
        For shapes that disagree, no rows, values that are not finite, or a precision other
        than single and double.

    References
    ----------
    G. H. Golub and C. F. Van Loan, *Matrix Computations* (4th ed., 2013), section 5.3.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.arange(12.0).reshape(6, 2), np.ones(6)
    >>> X_small, y_small = compress(X, y)
    >>> theta = np.array([0.5, -1.0])
    >>> X_small.shape, np.isclose(
    ...     LeastSquares().loss(theta, X, y), LeastSquares().loss(theta, X_small, y_small)
    ... )
    ((3, 2), np.True_)
    """
    X, y = validation.data(X, y)
    xp = array_namespace(X)
    if X.dtype not in (xp.float32, xp.float64):
        raise TypeError(f"X must be float32 or float64 to be compressed, got {X.dtype}: convert it")
    n, d = X.shape
    block = max(4 * (d + 1), 2**16 // (d + 1))
    triangle = xp.zeros((0, d + 1), dtype=X.dtype, device=X.device)
    for part in blocks(n, block):
        joined = xp.concat([X[part, ...], y[part, None]], axis=1)
        triangle = xp.linalg.qr(xp.concat([triangle, joined])).R
    scaled = triangle * (triangle.shape[0] / n) ** 0.5
    return scaled[:, :d], scaled[:, d]

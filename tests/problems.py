"""Small random problems that fit each objective: what the tests of several modules share."""

import numpy as np

import gdcourse as gd

N_FEATURES = 4

OBJECTIVES = [
    gd.LeastSquares(),
    gd.LeastSquares(l2=0.3),
    gd.LogisticRegression(),
    gd.LogisticRegression(l2=0.3),
    gd.SoftmaxRegression(3),
    gd.SoftmaxRegression(3, l2=0.3),
    gd.MLP((N_FEATURES, 5, 3)),
    gd.MLP((N_FEATURES, 3, 5, 3), l2=0.3),
]


def problem(objective, n=12, seed=0, dtype=np.float64):
    """Random θ, X and y that fit the objective."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, N_FEATURES))
    if isinstance(objective, gd.LeastSquares):
        y = rng.standard_normal(n)
        theta = rng.standard_normal(N_FEATURES)
    elif isinstance(objective, gd.LogisticRegression):
        y = rng.integers(2, size=n)
        theta = rng.standard_normal(N_FEATURES)
    elif isinstance(objective, gd.SoftmaxRegression):
        y = rng.integers(objective.n_classes, size=n)
        theta = rng.standard_normal((N_FEATURES, objective.n_classes))
    else:
        y = rng.integers(objective.layer_sizes[-1], size=n)
        theta = rng.standard_normal(objective.n_parameters)
    return theta.astype(dtype), X.astype(dtype), y.astype(dtype)


class Quartic:
    """A reader's own objective, mean((Xθ − y)⁴)/4, with the three methods that are asked for."""

    def __repr__(self):
        return "Quartic()"

    def loss(self, theta, X, y):
        z = X @ theta - y
        return (z**4).mean() / 4

    def gradient(self, theta, X, y):
        return X.T @ (X @ theta - y) ** 3 / X.shape[0]

    def per_sample_gradients(self, theta, X, y):
        return X * ((X @ theta - y) ** 3)[:, None]

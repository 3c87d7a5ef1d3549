"""Problems with known answers, and real data that ship inside scikit-learn, without a download."""

from typing import Any, NamedTuple

import numpy as np

from gdcourse.base import validation
from gdcourse.base.backend import asarray, take_rows

__all__ = [
    "breast_cancer",
    "china",
    "diabetes",
    "digits",
    "linear_problem",
    "split",
    "token_problem",
    "wine",
]


class LinearProblem(NamedTuple):
    """A least-squares problem and the parameters that made it."""

    X: Any
    y: Any
    theta: Any


def linear_problem(n_samples, n_features, *, noise=0.1, condition=1.0, rng=None, xp=np):
    """Gaussian features, a random linear truth, and Gaussian noise.

    Parameters
    ----------
    n_samples, n_features : int
        n and d: rows and columns of X.
    noise : float
        Standard deviation of what is added to y.
    condition : float
        Condition number of the covariance of the features, 1 or more: their variances fall
        evenly on a log scale from 1 to 1/condition.
    rng : numpy.random.Generator, seed or None
        Decides the problem: the same seed, the same rows.
    xp : module
        Array library of the result.

    Returns
    -------
    X : (n_samples, n_features) array
    y : (n_samples,) array
    theta : (n_features,) array
        The truth: y = Xθ + noise.

    Examples
    --------
    >>> X, y, theta = linear_problem(100, 3, noise=0.0, rng=0)
    >>> bool(np.allclose(X @ theta, y))
    True
    """
    n_samples = validation.check_count("n_samples", n_samples)
    n_features = validation.check_count("n_features", n_features)
    noise = validation.check_non_negative("noise", noise)
    if validation.check_positive("condition", condition) < 1:
        raise ValueError(f"condition must be 1 or more, got {condition}")
    rng = validation.check_rng(rng)
    scales = np.geomspace(1, condition**-0.5, n_features)
    X = rng.standard_normal((n_samples, n_features)) * scales
    theta = rng.standard_normal(n_features)
    y = X @ theta + noise * rng.standard_normal(n_samples)
    return LinearProblem(xp.asarray(X), xp.asarray(y), xp.asarray(theta))


class TokenProblem(NamedTuple):
    """The tokens of texts, one text after another, and how many tokens each text has."""

    X: Any
    y: Any
    lengths: np.ndarray


def token_problem(n_texts, *, rng=None, xp=np):
    """Short and long texts of random tokens, a row of 8 numbers each, with one of 5 labels.

    A text has 2 to 5 or 30 to 59 tokens, with equal chances. The labels follow a random softmax
    model, in which label 0 is more frequent in short texts: so a mean over texts is not a mean
    over tokens.

    Parameters
    ----------
    n_texts : int
        How many texts are made.
    rng : numpy.random.Generator, seed or None
        Draws the texts and their labels.
    xp : module
        Array library of `X` and `y`.

    Returns
    -------
    X : (n_tokens, 8) array
    y : (n_tokens,) array of labels 0..4
    lengths : (n_texts,) NumPy array
        Their sum is the number of tokens.

    Examples
    --------
    >>> X, y, lengths = token_problem(4, rng=0)
    >>> X.shape == (lengths.sum(), 8), y.shape == (lengths.sum(),)
    (True, True)
    """
    n_texts = validation.check_count("n_texts", n_texts)
    rng = np.random.default_rng(rng)
    truth = rng.standard_normal((8, 5))
    texts = []
    for _ in range(n_texts):
        short = rng.random() < 0.5
        length = rng.integers(2, 6) if short else rng.integers(30, 60)
        tokens = rng.standard_normal((length, 8))
        scores = tokens @ truth + rng.gumbel(size=(length, 5))
        scores[:, 0] += 1.5 * short
        texts.append((tokens, scores.argmax(axis=1) * 1.0))
    X, y = (np.concatenate(parts) for parts in zip(*texts, strict=True))
    return TokenProblem(xp.asarray(X), xp.asarray(y), np.array([len(text) for text, _ in texts]))


def diabetes(*, standardise=True, xp=np):
    """442 patients, 10 measurements, and the progress of the disease a year later.

    Parameters
    ----------
    standardise : bool
        Whether to scale as described below; otherwise the values are as they come.
    xp : module
        Array library of the result.

    Returns
    -------
    X : (442, 10) array
    y : (442,) array
        With `standardise`, features and target have mean 0 and variance 1, so no intercept is
        needed; XᵀX/n then has a condition number of about 470.

    References
    ----------
    B. Efron, T. Hastie, I. Johnstone and R. Tibshirani (2004), doi:10.1214/009053604000000067.
    """
    X, y = _load("load_diabetes", scaled=False)
    if standardise:
        X, y = _standardise(X), _standardise(y)
    return xp.asarray(X), xp.asarray(y)


def digits(*, standardise=True, xp=np):
    """1797 handwritten digits of 8×8 pixels, in 10 classes of nearly equal size.

    Parameters
    ----------
    standardise : bool
        Whether to scale as described below; otherwise the values are as they come.
    xp : module
        Array library of the result.

    Returns
    -------
    X : (1797, 65) array, or (1797, 64) as they come
        With `standardise`, grey values from 0 to 1 in place of 0 to 16, and a column of ones
        at the end for the intercepts.
    y : (1797,) array of labels 0..9

    References
    ----------
    E. Alpaydin and C. Kaynak (1998), doi:10.24432/C50P49.
    """
    X, y = _load("load_digits")
    return xp.asarray(_with_ones(X / 16) if standardise else X), xp.asarray(y)


def breast_cancer(*, standardise=True, xp=np):
    """569 tumours, 30 measurements, malignant (0, 212 of them) or benign (1, 357).

    Parameters
    ----------
    standardise : bool
        Whether to scale as described below; otherwise the values are as they come.
    xp : module
        Array library of the result.

    Returns
    -------
    X : (569, 31) array, or (569, 30) as they come
        With `standardise`, features of mean 0 and variance 1, and a column of ones at the end
        for the intercept. A plane separates the classes.
    y : (569,) array of labels 0 and 1

    References
    ----------
    W. Wolberg, O. Mangasarian, N. Street and W. Street (1995), doi:10.24432/C5DW2B.
    """
    X, y = _load("load_breast_cancer")
    return xp.asarray(_with_ones(_standardise(X)) if standardise else X), xp.asarray(y)


def wine(*, standardise=True, xp=np):
    """178 wines, 13 measurements, of three growers (59, 71 and 48).

    Parameters
    ----------
    standardise : bool
        Whether to scale as described below; otherwise the values are as they come.
    xp : module
        Array library of the result.

    Returns
    -------
    X : (178, 14) array, or (178, 13) as they come
        With `standardise`, features of mean 0 and variance 1, and a column of ones at the end
        for the intercepts. Raw, their scales differ by thousands.
    y : (178,) array of labels 0..2

    References
    ----------
    S. Aeberhard and M. Forina (1991), doi:10.24432/C5PC7J.
    """
    X, y = _load("load_wine")
    return xp.asarray(_with_ones(_standardise(X)) if standardise else X), xp.asarray(y)


def china(*, standardise=True, xp=np):
    """A photograph of a temple: the green of each pixel, and the colours of those around it.

    Each of the 425 × 638 pixels that are not on the edge is a row. The rows lie as the picture
    is read, line by line, so neighbouring rows are much alike. Decoding the picture needs Pillow.

    Parameters
    ----------
    standardise : bool
        Whether to scale as described below; otherwise the values are as they come.
    xp : module
        Array library of the result.

    Returns
    -------
    X : (271150, 24) array
        Red, green and blue of the 8 pixels around, from the upper left to the lower right,
        from 0 to 1.
    y : (271150,) array
        The green of the pixel itself.
        With `standardise`, features and target have mean 0 and variance 1, so no intercept is
        needed; XᵀX/n then has a condition number of about 37,000.
    """
    picture = _sklearn_datasets().load_sample_image("china.jpg") / 255
    windows = np.lib.stride_tricks.sliding_window_view(picture, (3, 3), axis=(0, 1))
    pixels = np.moveaxis(windows, 2, -1).reshape(-1, 9, 3)
    X = np.delete(pixels, 4, axis=1).reshape(-1, 24)
    y = pixels[:, 4, 1]
    if standardise:
        X, y = _standardise(X), _standardise(y)
    return xp.asarray(X), xp.asarray(y)


def split(X, y, *sizes, rng=None):
    """Disjoint random parts of the rows, such as training, validation and test.

    Parameters
    ----------
    X : (n, d) array
        Features, one sample a row.
    y : (n,) array
        Targets or class labels, one for each row of X.
    *sizes : int
        Rows of each part; their sum is at most n.
    rng : numpy.random.Generator, seed or None
        Decides which rows go where.

    Returns
    -------
    list of (X_part, y_part) pairs

    Examples
    --------
    >>> X, y = np.arange(6.0)[:, None], np.arange(6.0)
    >>> [len(y_part) for _, y_part in split(X, y, 4, 2, rng=0)]
    [4, 2]
    """
    X, y = validation.check_data(X, y)
    n = X.shape[0]
    sizes = validation.check_each("sizes", sizes, validation.check_count)
    if sum(sizes) > n:
        raise ValueError(f"sizes must add up to at most {n} rows, got {sum(sizes)}")
    order = validation.check_rng(rng).permutation(n)
    parts = np.split(order, np.cumsum(sizes))[: len(sizes)]
    return [
        (take_rows(X, part), take_rows(y, part)) for part in (asarray(p, like=X) for p in parts)
    ]


def _load(name, **options):
    bunch = getattr(_sklearn_datasets(), name)(**options)
    return bunch.data, bunch.target.astype(float)


def _sklearn_datasets():
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            "the real data come with scikit-learn: `pip install scikit-learn`"
        ) from error
    return datasets


def _standardise(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def _with_ones(X):
    return np.column_stack([X, np.ones(len(X))])

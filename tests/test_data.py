"""Problems whose answers are known, and the real data as they come."""

import sys

import numpy as np
import pytest
from sklearn import datasets

import gdcourse as gd
from gdcourse.lesson import data


@pytest.mark.parametrize("condition", [1.0, 10.0, 470.0])
def test_a_linear_problem_has_the_condition_asked_for(condition):
    """Of n = 20 000 rows and d = 5 columns, eigenvalues are off by about 2·√(d/n) = 3%."""
    X, y, theta = data.linear_problem(20_000, 5, condition=condition, noise=0.3, rng=0)
    assert X.shape == (20_000, 5)
    assert theta.shape == (5,)
    eigenvalues = np.linalg.eigvalsh(X.T @ X / len(X))
    assert eigenvalues[-1] / eigenvalues[0] == pytest.approx(condition, rel=0.1)
    assert np.std(y - X @ theta) == pytest.approx(0.3, rel=0.02)  # 4 standard errors


def test_texts_are_short_or_long_and_short_ones_say_zero_more_often(xp):
    X, y, lengths = data.token_problem(400, rng=0, xp=xp.namespace)
    X, y = gd.to_host(X), gd.to_host(y)
    assert X.shape == (lengths.sum(), 8)
    assert set(np.unique(y)) == set(range(5))
    short = lengths < 6
    assert np.all((lengths >= 30) & (lengths < 60) | (lengths >= 2) & short)
    assert abs(short.mean() - 0.5) < 4 * 0.5 / 20  # four standard errors of 400 texts
    of_short = np.repeat(short, lengths)
    assert (y[of_short] == 0).mean() > (y[~of_short] == 0).mean() + 0.1


def test_a_linear_problem_without_noise_is_exact(xp):
    space = xp.namespace
    problem = data.linear_problem(30, 4, noise=0, rng=1, xp=space)
    X, y, theta = map(gd.to_host, problem)
    np.testing.assert_allclose(X @ theta, y)
    again = data.linear_problem(30, 4, noise=0, rng=1)
    np.testing.assert_array_equal(X, again.X)


@pytest.mark.parametrize(
    ("load", "raw", "prepared", "classes"),
    [
        (data.diabetes, (442, 10), (442, 10), None),
        (data.digits, (1797, 64), (1797, 65), 10),
        (data.breast_cancer, (569, 30), (569, 31), 2),
        (data.wine, (178, 13), (178, 14), 3),
    ],
)
def test_real_data_have_their_shapes(xp, load, raw, prepared, classes):
    X, y = map(gd.to_host, load(xp=xp.namespace))
    assert X.shape == prepared
    assert y.shape == X.shape[:1]
    assert np.all(np.isfinite(X))
    assert load(standardise=False)[0].shape == raw
    if classes:
        np.testing.assert_array_equal(np.unique(y), np.arange(classes))
        np.testing.assert_array_equal(X[:, -1], 1)


@pytest.mark.parametrize("load", [data.diabetes, data.breast_cancer, data.wine])
def test_standardised_features_have_mean_zero_and_variance_one(load):
    X, y = load()
    features = X if load is data.diabetes else X[:, :-1]
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(features.var(axis=0), 1)
    if load is data.diabetes:
        assert np.mean(y) == pytest.approx(0, abs=1e-12)
        assert np.var(y) == pytest.approx(1)


def test_grey_values_run_from_0_to_1():
    X, _ = data.digits()
    assert (X.min(), X.max()) == (0, 1)


def test_the_photograph_gives_each_pixel_its_eight_neighbours():
    """Against the picture itself, at its corners, its centre and a hundred random pixels."""
    picture = datasets.load_sample_image("china.jpg") / 255
    X, y = data.china(standardise=False)
    height, width = picture.shape[0] - 2, picture.shape[1] - 2
    assert X.shape == (height * width, 24) == (271_150, 24)
    for row in [0, width - 1, *np.random.default_rng(0).integers(len(X), size=100), len(X) - 1]:
        i, j = divmod(row, width)
        window = picture[i : i + 3, j : j + 3].reshape(9, 3)
        np.testing.assert_array_equal(X[row], np.delete(window, 4, axis=0).ravel())
        assert y[row] == window[4, 1]


def test_the_standardised_photograph_is_as_documented():
    X, y = data.china()
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose([*X.var(axis=0), y.var()], 1)
    assert np.linalg.cond(X.T @ X / len(X)) == pytest.approx(37_000, rel=0.05)


def test_the_condition_number_of_diabetes_is_what_the_chapter_says():
    X, _ = data.diabetes()
    assert np.linalg.cond(X.T @ X / len(X)) == pytest.approx(470, rel=0.01)


def test_the_classes_of_the_tumours_are_as_documented():
    assert np.bincount(data.breast_cancer()[1].astype(int)).tolist() == [212, 357]
    assert np.bincount(data.wine()[1].astype(int)).tolist() == [59, 71, 48]


def test_parts_of_a_split_are_disjoint_and_keep_rows_together(xp):
    X, y = np.arange(20.0)[:, None] * [1, 10], np.arange(20.0)
    parts = data.split(xp.asarray(X), xp.asarray(y), 9, 6, 3, rng=4)
    hosts = [tuple(map(gd.to_host, part)) for part in parts]
    assert [len(y_part) for _, y_part in hosts] == [9, 6, 3]
    used = np.concatenate([y_part for _, y_part in hosts])
    assert len(np.unique(used)) == 18
    for X_part, y_part in hosts:
        np.testing.assert_array_equal(X_part, y_part[:, None] * [1, 10])


def test_a_split_is_random_and_kept_by_its_seed():
    X, y = np.arange(20.0)[:, None], np.arange(20.0)
    draws = [data.split(X, y, 20, rng=seed)[0][1].tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert draws[0] != sorted(draws[0])
    assert data.split(X, y) == []


def test_real_data_without_scikit_learn_name_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"scikit-learn: `pip install scikit-learn`"):
        data.wine()

"""Peak memory above the data is that of a block and of a few values a row, never n·d."""

import tracemalloc

import numpy as np
import pytest

import gdcourse as gd

N, D, K = 100_000, 100, 3
ALLOWED = 8e6  # bytes: a tenth of the data; a value for every row is 0.8e6
MODELS = {
    "least squares": (gd.LeastSquares(), D),
    "logistic": (gd.LogisticRegression(l2=0.1), D),
    "softmax": (gd.SoftmaxRegression(K), (D, K)),
    "MLP": (gd.MLP((D, 8, K)), gd.MLP((D, 8, K)).n_parameters),
}


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    """X as a read-only memory map of 80 MB, and labels 0 and 1."""
    path = tmp_path_factory.mktemp("data") / "X.npy"
    rng = np.random.default_rng(0)
    np.save(path, rng.standard_normal((N, D)))
    return np.load(path, mmap_mode="r"), rng.integers(0, 2, N).astype(float)


def peak_of(run):
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def one_epoch(batches):
    def run(model, theta, X, y):
        return gd.descend(
            X, y, theta, objective=model, batches=batches, learning_rate=0.01, n_epochs=1, rng=0
        )

    return run


TASKS = {
    "evaluate": gd.evaluate,
    "gradient_variance": gd.gradient_variance,
    "noise_scale": gd.noise_scale,
    "full batch": one_epoch(gd.FullBatch()),
    "64 rows a step": one_epoch(gd.Shuffled(64)),
    "1024 rows a step": one_epoch(gd.WithReplacement(1024)),
}
CASES = [(model, task) for model in MODELS for task in TASKS] + [("least squares", "compress")]


@pytest.mark.parametrize(("model", "task"), CASES)
def test_memory_above_the_data_is_that_of_a_block(on_disk, model, task):
    X, y = on_disk
    objective, shape = MODELS[model]
    theta = np.zeros(shape)
    run = TASKS.get(task, lambda model, theta, X, y: gd.compress(X, y))
    run(objective, theta, X[:2000], y[:2000])  # what is compiled or cached, once
    assert peak_of(lambda: run(objective, theta, X, y)) < ALLOWED


@pytest.mark.parametrize("objective", [gd.MLP((2, 500, 2)), gd.SoftmaxRegression(500)], ids=repr)
def test_a_wide_model_of_a_narrow_row_takes_small_blocks(objective):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50_000, 2)), rng.integers(0, 2, 50_000).astype(float)
    theta = np.zeros(getattr(objective, "n_parameters", (2, 500)))
    assert peak_of(lambda: gd.evaluate(objective, theta, X, y)) < ALLOWED


def test_the_pairs_of_features_of_a_floor_come_in_blocks():
    """40 features make 820 pairs: for all rows at once these take 131 MB, their squares 5."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20_000, 40)), rng.standard_normal(20_000)
    assert peak_of(lambda: gd.noise_floor(X, y, 1e-3)) < 60e6

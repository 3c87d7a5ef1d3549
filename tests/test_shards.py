"""Shards on disk: what comes back is what was written, and no path changes by reading it there."""

import pickle
import subprocess
import sys
import threading
import tracemalloc
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import OBJECTIVES, Quartic, problem

import gdcourse as gd
from gdcourse import schedules
from gdcourse.engine import sharded as shards
from gdcourse.lesson import data

N = 103
LABELS = np.arange(N) % 3
SCHEMES = [
    gd.FullBatch(),
    gd.InOrder(3),
    gd.Shuffled(1),
    gd.Shuffled(20, drop_last=True),
    gd.ShuffledOnce(7),
    gd.WithReplacement(4),
    gd.BlockShuffled(4, block_size=10, buffer_blocks=2),
    gd.Stratified(5, labels=LABELS),
    gd.Balanced(5, labels=LABELS),
]
every_objective = pytest.mark.parametrize("objective", [*OBJECTIVES, Quartic()], ids=repr)


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of 7 rows of 4 numbers, so that small problems meet every boundary."""
    monkeypatch.setattr(shards, "PIECE", 7 * 4 * 8)


def sharded(directory, X, y, *lengths):
    """X and y in shards of these lengths, which `write_shards` would not cut."""
    directory.mkdir(exist_ok=True)
    cuts = np.cumsum(lengths)[:-1]
    for name, array in ("X", X), ("y", y):
        for k, part in enumerate(np.split(array, cuts)):
            np.save(directory / f"{name}-{k:05d}-of-{len(lengths):05d}.npy", part)
    return gd.open_shards(directory)


def on_disk(directory, objective, n=N, dtype=np.float64):
    """A problem, and the same X and y in ragged shards."""
    kind = gd.LeastSquares() if isinstance(objective, Quartic) else objective
    theta, X, y = problem(kind, n, dtype=dtype)
    return theta, X, y, *sharded(directory, X, y, 1, n // 2, 0, n - 3 - n // 2, 2)


# What is written and read


@given(st.data(), st.integers(1, 60), st.integers(1, 70), st.integers(1, 300))
def test_any_rows_come_back_as_they_were(tmp_path_factory, data, n, rows_per_shard, piece):
    X, y = np.arange(3.0 * n).reshape(n, 3), -np.arange(1.0 * n)
    directory = tmp_path_factory.mktemp("shards")
    gd.write_shards(directory, X, y, rows_per_shard)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "PIECE", piece)
        for whole, there in zip((X, y), gd.open_shards(directory), strict=True):
            assert (there.shape, there.ndim, there.dtype) == (whole.shape, whole.ndim, whole.dtype)
            assert len(there) == n
            chosen = data.draw(st.lists(st.integers(-n, n - 1), max_size=50))
            np.testing.assert_array_equal(there[chosen], whole[np.array(chosen, int)])
            part = slice(*data.draw(st.tuples(*[st.integers(-70, 70)] * 2)), data.draw(st.just(3)))
            for cut in (part, slice(part.start, part.stop), slice(None)):
                np.testing.assert_array_equal(there[cut], whole[cut])
            np.testing.assert_array_equal(there[n - 1], whole[-1])
            np.testing.assert_array_equal(np.asarray(there), whole)


def test_precision_is_kept_and_whole_numbers_become_floats(tmp_path):
    gd.write_shards(tmp_path / "single", np.ones((5, 2), np.float32), np.arange(5), 2)
    gd.write_shards(tmp_path / "whole", np.ones((5, 2), int), np.arange(5) > 2, 2)
    assert [a.dtype for a in gd.open_shards(tmp_path / "single")] == [np.float32] * 2
    assert [a.dtype for a in gd.open_shards(tmp_path / "whole")] == [np.float64] * 2


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8"])
def test_what_is_written_can_be_opened(tmp_path, dtype):
    X, y = np.arange(10.0).reshape(5, 2).astype(dtype), np.arange(5.0).astype(dtype)
    gd.write_shards(tmp_path, X[::-1, ::-1], y[::-1], 2)
    X_there, y_there = gd.open_shards(tmp_path)
    assert X_there.dtype == y_there.dtype == ("f8" if dtype.endswith("8") else "f4")
    np.testing.assert_array_equal(X_there[:], X[::-1, ::-1])
    np.testing.assert_array_equal(y_there[:], y[::-1])


@pytest.mark.skipif(np.finfo(np.longdouble).bits == 64, reason="nothing wider on this machine")
def test_what_would_be_rounded_is_not_written(tmp_path):
    with pytest.raises(TypeError, match="X must fit in float32 or float64"):
        gd.write_shards(tmp_path, np.ones((5, 2), np.longdouble), np.ones(5), 2)
    assert not list(tmp_path.iterdir())


def test_there_are_no_more_shards_than_their_names_can_count(tmp_path):
    X = np.broadcast_to(1.0, (100_000, 1))
    with pytest.raises(ValueError, match="rows_per_shard must be at least 2, got 1"):
        gd.write_shards(tmp_path / "shards", X, X[:, 0], 1)
    assert not list(tmp_path.iterdir())


def test_shards_can_be_cut_anew_and_sent(tmp_path):
    X, y = np.arange(22.0).reshape(11, 2), np.arange(11.0)
    gd.write_shards(tmp_path / "a", X, y, 4)
    gd.write_shards(tmp_path / "b", *gd.open_shards(tmp_path / "a"), 3)
    X_there, y_there = pickle.loads(pickle.dumps(gd.open_shards(tmp_path / "b")))
    np.testing.assert_array_equal(X_there[:], X)
    np.testing.assert_array_equal(y_there[:], y)
    assert [shard.shape for shard in X_there.shards] == [(3, 2)] * 3 + [(2, 2)]


def test_only_whole_rows_are_given(tmp_path):
    gd.write_shards(tmp_path, np.ones((11, 2)), np.ones(11), 4)
    X, y = gd.open_shards(tmp_path)
    assert X[3, ...].shape == (2,)
    for array, chosen in (X, (3, 1)), (X, ()), (X, (0, np.array([1, 2]))), (y, (3, 1)):
        with pytest.raises(TypeError, match="a ShardedArray gives whole rows"):
            array[chosen]
    with pytest.raises(ValueError, match="axis must be 0, got 1"):
        X.take([0], axis=1)


def test_a_single_number_is_no_shard(tmp_path):
    for name in "Xy":
        np.save(tmp_path / f"{name}-00000-of-00001.npy", np.array(1.0))
    with pytest.raises(ValueError, match=r"X-00000-of-00001\.npy holds a single number"):
        gd.open_shards(tmp_path)


@pytest.mark.parametrize("rows", [[11], [-12], [0, 11]])
def test_a_row_that_is_not_there_is_an_error(tmp_path, rows):
    gd.write_shards(tmp_path, np.ones((11, 2)), np.ones(11), 4)
    with pytest.raises(IndexError, match=r"row -?1\d is out of bounds for 11 rows"):
        gd.open_shards(tmp_path)[0][rows]


@pytest.mark.parametrize("kind", "bBhHiIlLqQ")
def test_rows_may_be_told_in_any_kind_of_whole_number(tmp_path, kind):
    X = np.arange(600.0).reshape(300, 2)
    gd.write_shards(tmp_path, X, X[:, 0], 100)
    chosen = np.array([5, 0, 127, -1 if kind.islower() else 2]).astype(kind)
    np.testing.assert_array_equal(gd.open_shards(tmp_path)[0][chosen], X[chosen])


@pytest.mark.parametrize("rows", [[0.5], [[1, 2]], [True, False]])
def test_only_whole_numbers_choose_rows(tmp_path, rows):
    gd.write_shards(tmp_path, np.ones((11, 2)), np.ones(11), 4)
    with pytest.raises(TypeError, match="rows must be a slice, or whole numbers"):
        gd.open_shards(tmp_path)[0][rows]


# What is wrong with the files


def test_shards_do_not_mix_with_others(tmp_path):
    gd.write_shards(tmp_path, np.ones((4, 2)), np.ones(4), 2)
    with pytest.raises(FileExistsError, match="holds shards already"):
        gd.write_shards(tmp_path, np.zeros((9, 2)), np.ones(9), 2)
    assert gd.open_shards(tmp_path)[0][:].sum() == 8


def test_what_was_written_before_a_bad_value_is_removed(tmp_path):
    X = np.ones((9, 2))
    X[7, 1] = np.nan
    with pytest.raises(ValueError, match="X must be finite"):
        gd.write_shards(tmp_path, X, np.ones(9), 2)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_by_the_file_and_left_empty(tmp_path, monkeypatch):
    def fails(file, array):
        file.write(b"half")
        raise OSError("1000 requested and 496 written")

    monkeypatch.setattr(np, "save", fails)
    with pytest.raises(OSError, match="1000 requested") as told:
        gd.write_shards(tmp_path, np.ones((9, 2)), np.ones(9), 2)
    assert "X-00000-of-00005.npy was written" in told.value.__notes__[0]
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_write_at_the_same_time_one_is_told(tmp_path, monkeypatch):
    """They may both have found the directory empty; nothing of theirs is mixed or removed."""
    save = np.save

    def slow(file, array):
        monkeypatch.setattr(np, "save", save)
        with pytest.raises(FileExistsError, match="holds shards already: choose another"):
            gd.write_shards(tmp_path, np.zeros((4, 2)), np.zeros(4), 2)
        save(file, array)

    monkeypatch.setattr(shards, "_files", lambda directory, name: [])
    monkeypatch.setattr(np, "save", slow)
    gd.write_shards(tmp_path, np.ones((4, 2)), np.ones(4), 2)
    monkeypatch.undo()
    np.testing.assert_array_equal(gd.open_shards(tmp_path)[0], np.ones((4, 2)))


@pytest.mark.parametrize("name", ["X-00000-of-00003.npy", "X-00002-of-00003.npy"])
@pytest.mark.parametrize("which", ["X", "y"])
def test_a_missing_shard_is_named(tmp_path, name, which):
    gd.write_shards(tmp_path, np.ones((6, 2)), np.ones(6), 2)
    name = name.replace("X", which)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing"):
        gd.open_shards(tmp_path)


@pytest.mark.parametrize("size", [0, 5, 60, 128, 159])
@pytest.mark.parametrize("name", ["X-00001-of-00003.npy", "y-00002-of-00003.npy"])
def test_a_shard_cut_short_is_named(tmp_path, size, name):
    gd.write_shards(tmp_path, np.ones((30, 2)), np.ones(30), 10)
    cut(tmp_path / name, size)
    with pytest.raises(ValueError, match=f"{name} (is cut short|has no whole .npy header)"):
        gd.open_shards(tmp_path)


def test_a_flipped_bit_of_a_header_is_told_by_the_name_or_harmless(tmp_path):
    X = np.random.default_rng(0).standard_normal((20, 3))
    gd.write_shards(tmp_path, X, X[:, 0], 10)
    file = tmp_path / "X-00001-of-00002.npy"
    whole, told = file.read_bytes(), []
    for place in range(128):
        for bit in (1, 2, 4, 64):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # NumPy takes some for a header of Python 2
                    there, _ = gd.open_shards(tmp_path)
            except (ValueError, TypeError) as error:
                told.append(str(error))
            else:
                np.testing.assert_array_equal(there[:], X)
    assert len(told) > 400
    assert all(file.name in text for text in told)


def test_other_files_are_no_shards(tmp_path):
    for name in ("X-00000-of-00001.csv", "X-00000-of-00003.npy.bak"):
        (tmp_path / name).write_text("1,2")
    gd.write_shards(tmp_path, np.ones((6, 2)), np.ones(6), 3)
    assert gd.open_shards(tmp_path)[0].shape == (6, 2)


def test_a_shard_that_disagrees_is_named(tmp_path):
    X, y = np.ones((6, 2)), np.ones(6)
    for k, (bad_X, bad_y, name) in enumerate(
        [
            (np.ones((2, 3)), y[:2], "X-00001"),
            (X[:2].astype(np.float32), y[:2], "X-00001"),
            (X[:2], y[:1], "y-00001"),
            (X[:2], y[:2, None], "y-00001"),
        ]
    ):
        gd.write_shards(tmp_path / str(k), X, y, 2)
        np.save(tmp_path / str(k) / "X-00001-of-00003.npy", bad_X)
        np.save(tmp_path / str(k) / "y-00001-of-00003.npy", bad_y)
        with pytest.raises(ValueError, match=f"{name}-of-00003.npy must have shape"):
            gd.open_shards(tmp_path / str(k))


@pytest.mark.parametrize("bad", [np.ones((2, 2), int), np.ones((2, 2), ">f8")])
def test_a_shard_of_another_kind_of_number_is_named(tmp_path, bad):
    gd.write_shards(tmp_path, np.ones((6, 2)), np.ones(6), 2)
    np.save(tmp_path / "X-00001-of-00003.npy", bad)
    with pytest.raises(TypeError, match=r"X-00001-of-00003.npy must hold float32 or float64"):
        gd.open_shards(tmp_path)


def test_a_shard_that_lies_column_by_column_is_named(tmp_path):
    gd.write_shards(tmp_path, np.ones((6, 2)), np.ones(6), 2)
    np.save(tmp_path / "X-00001-of-00003.npy", np.ones((2, 2), order="F"))
    with pytest.raises(ValueError, match=r"X-00001-of-00003.npy lies column by column"):
        gd.open_shards(tmp_path)


def test_two_sets_of_shards_are_not_taken_for_one(tmp_path):
    gd.write_shards(tmp_path, np.ones((6, 2)), np.ones(6), 2)
    np.save(tmp_path / "X-00000-of-00001.npy", np.ones((6, 2)))
    with pytest.raises(ValueError, match=r"sets of \[1, 3\] shards"):
        gd.open_shards(tmp_path)


@pytest.mark.parametrize("batches", [gd.FullBatch(), gd.Shuffled(3)], ids=repr)
@pytest.mark.parametrize("when", [0, 5])
def test_a_shard_cut_short_in_mid_run_is_named(tmp_path, small_pieces, batches, when):
    theta, _, _, X, y = on_disk(tmp_path, gd.LeastSquares())

    def rate(step):
        if step == when:
            cut(tmp_path / "X-00003-of-00005.npy", 200)
        return 0.1

    with pytest.raises(ValueError, match=r"X-00003-of-00005.npy is cut short"):
        gd.descend(X, y, theta, batches=batches, learning_rate=rate, n_epochs=9, rng=0)
    assert not readers()


def cut(path, size):
    with path.open("r+b") as file:
        file.truncate(size)


# A descent over shards


# A step is made in one of four ways: by the compiled loop of linear models or of softmax, by NumPy
# for a network, by a reader's own methods. In the usual run each scheme meets each way, by its
# kinds in turn.
WAYS = [OBJECTIVES[:4], OBJECTIVES[4:6], OBJECTIVES[6:], [Quartic()]]
WALKED = [
    pytest.param(objective, scheme, marks=[pytest.mark.long] * ((j - k) % len(way) != 0))
    for k, scheme in enumerate(SCHEMES)
    for way in WAYS
    for j, objective in enumerate(way)
]


@pytest.mark.parametrize(("objective", "scheme"), WALKED, ids=repr)
def test_a_path_does_not_change_on_disk(tmp_path, small_pieces, objective, scheme):
    theta, X, y, X_there, y_there = on_disk(tmp_path, objective)
    arguments = {
        "objective": objective,
        "batches": scheme,
        "learning_rate": schedules.inverse_time(0.002, 0.1),
        "rng": 4,
    }
    options = arguments | {"n_epochs": 2, "record_every": 17}
    expected, history = gd.descend(X, y, theta, **options)
    found, there = gd.descend(X_there, y_there, theta, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    for name, column in history.asdict().items():
        if name != "seconds":
            np.testing.assert_allclose(getattr(there, name), column, rtol=1e-10, atol=1e-12)
    again, _ = gd.descend(X_there, y_there, theta, **options)
    np.testing.assert_array_equal(again, found)
    path = gd.updates(X, y, theta, **arguments)
    there = gd.updates(X_there, y_there, theta, **arguments)
    for ours, theirs in islice(zip(path, there, strict=True), 40):
        assert ours[:2] == theirs[:2]
        np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-10, atol=1e-12)
    there.close()
    assert not readers()


@pytest.mark.parametrize("batches", [gd.FullBatch(), gd.Shuffled(5)], ids=repr)
def test_momentum_walks_over_shards_too(tmp_path, batches):
    theta, X, y, X_there, y_there = on_disk(tmp_path, gd.LeastSquares())
    run = {"batches": batches, "learning_rate": 0.05, "momentum": 0.5, "rng": 0}
    paths = (gd.updates(*data, theta, **run) for data in ((X, y), (X_there, y_there)))
    for ours, theirs in islice(zip(*paths, strict=True), 30):
        np.testing.assert_allclose(theirs[2], ours[2], rtol=1e-10)


@pytest.mark.parametrize("objective", OBJECTIVES[::2], ids=repr)
def test_single_precision_stays_single(tmp_path, small_pieces, objective):
    theta, X, y, X_there, y_there = on_disk(tmp_path, objective, dtype=np.float32)
    run = {"objective": objective, "batches": gd.Shuffled(3), "learning_rate": 0.05}
    expected, _ = gd.descend(X, y, theta, n_epochs=2, rng=1, **run)
    found, _ = gd.descend(X_there, y_there, theta, n_epochs=2, rng=1, **run)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_y_may_lie_in_memory(tmp_path, small_pieces):
    theta, X, y, X_there, _ = on_disk(tmp_path, gd.LeastSquares())
    run = {"batches": gd.Shuffled(3), "learning_rate": 0.05, "n_epochs": 2, "rng": 1}
    expected, _ = gd.descend(X, y, theta, **run)
    np.testing.assert_allclose(gd.descend(X_there, y, theta, **run).theta, expected, rtol=1e-10)
    found = gd.descend(X_there, y.tolist(), theta, **run).theta
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    with pytest.raises(ValueError, match=r"y must have shape \(103,\)"):
        gd.descend(X_there, y[1:], theta, **run)
    for bad in (y + 1j, y.astype(str)):
        with pytest.raises(TypeError, match="y must hold real numbers"):
            gd.descend(X_there, bad, theta, **run)


def test_what_the_door_refuses_in_memory_it_refuses_on_disk(tmp_path, small_pieces):
    theta, X, y, *_ = on_disk(tmp_path / "good", gd.LeastSquares())
    X[90, 1] = np.inf
    bad = sharded(tmp_path / "bad", X, y, 50, 53)
    run = {"batches": gd.Shuffled(3), "learning_rate": 0.05, "n_epochs": 2}
    with pytest.raises(ValueError, match="X must be finite"):
        gd.descend(*bad, theta, **run)
    good = gd.open_shards(tmp_path / "good")
    with pytest.raises(ValueError, match=r"theta_init must have shape \(4,\)"):
        gd.descend(*good, theta[1:], **run)
    with pytest.raises(ValueError, match="labels 0 and 1"):
        gd.descend(*good, theta, objective=gd.LogisticRegression(), **run)
    assert not readers()


def test_the_reader_ends_with_the_descent(tmp_path, small_pieces):
    theta, _, _, X, y = on_disk(tmp_path, gd.LeastSquares())
    run = {"batches": gd.Shuffled(3), "n_epochs": 2, "rng": 0}
    gd.descend(X, y, theta, learning_rate=0.05, **run)
    assert not readers()

    def interrupted(step):
        if step == 20:
            assert readers()
            raise KeyboardInterrupt
        return 0.05

    assert gd.descend(X, y, theta, learning_rate=interrupted, **run).history.interrupted
    assert not readers()


def readers():
    return {t for t in threading.enumerate() if t.name.startswith("gdcourse-reader")}


MEASURED = """
import sys
from pathlib import Path
import numpy as np
import gdcourse as gd

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024

class Watching(gd.LeastSquares):
    def gradient(self, theta, X, y):
        global peak
        peak = max(peak, anonymous())
        return super().gradient(theta, X, y)

X, y = gd.open_shards(sys.argv[1])
batches = {"Shuffled": gd.Shuffled(512), "BlockShuffled": gd.BlockShuffled(512, 1024, 4),
           "FullBatch": gd.FullBatch()}[sys.argv[2]]
run = {"batches": batches, "learning_rate": 0.01, "n_epochs": 2, "rng": 0}
gd.descend(X[:2000], y[:2000], np.zeros(X.shape[1]), **run | {"batches": gd.FullBatch()})
before = peak = anonymous()
theta, history = gd.descend(X, y, np.zeros(X.shape[1]), objective=Watching(), **run)
assert history.loss[-1] < history.loss[0]
print(peak - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux counts the pages")
@pytest.mark.parametrize("batches", ["Shuffled", "BlockShuffled", "FullBatch"])
def test_memory_is_that_of_a_few_pieces(large, batches):
    """200 MB of rows are walked in 7 pieces of 16 MB and the numbers of the rows.

    One is in use, one is ready and one is coming, with what the reader and the heap need beside:
    on a busy machine up to 6.2 were seen.
    """
    argv = [sys.executable, "-c", MEASURED, str(large), batches]
    output = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert int(output) < 7 * 2**24 + 3 * 8 * 250_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    directory = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((250_000, 100))
    gd.write_shards(directory, X, X @ rng.standard_normal(100), 60_000)
    return directory


THERE_TOO = {
    "evaluate": lambda objective, theta, X, y: gd.evaluate(objective, theta, X, y)[0],
    "variance": gd.gradient_variance,
    "noise scale": gd.noise_scale,
    "estimate": lambda *problem: gd.estimate_noise_scale(
        *problem, batch_sizes=(2, 30), n_batches=20, rng=0
    ),
    "accumulation": lambda objective, theta, X, y: gd.accumulate_gradient(
        objective, theta, [(X, y)]
    ),
    "one batch of an epoch": lambda objective, theta, X, y: next(gd.shuffled_batches(X, y, 5, 1)),
    "a drawn batch": lambda objective, theta, X, y: next(gd.sampled_batches(X, y, 5, 2, 1)),
}


@pytest.mark.parametrize("task", THERE_TOO)
@every_objective
def test_every_measurement_is_the_same_on_disk(tmp_path, small_pieces, objective, task):
    theta, X, y, X_there, y_there = on_disk(tmp_path, objective)
    here, there = (THERE_TOO[task](objective, theta, *d) for d in ((X, y), (X_there, y_there)))
    for ours, theirs in zip(*(a if type(a) is tuple else [a] for a in (here, there)), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-10, atol=1e-12)
    assert not readers()


def test_predictions_and_compression_are_the_same_on_disk(tmp_path, small_pieces):
    theta, X, y, X_there, y_there = on_disk(tmp_path, gd.LeastSquares())
    here, there = (X, y), (X_there, y_there)
    for function in (gd.noise_floor, gd.stationary_covariance):
        np.testing.assert_allclose(function(*there, 0.01), function(*here, 0.01), rtol=1e-10)
    assert gd.stability_limit(X_there) == pytest.approx(gd.stability_limit(X), rel=1e-10)
    small = gd.compress(*there)
    assert small[0].shape == (5, 4)
    loss = gd.LeastSquares().loss(theta, *small)
    assert loss == pytest.approx(gd.LeastSquares().loss(theta, X, y), rel=1e-12)
    batch = next(gd.stratified_batches(X_there, np.round(y), 5, 0))
    np.testing.assert_array_equal(batch[0], next(gd.stratified_batches(X, np.round(y), 5, 0))[0])


@pytest.mark.parametrize("objective", [gd.LeastSquares(), gd.SoftmaxRegression(3), gd.MLP((4, 3))])
def test_a_formula_for_rows_in_memory_does_not_load_all_in_silence(tmp_path, objective):
    theta, _, _, X, y = on_disk(tmp_path, objective)
    for method in (objective.loss, objective.gradient, objective.per_sample_gradients):
        with pytest.raises(TypeError, match=r"rows of a ShardedArray are on disk: .* gd.evaluate"):
            method(theta, X, y)


@pytest.fixture(scope="module")
def eight_shards(tmp_path_factory):
    """40 MB of rows in eight shards."""
    directory = tmp_path_factory.mktemp("eight")
    rng = np.random.default_rng(0)
    for k in range(8):
        np.save(directory / f"X-{k:05d}-of-00008.npy", rng.standard_normal((25_000, 25)))
        np.save(directory / f"y-{k:05d}-of-00008.npy", rng.standard_normal(25_000))
    return gd.open_shards(directory)


LEAST_SQUARES = gd.LeastSquares()
FEW_STEPS = {"batches": gd.FullBatch(), "learning_rate": 0.01}
OUT_OF_CORE = {
    "descend": lambda X, y, theta: gd.descend(X, y, theta, n_epochs=1, **FEW_STEPS),
    "momentum": lambda X, y, theta: gd.descend(
        X, y, theta, n_epochs=2, momentum=0.9, nesterov=True, **FEW_STEPS
    ),
    "updates": lambda X, y, theta: list(islice(gd.updates(X, y, theta, **FEW_STEPS), 2)),
    "batches": lambda X, y, theta: gd.minibatch_gradient_descent(
        X, y, theta, 4096, n_epochs=1, rng=0
    ),
    "evaluate": lambda X, y, theta: gd.evaluate(LEAST_SQUARES, theta, X, y),
    "gradient_variance": lambda X, y, theta: gd.gradient_variance(LEAST_SQUARES, theta, X, y),
    "noise_scale": lambda X, y, theta: gd.noise_scale(LEAST_SQUARES, theta, X, y),
    "estimate_noise_scale": lambda X, y, theta: gd.estimate_noise_scale(
        LEAST_SQUARES, theta, X, y, batch_sizes=(10, 100), n_batches=5, rng=0
    ),
    "compress": lambda X, y, theta: gd.compress(X, y),
    "accumulate_gradient": lambda X, y, theta: gd.accumulate_gradient(
        LEAST_SQUARES, theta, [(X, y), (X, y)]
    ),
    "noise_floor": lambda X, y, theta: gd.noise_floor(X, y, 0.001),
    "stability_limit": lambda X, y, theta: gd.stability_limit(X),
    "stationary_covariance": lambda X, y, theta: gd.stationary_covariance(X, y, 0.001),
    "shuffled_batches": lambda X, y, theta: next(gd.shuffled_batches(X, y, 100, 0)),
    "sampled_batches": lambda X, y, theta: list(gd.sampled_batches(X, y, 100, 3, 0)),
    "stratified_batches": lambda X, y, theta: next(
        gd.stratified_batches(X, (y[:] > 0).astype(float), 100, 0)
    ),
}


@pytest.mark.parametrize("task", OUT_OF_CORE)
def test_no_function_loads_what_is_larger_than_memory(monkeypatch, eight_shards, task):
    """In pieces of a quarter of their size, so that a quarter of the rows is as telling."""
    monkeypatch.setattr(shards, "PIECE", shards.PIECE // 4)
    theta = np.zeros(25)
    OUT_OF_CORE[task](*(array[:5000] for array in eight_shards), theta)  # what is compiled, once
    tracemalloc.start()
    OUT_OF_CORE[task](*eight_shards, theta)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6, f"{peak / 1e6:.0f} MB"
    assert not readers()


# What a small buffer costs


def test_a_small_buffer_on_sorted_rows_costs_quality():
    """Rows sorted by label: a buffer of one block holds one label, and θ runs after it."""
    n = 4000
    X, score, _ = data.linear_problem(n, 5, rng=0)
    y = (score > np.median(score)).astype(float)
    by_label = np.argsort(y, kind="stable")
    X, y = np.column_stack([np.ones(n), X])[by_label], y[by_label]
    model, start = gd.LogisticRegression(l2=0.01), np.zeros(6)
    lowest = gd.batch_gradient_descent(X, y, start, 0.5, 3000, objective=model).history.loss[-1]

    def excess(batches):
        """J − J* after 5 epochs, with each of 6 seeds."""
        run = {"objective": model, "batches": batches, "learning_rate": 0.2, "n_epochs": 5}
        paths = [gd.descend(X, y, start, rng=seed, **run) for seed in range(6)]
        return np.array([path.history.loss[-1] - lowest for path in paths])

    one_block, all_blocks = (
        excess(gd.BlockShuffled(10, block_size=n // 4, buffer_blocks=k)) for k in (1, 4)
    )
    shuffled = excess(gd.Shuffled(10))
    assert one_block.min() > 10 * shuffled.max()
    assert all_blocks.max() < 3 * shuffled.max()

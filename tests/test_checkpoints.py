"""Runs that are killed, and go on: to the same bits, or not at all."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, cycle, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import Quartic, problem

import gdcourse as gd
from gdcourse import schedules
from gdcourse.engine import checkpoint as checkpoints
from gdcourse.engine.checkpoint import COLUMNS

N = 40
LABELS = np.arange(N) % 3
SCHEMES = [
    gd.FullBatch(),
    gd.InOrder(5),
    gd.Shuffled(3),
    gd.ShuffledOnce(7, drop_last=True),
    gd.WithReplacement(2),
    gd.BlockShuffled(3, block_size=4, buffer_blocks=2),
    gd.Stratified(4, labels=LABELS),
    gd.Balanced(2, labels=LABELS),
]
OBJECTIVES = [gd.LogisticRegression(), Quartic()]  # with a compiled sweep, and without
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: type(s).__name__)
every_record = pytest.mark.parametrize("record_every", [None, 7])
SCHEDULE = schedules.inverse_time(0.01, 0.01)


class BrokenError(Exception):
    """What ends a run before its time."""


def run(**changes):
    """A descent on a small problem."""
    objective = changes.get("objective", OBJECTIVES[0])
    theta, X, y = problem(gd.LeastSquares() if isinstance(objective, Quartic) else objective, N)
    good = {
        "X": X,
        "y": y,
        "theta_init": theta,
        "objective": objective,
        "batches": gd.Shuffled(2),
        "learning_rate": SCHEDULE,
        "n_epochs": 4,
        "rng": 0,
    }
    return gd.descend(**(good | changes))


def until(last, error=BrokenError):
    """The schedule of `run`, which raises `error` when it is asked for the step `last`."""

    def fragile(step):
        if step == last:
            raise error
        return SCHEDULE(step)

    return fragile


def break_run(last, path, **changes):
    """Run until the step `last`, and leave a checkpoint."""
    with pytest.raises(BrokenError):
        run(learning_rate=until(last), checkpoint=path, **changes)
    return path.read_bytes()


def assert_same(one, other):
    """Two runs are the same to the bit, but for their times."""
    theta, expected = map(gd.to_host, (one.theta, other.theta))
    assert theta.dtype == expected.dtype
    assert theta.tobytes() == expected.tobytes()
    for name in set(COLUMNS) - {"seconds"}:
        column, there = getattr(one.history, name), getattr(other.history, name)
        np.testing.assert_array_equal(column, there, strict=True)
    assert one.history.diverged == other.history.diverged


@pytest.fixture(autouse=True, scope="module")
def no_loss_of_power():
    """Without it, what is flushed changes nothing but the time; the killed processes do flush."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.npz"


# A run goes on to the same bits


@pytest.mark.parametrize("objective", OBJECTIVES, ids=["compiled", "not compiled"])
@every_scheme
@every_record
@settings(max_examples=15)
@given(data=st.data())
def test_a_run_that_broke_anywhere_goes_on_to_the_same_bits(objective, scheme, record_every, data):
    options = {"objective": objective, "batches": scheme, "record_every": record_every, "rng": 5}
    whole = run(**options)
    last_step = int(whole.history.step[-1])
    with TemporaryDirectory() as folder:
        options["checkpoint"] = Path(folder) / "run"
        for last in data.draw(st.lists(st.integers(1, last_step - 1), min_size=1, max_size=3)):
            with suppress(BrokenError):  # a run that is past this step comes to its end
                run(learning_rate=until(last), **options)
        assert_same(run(**options), whole)
        assert_same(run(**options), whole)
        assert os.listdir(folder) == ["run"]


@every_record
def test_a_run_goes_on_where_its_arrays_are(xp, path, record_every):
    theta, X, y = (xp.asarray(array, "float32") for array in problem(OBJECTIVES[0], N))
    options = {"X": X, "y": y, "theta_init": theta, "record_every": record_every}
    break_run(50, path, **options)
    again = run(checkpoint=path, **options)
    assert again.theta.device == xp.device
    assert_same(again, run(**options))


@pytest.mark.parametrize("order", ["C", "F"])
def test_parameters_with_two_axes_go_on_in_their_layout(path, order):
    objective = gd.SoftmaxRegression(3)
    theta, X, y = problem(objective, N)
    options = {"X": X, "y": y, "theta_init": np.asarray(theta, order=order), "objective": objective}
    break_run(30, path, **options)
    assert_same(run(checkpoint=path, **options), run(**options))


@every_record
def test_a_run_over_shards_goes_on(path, record_every):
    gd.write_shards(path.with_name("shards"), X, Y, rows_per_shard=7)
    in_shards = dict(zip("Xy", gd.open_shards(path.with_name("shards")), strict=True))
    for batches in (gd.Shuffled(3), gd.InOrder(5), gd.FullBatch()):
        options = {"batches": batches, "record_every": record_every, "n_epochs": 8, **in_shards}
        break_run(6, path, **options)
        assert_same(run(checkpoint=path, **options), run(**options))
        path.unlink()


@dataclass
class Seen:
    """A reader's own sampler, which keeps each order that it draws."""

    orders: list = field(default_factory=list)

    def epochs(self, n_samples, rng):
        size = 1
        while True:
            self.orders.append(rng.permutation(n_samples))
            yield gd.Epoch(self.orders[-1], np.array([*range(0, n_samples, size), n_samples]))
            size += 1


def test_a_run_without_a_seed_goes_on_with_the_numbers_it_began_with(path):
    before, after = Seen(), Seen()
    break_run(70, path, batches=before, rng=None)
    again = run(batches=after, rng=None, checkpoint=path)
    np.testing.assert_array_equal(after.orders[: len(before.orders)], before.orders)
    with np.load(path) as file:
        call = json.loads(str(file["about"]))["call"]
    rng = np.random.default_rng()
    rng.bit_generator.state = json.loads(call["the first state of rng"])
    assert_same(again, run(batches=Seen(), rng=rng))
    np.testing.assert_array_equal(run(batches=Seen(), rng=None).history.step, again.history.step)


@pytest.mark.parametrize("kind", ["PCG64", "MT19937", "Philox", "SFC64"])
def test_a_generator_in_its_first_state_ends_in_the_state_of_a_whole_run(path, kind):
    generators = [np.random.Generator(getattr(np.random, kind)(3)) for _ in range(3)]
    break_run(50, path, rng=generators[0])
    assert_same(run(rng=generators[1], checkpoint=path), run(rng=generators[2]))
    assert generators[1].random() == generators[2].random()


@every_record
def test_more_epochs_continue_a_run(path, record_every):
    options = {"batches": gd.Shuffled(4), "record_every": record_every}
    for n_epochs in (0, 1, 3, 3, 8):
        again = run(n_epochs=n_epochs, checkpoint=path, **options)
        assert_same(again, run(n_epochs=n_epochs, **options))


def test_a_table_of_rates_may_grow_with_the_run(path):
    table = np.linspace(0.02, 0.01, 8)
    options = {"batches": gd.FullBatch()}
    short = run(n_epochs=3, learning_rate=table[:3].__getitem__, checkpoint=path, **options)
    assert np.isnan(short.history.learning_rate[-1])
    again = run(n_epochs=7, learning_rate=table.__getitem__, checkpoint=path, **options)
    assert_same(again, run(n_epochs=7, learning_rate=table.__getitem__, **options))


def test_a_run_that_ended_by_itself_stays_ended(path):
    diverges = {"batches": gd.FullBatch(), "learning_rate": 1e3, "objective": Quartic()}
    diverges["n_epochs"] = 20
    converges = {"batches": gd.FullBatch(), "learning_rate": 1.0, "tol": 0.02, "n_epochs": 500}
    for options in (diverges, converges):
        path.unlink(missing_ok=True)
        first = run(checkpoint=path, **options)
        assert first.history.step[-1] < options["n_epochs"]
        assert_same(run(checkpoint=path, **options), first)
        assert_same(run(checkpoint=path, **(options | {"n_epochs": 900})), first)


def test_a_stricter_tolerance_continues_a_run(path):
    options = {"batches": gd.FullBatch(), "learning_rate": 1.0, "n_epochs": 500}
    run(tol=0.02, checkpoint=path, **options)
    assert_same(run(tol=0.01, checkpoint=path, **options), run(tol=0.01, **options))


def test_a_finished_run_costs_one_look_at_the_data(path):
    class Counted(Quartic):
        calls = 0

        def gradient(self, theta, X, y):
            Counted.calls += 1
            return super().gradient(theta, X, y)

    run(objective=Counted(), checkpoint=path)
    Counted.calls = 0
    run(objective=Counted(), checkpoint=path)
    assert Counted.calls == 1


def test_seconds_go_on_counting(path):
    break_run(70, path)
    with np.load(path) as file:
        before = file["seconds"]
    seconds = run(checkpoint=path).history.seconds
    np.testing.assert_array_equal(seconds[: len(before)], before)
    assert np.all(np.diff(seconds) > 0)


def test_the_named_variants_keep_their_runs(path):
    theta, X, y = problem(gd.LeastSquares(), N)
    for variant in (
        gd.batch_gradient_descent,
        gd.stochastic_gradient_descent,
        gd.minibatch_gradient_descent,
    ):
        seed = {} if variant is gd.batch_gradient_descent else {"rng": 0}
        kept = variant(X, y, theta, n_epochs=3, checkpoint=str(path), **seed)
        again = variant(X, y, theta, n_epochs=5, checkpoint=str(path), **seed)
        assert kept.history.step[-1] < again.history.step[-1]
        assert_same(again, variant(X, y, theta, n_epochs=5, **seed))
        path.unlink()


@every_record
def test_a_run_that_ctrl_c_ended_goes_on(path, record_every):
    options = {"record_every": record_every, "checkpoint": path}
    part = run(learning_rate=until(33, KeyboardInterrupt), **options)
    assert part.history.interrupted
    assert part.history.step[-1] == (20 if record_every is None else 28)
    again = run(**options)
    assert not again.history.interrupted
    assert_same(again, run(record_every=record_every))


# What is on disk is a whole run


def test_a_checkpoint_is_written_beside_flushed_and_moved(path, monkeypatch):
    calls = []
    replace = os.replace

    def fsync(descriptor):
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *a: (calls.append("move"), replace(*a)))
    run(n_epochs=0, checkpoint=path)
    assert calls == ["file", "move"] + ["folder"] * hasattr(os, "O_DIRECTORY")


@pytest.mark.parametrize("call", [(np, "savez"), (os, "fsync"), (os, "replace")])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failing_write_leaves_the_last_run_whole(path, monkeypatch, call, error):
    whole = run()
    before = break_run(70, path)
    steps = run(n_epochs=3, checkpoint=path.with_name("three")).history.step

    def fails(*arguments, **keywords):
        raise error("no space")

    with monkeypatch.context() as patch:
        patch.setattr(*call, fails)
        if error is OSError:
            with pytest.raises(OSError, match="no space") as told:
                run(checkpoint=path)
            assert str(path) in told.value.__notes__[0]
        else:
            history = run(checkpoint=path).history
            assert history.interrupted
            assert len(history) > len(steps)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.tmp"))
    assert_same(run(checkpoint=path), whole)


def test_a_link_stays_one_and_a_run_that_moves_keeps_its_file(path, monkeypatch):
    there = path.parent / "there"
    there.mkdir()
    path.symlink_to(there / "run.npz")
    monkeypatch.chdir(path.parent)

    def wandering(step):
        os.chdir(there if step > 30 else path.parent)
        return SCHEDULE(step)

    first = run(checkpoint=path.name, learning_rate=wandering)
    assert path.is_symlink()
    assert os.listdir(there) == ["run.npz"]
    assert_same(run(checkpoint=path), first)


@pytest.mark.parametrize("before", [False, True], ids=["a new file", "its own file"])
def test_what_another_program_writes_meanwhile_is_not_overwritten(path, before):
    if before:
        break_run(30, path)

    def meddle(step):
        if step == 45:
            path.write_text("mine")
        return SCHEDULE(step)

    with pytest.raises(ValueError, match="was written by another program during this run"):
        run(checkpoint=path, learning_rate=meddle)
    assert path.read_text() == "mine"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_run_whose_file_was_removed_writes_it_again(path):
    def remove(step):
        if step == 45:
            path.unlink()
        return SCHEDULE(step)

    assert_same(run(checkpoint=path, learning_rate=remove), run())
    assert path.exists()


def test_a_lack_of_memory_is_not_told_as_damage(path, monkeypatch):
    break_run(30, path)

    def fail(*arguments, **keywords):
        raise MemoryError("Unable to allocate")

    monkeypatch.setattr(np, "load", fail)
    with pytest.raises(MemoryError):
        run(checkpoint=path)


def test_what_a_kill_left_behind_is_not_in_the_way(path):
    before = break_run(50, path)
    path.with_name("run.npz.0123abcd.tmp").write_bytes(before[:100])
    assert_same(run(checkpoint=path), run())


# What does not fit is refused, and left as it is


def refused(path, message, **changes):
    """Assert that a call is refused by name, with the cure, and that the file is untouched."""
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message) as error:
        run(checkpoint=path, **changes)
    assert str(path) in str(error.value)
    assert "give another path, or remove the file" in str(error.value)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


THETA, X, Y = problem(OBJECTIVES[0], N)
MOVED = np.random.default_rng(1).permutation(N)


def used_generator():
    rng = np.random.default_rng(0)
    rng.random()
    return rng


FOREIGN = {
    "another seed": ({"rng": 1}, "state of rng was another"),
    "a generator that was used": ({"rng": used_generator()}, "state of rng was another"),
    "another kind of generator": (
        {"rng": np.random.Generator(np.random.MT19937(0))},
        "state of rng was another",
    ),
    "another start": ({"theta_init": THETA + 1e-12}, "theta_init was another"),
    "another precision": (
        {"theta_init": THETA.astype("f4"), "X": X.astype("f4")},
        "the dtype of theta was <f8 and is <f4",
    ),
    "more rows": (
        {"X": np.vstack([X, X]), "y": np.append(Y, Y)},
        r"the shape of X was \[40, 4\] and is \[80, 4\]",
    ),
    "other records": ({"record_every": 5}, "record_every was None and is 5"),
    "another batch size": ({"batches": gd.Shuffled(4)}, "the number of steps was 60 and is 30"),
    "another sampler": ({"batches": gd.InOrder(2)}, "the state of rng was another"),
    "another sampler that draws as much": (
        {"batches": gd.Stratified(2, labels=LABELS)},
        "state of rng was another|order of the rows was another",
    ),
    "fewer epochs": ({"n_epochs": 2}, "stands at step 60, but n_epochs ends at step 40"),
    "another rate": ({"learning_rate": 0.01}, "learning rate of step 20 was .* and is 0.01"),
    "another decay": (
        {"learning_rate": schedules.inverse_time(0.01, 0.0101)},
        "learning rate of step 20",
    ),
    "a tolerance met before": ({"tol": 1e3}, "with tol=1000.0 it would have ended at step 0"),
    "other labels": ({"y": 1 - Y}, "in the last batch was another"),
    "other data": ({"X": X[::-1]}, "in the last batch was another"),
    "the same rows in another order": ({"X": X[MOVED], "y": Y[MOVED]}, "last batch was another"),
    "another objective": ({"objective": gd.LogisticRegression(l2=0.1)}, "loss was .* and is"),
    "another objective of the same loss": (
        {"objective": type("Same", (gd.LogisticRegression,), {"gradient": lambda *a: THETA})()},
        "gradient_norm was .* and is",
    ),
}


@pytest.mark.parametrize("changes", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_checkpoint_of_another_call_is_refused(path, changes):
    changes, message = changes
    break_run(70, path)
    refused(path, f"was made by another call: .*{message}", **changes)
    assert_same(run(checkpoint=path), run())


@dataclass
class Salted:
    """A reader's own sampler, which draws from elsewhere than `rng` all but the last rows."""

    salt: int

    def epochs(self, n_samples, rng):
        while True:
            drawn = np.random.default_rng(self.salt).permutation(n_samples - 2)
            order = np.append(drawn, [n_samples - 2, n_samples - 1])
            yield gd.Epoch(order, np.arange(0, n_samples + 1, 2))


def test_rows_in_another_order_are_seen_even_where_rng_says_nothing(path):
    break_run(70, path, batches=Salted(1))
    refused(path, "the order of the rows was another", batches=Salted(2))
    assert_same(run(checkpoint=path, batches=Salted(1)), run(batches=Salted(1)))


@dataclass
class Cut:
    """A reader's own sampler, with its first cut where it is told."""

    first: int

    def epochs(self, n_samples, rng):
        while True:
            yield gd.Epoch(rng.permutation(n_samples), [0, self.first, *range(4, n_samples + 1, 4)])


def test_other_batches_of_the_same_rows_are_seen(path):
    break_run(30, path, batches=Cut(1))
    refused(path, "the order of the rows was another", batches=Cut(2))


def test_any_two_rows_of_the_last_batch_that_changed_places_are_seen(path):
    options = {"batches": gd.Shuffled(8), "rng": 3}
    break_run(8, path, **options)
    last = next(gd.Shuffled(8).epochs(N, 3)).order[-8:]
    for one, other in pairwise(last):
        places = np.arange(N)
        places[[one, other]] = other, one
        refused(path, "a value in the last batch", X=X[places], y=Y[places], **options)


def test_a_file_that_says_less_of_its_call_is_refused(path):
    break_run(30, path)
    with np.load(path) as file:
        arrays = dict(file)
    about = json.loads(str(arrays.pop("about")))
    del about["call"]["theta_init"]
    np.savez(path, about=np.array(json.dumps(about)), **arrays)
    refused(path, "theta_init was another")


def test_one_other_value_in_the_data_shows_in_the_loss(path):
    """Where the last batch of two does not hold it; the loss moves by about 1e-9."""
    options = {"n_epochs": 8, "rng": 2}
    break_run(150, path, **options)
    order = list(gd.Shuffled(2).epochs(N, 2).__next__().order)
    for row in set(order):
        other = X.copy()
        other[row, 0] += 1e-6
        refused(path, "was another|loss was|gradient_norm was", X=other, **options)


def test_a_run_without_a_seed_refuses_another_kind_of_generator(path):
    break_run(70, path, rng=np.random.Generator(np.random.MT19937(0)))
    refused(path, "the first state of rng was another", rng=None)


def test_another_number_of_threads_is_no_other_call(path, monkeypatch):
    """Sums in another order differ by rounding, and loss and norm with them."""
    for objective in (gd.LeastSquares(), OBJECTIVES[0]):
        for dtype in ("f4", "f8"):
            theta, X, y = problem(objective, N, dtype=dtype)
            options = {"X": X, "y": y, "theta_init": theta, "objective": objective}
            break_run(70, path, **options)
            eps = np.finfo(dtype).eps
            loss = type(objective).loss
            for factor, fits in ((1 + 8 * eps, True), (1 + 1e4 * eps, False)):
                monkeypatch.setattr(
                    type(objective), "loss", lambda *a, f=factor, loss=loss: f * loss(*a)
                )
                if fits:
                    run(checkpoint=path, n_epochs=3, **options)
                else:
                    refused(path, "loss was", n_epochs=3, **options)
                monkeypatch.undo()
            path.unlink()


def test_a_file_that_was_cut_short_is_refused(path):
    whole = break_run(30, path)
    edges = {*range(60), *range(len(whole) - 400, len(whole)), *range(0, len(whole), 41)}
    for length in sorted(edges):
        path.write_bytes(whole[:length])
        refused(path, "is damaged, or is none")


def test_a_flipped_bit_is_refused_or_harmless(path):
    """A zip file has bytes that mean nothing here, such as a date."""
    expected = run()
    whole = break_run(30, path)
    told, harmless = [], 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            again = run(checkpoint=path)
        except ValueError as error:
            told.append(str(error))
        else:
            assert_same(again, expected)
            harmless += 1
    assert all(str(path) in text for text in told)
    assert len(told) > 3 * harmless


def test_what_is_no_checkpoint_is_refused(path):
    path.write_text("my thesis")
    refused(path, "is damaged, or is none")
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    refused(path, "is damaged, or is none")
    np.savez(path, theta=np.zeros(3))
    refused(path, "is damaged, or is none")
    np.savez(path, theta=np.array([{}], dtype=object))
    refused(path, "is damaged, or is none")


def test_a_checkpoint_of_another_format_is_refused(path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FORMAT", 0)
    break_run(30, path)
    monkeypatch.undo()
    refused(path, "format was 0 and is 1")


def test_a_path_that_cannot_be_is_told_before_any_work(tmp_path):
    class Untouched(Quartic):
        def loss(self, theta, X, y):
            raise AssertionError

    for bad, error, message in (
        (tmp_path / "no" / "run.npz", FileNotFoundError, r"there is no folder .*no; make it"),
        (tmp_path, ValueError, "is a folder"),
        (3, TypeError, "checkpoint must be a path, got 3"),
    ):
        with pytest.raises(error, match=message):
            run(objective=Untouched(), checkpoint=bad)
    assert not os.listdir(tmp_path)


# Processes that are killed


SITES = ["half a file", "before the move", "a step", "a read", "any time"]
N_KILLS = 50


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither fork nor SIGKILL")
def test_fifty_kills_change_no_bit():
    """In a process of its own, which has no threads and may fork."""
    code = "import test_checkpoints; test_checkpoints.kill_again_and_again()"
    here = Path(__file__).parent
    search = os.pathsep.join([str(here.parent), str(here), os.environ.get("PYTHONPATH", "")])
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"},
    )
    assert told.returncode == 0, told.stderr
    kills = json.loads(told.stdout)
    assert sum(kills.values()) >= N_KILLS
    # A fast machine is done before some of the kills at any time.
    assert min(kills[site] for site in SITES) >= N_KILLS // 16


def kill_again_and_again():
    """Kill runs at every kind of place, start them again, and compare how they end."""
    rng = np.random.default_rng(0)
    kills = dict.fromkeys(SITES, 0)
    for number, scheme in zip(count(), cycle(SCHEMES)):
        options = {
            "objective": OBJECTIVES[number // 8 % 2],
            "batches": scheme,
            "record_every": (None, 7)[number // 4 % 2],
            "n_epochs": 24,
            "rng": number,
        }
        whole = run(**options)
        with TemporaryDirectory() as folder:
            options["checkpoint"] = Path(folder) / "run"
            for site in ["a step", *rng.permutation(SITES)]:
                kills[site] += killed(options, whole, site, rng)
            assert not killed(options, whole, None, rng), "the last start comes to its end"
            assert options["checkpoint"].exists()
        if sum(kills.values()) >= N_KILLS:
            break
    print(json.dumps(kills))


def killed(options, whole, site, rng):
    """Start a run in a process of its own, and kill it at a site; whether it was still there."""
    events, report = os.pipe()
    delay = rng.uniform(0, 0.03 if site == "any time" else 0.004)
    chance = int(rng.integers(1, 3))
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            stand_still(site, chance, lambda: (os.write(report, b"!"), time.sleep(60)))
            assert_same(run(learning_rate=slow, **options), whole)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    os.close(report)
    if site not in (None, "any time"):
        os.read(events, 1)  # it stands still now, or has ended
    if site is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    os.close(events)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), "a run that was started again failed"
    return status == -signal.SIGKILL


def slow(step):
    """The schedule of `run`, with the time to be killed in."""
    time.sleep(5e-5)
    return SCHEDULE(step)


def stand_still(site, chance, stop):
    """Have this process call `stop` at the given site, the time that `chance` says."""
    savez, replace, load, times = np.savez, os.replace, np.load, count(1)

    def write_half(file, **arrays):
        savez(file, **arrays)
        if site == "half a file" and next(times) == chance:
            file.truncate(file.tell() // 2)
            file.flush()
            stop()

    def move(*paths):
        if site == "before the move" and next(times) == chance:
            stop()
        replace(*paths)

    def read(*arguments, **keywords):
        if site == "a read":
            stop()
        return load(*arguments, **keywords)

    def step_on(step):
        if site == "a step" and next(times) == 30 * chance:
            stop()
        return slow_before(step)

    slow_before = slow
    globals()["slow"] = step_on
    np.savez, os.replace, np.load = write_half, move, read

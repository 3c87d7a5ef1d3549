"""Runs that are killed, and go on: to the same bits, or not at all."""

import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from functools import partial
from itertools import count, cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import Quartic, problem

import gdcourse as gd
from gdcourse import schedules
from gdcourse.engine import checkpoint
from gdcourse.history import Record

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
THETA, X, Y = problem(gd.LogisticRegression(), N)
RATE = schedules.inverse_time(0.01, 0.01)
OTHER_RATE = schedules.inverse_time(0.01, 0.0101)
SOFTMAX = gd.SoftmaxRegression(3)
TWO_AXES = dict(zip(("theta_init", "X", "y"), problem(SOFTMAX, N), strict=True))
TWO_AXES["theta_init"] = np.asfortranarray(TWO_AXES["theta_init"])
RULES = {
    "compiled": {},
    "not compiled": {"objective": Quartic()},
    "momentum": {"momentum": 0.5, "objective": SOFTMAX, **TWO_AXES},
    "nesterov": {"momentum": 0.5, "nesterov": True},
}
every_record = pytest.mark.parametrize("record_every", [None, 7])


class BrokenError(BaseException):
    """What ends a run before its time, and is caught by nobody."""


class Watched:
    """A schedule with the repr of `RATE`, which calls `act` before it gives a rate."""

    def __init__(self, act, rate=RATE):
        self.act, self.rate = act, rate

    def __call__(self, step):
        self.act(step)
        return self.rate(step)

    def __repr__(self):
        return repr(RATE)


def at_step(last, act):
    """`RATE`, which calls `act` at the step `last`."""
    return Watched(lambda step: act() if step == last else None)


def fail(error=BrokenError, *arguments, **keywords):
    raise error


def run(**changes):
    """A descent on a small problem."""
    good = {"X": X, "y": Y, "theta_init": THETA, "objective": gd.LogisticRegression(), "rng": 0}
    good |= {"batches": gd.Shuffled(2), "learning_rate": RATE, "n_epochs": 4}
    return gd.descend(**(good | changes))


def break_run(last, path, **changes):
    """Run until the step `last`, and leave a checkpoint."""
    with pytest.raises(BrokenError):
        run(learning_rate=at_step(last, fail), checkpoint=path, **changes)
    return path.read_bytes()


def assert_same(one, other):
    """Two runs are the same to the bit, but for their times."""
    theta, expected = map(gd.to_host, (one.theta, other.theta))
    assert theta.dtype == expected.dtype
    assert theta.tobytes() == expected.tobytes()
    for name in set(Record._fields) - {"seconds"}:
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


@pytest.fixture(scope="module")
def in_shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")  # its number is not 0 after other tests
    gd.write_shards(folder, X, Y, rows_per_shard=7)
    return dict(zip("Xy", gd.open_shards(folder), strict=True))


BREAKS = st.tuples(st.integers(0, 4), st.integers(0, 79), st.booleans())


@pytest.mark.parametrize("rule", [*RULES, "shards"])
@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: type(scheme).__name__)
@settings(max_examples=settings.default.max_examples // 15)
@given(record_every=st.sampled_from([None, 7]), breaks=st.lists(BREAKS, min_size=1, max_size=3))
def test_a_run_that_broke_anywhere_goes_on_to_the_same_bits(
    in_shards, rule, scheme, record_every, breaks
):
    options = in_shards if rule == "shards" else RULES[rule]
    options = options | {"batches": scheme, "record_every": record_every, "rng": 5}
    whole = run(**options)
    with TemporaryDirectory() as folder:
        options["checkpoint"] = Path(folder) / "run"
        for n_epochs, last, by_hand in sorted(breaks):
            # A run that is past this step comes to its end, which is another place to go on from.
            error = KeyboardInterrupt if by_hand else BrokenError
            stop = at_step(1 + last % whole.history.step[-1], partial(fail, error))
            with suppress(BrokenError, KeyboardInterrupt):
                run(**options | {"learning_rate": stop, "n_epochs": n_epochs})
        assert_same(run(**options), whole)
        assert_same(run(**options), whole)
        assert os.listdir(folder) == ["run"]


@every_record
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_run_goes_on_where_its_arrays_are(xp, path, momentum, record_every):
    theta, *data = (xp.asarray(array, "float32") for array in (THETA, X, Y))
    options = {"X": data[0], "y": data[1], "theta_init": theta}
    options |= {"momentum": momentum, "record_every": record_every}
    break_run(50, path, **options)
    again = run(checkpoint=path, **options)
    assert again.theta.device == xp.device
    assert_same(again, run(**options))


class Own:
    """A reader's own sampler without a repr, which keeps what it draws."""

    def __init__(self, first=1, waste=0):
        self.first, self.waste, self.orders = first, waste, []

    def epochs(self, n_samples, rng):
        for size in count(self.first):
            rng.random(self.waste)
            self.orders.append(rng.permutation(n_samples))
            yield gd.Epoch(self.orders[-1], [*range(0, n_samples, size), n_samples])


def test_a_run_without_a_seed_goes_on_with_the_numbers_it_began_with(path):
    before, after = Own(), Own()
    break_run(70, path, batches=before, rng=None)
    again = run(batches=after, rng=None, checkpoint=path)
    np.testing.assert_array_equal(after.orders[: len(before.orders)], before.orders)
    with np.load(path) as file:
        call = json.loads(str(file["about"]))["call"]
    rng = np.random.default_rng()
    rng.bit_generator.state = json.loads(call["rng"])
    assert_same(again, run(batches=Own(), rng=rng))
    np.testing.assert_array_equal(run(batches=Own(), rng=None).history.step, again.history.step)


@pytest.mark.parametrize("kind", ["PCG64", "MT19937", "Philox", "SFC64"])
def test_a_generator_in_its_first_state_ends_in_the_state_of_a_whole_run(path, kind):
    generators = [np.random.Generator(getattr(np.random, kind)(3)) for _ in range(3)]
    break_run(50, path, rng=generators[0])
    assert_same(run(rng=generators[1], checkpoint=path), run(rng=generators[2]))
    assert generators[1].random() == generators[2].random()
    if kind != "PCG64":  # which a run without a seed has
        refused(path, "rng differs", rng=None)


def test_a_table_of_rates_may_grow_with_the_run(path):
    table = np.linspace(0.02, 0.01, 8)
    options = {"batches": gd.FullBatch()}
    short = run(n_epochs=3, learning_rate=table[:3].__getitem__, checkpoint=path, **options)
    assert np.isnan(short.history.learning_rate[-1])
    options |= {"n_epochs": 7, "learning_rate": table.__getitem__}
    assert_same(run(checkpoint=path, **options), run(**options))


def test_a_run_that_ended_by_itself_stays_ended(path):
    diverges = {"learning_rate": 1e3, "objective": Quartic(), "n_epochs": 20}
    converges = {"learning_rate": 1.0, "tol": 0.02, "n_epochs": 500}
    for options in (diverges, converges):
        path.unlink(missing_ok=True)
        options |= {"batches": gd.FullBatch(), "checkpoint": path}
        first = run(**options)
        assert first.history.step[-1] < options["n_epochs"]
        assert_same(run(**options), first)
        assert_same(run(**(options | {"n_epochs": 900})), first)


def test_a_finished_run_costs_one_look_at_the_data(path, monkeypatch):
    run(objective=Quartic(), checkpoint=path)
    gradient, calls = Quartic.gradient, []
    monkeypatch.setattr(Quartic, "gradient", lambda *a: calls.append(a) or gradient(*a))
    run(objective=Quartic(), checkpoint=path)
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["batch", "stochastic", "minibatch"])
def test_the_named_variants_keep_their_runs(path, name):
    variant = getattr(gd, f"{name}_gradient_descent")
    seed = {} if name == "batch" else {"rng": 0}
    kept = variant(X, Y, THETA, n_epochs=3, checkpoint=str(path), **seed)
    again = variant(X, Y, THETA, n_epochs=5, checkpoint=str(path), **seed)
    assert kept.history.step[-1] < again.history.step[-1]
    assert_same(again, variant(X, Y, THETA, n_epochs=5, **seed))


@every_record
def test_a_run_that_ctrl_c_ended_has_its_last_record_and_goes_on_counting(path, record_every):
    options = {"checkpoint": path, "record_every": record_every}
    part = run(learning_rate=at_step(33, partial(fail, KeyboardInterrupt)), **options).history
    assert part.interrupted
    assert part.step[-1] == (20 if record_every is None else 28)
    again = run(**options).history
    assert not again.interrupted
    np.testing.assert_array_equal(again.seconds[: len(part)], part.seconds)
    assert np.all(np.diff(again.seconds) > 0)


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
    before = break_run(70, path)
    with monkeypatch.context() as patch:
        patch.setattr(*call, lambda *arguments, **keywords: fail(error("no space")))
        if error is OSError:
            with pytest.raises(OSError, match="no space") as told:
                run(checkpoint=path)
            assert str(path) in told.value.__notes__[0]
        else:
            history = run(checkpoint=path).history
            assert history.interrupted
            assert history.step[-1] == 80  # one record more than the file has
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    assert_same(run(checkpoint=path), run())


def test_a_link_stays_one_and_a_run_that_moves_keeps_its_file(path, monkeypatch):
    there = path.parent / "there"
    there.mkdir()
    path.symlink_to(there / "run.npz")
    monkeypatch.chdir(path.parent)
    wandering = Watched(lambda step: os.chdir(there if step > 30 else path.parent))
    first = run(checkpoint=path.name, learning_rate=wandering)
    assert path.is_symlink()
    assert os.listdir(there) == ["run.npz"]
    assert_same(run(checkpoint=path), first)


@pytest.mark.parametrize("before", [False, True], ids=["a new file", "its own file"])
def test_what_another_program_writes_meanwhile_is_not_overwritten(path, before):
    if before:
        break_run(30, path)
    meddle = at_step(45, lambda: path.write_text("mine"))
    with pytest.raises(ValueError, match="was written by another program during this run"):
        run(checkpoint=path, learning_rate=meddle)
    assert path.read_text() == "mine"
    assert os.listdir(path.parent) == [path.name]


def test_a_run_whose_half_written_file_another_one_removed_is_told(path, monkeypatch):
    """The other one takes it for what a kill has left."""
    savez = np.savez
    remove = partial(checkpoint._remove_orphans, path)
    monkeypatch.setattr(np, "savez", lambda file, **arrays: (savez(file, **arrays), remove()))
    with pytest.raises(ValueError, match="was written by another program during this run"):
        run(checkpoint=path)
    assert not os.listdir(path.parent)


def test_a_run_whose_file_was_removed_writes_it_again(path):
    assert_same(run(checkpoint=path, learning_rate=at_step(45, path.unlink)), run())
    assert path.exists()


def test_a_lack_of_memory_is_not_told_as_damage(path, monkeypatch):
    break_run(30, path)
    monkeypatch.setattr(np, "load", lambda *a, **k: fail(MemoryError))
    with pytest.raises(MemoryError) as told:
        run(checkpoint=path)
    assert str(path) in told.value.__notes__[0]


def test_what_a_kill_left_behind_is_removed_at_the_next_write(path):
    before = break_run(50, path)
    others = [
        "run.npz.tmp",
        "run.npz.0123abcd.tmp.bak",
        "run.0123abcd.tmp",
        "a.run.npz.00000000.tmp",
    ]
    for name in ("run.npz.0123abcd.tmp", "run.npz.ffffffff.tmp", *others):
        path.with_name(name).write_bytes(before[:100])
    assert_same(run(checkpoint=path), run())
    assert sorted(os.listdir(path.parent)) == sorted([path.name, *others])


# What does not fit is refused, and left as it is

DAMAGED = "is damaged, or is no checkpoint"


def refused(path, message, **changes):
    """Assert that a call is refused by name, with the cure, and that the file is untouched."""
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message) as error:
        run(checkpoint=path, **changes)
    assert str(path) in str(error.value)
    assert "give another path, or remove the file" in str(error.value)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


F4 = {"X": X.astype("f4"), "theta_init": THETA.astype("f4")}
USED = np.random.default_rng(0)
USED.random()
FOREIGN = [
    ({"objective": gd.LogisticRegression(l2=0.1)}, r"objective was .*l2=0.0\) and is .*l2=0.1\)"),
    ({"objective": Quartic()}, r"objective was LogisticRegression.* and is Quartic\(\)"),
    ({"batches": gd.Shuffled(4)}, r"batches was Shuffled\(batch_size=2.* is .*batch_size=4"),
    ({"batches": gd.InOrder(2)}, r"batches was Shuffled\(.* and is InOrder\("),
    ({"learning_rate": 0.01}, r"learning_rate was inverse_time\(.* and is constant\("),
    ({"learning_rate": OTHER_RATE}, r"learning_rate was .*decay=0.01\) and is .*decay=0.0101\)"),
    ({"learning_rate": Watched(id, OTHER_RATE)}, r"the learning rate of step 20 was 0.* is 0"),
    ({"momentum": 0.9}, "momentum was 0.0 and is 0.9"),
    ({"nesterov": True}, "nesterov was False and is True"),
    ({"theta_init": THETA + 1e-12}, "theta_init differs"),
    ({"X": np.vstack([X, X]), "y": np.append(Y, Y)}, r"shape of X was \(40, 4\) and is \(80, 4\)"),
    ({"X": F4["X"]}, "dtype of X was float64 and is float32"),
    (F4, "dtype of (X|theta) was float64 and is float32"),
    ({"record_every": 5}, "record_every was None and is 5"),
    ({"tol": 1e3}, "tol was 0.0 and is 1000.0"),
    ({"rng": 1}, "rng differs"),
    ({"rng": USED}, "rng differs"),
    ({"rng": np.random.Generator(np.random.MT19937(0))}, "rng differs"),
    ({"n_epochs": 2}, "it is at step 60, and n_epochs ends at step 40"),
    ({"y": 1 - Y}, r"X or y differ, for the loss at the saved theta was \d.* and is \d"),
    ({"X": X[::-1]}, "X or y differ"),
]


@pytest.mark.parametrize(("changes", "message"), FOREIGN, ids=count())
def test_a_checkpoint_of_another_call_is_refused(path, changes, message):
    break_run(70, path)
    refused(path, f"was made by another call: .*{message}", **changes)
    assert_same(run(checkpoint=path), run())


@pytest.mark.parametrize("kind", [gd.Stratified, gd.Balanced])
def test_a_scheme_with_other_labels_is_another_call(path, kind):
    break_run(70, path, batches=kind(2, labels=LABELS))
    for other in (np.roll(LABELS, 1), LABELS[::-1], 1 - Y):
        refused(path, f"batches was {kind.__name__}.* with labels", batches=kind(2, labels=other))
    assert run(checkpoint=path, batches=kind(2, labels=LABELS.tolist())).history.step[-1] == 80


@pytest.mark.parametrize("other", [Own(waste=50), Own(first=2)], ids=["draws more", "cuts later"])
def test_a_sampler_without_a_repr_is_known_by_what_it_draws(path, other):
    break_run(70, path, batches=Own())
    refused(path, "batches does not draw the rows that it", batches=other, n_epochs=9)


def test_one_other_value_in_the_data_shows_in_the_loss(path):
    """The loss moves by about 1e-9."""
    break_run(70, path)
    for row in range(N):
        other = X.copy()
        other[row, 0] += 1e-6
        refused(path, "X or y differ", X=other)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("objective", [gd.LeastSquares(), gd.LogisticRegression()])
def test_another_number_of_threads_is_no_other_call(path, monkeypatch, objective, dtype):
    """Sums in another order differ by rounding, and the loss with them."""
    options = {"X": X.astype(dtype), "theta_init": THETA.astype(dtype), "objective": objective}
    break_run(70, path, **options)
    loss, eps = type(objective).loss, np.finfo(dtype).eps
    for factor in (1 + 8 * eps, 1 + 1e4 * eps):
        monkeypatch.setattr(type(objective), "loss", lambda *a, f=factor: f * loss(*a))
        if factor < 1 + 1e3 * eps:
            run(checkpoint=path, n_epochs=3, **options)
        else:
            refused(path, "X or y differ", n_epochs=3, **options)


def test_what_is_no_whole_checkpoint_is_refused(path):
    whole = break_run(30, path)
    np.save(no_archive := io.BytesIO(), THETA)
    edges = {*range(60), *range(len(whole) - 400, len(whole)), *range(0, len(whole), 41)}
    for content in (b"my thesis", no_archive.getvalue(), *(whole[:k] for k in sorted(edges))):
        path.write_bytes(content)
        refused(path, DAMAGED)


def test_a_flipped_bit_is_refused_or_harmless(path):
    """A zip file has bytes that mean nothing here, such as a date."""
    expected = run(momentum=0.5)
    whole = break_run(30, path, momentum=0.5)
    told, harmless = [], 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            again = run(checkpoint=path, momentum=0.5)
        except ValueError as error:
            told.append(str(error))
        else:
            assert_same(again, expected)
            harmless += 1
    assert all(str(path) in text for text in told)
    assert len(told) > 3 * harmless


def rewrite(path, about=lambda words: words, **arrays):
    """Give a file other arrays, or none where they are None, and have `about` change its words."""
    with np.load(path) as file:
        content = dict(file)
    words = about(json.loads(str(content["about"])))
    content |= {"about": np.array(json.dumps(words))} | arrays
    np.savez(path, **{name: array for name, array in content.items() if array is not None})


STRANGE = {
    "a list": {"about": lambda words: [words]},
    "a number": {"about": lambda words: 3},
    "nothing said": {"about": lambda words: words | {"call": {"rng": words["call"]["rng"]}}},
    "no call": {"about": lambda words: {"rng": words["rng"]}},
    "a call that is none": {"about": lambda words: words | {"call": 3}},
    "no rng": {"about": lambda words: {"call": words["call"]}},
    "no theta": {"theta": None},
    "no velocity": {"velocity": None},
    "no steps": {"step": None},
    "no records": dict.fromkeys(Record._fields, np.empty(0)),
    "a short theta": {"theta": THETA[1:]},
    "a short velocity": {"velocity": THETA[1:]},
    "a short column": {"loss": np.ones(3)},
    "a single step": {"step": np.array(1)},
    "steps with two axes": {"step": np.ones((4, 4), int)},
    "half steps": {"step": np.full(4, 0.5)},
    "losses in words": {"loss": np.array(["much"] * 4)},
    **{f"theta of {kind}": {"theta": THETA.astype(kind)} for kind in ("f4", "i8", "c16", "U", "?")},
    "velocity of U": {"velocity": THETA.astype("U")},
    "an object": {"theta": np.array([{}], dtype=object)},
}


@pytest.mark.parametrize("changes", STRANGE.values(), ids=STRANGE)
def test_strange_contents_are_told_as_damage(path, changes):
    break_run(70, path)
    rewrite(path, **changes)
    for rng in (0, None):
        refused(path, DAMAGED, rng=rng)


@pytest.mark.parametrize("name", ["theta_init", "objective", "rng"])
def test_a_file_that_says_something_else_of_its_call_is_refused(path, name):
    break_run(30, path)
    for value in ([], None, 3, "{}", '{"bit_generator": "PCG64"}'):
        rewrite(path, about=lambda words, v=value: words | {"call": words["call"] | {name: v}})
        refused(path, f"made by another call: {name} ")
        refused(path, f"made by another call: {name} |{DAMAGED}", rng=None)
    rewrite(path, about=lambda words: words["call"].pop(name) and words)
    refused(path, f"made by another call: {name} ")


def test_a_path_that_cannot_be_is_told_before_any_work(tmp_path):
    bad = [
        (tmp_path / "no" / "run.npz", FileNotFoundError, r"there is no folder .*no; make it"),
        (tmp_path, ValueError, "is a folder"),
        (3, TypeError, "checkpoint must be a path, got 3"),
    ]
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe")
        bad += [
            (tmp_path / "pipe", ValueError, "must be a regular file, but .*pipe is a device or a"),
            ("/dev/full", ValueError, "must be a regular file, but /dev/full is a device"),
            (tmp_path / ("a" * 250), ValueError, "must have a shorter name: a* has 250 .* 13 are"),
            (tmp_path / ("a" * 300), ValueError, "must have a shorter name: a* has 300 .* 13 are"),
        ]
    for path, error, message in bad:
        with pytest.raises(error, match=message):
            run(learning_rate=at_step(1, fail), checkpoint=path)
    assert not set(os.listdir(tmp_path)) - {"pipe"}


# Processes that are killed

SITES = ["half a file", "before the move", "a step", "a read", "any time"]
N_KILLS = 50


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither fork nor SIGKILL")
def test_fifty_kills_change_no_bit():
    """In a process of its own, which has no threads and may fork."""
    code = "import test_checkpoints; test_checkpoints.kill_again_and_again()"
    here = Path(__file__).parent
    search = os.pathsep.join([str(here.parent), str(here), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "error", "-c", code]
    settings = os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    told = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120)
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
        options = RULES[rng.choice(list(RULES))] | {"batches": scheme, "rng": number}
        options |= {"record_every": (None, 7)[number % 2], "n_epochs": 24}
        whole = run(**options)
        with TemporaryDirectory() as folder:
            options["checkpoint"] = Path(folder) / "run"
            for site in ["a step", *rng.permutation(SITES)]:
                kills[site] += is_killed(options, whole, site, rng)
            assert not is_killed(options, whole, None, rng), "the last start comes to its end"
            assert os.listdir(folder) == ["run"]
        if sum(kills.values()) >= N_KILLS:
            break
    print(json.dumps(kills))


def is_killed(options, whole, site, rng):
    """Start a run in a process of its own that dies at a site; whether it came so far."""
    chance, delay = int(rng.integers(1, 3)), rng.uniform(0, 0.03)
    child = os.fork()
    if child == 0:
        try:
            assert_same(run(learning_rate=Watched(die_at(site, chance)), **options), whole)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    if site == "any time":
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), "a run that was started again failed"
    return status == -signal.SIGKILL


def die_at(site, chance):
    """Have this process kill itself at a site, the time that `chance` says.

    Returns what the schedule is to do at each step, which takes the time to be killed in.
    """
    savez, replace, load, times = np.savez, os.replace, np.load, count(1)

    def pass_by(here, last=chance, before=lambda: None):
        if site == here and next(times) == last:
            before()
            os.kill(os.getpid(), signal.SIGKILL)

    def write(file, **arrays):
        savez(file, **arrays)
        pass_by("half a file", before=lambda: file.truncate(file.tell() // 2))

    np.savez = write
    os.replace = lambda *paths: (pass_by("before the move"), replace(*paths))
    np.load = lambda *arguments, **options: (pass_by("a read", 1), load(*arguments, **options))[1]
    return lambda step: (pass_by("a step", 30 * chance), time.sleep(5e-5))

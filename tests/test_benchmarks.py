"""What of the benchmarks can be held without the machine that they are for."""

import os
import subprocess
import sys
import types
from itertools import islice
from pathlib import Path

import array_api_strict
import cupy_stand_in
import numpy as np
import pytest

import course
import gdcourse as gd
from benchmarks import calls, cpu, gpu, memory, perceptron, roofline
from gdcourse.lesson import tables as results

OTHER_DEVICE = array_api_strict.Device("device1")

FAKE_HEADER = {
    "measurement": "fake, made by a test: these are no timings",
    "device": "Imaginary GPU: none",
    "command": "none",
}
FAKE_ROWS = [
    {"model": "MLP", "library": "numpy", "batch_size": 1, "seconds_per_step": "2.5e-05"},
    {"model": "MLP", "library": "cupy", "batch_size": 64, "seconds_per_step": "1.0e-04"},
]


def strict(array):
    return array_api_strict.asarray(array, device=OTHER_DEVICE)


@pytest.mark.parametrize("asarray", [np.asarray, strict], ids=["numpy", "array-api-strict"])
def test_the_same_arithmetic_passes_the_check(asarray):
    gpu.check(asarray, batch_sizes=(1, 7, 64), n_samples=128)


def test_the_check_names_the_case_in_which_the_paths_part():
    def careless(array):
        return array.astype("float32") if array.dtype == np.float64 else array

    with pytest.raises(AssertionError, match=r"least squares, float64, b = 1: .* apart"):
        gpu.check(careless, batch_sizes=(1,), n_samples=128)


def test_the_check_is_not_passed_by_not_a_number():
    def broken(array):
        return np.full_like(array, np.nan) if array.dtype.kind == "f" else array

    with pytest.raises(AssertionError, match="the paths are nan apart"):
        gpu.check(broken, batch_sizes=(1,), n_samples=128)


class Drawn:
    """A sampler of one epoch that was drawn before."""

    def __init__(self, epoch):
        self.epoch = epoch

    def epochs(self, n_samples, rng):
        yield self.epoch


@pytest.mark.parametrize("model", gpu.MODELS)
def test_a_timed_step_is_a_step_of_the_package(model):
    case = gpu.make_case(model, "float64", n_samples=32)
    batches = gpu.draw(case, 8, 3)
    epoch = gd.Epoch(np.concatenate(batches), 8 * np.arange(4))
    path = gd.updates(
        case.X,
        case.y,
        case.theta,
        objective=case.objective,
        batches=Drawn(epoch),
        learning_rate=gpu.LEARNING_RATE,
    )
    *_, (_, _, expected) = islice(path, 4)
    np.testing.assert_allclose(gpu.runner(case, batches)(3), expected, rtol=1e-12)


def test_copied_rows_make_the_same_steps_as_resident_ones():
    case = gpu.make_case("softmax", "float64", n_samples=32)
    batches = gpu.draw(case, 8, 3)
    resident = gpu.runner(case.move(strict), [strict(batch) for batch in batches])(5)
    copied = gpu.runner(case, batches, strict)(5)
    np.testing.assert_allclose(gd.to_host(resident), gd.to_host(copied), rtol=1e-12)


def test_the_clock_warms_up_and_lengthens_short_runs():
    calls = []

    def seconds(run, n_steps):
        calls.append(n_steps)
        return 0.001 * n_steps

    measured = gpu.seconds_per_step(None, seconds, shortest=0.01, repeats=3)
    assert measured == pytest.approx(0.001)
    assert calls == [2, 2, 4, 8, 16, 16, 16, 16]


def test_the_host_clock_measures_a_run():
    case = gpu.make_case("least squares", "float32", n_samples=64)
    run = gpu.runner(case, gpu.draw(case, 4, 2))
    assert 0 < gpu.seconds_per_step(run, gpu.wall_seconds, shortest=1e-4, repeats=3) < 1


def test_a_table_comes_back_as_it_was_written(tmp_path):
    path = gpu.table_path(FAKE_HEADER["device"], "steps", tmp_path / "results")
    assert path.name == "gpu_imaginary-gpu-none_steps.csv"
    results.write_table(path, FAKE_HEADER, FAKE_ROWS)
    table = results.read_table(path)
    assert table.header == FAKE_HEADER
    assert table.columns["model"].tolist() == ["MLP", "MLP"]
    np.testing.assert_array_equal(table.columns["batch_size"], [1.0, 64.0])
    np.testing.assert_array_equal(table.columns["seconds_per_step"], [2.5e-5, 1e-4])
    only = table.where(library="cupy", model="MLP")
    np.testing.assert_array_equal(only["batch_size"], [64.0])


@pytest.mark.parametrize("rows", [[], [{"b": 1}, {"c": 2}]], ids=["none", "uneven"])
def test_a_table_without_even_rows_is_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="rows must hold at least one dict"):
        results.write_table(tmp_path / "table.csv", {}, rows)


@pytest.mark.parametrize(
    "cells",
    [["# a: b", "#", "c"], ['"', ",", "a 'b'"], ["a: b", " c ", ""]],
    ids=["marks of a header", "marks of csv", "spaces"],
)
def test_any_text_of_one_line_comes_back(tmp_path, cells):
    path = tmp_path / "table.csv"
    results.write_table(path, {"a": "# b: c, d"}, [{"x": cell, "y": 1} for cell in cells])
    table = results.read_table(path)
    assert table.header == {"a": "# b: c, d"}
    assert table.columns["x"].tolist() == cells


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ({}, {"x": "a\nb"}, r"must be of one line, got 'a\\nb'"),
        ({}, {"x": "a\u2028"}, r"must be of one line"),
        ({"a": "b\nx"}, {"x": 1}, r"must be of one line"),
        ({}, {"#x": 1}, r"the first column must not begin with #"),
    ],
)
def test_what_would_not_be_read_as_it_was_written_is_refused(tmp_path, header, row, message):
    with pytest.raises(ValueError, match=message):
        results.write_table(tmp_path / "table.csv", header, [row])


@pytest.mark.parametrize("text", ["", "# device: none\n", "# device: none\nmodel,batch_size\n\n"])
def test_a_table_of_a_header_alone_is_refused(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="has no rows below its header"):
        results.read_table(path)


def test_every_committed_table_names_its_machine():
    for path in gpu.FOLDER.glob("gpu_*.csv"):
        header = results.read_table(path).header
        wanted = ("device", "driver", "CUDA", "CuPy", "NumPy", "Python", "date", "command")
        assert all(header.get(key) for key in wanted), path.name


@pytest.fixture
def cupy(monkeypatch):
    """A stand-in that answers the calls to CuPy and computes with NumPy, and small sizes."""
    monkeypatch.setattr(gpu, "N_SAMPLES", 64)
    monkeypatch.setattr(gpu, "BATCH_SIZES", (8, 32))
    monkeypatch.setattr(gpu, "COPIED", 1000)
    monkeypatch.setattr(gpu.seconds_per_step, "__defaults__", (1e-6, 1))
    return cupy_stand_in.cupy


def test_no_row_comes_twice_in_what_is_timed():
    case = gpu.make_case("least squares", "float32", n_samples=64)
    for batch_size, expected in ((1, 9), (8, 8), (64, 1)):
        batches = gpu.draw(case, batch_size, 9)
        assert len(batches) == expected
        assert all(len(batch) == batch_size for batch in batches)
        assert len(np.unique(np.concatenate(batches))) == expected * batch_size


def test_steps_are_timed_on_the_host_on_the_device_and_with_copies(cupy):
    timed = list(gpu.steps(cupy, [("softmax", "float32")]))
    assert [(row["batch_size"], row["library"], row["data"]) for row in timed] == [
        (batch_size, library, data)
        for batch_size in (8, 32)
        for library, data in (("numpy", "resident"), ("cupy", "resident"), ("cupy", "copied"))
    ]
    assert all(float(row["seconds_per_step"]) > 0 for row in timed)
    *_, last = timed
    moved = float(last["bytes_per_second"]) * float(last["seconds_per_step"])
    assert moved == pytest.approx(4 * 32 * 64 * 4, rel=1e-3)  # four times 32 rows of 64 floats


@pytest.mark.parametrize(("law", "name"), [(np.add, "sum"), (np.maximum, "maximum")])
def test_the_law_behind_a_curve_is_found(law, name):
    timed = [
        {
            "model": "MLP",
            "dtype": "float32",
            "library": library,
            "data": "resident",
            "batch_size": b,
            "seconds_per_step": f"{law(t_0, b / 1e7):.4e}",
        }
        for b in (1, 8, 64, 512, 4096)
        for library, t_0 in (("numpy", 5e-6), ("cupy", 40e-6))
    ]
    for library, t_0 in (("numpy", 5e-6), ("cupy", 40e-6)):
        found = [row for row in gpu.laws(timed) if row["library"] == library]
        best = min(found, key=lambda row: float(row["misfit"]))
        assert best["law"] == name
        assert float(best["misfit"]) < 0.01
        assert float(best["t_0"]) == pytest.approx(t_0, rel=0.01)
        assert float(best["rows_per_second"]) == pytest.approx(1e7, rel=0.01)


def test_the_bandwidth_of_a_copy_is_that_of_its_bytes(cupy):
    assert [row["library"] for row in gpu.bandwidth(cupy)] == ["numpy", "cupy"]
    (*_, device) = gpu.bandwidth(cupy)
    # The clock of the stand-in says a millisecond, whatever is done in it: two copies.
    assert float(device["bytes_per_second"]) == pytest.approx(2 * 1000 / (1e-3 / 2))


@pytest.mark.parametrize("asarray", [np.asarray, strict], ids=["numpy", "array-api-strict"])
def test_the_step_that_is_captured_is_a_step_of_the_package(asarray):
    case = gpu.make_case("least squares", "float64", n_samples=16)
    there = case.move(asarray)
    theta = there.theta + 0.0
    for _ in range(5):
        gpu.step_in_place(theta, there.X, there.y)
    gpu.hold_steps(gd.to_host(theta), case)
    with pytest.raises(AssertionError, match=r"b = 16: the paths are .* apart"):
        gpu.hold_steps(1.001 * gd.to_host(theta), case)


def test_a_graph_is_recorded_between_its_two_calls():
    calls = []

    class Stream:
        def begin_capture(self):
            calls.append("begin")

        def end_capture(self):
            calls.append("end")
            return self

        def launch(self):
            calls.append("launch")

    launch = gpu.captured(Stream(), lambda: calls.append("step"))
    launch()
    assert calls == ["begin", "step", "end", "launch"]


def test_graphs_are_checked_before_they_are_timed(cupy, monkeypatch):
    with pytest.raises(AssertionError, match="b = 1: the paths are"):
        list(gpu.graphs(cupy))  # the graph of the stand-in does nothing
    monkeypatch.setattr(gpu, "captured", lambda stream, step: step)
    assert [(row["batch_size"], row["launched"]) for row in gpu.graphs(cupy)] == [
        (batch_size, launched)
        for batch_size in gpu.CAPTURED_SIZES
        for launched in ("one by one", "as a graph")
    ]


def test_the_memory_of_a_step_is_as_predicted_on_the_host(cupy):
    found = [row for row in gpu.memory(cupy) if row["library"] == "numpy"]
    assert [row["batch_size"] for row in found] == [128, 256, 512]
    sizes, predicted, measured = np.array([list(row.values())[1:] for row in found]).T
    np.testing.assert_allclose(predicted, measured, rtol=0.25)
    np.testing.assert_allclose(np.diff(measured) / np.diff(sizes), 4 * 596, rtol=0.03)


def test_the_peak_is_the_most_that_the_pool_has_given_out(cupy):
    listening = []

    class MemoryHook(cupy_stand_in.MemoryHook):
        def __enter__(self):
            listening.append(self)
            return self

    def run():
        (hook,) = listening
        for size in (512, 1024, -512, 2048, -1024):
            told = hook.malloc_postprocess if size > 0 else hook.free_postprocess
            told(mem_size=abs(size), device_id=0)

    cuda = types.SimpleNamespace(MemoryHook=MemoryHook)
    assert gpu.device_peak(types.SimpleNamespace(cuda=cuda))(run) == 512 + 1024 - 512 + 2048


def test_a_part_that_fails_does_not_cost_the_others(cupy, tmp_path, capsys):
    def broken(cupy):
        yield {"b": 1}
        raise RuntimeError("the device is on fire")

    parts = {"graphs": broken, "bandwidth": gpu.bandwidth, "steps": few_steps}
    assert gpu.write_parts(cupy, parts, tmp_path) == ["graphs"]
    assert "the device is on fire" in capsys.readouterr().err
    written = {path.name for path in tmp_path.glob("*")}
    assert written == {f"gpu_stand-in_{part}.csv" for part in ("bandwidth", "steps", "laws")}
    about = results.read_table(tmp_path / "gpu_stand-in_laws.csv").header
    assert about["device"] == "Stand-in"
    assert about["CUDA"] == "12.4 (the driver offers 13.0)"
    assert about["memory"] == "3.352e+12 bytes/s by clock and width"
    assert about["command"] == "python benchmarks/gpu.py"


def few_steps(cupy):
    return gpu.steps(cupy, [("least squares", "float64")])


def test_without_a_device_one_sentence_says_what_is_missing():
    if gpu.find_cupy() is not None:
        pytest.skip("there is a device")
    answer = subprocess.run(
        [sys.executable, course.ROOT / "benchmarks" / "gpu.py"],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith("There is nothing to time here")
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize("model", cpu.RATE)
@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_contestants_on_the_processor_end_where_we_do(model, batch_size):
    X, y, theta = cpu.problem(model, 60, 4, "float64")
    found = cpu.contestants(model, batch_size, X, y)
    assert "plain NumPy loop" in found
    cpu.check(model, found, X, y, theta, batch_size, 0.1)
    assert not np.any(theta)  # the start is everybody's


def test_a_contestant_who_ends_elsewhere_is_not_timed():
    def wrong(model, X, y, theta, b, rate, n_epochs, seed):
        return cpu.plain_loop(model, X, y, theta, b, 1.01 * rate, n_epochs, seed)

    case = cpu.problem("logistic", 60, 4, "float64")
    with pytest.raises(SystemExit, match=r"a rival ends .* away from gdcourse"):
        cpu.check("logistic", {"a rival": wrong}, *case, 7, 0.1)


def test_whole_passes_agree_before_they_are_timed():
    rows = list(cpu.whole_passes(1, n=500, d=3))
    assert [row["who"] for row in rows][::2] == [
        "full-batch gradient",
        "50 recorded steps",
        "200 steps, compressed",
        "gradient_variance",
    ]
    assert all(row.keys() == set(cpu.COLUMNS) for row in rows)


def test_whole_calls_agree_before_they_are_timed():
    rows = list(calls.compare(1, n=200))
    assert [row["who"] for row in rows[:3]] == [
        "gdcourse",
        "scikit-learn, fit",
        "scikit-learn, partial_fit",
    ]
    assert len(rows) == 3 * len(calls.CASES)


def test_fits_say_how_far_above_the_lowest_loss_they_end():
    rows = {row["who"]: float(row["above"]) for row in calls.fits(1, n=2000)}
    assert min(rows.values()) == 0
    assert rows["gdcourse, full batch"] < 1e-6
    assert rows["scikit-learn, liblinear"] < 1e-6
    assert 1e-7 < rows["gdcourse, SGD"] < 0.1


def test_a_perceptron_walks_the_path_of_the_package():
    X, theta = np.ones((8, 64)), perceptron.MODEL.initial(0)
    scores = perceptron.forward(theta, X, np.tanh)
    np.testing.assert_allclose(scores, perceptron.MODEL.predict(theta, X), rtol=1e-12)
    (row, *_) = perceptron.compare(1, n=64, batch_sizes=(32,))
    assert (row["who"], row["b"]) == ("gdcourse", 32)


def test_the_roofline_has_a_row_for_each_ceiling_and_each_loop():
    rows = list(roofline.measure(1, n=20_000, d=5))
    assert len(rows) == 3 + 3 * 3
    assert all(float(row["share"]) > 0 for row in rows[3:])


LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux counts the pages")


@LINUX
def test_what_a_process_holds_is_seen_from_outside():
    before = memory.held(os.getpid())
    array = np.ones(10**7)
    after = memory.held(os.getpid())
    for now, then in zip(after, before, strict=True):
        assert array.nbytes <= now - then < 1.1 * array.nbytes


@LINUX
def test_a_descent_over_a_map_is_watched(monkeypatch):
    """8 MB of X: as pages of the file they are seen, and the process makes no copy of them."""
    task = "memory map, full batch"
    monkeypatch.setattr(memory, "LARGE", 8 * 10**6)
    monkeypatch.setattr(memory, "TASKS", {task: memory.TASKS[task]})
    (row,) = memory.measure()
    assert (row["what"], row["data_mb"]) == (task, "8")
    assert float(row["own_mb"]) < 2
    assert float(row["with_file_pages_mb"]) > 2

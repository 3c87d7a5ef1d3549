"""The figures that move, in a real browser: they compute what gdcourse computes."""

import json
import re
import shutil
import time
from itertools import islice, product

import numpy as np
import pytest
from browsing import browser, html, served

import course
import gdcourse as gd
from gdcourse.lesson import data, explorer
from gdcourse.lesson.explorer.figure import evaluate, page_files

N_STEPS = 40
RATES = [0.01, 0.1, 0.5, 0.79, 1.6, 3.0]  # from 1.4 on even the full batch diverges
SIZES = [1, 2, 8, 32]


def problem():
    """Return two columns of the diabetes data and a start, as the figures round them."""
    X, y = data.diabetes()
    return np.rint(1000 * X[:, [2, 8]]) / 1000, np.rint(1000 * y) / 1000, [-0.7, 1.1]


@pytest.fixture(scope="module")
def figures():
    """Return one figure of each kind."""
    X, y, start = problem()
    sizes = {"full batch": 64, "mini-batch": 8, "SGD": 1}
    A, t, truth = data.linear_problem(64, 3, rng=0)
    histories = {
        name: gd.descend(
            A, t, 0 * truth, batches=gd.Shuffled(b), learning_rate=0.1, n_epochs=20, rng=0
        ).history
        for name, b in sizes.items()
    }
    return [
        explorer.three_estimators(X, y, start, n_steps=N_STEPS, batch_sizes=SIZES, rng=5),
        explorer.noise_ball(X, y, start, n_steps=N_STEPS, batch_sizes=SIZES, rng=5),
        explorer.axis_toggle(histories, lowest=0.0, overhead=8e-6, seconds_per_row=2e-8),
        explorer.memory_calculator(),
        explorer.scaling_calculator(),
        explorer.your_update(X, y, start, n_steps=N_STEPS, batch_sizes=SIZES, rng=5),
        explorer.heavy_ball(X, y, start, n_steps=N_STEPS),
    ]


@pytest.fixture(scope="module")
def folder(figures, html, tmp_path_factory):
    """Return a folder with a page of the figures and nothing else around them."""
    folder = tmp_path_factory.mktemp("figures")
    for name, text in page_files().items():
        (folder / name).write_text(text, encoding="utf-8")
    shutil.copy(html / "_static" / "micropython.js", folder)
    write_page(folder / "figures.html", "".join(figure.html for figure in figures))
    return folder


def write_page(path, body):
    icon = '<link rel="icon" href="data:,">'  # or the browser asks for one
    head = '<link rel="stylesheet" href="explorer.css"><script src="explorer.js"></script>'
    text = f'<!doctype html><meta charset="utf-8"><title>Figures</title>{icon}{head}{body}'
    path.write_text(text, encoding="utf-8")


def open_page(browser, address):
    """Open a page for a reader who wants no motion, who may read what a button copies."""
    page = browser.new_page(reduced_motion="reduce", viewport={"width": 1280, "height": 720})
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(address)
    return page


@pytest.fixture
def another(browser, page):
    """Open the same page once more, for what leaves it or loads it again."""
    another = open_page(browser, page.url.split("#")[0])
    yield another
    another.close()


# From the disk, where a browser allows a script less; what asks for a file, a worker, a store or
# the address also from a server.
@pytest.fixture(scope="module", params=["file"])
def page(request, browser, folder):
    """Open the figures; nothing may be asked of another host, and no script may complain."""
    with served(folder, request.param) as root:
        page = open_page(browser, "about:blank")
        complaints = []
        page.on("request", lambda sent: complaints.append(sent.url))
        page.on("pageerror", lambda error: complaints.append(error.stack))
        page.on("console", lambda line: complaints.append(line.text))
        page.goto(f"{root}/figures.html")
        yield page
        page.close()
        assert [c for c in complaints if not c.startswith((root, "data:", "blob:"))] == []


FROM_BOTH = pytest.mark.parametrize("page", ["http", "file"], indirect=True)


def payload(figure):
    """Return the data that the page gets."""
    return json.loads(re.search(r"application/json\">(.*?)</script>", figure.html)[1])


POINTS = "nodes => nodes.map(node => node.getAttribute('points'))"


def reset(page, name):
    page.locator(f"#gd-{name}").get_by_role("button", name="Reset", exact=True).click()


def numbers(page, name):
    """Return the text of the cells of a figure's table, by row."""
    rows = page.locator(f"#gd-{name} .gd-numbers tbody tr").all()
    return [row.locator("td").all_text_contents() for row in rows]


def path_in_python(batches, learning_rate, rng=5, n_steps=N_STEPS):
    X, y, start = problem()
    steps = gd.updates(X, y, start, batches=batches, learning_rate=learning_rate, rng=rng)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array([theta for _, _, theta in islice(steps, n_steps + 1)])


def path_in_the_page(page, b, learning_rate, decay=0):
    script = """([b, rate, decay]) => {
        const { problem } = document.querySelector("#gd-three-estimators").explorer;
        return problem.path({ b, rate, decay }).flat().map(String);
    }"""
    texts = page.evaluate(script, [b, learning_rate, decay])
    return np.array([float(text.replace("Infinity", "inf")) for text in texts]).reshape(-1, 2)


def assert_same(page_values, python_values):
    np.testing.assert_allclose(page_values, python_values, rtol=1e-9, atol=1e-9)


# The same numbers as gdcourse


@pytest.mark.parametrize(("b", "learning_rate"), [*product([*SIZES, None], RATES)])
def test_the_page_walks_the_path_of_the_package(page, b, learning_rate):
    batches = gd.WithReplacement(b) if b else gd.FullBatch()
    expected = path_in_python(batches, learning_rate)
    assert_same(path_in_the_page(page, b, learning_rate), expected)


@pytest.mark.parametrize("b", SIZES)
def test_a_decaying_rate_is_that_of_the_package(page, b):
    expected = path_in_python(gd.WithReplacement(b), gd.schedules.inverse_time(0.3, decay=0.1))
    assert_same(path_in_the_page(page, b, 0.3, decay=0.1), expected)


def kept_in_python(learning_rate, momentum, nesterov):
    """The largest eigenvalue of θ_t, θ_{t−1} -> θ_{t+1}, θ_t, for both parameters at once."""
    X, _, _ = problem()
    factor = np.eye(2) - learning_rate * X.T @ X / len(X)
    now, before = (1 + momentum) * factor, -momentum * factor
    if not nesterov:
        now, before = factor + momentum * np.eye(2), -momentum * np.eye(2)
    return abs(np.linalg.eigvals(np.block([[now, before], [np.eye(2), np.zeros((2, 2))]]))).max()


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(
    ("learning_rate", "momentum"), [*product([0.05, 0.4, 1.6, 3.2], [0, 0.5, 0.95])]
)
def test_the_page_rolls_as_the_package_does(page, learning_rate, momentum, nesterov):
    X, y, start = problem()
    steps = gd.updates(
        X,
        y,
        start,
        batches=gd.FullBatch(),
        learning_rate=learning_rate,
        momentum=momentum,
        nesterov=nesterov,
    )
    expected = np.array([theta for _, _, theta in islice(steps, N_STEPS + 1)])
    script = """([rate, momentum, nesterov]) => {
        const { problem } = document.querySelector("#gd-heavy-ball").explorer;
        const rule = { rate, momentum, nesterov };
        return [problem.path(rule), problem.kept(rule)];
    }"""
    path, kept = page.evaluate(script, [learning_rate, momentum, nesterov])
    assert_same(np.array(path, dtype=float), expected)
    assert kept == pytest.approx(kept_in_python(learning_rate, momentum, nesterov), rel=1e-6)


@pytest.mark.parametrize(("b", "learning_rate"), [*product(SIZES, [0.01, 0.1, 0.5])])
def test_the_noise_floor_is_that_of_the_package(page, figures, b, learning_rate):
    X, y, _ = problem()
    controls = payload(figures[1])["controls"]
    for key, value in {"learning_rate": learning_rate, "batch_size": b}.items():
        place = controls[key]["values"].index(value)
        slider = page.locator("#gd-noise-ball").get_by_label(controls[key]["label"], exact=True)
        slider.fill(str(place))
    limit = gd.stability_limit(X, b)
    floor = "none: beyond the limit"
    if learning_rate < limit:
        floor = evaluate(f"number({gd.noise_floor(X, y, learning_rate, b)})")
    assert numbers(page, "noise-ball")[2:] == [[floor], [evaluate(f"number({limit})")]]
    reset(page, "noise-ball")


def test_the_memory_is_that_of_the_package(page):
    script = """(wanted) => document.querySelector("#gd-memory-calculator").explorer.held(wanted)
        .map(([name, bytes]) => bytes)"""
    for b, size, states in product([1, 512], [2, 4], [0, 1, 2]):
        wanted = {"n_parameters": 7000, "activations": 900, "batch_size": b}
        found = page.evaluate(script, wanted | {"bytes": size, "states": states})
        memory = gd.training_memory(7000, 900, b, bytes_per_value=size, optimizer_states=states)
        assert found == list(memory)


@pytest.mark.parametrize("scaling", ["strong", "weak"])
@pytest.mark.parametrize("method", ["ring", "tree", "star"])
def test_the_step_of_many_workers_is_that_of_the_package(page, method, scaling):
    script = """([wanted, counts]) => {
        const { step, balance } = document.querySelector("#gd-scaling-calculator").explorer;
        return [...counts.map((p) => step(p, wanted)), [balance(wanted)]].flat();
    }"""
    state = {"n_parameters": 7e6, "bytes": 2, "batch_size": 96, "sample": 3e-3, "local_steps": 5}
    link = {"bandwidth": 2e8, "latency": 4e-5, "method": method}
    counts = [1, 2, 7, 64, 100_000]
    found = page.evaluate(script, [state | link | {"scaling": scaling}, counts])
    expected = []
    for p in counts:
        rows = 96 * (p if scaling == "weak" else 1)
        work = {"batch_size": rows, "seconds_per_sample": 3e-3, "n_bytes": 14e6}
        expected += gd.data_parallel_step(p, **work, **link, local_steps=5)
    balance = gd.balanced_workers(5 * 96 * 3e-3, 14e6, **link, scaling=scaling)
    np.testing.assert_allclose(found, [*expected, balance], rtol=1e-12)


@FROM_BOTH
def test_the_page_first_shows_what_the_notebook_stores(page, browser, folder):
    silent = browser.new_context(java_script_enabled=False).new_page()
    silent.goto(f"{folder.as_uri()}/figures.html")
    figures = page.locator(".gd-explorer").all()
    for live, still in zip(figures, silent.locator(".gd-explorer").all(), strict=True):
        assert live.locator("table").inner_text() == still.locator("table").inner_text()
        for tag in ("polyline", ".gd-x text", "rect", ".gd-theory"):
            shapes = (
                "nodes => nodes.map(n => n.getAttribute('points') || n.textContent || n.outerHTML)"
            )
            drawn = [f.locator(f"svg {tag}").evaluate_all(shapes) for f in (live, still)]
            assert drawn[0] == drawn[1]
    silent.context.close()


# Controls


def test_an_arrow_key_moves_the_path_and_its_numbers(page):
    figure = page.locator("#gd-three-estimators")
    before = (
        numbers(page, "three-estimators"),
        figure.locator("polyline").nth(2).get_attribute("points"),
    )
    slider = figure.get_by_label("Learning rate")
    slider.focus()
    page.keyboard.press("ArrowRight")
    state = page.evaluate("document.querySelector('#gd-three-estimators').explorer.state")
    assert state["learning_rate"] == 0.25
    assert slider.get_attribute("aria-valuetext") == "α = 0.25"
    after = (
        numbers(page, "three-estimators"),
        figure.locator("polyline").nth(2).get_attribute("points"),
    )
    assert after[1] != before[1]
    X, y, _ = problem()
    expected = path_in_python(gd.WithReplacement(1), 0.25)
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    excess = 0.5 * np.mean((X @ (expected[-1] - best)) ** 2)
    distance = np.linalg.norm(expected[-1] - best)
    assert after[0][2] == ["40", "40", f"{excess:.3g}", f"{distance:.3g}"]
    reset(page, "three-estimators")
    assert (numbers(page, "three-estimators"), before[1]) == before


def test_the_batch_size_moves_only_the_mini_batch(page):
    before = numbers(page, "three-estimators")
    page.locator("#gd-three-estimators").get_by_label("Batch size").focus()
    page.keyboard.press("Home")
    after = numbers(page, "three-estimators")
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, True]
    assert after[1][:2] == ["40", "40"]
    assert after[1] == after[2]  # a mini-batch of one row is SGD
    reset(page, "three-estimators")


def test_steps_go_one_by_one_and_play(page):
    figure = page.locator("#gd-three-estimators")
    slider = figure.get_by_label("Step", exact=True)
    slider.focus()
    page.keyboard.press("Home")
    assert [row[1] for row in numbers(page, "three-estimators")] == ["0", "0", "0"]
    figure.get_by_role("button", name="One step", exact=True).click()
    assert [row[1] for row in numbers(page, "three-estimators")] == ["442", "32", "1"]
    figure.get_by_role("button", name="One step back").click()
    assert [row[1] for row in numbers(page, "three-estimators")] == ["0", "0", "0"]
    page.emulate_media(reduced_motion="no-preference")
    figure.get_by_role("button", name="Play").click()
    figure.get_by_role("button", name="Pause").wait_for()
    page.wait_for_function("document.querySelector('#gd-three-estimators').explorer.state.step > 3")
    figure.get_by_role("button", name="Pause").click()
    page.emulate_media(reduced_motion="reduce")
    reset(page, "three-estimators")


def test_the_end_of_a_play_is_announced(page):
    figure = page.locator("#gd-noise-ball")
    said = "document.querySelector('#gd-voice').textContent"
    figure.get_by_label("Step", exact=True).focus()
    page.keyboard.press("Home")
    page.wait_for_function(f"{said}.startsWith('After 0 steps.')")
    page.emulate_media(reduced_motion="no-preference")
    figure.get_by_role("button", name="Play").click()
    page.wait_for_function(f"{said}.startsWith('After {N_STEPS} steps.')")
    page.emulate_media(reduced_motion="reduce")
    assert figure.get_by_role("button", name="Play").is_visible()
    assert page.evaluate(said).endswith(f"grows: {numbers(page, 'noise-ball')[3][0]}")


def test_a_label_moves_with_its_picture(page):
    figure = page.locator("#gd-three-estimators")
    picture = figure.get_by_role("img")
    before = picture.get_attribute("aria-label")
    assert all(row[2] in before for row in numbers(page, "three-estimators"))
    figure.get_by_label("Learning rate").focus()
    page.keyboard.press("End")
    assert picture.get_attribute("aria-label").count("diverging") == 3
    figure.get_by_label("Step", exact=True).focus()
    page.keyboard.press("Home")
    assert "After 0 steps. full batch: " in picture.get_attribute("aria-label")
    reset(page, "three-estimators")
    assert picture.get_attribute("aria-label") == before


def test_reduced_motion_shows_the_end_at_once(page):
    page.emulate_media(reduced_motion="reduce")
    figure = page.locator("#gd-three-estimators")
    figure.get_by_label("Step", exact=True).focus()
    page.keyboard.press("Home")
    figure.get_by_role("button", name="Play").click()
    assert numbers(page, "three-estimators")[2][1] == "40"
    reset(page, "three-estimators")


def test_without_momentum_all_three_are_gradient_descent(page):
    before = numbers(page, "heavy-ball")
    assert before[0] != before[1] != before[2]
    slider = page.locator("#gd-heavy-ball").get_by_label("Momentum", exact=True)
    slider.focus()
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext") == "β = 0"
    assert numbers(page, "heavy-ball") == [before[0]] * 3
    reset(page, "heavy-ball")
    assert numbers(page, "heavy-ball") == before


def test_a_diverging_run_says_so(page):
    figure = page.locator("#gd-three-estimators")
    figure.get_by_label("Learning rate").focus()
    page.keyboard.press("End")
    assert all("diverging" in row[2] for row in numbers(page, "three-estimators"))
    points = figure.locator("polyline").evaluate_all(POINTS)
    assert not any(re.search("NaN|Infinity", text) for text in points)
    reset(page, "three-estimators")


def test_beyond_the_limit_there_is_no_ball(page):
    figure = page.locator("#gd-noise-ball")
    ellipse = figure.locator("ellipse.gd-theory")
    assert ellipse.is_visible()
    figure.get_by_label("Learning rate", exact=True).focus()
    page.keyboard.press("End")
    assert not ellipse.is_visible()
    assert numbers(page, "noise-ball")[2] == ["none: beyond the limit"]
    reset(page, "noise-ball")
    figure.get_by_label("Average θ").check()
    assert "of their average" in numbers(page, "noise-ball")[1][0]
    figure.get_by_label("Decay").focus()
    page.keyboard.press("ArrowRight")
    assert numbers(page, "noise-ball")[2] == ["none: the rate decays"]
    reset(page, "noise-ball")


def test_the_axis_changes_the_order_of_the_curves(page):
    figure = page.locator("#gd-axis-toggle")
    ends = (
        "nodes => nodes.map(n => Number(n.getAttribute('points').split(' ').at(-1).split(',')[0]))"
    )
    by_steps = figure.locator("polyline").evaluate_all(ends)
    figure.get_by_label("Horizontal axis").select_option("samples seen")
    by_samples = figure.locator("polyline").evaluate_all(ends)
    assert by_steps[0] < by_steps[1] < by_steps[2]
    assert by_samples[0] == by_samples[1] == by_samples[2]  # 20 epochs each
    figure.get_by_label("Horizontal axis").select_option("seconds")
    before = numbers(page, "axis-toggle")
    figure.get_by_label("Fixed cost").focus()
    page.keyboard.press("Home")
    after = numbers(page, "axis-toggle")
    assert [row[:2] for row in after] == [row[:2] for row in before]
    assert [row[2] for row in after] != [row[2] for row in before]
    reset(page, "axis-toggle")


def test_more_workers_and_rarer_averages_move_the_step(page):
    figure = page.locator("#gd-scaling-calculator")
    before = numbers(page, "scaling-calculator")
    spot = figure.locator(".gd-stage g > .gd-spot")
    place = spot.get_attribute("transform")
    figure.get_by_label("Workers, P").focus()
    page.keyboard.press("ArrowRight")
    assert figure.get_by_label("Workers, P").get_attribute("aria-valuetext") == "128"
    doubled = numbers(page, "scaling-calculator")
    assert (before[0], doubled[0]) == (["64 ms"], ["32 ms"])
    assert figure.locator("th").first.inner_text() == "with 128 workers"
    assert spot.get_attribute("transform") != place
    figure.get_by_text("More controls").click()
    edge = figure.locator(".gd-stage .gd-theory").get_attribute("d")
    figure.get_by_label("Local steps").focus()
    page.keyboard.press("ArrowRight")
    halved = numbers(page, "scaling-calculator")
    assert halved[0] == doubled[0]
    assert float(halved[1][0].split()[0]) == pytest.approx(
        float(doubled[1][0].split()[0]) / 2, rel=1e-3
    )
    assert figure.locator(".gd-stage .gd-theory").get_attribute("d") != edge
    figure.get_by_label("Every step").select_option("a batch of its own for each worker")
    assert numbers(page, "scaling-calculator")[0] == ["4.1 s"]
    reset(page, "scaling-calculator")
    assert numbers(page, "scaling-calculator") == before


def test_what_changes_is_said_politely_and_once(page):
    assert page.locator("[aria-live]").count() == 1
    page.locator("#gd-three-estimators").get_by_label("Learning rate").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "document.querySelector('#gd-voice').textContent.startsWith('After 40 steps.')"
    )
    reset(page, "three-estimators")


def test_every_control_has_a_name_and_a_finger_finds_it(page):
    page.locator("details").evaluate_all("nodes => nodes.forEach(node => { node.open = true; })")
    for control in page.locator(":is(button, input, select, textarea)").all():
        assert control.evaluate(
            "node => node.labels?.length || node.textContent.trim() || node.ariaLabel"
        )
        box = control.bounding_box()
        assert min(box["width"], box["height"]) >= 24  # the least of WCAG 2.2


def test_a_broken_figure_leaves_the_others_alive(browser, figures, folder):
    broken = figures[0].html.replace('"steps":40', '"steps":NaN').replace("gd-three", "gd-broken")
    write_page(folder / "broken.html", broken + figures[3].html)
    page = browser.new_page()
    complaints = []
    page.on("console", lambda line: complaints.append(line.text))
    page.goto(f"{folder.as_uri()}/broken.html")
    assert page.locator("#gd-memory-calculator.gd-alive").count() == 1
    assert page.locator("#gd-broken-estimators table").is_visible()
    assert "The figure gd-broken-estimators stays still." in complaints[0]
    page.close()


def test_a_figure_without_a_picture_is_drawn_in_the_page(browser, figures, folder, page):
    data = re.search("<script.*", figures[0].html)[0]
    hollow = f'<div class="gd-explorer" id="gd-three-estimators"><p>None.</p>{data}'
    write_page(folder / "hollow.html", hollow)
    fresh = browser.new_page(reduced_motion="reduce")
    fresh.goto(f"{folder.as_uri()}/hollow.html")
    markup = "node => node.querySelector('.gd-picture').innerHTML"
    drawn = [each.locator("#gd-three-estimators").evaluate(markup) for each in (fresh, page)]
    assert drawn[0] == drawn[1]
    fresh.close()


def test_a_narrow_page_holds_the_figures(page):
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    page.set_viewport_size({"width": 1280, "height": 720})


# The hand on the picture


def state_of(page, name):
    return page.evaluate(f"document.querySelector('#gd-{name}').explorer.state")


def centre(locator):
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def place_of(page, name, theta):
    """Return where on the screen a θ is, as the ring of a start would be."""
    script = """([name, theta]) => {
        const root = document.querySelector(`#gd-${name}`);
        const svg = root.querySelector(".gd-stage > svg");
        const place = new DOMPoint(...root.explorer.handle.at({ start: theta }));
        const { x, y } = place.matrixTransform(svg.getScreenCTM());
        return [x, y];
    }"""
    return page.evaluate(script, [name, theta])


@pytest.mark.parametrize("name", ["three-estimators", "noise-ball", "heavy-ball", "your-update"])
def test_a_hand_drags_the_start(page, name):
    handle = page.locator(f"#gd-{name} .gd-handle")
    handle.scroll_into_view_if_needed()
    first = state_of(page, name)["start"]
    assert centre(handle) == pytest.approx(place_of(page, name, first), abs=1)
    page.mouse.move(*centre(handle))
    page.mouse.down()
    page.mouse.move(*place_of(page, name, [0.9, 0.2]), steps=3)
    assert centre(handle) == pytest.approx(place_of(page, name, [0.9, 0.2]), abs=1)
    page.mouse.move(5000, 0)
    page.mouse.up()
    box = page.locator(f"#gd-{name} .gd-stage").bounding_box()
    x, y = centre(handle)
    assert box["x"] < x < box["x"] + box["width"]  # no further than the frame
    assert box["y"] < y < box["y"] + box["height"]
    page.mouse.move(*first)
    assert state_of(page, name)["start"] != first
    reset(page, name)
    assert state_of(page, name)["start"] == first


@pytest.fixture(scope="module")
def grid(browser, folder):
    """Open a map of 3 × 4 cells and an order of rows, alone on a page."""
    sizes, rates = [1, 4, 16], [0.05, 0.2, 0.8, 3.2]
    excess = [[0.9, 0.5, np.inf, np.nan], [1.5, 0.4, 0.6, 5.0], [1.9, 1.2, 0.3, np.inf]]
    cell = {"start": 2.0, "limits": [0.7, 1.5, 2], "n_samples": 64, "batch_size": 4}
    valley = explorer.valley(sizes, rates, excess, **cell, learning_rate=0.2)
    orders = {"in order": [0, 1, 2, 3] * 2, "drawn": [0, 0, 1, 3, 2, 2, 1, 1]}
    errors = {"in order": [[4, 3, 2, 1]], "drawn": [[5, 5, 5, 5]]}
    rows = explorer.row_orders(
        orders, errors, learning_rates=[0.1], learning_rate=0.1, scheme="in order"
    )
    write_page(folder / "grid.html", valley.html + rows.html)
    page = browser.new_page(reduced_motion="reduce", viewport={"width": 1280, "height": 900})
    page.goto(f"{folder.as_uri()}/grid.html")
    yield page
    page.close()


def test_a_hand_drags_the_cell_of_a_map(grid):
    handle = grid.locator("#gd-valley .gd-handle")
    x, y = centre(handle)
    svg = grid.locator("#gd-valley .gd-stage > svg").bounding_box()
    scale = svg["width"] / 440
    grid.mouse.move(x, y)
    grid.mouse.down()
    grid.mouse.move(x + 0.9 * scale * 386 / 3, y - 0.8 * scale * 274 / 4, steps=2)
    grid.mouse.up()
    chosen = [state_of(grid, "valley")[key] for key in ("batch_size", "learning_rate")]
    assert chosen == [16, 0.8]  # the nearest cell
    assert numbers(grid, "valley")[0] == ["0.8", "0.3"]
    assert grid.locator("#gd-valley .gd-met").count() == 2  # the lowest, and the largest b
    grid.keyboard.press("ArrowLeft")
    grid.keyboard.press("ArrowUp")
    assert numbers(grid, "valley")[0] == ["3.2", "no better than the start"]
    assert grid.get_by_role("slider", name="Batch size").input_value() == "1"


def test_an_order_plays_row_by_row(grid):
    figure = grid.locator("#gd-row-orders")
    figure.get_by_label("Rows read").fill("3")
    dots = figure.locator("path[d*=h0]")
    assert dots.get_attribute("d").count("h0") == 3
    figure.get_by_label("Order of the rows").select_option("drawn")
    assert "3 different rows of 4" in figure.get_by_role("img").get_attribute("aria-label")
    goal = figure.get_by_role("listitem").filter(has_text="misses rows")
    assert goal.get_attribute("class") == "gd-met"


def test_the_paths_follow_the_start(page):
    figure = page.locator("#gd-three-estimators")
    handle = figure.get_by_role("button", name="Start of the paths")
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    moved, (_, _, first) = state_of(page, "three-estimators")["start"], problem()
    assert moved[0] > first[0]
    assert moved[1] < first[1]
    X, y, _ = problem()
    steps = gd.updates(X, y, moved, batches=gd.FullBatch(), learning_rate=0.2)
    *_, (_, _, theta) = islice(steps, N_STEPS + 1)
    distance = np.linalg.norm(theta - np.linalg.lstsq(X, y, rcond=None)[0])
    assert numbers(page, "three-estimators")[0][-1] == f"{distance:.3g}"
    assert "θ₁ = −0." in handle.get_attribute("aria-label")
    reset(page, "three-estimators")


def test_a_finger_drags_the_start(browser, folder):
    context = browser.new_context(
        has_touch=True, reduced_motion="reduce", viewport={"width": 390, "height": 844}
    )
    page = context.new_page()
    page.goto(f"{folder.as_uri()}/figures.html")
    session = context.new_cdp_session(page)
    x, y = centre(page.locator("#gd-three-estimators .gd-handle"))

    def touch(kind, *points):
        points = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (x, y))
    touch("touchMove", (x + 20, y + 50))
    touch("touchMove", (x + 40, y + 100))
    touch("touchEnd")
    handle = page.locator("#gd-three-estimators .gd-handle")
    assert centre(handle) == pytest.approx((x + 40, y + 100), abs=1)
    assert page.evaluate("scrollY") == 0
    context.close()


def test_the_mouse_on_the_losses_marks_the_same_step_on_the_level_lines(page):
    figure = page.locator("#gd-three-estimators")
    box = figure.locator(".gd-clock").bounding_box()
    svg = figure.locator(".gd-stage > svg").bounding_box()
    scale = svg["width"] / 440
    page.mouse.move(svg["x"] + scale * (44 + 386 * 10 / N_STEPS), box["y"] + 20)
    X, y, start = problem()
    steps = gd.updates(X, y, start, batches=gd.FullBatch(), learning_rate=0.2)
    *_, (_, _, theta) = islice(steps, 11)
    rings = figure.locator(".gd-moment .gd-spot")
    assert rings.count() == 6  # three runs, in both pictures
    assert centre(rings.first) == pytest.approx(place_of(page, "three-estimators", [*theta]), abs=1)
    assert state_of(page, "three-estimators")["step"] == N_STEPS  # until it is pressed
    ring = centre(rings.first)
    page.mouse.move(*ring)  # and back: the nearest step of a path
    assert centre(rings.first) == pytest.approx(ring, abs=1)
    page.mouse.move(svg["x"] + scale * (44 + 386 * 10 / N_STEPS), box["y"] + 20)
    page.mouse.down()
    assert state_of(page, "three-estimators")["step"] == 10
    page.mouse.move(svg["x"] + scale * (44 + 386 * 20 / N_STEPS), box["y"] + 20)
    page.mouse.up()
    assert [row[0] for row in numbers(page, "three-estimators")] == ["20"] * 3
    reset(page, "three-estimators")


def test_a_clock_of_samples_gives_each_the_same_rows(page):
    figure = page.locator("#gd-three-estimators")
    figure.get_by_label("Stop all at the same number of").select_option("samples seen")
    shown = numbers(page, "three-estimators")
    assert [row[:2] for row in shown] == [["2", "884"], ["40", "1,280"], ["1,280", "1,280"]]
    path = path_in_python(gd.WithReplacement(1), 0.2, n_steps=1280)
    X, y, _ = problem()
    distance = np.linalg.norm(path[-1] - np.linalg.lstsq(X, y, rcond=None)[0])
    assert shown[2][-1] == f"{distance:.3g}"
    reset(page, "three-estimators")


# Goals, examples, and the address


def test_a_goal_that_is_met_gets_a_mark(page, figures):
    figure = page.locator("#gd-three-estimators")
    goal = figure.get_by_role("listitem").filter(has_text="largest α")
    X, _, _ = problem()
    limit = 2 / np.linalg.eigvalsh(X.T @ X / len(X))[-1]
    rates = payload(figures[0])["controls"]["learning_rate"]["values"]
    largest = max(rate for rate in rates if rate < limit)
    slider = figure.get_by_label("Learning rate")
    slider.fill(str(rates.index(largest) + 1))
    page.wait_for_function("document.querySelector('#gd-voice').textContent.includes('diverging')")
    assert goal.get_attribute("class") is None
    slider.fill(str(rates.index(largest)))
    page.wait_for_function(
        "document.querySelector('#gd-voice').textContent.includes('Goal met: Find the largest')"
    )
    assert goal.get_attribute("class") == "gd-met"
    assert goal.inner_text().endswith("Met.")
    reset(page, "three-estimators")


def test_a_path_that_passes_the_star_has_not_arrived(figures):
    """What a goal says of a path, it says of its end."""
    X, y, _ = problem()
    path = path_in_python(gd.WithReplacement(8), 0.2)
    far = np.linalg.norm(path - np.linalg.lstsq(X, y, rcond=None)[0], axis=1)
    assert far[12] < 0.05 * far[0] < far[13:20].max()  # near, and gone again
    met = goals_met(figures[0], [{"batch_size": 8, "learning_rate": 0.2}], [12, N_STEPS])
    assert [come for come, *_ in met] == [False, False]


def test_one_is_singular(figures):
    draw = (
        "KINDS[data.kind](data).draw({...firstState(data), batch_size: 1, step: 1, n_workers: 1})"
    )
    for number, said in ((0, "After 1 step."), (4, "1 worker:")):
        data = json.dumps(payload(figures[number]))
        assert evaluate(f"((data) => {draw}.spoken)({data})").startswith(said)


@pytest.mark.parametrize(
    ("number", "size", "of_a_path"), [(0, 8, (0, 1)), (1, 32, (0, 2)), (6, 0, (0,))]
)
def test_a_goal_of_a_path_is_judged_at_its_end(figures, number, size, of_a_path):
    states = [
        {"learning_rate": rate, "momentum": 0.7, "batch_size": size, "average": True}
        for rate in payload(figures[number])["controls"]["learning_rate"]["values"]
    ]
    before = goals_met(figures[number], states, [N_STEPS // 2, N_STEPS - 1])
    ends = goals_met(figures[number], states, [N_STEPS])
    for goal in of_a_path:
        assert not any(met[goal] for met in before)
        assert any(met[goal] for met in ends)


def goals_met(figure, states, steps):
    """Which goals of a figure are met, in each state at each of the steps."""
    data = payload(figure)
    each = json.dumps([state | {"step": step} for state in states for step in steps])
    goals = "KINDS[data.kind](data).draw({...firstState(data), ...state}).goals"
    met = f"{each}.map((state) => {goals}.map((goal) => !!goal[1]))"
    return json.loads(evaluate(f"JSON.stringify(((data) => {met})({json.dumps(data)}))"))


def test_no_goal_of_the_book_is_met_before_a_hand_has_moved():
    for chapter, text in stored_figures():
        data = re.search(r"application/json\">(.*?)</script>", text)[1]
        goals = "KINDS[data.kind](data).draw(firstState(data)).goals || []"
        met = evaluate(f"JSON.stringify(((data) => {goals})({data}).map((goal) => !!goal[1]))")
        assert "true" not in met, chapter


def test_an_example_is_a_state_and_reset_goes_back(page):
    figure = page.locator("#gd-heavy-ball")
    before = numbers(page, "heavy-ball")
    figure.get_by_label("Show me").select_option("near the best pair")
    kept = kept_in_python(
        *(state_of(page, "heavy-ball")[k] for k in ("learning_rate", "momentum")), False
    )
    assert numbers(page, "heavy-ball")[1][-1] == f"{kept:.3f}"
    assert kept < kept_in_python(0.16, 0.9, False)
    reset(page, "heavy-ball")
    assert numbers(page, "heavy-ball") == before


@FROM_BOTH
def test_the_address_keeps_a_state_and_a_link_takes_it_along(another, browser):
    page = another
    root = page.url.split("#")[0]
    figure = page.locator("#gd-heavy-ball")
    figure.get_by_label("Momentum", exact=True).fill("3")
    figure.get_by_role("button", name="Start of the paths").focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_function("location.hash.includes('heavy-ball.start=')")
    other = page.locator("#gd-scaling-calculator")
    other.get_by_label("Every step").select_option("a batch of its own for each worker")
    page.wait_for_function("location.hash.includes('scaling-calculator.scaling=weak')")
    before = (
        numbers(page, "heavy-ball"),
        numbers(page, "scaling-calculator"),
        state_of(page, "heavy-ball"),
    )
    page.reload()
    assert (
        numbers(page, "heavy-ball"),
        numbers(page, "scaling-calculator"),
        state_of(page, "heavy-ball"),
    ) == before
    page.goto(f"{root}?another")
    page.go_back()
    assert state_of(page, "heavy-ball") == before[2]
    figure.get_by_role("button", name="Copy link").click()
    figure.get_by_role("button", name="Copied").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{root}#heavy-ball.")
    assert "scaling" not in link
    other = open_page(browser, link)
    assert state_of(other, "heavy-ball") == before[2]
    assert (
        other.evaluate("document.querySelector('#gd-heavy-ball').getBoundingClientRect().top") < 200
    )
    assert numbers(other, "scaling-calculator") != before[1]
    other.close()
    reset(page, "heavy-ball")
    reset(page, "scaling-calculator")
    page.wait_for_function("!location.hash.includes('=')")


@pytest.mark.parametrize("text", ["learning_rate=7", "step=x", "start=1", "start=NaN,1", "zap=1"])
def test_an_address_that_does_not_fit_changes_nothing(browser, folder, text):
    page = browser.new_page(reduced_motion="reduce")
    page.goto(f"{folder.as_uri()}/figures.html#three-estimators.{text}")
    state = state_of(page, "three-estimators")
    assert (state["learning_rate"], state["step"], state["start"]) == (0.2, N_STEPS, [-0.7, 1.1])
    page.close()


def test_a_figure_runs_once_when_it_comes_into_view(browser, folder):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(f"{folder.as_uri()}/figures.html")
    assert state_of(page, "heavy-ball")["step"] == 0
    page.wait_for_function(
        f"document.querySelector('#gd-three-estimators').explorer.state.step === {N_STEPS}"
    )
    assert state_of(page, "heavy-ball")["step"] == 0  # nobody has seen it
    page.locator("#gd-heavy-ball").scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('#gd-heavy-ball').explorer.state.step > 2")
    assert page.locator("#gd-voice").inner_text() == ""  # nobody has asked
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert state_of(page, "noise-ball")["step"] == N_STEPS  # on paper it stands at the end
    page.close()


# A reader's own update rule


def run_code(page, change=str, until="Ran 40 steps."):
    """Change the code, run it, and return what the run says."""
    figure = page.locator("#gd-your-update")
    figure.locator(".gd-editor details").evaluate("node => { node.open = true; }")
    figure.get_by_role("button", name="Show a solution").click()
    editor = figure.get_by_label("Your update rule")
    editor.fill(change(editor.input_value()))
    figure.get_by_role("button", name="Run").click()
    output = figure.get_by_label("What the run says")
    output.get_by_text(until).wait_for(timeout=20_000)
    return output.inner_text()


def own_path(page):
    script = "document.querySelector('#gd-your-update').explorer.state.own"
    return np.array(page.evaluate(script))


@FROM_BOTH
def test_the_code_as_it_stands_walks_the_path_of_the_package(page):
    run_code(page)
    assert_same(own_path(page), path_in_python(gd.WithReplacement(8), 0.1))
    package, own = numbers(page, "your-update")
    assert own == package
    lines = page.locator("#gd-your-update polyline").evaluate_all(POINTS)
    assert lines[0] == lines[1]


def test_an_edited_rule_draws_another_path(page):
    assert "hello" in run_code(page, lambda code: code.replace("- l", "+ l") + "print('hello')\n")
    away = own_path(page)
    assert_same(away[1], 2 * away[0] - path_in_python(gd.WithReplacement(8), 0.1)[1])
    package, own = numbers(page, "your-update")
    assert "diverging" in own[1]
    assert "diverging" not in package[1]


def test_a_syntax_error_is_shown(page):
    text = run_code(page, lambda code: code.replace("zip(X, y):", "zip(X, y)"), "SyntaxError")
    assert text.startswith("Line 3 of your code:\nSyntaxError")
    assert "Does a line lack its colon or a bracket" in text


def test_an_error_clears_the_numbers_of_the_run_before(page):
    run_code(page)
    assert numbers(page, "your-update")[1][0] == "40"
    text = run_code(page, lambda code: "print('hello')\n" + code.replace("zip", "zap"), "NameError")
    wrong = "NameError: name 'zap' isn't defined"
    assert text == f"Line 4 of your code, in update:\n{wrong}\nhello"  # what went wrong comes first
    assert numbers(page, "your-update")[1][0] == "0"


def test_an_endless_loop_stops_by_itself_and_by_hand(page, another):
    loop = "def update(theta, X, y, learning_rate, step):\n    while True:\n        pass\n"
    another.clock.install()
    run_code(another, lambda _: loop, "Running")
    another.clock.fast_forward(5_000)
    said = another.get_by_label("What the run says")
    said.get_by_text("Stopped after 5 seconds").wait_for(timeout=2_000)
    assert_workers_end(another)
    run_code(page, lambda _: loop, "Running")
    page.locator("#gd-your-update").get_by_role("button", name="Stop").click()
    run_code(page)


@pytest.fixture
def slow(browser, folder):
    """Open the editor in a page whose interpreter takes a second to come."""
    with served(folder, "http") as root:
        page = browser.new_page(reduced_motion="reduce")
        page.route("**/micropython.js", lambda route: (time.sleep(1), route.continue_()))
        page.goto(f"{root}/figures.html")
        yield page
        page.close()


def assert_workers_end(page):
    for _ in range(100):
        if not page.workers:
            return
        page.wait_for_timeout(100)
    pytest.fail(f"{len(page.workers)} workers run on")


def test_a_second_run_before_the_interpreter_has_come_is_the_only_one(slow):
    slow.clock.install()
    output = slow.get_by_label("What the run says")
    slow.get_by_label("Your update rule").focus()
    slow.keyboard.press("Control+Enter")
    slow.keyboard.press("Control+Enter")
    output.get_by_text("Ran 40 steps.").wait_for(timeout=20_000)
    slow.clock.fast_forward(5_500)  # longer than a run may take
    slow.wait_for_timeout(200)
    assert output.inner_text() == "Ran 40 steps. 0 of 3 tests pass."
    assert slow.workers == []


def test_no_worker_is_left_behind(slow):
    loop = "def update(theta, X, y, learning_rate, step):\n    while True:\n        pass\n"
    slow.get_by_label("Your update rule").fill(loop)
    for _ in range(3):
        slow.keyboard.press("Control+Enter")
    slow.get_by_text("Running …").wait_for(timeout=20_000)
    for _ in range(100):  # the browser tells of the end of a worker a little later
        if len(slow.workers) == 1:
            break
        slow.wait_for_timeout(100)
    assert len(slow.workers) == 1
    slow.get_by_role("button", name="Stop").click()
    assert_workers_end(slow)
    assert slow.get_by_label("What the run says").inner_text() == "Stopped."


@pytest.mark.parametrize("button", ["Start over", "Stop"])
def test_a_run_can_be_called_off_before_the_interpreter_has_come(slow, button):
    held = []
    slow.route("**/micropython.js", lambda route: held.append(route))
    slow.get_by_role("button", name="Run").click()
    slow.get_by_role("button", name=button).click()
    while not held:
        slow.wait_for_timeout(50)
    held[0].continue_()
    slow.wait_for_function("globalThis.gdMicroPython", timeout=20_000)
    slow.wait_for_timeout(1_000)
    assert slow.get_by_label("What the run says").inner_text() in ("", "Stopped.")
    assert numbers(slow, "your-update")[1][0] == "0"


@pytest.mark.parametrize(
    ("line", "until"),
    [("print('x' * 10**6)", "Ran 40"), ("raise ValueError('x' * 10**6)", "Value")],
)
def test_a_long_output_is_cut(page, line, until):
    text = run_code(
        page, lambda code: code.replace("    gradient", f"    {line}\n    gradient", 1), until
    )
    assert len(text) < 20 * 210


def test_a_changed_setting_runs_the_rule_again(page):
    run_code(page)
    figure = page.locator("#gd-your-update")
    figure.get_by_label("Learning rate").focus()
    page.keyboard.press("ArrowRight")
    assert numbers(page, "your-update")[1][0] == "0"  # not those of another rate
    page.wait_for_function("document.querySelector('#gd-your-update').explorer.state.own")
    assert_same(own_path(page), path_in_python(gd.WithReplacement(8), 0.13))
    reset(page, "your-update")


def test_settings_that_change_end_a_run_that_is_under_way(page):
    loop = "def update(theta, X, y, learning_rate, step):\n    while True:\n        pass\n"
    run_code(page, lambda _: loop, "Running")
    figure = page.locator("#gd-your-update")
    figure.get_by_label("Learning rate").focus()
    with page.expect_event("worker"):  # the run of the new settings
        page.keyboard.press("ArrowRight")
    for _ in range(100):
        if len(page.workers) == 1:
            break
        page.wait_for_timeout(100)
    assert len(page.workers) == 1
    figure.get_by_role("button", name="Stop").click()
    assert_workers_end(page)
    reset(page, "your-update")


def marks(page):
    return page.locator("#gd-your-update .gd-editor .gd-goals li").evaluate_all(
        "nodes => nodes.map(node => node.className)"
    )


@pytest.mark.parametrize(
    ("old", "new", "passed"),
    [
        ("", "", 3),
        ("- learning_rate", "+ learning_rate", 0),
        ("- learning_rate", "- 2 * learning_rate", 1),
        ("- learning_rate", "- (learning_rate if step < 9 else 0) ", 2),
    ],
)
def test_three_tests_judge_a_rule(page, old, new, passed):
    text = run_code(page, lambda code: code.replace(old, new))
    assert marks(page) == ["gd-met"] * passed + ["gd-missed"] * (3 - passed)
    assert text.endswith("The rule is right." if passed == 3 else f"{passed} of 3 tests pass.")


def test_momentum_is_a_rule_of_its_own(page):
    figure = page.locator("#gd-your-update")
    run_code(page)
    task = figure.get_by_label("Write", exact=True)
    task.select_option("with momentum, β = 0.9")
    figure.get_by_text("2 of 3 tests pass").wait_for()
    run_code(page, until="All three tests pass")
    X, y, start = problem()
    steps = gd.updates(
        X, y, start, batches=gd.WithReplacement(8), learning_rate=0.1, momentum=0.9, rng=5
    )
    assert_same(own_path(page), np.array([theta for _, _, theta in islice(steps, N_STEPS + 1)]))
    reset(page, "your-update")


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("import numpy", "This small Python has no NumPy"),
        ("theta = theta - learning_rate * gradient", "Lists have no arithmetic here"),
    ],
)
def test_a_common_error_gets_advice(page, line, advice):
    text = run_code(page, lambda code: code.replace("    for", f"    {line}\n    for", 1), advice)
    assert text.startswith("Line 3 of your code, in update:")


@FROM_BOTH
def test_the_text_of_a_reader_outlives_the_page(another):
    page = another
    editor = page.locator("#gd-your-update").get_by_label("Your update rule")
    editor.fill("# mine\n")
    page.reload()
    assert editor.input_value() == "# mine\n"
    assert page.locator("#gd-your-update .gd-lines").inner_text() == "1\n2"
    page.locator("#gd-your-update").get_by_role("button", name="Start over").click()
    assert editor.input_value().startswith("def update")


def test_enter_keeps_the_indentation_and_tab_moves_on(page):
    figure = page.locator("#gd-your-update")
    editor = figure.get_by_label("Your update rule")
    editor.fill("for x in X:")
    editor.focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.keyboard.type("pass")
    assert editor.input_value() == "for x in X:\n    pass"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Run"
    editor.fill("def f():\n        pass")
    editor.evaluate("node => node.setSelectionRange(17, 17)")
    page.keyboard.press("Backspace")
    assert editor.input_value() == "def f():\n    pass"
    figure.get_by_role("button", name="Start over").click()


# What it costs


def test_the_script_and_the_style_are_small():
    assert sum(len(text.encode()) for text in page_files().values()) <= 85_000


def stored_figures():
    """Return (chapter, HTML) of each figure in the chapters."""
    found = []
    for path in sorted(course.BOOK.glob("*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            outputs = [output.get("data", {}) for output in cell.get("outputs", [])]
            texts = ["".join(output.get("text/html", "")) for output in outputs]
            found += [(path.stem, text) for text in texts if "gd-explorer" in text]
    return found


def test_a_figure_of_the_book_is_small():
    assert {
        chapter: len(text) for chapter, text in stored_figures() if len(text.encode()) > 45_000
    } == {}


LAYOUT = """(root) => {
    const box = (part) => root.querySelector(part).getBoundingClientRect().toJSON();
    const svg = root.querySelector(".gd-stage > svg");
    const luminance = (colour) => colour.match(/[\\d.]+/g).slice(0, 3)
        .map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, k) => sum + part * [0.2126, 0.7152, 0.0722][k], 0);
    const paper = luminance(getComputedStyle(root.querySelector(".gd-picture")).backgroundColor);
    const contrast = (text) => {
        const ink = luminance(getComputedStyle(text).fill);
        return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    };
    return {
        name: root.id,
        whole: root.getBoundingClientRect().toJSON(),
        picture: box(".gd-picture"),
        panel: box(".gd-controls"),
        letters: parseFloat(getComputedStyle(svg).fontSize) * svg.clientWidth / 440,
        contrast: Math.min(...[...svg.querySelectorAll("text")].map(contrast)),
        wide: document.documentElement.scrollWidth - innerWidth,
    };
}"""


SCREENS = [(1440, 900), (1280, 800), (768, 1024), (390, 844)]


OFTEN = {"04_tradeoffs"}  # in the usual run: the highest


@pytest.mark.parametrize(
    "chapter",
    [
        pytest.param(chapter, marks=() if chapter in OFTEN else pytest.mark.long)
        for chapter in sorted({chapter for chapter, _ in stored_figures()})
    ],
)
def test_a_figure_fits_every_screen(browser, html, chapter):
    page = browser.new_page(reduced_motion="reduce")
    page.route("**/mathjax/**", lambda route: route.abort())  # formulas take time, and no part
    page.goto(f"{html.as_uri()}/book/{chapter}.html")
    figures = page.locator(".gd-explorer").all()
    assert figures
    for (width, height), theme in product(SCREENS, ["light", "dark"]):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.evaluate("scrollTo(0, 0)")  # where no picture lies over its controls
        page.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")
        for figure in figures:
            found = figure.evaluate(LAYOUT)
            assert found["wide"] <= 0
            assert found["letters"] >= 10.95, found
            assert found["contrast"] >= 4.5, found
            if width > 700:
                assert found["whole"]["height"] <= 720, found
                assert found["panel"]["left"] >= found["picture"]["right"], found
            else:
                assert found["panel"]["top"] >= found["picture"]["bottom"], found
                last = figure.locator(".gd-controls > *").last
                last.evaluate("node => node.scrollIntoView({ block: 'end' })")
                seen = figure.evaluate(LAYOUT)  # the picture, whole, over the last control
                assert seen["picture"]["top"] >= 50, seen  # under the header of the page
                assert seen["picture"]["bottom"] < last.bounding_box()["y"], seen
    page.close()

"""Figures draw what they are given, on the axes they are given, and return them."""

import base64
import json
import re
import struct
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import course
import gdcourse as gd
from book._ext import book_figures
from gdcourse.history import Record
from gdcourse.lesson import explorer, figures


@pytest.fixture
def ax():
    with mpl.rc_context({"backend": "agg"}):
        figure = mpl.figure.Figure()
        yield figure.subplots()


@pytest.fixture
def history():
    records = [(0, 0.0, 0, 0.0, 8.0, 4.0, 0.1), (5, 1.0, 10, 0.5, 2.0, 1.0, 0.2)]
    return gd.History.from_records([Record(*record) for record in records])


@pytest.mark.parametrize("x", ["step", "epoch", "samples_seen", "seconds"])
@pytest.mark.parametrize("y", ["loss", "gradient_norm", "learning_rate"])
def test_a_curve_is_a_column_over_a_column(ax, history, x, y):
    assert figures.curve(history, ax, x=x, y=y, offset=0.05, linestyle=":") is ax
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), getattr(history, x))
    np.testing.assert_array_equal(line.get_ydata(), getattr(history, y) - 0.05)
    assert (ax.get_xlabel(), ax.get_ylabel()) == (figures.LABELS[x], figures.LABELS[y])
    assert ax.get_yscale() == "log"
    assert line.get_linestyle() == ":"


def test_every_column_of_a_history_has_a_label(history):
    assert set(history.asdict()) <= set(figures.LABELS)


@pytest.mark.parametrize("variant", figures.LOOKS)
def test_a_variant_has_one_look_everywhere(ax, history, variant):
    figures.curve(history, ax, variant=variant)
    figures.path(np.eye(2), ax, variant=variant)
    curve, path = ax.lines
    assert {curve.get_color(), path.get_color()} == {figures.COLOURS[variant]}
    assert {curve.get_label(), path.get_label()} == {variant}
    assert curve.get_marker() == path.get_marker() == figures.LOOKS[variant]["marker"]
    assert curve.get_linestyle() == path.get_linestyle() != "None"
    figures.points_and_theory([1], [1], [1], ax, variant=variant)
    assert ax.lines[2].get_marker() == curve.get_marker()


def test_a_grey_printer_tells_the_variants_apart():
    for kind in ("linestyle", "marker"):
        assert len({look[kind] for look in figures.LOOKS.values()}) == len(figures.LOOKS)


def test_the_moving_figures_have_the_looks_of_the_others():
    """Their dashes are in pixels, these in widths of a line."""
    script = (Path(explorer.__file__).parent / "draw.js").read_text("utf-8")
    colours = re.search(r"const \[BLUE, GREEN, RED, .*\] = \[(.*)\];", script)[1]
    colours = dict(zip(("BLUE", "GREEN", "RED"), re.findall('"(#[^"]*)"', colours), strict=False))
    marks = {"o": "DISC", "s": "SQUARE", "^": "TRIANGLE"}
    for name, look in figures.LOOKS.items():
        (line,) = re.findall(rf'^  "?{name}"?: \{{ (colour: .*) \}},$', script, re.M)
        said = dict(part.split(": ") for part in line.split(", "))
        assert colours[said["colour"]] == look["color"]
        assert said["shape"] == marks[look["marker"]]
        if "dash" in said:
            dash = np.array(said["dash"].strip('"').split(), float) / float(said["width"])
            np.testing.assert_allclose(dash, look["linestyle"][1], atol=0.05)
        else:
            assert look["linestyle"] == "-"


def test_what_is_no_variant_has_no_variants_colour():
    with mpl.rc_context():
        figures.use_style()
        cycle = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
    variants = {colour.lower() for name, colour in figures.COLOURS.items() if name != "theory"}
    assert variants.isdisjoint(f"#{colour}".lower() for colour in cycle)


@pytest.mark.parametrize("variant", ["mini-batch", "SGD"])
def test_a_cloud_has_its_estimates_its_star_and_a_circle_around_it(ax, variant):
    estimates, exact = np.arange(8.0).reshape(4, 2), np.array([3.0, -1.0])
    assert figures.cloud(estimates, exact, 2.5, ax, variant=variant) is ax
    dots, star = ax.collections
    np.testing.assert_array_equal(dots.get_offsets(), estimates)
    np.testing.assert_array_equal(star.get_offsets(), [exact])
    (circle,) = ax.lines
    distances = np.linalg.norm(circle.get_xydata() - exact, axis=1)
    np.testing.assert_allclose(distances, 2.5)
    assert ax.get_legend_handles_labels()[1][:2] == [variant, "full batch"]


def test_arrows_point_at_their_vectors_and_bear_their_names(ax):
    vectors = np.array([[1.0, 2.0], [-3.0, 0.5]])
    assert figures.arrows(vectors, ["one", "two"], ax) is ax
    heads = [text for text in ax.texts if text.arrow_patch is not None]
    np.testing.assert_array_equal([head.xy for head in heads], vectors)
    named = [text.xy for text in ax.texts if text.get_text() in ("one", "two")]
    np.testing.assert_array_equal(named, vectors)


def test_names_of_arrows_that_end_close_together_stay_apart(ax):
    names = ["300 rows", "100 rows", "42 rows"]
    figures.arrows([[-0.1, 0.31], [-0.23, 0.32], [-1.65, -0.58]], names, ax)
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_strips_colour_every_row_that_is_handed_out(ax):
    orders = {"kept": np.array([[0, 1, 2], [0, 1, 2]]), "turned": np.array([[2, 1, 0], [0, 0, 0]])}
    assert figures.order_strips(orders, ["r", "g", "b"], 2, ax) is ax
    colours = [mpl.colors.to_hex(cell.get_facecolor()) for cell in ax.patches]
    wanted = [mpl.colors.to_hex(c) for c in "rgbrgb" + "bgrrrr"]
    assert colours == wanted
    left = np.array([cell.get_x() for cell in ax.patches[:6]])
    assert (np.diff(left) > 1).tolist() == [False, True, True, True, False]  # gaps
    assert [label.get_text() for label in ax.get_yticklabels()] == ["kept", "turned"]


def test_passes_number_their_rows_and_rule_three_units(ax):
    assert figures.passes([[[3, 1], [0]], [[2, 0], [1]]], ax) is ax
    said = [text.get_text() for text in ax.texts]
    assert said[:6] == list("310201")
    assert said[6:] == ["steps", *"1234", "samples", *"2356", "epochs", *"12"]
    frames = [patch for patch in ax.patches if not patch.get_fill()]
    assert [round(frame.get_width() + 0.06) for frame in frames] == [2, 1, 2, 1]


def test_colours_are_distinct():
    assert len(set(figures.COLOURS.values())) == len(figures.COLOURS)


def test_contours_are_level_lines_around_the_minimiser(ax):
    first, second = np.linspace(-1, 1, 20), np.linspace(-2, 2, 30)
    values = first[None, :] ** 2 + second[:, None] ** 2 + 7
    assert figures.contours(first, second, values, ax, minimiser=(0.0, 0.0)) is ax
    (levels,) = ax.collections
    assert np.all(np.diff(levels.levels) > 0)
    assert len(levels.levels) == 12
    (star,) = ax.lines
    assert star.get_xydata().tolist() == [[0, 0]]
    figures.contours(first, second, values, ax)
    assert len(ax.lines) == 1


def test_a_path_goes_through_its_points(ax):
    thetas = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert figures.path(thetas, ax) is ax
    assert ax.lines[0].get_xydata().tolist() == thetas


@pytest.mark.parametrize("errors", [None, [0.1, 0.2, 0.3]])
def test_points_stand_beside_their_theory(ax, errors):
    x, measured, theory = [1, 2, 3], [1.1, 1.9, 3.2], [1, 2, 3]
    returned = figures.points_and_theory(x, measured, theory, ax, errors=errors, variant="SGD")
    assert returned is ax
    drawn = [line.get_ydata().tolist() for line in ax.lines]
    assert measured in drawn
    assert theory in drawn
    assert len(ax.collections) == (errors is not None)
    assert ax.get_legend_handles_labels()[1] == ["SGD"]
    figures.points_and_theory(x, measured, theory, ax, label="measured", law="theory")
    assert {"measured", "theory"} <= set(ax.get_legend_handles_labels()[1])


def test_the_style_comes_with_the_package():
    with mpl.rc_context():
        before = dict(mpl.rcParams)
        figures.use_style()
        assert dict(mpl.rcParams) != before


def test_a_legend_names_the_lines_of_one_panel_above_all(ax):
    ax.plot([0, 1], [0, 1], label="a line")
    assert figures.legend_above(ax.figure, ax, ncols=2) is ax
    (legend,) = ax.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a line"]


@pytest.mark.parametrize(("side", "alignment"), [("right", "left"), ("left", "right")])
def test_a_mark_is_a_line_and_a_name_beside_it(ax, side, alignment):
    ax.set(xscale="log", xlim=(1, 1000))
    assert figures.mark(20.0, "bend", ax, height=0.5, side=side) is ax
    (line,), (text,) = ax.lines, ax.texts
    np.testing.assert_array_equal(line.get_xdata(), [20.0, 20.0])
    assert (text.get_text(), text.get_ha()) == ("bend", alignment)
    assert tuple(text.xy) == (20.0, 0.5)
    assert ax.get_xlim() == (1, 1000)


def test_lines_over_one_axis_differ_in_dashes_and_marks(ax):
    named = {"up": [1.0, 2.0], "down": [2.0, 1.0], "flat": [1.0, 1.0]}
    assert figures.lines([1, 10], named, ax, xlabel="b") is ax
    for line, (name, values) in zip(ax.lines, named.items(), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.transpose([[1, 10], values]))
        assert line.get_label() == name
    assert len({line.get_linestyle() for line in ax.lines}) == 3
    assert len({line.get_marker() for line in ax.lines}) == 3
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_xlabel()) == ("log", "log", "b")


# What a notebook keeps of a figure


@pytest.fixture
def three_panels():
    with mpl.rc_context({"backend": "agg"}):
        figures.use_style()
        figure, axes = plt.subplots(1, 3, figsize=(7.8, 3), sharey=True)
        for variant, ax in zip(figures.LOOKS, axes, strict=True):
            ax.scatter(*np.random.default_rng(1).normal(size=(2, 3000)), s=2)
            figures.path(np.eye(2), ax, variant=variant)
            ax.set(xlabel="across", title=variant)
            ax.label_outer()
        axes[0].set_ylabel("up")
        figures.legend_above(figure, axes[0], ncols=1)
        yield figure
        plt.close(figure)


def test_a_narrow_page_has_the_panels_below_one_another(three_panels):
    figures.draw_all(three_panels)
    three_panels.draw_without_rendering()
    tops = [ax.get_position().y1 for ax in three_panels.axes]
    bottoms = [ax.get_position().y0 for ax in three_panels.axes]
    assert all(above > below for above, below in zip(bottoms, tops[1:], strict=False))
    assert three_panels.get_size_inches()[0] == figures.NARROW_INCHES
    for ax in three_panels.axes:  # each has what only the first had
        assert ax.get_ylabel() == "up"
        assert all(tick.label1.get_visible() for tick in ax.yaxis.get_major_ticks())
    assert len(three_panels.legends) == 1


def test_a_figure_is_pixels_and_twice_the_same_svg_on_every_run(three_panels):
    drawn = figures.draw_all(three_panels)
    assert set(drawn) == {"image/png", "image/svg+xml", figures.NARROW}
    again = figures.write_svg(three_panels)
    assert again == drawn[figures.NARROW]
    assert again.count("<image") == 3  # the clouds, as pixels
    assert len(again) < 400_000
    assert smallest_letters(again) >= 11  # on a telephone


def test_a_photograph_stays_pixels():
    figure, ax = plt.subplots()
    ax.imshow(np.random.default_rng(0).random((400, 600, 3)))
    assert set(figures.draw_all(figure)) == {"image/png"}
    plt.close(figure)


def brightness(colour):
    """Return the relative luminance of #rrggbb, as WCAG 2.2 defines it."""
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(*colours):
    dark, light = sorted(map(brightness, colours))
    return (light + 0.05) / (dark + 0.05)


LETTERS = re.compile(r'id="text_\d+">\s*(?:<!--.*?-->\s*)?<g(?: style="fill: (#\w{6}))?', re.S)


def test_letters_stand_out_by_day_and_by_night():
    """Those of every stored figure, in its wide and in its narrow layout, on the page's paper."""
    cells = [
        c for path in course.BOOK.glob("*.ipynb") for c in json.loads(path.read_text())["cells"]
    ]
    drawn = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    texts = ["".join(data.get(k, "")) for data in drawn for k in ("image/svg+xml", figures.NARROW)]
    inks = [ink or "#000000" for text in texts for ink in LETTERS.findall(text)]
    assert len(inks) > 2000
    assert round(contrast("#ffffff", "#767676"), 2) == 4.54
    for ink in set(inks):
        assert contrast(ink, "#ffffff") >= 4.5, ink
        assert contrast(book_figures.darken(ink), "#121212") >= 4.5, ink


def smallest_letters(svg, column=358):
    """Return the size in pixels of the smallest letters of a picture that fills a column."""
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
    points = [100 * float(size) for size in re.findall(r"scale\((0\.\d+) -\1\)", svg)]
    return min(points) * column / width


def test_a_drawing_without_axes_has_one_layout(ax):
    figures.passes([[[3, 1], [0]]], ax)
    assert figures.NARROW not in figures.draw_all(ax.figure)


@pytest.mark.parametrize("path", sorted(course.BOOK.glob("*.ipynb")), ids=lambda path: path.stem)
def test_stored_pixels_show_the_wide_layout(path):
    """The backend would draw them once more after the panels were stacked for a telephone."""
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if figures.NARROW in data:
                pixels = struct.unpack(">II", base64.b64decode(data["image/png"])[16:24])
                svg = "".join(data["image/svg+xml"])
                box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()
                np.testing.assert_allclose(pixels, 2 * np.array(box, float), rtol=0.1)

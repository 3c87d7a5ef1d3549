"""The session that runs the cells of a page: what it tells, without a page."""

import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import course
from book._live import page_kernel

CLAIMS = [{"claim": "SGD stays above the floor.", "holds": ["floor < excess"]}]


@pytest.fixture
def told():
    """Return a function that runs cells and gives the messages."""
    session = page_kernel.Session(lambda **message: messages.append(message), {"np": np}, CLAIMS)
    messages = []

    def run(source, name="<cell 1>"):
        messages.clear()
        session.run(name, source)
        return list(messages)

    return run


def kinds(messages):
    return [message["kind"] for message in messages]


def test_a_cell_prints_and_shows_its_last_value(told):
    messages = told("print('a')\nprint('b')\n1 + 1")
    assert kinds(messages) == ["stream", "display", "end"]
    assert messages[0]["text"] == "a\nb\n"
    assert messages[1]["data"] == {"text/plain": "2"}
    assert messages[-1]["outcome"] == "done"


def test_names_last_and_an_assignment_shows_nothing(told):
    assert kinds(told("x = 3")) == ["end"]
    assert told("x")[0]["data"]["text/plain"] == "3"
    assert kinds(told("None")) == ["end"]


def test_the_streams_come_in_order_and_apart(told):
    messages = told("import sys\nprint(1)\nprint(2, file=sys.stderr)\nprint(3)")
    assert [(m["name"], m["text"]) for m in messages[:-1]] == [
        ("stdout", "1\n"),
        ("stderr", "2\n"),
        ("stdout", "3\n"),
    ]
    assert sys.stdout.__class__ is not page_kernel.Stream


def test_a_cell_that_prints_without_end_is_cut(told):
    messages = told("for _ in range(3000):\n    print('x' * 99)")
    text = "".join(m["text"] for m in messages if m["kind"] == "stream")
    assert len(text) < page_kernel.MOST + 100
    assert text.endswith("which is not shown.\n")


def test_an_error_names_the_line_of_the_cell(told):
    told("def half(x):\n    return x / 0", "<cell 1>")
    error, end = told("y = 1\nhalf(y)", "<cell 2>")
    assert (error["name"], error["cell"], error["line"]) == ("ZeroDivisionError", "<cell 1>", 2)
    assert "page_kernel" not in error["trace"]
    assert "half(y)" in error["trace"]
    assert end["outcome"] == "failed"


def test_a_syntax_error_names_its_line(told):
    error, end = told("x = 1\nif x:\nprint(x)")
    assert (error["name"], error["line"]) == ("IndentationError", 3)
    assert end["outcome"] == "failed"


def test_the_session_survives_an_exit(told):
    assert told("raise SystemExit(3)")[-1]["outcome"] == "failed"
    assert told("1")[0]["data"]["text/plain"] == "1"


def test_a_broken_assert_says_its_claim_and_what_was_measured(told):
    error, end = told("floor, excess = np.float64(0.25), 0.125\nassert floor < excess")
    assert error["claim"]["words"] == ["SGD stays above the floor."]
    assert error["claim"]["measured"] == ["floor = 0.25", "excess = 0.125"]
    assert error["line"] == 2
    assert end["outcome"] == "claim"


@pytest.mark.parametrize(
    ("source", "measured"),
    [
        ("a = 1\nassert a > 0 and a > 2", ["a = 1"]),
        ("a = np.ones(2)\nassert np.all(a > 2)", ["a = [1. 1.]"]),
        ("a = 3\nassert 0 < a < 2", ["a = 3"]),
        ("a = 3\nassert a < 2 if a > 2 else a > 5", ["a = 3"]),
        ("a, b = 1, 2\nassert np.isclose(a, b)", ["a = 1", "b = 2"]),
        ("def f(x):\n    assert x + 1 < 0\nf(4)", ["x + 1 = 5"]),
    ],
)
def test_what_was_measured_is_what_the_assert_compares(told, source, measured):
    error = told(source)[0]
    assert error["claim"]["measured"] == measured


def test_an_assert_of_numpy_says_how_far_apart_in_our_words(told):
    error = told("a, b = np.ones(2), [1.0, 1.5]\nnp.testing.assert_allclose(a, b, rtol=1e-9)")[0]
    assert error["claim"] == {
        "words": [],
        "holds": "np.testing.assert_allclose(a, b, rtol=1e-09)",
        "measured": ["a = [1. 1.]", "b = [1.0, 1.5]", "largest difference: 0.5"],
    }


def test_the_text_of_an_assert_is_its_claim(told):
    error = told("assert 1 > 2, 'one is not above two'")[0]
    assert error["claim"]["words"] == ["one is not above two"]


IMPORTS = "import gdcourse as gd"
MODEL = "model = gd.LeastSquares()"
ENDS = "ends = {}\nfor b in (1, 2):\n    ends[b] = model.loss(b)"


@pytest.mark.parametrize(
    ("above", "answer", "needed"),
    [
        (
            [IMPORTS],
            "import math\ndef f(x):\n    y = x + 1\n    return math.sqrt(y) + np.pi",
            [],
        ),
        ([IMPORTS, MODEL, ENDS, "print(ends)"], "def f(x):\n    return model.loss(x)", [0, 1]),
        ([IMPORTS, MODEL, ENDS], "valley = [best for best in ends]", [0, 1, 2]),
        (
            [IMPORTS, MODEL],
            "class Smooth:\n    b = 8\n    def epochs(self):\n        return gd.Epoch(self.b)",
            [0],
        ),
        (["a = 1", "b = a", "a = 2"], "c = a", [2]),
        (["a = 1", "a = a + 1", "b = a"], "c = a", [0, 1]),
        (["a = []", "a.append(1)", "a[0] = 2", "len(a)"], "c = a", [0, 1, 2]),
        (["def g():\n    return h", "h = 2"], "c = g()", [0]),
        (["if x"], "x", []),
        ([IMPORTS], "def f(x:", []),  # it is told when it runs
    ],
)
def test_an_answer_says_which_cells_of_the_page_it_needs(above, answer, needed):
    said = []
    session = page_kernel.Session(lambda **message: said.append(message), {"np": np})
    session.needs([*above, answer])
    assert said == [{"kind": "end", "outcome": needed}]


class Rich:
    """A value with two forms."""

    def __repr__(self):
        return "rich"

    def _repr_html_(self):
        return "<b>rich</b>"


def test_a_value_is_shown_in_the_forms_that_it_has():
    assert page_kernel.forms(Rich()) == {"text/plain": "rich", "text/html": "<b>rich</b>"}
    assert page_kernel.forms(page_kernel.Markdown("*m*"))["text/markdown"] == "*m*"
    assert set(page_kernel.forms(Rich)) == {"text/plain"}


def test_a_pool_works_at_once_and_keeps_what_was_raised():
    with page_kernel.Pool(2) as pool:
        assert list(pool.map(abs, [-1, 2])) == [1, 2]
        assert pool.submit(int, "7").result() == 7
        with pytest.raises(ValueError, match="invalid literal"):
            pool.submit(int, "x").result()


# The book without a Python


@pytest.fixture
def live(monkeypatch):
    """Return the extension of Sphinx that puts Python into the book."""
    monkeypatch.syspath_prepend(course.BOOK / "_ext")
    return importlib.import_module("live")


@pytest.mark.parametrize(("wanted", "connected"), [("1", 2), ("", 0)])
def test_a_book_without_a_python_hears_of_none(live, monkeypatch, wanted, connected):
    monkeypatch.setenv("GDCOURSE_LIVE", wanted)
    heard = []
    live.setup(SimpleNamespace(connect=lambda *event: heard.append(event)))
    assert len(heard) == connected


@pytest.mark.parametrize("options", [(), ("--no-live",)])
def test_the_runner_says_whether_pages_get_a_python(monkeypatch, tmp_path, options):
    monkeypatch.setattr(course, "BUILD", tmp_path)
    seen = []

    def call(command, *, env):
        seen.append(env["GDCOURSE_LIVE"])
        return 1  # nothing is built

    monkeypatch.setattr(course.subprocess, "call", call)
    assert course.build(*options) == 1
    assert seen == ["" if options else "1"]


def test_where_the_wheel_is_missing_one_line_says_so(live, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(live, "find_spec", lambda name: None)
    app = SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=tmp_path)
    live.before_build(app)
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "requirements.txt" in said
    asked = []
    app.add_css_file = app.add_js_file = lambda *file, **how: asked.append(file)
    live.add_to_page(app, "book/index", "page.html", {"body": '<div class="cell x">'}, None)
    assert asked == []

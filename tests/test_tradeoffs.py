"""What chapter 4 adds to the package: a progress bar that is silent unless asked for."""

import sys

import pytest

from gdcourse.base.progress import progress


@pytest.mark.parametrize("value", [None, "", "0"])
def test_progress_is_silent_and_hands_back_what_it_got(monkeypatch, capsys, value):
    monkeypatch.delenv("GDCOURSE_PROGRESS", raising=False)
    if value is not None:
        monkeypatch.setenv("GDCOURSE_PROGRESS", value)
    items = [1, 2, 3]
    assert progress(items) is items
    assert list(progress(items, "a sweep")) == items
    assert capsys.readouterr() == ("", "")


def test_progress_shows_a_bar_where_it_is_asked_for(monkeypatch, capsys):
    pytest.importorskip("tqdm")
    monkeypatch.setenv("GDCOURSE_PROGRESS", "1")
    assert list(progress([1, 2, 3], "a sweep")) == [1, 2, 3]
    written = capsys.readouterr()
    assert written.out == ""
    assert "a sweep" in written.err


def test_progress_without_tqdm_names_the_cure(monkeypatch):
    monkeypatch.setenv("GDCOURSE_PROGRESS", "1")
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match="pip install tqdm"):
        progress([1])

"""The runner: what it says, when it installs, and how it leaves a notebook."""

import copy
import importlib.util
import os
import re
import sys
import zipfile

import nbformat
import pytest
import yaml
from nbformat import v4
from sphinx.errors import ExtensionError

import course
from book._ext import offline_python


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Point the runner at an empty project whose commands are recorded, not run."""
    (tmp_path / "requirements.txt").write_text("numpy==2.4.6\n")
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(course, "ROOT", tmp_path)
    monkeypatch.setattr(course, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(course, "STAMP", tmp_path / ".venv" / "course-stamp.txt")
    commands = []

    def call(command, cwd=None):
        commands.append([str(word) for word in command])
        if "venv" in command:
            course.venv_python().parent.mkdir(parents=True, exist_ok=True)
            course.venv_python().touch()
            settings = f"home = /usr/bin\nversion = {course.running_version()}.0\n"
            (course.VENV / "pyvenv.cfg").write_text(settings)
        return 0

    monkeypatch.setattr(course.subprocess, "call", call)
    return commands


def test_an_old_python_is_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    message = course.main(["book"])
    assert message == "The course needs Python 3.11 or later, and this is Python 3.10."


def test_an_unknown_verb_names_the_verbs():
    assert "no verb 'publish'; the verbs are book, zip, pdf, serve" in course.main(["publish"])


def test_a_verb_without_arguments_refuses_them():
    assert "'serve' takes no arguments, got --fast" in course.main(["serve", "--fast"])


def test_a_book_knows_one_option():
    with pytest.raises(SystemExit, match=r"only option of a book is --no-solutions, got --fast"):
        course.book("--fast")


def test_help_names_every_verb(capsys):
    assert course.main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"course.py {verb}" in printed for verb in course.VERBS)


def test_the_environment_is_made_once(project):
    course.make_environment()
    made = list(project)
    course.make_environment()
    assert ["venv" in command for command in made] == [True, False]
    assert made[1][-3:] == ["install", "-r", "requirements.txt"]
    assert project == made


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_changed_requirements_are_installed_again(project, name):
    course.make_environment()
    project.clear()
    (course.ROOT / name).write_text("changed\n")
    course.make_environment()
    assert [command[-3] for command in project] == ["install"]


def test_the_newest_packages_are_installed_where_the_environment_asks(project, monkeypatch):
    course.make_environment()
    project.clear()
    monkeypatch.setenv("GDCOURSE_NEWEST", "1")
    course.make_environment()
    course.make_environment()
    (command,) = project
    assert "--upgrade" in command
    assert "requirements.txt" not in command


def test_a_verb_runs_inside_the_environment(project, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    course.make_environment()
    project.clear()
    assert course.main(["bench", "--quick"]) == 0
    assert project == [[str(course.venv_python()), course.__file__, "bench", "--quick"]]


def test_another_python_makes_the_environment_anew(project):
    course.make_environment()
    project.clear()
    (course.VENV / "pyvenv.cfg").write_text("version = 3.9.18\n")
    course.make_environment()
    assert "--clear" in project[0]


def test_a_python_without_venv_is_one_sentence(project, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"install its venv module .* apt install python3-venv"):
        course.make_environment()
    assert project == []


def test_a_failed_install_is_one_sentence_and_leaves_no_stamp(project, monkeypatch):
    course.make_environment()
    (course.ROOT / "requirements.txt").write_text("changed\n")
    monkeypatch.setattr(course.subprocess, "call", lambda command: 1)
    with pytest.raises(SystemExit, match=r"Installing the packages failed"):
        course.make_environment()
    assert not course.STAMP.exists()


@pytest.fixture
def scripts(project, monkeypatch):
    """Add a lock of scripts to the empty project, and a folder that npm seems to have filled."""
    monkeypatch.setattr(offline_python, "ROOT", course.ROOT)
    monkeypatch.setattr(offline_python, "NODE_MODULES", course.ROOT / "node_modules")
    (course.ROOT / "package-lock.json").write_text("{}")
    package = offline_python.NODE_MODULES / "@micropython" / "micropython-webassembly-pyscript"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"version": "1.27.0"}')
    module = (
        "async function make(){import.meta.url}export default make;export async function load(){}"
    )
    (package / "micropython.mjs").write_text(module)
    (package / "micropython.wasm").write_bytes(b"\0asm")
    return project


def test_the_scripts_are_installed_once_and_again_with_another_lock(scripts):
    offline_python.install()
    offline_python.install()
    (course.ROOT / "package-lock.json").write_text('{"changed": 1}')
    offline_python.install()
    assert ["ci" in command for command in scripts] == [True, True]


def test_a_failed_install_of_scripts_is_one_sentence_and_leaves_no_stamp(scripts, monkeypatch):
    monkeypatch.setattr(offline_python.subprocess, "call", lambda command, cwd: 1)
    with pytest.raises(ExtensionError, match=r"Installing package-lock\.json failed"):
        offline_python.install()
    assert not (offline_python.NODE_MODULES / "course-stamp.txt").exists()


def test_micropython_becomes_one_plain_script(scripts, tmp_path):
    offline_python.embed(tmp_path)
    text = (tmp_path / "micropython.js").read_text("utf-8")
    assert "MicroPython 1.27.0" in text
    assert "AGFzbQ==" in text
    assert "async function load(){}" in text
    assert "export" not in text
    assert "import.meta" not in text


def prose(source):
    return v4.new_markdown_cell(source)


def left_of(*cells):
    return [cell["source"] for cell in course.without_solutions(cells)]


def test_all_between_two_gates_is_left_out():
    start, end = ":::{solution-start} ex\n:class: dropdown\n:::\nSo:", ":::{solution-end}\n:::"
    cells = [prose(f"Do it.\n\n{start}"), v4.new_code_cell("1 + 1"), prose(f"Two.\n\n{end}\nNext.")]
    assert left_of(*cells, v4.new_code_cell("2")) == ["Do it.", "Next.", "2"]


def test_a_cell_may_end_one_solution_and_start_the_next():
    between = prose(":::{solution-end}\n:::\nMore.\n:::{solution-start} b\n:::")
    cells = [prose("```{solution-start} a\n```"), v4.new_code_cell("1"), between]
    assert left_of(*cells, v4.new_code_cell("2"), prose(":::{solution-end}\n:::")) == ["More."]


def test_a_solution_in_one_block_is_left_out_with_what_it_holds():
    block = "::::{solution} ex\n:::{note}\nSo.\n:::\n::::"
    assert left_of(prose(f"Ask.\n\n{block}\n\nGo on.")) == ["Ask.\n\n\nGo on."]


def test_a_page_without_solutions_stays_as_it_is():
    cells = [prose("# One\n\n:::{note}\nA solution.\n:::"), v4.new_code_cell("solution = 1")]
    assert course.without_solutions(cells) == cells


def test_a_zip_of_the_same_files_is_the_same(tmp_path):
    folder = tmp_path / "html"
    for name in ("b/two.txt", "a.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    course.zip_folder(folder, tmp_path / "book.zip")
    first = (tmp_path / "book.zip").read_bytes()
    os.utime(folder / "a.txt", (2e9, 2e9))
    (folder / "b" / "two.txt").chmod(0o600)
    course.zip_folder(folder, tmp_path / "book.zip")
    assert (tmp_path / "book.zip").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "book.zip") as archive:
        assert archive.namelist() == ["book/a.txt", "book/b/two.txt"]


WORKFLOWS = sorted((course.ROOT / ".github" / "workflows").glob("*.yml"))
COMMAND = re.compile(rf"python course\.py ({'|'.join(course.VERBS)})( --[\w-]+)?")


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_only_calls_the_runner(path):
    workflow = yaml.safe_load(path.read_text("utf-8"))
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert commands
    assert [command for command in commands if not COMMAND.fullmatch(command)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_do_little_and_names_the_versions_of_its_actions(path):
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    actions = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert [action for action in actions if not re.fullmatch(r"actions/[\w-]+@v\d+", action)] == []


def test_the_workflows_try_three_systems_and_every_python():
    text = (course.ROOT / "pyproject.toml").read_text("utf-8")
    promised = re.findall(r"Python :: (3\.\d+)", text)
    workflow = yaml.safe_load((course.ROOT / ".github/workflows/test.yml").read_text("utf-8"))
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == promised
    assert [name.split("-")[0] for name in matrix["system"]] == ["ubuntu", "macos", "windows"]


def test_an_unknown_chapter_names_the_chapters():
    message = course.notebooks("99_nowhere")
    assert message.startswith("There is no chapter 99_nowhere; there are ")


def notebook_of(*ids):
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("text") for _ in ids])
    for cell, cell_id in zip(notebook.cells, ids, strict=True):
        cell["id"] = cell_id
    return notebook


def ids_after(notebook, name="01_full_batch"):
    return [cell["id"] for cell in course.normalise(notebook, name)["cells"]]


def test_random_ids_become_the_slug_and_the_position():
    notebook = notebook_of("0a1b2c3d", "3f2504e0-4f89-41d3-9a0c-0305e82c3301")
    assert ids_after(notebook) == ["full-batch-01", "full-batch-02"]


def test_readable_ids_stay():
    assert ids_after(notebook_of("stability", "0a1b2c3d")) == ["stability", "full-batch-02"]


def test_an_inserted_cell_renames_no_other():
    notebook = notebook_of("full-batch-01", "0a1b2c3d", "full-batch-02", "full-batch-03")
    expected = ["full-batch-01", "full-batch-04", "full-batch-02", "full-batch-03"]
    assert ids_after(notebook) == expected


def test_a_copied_id_is_given_away_once():
    assert ids_after(notebook_of("stability", "stability")) == ["stability", "full-batch-02"]


def test_metadata_of_one_machine_is_left_out():
    cell = v4.new_code_cell("1 + 1")
    cell.metadata = {
        "execution": {"iopub.execute_input": "2026-11-23T22:55:00Z"},
        "mystnb": {"image": {"alt": "A line."}},
        "tags": ["hide-input"],
    }
    notebook = v4.new_notebook(cells=[cell])
    notebook.metadata = {"language_info": {"name": "python", "version": "3.13.0"}, "signature": "x"}
    course.normalise(notebook, "01_full_batch")
    assert set(cell.metadata) == {"mystnb", "tags"}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert "version" not in notebook.metadata["language_info"]


def test_normalising_twice_changes_nothing():
    once = course.normalise(notebook_of("0a1b2c3d", "stability", "stability"), "02_sgd")
    assert course.normalise(copy.deepcopy(once), "02_sgd") == once


def test_a_failing_chapter_is_not_written(tmp_path, capsys):
    path = tmp_path / "01_broken.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell("1 / 0")]), path)
    before = path.read_bytes()
    assert not course.execute(path)
    assert path.read_bytes() == before
    assert "ZeroDivisionError" in capsys.readouterr().out

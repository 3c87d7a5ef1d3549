"""The runner: what it says, when it installs, and what it leaves behind where it breaks off."""

import copy
import errno
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from functools import partial
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat import v4
from sphinx.errors import ExtensionError

import course
import gdcourse as gd
from book._ext import offline_python
from tools import notebooks, solutions


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Point the runner at an empty project whose commands are recorded, not run."""
    (tmp_path / "requirements.txt").write_text("numpy==2.4.6\n")
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.delenv("GDCOURSE_PACKAGES", raising=False)  # which a run of the tests may have
    monkeypatch.setattr(course, "ROOT", tmp_path)
    monkeypatch.setattr(course, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(course, "STAMP", tmp_path / ".venv" / "course-stamp.txt")
    commands = []

    def call(command, **options):
        commands.append([str(word) for word in command])
        if "venv" in command:
            course.find_python().parent.mkdir(parents=True, exist_ok=True)
            course.find_python().touch()
        return 0

    monkeypatch.setattr(course.subprocess, "call", call)
    return commands


def test_an_old_python_is_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    message = course.main(["book"])
    assert message == "The course needs Python 3.11 or later, and this is Python 3.10."


def test_an_unknown_verb_names_the_verbs():
    assert "no verb 'publish'; the verbs are book, zip, pdf, epub, serve" in course.main(
        ["publish"]
    )


def test_a_verb_without_arguments_refuses_them():
    assert "'lint' takes no arguments, got --fast" in course.main(["lint", "--fast"])


def test_a_book_knows_one_option():
    with pytest.raises(SystemExit, match=r"options --no-solutions and --no-live, got --fast"):
        course.build("--fast")


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
    monkeypatch.setenv("GDCOURSE_PACKAGES", "newest")
    course.make_environment()
    course.make_environment()
    (command,) = project
    assert "--upgrade" in command
    assert "--pre" not in command
    assert "requirements.txt" not in command
    monkeypatch.setenv("GDCOURSE_PACKAGES", "candidates")
    course.make_environment()
    assert {"--upgrade", "--pre"} <= {*project[-1]}
    monkeypatch.setenv("GDCOURSE_PACKAGES", "oldest")
    with pytest.raises(SystemExit, match="newest, candidates or lowest, got 'oldest'"):
        course.make_environment()


def test_the_lowest_packages_are_the_least_that_the_project_names(project, monkeypatch):
    written = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
    (course.ROOT / "pyproject.toml").write_text(written, "utf-8")
    monkeypatch.setenv("GDCOURSE_PACKAGES", "lowest")
    course.make_environment()
    options = project[-1]
    lines = Path(options[options.index("--constraint") + 1]).read_text("utf-8").splitlines()
    assert {"numpy==2.1 ", "sphinx==7.4.7 "} <= {*lines}
    assert [line for line in lines if not re.match(r"[\w-]+==[\w.]+( |$)", line)] == []


def test_a_verb_runs_inside_the_environment(project, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    course.make_environment()
    project.clear()
    assert course.main(["bench", "--quick"]) == 0
    assert project == [[str(course.find_python()), course.__file__, "bench", "--quick"]]


def test_another_python_makes_the_environment_anew(project, monkeypatch):
    course.make_environment()
    project.clear()
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    course.make_environment()
    assert "--clear" in project[0]


def test_an_environment_that_lost_its_python_is_made_anew(project):
    course.make_environment()
    project.clear()
    course.find_python().unlink()
    course.make_environment()
    assert "--clear" in project[0]


def test_a_python_without_venv_is_one_sentence(project, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"install its venv module .* apt install python3-venv"):
        course.make_environment()
    assert project == []


def test_a_failed_install_is_one_sentence_and_is_tried_again(project, monkeypatch):
    course.make_environment()
    (course.ROOT / "requirements.txt").write_text("changed\n")
    with monkeypatch.context() as patch:
        patch.setattr(course.subprocess, "call", lambda command, **options: 1)
        with pytest.raises(SystemExit, match=r"Installing the packages failed"):
            course.make_environment()
    (course.ROOT / "requirements.txt").write_text("numpy==2.4.6\n")  # as it was before
    project.clear()
    course.make_environment()
    assert [command[-3] for command in project] == ["install"]


# The first command, broken off

# What stands in for venv and pip: each writes its files one after the other. Before file number
# MOMENT, or once it has written the last, it sends its parent a signal; then it ends too, or
# goes on as soon as there is the file GOES_ON. Like the real one, venv begins with an interpreter
# that has no pip.
STEPS = """
import os, sys, time

def write(folder, names, first, then=lambda: None):
    moment = int(os.environ.get("MOMENT", "-1"))
    for number, name in enumerate([*names, None], start=first):
        if number == moment:
            os.kill(os.getppid(), int(os.environ["SIGNAL"]))
            if "GOES_ON" not in os.environ:
                os._exit(1)
            while not os.path.exists(os.environ["GOES_ON"]):
                time.sleep(0.01)
        if name:
            (folder / name).parent.mkdir(exist_ok=True)
        if name == "bin/python":
            os.symlink(os.environ["PYTHON"], folder / name)
        elif name:
            home, version = os.path.dirname(os.environ["PYTHON"]), sys.version.split()[0]
            (folder / name).write_text(f"home = {home}\\nversion = {version}\\n")
"""
STAND_IN = {
    "steps.py": STEPS,
    "venv.py": """
import pathlib, shutil, sys, steps
folder = pathlib.Path(sys.argv[-1])
if folder.exists():
    shutil.rmtree(folder)
folder.mkdir()
steps.write(folder, ["pyvenv.cfg", "bin/python", "lib/pip-1", "lib/pip-2", "bin/activate"], 0)
""",
    "pip.py": """
import pathlib, sys, steps
folder = pathlib.Path(sys.prefix)
if [path.name for path in sorted((folder / "lib").glob("pip-*"))] != ["pip-1", "pip-2"]:
    sys.exit("No module named pip")
steps.write(folder, ["lib/numpy", "lib/scipy", "lib/gdcourse"], 6)
(folder / "lib" / "gdcourse").write_text(str(pathlib.Path.cwd()))
""",
}
MOMENTS = range(10)  # six in venv, four in pip
POSIX = pytest.mark.skipif(os.name == "nt", reason="sends the signals of POSIX")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """Make a folder with the runner and one verb, which says whose gdcourse it runs."""
    monkeypatch.delenv("GDCOURSE_PACKAGES", raising=False)
    folder = tmp_path / "clone"
    (folder / "benchmarks").mkdir(parents=True)
    shutil.copy(course.__file__, folder)
    (folder / "requirements.txt").touch()
    (folder / "pyproject.toml").touch()
    says = "import pathlib, sys; print(pathlib.Path(sys.prefix, 'lib', 'gdcourse').read_text())"
    (folder / "benchmarks" / "__main__.py").write_text(says)
    (tmp_path / "stand-in").mkdir()
    for name, source in STAND_IN.items():
        (tmp_path / "stand-in" / name).write_text(source)
    return folder


def start_command(folder, **environment):
    """Start a verb in a folder where nothing, or only a part, was made; its words go to a file."""
    environment |= {"PYTHONPATH": str(folder.parent / "stand-in"), "PYTHON": sys._base_executable}
    with (folder / "output.txt").open("w") as file:  # no pipe: what goes on would hold it open
        return subprocess.Popen(
            [sys._base_executable, folder / "course.py", "bench"],
            env=os.environ | environment,
            stdout=file,
            stderr=file,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


def whose_package(folder):
    """Return whose gdcourse a command in `folder` runs, which must end well."""
    status = start_command(folder).wait(60)
    output = (folder / "output.txt").read_text()
    assert status == 0, output
    return Path(output.splitlines()[-1])


# Both signals leave the same on the disk, so in the usual run Ctrl-C comes once while each of the
# two programs runs.
ENDS = [("SIGKILL", moment) for moment in MOMENTS] + [
    pytest.param("SIGINT", moment, marks=[pytest.mark.long] * (moment not in (3, 8)))
    for moment in MOMENTS
]


@POSIX
@pytest.mark.parametrize(("name", "moment"), ENDS)
def test_a_first_command_that_broke_off_is_followed_by_one_that_works(clone, name, moment):
    number = int(getattr(signal, name))
    status = start_command(clone, MOMENT=str(moment), SIGNAL=str(number)).wait(60)
    assert status == (130 if name == "SIGINT" else -number)
    assert whose_package(clone) == clone


@POSIX
@pytest.mark.parametrize("moment", [2, 4, 7, 9])
def test_a_command_waits_for_what_a_killed_one_had_started(clone, tmp_path, moment):
    sign = tmp_path / "go on"
    number = int(signal.SIGKILL)
    start_command(clone, MOMENT=str(moment), SIGNAL=str(number), GOES_ON=str(sign)).wait(60)
    after = start_command(clone)
    try:
        while "waiting for its end" not in (clone / "output.txt").read_text():
            assert after.poll() is None
            time.sleep(0.01)
    finally:
        sign.touch()
    assert after.wait(60) == 0
    assert (clone / "output.txt").read_text().splitlines()[-1] == str(clone)


@POSIX
@pytest.mark.parametrize("change", [shutil.move, partial(shutil.copytree, symlinks=True)])
def test_a_moved_or_copied_folder_runs_its_own_package(clone, tmp_path, change):
    assert whose_package(clone) == clone
    change(clone, tmp_path / "another")
    assert whose_package(tmp_path / "another") == tmp_path / "another"


# What is there stays until what takes its place is whole


@pytest.fixture(params=[(), ("--no-solutions",)], ids=["whole", "no solutions"])
def old_book(request, project, monkeypatch):
    """Give the options and the folder of a book that was built before, from an empty project."""
    (course.ROOT / "book").mkdir()
    (course.ROOT / "_toc.yml").touch()
    monkeypatch.setattr(course, "BUILD", course.ROOT / "_build")
    monkeypatch.setattr(course, "HTML", course.BUILD / "html")
    html = course.choose_folder(request.param)
    html.mkdir(parents=True)
    (html / "index.html").write_text("old")
    return request.param, html


def stand_in_for_sphinx(status):
    """Return a call that writes a page, and ends with `status` or by Ctrl-C."""

    def call(command, env):
        html = Path(command[command.index("--path-output") + 1]) / "_build" / "html"
        html.mkdir(parents=True)
        (html / "index.html").write_text("new")
        if status is None:
            raise KeyboardInterrupt
        return status

    return call


def test_a_new_book_takes_the_place_of_the_old_one(old_book, monkeypatch):
    options, html = old_book
    (html / "a page of before.html").touch()
    monkeypatch.setattr(course.subprocess, "call", stand_in_for_sphinx(0))
    assert course.build(*options) == 0
    assert [path.name for path in html.iterdir()] == ["index.html"]
    assert (html / "index.html").read_text() == "new"
    assert list(course.BUILD.iterdir()) == [html]


@pytest.mark.parametrize("verb", ["book", "zip", "pdf"])
@pytest.mark.parametrize("status", [2, None], ids=["fails", "Ctrl-C"])
def test_a_build_that_ends_badly_leaves_what_was_there(old_book, monkeypatch, verb, status):
    options, html = old_book
    whole = {name: course.BUILD / f"gradient-descent{name}" for name in (".zip", ".pdf")}
    for path in whole.values():
        path.write_text("old")
    monkeypatch.setattr(course.subprocess, "call", stand_in_for_sphinx(status))
    if status is None:
        with pytest.raises(KeyboardInterrupt):
            course.VERBS[verb](*options)
    else:
        assert course.VERBS[verb](*options) == status
    assert (html / "index.html").read_text() == "old"
    assert [path.read_text() for path in whole.values()] == ["old", "old"]
    assert set(course.BUILD.iterdir()) == {html, *whole.values()}


def test_a_file_that_breaks_off_leaves_the_old_one(old_book):
    options, html = old_book

    def write(folder, target):
        target.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    course.write_file(lambda folder, target: target.write_text("old"), options, ".zip")
    with pytest.raises(OSError, match="No space left"):
        course.write_file(write, options, ".zip")
    (packed,) = course.BUILD.glob("*.zip")
    assert packed.read_text() == "old"
    assert set(course.BUILD.iterdir()) == {html, packed}


def test_a_chapter_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "01_small.ipynb"
    nbformat.write(v4.new_notebook(), path)
    before = path.read_bytes()

    def write(target, text, **options):
        target.write_bytes(text[: len(text) // 2].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(notebooks.nbclient.NotebookClient, "execute", lambda client: None)
    monkeypatch.setattr(Path, "write_text", write)
    with pytest.raises(OSError, match="No space left"):
        notebooks.execute(path)
    assert path.read_bytes() == before


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
    return [cell["source"] for cell in solutions.remove_solutions(cells)]


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
    assert solutions.remove_solutions(cells) == cells


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


# The examination


@pytest.fixture
def examination(monkeypatch):
    """Return a function that gives the steps of `course.py test`, each of which ends well."""
    done = []
    monkeypatch.setattr(course, "lint", lambda: done.append("lint"))
    monkeypatch.setattr(course, "build", lambda: done.append("book"))
    monkeypatch.setattr(course, "run", lambda *command: done.append(" ".join(command)))

    def examine(*arguments):
        done.clear()
        assert course.test(*arguments) == 0
        return list(done)

    return examine


def test_the_whole_examination_is_shared_out_and_measures_no_coverage(examination):
    lint, book, tests = examination()
    assert (lint, book) == ("lint", "book")
    assert tests == "pytest -m not long -n 2 --dist loadfile --no-loadscope-reorder"


def test_nothing_is_too_long_where_all_is_asked_for(examination):
    *_, tests = examination("--all")
    assert tests == "pytest -n 2 --dist loadfile --no-loadscope-reorder"


def test_coverage_is_held_where_it_is_asked_for(examination):
    *_, tests = examination("--coverage")
    assert "--cov=gdcourse" in tests
    assert "--cov-fail-under=98" in tests
    assert "-n 2" in tests


def test_a_quick_examination_needs_no_book(examination):
    assert examination("--quick") == ["lint", f"pytest -m not slow {' '.join(course.SHARED_OUT)}"]


def test_arguments_go_to_pytest(examination):
    *_, tests = examination("tests/test_noise.py", "--quick", "-x")
    assert tests == "pytest -m not slow tests/test_noise.py -x"


def test_what_needs_a_browser_a_kernel_or_workers_is_slow(pytestconfig):
    hook = pytestconfig.pluginmanager.get_plugin(str(course.ROOT / "conftest.py"))

    class Item:
        def __init__(self, nodeid, *fixturenames):
            self.nodeid, self.fixturenames, self.marks = nodeid, fixturenames, []
            self.add_marker = self.marks.append

    slow = [
        Item("tests/browser/test_pages.py::test_no_formula_is_wrong"),
        Item("tests/test_distributed.py::test_no_worker_left_is_an_error"),
        Item("tests/test_notebooks.py::test_an_executed_notebook_has_no_faults", "executed"),
    ]
    quick = [Item("tests/test_noise.py::test_a", "xp"), Item("gdcourse/noise.py::gdcourse.noise")]
    items = [*quick, *slow]
    hook.pytest_collection_modifyitems(items)
    assert [item.marks for item in slow + quick] == [["slow"]] * 3 + [[]] * 2
    assert items == [*slow[:2], *quick, slow[2]]  # long files first
    assert all((course.ROOT / name).exists() for name in hook.LONG)


WORKFLOWS = sorted((course.ROOT / ".github" / "workflows").glob("*.yml"))
COMMAND = re.compile(rf"python course\.py ({'|'.join(course.VERBS)})( --[\w-]+)*")


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_only_calls_the_runner(path):
    workflow = yaml.safe_load(path.read_text("utf-8"))
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert commands
    others = [command for command in commands if not COMMAND.fullmatch(command)]
    assert others == (["pipx run build --outdir _build/package"] if path.stem == "release" else [])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_do_little_and_names_the_versions_of_its_actions(path):
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    actions = re.findall(r"uses: (.*)", path.read_text("utf-8"))
    assert len(actions) == sum("uses" in step for step in steps(workflow)) > 0
    pinned = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")  # a tag can be moved
    assert [action for action in actions if not pinned.fullmatch(action)] == []


def test_the_workflows_try_three_systems_and_every_python():
    text = (course.ROOT / "pyproject.toml").read_text("utf-8")
    promised = re.findall(r"Python :: (3\.\d+)", text)
    workflow = yaml.safe_load((course.ROOT / ".github/workflows/test.yml").read_text("utf-8"))
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == promised
    assert [name.split("-")[0] for name in matrix["system"]] == ["ubuntu", "macos", "windows"]


def test_one_job_measures_the_coverage_and_builds_a_book_without_solutions():
    jobs = yaml.safe_load((course.ROOT / ".github/workflows/test.yml").read_text("utf-8"))["jobs"]
    commands = {name: [step.get("run") for step in job["steps"]] for name, job in jobs.items()}
    assert "python course.py test --coverage --all" in commands["coverage"]
    assert "python course.py zip --no-solutions" in commands["coverage"]
    assert "python course.py test" in commands["test"]


def test_an_unknown_chapter_names_the_chapters():
    message = course.execute_notebooks("99_nowhere")
    assert message.startswith("There is no chapter 99_nowhere; there are ")


def notebook_of(*ids):
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("text") for _ in ids])
    for cell, cell_id in zip(notebook.cells, ids, strict=True):
        cell["id"] = cell_id
    return notebook


def ids_after(notebook, name="01_full_batch"):
    return [cell["id"] for cell in notebooks.normalise(notebook, name)["cells"]]


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
    notebooks.normalise(notebook, "01_full_batch")
    assert set(cell.metadata) == {"jupyter", "mystnb", "tags"}
    assert cell.metadata["jupyter"] == {"source_hidden": True}  # as the page folds it
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert "version" not in notebook.metadata["language_info"]


def test_normalising_twice_changes_nothing():
    once = notebooks.normalise(notebook_of("0a1b2c3d", "stability", "stability"), "02_sgd")
    assert notebooks.normalise(copy.deepcopy(once), "02_sgd") == once


@pytest.mark.slow
def test_a_failing_chapter_is_not_written(tmp_path, capsys):
    path = tmp_path / "01_broken.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell("1 / 0")]), path)
    before = path.read_bytes()
    assert not notebooks.execute(path)
    assert path.read_bytes() == before
    assert "ZeroDivisionError" in capsys.readouterr().out


# Papers of the project


def test_one_version_is_told_everywhere():
    text = {
        name: (course.ROOT / name).read_text("utf-8")
        for name in ("pyproject.toml", "CITATION.cff", "CHANGELOG.md", "book/about.md")
    }
    version = gd.__version__
    assert f'\nversion = "{version}"\n' in text["pyproject.toml"]
    assert f"\nversion: {version}\n" in text["CITATION.cff"]
    assert re.search(r"^## (?!Unreleased)(\S+),", text["CHANGELOG.md"], re.M)[1] == version
    assert f"version {version}." in text["book/about.md"]


def test_the_paper_cites_what_is_listed():
    cited = re.findall(r"@(\w+)", (course.ROOT / "paper.md").read_text("utf-8"))
    listed = re.findall(r"^@\w+\{(\w+),", (course.BOOK / "references.bib").read_text("utf-8"), re.M)
    assert len(set(cited)) > 5
    assert set(cited) <= set(listed)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SUPPORT.md", "SECURITY.md"])
def test_links_between_the_papers_lead_somewhere(name):
    text = (course.ROOT / name).read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert links
    assert [link for link in links if not (course.ROOT / link).exists()] == []


@pytest.mark.parametrize("path", sorted((course.ROOT / ".github").rglob("*.yml")), ids=str)
def test_forms_and_workflows_are_yaml(path):
    assert yaml.safe_load(path.read_text("utf-8"))


def test_the_ten_lines_of_the_readme_run():
    text = (course.ROOT / "README.md").read_text("utf-8")
    lines = text.partition("## The package in ten lines\n\n```python\n")[2].partition("```")[0]
    names = {}
    exec(lines, names)
    assert abs(names["theta"] - [0, 1, 2, 3, 4]).max() < 0.02

"""Marks for submitted notebooks, each executed in a process of its own.

The course's own checks judge the answers, whatever stands in the check cells of a submission. An
answer that breaks off, loops or eats the memory costs its exercise. This is no sandbox: it runs
what students wrote, with your rights on this machine.
"""

import csv
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from gdcourse.lesson.checks import EXERCISES

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60  # for one cell, or for one check
NOT_BEGUN = "not begun"


def grade_folder(folder, seconds=SECONDS):
    """Grade all notebooks below `folder`, write grades.csv into it and return its path.

    The first name below the folder is the student's: of a folder, a zip or a notebook.
    """
    with tempfile.TemporaryDirectory() as unpacked:
        found = list(find_notebooks(folder, Path(unpacked)))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            graded = pool.map(lambda pair: grade_notebook(pair[1], seconds), found)
            best = {}
            for (student, path), marks in zip(found, graded, strict=True):
                print(f"{student}: {path.name}{'' if marks else ' has no answers'}", flush=True)
                for name, mark in marks.items():
                    best[student, name] = max(best.get((student, name), mark), mark, key=rank)
    return write_table(folder / "grades.csv", best)


def find_notebooks(folder, unpacked):
    """Yield the name of a student and the path of a notebook, for each that was submitted."""
    for entry in sorted(folder.iterdir()):
        if entry.suffix == ".zip":
            with zipfile.ZipFile(entry) as archive:
                archive.extractall(unpacked / entry.stem)
            paths = (unpacked / entry.stem).rglob("*.ipynb")
        else:
            paths = entry.rglob("*.ipynb") if entry.is_dir() else [entry]
        student = entry.name if entry.is_dir() else entry.stem
        for path in sorted(paths):
            if path.suffix == ".ipynb" and ".ipynb_checkpoints" not in path.parts:
                yield student, path


def write_table(path, marks):
    """Write the marks as a table; no cell of it can be taken for a formula."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "exercise", "points", "of", "message"])
        for (student, name), (points, message) in sorted(marks.items(), key=sort_key):
            row = [student, name, points, EXERCISES[name].points, " ".join(message.split())]
            table.writerow([f"'{cell}" if str(cell)[:1] in "=+-@" else cell for cell in row])
    return path


def sort_key(item):
    """Return what sorts marks by student and by the numbers of the exercises."""
    student, name = item[0]
    return student, *map(int, name.split("."))


def rank(mark):
    """Return what sorts marks for one exercise: points, and then whether it was begun.

    The exercises of a chapter may lie in two notebooks, and each misses those of the other.
    """
    points, message = mark
    return points, message != NOT_BEGUN


def grade_notebook(path, seconds):
    """Return points and a message for each exercise of a submitted notebook."""
    try:
        steps = list(list_steps(json.loads(path.read_text("utf-8"))["cells"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    asked = [step["name"] for step in steps if step["kind"] == "check"]
    marks = dict.fromkeys(asked, (0, NOT_BEGUN))
    begun = {step["name"] for step in steps if step["kind"] == "answer" and is_begun(step)}
    steps = [step for step in steps if step["name"] in begun or step["kind"] == "code"]
    while begun:  # what stopped the process is left out, and the rest is tried again
        stopped, message = run_steps(steps, marks, seconds)
        if stopped is None:
            break
        broken = steps[stopped]
        steps = [
            step
            for step in steps
            if step is not broken and (step["name"] is None or step["name"] != broken["name"])
        ]
        if broken["name"]:
            marks[broken["name"]] = (0, message)
    return marks


def list_steps(cells):
    """Yield what a notebook asks for in order: code to run, answers, checks of them."""
    checks, chapters = set(), set()
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        marks = cell["metadata"].get("nbgrader", {})
        kind, _, name = marks.get("grade_id", cell.get("id", "")).partition("-")
        name = name.replace("-", ".")
        source = "".join(cell["source"])
        if kind in ("answer", "check") and name in EXERCISES:
            chapters.add(name.split(".")[0])
        if kind == "answer" and name in EXERCISES:
            yield {"kind": "answer", "name": name, "source": source}
        elif kind == "check" and name in EXERCISES and name not in checks:
            checks.add(name)
            yield {"kind": "check", "name": name}
        else:
            yield {"kind": "code", "name": None, "source": source}
    for name in EXERCISES:  # where a check was deleted
        if name not in checks and name.split(".")[0] in chapters:
            yield {"kind": "check", "name": name}


def is_begun(step):
    """Tell whether an answer is another than the empty one."""
    return step["source"].strip() != EXERCISES[step["name"]].stub.strip()


def run_steps(steps, marks, seconds):
    """Run steps in a process of its own; fill in `marks`.

    Returns the number of the step that stopped the process, and why; None where it went on to
    the end.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "steps.json").write_text(json.dumps(steps), "utf-8")
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        own = {"PYTHONPATH": paths, "MPLBACKEND": "Agg", "IPYTHONDIR": folder}
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.answers", "steps.json"],
            cwd=folder,
            env=os.environ | own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        lines = queue.Queue()
        threading.Thread(target=read_lines, args=(process.stdout, lines), daemon=True).start()
        step = 0
        try:
            while (line := lines.get(timeout=seconds)) is not None:
                said = json.loads(line)
                if "step" in said:
                    step = said["step"]
                elif "name" in said:
                    points = EXERCISES[said["name"]].points if said["right"] else 0
                    marks[said["name"]] = (points, said["message"])
                else:
                    return None, ""
            return step, "the process ended: was that too much memory, or an exit?"
        except queue.Empty:
            return step, f"not done after {seconds} seconds: does a loop never end?"
        finally:
            stop(process)


def read_lines(stream, lines):
    """Put the lines of a stream into a queue, and None at its end."""
    for line in stream:
        lines.put(line)
    lines.put(None)


def stop(process):
    """End a process and what it has started."""
    with suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
    process.stdout.close()

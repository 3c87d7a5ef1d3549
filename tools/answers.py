"""Run the steps of one submission: `python -m tools.answers STEPS`, started by the grading.

Each line of its output is a word to the one who grades: the step that begins, a mark, the end.
What students print goes nowhere.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

GIGABYTES = 4


def main(path):
    """Run the steps in the file `path`, in the order in which they stand there."""
    said = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    limit_memory()

    def say(**words):
        said.write(json.dumps(words) + "\n")
        said.flush()

    say(step=0)
    steps = json.loads(Path(path).read_text("utf-8"))
    shell, guard, failed = make_shell(), Guard(), {}
    for number, step in enumerate(steps):
        say(step=number)
        if step["kind"] == "check":
            name = step["name"]
            right, message = guard.judge(name, shell.user_ns, failed.get(name))
            say(name=name, right=right, message=message)
            continue
        result = shell.run_cell(step["source"], store_history=False)
        error = result.error_before_exec or result.error_in_exec
        if error is not None and step["name"]:
            failed[step["name"]] = f"the answer raises {type(error).__name__}: {error}"
    say(end=True)


def limit_memory():
    """Limit the memory of this process, where the system can."""
    with suppress(ImportError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES * 2**30,) * 2)


def make_shell():
    """Return what runs cells as a notebook does, without a memory of earlier sessions."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    return InteractiveShell.instance(config=config)


class Guard:
    """Keeps what the checks stand on as it was before the first line of a student's code."""

    def __init__(self):
        import numpy as np

        from gdcourse.lesson import checks

        self.exercises, self.wrong = dict(checks.EXERCISES), checks.AnswerError
        self.verify = checks.Exercise.verify
        modules = [module for name, module in sys.modules.items() if name.startswith("gdcourse")]
        inside = {thing for module in modules for thing in vars(module).values() if is_ours(thing)}
        self.before = [
            (owner, name, value, getattr(value, "__code__", None))
            for owner in (np, np.linalg, *modules, *inside, *self.exercises.values())
            for name, value in vars(owner).items()
            if callable(value)
        ]

    def judge(self, name, names, failed):
        """Tell whether the answer to an exercise among `names` is right, and why."""
        exercise = self.exercises[name]
        if replaced := self.restore():
            return False, f"replaces what the check stands on: {', '.join(replaced)}"
        if failed:
            return False, failed
        if exercise.deliver not in names:
            return False, f"nothing is called {exercise.deliver}"
        try:
            return True, f"right: {self.verify(exercise, names[exercise.deliver])}"
        except self.wrong as error:
            return False, str(error)
        except BaseException as error:  # of the student's code: whatever it is, it costs no more
            return False, f"raises {type(error).__name__}: {error}"

    def restore(self):
        """Put back what was replaced, and return its names."""
        replaced = []
        for owner, name, value, code in self.before:
            if vars(owner).get(name) is not value:
                put = type.__setattr__ if isinstance(owner, type) else object.__setattr__
                put(owner, name, value)
                replaced.append(name)
            if code is not None and value.__code__ is not code:
                value.__code__ = code
                replaced.append(name)
        return replaced


def is_ours(thing):
    """Tell whether something is a class of the package."""
    return isinstance(thing, type) and thing.__module__.startswith("gdcourse")


if __name__ == "__main__":
    main(sys.argv[1])

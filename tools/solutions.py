"""The worked solutions in the sources of the book: left out, or folded."""

import json
import re
import shutil

SOLUTION = re.compile(r"(?P<fence>:{3,}|`{3,})\{solution(?P<gate>-start|-end|)\}")
GATE = re.compile(r"^(?::{3,}|`{3,})\{solution-(start|end)\}", re.M)


def copy_without_solutions(root, folder):
    """Copy what the book is built from, below `root`, into `folder`; leave the solutions out."""
    unwanted = shutil.ignore_patterns(".ipynb_checkpoints")
    shutil.copytree(root / "book", folder / "book", ignore=unwanted)
    shutil.copy(root / "_toc.yml", folder)
    for path in (folder / "book").glob("*.ipynb"):
        notebook = json.loads(path.read_text("utf-8"))
        notebook["cells"] = remove_solutions(notebook["cells"])
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False), "utf-8")
    for path in (folder / "book").glob("*.md"):
        page = [{"cell_type": "markdown", "source": path.read_text("utf-8")}]
        path.write_text("".join(cell["source"] for cell in remove_solutions(page)), "utf-8")
    return folder


def remove_solutions(cells):
    """Return the cells of a notebook without solutions: whole blocks, and all between two gates."""
    kept, fence, gated = [], "", False
    for cell in cells:
        if cell["cell_type"] == "markdown":
            lines = []
            for line in "".join(cell["source"]).splitlines(keepends=True):
                opens = None if fence else SOLUTION.match(line)
                if opens:
                    fence, gated = opens["fence"], opens["gate"] == "-start"
                elif fence:
                    fence = "" if line.strip() == fence else fence
                elif not gated:
                    lines.append(line)
            cell = {**cell, "source": "".join(lines).strip("\n")}
            if not cell["source"]:
                continue
        elif gated:
            continue
        kept.append(cell)
    return kept


def fold_code(cells):
    """Mark the code that the pages fold, and solutions with what they print, as folded."""
    gate = "end"
    for cell in cells:
        if cell["cell_type"] == "markdown":
            gate = [gate, *GATE.findall("".join(cell["source"]))][-1]
        elif gate == "start":
            cell["metadata"]["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
        elif "hide-input" in cell["metadata"].get("tags", []):
            cell["metadata"]["jupyter"] = {"source_hidden": True}

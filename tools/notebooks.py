"""A chapter as it is stored: executed from a clean kernel, and the same on every machine."""

import re
import time

import nbclient
import nbformat

from tools.solutions import fold_code


def execute(path):
    """Execute one notebook and write it back normalised; where a cell fails, only show why."""
    print(f"{path.stem} ...", end=" ", flush=True)
    start = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        coalesce_streams=True,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except (nbclient.exceptions.CellControlSignal, nbclient.exceptions.DeadKernelError) as error:
        print(f"failed\n{error}")
        return False
    text = nbformat.writes(normalise(notebook, path.stem)).rstrip("\n") + "\n"
    draft = path.with_suffix(".unfinished")
    draft.write_text(text, encoding="utf-8", newline="\n")
    draft.replace(path)
    print(f"{time.perf_counter() - start:.1f} s", flush=True)
    return True


KEPT_METADATA = ("mystnb", "tags")
RANDOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8}")


def normalise(notebook, name):
    """Return `notebook` without what changes from one machine or one execution to the next.

    A cell keeps its id where that is readable and its own; otherwise the id becomes the slug
    and the first free number from the cell's position on, as in `full-batch-07`.
    """
    slug = re.sub(r"^\d+-", "", name.replace("_", "-"))
    taken = set()
    for cell in notebook["cells"]:
        if cell.get("id") in taken or RANDOM_ID.fullmatch(cell.get("id", "")):
            cell.pop("id", None)
        taken.add(cell.get("id"))
    for number, cell in enumerate(notebook["cells"], start=1):
        if not cell.get("id"):
            numbers = range(number, number + len(taken) + 1)
            cell["id"] = next(i for i in (f"{slug}-{n:02d}" for n in numbers) if i not in taken)
            taken.add(cell["id"])
        kept = {key: cell["metadata"][key] for key in KEPT_METADATA if key in cell["metadata"]}
        cell["metadata"] = kept
    fold_code(notebook["cells"])
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    notebook["nbformat_minor"] = 5
    return notebook

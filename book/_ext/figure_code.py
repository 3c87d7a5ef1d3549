"""Put the folded code of a figure below the figure, and call it so."""

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode


def setup(app):
    """Sphinx calls this once."""
    app.connect("doctree-resolved", demote)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def demote(app, doctree, page):
    """Move each fold of code behind the figure that it draws."""
    for fold in list(doctree.findall(HideCodeCellNode)):
        cell = fold.parent
        if any(cell.findall(nodes.figure)):
            fold["prompt_show"] = "Code of this figure"
            fold["prompt_hide"] = "Code of this figure"
            cell.remove(fold)
            cell.append(fold)

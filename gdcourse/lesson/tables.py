"""Measured tables: comma-separated values under a header that names the machine.

The header is made of lines ``# key: value``; below it stand the names of the columns and one
row a measurement. The benchmarks write such tables, and the chapters read them.
"""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = ["Table", "read_table", "side_by_side", "write_table"]


class Table(NamedTuple):
    """What `read_table` finds in a file.

    Attributes
    ----------
    header : dict of str
        What was measured, on which machine, with which versions, and when.
    columns : dict of array
        Columns of the table by name.
    """

    header: dict
    columns: dict

    def where(self, **wanted):
        """The columns, with only those rows that hold the values wanted.

        Parameters
        ----------
        **wanted : str or float
            Names of columns, and the value that each of them is to have.

        Returns
        -------
        dict of array

        Examples
        --------
        >>> table = Table({}, {"library": np.array(["numpy", "cupy"]), "b": np.array([1.0, 2.0])})
        >>> table.where(library="cupy")["b"]
        array([2.])
        """
        n_rows = len(next(iter(self.columns.values())))
        chosen = np.ones(n_rows, dtype=bool)
        for name, value in wanted.items():
            chosen &= self.columns[name] == value
        return {name: column[chosen] for name, column in self.columns.items()}


def write_table(path, header, rows):
    """Write a table to `path`, making its folder where there is none.

    Parameters
    ----------
    path : str or Path
        Where to write, as comma-separated values.
    header : dict
        The machine, the versions, the date, the command: text without line breaks.
    rows : sequence of dict
        One a measurement, all with the same keys: numbers, or text without line breaks.

    Raises
    ------
    ValueError
        Where there are no rows, their keys differ, or a text would not be read as it was written.
    """
    rows = list(rows)
    if not rows or any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("rows must hold at least one dict, all of them with the same keys")
    for text in (str(cell) for pairs in (header, *rows) for pair in pairs.items() for cell in pair):
        if text != "".join(text.splitlines()):
            raise ValueError(f"a text must be of one line, got {text!r}: write it as several")
    if next(iter(rows[0])).startswith("#"):
        raise ValueError("the first column must not begin with #, as the header does: rename it")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"# {key}: {value}\n" for key, value in header.items())
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_table(path):
    """Read what `write_table` wrote.

    Parameters
    ----------
    path : str or Path
        Where the file is.

    Returns
    -------
    Table
        ``.header``, a dict of text, and ``.columns``, a dict of NumPy arrays: floats where
        every value of the column is a number, text otherwise.

    Raises
    ------
    ValueError
        Where the file has no rows.
    """
    lines = iter(Path(path).read_text(encoding="utf-8").split("\n"))
    header, names = {}, ""
    for names in lines:
        if not names.startswith("#"):
            break
        key, _, value = names[1:].partition(":")
        header[key.strip()] = value.strip()
    names, *rows = [row for row in csv.reader([names, *lines]) if row] or [()]
    if not rows:
        raise ValueError(f"{path} has no rows below its header")
    return Table(header, dict(zip(names, map(_column, zip(*rows, strict=True)), strict=True)))


def side_by_side(table, cases, rows, *, unit="ns a sample", key="who", value="median"):
    """A part of a table as HTML: a row for each contestant, a column for each case.

    Parameters
    ----------
    table : Table
        From `read_table`.
    cases : dict of dict
        For each heading the values that its rows hold, as in ``table.where(**case)``.
    rows : sequence of str
        Names in the column `key`; one without a figure in any case is left out.
    unit : str
        Stands over the names.
    key, value : str
        Columns of the table: of the names, and of the figures.

    Returns
    -------
    str

    Examples
    --------
    >>> columns = {"who": ["a", "b"], "n": [1, 2], "median": [3.0, 4000.0]}
    >>> table = Table({}, {name: np.array(column) for name, column in columns.items()})
    >>> html = side_by_side(table, {"n = 2": {"n": 2}}, ["a", "b", "c"])
    >>> "<th scope='row'>b</th><td>4,000</td>" in html, "<th scope='row'>a</th>" in html
    (True, False)
    """
    head = "".join(f"<th>{name}</th>" for name in (unit, *cases))
    body = ""
    for name in rows:
        found = [table.where(**{key: name}, **case)[value] for case in cases.values()]
        if any(map(len, found)):
            cells = (f"{float(one[0]):,.0f}" if len(one) else "–" for one in found)
            body += f"<tr><th scope='row'>{name}</th>"
            body += "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    return (
        f"<table class='table dataframe'><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _column(values):
    try:
        return np.array(values, dtype=float)
    except ValueError:
        return np.array(values)

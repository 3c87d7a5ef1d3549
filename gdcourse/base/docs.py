"""One description of a parameter for all functions that take it."""

import inspect
import re

HEAD = "Parameters\n----------\n"
NEXT_SECTION = re.compile(r"^[A-Z]\w+\n-+$", re.M)


def parameters_of(source):
    """A decorator: what a docstring leaves out of its parameters is said as in that of `source`.

    `help` and the reference then show every parameter where it stands, in the order of the
    call, and its words are written once.

    Parameters
    ----------
    source : function or class
        Its docstring describes, among others, all that the decorated one does not.

    Returns
    -------
    callable

    Raises
    ------
    KeyError
        At the decoration, for a parameter that neither docstring describes.

    Examples
    --------
    >>> def walk(start, n_steps):
    ...     '''Walk.
    ...
    ...     Parameters
    ...     ----------
    ...     start : float
    ...         In metres.
    ...     n_steps : int
    ...         How many.
    ...     '''
    >>> @parameters_of(walk)
    ... def run(n_steps):
    ...     '''Run.'''
    >>> print(run.__doc__)
    Run.
    <BLANKLINE>
    Parameters
    ----------
    n_steps : int
        How many.
    """

    def describe(thing):
        if not (thing.__doc__ and source.__doc__):  # python -OO
            return thing
        before, own, after = split(thing)
        known = split(source)[1] | own
        entries = {known[name]: None for name in inspect.signature(thing).parameters}
        thing.__doc__ = "\n".join([f"{before}\n\n{HEAD.rstrip()}", *entries, after]).rstrip()
        return thing

    return describe


def split(thing):
    """A docstring in three: the words before its parameters, an entry for each, the rest."""
    doc = inspect.cleandoc(thing.__doc__)
    before, _, after = doc.partition(HEAD)
    section = NEXT_SECTION.search(after if after else doc)
    if not after:
        cut = section.start() if section else len(doc)
        return before[:cut].rstrip(), {}, f"\n{doc[cut:]}"
    cut = section.start() if section else len(after)
    entries = {}
    for entry in re.split(r"\n(?=\S)", after[:cut].rstrip()):
        entries |= dict.fromkeys(re.findall(r"\w+", entry.partition(" : ")[0]), entry)
    return before.rstrip(), entries, f"\n{after[cut:]}"

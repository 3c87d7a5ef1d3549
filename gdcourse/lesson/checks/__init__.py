"""Checks of the exercises: ``check("2.3", my_floor)`` says which property an answer lacks.

`EXERCISES` has an `Exercise` for every number that the book prints beside one. One file a
chapter, and `exercise.py` for what they share.
"""

from gdcourse.lesson.checks import (
    beyond_one_machine,
    capstone,
    choosing,
    epochs,
    full_batch,
    gpus,
    minibatch,
    momentum,
    sampling,
    sgd,
    tradeoffs,
)
from gdcourse.lesson.checks.exercise import AnswerError, Exercise

__all__ = ["EXERCISES", "Exercise", "check"]

CHAPTERS = (
    full_batch,
    sgd,
    minibatch,
    tradeoffs,
    epochs,
    sampling,
    gpus,
    beyond_one_machine,
    choosing,
    momentum,
    capstone,
)

#: What each exercise asks for, by the number that the book prints beside it.
EXERCISES = {
    found.name: found
    for chapter in CHAPTERS
    for found in vars(chapter).values()
    if isinstance(found, Exercise)
}


def check(name, answer):
    """Print one line: that `answer` is right and what was confirmed, or the property that fails.

    Parameters
    ----------
    name : str
        The number of the exercise, such as "2.3".
    answer : number, array, list or function
        What the exercise asks for. A function is called on problems that are new to it.

    Raises
    ------
    ValueError
        Where no exercise has that number.

    Examples
    --------
    >>> check("1.2", ...)
    1.2 not yet: not begun: `steps_a_digit` still has its `...`
    """
    if name not in EXERCISES:
        raise ValueError(f"name must be one of {', '.join(EXERCISES)}, got {name!r}")
    try:
        print(f"{name} right: {EXERCISES[name].verify(answer)}")
    except AnswerError as error:
        print(f"{name} not yet: {error}")
    except ImportError as error:  # of the real data, where a page has a Python of its own
        print(f"{name} cannot be checked here: {error}")

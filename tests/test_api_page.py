"""The API page has an entry for every public name, and every entry says what one needs to know."""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc

import course
import gdcourse as gd

PAGE = (course.BOOK / "api.md").read_text(encoding="utf-8")
SOURCE = re.compile(
    r"\b(doi:10\.\d+/|arXiv:\d{4}\.\d{4,5}|proceedings\.mlr\.press/)|\(\dth ed\., \d{4}\)"
)

# Whose formula, method or claim was first published by others.
FROM_THE_LITERATURE = {
    "batch_gradient_descent",
    "stochastic_gradient_descent",
    "minibatch_gradient_descent",
    "updates",
    "LogisticRegression",
    "MLP",
    "compress",
    "Shuffled",
    "ShuffledOnce",
    "WithReplacement",
    "BlockShuffled",
    "batch_gradient_variance",
    "noise_scale",
    "estimate_noise_scale",
    "noise_floor",
    "stationary_covariance",
    "stability_limit",
    "training_memory",
    "allreduce_seconds",
    "schedules.inverse_time",
    "schedules.inverse_sqrt",
    "schedules.cosine",
    "schedules.warmup",
    "lesson.data.diabetes",
    "lesson.data.digits",
    "lesson.data.breast_cancer",
    "lesson.data.wine",
    "lesson.experiments.fit_hyperbola",
}


def public_names():
    """Every public thing of the package, under the name by which a reader reaches it."""
    found = {name: getattr(gd, name) for name in gd.__all__ if name != "schedules"}
    known = {id(thing) for thing in found.values()}
    for module in pkgutil.walk_packages(gd.__path__, "gdcourse."):
        if module.name.startswith("gdcourse.lesson.explorer."):
            continue  # the folder itself names what is public in it
        loaded = importlib.import_module(module.name)
        for name in getattr(loaded, "__all__", ()):
            thing = getattr(loaded, name)
            ours = getattr(thing, "__module__", "gdcourse").startswith("gdcourse")
            if ours and id(thing) not in known:
                found[f"{module.name.removeprefix('gdcourse.')}.{name}"] = thing
    return found


PUBLIC = public_names()
CALLED = {name: thing for name, thing in PUBLIC.items() if callable(thing)}


def entries(page):
    """The names that the page hands to autodoc."""
    module, found = "", []
    for kind, name in re.findall(r"^\.\. (currentmodule|auto\w+):: (\S+)$", page, re.M):
        if kind == "currentmodule":
            module = name
        else:
            found.append(f"{module}.{name}".removeprefix("gdcourse."))
    return found


def documented(thing):
    """The argument names of each line "name : type" of a docstring, with what is said of them."""
    doc = ClassDoc(thing) if inspect.isclass(thing) else FunctionDoc(thing)
    fields = [*doc["Parameters"], *(doc["Attributes"] if inspect.isclass(thing) else [])]
    return {
        name.lstrip("*"): (field.type, " ".join(field.desc))
        for field in fields
        for name in field.name.split(", ")
    }


def gives_back(function):
    """The sections that should say what a function returns or yields, read from its source."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    nodes = list(ast.walk(body))
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes):
        return {"Yields"}
    if any(isinstance(node, ast.Return) and node.value is not None for node in nodes):
        return {"Returns", "Yields"}
    return set()


def type_of(argument, thing):
    """The type that a docstring gives an argument, also by "As in `another`"."""
    kind, description = documented(thing).get(argument, ("", ""))
    elsewhere = re.match(r"As in `(\w+)`", description)
    if kind or not elsewhere:
        return kind
    return type_of(argument, getattr(inspect.getmodule(inspect.unwrap(thing)), elsewhere[1]))


def faults(name, thing):
    """What a docstring leaves out, a phrase for each."""
    arguments = inspect.signature(thing).parameters
    if getattr(thing, "_is_protocol", False):
        arguments = ()  # it is not called
    found = [f"{argument} has no type" for argument in arguments if not type_of(argument, thing)]
    if not inspect.isclass(thing):
        doc = FunctionDoc(thing)
        sections = gives_back(inspect.unwrap(thing))
        if sections and not any(doc[section] for section in sections):
            found.append(f"no {' or '.join(sorted(sections))}")
    if name in FROM_THE_LITERATURE and not SOURCE.search(references(thing)):
        found.append("no source")
    return found


def references(thing):
    """The text of the section References."""
    return inspect.getdoc(thing).partition("References\n----------\n")[2]


def test_every_public_name_has_one_entry():
    assert sorted(entries(PAGE)) == sorted(PUBLIC)


def test_a_missing_entry_would_be_noticed():
    without = PAGE.replace(".. autofunction:: descend\n", "")
    assert set(PUBLIC) - set(entries(without)) == {"descend"}


@pytest.mark.parametrize("name", CALLED)
def test_an_entry_says_what_goes_in_and_what_comes_out(name):
    assert faults(name, CALLED[name]) == []


def test_the_names_from_the_literature_are_public():
    assert set(PUBLIC) >= FROM_THE_LITERATURE


def test_a_poor_docstring_has_faults():
    def poor(theta, rng):
        """A function.

        Parameters
        ----------
        theta
        """
        return theta

    assert faults("MLP", poor) == [
        "theta has no type",
        "rng has no type",
        "no Returns or Yields",
        "no source",
    ]

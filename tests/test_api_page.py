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
SAMPLERS = {name for name, thing in CALLED.items() if hasattr(thing, "epochs")} - {"Sampler"}


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


def faults(name, thing):
    """What a docstring leaves out, a phrase for each."""
    arguments = inspect.signature(thing).parameters
    if getattr(thing, "_is_protocol", False):
        arguments = ()  # it is not called
    known, found = documented(thing), []
    for argument in arguments:
        kind, description = known.get(argument, ("", ""))
        if not kind:
            found.append(f"{argument} has no type")
        if not description or description.startswith("As in"):
            found.append(f"what {argument} is does not stand here")
    if not inspect.isclass(thing):
        doc = FunctionDoc(thing)
        sections = gives_back(inspect.unwrap(thing))
        if sections and not any(doc[section] for section in sections):
            found.append(f"no {' or '.join(sorted(sections))}")
    if name in SAMPLERS and ">>> " not in inspect.getdoc(thing):
        found.append("no example")
    if name in FROM_THE_LITERATURE and not SOURCE.search(references(thing)):
        found.append("no source")
    return found


def references(thing):
    """The text of the section References."""
    return inspect.getdoc(thing).partition("References\n----------\n")[2]


def test_every_public_name_has_one_entry():
    assert sorted(entries(PAGE)) == sorted(PUBLIC)


def at_a_glance(page):
    """The names of the table on top, in its order."""
    table = page.partition("## At a glance\n")[2].partition("\n## ")[0]
    return re.findall(r"^   ([\w.]+)$", table, re.M)


def test_the_table_on_top_has_a_line_for_every_entry():
    assert at_a_glance(PAGE) == entries(PAGE)


def test_a_missing_entry_would_be_noticed():
    without = PAGE.replace(".. autofunction:: descend\n", "")
    assert set(PUBLIC) - set(entries(without)) == {"descend"}


@pytest.mark.parametrize("name", CALLED)
def test_an_entry_says_what_goes_in_and_what_comes_out(name):
    assert faults(name, CALLED[name]) == []


def test_the_names_from_the_literature_are_public():
    assert set(PUBLIC) >= FROM_THE_LITERATURE


def test_a_poor_docstring_has_faults():
    def poor(theta, X, rng):
        """A function.

        Parameters
        ----------
        theta
        X : array
            As in `updates`.
        """
        return theta

    assert faults("MLP", poor) == [
        "theta has no type",
        "what theta is does not stand here",
        "what X is does not stand here",
        "rng has no type",
        "what rng is does not stand here",
        "no Returns or Yields",
        "no source",
    ]

"""Contestants take turns, round after round, so that a machine that slows down slows them all."""

import statistics
import time


def take_turns(contestants, rounds):
    """Seconds of each contestant, a list of one a round, after one that nobody times."""
    for function in contestants.values():
        function()
    times = {who: [] for who in contestants}
    for _ in range(rounds):
        for who, function in contestants.items():
            start = time.perf_counter()
            function()
            times[who].append(time.perf_counter() - start)
    return times


def rows(times, ours, unit, digits=1, **case):
    """A row of a table for each contestant; figures in units, and how many times faster we are."""
    for who, found in times.items():
        ratios = [them / us for them, us in zip(found, times[ours], strict=True)]
        figures = statistics.median(found), min(found), max(found)
        names = "median", "low", "high"
        texts = (f"{seconds / unit:.{digits}f}" for seconds in figures)
        yield (
            case
            | {"who": who}
            | dict(zip(names, texts, strict=True))
            | {"ours_is": f"{statistics.median(ratios):.2f}"}
        )

"""Chapter 8: workers, buffers, and what an exchange costs."""

from itertools import combinations

import numpy as np

from gdcourse.engine.cluster import data_parallel_step
from gdcourse.lesson import data
from gdcourse.lesson.checks.exercise import call, compare, exercise, expect, number, numbers


@exercise(
    "8.1",
    "ex-beyond-buffer",
    '''
def variance_of(G, block, memory, batch):
    """The variance of the mean of a batch from a shuffled buffer of memory rows.

    G holds a gradient for each row of the file, in the order of the file.
    """
    ...
''',
    minutes=30,
    level=2,
    points=3,
    hints=(
        "Which variance does the mean of the whole buffer have, and which does a batch add?",
        "With τ² that of the block means: V = τ²/m · (M − m)/(M − 1), and then V + (σ² − V)/b · "
        "(ms − b)/(ms − 1).",
    ),
)
def variance_of(answer):
    rng = np.random.default_rng(81)
    for n, block, memory, batch in ((9, 3, 6, 2), (8, 2, 4, 2), (6, 1, 4, 3)):
        G = np.sort(rng.standard_normal((n, 2)), axis=0)
        found = number(call(answer, G, block, memory, batch), "your variance")
        squares = []
        for blocks in combinations(np.arange(n).reshape(-1, block), memory // block):
            for rows in combinations(np.concatenate(blocks), batch):
                squares.append(np.sum((G[list(rows)].mean(axis=0) - G.mean(axis=0)) ** 2))
        M, m = n // block, memory // block
        sigma2 = np.sum(G.var(axis=0))
        tau2 = np.sum(G.reshape(M, block, 2).mean(axis=1).var(axis=0))
        V = tau2 / m * (M - m) / (M - 1)
        rest = (memory - batch) / (memory - 1) / batch
        what = f"for {n} rows in blocks of {block}, a buffer of {memory} and batches of {batch}"
        compare(
            found,
            np.mean(squares),
            f"{what} your variance",
            (V, "that is the buffer's; a batch of it adds some"),
            ((sigma2 - V) * rest, "that is within a buffer; the buffer itself varies too"),
            (V + sigma2 * rest, "within a buffer there is less than σ²: take off V"),
            (
                tau2 / m + (sigma2 - tau2 / m) * rest,
                "the blocks are drawn without replacement",
            ),
            (V + (sigma2 - V) / batch, "the rows of a batch are drawn without replacement"),
            (sigma2 / batch * (n - batch) / (n - 1), "that is a full shuffle"),
        )
    return "the mean over all buffers and all batches, counted one by one in three files"


@exercise(
    "8.2",
    "ex-beyond-compress",
    """
# The share of a step spent talking: short reach, then long reach; in each row as it is,
# 1 byte a value, ten local steps, a tree.
shares = ...
""",
    minutes=20,
    level=1,
    points=2,
    hints=(
        "Which of bytes and rounds does each improvement change?",
        "gd.data_parallel_step(1000, batch_size=1000, seconds_per_sample=1.0, n_bytes=400e6, ...) "
        "gives the seconds; shares[i][j] is .communication / .total.",
    ),
)
def shares(answer):
    found = numbers(answer, (2, 4), "`shares`")
    expect(np.all(found > 0), "no share is zero or less")
    expect(np.all(found < 1), "a share is below 1: not per cent, not seconds")

    def share(network, change, **base):
        options = {"n_bytes": 400e6, **base, **network, **change}
        parts = data_parallel_step(1000, seconds_per_sample=1.0, **options)
        return parts.communication / parts.total

    networks = {"bandwidth": 10e9, "latency": 5e-6}, {"bandwidth": 1e9, "latency": 5e-3}
    changes = {
        "as it is": {},
        "with 1 byte a value": {"n_bytes": 100e6},
        "with ten local steps": {"local_steps": 10},
        "with a tree": {"method": "tree"},
    }
    for i, (reach, network) in enumerate(zip(("short", "long"), networks, strict=True)):
        for j, (name, change) in enumerate(changes.items()):
            compare(
                found[i, j],
                share(network, change, batch_size=1000),
                f"the share of the network of {reach} reach, {name},",
                (share(networks[1 - i], change, batch_size=1000), "that is the other network"),
                (
                    share(network, change, batch_size=1),
                    "under weak scaling every worker keeps its second of work",
                ),
                (
                    share(network, change | {"n_bytes": 50e6}, batch_size=1000),
                    "that is an eighth of the bytes, and it is a quarter",
                ),
                (
                    1 / (1 / share(network, change, batch_size=1000) - 1),
                    "of the whole step, not of the computing",
                ),
                rtol=0.02,
            )
    return "all eight shares, so the ranking on each network"


@exercise(
    "8.3",
    "ex-beyond-client",
    '''
def goes_on_at(record_every, fails_at):
    """The step at which a new job goes on, where the client failed at step fails_at."""
    ...
''',
    minutes=25,
    level=1,
    points=2,
    hints=(
        "What is in the file, and when was it written?",
        "The state of the last record: the largest multiple of record_every that was reached.",
    ),
)
def goes_on_at(answer):
    for every, fails in ((5, 12), (5, 4), (10, 37), (7, 15), (1, 9)):
        compare(
            number(call(answer, every, fails), "the step"),
            fails // every * every,
            f"with a record every {every} steps and a failure at step {fails} the step",
            (fails, "the steps since the last record are not in the file"),
            (0, "the file was written before the failure"),
            (fails // every, "that is the number of the record, not its step"),
            (-(-fails // every) * every, "that record was never written"),
            (fails // every * every + 1, "it goes on from the record itself"),
            rtol=1e-9,
        )
    return "the last record before the failure, in five cases"


@exercise(
    "8.4",
    "ex-beyond-slowest",
    '''
def without_one(shards, missing, alpha, n_steps):
    """Full-batch descent from theta = 0 on all shards but number missing(t) at step t."""
    ...
''',
    minutes=30,
    level=2,
    points=3,
    hints=(
        "The steps t = 0, 1, 2, ... each have one worker that does not answer.",
        "At each step take the mean gradient over the rows of the other shards.",
    ),
)
def without_one(answer):
    X, y, _ = data.linear_problem(40, 3, noise=1.0, rng=80)
    order = np.argsort(y)
    shards = [(X[part], y[part]) for part in np.split(order, 4)]
    for name, missing, n_steps in (
        ("always the fourth", lambda t: 3, 500),
        ("each in its turn", lambda t: t % 4, 42),
        ("the second, then the first", lambda t: int(t < 3), 7),
    ):
        found = call(answer, shards, missing, 0.2, n_steps)
        found = numbers(found, (3,), "your theta")

        def walk(absent, divide=30, first=0, missing=missing, n_steps=n_steps):
            theta = np.zeros(3)
            for t in range(first, n_steps + first):
                kept = [s for k, s in enumerate(shards) if (k == missing(t)) != absent]
                sums = sum(A.T @ (A @ theta - b) for A, b in kept)
                theta = theta - 0.2 * sums / divide
            return theta

        compare(
            found,
            walk(True),
            f"where the one that is missing is {name}, your theta",
            (walk(True, first=1), "the first step is t = 0"),
            (walk(True, divide=40), "the mean over the rows that did answer"),
            (walk(True, divide=1), "J is a mean over rows, and this is a sum"),
            (walk(False, divide=10), "the missing worker is the one that is left out"),
        )
    return "the end of the run without each worker, for three ways of missing one"


@exercise(
    "8.5",
    "ex-beyond-oneshot",
    '''
def once(shards):
    """theta when every worker trains to its end and they average once; shards of pairs (X, y)."""
    ...
''',
    minutes=15,
    level=1,
    points=2,
    hints=(
        "Where does a worker end that trains on its own rows for ever?",
        "At its own minimiser, np.linalg.lstsq(X, y)[0]; then the plain mean.",
    ),
)
def once(answer):
    X, y, _ = data.linear_problem(60, 3, noise=1.0, rng=82)
    for cuts in ((15, 30, 45), (10, 40)):
        shards = list(zip(np.split(X, cuts), np.split(y, cuts), strict=True))
        own = [np.linalg.lstsq(*shard, rcond=None)[0] for shard in shards]
        sizes = [len(b) for _, b in shards]
        found = numbers(call(answer, shards), (3,), "your theta")
        compare(
            found,
            np.mean(own, axis=0),
            f"for shards of {', '.join(map(str, sizes))} rows your theta",
            (np.linalg.lstsq(X, y, rcond=None)[0], "that is the minimiser of all rows together"),
            (np.average(own, axis=0, weights=sizes), "an average of the workers, each the same"),
            (np.sum(own, axis=0), "it is a sum"),
            (own[0], "that is one worker"),
            (np.median(own, axis=0), "a mean, not a median"),
        )
    return "the mean of the workers' own minimisers, for even and uneven shards"

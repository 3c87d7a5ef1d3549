"""Counts against counting, memory against arithmetic, accumulation against one large batch,
and the cost of an all-reduce against all-reduces that are carried out."""

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import OBJECTIVES, problem

import gdcourse as gd


@given(st.integers(1, 200), st.data(), st.integers(0, 4), st.booleans())
def test_counts_are_those_of_a_run(n, data, n_epochs, drop_last):
    batch_size = data.draw(st.integers(1, n))
    scheme = gd.Shuffled(batch_size, drop_last=drop_last)
    epochs = [epoch.batch_sizes for epoch in islice(scheme.epochs(n, 0), max(1, n_epochs))]
    counts = gd.training_counts(n, batch_size, n_epochs, drop_last)
    assert counts.iterations_per_epoch == len(epochs[0])
    assert counts.iterations_per_epoch == gd.iterations_per_epoch(n, batch_size, drop_last)
    assert counts.iterations == sum(len(sizes) for sizes in epochs[:n_epochs])
    assert counts.samples_seen == sum(sum(sizes) for sizes in epochs[:n_epochs])


def test_counts_pass_the_whole_numbers_of_32_bits():
    counts = gd.training_counts(*map(np.int32, (10**9, 256, 100)))
    assert counts.samples_seen == 10**11
    assert gd.training_memory(*map(np.int32, (10**9, 1, 1))).total == 8 * 10**9 + 4


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("cuts", [(0, 12), (0, 1, 12), (0, 3, 4, 9, 12), range(13)])
def test_uneven_micro_batches_add_up_to_one_large_batch(xp, objective, cuts):
    theta, X, y = problem(objective)
    expected = objective.gradient(theta, X, y)
    parts = [(xp.asarray(X[a:b]), xp.asarray(y[a:b])) for a, b in pairwise(cuts)]
    accumulated = gd.accumulate_gradient(objective, xp.asarray(theta), iter(parts))
    assert accumulated.device == xp.device
    np.testing.assert_allclose(gd.to_host(accumulated), expected, rtol=1e-12, atol=1e-14)


def test_an_even_mean_of_uneven_micro_batches_is_wrong():
    objective = gd.LeastSquares()
    theta, X, y = problem(objective)
    parts = [(X[:2], y[:2]), (X[2:], y[2:])]
    exact = objective.gradient(theta, X, y)
    even = np.mean([objective.gradient(theta, *part) for part in parts], axis=0)
    assert np.linalg.norm(even - exact) > 0.1 * np.linalg.norm(exact)
    np.testing.assert_allclose(gd.accumulate_gradient(objective, theta, parts), exact)


def test_micro_batches_may_come_from_a_batch_iterator():
    theta, X, y = problem(gd.LeastSquares())
    accumulated = gd.accumulate_gradient(
        gd.LeastSquares(), theta, gd.shuffled_batches(X, y, 5, rng=0)
    )
    np.testing.assert_allclose(accumulated, gd.LeastSquares().gradient(theta, X, y))


def test_accumulation_leaves_single_precision_single():
    theta, X, y = problem(gd.LeastSquares(), dtype=np.float32)
    parts = [(X[:5], y[:5]), (X[5:], y[5:])]
    assert gd.accumulate_gradient(gd.LeastSquares(), theta, parts).dtype == np.float32


@given(*(st.integers(1, 10**6) for _ in range(3)), st.sampled_from([2, 4, 8]), st.integers(0, 3))
def test_memory_is_counted_value_by_value(parameters, activations, batch, size, states):
    memory = gd.training_memory(
        parameters, activations, batch, bytes_per_value=size, optimizer_states=states
    )
    values = parameters + parameters + activations * batch + states * parameters
    assert memory.total == size * values
    assert memory.parameters == memory.gradients == size * parameters
    assert memory.activations == size * activations * batch
    assert memory.optimizer == size * states * parameters


def test_only_activations_grow_with_the_batch():
    small, large = (gd.training_memory(1000, 50, b, optimizer_states=2) for b in (1, 33))
    assert large.total - small.total == 32 * 50 * 4


def ring(arrays):
    """Carry out a ring all-reduce: its results, rounds, and values sent by each worker."""
    p = len(arrays)
    pieces = [np.array_split(array, p) for array in arrays]
    rounds, sent = 0, np.zeros(p)
    for phase, start in (("add", 0), ("copy", 1)):
        for k in range(p - 1):
            moving = [(w, (w + start - k) % p, pieces[w][(w + start - k) % p]) for w in range(p)]
            for w, place, piece in moving:
                neighbour = pieces[(w + 1) % p]
                neighbour[place] = piece + neighbour[place] if phase == "add" else piece
                sent[w] += len(piece)
            rounds += 1
    return [np.concatenate(parts) for parts in pieces], rounds, sent


def tree(arrays):
    """Carry out recursive halving and doubling on 2**k workers; returns as `ring` does."""
    p, size = len(arrays), len(arrays[0])
    held = [slice(0, size)] * p
    arrays = [array.copy() for array in arrays]
    rounds, sent = 0, np.zeros(p)
    distances = [p >> k for k in range(1, p.bit_length())]
    for distance in distances:
        before = [array.copy() for array in arrays]
        for w in range(p):
            middle = (held[w].start + held[w].stop) // 2
            halves = slice(held[w].start, middle), slice(middle, held[w].stop)
            mine, other = halves if w & distance == 0 else halves[::-1]
            arrays[w][mine] += before[w ^ distance][mine]
            sent[w] += other.stop - other.start
            held[w] = mine
        rounds += 1
    for distance in reversed(distances):
        before = list(zip(held, [array.copy() for array in arrays], strict=True))
        for w in range(p):
            place, array = before[w ^ distance]
            arrays[w][place] = array[place]
            sent[w ^ distance] += place.stop - place.start
            held[w] = slice(min(held[w].start, place.start), max(held[w].stop, place.stop))
        rounds += 1
    return arrays, rounds, sent


@pytest.mark.parametrize("n_workers", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("carry_out", [ring, tree])
def test_an_allreduce_costs_what_carrying_it_out_costs(carry_out, n_workers):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(100, size=48) for _ in range(n_workers)]
    results, rounds, sent = carry_out(arrays)
    for result in results:
        np.testing.assert_array_equal(result, sum(arrays))
    model = {"n_workers": n_workers, "method": carry_out.__name__}
    in_rounds = gd.allreduce_seconds(0, bandwidth=1, latency=1, **model)
    in_values = gd.allreduce_seconds(48, bandwidth=1, latency=0, **model)
    assert (in_rounds, in_values) == (rounds, max(sent)) == (rounds, min(sent))


@given(st.integers(2, 10**6), st.floats(0, 1e12), st.floats(0, 10))
def test_a_tree_waits_less_than_a_ring_and_a_star_moves_more(p, size, latency):
    ring, tree, star = (
        gd.allreduce_seconds(size, p, 1e9, latency, method=method)
        for method in ("ring", "tree", "star")
    )
    assert tree <= ring * (1 + 1e-12)
    assert star == pytest.approx(2 * latency + 2 * (p - 1) * size / 1e9)
    ring = gd.allreduce_seconds(size, p, 1e9, 0)
    assert ring * p == pytest.approx(2 * (p - 1) * size / 1e9)


def test_one_worker_has_nobody_to_talk_to():
    for method in ("ring", "tree", "star"):
        assert gd.allreduce_seconds(1e9, 1, 1e9, 1.0, method=method) == 0


@given(
    st.floats(1e-6, 1e6),
    st.floats(1, 1e12),
    st.floats(1e3, 1e12),
    st.floats(1e-9, 10),
    st.sampled_from(["ring", "tree", "star"]),
    st.sampled_from(["strong", "weak"]),
)
def test_at_the_balance_a_step_is_half_computing(seconds, size, speed, latency, method, scaling):
    link = {"n_bytes": size, "bandwidth": speed, "latency": latency, "method": method}
    balance = gd.balanced_workers(seconds, **link, scaling=scaling)
    if balance == np.inf:  # a tree of so many workers is never so deep
        assert (method, scaling) == ("tree", "weak")
        assert gd.allreduce_seconds(n_workers=1e300, **link) < seconds
        return
    rows = seconds * (balance if scaling == "weak" else 1)
    step = gd.data_parallel_step(balance, batch_size=rows, seconds_per_sample=1.0, **link)
    assert step.total == step.compute + step.communication
    if method == "star" and seconds < 2 * latency:  # even two workers talk for longer
        assert balance == pytest.approx(1)
        assert step.communication > step.compute
        return
    # Just above one worker the balance is known to a rounding error of 1, not of P - 1.
    tolerance = 1e-9 + 1e-15 / (balance - 1)
    assert step.compute == pytest.approx(step.communication, rel=tolerance)


def test_the_balance_of_a_ring_solves_its_quadratic_equation():
    seconds, volume, latency = 3.0, 0.02, 1e-4
    balance = gd.balanced_workers(seconds, volume, 1.0, latency)
    roots = np.roots([2 * latency, 2 * (volume - latency), -2 * volume - seconds])
    assert balance == pytest.approx(max(roots), rel=1e-12)
    assert gd.balanced_workers(seconds, volume, 1.0, 0.0) == pytest.approx(1 + seconds / 0.04)
    assert gd.balanced_workers(seconds, 0.0, 1.0, 0.0) == np.inf
    assert gd.balanced_workers(seconds, volume, 1.0, 0.0, scaling="weak") == np.inf


def test_local_steps_pay_for_an_average_once():
    work = {"batch_size": 64, "seconds_per_sample": 1e-3, "n_bytes": 8e6}
    link = {"bandwidth": 1e9, "latency": 1e-3}
    each, tenth = (gd.data_parallel_step(4, **work, **link, local_steps=h) for h in (1, 10))
    assert each.compute == tenth.compute == 0.016
    assert each.communication == pytest.approx(10 * tenth.communication)

"""Counts against counting, memory against arithmetic, accumulation against one large batch."""

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

"""Sampling schemes: which rows an epoch uses, in which sizes, and with which bias."""

import pickle
from dataclasses import FrozenInstanceError
from functools import partial
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdcourse as gd

PLAIN = (gd.Shuffled, gd.ShuffledOnce, gd.InOrder)
Z = 4.5  # standard errors allowed; the draws are the same in every run


@st.composite
def sizes(draw):
    """A number of rows, and a batch size that need not divide it."""
    n = draw(st.integers(1, 60))
    return n, draw(st.integers(1, n))


@st.composite
def labelled(draw):
    """Labels of up to 7 classes, ragged and rare ones among them, and a batch size."""
    counts = draw(st.lists(st.integers(1, 15), min_size=1, max_size=7))
    labels = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(draw(st.integers(0, 2**16))).shuffle(labels)
    return labels, draw(st.integers(1, len(labels)))


seeds = st.integers(0, 2**32)


def order(epoch):
    """The rows of an epoch in the order of use."""
    return np.concatenate(
        [np.arange(b.start, b.stop) if isinstance(b, slice) else b for b in epoch]
    )


def check_cuts(epoch, n, batch_size, drop_last):
    """Full batches, and what is left over in a last one, unless that is dropped."""
    batches, rest = divmod(n, batch_size)
    expected = [batch_size] * batches + ([rest] if rest and not drop_last else [])
    assert epoch.batch_sizes.tolist() == expected
    assert len(epoch) == len(expected)
    assert len(order(epoch)) == sum(expected)


@given(sizes(), st.sampled_from(PLAIN), st.booleans(), seeds)
def test_every_row_once_an_epoch(size, scheme, drop_last, seed):
    n, batch_size = size
    epochs = scheme(batch_size, drop_last=drop_last).epochs(n, seed)
    for epoch in islice(epochs, 3):
        check_cuts(epoch, n, batch_size, drop_last)
        used = order(epoch)
        assert len(np.unique(used)) == len(used)
        if not drop_last:
            assert sorted(used) == list(range(n))


@given(labelled(), st.booleans(), seeds)
def test_stratified_uses_every_row_once_an_epoch(problem, drop_last, seed):
    labels, batch_size = problem
    n = len(labels)
    for epoch in islice(gd.Stratified(batch_size, labels, drop_last=drop_last).epochs(n, seed), 3):
        check_cuts(epoch, n, batch_size, drop_last)
        assert len(np.unique(order(epoch))) == len(order(epoch))


@given(sizes(), st.data(), st.booleans(), seeds)
def test_block_shuffled_uses_every_row_once_an_epoch(size, data, drop_last, seed):
    n, batch_size = size
    scheme = gd.BlockShuffled(
        batch_size,
        data.draw(st.integers(1, n)),
        data.draw(st.integers(1, 5)),
        drop_last=drop_last,
    )
    for epoch in islice(scheme.epochs(n, seed), 3):
        check_cuts(epoch, n, batch_size, drop_last)
        assert len(np.unique(order(epoch))) == len(order(epoch))


@given(sizes(), st.booleans(), seeds)
def test_with_replacement_makes_full_batches_as_often_as_shuffled(size, drop_last, seed):
    n, batch_size = size
    epoch = next(gd.WithReplacement(batch_size, drop_last=drop_last).epochs(n, seed))
    assert len(epoch) == len(next(gd.Shuffled(batch_size, drop_last=drop_last).epochs(n, seed)))
    assert set(epoch.batch_sizes) == {batch_size}
    assert np.all((order(epoch) >= 0) & (order(epoch) < n))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_full_batch_is_every_row_as_it_lies(n):
    for epoch in islice(gd.FullBatch().epochs(n), 3):
        assert list(epoch) == [slice(0, n)]
        assert epoch.batch_sizes.tolist() == [n]


def test_in_order_cuts_slices_which_copy_nothing():
    assert list(next(gd.InOrder(3).epochs(7))) == [slice(0, 3), slice(3, 6), slice(6, 7)]


def test_shuffled_draws_a_new_order_and_shuffled_once_does_not():
    first, second = islice(gd.Shuffled(5).epochs(50, 0), 2)
    assert not np.array_equal(first.order, second.order)
    first, second = islice(gd.ShuffledOnce(5).epochs(50, 0), 2)
    np.testing.assert_array_equal(first.order, second.order)
    assert not np.array_equal(first.order, np.arange(50))


LABELS = np.repeat([0, 1, 2], [9, 2, 1])
EVERY_SCHEME = [
    gd.FullBatch(),
    gd.InOrder(5),
    gd.Shuffled(5),
    gd.ShuffledOnce(5),
    gd.WithReplacement(5),
    gd.BlockShuffled(5, block_size=2, buffer_blocks=3),
    gd.Stratified(5, labels=LABELS),
    gd.Balanced(5, labels=LABELS),
]
every_scheme = pytest.mark.parametrize("scheme", EVERY_SCHEME, ids=lambda s: type(s).__name__)


@every_scheme
def test_a_seed_is_a_generator(scheme):
    def orders(rng):
        return [order(epoch).tolist() for epoch in islice(scheme.epochs(12, rng), 3)]

    assert orders(7) == orders(7) == orders(np.random.default_rng(7))
    if not isinstance(scheme, gd.FullBatch | gd.InOrder):
        assert orders(7) != orders(8)
        assert orders(None) != orders(None)


@every_scheme
def test_a_scheme_is_a_value_that_can_be_kept(scheme):
    again = pickle.loads(pickle.dumps(scheme))
    draws = [order(next(s.epochs(12, 3))).tolist() for s in (scheme, again)]
    assert draws[0] == draws[1]
    with pytest.raises(FrozenInstanceError):
        scheme.batch_size = 3


@every_scheme
def test_an_epoch_gives_the_same_batches_on_every_library(xp, scheme):
    epoch = next(scheme.epochs(12, 0))
    array = xp.asarray(np.arange(12.0))
    for here, there in zip(epoch, epoch.to(array), strict=True):
        if isinstance(there, slice):
            assert here == there
        else:
            assert there.device == array.device
            np.testing.assert_array_equal(gd.to_host(there), here)


@every_scheme
@pytest.mark.parametrize("cut", [slice(None), slice(0, 1), slice(1, 3), slice(2, 1), slice(9, 12)])
def test_a_part_of_an_epoch_has_those_batches(scheme, cut):
    epoch = next(scheme.epochs(12, 0))
    expected = [np.arange(12)[batch].tolist() for batch in epoch][cut]
    part = epoch[cut]
    assert [np.arange(12)[batch].tolist() for batch in part] == expected
    assert len(part) == len(expected)
    assert part.batch_sizes.tolist() == [len(batch) for batch in expected]
    assert np.arange(12)[part.rows].tolist() == [row for batch in expected for row in batch]


UNBIASED = (gd.Shuffled, gd.WithReplacement, gd.BlockShuffled, gd.Stratified)


@pytest.mark.parametrize(
    "scheme", [s for s in EVERY_SCHEME if isinstance(s, UNBIASED)], ids=lambda s: type(s).__name__
)
def test_every_row_is_equally_likely_in_every_batch(scheme):
    """Of R first batches, a row is in R·b/n, with a binomial error; and so for the last batch."""
    n, repeats = 12, 4000
    first, last = np.zeros(n), np.zeros(n)
    for epoch in islice(scheme.epochs(n, 0), repeats):
        batches = list(epoch)
        first[np.unique(batches[0])] += 1
        last[np.unique(batches[-1])] += 1
    for counts, size in ((first, 5), (last, epoch.batch_sizes[-1])):
        p = 1 - (1 - 1 / n) ** size if isinstance(scheme, gd.WithReplacement) else size / n
        z = (counts - repeats * p) / np.sqrt(repeats * p * (1 - p))
        assert np.max(np.abs(z)) < Z


def test_a_stratified_row_is_equally_likely_at_every_place():
    n, repeats = len(LABELS), 12_000
    counts = np.zeros((n, n))
    for epoch in islice(gd.Stratified(5, LABELS).epochs(n, 1), repeats):
        counts[np.arange(n), order(epoch)] += 1
    z = (counts / repeats - 1 / n) / np.sqrt((1 / n) * (1 - 1 / n) / repeats)
    assert np.max(np.abs(z)) < Z


@given(labelled(), seeds)
def test_stratified_batches_hold_the_classes_in_proportion(problem, seed):
    """The bound: |count − b·p| ≤ 1 + p·(K − 2) for a class of share p among K > 1.

    The n_c rows of a class lie evenly on a circle, so an arc of length L holds n_c·L of them
    with an error e_c of less than one. A batch is the rows of an arc: b = n·L + Σ e_j. Take L
    away: count − b·p = (1 − p)·e_c − p·Σ_{j≠c} e_j, of size (1 − p) + p·(K − 1) at most.
    """
    labels, batch_size = problem
    shares = np.bincount(labels) / len(labels)
    bound = 1 + shares * (len(shares) - 2) if len(shares) > 1 else 0
    for epoch in islice(gd.Stratified(batch_size, labels).epochs(len(labels), seed), 2):
        for batch in epoch:
            counts = np.bincount(labels[batch], minlength=len(shares))
            assert np.all(np.abs(counts - len(batch) * shares) <= bound + 1e-9)


def test_rare_classes_do_not_stand_side_by_side():
    """Ten single rows among 90: their places are 1/11 of the circle apart, and a batch is 1/10."""
    labels = np.append(np.full(90, 10), np.arange(10))
    for epoch in islice(gd.Stratified(10, labels).epochs(100, 0), 20):
        assert all(np.sum(labels[batch] < 10) <= 2 for batch in epoch)


def test_stratified_rows_of_a_class_change_partners():
    labels = np.repeat([0, 1], 20)
    pairs = {
        frozenset(batch.tolist())
        for epoch in islice(gd.Stratified(2, labels).epochs(40, 0), 50)
        for batch in epoch
    }
    assert len(pairs) > 300  # of 20·20 mixed ones; 20 or 40 where only the circle turned


@given(labelled(), st.booleans(), seeds)
def test_balanced_batches_hold_equal_shares_and_reuse_evenly(problem, drop_last, seed):
    labels, batch_size = problem
    n, n_classes = len(labels), labels.max() + 1
    used = np.zeros(n, dtype=int)
    scheme = gd.Balanced(batch_size, labels, drop_last=drop_last)
    for epoch in islice(scheme.epochs(n, seed), 4):
        assert len(epoch) == gd.iterations_per_epoch(n, batch_size, drop_last)
        assert set(epoch.batch_sizes) == {batch_size}
        for batch in epoch:
            counts = np.bincount(labels[batch], minlength=n_classes)
            assert counts.max() - counts.min() <= 1
        used += np.bincount(order(epoch), minlength=n)
        for c in range(n_classes):
            assert np.ptp(used[labels == c]) <= 1


def test_balanced_batches_weigh_every_class_the_same():
    """Their mean is the mean of the class means, within Z standard errors."""
    values = np.random.default_rng(0).standard_normal(12) + 5 * LABELS
    expected = np.mean([values[c == LABELS].mean() for c in range(3)])
    means = [
        values[next(iter(epoch))].mean()
        for epoch in islice(gd.Balanced(5, LABELS).epochs(12, 0), 4000)
    ]
    assert abs(np.mean(means) - expected) < Z * np.std(means) / np.sqrt(len(means))


def test_labels_may_be_words():
    words = np.array(["no", "yes", "no", "no"])
    for scheme in (gd.Stratified(2, words), gd.Balanced(2, words.tolist())):
        assert len(next(scheme.epochs(4, 0))) == 2


def test_a_block_shuffled_buffer_holds_whole_blocks():
    n, block, buffer = 60, 5, 3
    epoch = next(gd.BlockShuffled(7, block, buffer).epochs(n, 0))
    buffers = epoch.order.reshape(-1, block * buffer)
    for rows in buffers:
        blocks, counts = np.unique(rows // block, return_counts=True)
        assert blocks.size == buffer
        assert set(counts) == {block}
        assert not np.array_equal(rows, np.sort(rows))
    starts = [np.sort(rows)[0] for rows in buffers]
    assert starts != sorted(starts)


def test_blocks_within_one_buffer_are_a_plain_shuffle():
    followers = {
        tuple(epoch.order) for epoch in islice(gd.BlockShuffled(2, 2, 9).epochs(4, 0), 1000)
    }
    assert len(followers) == 24  # every permutation of four rows


def pairs_of(pairs):
    """The batches of an iterator as host arrays."""
    return [tuple(map(gd.to_host, pair)) for pair in pairs]


@given(sizes(), seeds)
def test_the_batch_iterators_give_what_the_schemes_draw(size, seed):
    n, batch_size = size
    X, y = np.arange(2.0 * n).reshape(n, 2), np.arange(n) % 3
    for pairs, scheme in [
        (gd.shuffled_batches(X, y, batch_size, seed), gd.Shuffled(batch_size)),
        (gd.stratified_batches(X, y, batch_size, seed), gd.Stratified(batch_size, y)),
    ]:
        epoch = next(scheme.epochs(n, seed))
        for batch, (X_batch, y_batch) in zip(epoch, pairs, strict=True):
            np.testing.assert_array_equal(X_batch, X[batch])
            np.testing.assert_array_equal(y_batch, y[batch])


@pytest.mark.parametrize("iterator", [gd.shuffled_batches, gd.stratified_batches])
def test_batch_iterators_follow_the_arrays(xp, iterator):
    X, y = np.arange(14.0).reshape(7, 2), np.array([0, 0, 0, 0, 1, 1, 2])
    here = pairs_of(iterator(X, y, 3, rng=5))
    there = pairs_of(iterator(xp.asarray(X), xp.asarray(y), 3, rng=5))
    assert [len(y_batch) for _, y_batch in here] == [3, 3, 1]
    for (X_here, y_here), (X_there, y_there) in zip(here, there, strict=True):
        np.testing.assert_array_equal(X_there, X_here)
        np.testing.assert_array_equal(y_there, y_here)


def test_sampled_batches_are_full_rows_drawn_with_replacement(xp):
    X = np.arange(6.0).reshape(3, 2)
    pairs = pairs_of(gd.sampled_batches(xp.asarray(X), xp.asarray([0, 1, 2]), 2, 900, rng=0))
    assert len(pairs) == 900
    repeats = 0
    for X_batch, y_batch in pairs:
        np.testing.assert_array_equal(X_batch, X[y_batch.astype(int)])
        repeats += y_batch[0] == y_batch[1]
    p = 1 / 3  # of drawing the same row twice
    assert abs(repeats - 900 * p) < Z * np.sqrt(900 * p * (1 - p))


def test_a_class_of_one_among_many_rows_is_reused_without_end():
    labels = np.zeros(2000, dtype=int)
    labels[7] = 1
    epoch = next(gd.Balanced(4, labels).epochs(2000, 0))
    assert np.sum(order(epoch) == 7) == 1000


def test_batches_of_an_epoch_are_neighbours():
    epoch = next(gd.Shuffled(3).epochs(10, 0))
    assert all(a < b for a, b in pairwise(epoch.bounds))
    np.testing.assert_array_equal(np.concatenate(list(epoch)), epoch.order)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint64])
def test_sizes_may_be_any_kind_of_whole_number(kind):
    for scheme in (gd.Shuffled, gd.WithReplacement, partial(gd.BlockShuffled, block_size=kind(9))):
        found, expected = (next(scheme(size).epochs(300, 0)) for size in (kind(7), 7))
        np.testing.assert_array_equal(found.bounds, expected.bounds)
        np.testing.assert_array_equal(found.order, expected.order)

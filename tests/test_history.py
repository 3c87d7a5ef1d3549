"""What a descent leaves behind."""

import pickle

import numpy as np
import pytest

import gdcourse as gd
from gdcourse.history import Record

RECORDS = [
    Record(0, 0.0, 0, 0.0, 8.0, 4.0, 0.1),
    Record(5, 1.0, 10, 0.5, 2.0, 1.0, 0.2),
]


def test_columns_are_arrays_in_the_order_of_the_records():
    history = gd.History.from_records(RECORDS)
    columns = history.asdict()
    assert list(columns) == [
        "step",
        "epoch",
        "samples_seen",
        "seconds",
        "loss",
        "gradient_norm",
        "learning_rate",
    ]
    for number, (name, column) in enumerate(columns.items()):
        assert column is getattr(history, name)
        assert column.tolist() == [record[number] for record in RECORDS]
    assert history.step.dtype == history.samples_seen.dtype == np.int64


def test_a_history_counts_its_records_and_can_be_kept():
    history = gd.History.from_records(RECORDS)
    assert len(history) == 2
    again = pickle.loads(pickle.dumps(history))
    np.testing.assert_array_equal(again.loss, history.loss)


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        ((2.0, False), "History(2 records, 5 steps, loss 2)"),
        ((np.inf, False), "History(2 records, 5 steps, diverged)"),
        ((np.nan, False), "History(2 records, 5 steps, diverged)"),
        ((2.0, True), "History(2 records, 5 steps, loss 2, interrupted)"),
    ],
)
def test_a_history_says_how_it_ended(ended, text):
    loss, interrupted = ended
    records = [RECORDS[0], RECORDS[1]._replace(loss=loss)]
    assert repr(gd.History.from_records(records, interrupted)) == text


def test_a_run_is_a_pair():
    theta, history = gd.Run(np.zeros(2), gd.History.from_records(RECORDS))
    assert theta.shape == (2,)
    assert len(history) == 2

"""Messages between two workers: the sums are right, and larger arrays take longer."""

import logging

import pytest
from distributed import Client, LocalCluster

from gdcourse.lesson.network import time_messages


@pytest.fixture(scope="module")
def client():
    options = {"threads_per_worker": 1, "dashboard_address": ":0", "processes": True}
    options |= {"n_workers": 2, "silence_logs": logging.CRITICAL}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


def test_every_size_is_timed_both_ways(client):
    seconds = time_messages(client, [16, 3_200_000], repeats=3)
    assert seconds.keys() == {
        (kind, size) for kind in ("message", "ring") for size in (16, 3_200_000)
    }
    assert all(value > 0 for value in seconds.values())


def test_one_worker_has_nobody_to_talk_to(client):
    class Alone:
        def scheduler_info(self, n_workers):
            return {"workers": {"a": {}}}

    with pytest.raises(ValueError, match="two workers or more, got 1"):
        time_messages(Alone(), [16])

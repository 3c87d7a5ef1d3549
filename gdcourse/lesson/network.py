"""Messages between workers: a ring that adds, and the speed of a real one of two workers."""

from time import perf_counter

import numpy as np

__all__ = ["ring_allreduce", "time_messages"]


def time_messages(client, sizes, repeats=7):
    """The seconds of a message with its reply, and of an all-reduce in a ring of two.

    The first two workers open a connection of their own, so that what is timed is the network
    and not the scheduler.

    Parameters
    ----------
    client : distributed.Client
        With two workers or more.
    sizes : sequence of int
        Bytes of an array, multiples of 16.
    repeats : int
        Measurements of each size, of which the least counts.

    Returns
    -------
    seconds : dict
        Seconds by ("message", size), of half an array and a reply of a byte, and by
        ("ring", size), until both workers hold the sum of two arrays.

    Raises
    ------
    ValueError
        Where the client has fewer than two workers.
    RuntimeError
        Where a worker ends with another sum.
    """
    workers = sorted(client.scheduler_info(n_workers=-1)["workers"])[:2]
    if len(workers) < 2:
        raise ValueError(f"client must have two workers or more, got {len(workers)}")
    address = client.submit(_listen, workers=workers[:1], pure=False).result()
    both = [
        client.submit(_exchange, rank, address, sizes, repeats, workers=[worker], pure=False)
        for rank, worker in enumerate(workers)
    ]
    (seconds, right), (_, right_there) = client.gather(both)
    if not (right and right_there):
        raise RuntimeError("the workers do not hold the sum of their arrays")
    return seconds


def _listen():
    """Open a connection on this worker, and say where."""
    from multiprocessing.connection import Listener

    from distributed import get_worker

    get_worker().gdcourse_listener = Listener(("127.0.0.1", 0))
    return get_worker().gdcourse_listener.address


def _exchange(rank, address, sizes, repeats):
    """What each of the two workers does: least seconds by size, and whether the sum is right."""
    from concurrent.futures import ThreadPoolExecutor
    from multiprocessing.connection import Client

    from distributed import get_worker

    link = get_worker().gdcourse_listener.accept() if rank == 0 else Client(tuple(address))

    def message():
        if rank == 0:
            link.send_bytes(halves[0])
        link.recv_bytes()
        if rank == 1:
            link.send_bytes(b"!")

    def ring():
        for target in (1 - rank, rank):  # add one half, then fetch one
            sent = hand.submit(link.send_bytes, halves[target])
            link.recv_bytes_into(received)
            sent.result()
            if target == rank:
                halves[1 - target][:] = received
            else:
                halves[1 - target] += received

    seconds = {}
    with link, ThreadPoolExecutor(1) as hand:
        for size in sizes:
            halves = list(np.ones((2, size // 16)))
            received = np.empty_like(halves[0])
            for action in (message, ring):
                times = []
                for _ in range(repeats):
                    begin = perf_counter()
                    action()
                    times.append(perf_counter() - begin)
                seconds[action.__name__, size] = min(times)
    return seconds, bool(halves[0][0] == halves[1][-1] == 2**repeats)


def ring_allreduce(arrays):
    """All-reduce in a ring, one array a worker: each worker talks to the next one only.

    Parameters
    ----------
    arrays : sequence of P (m,) NumPy arrays
        What each worker has.

    Returns
    -------
    sums : list of P (m,) arrays
        What each worker has in the end.
    sent : (P,) array
        Bytes that each worker has sent.
    rounds : list of P lists of floats, one a round
        The first number of each of P pieces of each worker's array.

    References
    ----------
    P. Patarasuk and X. Yuan (2009), doi:10.1016/j.jpdc.2008.09.002.

    Examples
    --------
    >>> sums, sent, rounds = ring_allreduce([np.array([1.0, 2.0]), np.array([10.0, 20.0])])
    >>> [total.tolist() for total in sums], sent.tolist(), len(rounds)
    ([[11.0, 22.0], [11.0, 22.0]], [16.0, 16.0], 2)
    """
    P = len(arrays)
    pieces = [np.array_split(array, P) for array in arrays]
    sent, rounds = np.zeros(P), []
    for first, add in ((0, True), (1, False)):
        for k in range(P - 1):
            places = [(w + first - k) % P for w in range(P)]
            messages = [pieces[w][j].copy() for w, j in enumerate(places)]
            for w, j in enumerate(places):
                right = pieces[(w + 1) % P]
                right[j] = messages[w] + (right[j] if add else 0)
                sent[w] += messages[w].nbytes
            rounds.append([[piece[0] for piece in own] for own in pieces])
    return [np.concatenate(own) for own in pieces], sent, rounds

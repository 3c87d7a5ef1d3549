"""What a run holds in memory above what it began with, sampled from outside, on Linux.

Every task runs in a process of its own. It yields the processes to look at when it stands ready,
with everything imported and compiled, and once more when it has run.
"""

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

import gdcourse as gd

D = 100
SMALL, LARGE = 10**9, 4 * 10**9  # bytes of X, in double precision
ROW = 8 * D
EVERY = 0.002  # seconds between two looks
RUN = {"learning_rate": 0.01, "n_epochs": 1, "rng": 0}


def write_map(folder):
    """The large X in one file, made a block at a time, and y."""
    n = LARGE // ROW
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float64, (n, D))
    rng = np.random.default_rng(0)
    for start in range(0, n, 50_000):
        X[start : start + 50_000] = rng.standard_normal((min(50_000, n - start), D))
    X.flush()
    np.save(folder / "y.npy", rng.standard_normal(n))


def write_shards(folder):
    """The small X and y in eight shards."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((SMALL // ROW, D))
    gd.write_shards(folder, X, X @ rng.standard_normal(D), len(X) // 8)


def memory_map(batches, folder):
    """One epoch over the file as NumPy maps it."""
    X, y = np.load(folder / "X.npy", mmap_mode="r"), np.load(folder / "y.npy")
    gd.descend(X[:5000], y[:5000], np.zeros(D), batches=batches, **RUN)
    yield ["self"]
    gd.descend(X, y, np.zeros(D), batches=batches, **RUN)
    yield ["done"]


def from_shards(batches, folder):
    """One epoch over the shards, which are read ahead."""
    X, y = gd.open_shards(folder)
    gd.descend(X[:5000], y[:5000], np.zeros(D), batches=gd.Shuffled(32), **RUN)
    yield ["self"]
    gd.descend(X, y, np.zeros(D), batches=batches, **RUN)
    yield ["done"]


def on_workers(who, folder):
    """One epoch of a data-parallel descent with two workers; look at the client or at them."""
    import os

    from distributed import Client, LocalCluster

    from gdcourse.engine.workers import DataParallel

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(lambda: __import__("gdcourse.engine.workers"))
        yield ["self"] if who == "client" else list(client.run(os.getpid).values())
        job = DataParallel(client, folder)
        gd.descend(job.X, job.y, np.zeros(D), batches=gd.Shuffled(16_384), **RUN)
        yield ["done"]


TASKS = {  # what is printed: what writes the data, and what runs
    "memory map, 32 rows a step": (write_map, memory_map, gd.Shuffled(32)),
    "memory map, full batch": (write_map, memory_map, gd.FullBatch()),
    "shards, 32 rows a step": (write_shards, from_shards, gd.BlockShuffled(32, block_size=1000)),
    "two workers, each of them": (write_shards, on_workers, "worker"),
    "two workers, their client": (write_shards, on_workers, "client"),
}


def measure():
    """A row for each task: the most that one of its processes held, in MB above the start."""
    with tempfile.TemporaryDirectory() as name:
        written = {}
        for task, (write, *_) in TASKS.items():
            if write not in written:
                written[write] = Path(name) / write.__name__
                written[write].mkdir()
                write(written[write])
            data = LARGE if write is write_map else SMALL
            own, mapped = peaks(task, written[write])
            yield {
                "what": task,
                "data_mb": f"{data / 1e6:.0f}",
                "own_mb": f"{own / 1e6:.0f}",
                "with_file_pages_mb": f"{mapped / 1e6:.0f}",
            }


def peaks(task, folder):
    """The peaks of what a process holds of its own, and with pages of files, over the start."""
    command = [sys.executable, "-m", "benchmarks.memory", task, str(folder)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    numbers = [str(child.pid) if p == "self" else p for p in child.stdout.readline().split()]
    start = {number: held(number) for number in numbers}
    most, ended = [0, 0], threading.Event()

    def look():
        over = False
        while not over:
            over = ended.wait(EVERY)  # and look once more: a short task ends between two looks
            for number in numbers:
                for k, (now, then) in enumerate(zip(held(number), start[number], strict=True)):
                    most[k] = max(most[k], now - then)

    watch = threading.Thread(target=look)
    watch.start()
    print("go", file=child.stdin, flush=True)
    child.stdout.readline()  # the work is done, and the process still there
    ended.set()
    watch.join()
    child.communicate("go\n")
    if child.returncode:
        raise SystemExit(f"{task} failed; the lines above say why")
    return most


def held(number):
    """Bytes that a process holds: of its own, and with the pages of files that are mapped."""
    status = Path(f"/proc/{number}/status").read_text().split()
    return [1024 * int(status[status.index(key) + 1]) for key in ("RssAnon:", "VmRSS:")]


def child(task, folder):
    """Run one task, and wait at its two ends for the process that looks."""
    _, run, how = TASKS[task]
    for said in run(how, Path(folder)):
        print(*said, flush=True)
        input()


if __name__ == "__main__":
    child(*sys.argv[1:])

"""`python3 course.py bench`: threads are fixed before NumPy is loaded."""

import os

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
os.environ.update(dict.fromkeys(THREADS, "1"))

from benchmarks import cpu  # noqa: E402

cpu.main()

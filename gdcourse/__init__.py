"""gdcourse: the variants of gradient descent, small and tested, on NumPy or CuPy.

The chapters of the course import everything they compute from here. The same functions run on
arrays of any library that follows the Python array API standard; the arrays that come in decide
where the work is done.

Read the files in this order: objectives, sampling, schedules, rows, descent, run, noise,
accounting. Above them stand `engine`, which makes the same descents faster and larger, and
`lesson`, with what pages draw and measure.
"""

from gdcourse import schedules
from gdcourse.accounting import (
    accumulate_gradient,
    iterations_per_epoch,
    training_counts,
    training_memory,
)
from gdcourse.base.backend import namespace, to_host
from gdcourse.descent import updates
from gdcourse.engine.cluster import allreduce_seconds, balanced_workers, data_parallel_step
from gdcourse.engine.many import Runs, descend_many
from gdcourse.engine.sharded import ShardedArray, open_shards, write_shards
from gdcourse.history import History, Run
from gdcourse.lesson.source import source_of
from gdcourse.lesson.theory import noise_floor, stability_limit, stationary_covariance
from gdcourse.noise import (
    batch_gradient_variance,
    estimate_noise_scale,
    gradient_variance,
    noise_scale,
)
from gdcourse.objectives import (
    MLP,
    LeastSquares,
    LogisticRegression,
    Objective,
    SoftmaxRegression,
)
from gdcourse.rows import compress
from gdcourse.run import (
    batch_gradient_descent,
    descend,
    evaluate,
    minibatch_gradient_descent,
    stochastic_gradient_descent,
)
from gdcourse.sampling import (
    Balanced,
    BlockShuffled,
    Epoch,
    FullBatch,
    InOrder,
    Sampler,
    Shuffled,
    ShuffledOnce,
    Stratified,
    WithReplacement,
    sampled_batches,
    shuffled_batches,
    stratified_batches,
)

__version__ = "0.2.0"

__all__ = [
    # objectives
    "Objective",
    "LeastSquares",
    "LogisticRegression",
    "SoftmaxRegression",
    "MLP",
    # sampling
    "Sampler",
    "Epoch",
    "FullBatch",
    "InOrder",
    "Shuffled",
    "ShuffledOnce",
    "WithReplacement",
    "BlockShuffled",
    "Stratified",
    "Balanced",
    "shuffled_batches",
    "sampled_batches",
    "stratified_batches",
    # schedules
    "schedules",
    # rows
    "compress",
    # descent and run
    "updates",
    "descend",
    "batch_gradient_descent",
    "stochastic_gradient_descent",
    "minibatch_gradient_descent",
    "evaluate",
    "History",
    "Run",
    # noise
    "gradient_variance",
    "batch_gradient_variance",
    "noise_scale",
    "estimate_noise_scale",
    "stationary_covariance",
    "noise_floor",
    "stability_limit",
    # accounting
    "iterations_per_epoch",
    "training_counts",
    "accumulate_gradient",
    "training_memory",
    # arrays
    "namespace",
    "to_host",
    # engine
    "descend_many",
    "Runs",
    "ShardedArray",
    "open_shards",
    "write_shards",
    "allreduce_seconds",
    "data_parallel_step",
    "balanced_workers",
    # lesson
    "source_of",
]

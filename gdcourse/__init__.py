"""gdcourse: the variants of gradient descent, small and tested, on NumPy or CuPy.

The chapters of the course import everything they compute from here. The same functions run on
any arrays of the Python array API standard; the arrays that come in decide.
"""

from gdcourse import schedules
from gdcourse.accounting import (
    accumulate_gradient,
    allreduce_seconds,
    balanced_workers,
    data_parallel_step,
    iterations_per_epoch,
    training_counts,
    training_memory,
)
from gdcourse.backend import namespace, to_host
from gdcourse.descent import (
    batch_gradient_descent,
    descend,
    minibatch_gradient_descent,
    stochastic_gradient_descent,
    updates,
)
from gdcourse.history import History, Run
from gdcourse.momentum import momentum_updates
from gdcourse.noise import (
    batch_gradient_variance,
    estimate_noise_scale,
    gradient_variance,
    noise_floor,
    noise_scale,
    stability_limit,
    stationary_covariance,
)
from gdcourse.objectives import (
    MLP,
    LeastSquares,
    LogisticRegression,
    Objective,
    SoftmaxRegression,
    compress,
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
from gdcourse.shards import ShardedArray, open_shards, write_shards
from gdcourse.teaching import source_of

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "Balanced",
    "BlockShuffled",
    "Epoch",
    "FullBatch",
    "History",
    "InOrder",
    "LeastSquares",
    "LogisticRegression",
    "Objective",
    "Run",
    "Sampler",
    "ShardedArray",
    "Shuffled",
    "ShuffledOnce",
    "SoftmaxRegression",
    "Stratified",
    "WithReplacement",
    "accumulate_gradient",
    "allreduce_seconds",
    "balanced_workers",
    "data_parallel_step",
    "batch_gradient_descent",
    "batch_gradient_variance",
    "compress",
    "descend",
    "estimate_noise_scale",
    "gradient_variance",
    "iterations_per_epoch",
    "minibatch_gradient_descent",
    "momentum_updates",
    "namespace",
    "noise_floor",
    "noise_scale",
    "open_shards",
    "sampled_batches",
    "schedules",
    "shuffled_batches",
    "source_of",
    "stability_limit",
    "stationary_covariance",
    "stochastic_gradient_descent",
    "stratified_batches",
    "to_host",
    "training_counts",
    "training_memory",
    "updates",
    "write_shards",
]

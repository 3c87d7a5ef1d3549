"""The public names of the course, and the arguments that each of them takes."""

import inspect
from operator import attrgetter

import pytest

import gdcourse as gd
from gdcourse import schedules
from gdcourse.base.docs import parameters_of

# As the course writes them: names, order, defaults, and what is by keyword only.
SIGNATURES = {
    "updates": (
        "X, y, theta_init, *, objective=LeastSquares(), batches, learning_rate, momentum=0.0, "
        "nesterov=False, rng=None"
    ),
    "descend": (
        "X, y, theta_init, *, objective=LeastSquares(), batches, learning_rate, n_epochs, "
        "momentum=0.0, nesterov=False, rng=None, tol=None, record_every=None, progress=False, "
        "checkpoint=None"
    ),
    "descend_many": (
        "X, y, theta_init, *, objective=LeastSquares(), batches, learning_rate, n_epochs, rng, "
        "momentum=0.0, nesterov=False, record_every=None, target=None, evaluate_on=None, "
        "keep_theta=False, progress=False"
    ),
    "batch_gradient_descent": (
        "X, y, theta_init, learning_rate=0.01, n_epochs=100, tol=1e-6, *, "
        "objective=LeastSquares(), record_every=None, progress=False, checkpoint=None"
    ),
    "stochastic_gradient_descent": (
        "X, y, theta_init, learning_rate=0.01, n_epochs=10, *, rng=None, "
        "objective=LeastSquares(), tol=None, record_every=None, progress=False, checkpoint=None"
    ),
    "minibatch_gradient_descent": (
        "X, y, theta_init, batch_size=32, learning_rate=0.01, n_epochs=50, *, rng=None, "
        "objective=LeastSquares(), tol=None, record_every=None, progress=False, checkpoint=None"
    ),
    "LeastSquares": "l2=0.0",
    "LogisticRegression": "l2=0.0",
    "SoftmaxRegression": "n_classes, l2=0.0",
    "MLP": "layer_sizes, l2=0.0",
    "compress": "X, y",
    "FullBatch": "",
    "InOrder": "batch_size, *, drop_last=False",
    "Shuffled": "batch_size, *, drop_last=False",
    "ShuffledOnce": "batch_size, *, drop_last=False",
    "WithReplacement": "batch_size, *, drop_last=False",
    "Stratified": "batch_size, labels, *, drop_last=False",
    "Balanced": "batch_size, labels, *, drop_last=False",
    "BlockShuffled": "batch_size, block_size, buffer_blocks=8, *, drop_last=False",
    "Epoch": "order, bounds",
    "shuffled_batches": "X, y, batch_size, rng=None",
    "sampled_batches": "X, y, batch_size, n_batches, rng=None",
    "stratified_batches": "X, y, batch_size, rng=None",
    "schedules.constant": "learning_rate",
    "schedules.inverse_time": "learning_rate, decay",
    "schedules.inverse_sqrt": "learning_rate, decay",
    "schedules.exponential": "learning_rate, decay",
    "schedules.piecewise": "boundaries, values",
    "schedules.cosine": "learning_rate, n_steps",
    "schedules.warmup": "schedule, n_steps",
    "evaluate": "objective, theta, X, y",
    "gradient_variance": "objective, theta, X, y",
    "batch_gradient_variance": "variance, batch_size, n_samples=None",
    "noise_scale": "objective, theta, X, y",
    "estimate_noise_scale": "objective, theta, X, y, *, batch_sizes, n_batches, rng=None",
    "stationary_covariance": "X, y, learning_rate, batch_size=1, *, l2=0.0, exact=True",
    "noise_floor": "X, y, learning_rate, batch_size=1, *, l2=0.0, exact=True",
    "stability_limit": "X, batch_size=1, *, l2=0.0",
    "iterations_per_epoch": "n_samples, batch_size, drop_last=False",
    "training_counts": "n_samples, batch_size, n_epochs, drop_last=False",
    "accumulate_gradient": "objective, theta, micro_batches",
    "allreduce_seconds": 'n_bytes, n_workers, bandwidth, latency, *, method="ring"',
    "balanced_workers": (
        'compute_seconds, n_bytes, bandwidth, latency, *, method="ring", scaling="strong"'
    ),
    "data_parallel_step": (
        "n_workers, *, batch_size, seconds_per_sample, n_bytes, bandwidth, latency, "
        'method="ring", local_steps=1'
    ),
    "training_memory": (
        "n_parameters, activations_per_sample, batch_size, *, bytes_per_value=4, optimizer_states=0"
    ),
    "open_shards": "directory",
    "write_shards": "directory, X, y, rows_per_shard",
    "namespace": "",
    "to_host": "array",
    "source_of": "function, *, docstring=False",
}

VALUES = {  # what is not called, or returned rather than made
    "History",
    "Objective",
    "Run",
    "Runs",
    "Sampler",
    "ShardedArray",
    "schedules",
}
METHODS = {
    gd.LeastSquares: ("loss", "gradient", "per_sample_gradients", "squared_gradient_norms"),
    gd.LogisticRegression: ("loss", "gradient", "per_sample_gradients", "squared_gradient_norms"),
    gd.SoftmaxRegression: ("loss", "gradient", "per_sample_gradients", "squared_gradient_norms"),
    gd.MLP: ("loss", "gradient", "per_sample_gradients", "squared_gradient_norms"),
    gd.Objective: ("loss", "gradient", "per_sample_gradients", "squared_gradient_norms"),
}


def public(name):
    """What a dotted name of `gdcourse` stands for."""
    return attrgetter(name)(gd)


def arguments(function):
    """Name, kind and default of every parameter."""
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in parameters]


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_are_as_designed(name):
    expected = eval(f"lambda {SIGNATURES[name]}: None", {"LeastSquares": gd.LeastSquares})
    assert arguments(public(name)) == arguments(expected)


def test_every_public_name_is_listed():
    assert len(set(gd.__all__)) == len(gd.__all__)
    of_schedules = {f"schedules.{name}" for name in schedules.__all__}
    assert set(gd.__all__) | of_schedules == set(SIGNATURES) | VALUES


@pytest.mark.parametrize("name", sorted(set(SIGNATURES) | VALUES))
def test_every_public_name_says_what_it_is(name):
    assert len(inspect.getdoc(public(name)).splitlines()[0]) > 20


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_objectives_take_theta_first(kind):
    for name in METHODS[kind]:
        assert [p for p, *_ in arguments(getattr(kind, name))] == ["self", "theta", "X", "y"]


def test_schemes_and_samplers_draw_alike():
    assert [p for p, *_ in arguments(gd.Sampler.epochs)] == ["self", "n_samples", "rng"]
    for scheme in (gd.FullBatch, gd.Shuffled, gd.Stratified, gd.BlockShuffled):
        assert [p for p, *_ in arguments(scheme.epochs)] == ["self", "n_samples", "rng"]


def test_the_columns_of_a_history_are_as_designed():
    assert list(inspect.signature(gd.History).parameters) == [
        "step",
        "epoch",
        "samples_seen",
        "seconds",
        "loss",
        "gradient_norm",
        "learning_rate",
        "diverged",
        "interrupted",
    ]
    assert gd.Run._fields == ("theta", "history")


def test_counts_and_memory_have_their_fields():
    assert gd.training_counts(5, 2, 1)._fields == (
        "iterations_per_epoch",
        "iterations",
        "samples_seen",
    )
    memory = gd.training_memory(1, 1, 1)
    assert memory._fields == ("parameters", "gradients", "activations", "optimizer")
    assert memory.total == sum(memory)


def test_a_parameter_that_nobody_describes_is_refused():
    def source(X):
        """Source.

        Parameters
        ----------
        X : array
            Features.
        """

    with pytest.raises(KeyError, match="'rate'"):

        @parameters_of(source)
        def step(X, rate):
            """Step."""

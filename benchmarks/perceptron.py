"""An epoch of a small perceptron: the package beside autograd in PyTorch and JAX."""

from functools import partial
from importlib.util import find_spec
from itertools import islice, pairwise

import numpy as np

import gdcourse as gd
from benchmarks import clock

SIZES, N, RATE = (64, 32, 10), 16_384, 0.1
MODEL = gd.MLP(SIZES)


def compare(rounds, n=N, batch_sizes=(32, 256)):
    """A row for each batch size and contestant, shuffling included, nothing recorded."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, SIZES[0]))
    y = rng.integers(SIZES[-1], size=n).astype(float)
    theta = MODEL.initial(0)
    for b in batch_sizes:
        contestants = {"gdcourse": partial(ours, X, y, theta, b)}
        if find_spec("torch"):
            contestants["PyTorch, autograd"] = partial(on_torch, X, y, theta, b)
        if find_spec("jax"):
            contestants["JAX, lax.scan"] = on_jax(X, y, theta, b)
        expected = ours(X, y, theta, b)
        for function in contestants.values():
            np.testing.assert_allclose(function(), expected, rtol=1e-7, atol=1e-10)
        case = {"model": "MLP", "n": n, "d": SIZES[0], "dtype": "float64", "b": b, "epochs": 1}
        times = clock.take_turns(contestants, rounds)
        yield from clock.rows(times, "gdcourse", 1e-9 * n, **case)


def ours(X, y, theta, b):
    """The updates of one epoch, which `gd.descend` makes too."""
    path = gd.updates(
        X, y, theta, objective=MODEL, batches=gd.Shuffled(b), learning_rate=RATE, rng=0
    )
    *_, (_, _, theta) = islice(path, len(X) // b + 1)
    return theta


def on_torch(X, y, theta, b):
    """A batch indexed at a time, autograd, optim.SGD in its fused form."""
    import torch

    torch.set_num_threads(1)
    X, y = torch.from_numpy(X), torch.from_numpy(y).long()
    theta = torch.from_numpy(theta.copy()).requires_grad_()
    optimizer = torch.optim.SGD([theta], lr=RATE, fused=True)
    for batch in torch.from_numpy(np.random.default_rng(0).permutation(len(X))).split(b):
        optimizer.zero_grad()
        scores = forward(theta, X[batch], torch.tanh)
        torch.nn.functional.cross_entropy(scores, y[batch]).backward()
        optimizer.step()
    return theta.detach().numpy()


def on_jax(X, y, theta, b):
    """One jitted lax.scan over the batches of an epoch."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    X, y = jnp.asarray(X), jnp.asarray(y, dtype=int)

    def loss(theta, batch):
        scores = forward(theta, X[batch], jnp.tanh)
        chosen = jnp.take_along_axis(scores, y[batch][:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(scores, axis=1) - chosen)

    @jax.jit
    def epoch(theta, batches):
        def step(theta, batch):
            return theta - RATE * jax.grad(loss)(theta, batch), None

        return jax.lax.scan(step, theta, batches)[0]

    def run():
        order = np.random.default_rng(0).permutation(len(X))
        return np.asarray(epoch(jnp.asarray(theta), order.reshape(-1, b)))

    return run


def forward(theta, X, tanh):
    """Scores from the flat parameters of `gd.MLP`, in any library."""
    start = 0
    for layer, (fan_in, fan_out) in enumerate(pairwise(SIZES)):
        middle, stop = start + fan_in * fan_out, start + (fan_in + 1) * fan_out
        X = X @ theta[start:middle].reshape(fan_in, fan_out) + theta[middle:stop]
        X = tanh(X) if layer < len(SIZES) - 2 else X
        start = stop
    return X

"""The loops that Numba turns into machine code: plain Python, and slow until it has.

`compiled` chooses among them. Sums over rows are kept in double precision. Softmax works on a
tile of rows that a cache holds, laid out feature by feature, so that what is done for a row is
done for its neighbours along memory, in the processor's vectors.
"""

from functools import cache

import numpy as np

AHEAD = 16  # rows between the one that is asked of memory and the one in use
NEAR = 1024  # bytes of it; the processor itself asks for the rest of a long row
CACHE_LINE = 64  # bytes
TAKE_TURNS = 4  # runs whose steps alternate
SHORT = 32  # features up to which they do
TILE, TILE_VALUES = 128, 2**15  # rows of a tile, and the values that it may hold
FEW, WIDE = 8, 128  # rows, below which a tile does not pay, and features, above which
SUMMED = 512  # factors of at most 2 whose product is in range
# Sums may be reordered, as BLAS reorders them; NaN and infinity keep their meaning.
FAST = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}
EXACT = {"fastmath": {"contract"}, "error_model": "numpy"}  # as written, with fused products

LOG2_E = 1.4426950408889634
LN_2 = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first has 21 zeros at its end
ROUND = 1.5 * 2.0**52  # a number that has this added to it has its whole part in its last bits


@cache
def machine_code(loop):
    """The loop as machine code: compiled on first use, then kept on disk where that is possible."""
    from numba import njit

    teach_compiler()
    try:
        return njit(cache=True, nogil=True, **FAST)(loop)
    except RuntimeError:  # neither the package nor a home can be written, as in a container
        return njit(nogil=True, **FAST)(loop)


@cache
def teach_compiler():
    """Let compiled loops call the functions of this file."""
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic, overload, register_jitable

    @intrinsic
    def prefetch(_, address):
        def generate(context, builder, signature, arguments):
            pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
            flag = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag])
            function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
            builder.call(function, [pointer, flag(0), flag(3), flag(1)])  # to read data, soon
            return context.get_dummy_value()

        return types.void(types.intp), generate

    def fetch(X, y, order, i):
        row = order[min(i + AHEAD, len(order) - 1)]
        start, n_bytes = X.ctypes.data + row * X.strides[0], min(X.strides[0], NEAR)
        for byte in range(0, n_bytes, CACHE_LINE):
            prefetch(start + byte)
        prefetch(start + n_bytes - 1)  # a row may begin in the middle of a line
        prefetch(y.ctypes.data + row * y.strides[0])

    register_jitable(**EXACT)(exponential)
    for function in (_residual, _softmax_tile, _make_room):
        register_jitable(**FAST)(function)
    for function in (_step_row, _softmax_row, _softmax_sums):
        register_jitable(forceinline=True, **FAST)(function)
    overload(_fetch)(lambda X, y, order, i: fetch)


def _fetch(X, y, order, i):
    """Ask memory for the row that is used a little after `order[i]`; only machine code can."""


def exponential(x):
    """eˣ = (2ᵏ·eʳ)², with 2·(k·ln 2 + r) = x, to 1e-15: a loop of these becomes vector code.

    The half stays in range where the whole does not, and squaring it overflows and underflows
    as it must. The polynomial is Taylor's: its first term left out is below 2e-16 for r within
    (ln 2)/2.
    """
    half = 0.5 * x
    half = -375.0 if half < -375.0 else half  # NaN stays
    half = 355.0 if half > 355.0 else half
    shifted = half * LOG2_E + ROUND
    k = shifted - ROUND
    r = (half - k * LN_2[0]) - k * LN_2[1]
    p = 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 1 / 2
    p = p * r + 1.0
    p = p * r + 1.0
    bits = (np.float64(shifted).view(np.int64) + 1023) << 52
    root = p * np.int64(bits).view(np.float64)
    return root * root


def _residual(z, y, logistic):
    if logistic:
        one = type(z)(1)  # a plain 1 would lift single precision to double
        sign = one - y - y  # the loss is log(1 + exp(sign·z))
        return sign / (one + np.exp(-sign * z))
    return z - y


def rows_loop(X, y, thetas, orders, order_of, bounds, rates, rate_of, l2, logistic):
    # A step waits for the last one of its run, so where it is short, runs take turns.
    turns = len(thetas) // TAKE_TURNS * TAKE_TURNS if X.shape[1] <= SHORT else 0
    for first in range(0, turns, TAKE_TURNS):
        for k in range(orders.shape[1]):
            for run in range(first, first + TAKE_TURNS):
                order, alpha = orders[order_of[run]], rates[rate_of[run], k]
                _step_row(X, y, thetas[run], order, k, alpha, l2, logistic)
    for run in range(turns, len(thetas)):
        theta, order, alpha = thetas[run], orders[order_of[run]], rates[rate_of[run]]
        for k in range(len(order)):
            _step_row(X, y, theta, order, k, alpha[k], l2, logistic)


def _step_row(X, y, theta, order, k, alpha, l2, logistic):
    zero, one = X.dtype.type(0), X.dtype.type(1)
    n_features = X.shape[1]
    _fetch(X, y, order, k)
    row = order[k]
    x = X[row]
    z = zero
    for j in range(n_features):
        z += x[j] * theta[j]
    step = alpha * _residual(z, y[row], logistic)
    keep = one - alpha * l2
    for j in range(n_features):
        theta[j] = keep * theta[j] - step * x[j]


def batches_loop(X, y, thetas, orders, order_of, bounds, rates, rate_of, l2, logistic):
    zero, one = X.dtype.type(0), X.dtype.type(1)
    n_features = X.shape[1]
    gradient = np.zeros(n_features)  # double: single precision stalls at 2**24 equal rows
    for run in range(len(thetas)):
        theta, order, alpha = thetas[run], orders[order_of[run]], rates[rate_of[run]]
        for k in range(len(alpha)):
            first, last = bounds[k], bounds[k + 1]
            for i in range(first, last):
                _fetch(X, y, order, i)
                row = order[i]
                x = X[row]
                z = zero
                for j in range(n_features):
                    z += x[j] * theta[j]
                residual = _residual(z, y[row], logistic)
                for j in range(n_features):
                    gradient[j] += residual * x[j]
            scale = alpha[k] / (last - first)
            keep = one - alpha[k] * l2
            for j in range(n_features):
                theta[j] = keep * theta[j] - scale * gradient[j]
                gradient[j] = 0


def squares_loop(X, y, theta, total, of_losses):
    """Σ L_i, or without `of_losses` Σ ‖∇L_i‖², of least squares; Σ ∇L_i is added to `total`."""
    n_features = X.shape[1]
    found = 0.0
    for row in range(len(X)):
        x = X[row]
        z = 0.0
        for j in range(n_features):
            z += x[j] * theta[j]
        residual = z - y[row]
        for j in range(n_features):
            total[j] += residual * x[j]
        weight = 0.5
        if not of_losses:
            weight = 0.0
            for j in range(n_features):
                weight += np.float64(x[j]) * x[j]
        found += weight * residual * residual
    return found


def logistic_loop(X, y, theta, total, of_losses):
    """The same of logistic regression.

    With v = ±z, a loss log(1 + eᵛ) is max(v, 0) + log(1 + e), e = e⁻|ᵛ|. The logarithm of the
    product of many factors 1 + e is taken at once; `growth` is a product less 1, which keeps
    the digits of an e that is small.
    """
    n_features = X.shape[1]
    z, squares, growth = np.empty(TILE), np.empty(TILE), np.zeros(TILE)
    found = 0.0
    for first in range(0, len(X), TILE):
        n_rows = min(TILE, len(X) - first)
        for i in range(n_rows):
            x = X[first + i]
            score = 0.0
            for j in range(n_features):
                score += x[j] * theta[j]
            z[i] = score
        if not of_losses:
            for i in range(n_rows):
                x = X[first + i]
                square = 0.0
                for j in range(n_features):
                    square += np.float64(x[j]) * x[j]
                squares[i] = square
        for i in range(n_rows):
            sign = 1.0 - 2.0 * y[first + i]
            v = sign * z[i]
            e = exponential(-abs(v))
            z[i] = sign * (1.0 if v > 0.0 else e) / (1.0 + e)
            if of_losses:
                found += max(v, 0.0)
                growth[i] += e * (1.0 + growth[i])
            else:
                found += squares[i] * z[i] * z[i]
        for i in range(n_rows):
            x = X[first + i]
            for j in range(n_features):
                total[j] += z[i] * x[j]
        if first // TILE % SUMMED == SUMMED - 1:
            for i in range(TILE):
                found += np.log1p(growth[i])
                growth[i] = 0.0
    for i in range(TILE):
        found += np.log1p(growth[i])
    return found


def softmax_loop(X, y, thetas, orders, order_of, bounds, rates, rate_of, l2, _):
    one = X.dtype.type(1)
    n_features, n_classes = thetas.shape[1:]
    weights, gradient, slopes, room = _make_room(thetas[0])
    for run in range(len(thetas)):
        theta, order, alpha = thetas[run], orders[order_of[run]], rates[rate_of[run]]
        weights[:, :n_features] = theta.T
        for k in range(len(alpha)):
            first, last = bounds[k], bounds[k + 1]
            keep = one - alpha[k] * l2
            if last - first == 1:
                _softmax_row(X, y, order, first, weights, slopes, False)
                x = X[order[first]]
                for c in range(n_classes):
                    step = alpha[k] * slopes[c]
                    for j in range(n_features):
                        weights[c, j] = keep * weights[c, j] - step * x[j]
                continue
            _softmax_sums(X, y, order, first, last, weights, gradient, slopes, room, False)
            scale = alpha[k] / (last - first)
            for c in range(n_classes):
                for j in range(n_features):
                    weights[c, j] = keep * weights[c, j] - scale * gradient[c, j]
            gradient[:] = 0.0
        theta[:] = weights[:, :n_features].T


def softmax_sums_loop(X, y, theta, total, of_losses):
    """Σ L_i of softmax; Σ ∇L_i is added to `total`, (n_features, n_classes)."""
    n_features = X.shape[1]
    weights, gradient, slopes, room = _make_room(theta)
    weights[:, :n_features] = theta.T
    order = np.arange(TILE)
    found = 0.0
    for first in range(0, len(X), TILE):
        n_rows = min(TILE, len(X) - first)
        part = X[first : first + n_rows], y[first : first + n_rows], order[:n_rows]
        found += _softmax_sums(*part, 0, n_rows, weights, gradient, slopes, room, of_losses)
    total += gradient[:, :n_features].T
    return found


def _make_room(theta):
    """Weights and gradient (classes, features + up to 3 zeros), slopes of a row, and a tile."""
    n_features, n_classes = theta.shape
    width = (n_features + 3) // 4 * 4
    n_rows = max(4 * FEW, min(TILE, TILE_VALUES // (width + n_classes)))
    weights = np.zeros((n_classes, width), theta.dtype)
    gradient = np.zeros((n_classes, width))  # double, as that of `batches_loop`
    slopes = np.empty(n_classes, theta.dtype)
    # Eight more, so that the features of a row do not compete for one place of a cache.
    features = np.zeros((width, n_rows + 8), theta.dtype)
    scores = np.empty((n_classes, n_rows), theta.dtype)
    labels, highest = np.empty(n_rows, theta.dtype), np.empty(n_rows, theta.dtype)
    totals, at_label = np.empty(n_rows, theta.dtype), np.empty(n_rows, theta.dtype)
    room = features, scores, labels, highest, totals, at_label
    return weights, gradient, slopes, room


def _softmax_sums(X, y, order, first, last, weights, gradient, slopes, room, of_losses):
    """Add Σ ∇L_i of the rows ``order[first:last]`` to `gradient`, and give their Σ L_i."""
    n_features = X.shape[1]
    found = 0.0
    if last - first < FEW or n_features > WIDE:
        for i in range(first, last):
            found += _softmax_row(X, y, order, i, weights, slopes, of_losses)
            x = X[order[i]]
            for c in range(len(slopes)):
                for j in range(n_features):
                    gradient[c, j] += slopes[c] * x[j]
        return found
    size = len(room[2])
    for i in range(first, last, size):
        stop = min(i + size, last)
        found += _softmax_tile(X, y, order, i, stop, weights, gradient, room, of_losses)
    return found


def _softmax_row(X, y, order, i, weights, slopes, of_losses):
    """The loss of a row, and in `slopes` its derivatives in the scores."""
    _fetch(X, y, order, i)
    row = order[i]
    x = X[row]
    n_classes = len(slopes)
    highest = X.dtype.type(-np.inf)
    for c in range(n_classes):
        score = X.dtype.type(0)
        for j in range(len(x)):
            score += x[j] * weights[c, j]
        slopes[c] = score
        highest = max(highest, score)
    total = at_label = X.dtype.type(0)
    for c in range(n_classes):
        shifted = slopes[c] - highest
        at_label += shifted if c == y[row] else 0
        slopes[c] = exponential(shifted)
        total += slopes[c]
    for c in range(n_classes):
        slopes[c] = slopes[c] / total - (c == y[row])
    return np.log(total) - at_label if of_losses else 0.0


def _softmax_tile(X, y, order, first, last, weights, gradient, room, of_losses):
    """The same for a tile of rows at most, which are laid out feature by feature."""
    features, scores, labels, highest, totals, at_label = room
    n_classes, width = weights.shape
    n_rows = last - first
    for i in range(n_rows):
        _fetch(X, y, order, first + i)
        row = order[first + i]
        x = X[row]
        labels[i] = y[row]
        for j in range(len(x)):
            features[j, i] = x[j]
    for c in range(n_classes):
        z = scores[c]
        for i in range(n_rows):
            z[i] = 0
    for j in range(0, width, 4):
        x0, x1, x2, x3 = features[j], features[j + 1], features[j + 2], features[j + 3]
        for c in range(n_classes):
            z, w = scores[c], weights[c]
            w0, w1, w2, w3 = w[j], w[j + 1], w[j + 2], w[j + 3]
            for i in range(n_rows):
                z[i] += w0 * x0[i] + w1 * x1[i] + w2 * x2[i] + w3 * x3[i]
    for i in range(n_rows):
        highest[i] = -np.inf
        totals[i] = at_label[i] = 0
    for c in range(n_classes):
        z = scores[c]
        for i in range(n_rows):
            highest[i] = max(highest[i], z[i])
    for c in range(n_classes):
        z = scores[c]
        for i in range(n_rows):
            shifted = z[i] - highest[i]
            at_label[i] += shifted if labels[i] == c else 0
            z[i] = exponential(shifted)
            totals[i] += z[i]
    for c in range(n_classes):
        z = scores[c]
        for i in range(n_rows):
            z[i] = z[i] / totals[i] - (labels[i] == c)
    for j in range(0, width, 4):
        x0, x1, x2, x3 = features[j], features[j + 1], features[j + 2], features[j + 3]
        for c in range(n_classes):
            z, g = scores[c], gradient[c]
            g0 = g1 = g2 = g3 = X.dtype.type(0)
            for i in range(n_rows):
                g0 += z[i] * x0[i]
                g1 += z[i] * x1[i]
                g2 += z[i] * x2[i]
                g3 += z[i] * x3[i]
            g[j] += g0
            g[j + 1] += g1
            g[j + 2] += g2
            g[j + 3] += g3
    found = 0.0
    if of_losses:
        for i in range(n_rows):
            found += np.log(totals[i]) - at_label[i]
    return found

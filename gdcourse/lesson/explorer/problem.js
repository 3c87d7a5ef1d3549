/* Least squares in two parameters, and the descents on it, with the formulas of gdcourse. */
(() => {
"use strict";

class Problem {
  constructor(data) {
    Object.assign(this, { steps: data.steps, start: data.start });
    this.X = data.X.map((value) => value / data.scale);
    this.y = data.y.map((value) => value / data.scale);
    const { order = "", digits } = data; // without mini-batches there is none
    this.order = [];
    for (let k = 0; k < order.length; k += digits) this.order.push(parseInt(order.slice(k, k + digits), 36));
    const { X, y } = this;
    const n = (this.n = y.length);
    this.all = y.map((_, row) => row);
    let [a, b, c, u, v] = [0, 0, 0, 0, 0];
    for (let i = 0; i < n; i++) {
      a += X[2 * i] ** 2 / n;
      b += X[2 * i] * X[2 * i + 1] / n;
      c += X[2 * i + 1] ** 2 / n;
      u += X[2 * i] * y[i] / n;
      v += X[2 * i + 1] * y[i] / n;
    }
    this.hessian = [a, b, c];
    this.minimiser = [(c * u - b * v) / (a * c - b * b), (a * v - b * u) / (a * c - b * b)];
    const least = y.reduce((sum, _, i) => sum + this.residual(this.minimiser, i) ** 2, 0) / (2 * n);
    this.highest = 1e3 * (least + this.excess(this.start)); // from here on, a run diverges
  }

  /** The rows of step t: the next b that Python drew, or without a b all of them. */
  batch(t, b) {
    return b ? this.order.slice(t * b, (t + 1) * b) : this.all;
  }

  residual(theta, row) {
    return this.X[2 * row] * theta[0] + this.X[2 * row + 1] * theta[1] - this.y[row];
  }

  gradient(theta, rows) {
    let [g1, g2] = [0, 0];
    for (const row of rows) {
      const residual = this.residual(theta, row);
      g1 += residual * this.X[2 * row];
      g2 += residual * this.X[2 * row + 1];
    }
    return [g1 / rows.length, g2 / rows.length];
  }

  /** θ after every step: θ ← θ − α/(1 + decay·t) · ∇J_batch(θ). */
  path(b, learningRate, decay = 0) {
    const thetas = [this.start];
    for (let t = 0; t < this.steps; t++) {
      const theta = thetas[t];
      const gradient = this.gradient(theta, this.batch(t, b));
      const rate = learningRate / (1 + decay * t);
      thetas.push([theta[0] - rate * gradient[0], theta[1] - rate * gradient[1]]);
    }
    return thetas;
  }

  /** θ after every step with the exact gradient and momentum, as gd.momentum_updates. */
  roll(learningRate, momentum, nesterov) {
    const thetas = [this.start];
    let v = [0, 0];
    for (let t = 0; t < this.steps; t++) {
      const theta = thetas[t];
      const at = nesterov ? theta.map((value, k) => value + momentum * v[k]) : theta;
      const gradient = this.gradient(at, this.all);
      v = v.map((value, k) => momentum * value - learningRate * gradient[k]);
      thetas.push(theta.map((value, k) => value + v[k]));
    }
    return thetas;
  }

  /** The share of the error that a step with momentum keeps: the largest root of z² − pz + q. */
  kept(learningRate, momentum, nesterov) {
    const [a, b, c] = this.hessian;
    const spread = Math.hypot((a - c) / 2, b);
    return Math.max(...[-spread, spread].map((half) => {
      const factor = 1 - learningRate * ((a + c) / 2 + half);
      const p = nesterov ? (1 + momentum) * factor : momentum + factor;
      const q = nesterov ? momentum * factor : momentum;
      const under = p * p - 4 * q;
      return under < 0 ? Math.sqrt(q) : (Math.abs(p) + Math.sqrt(under)) / 2;
    }));
  }

  error(theta) {
    return [theta[0] - this.minimiser[0], theta[1] - this.minimiser[1]];
  }

  /** J(θ) − J*, as a quadratic form: without cancellation near the minimiser. */
  excess(theta) {
    const [e1, e2] = this.error(theta);
    const [a, b, c] = this.hessian;
    return 0.5 * (a * e1 * e1 + 2 * b * e1 * e2 + c * e2 * e2);
  }
}

globalThis.gdExplorer.Problem = Problem;
})();

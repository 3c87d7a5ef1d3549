/* Least squares in two parameters, and the descents on it, with the formulas of gdcourse. */

class Problem {
  constructor({ scale, X, y, start, steps, order = "", digits }) {
    Object.assign(this, { start, steps, order: [] });
    this.rows = y.map((value, i) => [X[2 * i] / scale, X[2 * i + 1] / scale, value / scale]);
    for (let k = 0; k < order.length; k += digits) this.order.push(parseInt(order.slice(k, k + digits), 36));
    const mean = (term) => this.rows.reduce((sum, row) => sum + term(...row), 0) / y.length;
    const [u, v] = [mean((x1, x2, target) => x1 * target), mean((x1, x2, target) => x2 * target)];
    const [a, b, c] = [mean((x1) => x1 * x1), mean((x1, x2) => x1 * x2), mean((x1, x2) => x2 * x2)];
    const [m1, m2] = [(c * u - b * v) / (a * c - b * b), (a * v - b * u) / (a * c - b * b)];
    Object.assign(this, { hessian: [a, b, c], minimiser: [m1, m2] });
    const least = mean((x1, x2, target) => (x1 * m1 + x2 * m2 - target) ** 2) / 2;
    this.highest = 1e3 * (least + this.excess(start)); // from here on, a run diverges
  }

  /** The rows of step t: the next b that Python drew, or without a b all of them. */
  batch(t, b) {
    return b ? this.order.slice(t * b, (t + 1) * b) : this.rows.keys();
  }

  gradient(theta, batch) {
    let [g1, g2, n] = [0, 0, 0];
    for (const row of batch) {
      const [x1, x2, target] = this.rows[row];
      const residual = x1 * theta[0] + x2 * theta[1] - target;
      g1 += residual * x1;
      g2 += residual * x2;
      n += 1;
    }
    return [g1 / n, g2 / n];
  }

  /** θ after every step: v ← βv − α/(1 + decay·t) · ∇J_batch, θ ← θ + v, as gd.updates with momentum=β. */
  path({ b, rate, decay = 0, momentum = 0, nesterov = false, start = this.start, steps = this.steps }) {
    const thetas = [start];
    let v = [0, 0];
    for (let t = 0; t < steps; t++) {
      const theta = thetas[t];
      const at = nesterov ? theta.map((value, k) => value + momentum * v[k]) : theta;
      const gradient = this.gradient(at, this.batch(t, b));
      v = v.map((value, k) => momentum * value - (rate / (1 + decay * t)) * gradient[k]);
      thetas.push(theta.map((value, k) => value + v[k]));
    }
    return thetas;
  }

  /** The share of the error that a step with momentum keeps: the largest root of z² − pz + q. */
  kept({ rate, momentum, nesterov }) {
    return Math.max(...this.curvatures().map((curvature) => {
      const factor = 1 - rate * curvature;
      const p = nesterov ? (1 + momentum) * factor : momentum + factor;
      const q = nesterov ? momentum * factor : momentum;
      const under = p * p - 4 * q;
      return under < 0 ? Math.sqrt(q) : (Math.abs(p) + Math.sqrt(under)) / 2;
    }));
  }

  /** The smallest and the largest curvature. */
  curvatures() {
    const [a, b, c] = this.hessian;
    const spread = Math.hypot((a - c) / 2, b);
    return [(a + c) / 2 - spread, (a + c) / 2 + spread];
  }

  /** The rate from which the full batch diverges. */
  limit() {
    return 2 / this.curvatures()[1];
  }

  /** The least that a heavy ball can keep of its error a step. */
  bestKept() {
    const [low, high] = this.curvatures().map(Math.sqrt);
    return (high - low) / (high + low);
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

  /** The excess loss in words: with what it means where it is tiny, large or gone. */
  loss(theta) {
    const excess = this.excess(theta);
    if (excess < 1e-12) return "below 10⁻¹²";
    return number(excess) + (excess < this.highest ? "" : " diverging");
  }
}

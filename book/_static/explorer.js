/* The figures of gdcourse.explorer, made to move. Python has drawn the picture, the table and
 * the batches; this script adds controls and computes the same runs with the same formula. */
(() => {
"use strict";

// Numbers as Python writes them: gdcourse/explorer.py has these functions too

const raised = (power) => String(power).replace(/[-\d]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
const minus = (text) => text.replace(/-/g, "−");

function number(value) {
  if (!Number.isFinite(value)) return "∞";
  const rounded = Number(value.toPrecision(4));
  const size = Math.abs(rounded);
  if (rounded === 0 || (size >= 1e-4 && size < 1e4)) return minus(String(rounded));
  const [digits, power] = value.toExponential(3).split("e");
  const factor = Number(digits) === 1 ? "" : `${Number(digits)}·`;
  return minus(`${factor}10${raised(Number(power))}`);
}

const count = (value) => Math.round(value).toLocaleString("en-US");

function loss(excess, first) {
  if (excess < 1e-12) return "below 10⁻¹²";
  return number(excess) + (excess < 1e3 * first ? "" : " diverging");
}

const UNITS = {
  s: [["s", 1], ["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]],
  B: [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3], ["B", 1]],
};

function unit(value, kind) {
  const [name, size] = UNITS[kind].find((pair) => value >= pair[1]) || UNITS[kind].at(-1);
  return `${number(value / size)} ${name}`;
}

// Elements

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
}

/** One polite voice for the page: it speaks when the reader's hand rests. */
const voice = make("div", { class: "gd-unseen", "aria-live": "polite", id: "gd-voice" });
let pause;
function say(text) {
  clearTimeout(pause);
  pause = setTimeout(() => { voice.textContent = text; }, 500);
}

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Controls over a list of values each; `state` holds what is chosen. */
class Controls {
  constructor(root, data, changed) {
    this.root = root;
    this.state = {};
    this.resets = [];
    this.changed = changed;
    this.panel = make("div", { class: "gd-controls", role: "group", "aria-label": "Controls of the figure" });
    this.data = data;
  }

  slider(key, label, words, given = this.data[key]) {
    const { values } = given;
    const id = `${this.root.id}-${key}`;
    const input = make("input", { type: "range", id, min: 0, max: values.length - 1, step: 1 });
    const shown = make("output", { for: id });
    const show = () => {
      this.state[key] = values[input.value];
      const text = words(values[input.value]);
      shown.textContent = text;
      input.setAttribute("aria-valuetext", text);
    };
    const reset = () => { input.value = values.indexOf(given.value); show(); };
    input.addEventListener("input", () => { show(); this.changed(key); });
    this.panel.append(make("div", { class: "gd-slider" }, make("label", { for: id }, label), shown, input));
    this.resets.push(reset);
    reset();
    return { go(value) { input.value = values.indexOf(value); show(); } };
  }

  choice(key, label, names, given = this.data[key]) {
    const id = `${this.root.id}-${key}`;
    const options = given.values.map((value, k) => make("option", { value: k }, names[k]));
    const input = make("select", { id }, ...options);
    const read = () => { this.state[key] = given.values[input.value]; };
    const reset = () => { input.value = given.values.indexOf(given.value); read(); };
    input.addEventListener("change", () => { read(); this.changed(key); });
    this.panel.append(make("div", { class: "gd-choice" }, make("label", { for: id }, label), input));
    this.resets.push(reset);
    reset();
  }

  checkbox(key, label) {
    const input = make("input", { type: "checkbox", id: `${this.root.id}-${key}` });
    const reset = () => { input.checked = this.data[key]; this.state[key] = input.checked; };
    input.addEventListener("change", () => { this.state[key] = input.checked; this.changed(key); });
    this.panel.append(make("label", { class: "gd-check" }, input, label));
    this.resets.push(reset);
    reset();
  }

  buttons(...pairs) {
    const row = make("div", { class: "gd-buttons" });
    const made = pairs.map(([label, act]) => {
      const button = make("button", { type: "button" }, label);
      button.addEventListener("click", act);
      return button;
    });
    row.append(...made);
    this.panel.append(row);
    return made;
  }

  reset() {
    for (const reset of this.resets) reset();
    this.changed("reset");
  }
}

function fill(root, rows) {
  root.querySelectorAll(".gd-numbers tbody tr").forEach((row, i) => {
    row.querySelectorAll("td").forEach((cell, j) => { cell.textContent = rows[i][j]; });
  });
}

// Least squares in two parameters

class Problem {
  constructor(data) {
    Object.assign(this, { steps: data.steps, start: data.start });
    this.X = data.X.map((value) => value / data.scale);
    this.y = data.y.map((value) => value / data.scale);
    this.n = this.y.length;
    this.order = [];
    for (let k = 0; k < data.order.length; k += data.digits) {
      this.order.push(parseInt(data.order.slice(k, k + data.digits), 36));
    }
    this.all = this.y.map((_, row) => row);
    const { X, y, n } = this;
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
  }

  /** The rows of step t: all of them, or the next b that Python drew. */
  batch(t, b) {
    return b === this.n ? this.all : this.order.slice(t * b, (t + 1) * b);
  }

  gradient(theta, rows) {
    let [g1, g2] = [0, 0];
    for (const row of rows) {
      const [x1, x2] = [this.X[2 * row], this.X[2 * row + 1]];
      const residual = x1 * theta[0] + x2 * theta[1] - this.y[row];
      g1 += residual * x1;
      g2 += residual * x2;
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

  distance(theta) {
    return Math.hypot(...this.error(theta));
  }

  excess(theta) {
    const [e1, e2] = this.error(theta);
    const [a, b, c] = this.hessian;
    return 0.5 * (a * e1 * e1 + 2 * b * e1 * e2 + c * e2 * e2);
  }

  /** C ↦ HC + CH and C ↦ E[H_B C H_B], as 3×3 matrices on (c11, c12, c22). */
  maps(b) {
    const { X, n } = this;
    const [h11, h12, h22] = this.hessian;
    const damping = [[2 * h11, 2 * h12, 0], [h12, h11 + h22, h12], [0, 2 * h12, 2 * h22]];
    const coupling = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
    const add = (p, q, r, weight) => { // C ↦ MCM for M = (p q; q r)
      const rows = [
        [p * p, 2 * p * q, q * q],
        [p * q, p * r + q * q, q * r],
        [q * q, 2 * q * r, r * r],
      ];
      rows.forEach((row, i) => row.forEach((value, j) => { coupling[i][j] += weight * value; }));
    };
    add(h11, h12, h22, 1 - 1 / b);
    for (let i = 0; i < n; i++) {
      const [x1, x2] = [X[2 * i], X[2 * i + 1]];
      add(x1 * x1, x1 * x2, x2 * x2, 1 / (b * n));
    }
    return [damping, coupling];
  }

  /** The covariance that θ settles to, as gd.stationary_covariance: (c11, c12, c22). */
  stationary(learningRate, b) {
    const S = [0, 0, 0];
    for (const row of this.all) {
      const [g1, g2] = this.gradient(this.minimiser, [row]);
      [g1 * g1, g1 * g2, g2 * g2].forEach((value, k) => { S[k] += value / this.n; });
    }
    const [damping, coupling] = this.maps(b);
    const system = damping.map((row, i) => row.map((value, j) => value - learningRate * coupling[i][j]));
    return solve(system, S.map((value) => learningRate * value / b));
  }

  /** The learning rate from which on the covariance grows for ever, as gd.stability_limit. */
  limit(b) {
    const [damping, coupling] = this.maps(b);
    let vector = [1, 0, 1];
    let size = 1;
    for (let k = 0; k < 3000; k++) { // power iteration: the largest eigenvalue is 1/limit
      vector = solve(damping, coupling.map((row) => row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2]));
      size = Math.hypot(...vector);
      vector = vector.map((value) => value / size);
    }
    return 1 / size;
  }
}

function determinant([[a, b, c], [d, e, f], [g, h, i]]) {
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}

/** Cramer's rule for three unknowns. */
function solve(matrix, right) {
  const whole = determinant(matrix);
  return right.map((_, k) =>
    determinant(matrix.map((row, i) => row.map((value, j) => (j === k ? right[i] : value)))) / whole);
}

// The picture of a descent

const COLOURS = { "full batch": "#0072B2", "mini-batch": "#009E73", SGD: "#D55E00" };

class Plane {
  constructor(box) {
    this.box = box;
  }

  at(theta) {
    const { left, top, height, corner, pixels } = this.box;
    return [left + (theta[0] - corner[0]) * pixels, top + height - (theta[1] - corner[1]) * pixels];
  }

  inside(theta) {
    const [x, y] = this.at(theta);
    return Math.abs(x) + Math.abs(y) < 1e6;
  }

  points(path) {
    const end = path.findIndex((theta) => !this.inside(theta));
    return (end < 0 ? path : path.slice(0, end)).map((theta) => this.at(theta));
  }

  draw(group, path) {
    const points = this.points(path);
    const [x, y] = points.at(-1);
    set(group.querySelector("polyline"), { points: points.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join(" ") });
    set(group.querySelector("circle"), { cx: x.toFixed(1), cy: y.toFixed(1) });
  }

  /** Attributes of the ellipse eᵀ C⁻¹ e = 1 of errors around a centre. */
  ellipse([c11, c12, c22], centre) {
    const middle = (c11 + c22) / 2;
    const spread = Math.hypot((c11 - c22) / 2, c12);
    const angle = -Math.atan2(2 * c12, c11 - c22) * 90 / Math.PI;
    const [x, y] = this.at(centre);
    return {
      rx: (this.box.pixels * Math.sqrt(middle + spread)).toFixed(1),
      ry: (this.box.pixels * Math.sqrt(Math.max(0, middle - spread))).toFixed(1),
      transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${angle.toFixed(1)})`,
    };
  }
}

const rate = (value) => `α = ${number(value)}`;
const rowsOf = (value) => (value === 1 ? "b = 1 row" : `b = ${value} rows`);

function descent(root, data) {
  const problem = new Problem(data);
  const plane = new Plane(data.box);
  const groups = [...root.querySelectorAll(".gd-run")];
  const controls = new Controls(root, data.controls, changed);
  const { state } = controls;
  let paths = [];
  let playing = null;

  controls.slider("learning_rate", "Learning rate", rate);
  if (data.view === "rolling") controls.slider("momentum", "Momentum", (value) => `β = ${value}`);
  else controls.slider("batch_size", data.view === "estimators" ? "Batch size of the mini-batch" : "Batch size", rowsOf);
  if (data.controls.decay) {
    controls.slider("decay", "Decay of the learning rate, α/(1 + decay·t)", (value) => (value ? `decay = ${value}` : "none"));
    controls.checkbox("average", `Average θ after step ${data.half}`);
  }
  const every = Array.from({ length: data.steps + 1 }, (_, t) => t);
  const step = controls.slider("step", "Step", (value) => `${value} of ${data.steps}`, { values: every, value: data.steps });
  const [play] = controls.buttons(["Play", toggle], ["One step", forward], ["Reset", () => { halt(); controls.reset(); }]);
  const view = { estimators, ball, yours, rolling }[data.view];
  const editor = data.view === "yours" ? new Editor(root, data, problem, state, () => changed("step")) : null;

  function forward() {
    halt();
    step.go((state.step + 1) % (data.steps + 1));
    changed("step");
  }

  function halt() {
    clearInterval(playing);
    playing = null;
    play.textContent = "Play";
  }

  function toggle() {
    if (playing) { halt(); return; }
    if (still()) { step.go(data.steps); changed("step"); return; }
    if (state.step === data.steps) step.go(0);
    play.textContent = "Pause";
    const stride = Math.max(1, Math.round(data.steps / 100));
    playing = setInterval(() => {
      step.go(Math.min(data.steps, state.step + stride));
      changed("step");
      if (state.step === data.steps) halt();
    }, 80);
  }

  function changed(what) {
    if (what !== "step") {
      paths = data.view === "rolling"
        ? data.runs.map(([ball, nesterov]) => problem.roll(state.learning_rate, ball * state.momentum, nesterov))
        : data.runs.map((b) => problem.path({ n: problem.n, b: state.batch_size }[b] || b, state.learning_rate, state.decay));
      if (editor) editor.forget();
    }
    const rows = view();
    fill(root, rows);
    root.querySelector(".gd-numbers th").textContent = `after ${state.step} steps`;
    if (!playing) say(`Step ${state.step}. ${spoken(rows)}`);
  }

  function spoken(rows) {
    const names = [...root.querySelectorAll(".gd-numbers tbody th")];
    const place = data.view === "estimators" ? 2 : data.view === "yours" ? 1 : 0;
    return names.map((name, i) => `${name.textContent}: ${rows[i][place]}`).join("; ");
  }

  const numbers = (theta) => [loss(problem.excess(theta), problem.excess(problem.start)), number(problem.distance(theta))];

  function estimators() {
    return paths.map((path, i) => {
      const b = [problem.n, state.batch_size, 1][i];
      plane.draw(groups[i], path.slice(0, state.step + 1));
      return [String(b), count(state.step * b), ...numbers(path[state.step])];
    });
  }

  function ball() {
    const [path] = paths;
    const shown = path.slice(0, state.step + 1);
    const settled = shown.slice(data.half + 1);
    const colour = COLOURS[state.batch_size === 1 ? "SGD" : "mini-batch"];
    plane.draw(groups[0], shown);
    set(groups[0].querySelector("polyline"), { stroke: colour });
    set(groups[0].querySelector("circle"), { fill: colour });
    const dots = settled.filter((theta) => plane.inside(theta)).map((theta) => plane.at(theta));
    set(root.querySelector(".gd-dots"), {
      d: dots.map(([x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h0`).join(""),
      stroke: colour,
    });
    const limit = problem.limit(state.batch_size);
    const theory = root.querySelector(".gd-theory");
    const exists = state.learning_rate < limit && !state.decay;
    theory.toggleAttribute("hidden", !exists);
    let floor = state.decay ? "none: the rate decays" : "none: beyond the limit";
    if (exists) {
      const C = problem.stationary(state.learning_rate, state.batch_size);
      const [a, b, c] = problem.hessian;
      floor = number(0.5 * (a * C[0] + 2 * b * C[1] + c * C[2]));
      set(theory, plane.ellipse(C.map((value) => 4 * value), problem.minimiser));
    }
    const average = root.querySelector(".gd-average");
    average.toggleAttribute("hidden", !(state.average && settled.length));
    let averaged = "";
    if (state.average && settled.length) {
      const theta = mean(settled);
      averaged = `; of their average θ: ${number(problem.excess(theta))}`;
      if (plane.inside(theta)) {
        const [x, y] = plane.at(theta).map((value) => value.toFixed(1));
        set(average.querySelector("path"), { d: `M${x - 8} ${y}h16m-8 -8v16` });
      }
    }
    const losses = settled.map((theta) => problem.excess(theta));
    const measured = losses.length ? number(losses.reduce((a, b) => a + b) / losses.length) : "not there yet";
    root.querySelectorAll(".gd-numbers i").forEach((swatch, i) => { if (i < 2) swatch.style.background = colour; });
    return [
      [loss(problem.excess(path[state.step]), problem.excess(problem.start))],
      [measured + averaged],
      [floor],
      [number(limit)],
    ];
  }

  function rolling() {
    return paths.map((path, i) => {
      const [ball, nesterov] = data.runs[i];
      plane.draw(groups[i], path.slice(0, state.step + 1));
      const kept = problem.kept(state.learning_rate, ball * state.momentum, nesterov);
      return [...numbers(path[state.step]), kept.toFixed(3)];
    });
  }

  function yours() {
    const [path] = paths;
    const own = editor.path || [problem.start];
    const last = Math.min(state.step, own.length - 1);
    plane.draw(groups[0], path.slice(0, state.step + 1));
    plane.draw(groups[1], own.slice(0, last + 1));
    return [[String(state.step), ...numbers(path[state.step])], [String(last), ...numbers(own[last])]];
  }

  changed("start");
  return { controls, state, problem, get paths() { return paths; }, editor };
}

function mean(thetas) {
  return [0, 1].map((k) => thetas.reduce((sum, theta) => sum + theta[k], 0) / thetas.length);
}

// Pictures with logarithmic axes

const logAt = (value, span, origin, length) => origin + (length * (Math.log10(value) - span[0])) / (span[1] - span[0]);

function logPoints(across, up, box, span, rise) {
  const bottom = box.top + box.height;
  return across
    .map((x, k) => [x, up[k]])
    .filter(([x, y]) => x > 0 && y > 0)
    .map(([x, y]) => `${logAt(x, span, box.left, box.width).toFixed(1)},${logAt(y, rise, bottom, -box.height).toFixed(1)}`)
    .join(" ");
}

function logTicks(span, origin, length) {
  const every = Math.ceil((span[1] - span[0]) / 7);
  const ticks = [];
  for (let p = span[0]; p <= span[1]; p += every) {
    ticks.push([origin + (length * (p - span[0])) / (span[1] - span[0]), `10${raised(p)}`]);
  }
  return ticks;
}

function axes(root, data) {
  const { box, runs, first, perRow, rise } = data;
  const lines = root.querySelectorAll("polyline");
  const controls = new Controls(root, data.controls, changed);
  const { state } = controls;
  controls.choice("axis", "Horizontal axis", ["steps", "samples seen", "seconds"]);
  controls.slider("target", "Target: share of the first excess loss", (value) => `${number(100 * value)} %`);
  controls.slider("overhead", "Fixed cost of a step, whatever b", (value) => unit(value, "s"));
  controls.buttons(["Reset", () => controls.reset()]);

  const seconds = (run) => run.step.map((step, k) => step * state.overhead + run.samples[k] * perRow);

  function across(run) {
    return { steps: run.step, samples: run.samples, seconds: seconds(run) }[state.axis];
  }

  function changed() {
    const ends = runs.map((run) => [across(run)[1], across(run).at(-1)]);
    const span = [
      Math.floor(Math.log10(Math.min(...ends.map((end) => end[0])))),
      Math.ceil(Math.log10(Math.max(...ends.map((end) => end[1])))),
    ];
    const bottom = box.top + box.height;
    root.querySelector(".gd-x").innerHTML = logTicks(span, box.left, box.width)
      .map(([x, text]) => `<path d="M${x.toFixed(1)} ${bottom}v4"/><text x="${x.toFixed(1)}" y="${bottom + 17}">${text}</text>`)
      .join("");
    root.querySelector(".gd-x-label").textContent = { steps: "steps", samples: "samples seen", seconds: "seconds" }[state.axis];
    runs.forEach((run, i) => {
      set(lines[i], { points: logPoints(across(run), run.excess, box, span, rise) });
    });
    const height = logAt(state.target * first, rise, bottom, -box.height);
    set(root.querySelector(".gd-theory"), { d: `M${box.left} ${height.toFixed(1)}h${box.width}` });
    const rows = runs.map((run) => {
      const k = run.excess.findIndex((excess) => excess < state.target * first);
      if (k < 0) return ["not reached", "not reached", "not reached"];
      return [count(run.step[k]), count(run.samples[k]), unit(seconds(run)[k], "s")];
    });
    fill(root, rows);
    const place = ["steps", "samples", "seconds"].indexOf(state.axis);
    say(`To the target: ${runs.map((run, i) => `${run.name}, ${rows[i][place]}`).join("; ")}`);
  }

  changed();
  return { controls, state };
}

function memory(root, data) {
  const { box, bar, span, rise } = data;
  const controls = new Controls(root, data.controls, changed);
  const { state } = controls;
  const parts = [...root.querySelectorAll("svg > rect")];
  controls.slider("n_parameters", "Parameters of the model", number);
  controls.slider("activations", "Values kept per row for the backward pass", number);
  controls.slider("batch_size", "Batch size", rowsOf);
  const methods = { 0: "gradient descent: none", 1: "momentum: 1", 2: "Adam: 2", 6: "Adam in mixed precision: 6" };
  controls.choice("bytes", "Bytes of a value", data.controls.bytes.values.map(String));
  controls.choice("states", "Values of optimiser state a parameter", data.controls.states.values.map((k) => methods[k] || String(k)));
  controls.slider("device", "Memory of the device", (value) => unit(value, "B"));
  controls.slider("overhead", "Shortest step, t₀", (value) => unit(value, "s"));
  controls.slider("speed", "Rows a second at most, r", number);
  controls.buttons(["Reset", () => controls.reset()]);

  const seconds = (b) => Math.max(state.overhead, b / state.speed);

  function held() {
    const { n_parameters: p, activations, batch_size: b, bytes, states } = state;
    return [bytes * p, bytes * p, bytes * activations * b, bytes * states * p];
  }

  function changed() {
    const bytes = held();
    const total = bytes.reduce((a, b) => a + b);
    const full = Math.max(total, state.device);
    let x = bar.left;
    parts.forEach((rect, i) => {
      const width = (bar.width * bytes[i]) / full;
      set(rect, { x: x.toFixed(1), width: width.toFixed(1) });
      x += width;
    });
    const edge = bar.left + (bar.width * state.device) / full;
    set(root.querySelector(".gd-theory"), { d: `M${edge.toFixed(1)} ${bar.top - 6}v${bar.height + 12}` });
    set(root.querySelector(".gd-limit"), { x: edge.toFixed(1), "text-anchor": edge < 120 ? "start" : "end" });
    const sizes = Array.from({ length: 51 }, (_, k) => 10 ** (k / 10));
    set(root.querySelector("svg > polyline"), { points: logPoints(sizes, sizes.map(seconds), box, span, rise) });
    const time = seconds(state.batch_size);
    const [cx, cy] = logPoints([state.batch_size], [time], box, span, rise).split(",");
    set(root.querySelector("svg > circle"), { cx, cy });
    const rows = [
      ...bytes.map((value) => [unit(value, "B")]),
      [`${unit(total, "B")}, ${total <= state.device ? "fits" : "does not fit"}`],
      [unit(time, "s")],
      [number(state.batch_size / time)],
      [`${Math.round((100 * state.batch_size) / time / state.speed)} %`],
    ];
    fill(root, rows);
    say(`Memory ${rows[4][0]}; step ${rows[5][0]}; ${rows[7][0]} of the peak`);
  }

  changed();
  return { controls, state, get bytes() { return held(); }, seconds };
}

// What workers compute and what they tell one another: gdcourse/accounting.py has these functions too

const MESSAGES = {
  ring: (p) => [2 * (p - 1), (2 * (p - 1)) / p],
  tree: (p) => [2 * Math.log2(p), (2 * (p - 1)) / p],
  star: (p) => [p > 1 ? 2 : 0, 2 * (p - 1)],
};

const MOST = 1e9; // workers: the figure ends long before

function scaling(root, data) {
  const { box, span, rise } = data;
  const controls = new Controls(root, data.controls, changed);
  const { state } = controls;
  const lines = root.querySelectorAll("polyline");
  controls.slider("n_workers", "Workers, P", count);
  controls.choice("scaling", "Every step", ["one batch, cut into P parts", "a batch of its own for each worker"]);
  controls.slider("batch_size", "Rows b of that batch", count);
  controls.slider("sample", "Time of a row on one worker", (value) => unit(value, "s"));
  controls.slider("n_parameters", "Parameters of the model", number);
  controls.choice("bytes", "Bytes of a value", data.controls.bytes.values.map(String));
  controls.slider("bandwidth", "Bandwidth of a worker's link", (value) => `${unit(value, "B")}/s`);
  controls.slider("latency", "Latency of a message", (value) => unit(value, "s"));
  controls.choice("method", "Who talks to whom", ["a ring", "a tree (halving and doubling)", "a star: all with one"]);
  controls.slider("local_steps", "Local steps between two averages", count);
  controls.buttons(["Reset", () => controls.reset()]);

  /** Seconds of computing and of communication in a step of P workers. */
  function step(p) {
    const [messages, arrays] = MESSAGES[state.method](p);
    const talk = messages * state.latency + (arrays * state.n_parameters * state.bytes) / state.bandwidth;
    const work = (state.batch_size * state.sample) / (state.scaling === "weak" ? 1 : p);
    return [work, talk / state.local_steps];
  }

  /** The P from which communication takes as long as computing, by halving an interval. */
  function balance() {
    const busy = (p) => { const [work, talk] = step(p); return work > talk; };
    let [low, high] = [1, 2];
    while (busy(high)) {
      [low, high] = [high, 2 * high];
      if (high > 1e300) return Infinity;
    }
    for (;;) {
      const middle = (low + high) / 2;
      if (!(low < middle && middle < high)) return high;
      if (busy(middle)) low = middle;
      else high = middle;
    }
  }

  const percent = (share) => `${number(Number((100 * share).toPrecision(2)))} %`;

  function changed() {
    const p = state.n_workers;
    const counts = Array.from({ length: 61 }, (_, k) => 10 ** (k / 10));
    const steps = counts.map(step);
    [(s) => s[0], (s) => s[1], (s) => s[0] + s[1]].forEach((part, i) => {
      set(lines[i], { points: logPoints(counts, steps.map(part), box, span, rise) });
    });
    const [work, talk] = step(p);
    const total = work + talk;
    const [cx, cy] = logPoints([p], [total], box, span, rise).split(",");
    set(root.querySelector("g > circle"), { cx, cy });
    const even = balance();
    const edge = logAt(Math.min(even, MOST), span, box.left, box.width);
    set(root.querySelector(".gd-theory"), { d: `M${edge.toFixed(1)} ${box.top}v${box.height}` });
    const gain = ((state.scaling === "weak" ? p : 1) * state.batch_size * state.sample) / total;
    const rows = [
      unit(work, "s"), unit(talk, "s"), unit(total, "s"), percent(talk / total),
      number(gain / state.sample), number(gain), percent(gain / p),
      even < MOST ? number(even) : "none up to 10⁹",
    ].map((text) => [text]);
    root.querySelector(".gd-numbers th").textContent = `with ${count(p)} workers`;
    fill(root, rows);
    say(`${count(p)} workers: ${rows[3][0]} of the step is communication; ${rows[5][0]} times as fast as one`);
  }

  changed();
  return { controls, state, step, balance };
}

// A reader's own update rule: MicroPython in a worker, so that an endless loop can be stopped

const HERE = document.currentScript.src;
const LIMIT = 5000; // milliseconds that a run may take

/** Runs in Python before and after the reader's code. */
const HARNESS = `
import json, page
def _walk(given):
    X = [(a / given["scale"], b / given["scale"]) for a, b in given["X"]]
    y = [value / given["scale"] for value in given["y"]]
    theta = given["start"]
    for step, batch in enumerate(given["batches"]):
        theta = update(list(theta), [X[i] for i in batch], [y[i] for i in batch], given["rate"], step)
        try:
            first, second = theta
            page.add(first + 0.0, second + 0.0)
        except (TypeError, ValueError):
            raise ValueError("update must return two numbers, got " + repr(theta))
_walk(json.loads(page.given))
`;

const WORKER = `
onmessage = async ({ data }) => {
  const path = [];
  const lines = [];
  const print = (line) => { if (lines.push(line) === 21) lines[20] = "…"; else if (lines.length > 21) lines.pop(); };
  try {
    const python = await loadMicroPython({ url: data.wasm, heapsize: 8 << 20, stdout: print, stderr: print });
    postMessage({ ready: true });
    python.registerJsModule("page", { given: data.given, add: (a, b) => { path.push([a, b]); } });
    python.runPython(data.code);
    python.runPython(data.harness);
    postMessage({ path, lines });
  } catch (error) {
    postMessage({ fault: error.message, lines });
  }
};
`;

/** The interpreter, from the script that the build of the book puts beside this one. */
let runtime = null;
function loadRuntime() {
  runtime ||= new Promise((resolve, reject) => {
    const script = make("script", { src: new URL("micropython.js", HERE).href });
    script.onload = () => {
      const { source, wasm } = globalThis.gdMicroPython;
      const code = new Blob([source, WORKER], { type: "text/javascript" });
      resolve({ url: URL.createObjectURL(code), wasm: `data:application/wasm;base64,${wasm}` });
    };
    script.onerror = () => {
      runtime = null;
      reject(new Error("This copy of the book was built without MicroPython."));
    };
    document.head.append(script);
  });
  return runtime;
}

class Editor {
  constructor(root, data, problem, state, redraw) {
    Object.assign(this, { data, problem, state, redraw, path: null, worker: null });
    const id = `${root.id}-code`;
    this.code = make("textarea", { id, rows: data.code.split("\n").length + 1, spellcheck: "false", autocapitalize: "off" });
    this.output = make("pre", { class: "gd-output", tabindex: "0", "aria-label": "What the run says" });
    this.stop = this.button("Stop", () => this.halt("Stopped."));
    this.stop.disabled = true;
    this.run = this.button("Run", () => this.start());
    const reset = this.button("Reset the code", () => {
      this.halt("");
      this.code.value = data.code;
      this.forget();
      redraw();
    });
    this.code.addEventListener("keydown", (event) => this.typed(event));
    this.code.value = data.code;
    const buttons = make("div", { class: "gd-buttons" }, this.run, this.stop, reset);
    const label = make("label", { for: id }, "Your update rule, in Python (Ctrl+Enter runs it)");
    this.panel = make("div", { class: "gd-editor" }, label, this.code, buttons, this.output);
    root.querySelector(".gd-code").replaceWith(this.panel);
  }

  button(label, act) {
    const button = make("button", { type: "button" }, label);
    button.addEventListener("click", act);
    return button;
  }

  /** Enter keeps the indentation of its line. The tab key moves on, as everywhere. */
  typed(event) {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) { this.start(); return; }
    const { value, selectionStart: start, selectionEnd: end } = this.code;
    const line = value.slice(value.lastIndexOf("\n", start - 1) + 1, start);
    const indent = line.match(/^ */)[0] + (line.trimEnd().endsWith(":") ? "    " : "");
    this.code.setRangeText(`\n${indent}`, start, end, "end");
  }

  say(text) {
    this.output.textContent = text;
    if (text) say(text);
  }

  halt(text) {
    clearTimeout(this.timer);
    this.worker?.terminate();
    this.worker = null;
    this.stop.disabled = true;
    this.run.disabled = false;
    this.say(text);
  }

  async start() {
    if (this.worker) this.halt("");
    this.path = null; // a run that fails leaves no numbers of the one before
    this.redraw();
    this.run.disabled = true;
    this.say("Loading Python …");
    try {
      const { url, wasm } = await loadRuntime();
      this.worker = new Worker(url);
      this.stop.disabled = false;
      this.worker.onmessage = ({ data }) => this.heard(data);
      this.worker.onerror = (event) => this.halt(`The interpreter failed: ${event.message}`);
      this.worker.postMessage({ wasm, given: JSON.stringify(this.given()), code: this.code.value, harness: HARNESS });
    } catch (error) {
      this.halt(error.message);
    }
  }

  given() {
    const { data, problem, state } = this;
    const pairs = data.y.map((_, i) => [data.X[2 * i], data.X[2 * i + 1]]);
    const batches = Array.from({ length: data.steps }, (_, t) => problem.batch(t, state.batch_size));
    return { scale: data.scale, X: pairs, y: data.y, start: data.start, rate: state.learning_rate, batches };
  }

  heard({ ready, path, lines, fault }) {
    if (ready) {
      this.say("Running …");
      this.timer = setTimeout(() => this.halt(`Stopped after ${LIMIT / 1000} seconds. Is there an endless loop?`), LIMIT);
      return;
    }
    if (path) this.path = [this.problem.start, ...path];
    this.halt([fault || `Ran ${path.length} steps.`, ...lines].join("\n").trim());
    this.redraw();
  }

  forget() {
    if (this.path) this.say("The settings have changed: run it again.");
    this.path = null;
  }
}

// Start

function start() {
  const roots = document.querySelectorAll(".gd-explorer");
  if (!roots.length) return;
  document.body.append(voice);
  for (const root of roots) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    root.explorer = { descent, axes, memory, scaling }[data.kind](root, data);
    root.querySelector(".gd-picture").after(root.explorer.controls.panel);
    root.classList.add("gd-alive");
  }
  clearTimeout(pause); // nothing was changed by a hand yet
  performance.mark("gd-alive");
}

// Once the page is parsed: DOMContentLoaded would wait for the script of the formulas.
if (document.readyState === "loading") document.addEventListener("readystatechange", start, { once: true });
else start();
})();

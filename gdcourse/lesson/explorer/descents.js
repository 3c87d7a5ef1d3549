/* Figures over two parameters: the level lines of least squares, and the paths of descents. */
(() => {
"use strict";
const gd = globalThis.gdExplorer;
const { COLOURS, Problem, THEORY, control, count, number, polyline, rowsOf, spot, tag, tenth } = gd;

const FRAME = { left: 44, top: 26, width: 386, height: 274 }; // inside a picture of 440 by 345
const SIDES = [FRAME.width, FRAME.height];
const CENTRE = [FRAME.left + FRAME.width / 2, FRAME.top + FRAME.height / 2];

/** The plane of θ: the minimiser in the middle, the start four fifths of the way to an edge. */
class Plane {
  constructor(problem) {
    this.problem = problem;
    const reach = problem.error(problem.start).map((error, k) => Math.abs(error) / SIDES[k]);
    this.pixels = 0.4 / (Math.max(...reach) || 1 / FRAME.width); // for a unit, on both axes
  }

  at(theta) {
    const [e1, e2] = this.problem.error(theta);
    return [CENTRE[0] + e1 * this.pixels, CENTRE[1] - e2 * this.pixels];
  }

  /** Tell whether a drawing program takes θ: what is outside the frame is cut off. */
  holds(theta) {
    const [x, y] = this.at(theta);
    return Math.abs(x) + Math.abs(y) < 1e6;
  }

  /** A path in words that are true of any path. */
  describe(path) {
    const points = path.map((theta) => this.at(theta));
    if (points.at(-1).some((place, k) => !(Math.abs(place - CENTRE[k]) <= SIDES[k] / 2))) return "gone from the picture";
    const length = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
    const way = points.reduce((sum, point, t) => (t ? sum + length(points[t - 1], point) : 0), 0);
    const straight = length(points[0], points.at(-1));
    if (!straight) return "at its start";
    return `a path ${number(Number((way / straight).toPrecision(2)))} times as long as a straight line`;
  }

  /** A path as far as it can be drawn, and a spot at its end. */
  run(path, colour, attributes) {
    const end = path.findIndex((theta) => !this.holds(theta));
    const points = (end < 0 ? path : path.slice(0, end)).map((theta) => this.at(theta));
    return tag("g", { class: "gd-run" }, polyline(points, { stroke: colour, ...attributes }) + spot(points.at(-1), colour));
  }

  /** The ellipse of errors e from the minimiser with eᵀ C⁻¹ e = 1. */
  ellipse([c11, c12, c22], attributes = {}) {
    const middle = (c11 + c22) / 2;
    const spread = Math.hypot((c11 - c22) / 2, c12);
    const angle = (-Math.atan2(2 * c12, c11 - c22) * 90) / Math.PI;
    return tag("ellipse", {
      rx: this.pixels * Math.sqrt(middle + spread),
      ry: this.pixels * Math.sqrt(Math.max(0, middle - spread)),
      transform: `translate(${CENTRE.map(tenth).join(" ")}) rotate(${tenth(angle)})`,
      ...attributes,
    });
  }

  /** Twelve level lines, even on a log scale up to the highest corner. */
  levels() {
    const { problem, pixels } = this;
    const [a, b, c] = problem.hessian;
    const corner = (sign) => problem.excess(
      [problem.minimiser[0] + SIDES[0] / (2 * pixels), problem.minimiser[1] + (sign * SIDES[1]) / (2 * pixels)]);
    const highest = Math.max(corner(1), corner(-1));
    const rings = Array.from({ length: 12 }, (_, k) => {
      const size = (2 * highest * 10 ** ((3 * (k - 11)) / 11)) / (a * c - b * b);
      return this.ellipse([size * c, -size * b, size * a]);
    });
    return tag("g", { fill: "none", stroke: "#999", "stroke-width": "0.8" }, rings.join(""));
  }

  picture(name, marks, entries = []) {
    const ticks = [0, 1].map((k) => {
      const half = SIDES[k] / (2 * this.pixels);
      const middle = this.problem.minimiser[k];
      return gd.ticks(middle - half, middle + half).map(([value, text]) =>
        [CENTRE[k] + (k ? -1 : 1) * (value - middle) * this.pixels, text]);
    });
    const star = tag("text", { x: CENTRE[0], y: CENTRE[1] + 6, "text-anchor": "middle", "font-size": "17" }, "★");
    return gd.legend(entries, FRAME.left)
      + gd.axes(FRAME, ...ticks, "θ₁", "θ₂")
      + gd.clipped(name, FRAME, this.levels() + tag("g", { "stroke-width": "1.6", "stroke-linejoin": "round" }, marks))
      + star;
  }
}

/** What `compute` makes of a state, again and again until anything but the step has changed. */
function remember(compute) {
  let [settings, value] = [];
  return ({ step, ...rest }) => {
    const asked = JSON.stringify(rest);
    if (asked !== settings) [settings, value] = [asked, compute(rest)];
    return value;
  };
}

/** An excess loss, with what it means where it is tiny, large or gone. */
function loss(problem, theta) {
  const excess = problem.excess(theta);
  if (excess < 1e-12) return "below 10⁻¹²";
  return number(excess) + (excess < problem.highest ? "" : " diverging");
}

const rate = (data) => control(data, "learning_rate", "Learning rate", { words: (value) => `α = ${number(value)}` });
const size = (data, label) => control(data, "batch_size", label, { words: rowsOf });

function steps({ steps: n }) {
  const values = Array.from({ length: n + 1 }, (_, t) => t);
  return { key: "step", label: "Step", values, value: n, words: (value) => `${value} of ${n}` };
}

const ABOUT = "Level lines of a loss over two parameters, a star at its minimum, and";

/** A figure of several runs: each has a name, a colour, its path, and the cells of its row. */
function compare(data, problem, { about, head, controls, runs }) {
  const plane = new Plane(problem);
  const walk = remember((state) => runs.map((run) => run.path(state)));

  function draw(state) {
    const paths = walk(state).map((path) => path.slice(0, state.step + 1));
    const losses = paths.map((path) => loss(problem, path.at(-1)));
    const rows = runs.map(({ name, colour, cells }, i) => {
      const numbers = [losses[i], number(Math.hypot(...problem.error(paths[i].at(-1))))];
      return [name, cells(numbers, state, paths[i].length - 1), colour];
    });
    const say = (words) => `Step ${state.step}. ${runs.map(({ name }, i) => `${name}: ${words(i)}`).join("; ")}`;
    return {
      head: [`after ${state.step} steps`, ...head],
      rows,
      spoken: say((i) => losses[i]),
      label: `${ABOUT} ${about}. ${say((i) => plane.describe(paths[i]))}.`,
      picture: plane.picture(data.name, paths.map((path, i) => plane.run(path, runs[i].colour)).join(""),
        runs.map(({ name, colour }) => [name, colour])),
    };
  }

  return { controls: [...controls, steps(data)], draw, problem };
}

gd.kinds.estimators = (data) => {
  const problem = new Problem(data);
  const run = (name, b) => ({ // b rows a step, or without b all of them
    name,
    colour: COLOURS[name],
    path: (state) => problem.path(b(state), state.learning_rate),
    cells: (numbers, state, step) => [b(state) || problem.n, step * (b(state) || problem.n)].map(count).concat(numbers),
  });
  return compare(data, problem, {
    about: "three runs from one start",
    head: ["rows a step", "rows read", "excess loss", "distance to ★"],
    controls: [rate(data), size(data, "Batch size of the mini-batch")],
    runs: [run("full batch", () => null), run("mini-batch", (state) => state.batch_size), run("SGD", () => 1)],
  });
};

gd.kinds.rolling = (data) => {
  const problem = new Problem(data);
  const run = (name, colour, ball, nesterov) => {
    const settings = ({ learning_rate, momentum }) => [learning_rate, ball * momentum, nesterov];
    return {
      name,
      colour,
      path: (state) => problem.roll(...settings(state)),
      cells: (numbers, state) => [...numbers, problem.kept(...settings(state)).toFixed(3)],
    };
  };
  return compare(data, problem, {
    about: "three runs with the exact gradient from one start",
    head: ["excess loss", "distance to ★", "kept a step"],
    controls: [rate(data), control(data, "momentum", "Momentum", { words: (value) => `β = ${value}` })],
    runs: [
      run("gradient descent", COLOURS["full batch"], 0, false),
      run("heavy ball", COLOURS.third, 1, false),
      run("Nesterov", COLOURS.fourth, 1, true),
    ],
  });
};

/** The editor puts the path of the reader's own update into the state. */
gd.kinds.yours = (data) => {
  const problem = new Problem(data);
  const cells = (numbers, state, step) => [String(step), ...numbers];
  return compare(data, problem, {
    about: "two runs from one start, on the same mini-batches",
    head: ["steps", "excess loss", "distance to ★"],
    controls: [rate(data), size(data, "Batch size")],
    runs: [
      { name: "gdcourse", colour: COLOURS["mini-batch"], cells, path: (state) => problem.path(state.batch_size, state.learning_rate) },
      { name: "your update", colour: COLOURS.third, cells, path: (state) => state.own || [problem.start] },
    ],
  });
};

gd.kinds.ball = (data) => {
  const problem = new Problem(data);
  const plane = new Plane(problem);
  const half = Math.floor(problem.steps / 2);
  const walk = remember((state) => problem.path(state.batch_size, state.learning_rate, state.decay));
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  /** What Python found for a size and a rate: the limit of the rate, and below it floor and covariance. */
  function theory(state) {
    const place = (key) => data.controls[key].values.indexOf(state[key]);
    const { limit, balls } = data.theory[place("batch_size")];
    const [floor, ...covariance] = (!state.decay && balls[place("learning_rate")]) || [];
    return { limit, floor, covariance };
  }

  function draw(state) {
    const path = walk(state).slice(0, state.step + 1);
    const settled = path.slice(half + 1);
    const colour = COLOURS[state.batch_size === 1 ? "SGD" : "mini-batch"];
    const { limit, floor, covariance } = theory(state);
    const dots = settled.filter((theta) => plane.holds(theta)).map((theta) => `M${plane.at(theta).map(tenth).join(" ")}h0`);
    let marks = plane.run(path, colour, { "stroke-width": "1", "stroke-opacity": "0.35" })
      + tag("path", { class: "gd-dots", d: dots.join(""), stroke: colour, "stroke-width": "3.5", "stroke-linecap": "round" });
    if (floor) marks += plane.ellipse(covariance.map((value) => 4 * value), THEORY); // two standard deviations
    let measured = settled.length ? number(mean(settled.map((theta) => problem.excess(theta)))) : "not there yet";
    if (state.average && settled.length) {
      const theta = [0, 1].map((k) => mean(settled.map((each) => each[k])));
      measured += `; of their average θ: ${number(problem.excess(theta))}`;
      const [x, y] = plane.at(theta).map(tenth);
      if (plane.holds(theta)) marks += tag("path", { class: "gd-average", d: `M${x} ${y}m-8 0h16m-8 -8v16`, stroke: "currentColor", "stroke-width": "3" });
    }
    const none = state.decay ? "none: the rate decays" : "none: beyond the limit";
    const rows = [
      ["last iterate", [loss(problem, path.at(-1))], colour],
      [`mean over steps ${half + 1} to ${problem.steps}`, [measured], colour],
      ["theory: the noise floor", [floor ? number(floor) : none], "currentColor"],
      ["rate from which the mean squared error grows", [number(limit)], null],
    ];
    const spoken = `Step ${state.step}. ${rows.map(([name, [cell]]) => `${name}: ${cell}`).join("; ")}`;
    const predicted = floor ? ", dashed, the ellipse of two standard deviations that theory predicts around the minimum," : "";
    return {
      head: [`after ${state.step} steps`, "excess loss J − J*"],
      rows,
      spoken,
      label: `${ABOUT}${predicted} the path of SGD, its iterates after step ${half} as dots. ${spoken}.`,
      picture: plane.picture(data.name, marks),
    };
  }

  const decay = { words: (value) => (value ? `decay = ${value}` : "none") };
  const controls = [
    rate(data),
    size(data, "Batch size"),
    control(data, "decay", "Decay of the learning rate, α/(1 + decay·t)", decay),
    control(data, "average", `Average θ after step ${half}`),
    steps(data),
  ];
  return { controls, draw, problem };
};
})();

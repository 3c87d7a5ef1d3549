/* Figures over two parameters: the level lines of least squares, and the paths of descents. */

const PLANE = { left: 44, top: 26, width: 386, height: 274 }; // inside a picture of 440 by 345
const SIDES = [PLANE.width, PLANE.height];
const CENTRE = [PLANE.left + PLANE.width / 2, PLANE.top + PLANE.height / 2];

/** The plane of θ: the minimiser in the middle, the start, if not there, four fifths of the way to an edge. */
class Plane {
  constructor(problem) {
    this.problem = problem;
    const reach = Math.max(...problem.error(problem.start).map((error, k) => Math.abs(error) / SIDES[k]));
    this.pixels = 0.4 / (reach > 1e-8 ? reach : 0.01); // for a unit, on both axes
  }

  at(theta) {
    const [e1, e2] = this.problem.error(theta);
    return [CENTRE[0] + e1 * this.pixels, CENTRE[1] - e2 * this.pixels];
  }

  /** Tell whether θ is near enough to be drawn: what is outside the frame is cut off. */
  holds(theta) {
    const [x, y] = this.at(theta);
    return Math.abs(x) + Math.abs(y) < 1e6;
  }

  /** A path as far as it can be drawn, and a spot at its end. */
  run(path, colour, more) {
    const end = path.findIndex((theta) => !this.holds(theta));
    const points = (end < 0 ? path : path.slice(0, end)).map((theta) => this.at(theta));
    return polyline(points, colour, more) + spot(points.at(-1), colour);
  }

  /** The ellipse of errors e from the minimiser with eᵀ C⁻¹ e = 1. */
  ellipse([c11, c12, c22], more = "") {
    const middle = (c11 + c22) / 2;
    const spread = Math.hypot((c11 - c22) / 2, c12);
    const [rx, ry] = [middle + spread, Math.max(0, middle - spread)].map((square) => tenth(this.pixels * Math.sqrt(square)));
    const angle = (-Math.atan2(2 * c12, c11 - c22) * 90) / Math.PI;
    return `<ellipse rx="${rx}" ry="${ry}" transform="translate(${CENTRE.join(" ")}) rotate(${tenth(angle)})" ${more}/>`;
  }

  /** Twelve level lines, even on a log scale up to the highest corner. */
  levels() {
    const [a, b, c] = this.problem.hessian;
    const [e1, e2] = SIDES.map((side) => side / (2 * this.pixels));
    const twice = a * e1 * e1 + 2 * Math.abs(b) * e1 * e2 + c * e2 * e2;
    return each(Array.from({ length: 12 }, (_, k) => (twice * 1e-3 ** (1 - k / 11)) / (a * c - b * b)),
      (size) => this.ellipse([size * c, -size * b, size * a]));
  }

  picture(name, marks, entries = []) {
    const ticks = SIDES.map((side, k) => {
      const middle = this.problem.minimiser[k];
      const half = side / (2 * this.pixels);
      const sign = k ? -1 : 1;
      return linearTicks(middle - half, middle + half).map(
        ([value, text]) => [CENTRE[k] + sign * (value - middle) * this.pixels, text]);
    });
    const inside = `<g fill="none" stroke="#999" stroke-width=".8">${this.levels()}</g>
<g stroke-width="1.6" stroke-linejoin="round">${marks}</g>`;
    return `${legend(entries, PLANE.left)}${axes(PLANE, ...ticks, "θ₁", "θ₂")}${clipped(name, PLANE, inside)}
<text x="${CENTRE[0]}" y="${CENTRE[1] + 6}" text-anchor="middle" font-size="17">★</text>`;
  }
}

/** What the controls say of a path. */
const settings = ({ learning_rate: rate, batch_size: b, decay, momentum }) => ({ rate, b, decay, momentum });

/** A figure of runs: each has a name, a colour, and what it changes of the settings. */
function compare(data, head, runs, cells) {
  const problem = new Problem(data);
  const plane = new Plane(problem);

  function draw(state) {
    const done = runs.map(([name, colour, change]) => {
      const rule = { ...settings(state), ...change };
      const path = (rule.own ? state.own || [problem.start] : problem.path(rule)).slice(0, state.step + 1);
      const theta = path.at(-1);
      const numbers = [problem.loss(theta), number(Math.hypot(...problem.error(theta)))];
      return { path, numbers, row: [name, cells(numbers, path.length - 1, rule, problem), colour] };
    });
    return {
      head: [`after ${state.step} steps`, ...head],
      rows: done.map(({ row }) => row),
      spoken: `Step ${state.step}. ${runs.map(([name], i) => `${name}: ${done[i].numbers[0]}`).join("; ")}`,
      picture: plane.picture(data.name, each(runs, ([, colour], i) => plane.run(done[i].path, colour)), runs),
    };
  }

  return { draw, problem };
}

KINDS.estimators = (data) => compare(data, ["rows a step", "rows read", "excess loss", "distance to ★"], [
  ["full batch", BLUE, { b: null }],
  ["mini-batch", GREEN],
  ["SGD", RED, { b: 1 }],
], (numbers, step, { b }, { rows }) => [1, step].map((steps) => count(steps * (b || rows.length))).concat(numbers));

KINDS.rolling = (data) => compare(data, ["excess loss", "distance to ★", "kept a step"], [
  ["gradient descent", BLUE, { momentum: 0 }],
  ["heavy ball", PINK],
  ["Nesterov", AMBER, { nesterov: true }],
], (numbers, step, rule, problem) => [...numbers, problem.kept(rule).toFixed(3)]);

KINDS.yours = (data) => compare(data, ["steps", "excess loss", "distance to ★"], [
  ["gdcourse", GREEN],
  ["your update", PINK, { own: true }], // the path that the editor puts into the state
], (numbers, step) => [step, ...numbers]);

KINDS.ball = (data) => {
  const problem = new Problem(data);
  const plane = new Plane(problem);
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  function draw(state) {
    const path = problem.path(settings(state)).slice(0, state.step + 1);
    const settled = path.slice(data.half + 1);
    const colour = state.batch_size === 1 ? RED : GREEN;
    const place = (key) => data.controls[key].values.indexOf(state[key]);
    const { limit, balls } = data.theory[place("batch_size")];
    const ball = state.decay ? null : balls[place("learning_rate")]; // none beyond the limit
    const none = state.decay ? "none: the rate decays" : "none: beyond the limit";
    const near = settled.filter((theta) => plane.holds(theta));
    const dots = each(near, (theta) => `M${plane.at(theta).map(tenth).join(" ")}h0`);
    let marks = plane.run(path, colour, 'stroke-width="1" stroke-opacity=".35"')
      + `<path d="${dots}" stroke="${colour}" stroke-width="3.5" stroke-linecap="round"/>`;
    if (ball) marks += plane.ellipse(ball.slice(1).map((value) => 4 * value), THEORY); // two standard deviations
    let measured = settled.length ? number(mean(settled.map((theta) => problem.excess(theta)))) : "not there yet";
    if (state.average && settled.length) {
      const theta = [0, 1].map((k) => mean(settled.map((one) => one[k])));
      measured += `; of their average θ: ${number(problem.excess(theta))}`;
      if (plane.holds(theta)) {
        const [x, y] = plane.at(theta);
        marks += `<path d="M${tenth(x - 8)} ${tenth(y)}h16m-8 -8v16" stroke="currentColor" stroke-width="3"/>`;
      }
    }
    const rows = [
      ["last iterate", problem.loss(path.at(-1)), colour],
      [`mean over steps ${data.half + 1} to ${problem.steps}`, measured, colour],
      ["theory: the noise floor", ball ? number(ball[0]) : none, "currentColor"],
      ["rate from which the mean squared error grows", number(limit)],
    ];
    return {
      head: [`after ${state.step} steps`, "excess loss J − J*"],
      rows,
      spoken: `Step ${state.step}. ${rows.map(([name, cell]) => `${name}: ${cell}`).join("; ")}`,
      picture: plane.picture(data.name, marks),
    };
  }

  return { draw, problem };
};

/* Figures over two parameters: the level lines of least squares, the paths of descents, and their losses. */

const PLANE = { left: 44, top: 8, width: 386, height: 274 };
const LOSSES = { left: 44, top: 332, width: 386, height: 92 };
const TALL = 462; // of a picture with both
const SIDES = [PLANE.width, PLANE.height];
const CENTRE = [PLANE.left + PLANE.width / 2, PLANE.top + PLANE.height / 2];
const NEAR = 0.05; // of the first distance to ★: a path that comes so near has reached it

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

/** The plane of θ: the minimiser in the middle, the first start, if not there, four fifths of the way to an edge. */
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

  /** The θ of a place in the frame, to thousandths. */
  theta([x, y]) {
    const places = [x - CENTRE[0], CENTRE[1] - y].map((place, k) => clamp(place, 2 - SIDES[k] / 2, SIDES[k] / 2 - 2));
    return places.map((place, k) => Number((this.problem.minimiser[k] + place / this.pixels).toFixed(3)));
  }

  /** A path in the frame, and where it ends there. */
  run(path, look) {
    return trace(path.map((theta) => this.at(theta)), look, PLANE);
  }

  /** The ellipse of errors e from the minimiser with eᵀ C⁻¹ e = 1. */
  ellipse([c11, c12, c22], look) {
    const middle = (c11 + c22) / 2;
    const spread = Math.hypot((c11 - c22) / 2, c12);
    const [rx, ry] = [middle + spread, Math.max(0, middle - spread)].map((square) => tenth(this.pixels * Math.sqrt(square)));
    const angle = (-Math.atan2(2 * c12, c11 - c22) * 90) / Math.PI;
    return `<ellipse rx="${rx}" ry="${ry}" transform="translate(${CENTRE.join(" ")}) rotate(${tenth(angle)})"${look ? ` class="${look.name}" ${stroke(look)}` : ""}/>`;
  }

  /** Twelve level lines, even on a log scale up to the highest corner. */
  levels() {
    const [a, b, c] = this.problem.hessian;
    const [e1, e2] = SIDES.map((side) => side / (2 * this.pixels));
    const twice = a * e1 * e1 + 2 * Math.abs(b) * e1 * e2 + c * e2 * e2;
    return each(Array.from({ length: 12 }, (_, k) => (twice * 1e-3 ** (1 - k / 11)) / (a * c - b * b)),
      (size) => this.ellipse([size * c, -size * b, size * a]));
  }

  picture(name, start, marks, texts) {
    const ticks = SIDES.map((side, k) => {
      const middle = this.problem.minimiser[k];
      const half = side / (2 * this.pixels);
      const sign = k ? -1 : 1;
      return linearTicks(middle - half, middle + half).map(
        ([value, text]) => [CENTRE[k] + sign * (value - middle) * this.pixels, text]);
    });
    const inside = `<g fill="none" stroke="#999" stroke-width=".8">${this.levels()}</g>
<g stroke-linejoin="round">${marks}</g>`;
    return `${axes(PLANE, ...ticks, "θ₁", "θ₂")}${clipped(name, PLANE, inside)}${spot(this.at(start), START)}
<text x="${CENTRE[0]}" y="${CENTRE[1] + 6}" text-anchor="middle" font-size="17">★</text>${callouts(texts, PLANE)}`;
  }

  /** What a hand takes hold of: the start. */
  handle() {
    return {
      name: "Start of the paths",
      by: [8, 8],
      at: (state) => this.at(state.start),
      move: (state, point) => { state.start = this.theta(point); },
      says: ({ start }) => `θ₁ = ${number(start[0])}, θ₂ = ${number(start[1])}`,
    };
  }
}

/** What the controls say of a path. */
const settings = ({ learning_rate: rate, batch_size: b, decay, momentum, start }) => ({ rate, b, decay, momentum, start });

/** What a step of b rows costs, on the axis that is chosen. */
const PRICES = {
  steps: () => 1,
  samples: (b) => b,
  seconds: (b, { overhead, per_row }) => overhead + b * per_row,
};
const AXES = { steps: "steps", samples: "samples seen", seconds: "seconds" };

/** Paths on the level lines, and below them their losses, on one clock: it stands at step `state.step` of the run
 * that it is set by, and every run is where it is when it has spent as much.
 *
 * A run is a name, a look, and what it changes of the settings. */
class Race {
  constructor(data) {
    this.data = data;
    this.problem = new Problem(data);
    this.plane = new Plane(this.problem);
    const top = Math.ceil(Math.log10(this.problem.excess(data.start) || 1e-3) + 0.3);
    this.up = [top - 6, top];
  }

  draw(state, runs, { floor, text, extra = () => "" } = {}) {
    const { problem, plane, data } = this;
    const price = (b) => PRICES[state.axis || "steps"](b || problem.rows.length, data);
    const tick = price(state.batch_size);
    const now = state.step * tick;
    const done = runs.map(([name, look, change]) => {
      const rule = { ...settings(state), ...change };
      const per = price(rule.b);
      const at = (clock) => Math.floor((clock * tick) / per + 1e-9);
      const whole = rule.own ? state.own || [state.start] : problem.path({ ...rule, steps: at(problem.steps) });
      const path = whole.slice(0, at(state.step) + 1);
      return { name, look, rule, per, at, whole, path, steps: path.length - 1, theta: path.at(-1) };
    });
    const losses = new Timeline(LOSSES, problem.steps * tick, this.up);
    const drawn = done.map(({ path, look }) => plane.run(path, look));
    const curves = done.map(({ path, per, look }) => {
      const thin = Math.ceil((2 * path.length) / LOSSES.width); // no more points than there is room for
      const kept = [...path.keys()].filter((k) => k % thin === 0 || k === path.length - 1);
      const points = losses.points(kept.map((k) => k * per), kept.map((k) => problem.excess(path[k])));
      return trace(points, look, LOSSES);
    });
    const clock = losses.x(now);
    const ends = text ? done.map((run, i) => ({ at: drawn[i].at, text: text(run), look: run.look })) : [];
    const under = clipped(`${data.name}-losses`, LOSSES, each(curves, (curve) => curve.path)
      + (floor > 0 ? line(`M${LOSSES.left} ${tenth(losses.y(floor))}h${LOSSES.width}`, THEORY) : "")
      + `<path class="gd-clock" d="M${tenth(clock)} ${LOSSES.top}v${LOSSES.height}" stroke="currentColor"/>`) + each(curves, (curve) => curve.mark);

    /** The clock at a place in the picture: on its axis, or at the nearest point of a path. */
    const seek = ([x, y]) => {
      if (holds({ ...LOSSES, top: LOSSES.top - 8, height: LOSSES.height + 40 }, [x, y])) {
        return clamp(Math.round(((x - LOSSES.left) / LOSSES.width) * problem.steps), 0, problem.steps);
      }
      let [nearest, found] = [15, null];
      for (const { path, per } of done) {
        path.forEach((theta, k) => {
          const [px, py] = plane.at(theta);
          const far = Math.hypot(px - x, py - y);
          if (far < nearest) [nearest, found] = [far, Math.min(state.step, Math.ceil((k * per) / tick - 1e-9))];
        });
      }
      return found;
    };
    /** The same moment in both pictures. */
    const moment = (step) => line(`M${tenth(losses.x(step * tick))} ${LOSSES.top}v${LOSSES.height}`, { ...THEORY, name: "", width: 1 })
      + each(done.filter(({ at, whole }) => at(step) < whole.length), ({ at, whole, per, look }) => {
        const k = at(step);
        const both = [plane.at(whole[k]), losses.points([k * per], [problem.excess(whole[k])])[0]];
        return each(both.filter((point, i) => point && holds([PLANE, LOSSES][i], point)),
          (point) => spot(point, { colour: look.colour, shape: RING }));
      });
    const axis = state.axis || "steps";
    const after = { steps: several(count(now), "step"), samples: several(count(now), "row"), seconds: seconds(now) }[axis];
    const word = (value, text) => (axis === "seconds" && value ? seconds(value) : text);
    return {
      done,
      ended: state.step === problem.steps, // what is claimed of a path is judged at its end
      after,
      height: TALL,
      legend: [...runs, ["start", START], ["★ minimum", {}]],
      picture: plane.picture(data.name, state.start, each(drawn, (run) => run.path + run.mark) + extra(done), ends)
        + axes(LOSSES, losses.ticks(word), decadeTicks(this.up, (v) => losses.y(v), 4), AXES[axis], "excess loss J − J*") + under,
      seek,
      moment,
    };
  }
}

/** The step from which a path stays near ★, or Infinity. */
function arrival({ path }, problem) {
  const far = path.map((theta) => Math.hypot(...problem.error(theta)));
  const last = far.findLastIndex((distance) => !(distance < NEAR * far[0]));
  return last < far.length - 1 ? last + 1 : Infinity;
}

/** The largest value of a control that is below a limit. */
const largestBelow = (limit, { values }) => values.findLast((value) => value < limit);

/** A figure of runs. */
function compare(data, head, runs, cells, { text = ({ name }) => name, goals = () => [], change = () => ({}) } = {}) {
  const race = new Race(data);
  const { problem } = race;

  function draw(state) {
    const drawn = race.draw({ ...state, ...change(state) }, runs, { text });
    const rows = drawn.done.map((run) => {
      const numbers = [problem.loss(run.theta), number(Math.hypot(...problem.error(run.theta)))];
      return [run.name, cells(numbers, run, problem), run.look, numbers[0]];
    });
    return {
      ...drawn,
      head: [`after ${drawn.after}`, ...head],
      rows,
      spoken: `After ${drawn.after}. ${rows.map(([name, , , loss]) => `${name}: ${loss}`).join("; ")}`,
      goals: goals(state, drawn.ended ? drawn.done : [], problem),
    };
  }

  return { draw, problem, handle: race.plane.handle() };
}

const rowsRead = ({ rule, steps }, problem) => steps * (rule.b || problem.rows.length);

KINDS.estimators = (data) => {
  const problem = new Problem(data);
  return compare(data, ["steps", "rows read", "excess loss", "distance to ★"], [
    ["full batch", LOOKS["full batch"], { b: null }],
    ["mini-batch", LOOKS["mini-batch"]],
    ["SGD", LOOKS.SGD, { b: 1 }],
  ], (numbers, run) => [count(run.steps), count(rowsRead(run, problem)), ...numbers], {
    text: (run) => `${run.name}, ${several(count(rowsRead(run, problem)), "row")}`,
    goals: (state, done) => [
      ["Come to ★ within 20 steps, and stay within 5 % of the first distance.", done.some((run) => arrival(run, problem) <= 20)],
      ["Get there, and stay, with fewer than 500 rows read.", done.some((run) => arrival(run, problem) * (run.rule.b || problem.rows.length) < 500)],
      ["Find the largest α at which the full batch does not diverge.",
        state.learning_rate === largestBelow(problem.limit(), data.controls.learning_rate)],
    ],
  });
};

KINDS.rolling = (data) => {
  const best = new Problem(data).bestKept();
  return compare(data, ["excess loss", "distance to ★", "kept a step"], [
    ["gradient descent", { colour: BLUE, width: 2, shape: DISC }, { momentum: 0 }],
    ["heavy ball", { colour: PINK, dash: "9 3", shape: SQUARE }],
    ["Nesterov", { colour: AMBER, dash: "3 1.5", shape: TRIANGLE }, { nesterov: true }],
  ], (numbers, { rule }, problem) => [...numbers, problem.kept(rule).toFixed(3)], {
    goals: ({ learning_rate: rate, momentum }, done, problem) => [
      ["Come to ★ within 20 steps, and stay within 5 % of the first distance.", done.some((run) => arrival(run, problem) <= 20)],
      [`Let the heavy ball keep less than ${(best + 0.05).toFixed(2)} of its error a step.`, problem.kept({ rate, momentum }) < best + 0.05],
      ["Make gradient descent diverge and the heavy ball arrive.", rate > problem.limit() && problem.kept({ rate, momentum }) < 1],
    ],
  });
};

KINDS.yours = (data) => compare(data, ["steps", "excess loss", "distance to ★"], [
  ["gdcourse", { colour: GREEN, width: 5, fade: 0.5, shape: SQUARE }],
  ["your update", { colour: PINK, dash: "7 3", shape: DISC }, { own: true }], // the path that the editor puts into the state
], (numbers, { steps }) => [count(steps), ...numbers], { change: ({ level }) => ({ momentum: level }) });

KINDS.ball = (data) => {
  const race = new Race(data);
  const { problem, plane } = race;
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const theory = (state) => {
    const [size, rate] = ["batch_size", "learning_rate"].map((key) => data.controls[key].values.indexOf(state[key]));
    return { limit: data.theory[size].limit, ball: data.theory[size].balls[rate] }; // none beyond the limit
  };
  const fifth = theory(firstState(data)).ball?.[0] / 5;

  function draw(state) {
    const colour = state.batch_size === 1 ? RED : GREEN;
    const trail = { colour, width: 1, fade: 0.6 };
    const dots = { colour, shape: "M-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0" };
    const cross = { colour: "currentColor", shape: "M-8-1.5h6.5v-6.5h3v6.5h6.5v3h-6.5v6.5h-3v-6.5h-6.5z" };
    const { limit, ball: steady } = theory(state);
    const ball = state.decay ? null : steady;
    const none = state.decay ? "none: the rate decays" : "none: beyond the limit";
    let settled;
    let average;
    const drawn = race.draw(state, [["path", trail]], {
      floor: ball?.[0],
      extra([{ path }]) {
        settled = path.slice(data.half + 1);
        average = state.average && settled.length && [0, 1].map((k) => mean(settled.map((one) => one[k])));
        const near = settled.map((theta) => plane.at(theta)).filter((point) => holds(PLANE, point));
        const places = each(near, (point) => `M${point.map(tenth).join(" ")}h0`);
        return `<path d="${places}" stroke="${colour}" stroke-width="3.5" stroke-linecap="round"/>`
          + (ball ? plane.ellipse(ball.slice(1).map((value) => 4 * value), THEORY) : "") // two standard deviations
          + (average && holds(PLANE, plane.at(average)) ? spot(plane.at(average), cross) : "");
      },
    });
    const around = settled.length ? mean(settled.map((theta) => problem.excess(theta))) : Infinity;
    const measured = settled.length ? number(around) : "not there yet";
    const rows = [
      ["last iterate", problem.loss(drawn.done[0].theta), trail],
      [`mean over steps ${data.half + 1} to ${problem.steps}`,
        average ? `${measured}; of their average θ: ${number(problem.excess(average))}` : measured, dots],
      ["theory: the noise floor", ball ? number(ball[0]) : none, THEORY],
      ["rate from which the mean squared error grows", number(limit)],
    ];
    return {
      ...drawn,
      legend: [["path of SGD", trail], ["its second half", dots], ["theory: two standard deviations", THEORY],
        ...(average ? [["average", cross]] : []), ["start", START], ["★ minimum", {}]],
      head: [`after ${drawn.after}`, "excess loss J − J*"],
      rows,
      spoken: `After ${drawn.after}. ${rows.map(([name, cell]) => `${name}: ${cell}`).join("; ")}`,
      goals: [
        [`Bring the mean of the second half below ${number(fifth)}, without decay.`, drawn.ended && !state.decay && around < fifth],
        ["Find the largest α that has a floor.", !state.decay && state.learning_rate === largestBelow(limit, data.controls.learning_rate)],
        ["Let the average be ten times closer in loss than that mean.", drawn.ended && average && problem.excess(average) < around / 10],
      ],
    };
  }

  return { draw, problem, handle: plane.handle() };
};

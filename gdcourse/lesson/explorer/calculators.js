/* Figures over counts and costs: steps, samples, bytes and seconds. */

const CHART = { left: 52, top: 8, width: 378, height: 274 };
const LOW = 326; // of a picture with one of these

/** Ten values in each of the first n decades from 1 on. */
const grid = (n) => Array.from({ length: 10 * n + 1 }, (_, k) => 10 ** (k / 10));

/** The whole decades that hold some positive values: one at least. */
function decades(values) {
  const powers = values.filter((value) => value > 0).map(Math.log10);
  const low = Math.floor(Math.min(...powers));
  return [low, Math.max(low + 1, Math.ceil(Math.max(...powers)))];
}

KINDS.axes = ({ name, runs, per_row }) => {
  const first = Math.max(...runs.map((run) => run.excess[0]));
  const up = decades(runs.flatMap((run) => run.excess.map((excess) => Math.min(excess, first))));
  const time = (run, state) => run.step.map((step, k) => step * state.overhead + run.samples[k] * per_row);

  function draw(state) {
    const columns = runs.map((run) => ({ steps: run.step, samples: run.samples, seconds: time(run, state) }));
    const xs = columns.map((column) => column[state.axis]);
    const plane = new LogPlane(CHART, decades(xs.flat()), up);
    const rows = runs.map((run, i) => {
      const k = run.excess.findIndex((excess) => excess < state.target * first);
      const { steps, samples, seconds: times } = columns[i];
      const cells = k < 0
        ? Array(3).fill(run.diverged ? "diverged" : "not reached")
        : [count(steps[k]), count(samples[k]), seconds(times[k])];
      return [run.name, cells, LOOKS[run.name], k < 0 ? Infinity : times[k]];
    });
    const order = rows.toSorted((one, other) => one[3] - other[3]).map(([variant]) => variant);
    const ends = runs.map((run, i) => {
      const points = plane.points(xs[i], run.excess);
      if (run.diverged && points.length) points.push([points.at(-1)[0], -Infinity]);
      return { ...trace(points, LOOKS[run.name], CHART), text: run.name, look: LOOKS[run.name] };
    }).filter(({ mark }) => mark);
    const place = Object.keys(columns[0]).indexOf(state.axis);
    return {
      head: ["to the dashed line", "steps", "samples", "time"],
      rows,
      spoken: `To the target: ${rows.map(([variant, cells]) => `${variant}, ${cells[place]}`).join("; ")}`,
      height: LOW,
      legend: [...rows.map(([variant, , look]) => [variant, look]), ["target", THEORY]],
      picture: plane.axes(AXES[state.axis], "excess loss J − J*")
        + clipped(name, CHART, each(ends, ({ path }) => path))
        + line(`M${CHART.left} ${tenth(plane.y(state.target * first))}h${CHART.width}`, THEORY)
        + each(ends, ({ mark }) => mark) + callouts(ends, CHART),
      goals: order.length > 1 && rows.every((row) => row[3] < Infinity) ? order.toSorted().map((variant) =>
        [`Let ${variant} be the first by the clock.`, state.axis === "seconds" && order[0] === variant]) : [],
    };
  }

  return { draw };
};

const BAR = { left: 10, top: 22, width: 420, height: 26 };

KINDS.memory = ({ name }) => {
  const plane = new LogPlane({ ...CHART, top: 78, height: 204 }, [0, 5], [-6, 3]);

  /** What holds the bytes of a training step, as gd.training_memory. */
  function held({ n_parameters: p, activations, batch_size: b, bytes: size, states }) {
    return [
      ["parameters", size * p, { colour: BLUE, shape: SQUARE }],
      ["gradients", size * p, { colour: GREEN, shape: SQUARE }],
      ["activations", size * activations * b, { colour: RED, shape: SQUARE }],
      ["optimiser", size * states * p, { colour: PINK, shape: SQUARE }],
    ];
  }

  function draw(state) {
    const parts = held(state);
    const total = parts.reduce((sum, part) => sum + part[1], 0);
    const pixels = BAR.width / Math.max(total, state.device);
    let x = BAR.left;
    const bar = each(parts, ([, size, { colour: fill }]) => {
      x += pixels * size;
      const [left, width] = [x - pixels * size, pixels * size].map(tenth);
      return `<rect x="${left}" y="${BAR.top}" width="${width}" height="${BAR.height}" fill="${fill}" stroke="var(--pst-color-background, #fff)"/>`;
    });
    const edge = BAR.left + pixels * state.device;
    const time = (b) => Math.max(state.overhead, b / state.speed);
    const now = time(state.batch_size);
    const whole = `${bytes(total)}, ${total <= state.device ? "fits" : "does not fit"}`;
    const peak = `${Math.round((100 * state.batch_size) / now / state.speed)} %`;
    const sizes = grid(5);
    return {
      head: ["memory and time", "value"],
      rows: [
        ...parts.map(([part, size, look]) => [part, bytes(size), look]),
        ["total", whole],
        ["time of a step", seconds(now)],
        ["rows a second", number(state.batch_size / now)],
        ["share of the peak", peak],
      ],
      spoken: `Memory ${whole}; step ${seconds(now)}; ${peak} of the peak`,
      height: LOW,
      legend: [...parts.map(([part, , look]) => [part, look]), ["device", THEORY], ["your batch", { colour: BLUE, shape: DISC }]],
      goals: [
        ["Find the largest batch that fits.", total <= state.device && total + parts[2][1] > state.device],
        ["Make a step fit that reaches 90 % of the peak.", total <= state.device && state.batch_size >= 0.9 * now * state.speed],
      ],
      picture: `${bar}${line(`M${tenth(edge)} ${BAR.top - 6}v${BAR.height + 12}`, THEORY)}
<text x="${tenth(edge)}" y="12" text-anchor="${edge < 120 ? "start" : "end"}">device memory</text>`
        + plane.axes("batch size b", "seconds a step")
        + clipped(name, plane.frame,
          plane.curve(sizes, sizes.map(time), { colour: BLUE }) + spot([plane.x(state.batch_size), plane.y(now)], { colour: BLUE })),
    };
  }

  return { draw, held };
};

/** Messages in a row, and arrays through the busiest link, as in gd.allreduce_seconds. */
const MESSAGES = {
  ring: (p) => [2 * (p - 1), (2 * (p - 1)) / p],
  tree: (p) => [2 * Math.log2(p), (2 * (p - 1)) / p],
  star: (p) => [p > 1 ? 2 : 0, 2 * (p - 1)],
};
const MOST = 1e9; // workers: the figure ends long before

/** Seconds of computing and of communication in a step of P workers, as gd.data_parallel_step. */
function parallelStep(p, state) {
  const [messages, arrays] = MESSAGES[state.method](p);
  const talk = messages * state.latency + (arrays * state.n_parameters * state.bytes) / state.bandwidth;
  const work = (state.batch_size * state.sample) / (state.scaling === "weak" ? 1 : p);
  return [work, talk / state.local_steps];
}

/** The P from which communication takes as long as computing, by halving, as gd.balanced_workers. */
function balance(state) {
  const busy = (p) => { const [work, talk] = parallelStep(p, state); return work > talk; };
  let [low, high] = [1, 2];
  while (busy(high)) {
    [low, high] = [high, 2 * high];
    if (high > 1e300) return Infinity;
  }
  for (;;) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) return high;
    if (busy(middle)) low = middle;
    else high = middle;
  }
}

KINDS.scaling = ({ name }) => {
  const plane = new LogPlane(CHART, [0, 6], [-6, 4]);
  const shares = [
    ["computing", { colour: BLUE, dash: "9 3" }],
    ["communication", { colour: RED, dash: "3 2" }],
    ["step", { colour: "currentColor", width: 7, fade: 0.35 }],
  ];
  const counts = grid(6);

  function draw(state) {
    const p = state.n_workers;
    const step = (workers) => { const [work, talk] = parallelStep(workers, state); return [work, talk, work + talk]; };
    const [steps, now] = [counts.map(step), step(p)];
    const even = balance(state);
    const gain = ((state.scaling === "weak" ? p : 1) * state.batch_size * state.sample) / now[2];
    const talking = percent(now[1] / now[2]);
    return {
      head: [`with ${several(count(p), "worker")}`, "value"],
      rows: [
        ...shares.map(([share, look], i) => [share, seconds(now[i]), look]),
        ["communication's share of the step", talking],
        ["rows a second", number(gain / state.sample)],
        ["times as fast as one worker", number(gain)],
        ["share of the perfect speed-up", percent(gain / p)],
        ["more communication than computing from P =", even < MOST ? number(even) : "none up to 10⁹"],
      ],
      spoken: `${several(count(p), "worker")}: ${talking} of the step is communication; ${number(gain)} times as fast as one`,
      height: LOW,
      legend: [...shares, ["both equal", THEORY], ["your P", { colour: "currentColor", shape: DISC }]],
      goals: [
        ["Be 100 times as fast as one worker.", gain >= 100],
        ["Keep 1,000 workers or more at half the perfect speed-up.", p >= 1000 && gain / p >= 0.5],
      ],
      picture: plane.axes("workers P", "seconds a step") + clipped(name, CHART,
        each(shares, ([, look], i) => plane.curve(counts, steps.map((parts) => parts[i]), look))
        + line(`M${tenth(plane.x(Math.min(even, MOST)))} ${CHART.top}v${CHART.height}`, THEORY)
        + spot([plane.x(p), plane.y(now[2])], { colour: "currentColor" })),
    };
  }

  return { draw, step: parallelStep, balance };
};

KINDS.price = ({ name }) => {
  const sizes = grid(6);
  const [noisy, busy, both] = [{ colour: RED, dash: "3 2" }, { colour: BLUE, dash: "9 3" }, { colour: "currentColor", width: 3 }];

  /** Steps, rows and seconds to the target, each as a multiple of its least. */
  function multiples(b, { overhead, speed, noise }) {
    const knee = speed * overhead;
    const [steps, samples] = [1 + noise / b, 1 + b / noise];
    return { knee, best: Math.sqrt(noise * knee), steps, samples, time: (steps * (1 + b / knee)) / (1 + Math.sqrt(noise / knee)) ** 2 };
  }

  function draw(state) {
    const [{ knee, best, steps, samples, time }, b] = [multiples(state.batch_size, state), state.batch_size];
    const least = (1 + Math.sqrt(state.noise / knee)) ** 2;
    const plane = new LogPlane(CHART, [0, 6], [-1, 3]);
    const spent = sizes.map((size) => multiples(size, state).time);
    return {
      height: LOW,
      legend: [["time to the target", both], ["fixed cost of the steps", noisy], ["time of the rows", busy], ["b*", THEORY], ["your b", { colour: PINK, shape: DISC }]],
      head: ["from your numbers", "value"],
      rows: [
        ["knee of the machine, b₀ = r t₀", several(number(knee), "row")],
        ["noise scale, B", several(number(state.noise), "row")],
        ["b* = √(B b₀)", several(number(best), "row"), THEORY],
        [`time with b = ${count(b)}, of the least`, number(time), { colour: PINK, shape: DISC }],
        ["its steps, of the fewest", number(steps)],
        ["its rows, of the fewest", number(samples)],
      ],
      spoken: `b* is ${number(best)}; with b = ${count(b)} the time is ${number(time)} times the least`,
      goals: [
        ["Choose b within 10 % of the least time.", time <= 1.1],
        ["Find numbers with which one row at a time is best.", best <= 1],
        ["Make b* ten thousand or more.", best >= 1e4],
      ],
      picture: plane.axes("batch size b", "time to the target, of the least") + clipped(name, CHART,
        plane.curve(sizes, sizes.map((size) => (1 + state.noise / size) / least), noisy)
        + plane.curve(sizes, sizes.map((size) => ((1 + size / state.noise) * state.noise) / knee / least), busy)
        + plane.curve(sizes, spent, both)
        + line(`M${tenth(plane.x(best))} ${CHART.top}v${CHART.height}`, THEORY)
        + spot([plane.x(b), plane.y(time)], { colour: PINK })),
    };
  }

  return { draw, multiples };
};

/* Figures over counts and costs: steps, samples, bytes and seconds. */
(() => {
"use strict";
const gd = globalThis.gdExplorer;
const { COLOURS, LogPlane, THEORY, control, count, number, percent, rowsOf, spot, tag, unit } = gd;

const FRAME = { left: 52, top: 26, width: 378, height: 274 };

/** The whole decades that hold some positive values: one at least. */
function decades(values) {
  const powers = values.map(Math.log10);
  const low = Math.floor(Math.min(...powers));
  return [low, Math.max(low + 1, Math.ceil(Math.max(...powers)))];
}

const grid = (n) => Array.from({ length: 10 * n + 1 }, (_, k) => 10 ** (k / 10));

gd.kinds.axes = (data) => {
  const { runs, perRow } = data;
  const first = Math.max(...runs.map((run) => run.excess[0]));
  const up = decades([first, ...runs.flatMap((run) => run.excess).filter((excess) => 0 < excess && excess < first)]);
  const names = { steps: "steps", samples: "samples seen", seconds: "seconds" };
  const words = {
    target: (value) => `${number(100 * value)} %`,
    overhead: (value) => unit(value, "s"),
  };
  const seconds = (run, state) => run.step.map((step, k) => step * state.overhead + run.samples[k] * perRow);
  const across = (run, state) => ({ steps: run.step, samples: run.samples, seconds: seconds(run, state) })[state.axis];

  function draw(state) {
    const xs = runs.map((run) => across(run, state));
    const plane = new LogPlane(FRAME, decades(xs.flat().filter((x) => x > 0)), up);
    const rows = runs.map((run) => {
      const k = run.excess.findIndex((excess) => excess < state.target * first);
      const cells = k < 0
        ? Array(3).fill(run.diverged ? "diverged" : "not reached")
        : [count(run.step[k]), count(run.samples[k]), unit(seconds(run, state)[k], "s")];
      return [run.name, cells, COLOURS[run.name]];
    });
    const place = Object.keys(names).indexOf(state.axis);
    const spoken = `To the target: ${rows.map(([name, cells]) => `${name}, ${cells[place]}`).join("; ")}`;
    const lines = runs.map((run, i) => plane.curve(xs[i], run.excess, { stroke: COLOURS[run.name] }));
    return {
      head: ["to the dashed line", "steps", "samples", "time"],
      rows,
      spoken,
      label: `Excess loss of ${runs.map((run) => run.name).join(", ")} against ${names[state.axis]}, both on logarithmic axes, and a dashed line at the target, ${words.target(state.target)} of the first. ${spoken}.`,
      picture: gd.legend(runs.map(({ name }) => [name, COLOURS[name]]), FRAME.left)
        + plane.axes(names[state.axis], "excess loss J − J*")
        + gd.clipped(data.name, FRAME, lines.join(""))
        + tag("path", { ...THEORY, d: `M${FRAME.left} ${gd.tenth(plane.y(state.target * first))}h${FRAME.width}` }),
    };
  }

  const controls = [
    control(data, "axis", "Horizontal axis", { names: Object.values(names) }),
    control(data, "target", "Target: share of the first excess loss", { words: words.target }),
    control(data, "overhead", "Fixed cost of a step, whatever b", { words: words.overhead }),
  ];
  return { controls, draw };
};

const PARTS = {
  parameters: COLOURS["full batch"], gradients: COLOURS["mini-batch"], activations: COLOURS.SGD, "optimiser state": COLOURS.third,
};

gd.kinds.memory = (data) => {
  const bar = { left: 10, top: 24, width: 420, height: 26 };
  const plane = new LogPlane({ left: 52, top: 92, width: 378, height: 208 }, [0, 5], [-6, 3]);
  const seconds = (b, state) => Math.max(state.overhead, b / state.speed);

  /** Bytes of a training step by what holds them, as gd.training_memory. */
  function held({ n_parameters: p, activations, batch_size: b, bytes, states }) {
    return [bytes * p, bytes * p, bytes * activations * b, bytes * states * p];
  }

  function draw(state) {
    const bytes = held(state);
    const total = bytes.reduce((a, b) => a + b);
    const scale = bar.width / Math.max(total, state.device);
    const edge = bar.left + scale * state.device;
    let x = bar.left;
    const parts = Object.values(PARTS).map((fill, i) => {
      const part = tag("rect", { x, y: bar.top, width: scale * bytes[i], height: bar.height, fill });
      x += scale * bytes[i];
      return part;
    });
    const time = seconds(state.batch_size, state);
    const peak = `${Math.round((100 * state.batch_size) / time / state.speed)} %`;
    const whole = `${unit(total, "B")}, ${total <= state.device ? "fits" : "does not fit"}`;
    const rows = [
      ...Object.entries(PARTS).map(([name, colour], i) => [name, [unit(bytes[i], "B")], colour]),
      ["total", [whole]],
      ["time of a step", [unit(time, "s")]],
      ["rows a second", [number(state.batch_size / time)]],
      ["share of the peak", [peak]],
    ];
    const spoken = `Memory ${whole}; step ${unit(time, "s")}; ${peak} of the peak`;
    const sizes = grid(5);
    return {
      head: ["memory and time", "value"],
      rows,
      spoken,
      label: `Above, a bar of the memory of a training step, by what holds it, beside the memory of the device. Below, the seconds of a step against the batch size, both logarithmic: the shortest step or, where that is more, a time in proportion to the rows. ${spoken}.`,
      picture: parts.join("")
        + tag("path", { ...THEORY, d: `M${gd.tenth(edge)} ${bar.top - 6}v${bar.height + 12}` })
        + tag("text", { x: edge, y: 14, "text-anchor": edge < 120 ? "start" : "end" }, "device memory")
        + plane.axes("batch size b", "seconds a step")
        + gd.clipped(data.name, plane.frame,
          plane.curve(sizes, sizes.map((b) => seconds(b, state)), { stroke: COLOURS["full batch"] })
          + spot([plane.x(state.batch_size), plane.y(time)], COLOURS["full batch"])),
    };
  }

  const methods = { 0: "gradient descent: none", 1: "momentum: 1", 2: "Adam: 2", 6: "Adam in mixed precision: 6" };
  const { bytes, states } = data.controls;
  const controls = [
    control(data, "n_parameters", "Parameters of the model", { words: number }),
    control(data, "activations", "Values kept per row for the backward pass", { words: number }),
    control(data, "batch_size", "Batch size", { words: rowsOf }),
    control(data, "bytes", "Bytes of a value", { names: bytes.values.map(String) }),
    control(data, "states", "Values of optimiser state a parameter", { names: states.values.map((k) => methods[k] || String(k)) }),
    control(data, "device", "Memory of the device", { words: (value) => unit(value, "B") }),
    control(data, "overhead", "Shortest step, t₀", { words: (value) => unit(value, "s") }),
    control(data, "speed", "Rows a second at most, r", { words: number }),
  ];
  return { controls, draw, held };
};

/** Messages in a row, and arrays through the busiest link, as in gd.allreduce_seconds. */
const MESSAGES = {
  ring: (p) => [2 * (p - 1), (2 * (p - 1)) / p],
  tree: (p) => [2 * Math.log2(p), (2 * (p - 1)) / p],
  star: (p) => [p > 1 ? 2 : 0, 2 * (p - 1)],
};
const SHARES = { computing: COLOURS["full batch"], communication: COLOURS.SGD, step: "currentColor" };
const MOST = 1e9; // workers: the figure ends long before

/** Seconds of computing and of communication in a step of P workers, as gd.data_parallel_step. */
function step(p, state) {
  const [messages, arrays] = MESSAGES[state.method](p);
  const talk = messages * state.latency + (arrays * state.n_parameters * state.bytes) / state.bandwidth;
  const work = (state.batch_size * state.sample) / (state.scaling === "weak" ? 1 : p);
  return [work, talk / state.local_steps];
}

/** The P from which communication takes as long as computing, by halving, as gd.balanced_workers. */
function balance(state) {
  const busy = (p) => { const [work, talk] = step(p, state); return work > talk; };
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

gd.kinds.scaling = (data) => {
  const plane = new LogPlane(FRAME, [0, 6], [-6, 4]);

  function draw(state) {
    const p = state.n_workers;
    const counts = grid(6);
    const steps = counts.map((each) => step(each, state));
    const curve = (part, attributes) => plane.curve(counts, steps.map(part), attributes);
    const [work, talk] = step(p, state);
    const total = work + talk;
    const even = balance(state);
    const gain = ((state.scaling === "weak" ? p : 1) * state.batch_size * state.sample) / total;
    const rows = [
      ["computing", unit(work, "s"), SHARES.computing],
      ["communication", unit(talk, "s"), SHARES.communication],
      ["step", unit(total, "s"), SHARES.step],
      ["communication's share of the step", percent(talk / total)],
      ["rows a second", number(gain / state.sample)],
      ["times as fast as one worker", number(gain)],
      ["share of the perfect speed-up", percent(gain / p)],
      ["more communication than computing from P =", even < MOST ? number(even) : "none up to 10⁹"],
    ].map(([name, cell, colour]) => [name, [cell], colour]);
    const spoken = `${count(p)} workers: ${percent(talk / total)} of the step is communication; ${number(gain)} times as fast as one`;
    const where = even <= 1e6 ? `, and a dashed line where the first two are equal, at ${number(even)}` : "";
    return {
      head: [`with ${count(p)} workers`, "value"],
      rows,
      spoken,
      label: `Seconds of a step against the number of workers, both logarithmic: computing, communication and their sum${where}. ${spoken}.`,
      picture: gd.legend(Object.entries(SHARES), FRAME.left)
        + plane.axes("workers P", "seconds a step")
        + gd.clipped(data.name, FRAME,
          curve((s) => s[0], { stroke: SHARES.computing })
          + curve((s) => s[1], { stroke: SHARES.communication })
          + curve((s) => s[0] + s[1], { stroke: SHARES.step, "stroke-width": "7", "stroke-opacity": "0.3" })
          + tag("path", { ...THEORY, d: `M${gd.tenth(plane.x(Math.min(even, MOST)))} ${FRAME.top}v${FRAME.height}` })
          + spot([plane.x(p), plane.y(total)], "currentColor")),
    };
  }

  const controls = [
    control(data, "n_workers", "Workers, P", { words: count }),
    control(data, "scaling", "Every step", { names: ["one batch, cut into P parts", "a batch of its own for each worker"] }),
    control(data, "batch_size", "Rows b of that batch", { words: count }),
    control(data, "sample", "Time of a row on one worker", { words: (value) => unit(value, "s") }),
    control(data, "n_parameters", "Parameters of the model", { words: number }),
    control(data, "bytes", "Bytes of a value", { names: data.controls.bytes.values.map(String) }),
    control(data, "bandwidth", "Bandwidth of a worker's link", { words: (value) => `${unit(value, "B")}/s` }),
    control(data, "latency", "Latency of a message", { words: (value) => unit(value, "s") }),
    control(data, "method", "Who talks to whom", { names: ["a ring", "a tree (halving and doubling)", "a star: all with one"] }),
    control(data, "local_steps", "Local steps between two averages", { words: count }),
  ];
  return { controls, draw, step, balance };
};
})();

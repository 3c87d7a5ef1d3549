/* Figures over what a chapter has measured: a map of batch sizes and rates, orders of the rows, a picture. */

const SHADES = 14; // of a map, from dark to light, two to the factor of ten or more
const GREY = { colour: "#999", shape: SQUARE };

KINDS.valley = ({ name, sizes, rates, excess, limits, rows, start }) => {
  const [across, up] = [PLANE.width / sizes.length, PLANE.height / rates.length];
  const x = (i) => PLANE.left + across * (i + 0.5);
  const y = (j) => PLANE.top + PLANE.height - up * (j + 0.5);
  const bottom = Math.min(...excess.flat().map((error) => error ?? Infinity));
  const best = excess.map((errors) => errors.reduce((found, error, j) => (error !== null && error < (errors[found] ?? Infinity) ? j : found), 0));
  const shade = (error) => (error === null ? SHADES : Math.min(SHADES - 1, Math.floor((SHADES * Math.log(error / bottom)) / Math.log(start / bottom))));
  const ink = (k) => `hsl(${210 - 5 * k} ${70 - 2 * k}% ${18 + 5 * k}%)`;
  const cells = Array.from({ length: SHADES + 1 }, () => "");
  excess.forEach((errors, i) => errors.forEach((error, j) => {
    cells[shade(error)] += `M${tenth(PLANE.left + across * i)} ${tenth(y(j) - up / 2)}h${tenth(across)}v${tenth(up)}h${tenth(-across)}z`;
  }));
  const map = each(cells, (d, k) => d && `<path d="${d}" fill="${k < SHADES ? ink(k) : GREY.colour}" stroke="none"/>`);
  const height = (rate) => PLANE.top + PLANE.height - up * (0.5 + (Math.log(rate / rates[0]) / Math.log(rates.at(-1) / rates[0])) * (rates.length - 1));
  const limit = { ...THEORY, colour: RED, width: 3 };
  const tuned = { colour: AMBER, width: 2, shape: "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0" };
  const frozen = { colour: PINK, dash: "7 3", shape: DISC };
  const cuts = new LogPlane(LOSSES, [0, 1], decades([bottom, start]));

  function draw(state) {
    const [i, j] = [sizes.indexOf(state.batch_size), rates.indexOf(state.learning_rate)];
    const error = excess[i][j];
    const curve = (errors, look) => polyline(errors.map((value, k) => [x(k), value && cuts.y(value)]).filter((point) => point[1]), look);
    const lowest = excess.map((errors, k) => errors[best[k]]);
    const shown = error === null ? "no better than the start" : number(error);
    const ticks = (values, place, every, word) => values.map((value, k) => [place(k), k % every ? "" : word(value)]);
    return {
      height: TALL,
      legend: [["stability limit", limit], ["α tuned for its b", tuned], ["α kept, and your cell", frozen], ["no better than the start", GREY]],
      head: ["the same work for all", "αL", "error at the end"],
      rows: [
        [`yours, ${several(count(rows / state.batch_size), "step")}`, [number(state.learning_rate), shown], frozen],
        ["the best α for your b", [number(rates[best[i]]), number(lowest[i])], tuned],
        ["limit for your b", [number(limits[i]), "grows"], limit],
        ["the best of all", [number(rates[best[lowest.indexOf(bottom)]]), number(bottom)]],
      ],
      spoken: `b = ${state.batch_size}, αL = ${number(state.learning_rate)}: ${shown}`,
      goals: [
        ["Find a cell within 5 % of the lowest error that there is.", error !== null && error <= 1.05 * bottom],
        ["Find the largest b that is within a quarter of it.", error !== null && error <= 1.25 * bottom && lowest.every((value, k) => k <= i || value > 1.25 * bottom)],
        ["Stand beyond the limit, where it grows.", error === null && state.learning_rate >= limits[i]],
      ],
      picture: axes(PLANE, ticks(sizes, x, 2, String), decadeTicks(decades(rates), height).filter(([place]) => holds(PLANE, [x(0), place])), "batch size b", "")
        + clipped(name, PLANE, `${map}${polyline(limits.map((rate, k) => [x(k), height(rate)]), limit)}${each(best, (k, place) => spot([x(place), y(k)], tuned))}`)
        + spot([x(i), y(j)], { colour: PINK, shape: DISC })
        + `<text class="gd-callout" x="${PLANE.left + 6}" y="${PLANE.top + 13}">αL, the learning rate</text>`
        + axes(LOSSES, ticks(sizes, x, 2, String), decadeTicks(cuts.up, (v) => cuts.y(v), 4), "batch size b", "error at the end, α kept and tuned")
        + clipped(`${name}-cuts`, LOSSES, curve(excess.map((errors) => errors[j]), frozen) + curve(lowest, tuned)
          + (error === null ? "" : spot([x(i), cuts.y(error)], { colour: PINK }))),
    };
  }

  const nearest = (value, length) => clamp(Math.round(value), 0, length - 1);
  const handle = {
    name: "Your cell",
    by: [across, up],
    at: ({ batch_size, learning_rate }) => [x(sizes.indexOf(batch_size)), y(rates.indexOf(learning_rate))],
    move(state, point) {
      state.batch_size = sizes[nearest((point[0] - x(0)) / across, sizes.length)];
      state.learning_rate = rates[nearest((y(0) - point[1]) / up, rates.length)];
    },
    says: ({ batch_size, learning_rate }) => `b = ${batch_size}, αL = ${number(learning_rate)}`,
  };
  return { draw, handle };
};

KINDS.orders = ({ name, schemes, n, steps, controls }) => {
  const names = Object.keys(schemes);
  const looks = names.map((_, k) => ({ colour: [BLUE, RED, PINK, GREEN, AMBER][k], dash: ["8 3", "3 2", "", "10 2 2 2", "5 5"][k], width: 2 }));
  const strip = { ...PLANE, height: 250 };
  const below = { ...LOSSES, top: 306, height: 118 };
  const row = (value) => strip.top + (strip.height * (value + 0.5)) / n;

  function draw(state) {
    const place = controls.learning_rate.values.indexOf(state.learning_rate);
    const [chosen, k] = [names.indexOf(state.scheme), state.step];
    const errors = names.map((scheme) => schemes[scheme].errors[place]); // after 1 to n rows
    const plane = new Timeline(below, steps, decades(errors.flat()));
    const quarters = [0, 1, 2, 3, 4].map((quarter) => (quarter * steps) / 4);
    const column = (t) => strip.left + (strip.width * t) / steps;
    const after = (scheme, t) => errors[scheme][(t + n - 1) % n];
    const until = (scheme, last) => polyline(plane.points([...Array(last + 1).keys()], Array.from({ length: last + 1 }, (_, t) => after(scheme, t))),
      scheme === chosen ? { ...looks[scheme], width: 3 } : { ...looks[scheme], width: 1, fade: 0.6 });
    const read = schemes[state.scheme].order.slice(0, k);
    const dots = each(read, (value, t) => `M${tenth(column(t + 0.5))} ${tenth(row(value))}h0`);
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const [ends, averages] = [errors.map((values) => values.at(-1)), errors.map(mean)];
    const different = new Set(schemes[state.scheme].order.slice(0, n)).size;
    return {
      height: TALL,
      legend: [...names.map((scheme, i) => [scheme, looks[i]]), ["a row that is read", { colour: looks[chosen].colour, shape: "M-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0" }]],
      head: ["squared distance to ★", "end of an epoch", "middle", "mean"],
      rows: names.map((scheme, i) => [scheme, [ends[i], errors[i][n / 2 - 1], averages[i]].map(number), looks[i]]),
      spoken: `After ${several(count(k), "row")}, ${state.scheme}: ${number(after(chosen, k))}; an epoch reads ${different} different rows of ${n}`,
      goals: [
        ["Choose the order that is closest at the end of an epoch.", ends[chosen] === Math.min(...ends)],
        ["Choose the one that is closest on average.", averages[chosen] === Math.min(...averages)],
        ["Choose one that misses rows in an epoch.", different < n],
      ],
      picture: axes(strip, quarters.map((t) => [column(t), String(t)]), linearTicks(0, n).filter(([value]) => value < n).map(([value, text]) => [row(value), text]), "", "the row that is read, of two epochs")
        + clipped(name, strip, `<path d="${dots}" stroke="${looks[chosen].colour}" stroke-width="5" stroke-linecap="round"/><path d="M${tenth(column(n))} ${strip.top}v${strip.height}" stroke="#999"/>`)
        + axes(below, quarters.map((t) => [column(t), String(t)]), decadeTicks(plane.up, (v) => plane.y(v), 4), "rows read", "mean squared distance to ★")
        + clipped(`${name}-errors`, below, each(names, (_, i) => (i === chosen ? "" : until(i, steps))) + until(chosen, k)
          + spot([plane.x(k), plane.y(after(chosen, k))], looks[chosen])),
    };
  }

  return { draw };
};

/** Shades from 0 to 255 as a picture in the frame: a bitmap, whose rows are a multiple of four long. */
function grey(values, width, { left, top, width: wide, height }) {
  const file = new DataView(new ArrayBuffer(1078 + values.length));
  [[0, 0x4d42], [2, file.byteLength], [10, 1078], [14, 40], [18, width], [22, -values.length / width], [26, 0x80001]]
    .forEach(([place, value]) => file.setInt32(place, value, true));
  for (let k = 0; k < 256; k++) file.setInt32(54 + 4 * k, 0x10101 * k, true);
  values.forEach((value, k) => file.setUint8(1078 + k, clamp(Math.round(value), 0, 255)));
  const text = btoa(String.fromCharCode(...new Uint8Array(file.buffer)));
  return `<image href="data:image/bmp;base64,${text}" x="${left}" y="${top}" width="${wide}" height="${height}" preserveAspectRatio="none" style="image-rendering:pixelated"/>`;
}

const AROUND = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1], [2, 2]];

KINDS.filling = ({ name, colours, width, rows, runs, steps }) => {
  const code = atob(colours);
  const colour = (i, j, c) => code.charCodeAt(3 * (i * (width + 2) + j) + c);
  const places = Array.from({ length: code.length / 3 / (width + 2) - 2 }, (_, i) => Array.from({ length: width }, (__, j) => [i, j])).flat();
  const truth = places.map(([i, j]) => colour(i + 1, j + 1, 1));
  const around = places.map(([i, j]) => AROUND.flatMap(([down, right]) => [0, 1, 2].map((c) => colour(i + down, j + right, c))));
  const fill = ([level, ...weights]) => around.map((values) => values.reduce((sum, value, k) => sum + weights[k] * value, level));
  const off = (values) => Math.sqrt(values.reduce((sum, value, k) => sum + (value - truth[k]) ** 2, 0) / truth.length);
  const guess = off(around.map((values) => (values[4] + values[10] + values[13] + values[19]) / 4));
  const errors = runs.map((run) => run.weights.map((weights) => off(fill(weights))));
  const plane = new LogPlane(LOSSES, decades(rows), decades(runs.flatMap((run) => run.excess)));
  const strip = { ...PLANE, height: 54 };
  const below = (k) => ({ ...strip, top: 22 + 70 * k });
  const titled = (title, values, k) => `<text x="${strip.left}" y="${below(k).top - 4}">${title}</text>${grey(values, width, below(k))}`;
  const at = ({ place }, k) => place[k];
  const made = (run, k) => count(run.steps[at(run, k)]);
  const first = rows.findIndex((_, k) => errors[1][at(runs[1], k)] < guess);

  function draw({ step: k }) {
    const now = runs.map((run) => several(made(run, k), "step"));
    const curves = runs.map((run) => trace(plane.points(rows.slice(0, k + 1), run.place.slice(0, k + 1).map((place) => run.excess[place])), LOOKS[run.name], LOSSES));
    return {
      height: TALL,
      legend: runs.map((run) => [run.name, LOOKS[run.name]]),
      head: [`after ${count(rows[k])} rows`, "steps", "J / J*", "grey levels off"],
      rows: [
        ...runs.map((run, i) => [run.name, [made(run, k), number(1 + run.excess[at(run, k)]), number(errors[i][at(run, k)])], LOOKS[run.name]]),
        ["mean of four neighbours", ["", "", number(guess)]],
      ],
      spoken: `After ${count(rows[k])} rows. ${runs.map((run, i) => `${run.name}, ${now[i]}: ${number(errors[i][at(run, k)])} grey levels off`).join("; ")}`,
      goals: [
        ["Stop where the full batch has just made its first step.", runs[0].steps[at(runs[0], k)] === 1 && k < steps],
        ["Stop where the mini-batch is first better than the mean of four.", k === first],
      ],
      picture: titled("as photographed", truth, 0)
        + each(runs, (run, i) => titled(`${run.name}, ${now[i]}`, fill(run.weights[at(run, k)]), i + 1))
        + plane.axes("rows read", "J / J* − 1")
        + clipped(name, LOSSES, each(curves, ({ path }) => path)) + each(curves, ({ mark }) => mark),
      seek: (point) => (holds(LOSSES, point) ? rows.reduce((near, value, t) => (Math.abs(plane.x(value) - point[0]) < Math.abs(plane.x(rows[near]) - point[0]) ? t : near), 1) : null),
      moment: (t) => line(`M${tenth(plane.x(rows[t]))} ${LOSSES.top}v${LOSSES.height}`, { ...THEORY, name: "", width: 1 }),
    };
  }

  return { draw };
};

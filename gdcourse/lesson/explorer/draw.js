/* Numbers as text, pictures as SVG, tables as HTML: no page is needed.
 *
 * The scripts of this folder are one program and share their names. */

/** A kind of figure takes the data that Python embeds, and returns what draws a state of its controls. */
const KINDS = {};

// Numbers

const raised = (power) => String(power).replace(/[-\d]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
const minus = (text) => text.replace(/-/g, "−");

/** Three digits, in powers of ten where that is shorter. */
function number(value) {
  if (!Number.isFinite(value)) return "∞";
  const rounded = Number(value.toPrecision(3));
  const size = Math.abs(rounded);
  if (rounded === 0 || (size >= 1e-4 && size < 1e4)) return minus(String(rounded));
  const [digits, power] = value.toExponential(2).split("e");
  const factor = Number(digits) === 1 ? "" : `${Number(digits)}·`;
  return minus(`${factor}10${raised(Number(power))}`);
}

const count = (value) => Math.round(value).toLocaleString("en-US");
const percent = (share) => `${number(Number((100 * share).toPrecision(2)))} %`;

/** A value in the first of the units that is not larger, or in the last. */
function unit(value, units) {
  const [name, size] = units.find((pair) => value >= pair[1]) || units.at(-1);
  return `${number(value / size)} ${name}`;
}

const seconds = (value) => unit(value, [["s", 1], ["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]]);
const bytes = (value) => unit(value, [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3], ["B", 1]]);

/** A count that is written already, and what is counted. */
const several = (text, name) => `${text} ${name}${text === "1" ? "" : "s"}`;

/** What the value of a control is called. */
const WORDS = {
  number,
  count,
  seconds,
  bytes,
  bandwidth: (value) => `${bytes(value)}/s`,
  share: (value) => `${number(100 * value)} %`,
  rows: (value) => `b = ${several(String(value), "row")}`,
  rate: (value) => `α = ${number(value)}`,
  momentum: (value) => `β = ${value}`,
  decay: (value) => (value ? `decay = ${value}` : "none"),
  step: (value, values) => `${value} of ${values.length - 1}`,
};

// Pictures

const WIDTH = 440; // of every picture, in units of its own
const [BLUE, GREEN, RED, PINK, AMBER] = ["#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00"];
const DISC = "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0";
const SQUARE = "M-4.5-4.5h9v9h-9z";
const TRIANGLE = "M0-6L5.5 4.5h-11z";
const RING = "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0M-4 0a4 4 0 1 1 8 0a4 4 0 1 1-8 0";
const ARROW = "M-13-6L0 0L-13 6L-10 0z"; // its tip is its place

/** A look is a colour and, as far as it has them, dashes, a width, a fade, and the shape of a mark. */
const THEORY = { colour: "currentColor", dash: "6 4", width: 1.8, name: "gd-theory" };
const START = { colour: "currentColor", shape: RING };
const LOOKS = { // one for one variant, in the colours of gdcourse's other figures
  "full batch": { colour: BLUE, width: 2, shape: DISC },
  "mini-batch": { colour: GREEN, width: 2, dash: "9 3", shape: SQUARE },
  SGD: { colour: RED, width: 1.6, dash: "3 1.5", shape: TRIANGLE },
};

const tenth = (value) => String(Number(value.toFixed(1))); // of a pixel
const each = (values, write) => values.map(write).join("");

const stroke = ({ colour, width = 2, dash, fade }) =>
  `fill="none" stroke="${colour}" stroke-width="${width}"${dash ? ` stroke-dasharray="${dash}"` : ""}${fade ? ` stroke-opacity="${fade}"` : ""}`;

const polyline = (points, look) =>
  `<polyline points="${points.map(([x, y]) => `${tenth(x)},${tenth(y)}`).join(" ")}" ${stroke(look)}/>`;

const line = (d, look) => `<path ${look.name ? `class="${look.name}" ` : ""}d="${d}" ${stroke(look)}/>`;

/** The mark of a look, turned by so many degrees. */
const spot = ([x, y], { colour, shape = DISC }, turn = 0) =>
  `<path class="gd-spot" d="${shape}" transform="translate(${tenth(x)} ${tenth(y)})${turn ? ` rotate(${tenth(turn)})` : ""}" fill="${colour}"/>`;

/** A line and a mark as large as a word, to stand before their name. */
const sample = (look) => look.colour ? `<svg class="gd-sample" viewBox="0 0 28 14" width="28" height="14" aria-hidden="true">${
  look.dash || look.width ? line("M0 7h28", look) : ""}${look.shape ? spot([14, 7], look) : ""}</svg>` : "";

const holds = ({ left, top, width, height }, [x, y]) => x >= left && x <= left + width && y >= top && y <= top + height;

/** A path of points, cut where it leaves the frame for good, and a mark at its end: there, an arrow. */
function trace(points, look, { left, top, width, height }) {
  const frame = { left: left - 0.05, top: top - 0.05, width: width + 0.1, height: height + 0.1 };
  const last = points.findLastIndex((point) => holds(frame, point));
  if (last < 0) return { at: points[0], path: "", mark: "" };
  const near = points.slice(0, last + 1).filter((point) => point.every(Number.isFinite));
  const [from, to] = [points[last], points[last + 1]];
  if (!to) return { at: from, path: polyline(near, look), mark: spot(from, look) };
  const far = (value) => (Math.abs(value) < 1e9 ? value : value < 0 ? -1e9 : 1e9);
  const step = to.map((value, k) => far(value) - from[k]);
  const share = Math.min(...step.map((move, k) => {
    const edge = [left, top][k] + (move > 0 ? [width, height][k] : 0);
    return move ? (edge - from[k]) / move : 1;
  }));
  const at = from.map((value, k) => value + share * step[k]);
  const turn = (Math.atan2(step[1], step[0]) * 180) / Math.PI;
  return { at, path: polyline([...near, at], look), mark: spot(at, { ...look, shape: ARROW }, turn || 360) };
}

/** Texts beside points, one below the other where they would touch, each with a line to its point. */
function callouts(entries, { left, top, width, height }) {
  const size = 15;
  const sorted = entries.toSorted((one, other) => one.at[1] - other.at[1]);
  const [xs, lengths] = [sorted.map(({ at }) => at[0]), sorted.map(({ text }) => 7 * text.length)];
  const right = Math.max(...xs) + 16 + Math.max(...lengths) <= left + width;
  const edge = right ? Math.max(...xs) + 16 : Math.max(Math.min(...xs) - 16, left + Math.max(...lengths));
  let y = Math.min(sorted[0]?.at[1] - size / 2, top + height - size * sorted.length) - size / 2;
  return each(sorted, ({ at, text, look }) => {
    y = Math.max(y + size, at[1], top + size / 2);
    if (y > top + height - 4) y = top + height - 4;
    const [x, by] = [tenth(edge), tenth(y)];
    return `<path d="M${at.map(tenth).join(" ")}L${tenth(edge + (right ? -3 : 3))} ${by}" stroke="${look.colour}" stroke-width=".8"/>
<text class="gd-callout" x="${x}" y="${tenth(y + 4)}" text-anchor="${right ? "start" : "end"}">${text}</text>`;
  });
}

/** Two axes with their ticks, pairs of a place and a text. */
function axes({ left, top, width, height }, across, up, xLabel, yLabel) {
  const bottom = top + height;
  const ticks = each(across, ([x]) => `M${tenth(x)} ${bottom}v4`) + each(up, ([y]) => `M${left} ${tenth(y)}h-4`);
  return `<path d="M${left} ${top}v${height}h${width}${ticks}" fill="none" stroke="currentColor" stroke-width=".8"/>
<g class="gd-x" text-anchor="middle">${each(across, ([x, text]) => `<text x="${tenth(x)}" y="${bottom + 17}">${text}</text>`)}</g>
<g text-anchor="end">${each(up, ([y, text]) => `<text x="${left - 7}" y="${tenth(y + 4)}">${text}</text>`)}</g>
<text text-anchor="middle" x="${left + width / 2}" y="${bottom + 34}">${xLabel}</text>
<text class="gd-callout" x="${left + 6}" y="${top + 11}">${yLabel}</text>`;
}

/** Of what is drawn inside, only what lies in the frame is seen. */
const clipped = (name, { left, top, width, height }, inside) =>
  `<clipPath id="gd-${name}-frame"><rect x="${left}" y="${top}" width="${width}" height="${height}"/></clipPath>
<g clip-path="url(#gd-${name}-frame)">${inside}</g>`;

/** Multiples of 1, 2 or 5 times a power of ten, about five of them: value and text. */
function linearTicks(low, high) {
  const rough = (high - low) / 5;
  const power = Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * 10 ** power).find((value) => value >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, k) => {
    const value = (first + k) * step;
    return [value, minus(String(Number(value.toFixed(Math.max(0, -power)))))];
  });
}

/** A plane whose axes show the decades from the first to the second power of ten. */
class LogPlane {
  constructor(frame, across, up) {
    Object.assign(this, { frame, across, up });
  }

  x(value) {
    const [low, high] = this.across;
    return this.frame.left + (this.frame.width * (Math.log10(value) - low)) / (high - low);
  }

  y(value) {
    const [low, high] = this.up;
    return this.frame.top + this.frame.height - (this.frame.height * (Math.log10(value) - low)) / (high - low);
  }

  curve(xs, ys, look) {
    return polyline(this.points(xs, ys).filter((point) => point.every(Number.isFinite)), look);
  }

  points(xs, ys) {
    return xs.map((x, k) => [this.x(x), this.y(ys[k])]).filter(([x, y]) => Number.isFinite(x) && !Number.isNaN(y));
  }

  axes(xLabel, yLabel) {
    return axes(this.frame, this.ticks(), decadeTicks(this.up, (v) => this.y(v)), xLabel, yLabel);
  }

  ticks() {
    return decadeTicks(this.across, (v) => this.x(v));
  }
}

function decadeTicks([low, high], place, most = 7) {
  const found = [];
  for (let p = low; p <= high; p += Math.ceil((high - low) / most)) found.push([place(10 ** p), `10${raised(p)}`]);
  return found;
}

/** The same with an even axis across, from 0 to `across`, whose ticks `word` writes. */
class Timeline extends LogPlane {
  x(value) {
    return this.frame.left + (this.frame.width * value) / this.across;
  }

  ticks(word = (value, text) => text) {
    return linearTicks(0, this.across).map(([value, text]) => [this.x(value), word(value, text)]);
  }
}

// Figures

/** What is chosen before a reader's hand comes. */
const firstState = ({ controls, start }) => ({
  ...Object.fromEntries(Object.entries(controls).map(([key, { value }]) => [key, value])),
  ...(start && { start }),
});

/** What a picture always shows, and how it stands. */
const describe = ({ label }, { spoken }) => `${label} ${spoken}.`;

/** Rows of a name, one or more cells, and perhaps a look, under their head. */
function table({ head, rows }) {
  const lines = each(rows, ([name, cells, look]) =>
    `<tr><th scope="row">${look ? sample(look) : ""}${name}</th>${each([cells].flat(), (cell) => `<td>${cell}</td>`)}</tr>`);
  return `<thead><tr>${each(head, (title) => `<th scope="col">${title}</th>`)}</tr></thead><tbody>${lines}</tbody>`;
}

const legend = (drawn) => each(drawn.legend, ([name, look]) => `<span>${sample(look)}${name}</span>`);

/** A figure as drawn: what its marks mean, the picture, and its numbers. */
const html = (data, drawn) => `<div class="gd-figure gd-${data.kind}"><div class="gd-picture">\
<p class="gd-legend">${legend(drawn)}</p>\
<div class="gd-stage"><svg viewBox="0 0 ${WIDTH} ${drawn.height}" role="img" aria-label="${describe(data, drawn)}" font-size="12" \
fill="currentColor">${drawn.picture}</svg></div></div>
<table class="gd-numbers">${table(drawn)}</table></div>`;

/** A figure before any hand has moved it. */
const still = (data) => html(data, KINDS[data.kind](data).draw(firstState(data)));

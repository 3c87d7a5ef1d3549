/* Numbers as text, pictures as SVG, tables as HTML: no page is needed.
 *
 * The scripts of this folder are one program and share their names. */

/** A kind of figure takes the data that Python embeds, and returns what draws a state of its controls. */
const KINDS = {};

// Numbers

const raised = (power) => String(power).replace(/[-\d]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
const minus = (text) => text.replace(/-/g, "−");

/** Four digits, in powers of ten where that is shorter. */
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
const percent = (share) => `${number(Number((100 * share).toPrecision(2)))} %`;

/** A value in the first of the units that is not larger, or in the last. */
function unit(value, units) {
  const [name, size] = units.find((pair) => value >= pair[1]) || units.at(-1);
  return `${number(value / size)} ${name}`;
}

const seconds = (value) => unit(value, [["s", 1], ["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]]);
const bytes = (value) => unit(value, [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3], ["B", 1]]);

/** What the value of a control is called. */
const WORDS = {
  number,
  count,
  seconds,
  bytes,
  bandwidth: (value) => `${bytes(value)}/s`,
  share: (value) => `${number(100 * value)} %`,
  rows: (value) => (value === 1 ? "b = 1 row" : `b = ${value} rows`),
  rate: (value) => `α = ${number(value)}`,
  momentum: (value) => `β = ${value}`,
  decay: (value) => (value ? `decay = ${value}` : "none"),
  step: (value, values) => `${value} of ${values.length - 1}`,
};

// Pictures

const [BLUE, GREEN, RED, PINK, AMBER] = ["#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00"];
const THEORY = 'class="gd-theory" fill="none" stroke="currentColor" stroke-width="1.8" stroke-dasharray="6 4"';

const tenth = (value) => String(Number(value.toFixed(1))); // of a pixel
const each = (values, write) => values.map(write).join("");

function polyline(points, colour, more = "") {
  const places = points.map(([x, y]) => `${tenth(x)},${tenth(y)}`);
  return `<polyline points="${places.join(" ")}" fill="none" stroke="${colour}" ${more}/>`;
}

const spot = ([x, y], colour) => `<circle cx="${tenth(x)}" cy="${tenth(y)}" r="5" fill="${colour}"/>`;

/** Names with their colours, side by side above a picture. */
function legend(entries, left) {
  return each(entries, ([text, colour]) => {
    const mark = `${spot([left + 5, 12], colour)}<text x="${left + 15}" y="16">${text}</text>`;
    left += 30 + 7 * text.length;
    return mark;
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
<text text-anchor="middle" transform="translate(12 ${top + height / 2}) rotate(-90)">${yLabel}</text>`;
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

  curve(xs, ys, colour, more = 'stroke-width="2"') {
    const points = xs.map((x, k) => [x, ys[k]]).filter(([x, y]) => x > 0 && y > 0);
    return polyline(points.map(([x, y]) => [this.x(x), this.y(y)]), colour, more);
  }

  axes(xLabel, yLabel) {
    const ticks = ([low, high], place) => {
      const found = [];
      for (let p = low; p <= high; p += Math.ceil((high - low) / 7)) found.push([place(10 ** p), `10${raised(p)}`]);
      return found;
    };
    return axes(this.frame, ticks(this.across, (v) => this.x(v)), ticks(this.up, (v) => this.y(v)), xLabel, yLabel);
  }
}

// Figures

/** What is chosen before a reader's hand comes. */
const firstState = ({ controls }) => Object.fromEntries(Object.entries(controls).map(([key, { value }]) => [key, value]));

/** What a picture always shows, and how it stands. */
const describe = ({ label }, { spoken }) => `${label} ${spoken}.`;

/** Rows of a name, one or more cells, and perhaps a colour, under their head. */
function table({ head, rows }) {
  const lines = each(rows, ([name, cells, colour]) => {
    const swatch = colour ? `<i style="background:${colour}"></i>` : "";
    return `<tr><th scope="row">${swatch}${name}</th>${each([cells].flat(), (cell) => `<td>${cell}</td>`)}</tr>`;
  });
  return `<thead><tr>${each(head, (title) => `<th scope="col">${title}</th>`)}</tr></thead><tbody>${lines}</tbody>`;
}

/** A figure as drawn. */
const html = (data, drawn) =>
  `<div class="gd-picture"><svg viewBox="0 0 440 345" role="img" aria-label="${describe(data, drawn)}" font-size="12" \
fill="currentColor">${drawn.picture}</svg></div>
<table class="gd-numbers">${table(drawn)}</table>`;

/** A figure before any hand has moved it. */
const still = (data) => html(data, KINDS[data.kind](data).draw(firstState(data)));

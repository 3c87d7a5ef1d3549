/* Numbers as text, and pictures and tables as the text of SVG and HTML: no page is needed.
 *
 * A kind of figure is a function of the data that Python embeds. It returns its `controls` and
 * `draw`, which makes of the state of the controls what `html` below writes down. */
(() => {
"use strict";
const gd = (globalThis.gdExplorer ??= { kinds: {} });

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
const rowsOf = (value) => (value === 1 ? "b = 1 row" : `b = ${value} rows`);
const percent = (share) => `${number(Number((100 * share).toPrecision(2)))} %`;

const UNITS = {
  s: [["s", 1], ["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]],
  B: [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3], ["B", 1]],
};

function unit(value, kind) {
  const [name, size] = UNITS[kind].find((pair) => value >= pair[1]) || UNITS[kind].at(-1);
  return `${number(value / size)} ${name}`;
}

// Pictures

/** The colours of the variants are those of gdcourse's figures. */
const COLOURS = {
  "full batch": "#0072B2", "mini-batch": "#009E73", SGD: "#D55E00", third: "#CC79A7", fourth: "#E69F00",
};
const THEORY = { class: "gd-theory", fill: "none", stroke: "currentColor", "stroke-width": "1.8", "stroke-dasharray": "6 4" };

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const tenth = (value) => String(Number(value.toFixed(1))); // of a pixel

/** An element; numbers among its attributes are pixels. */
function tag(name, attributes, inside = "") {
  const written = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${typeof value === "number" ? tenth(value) : escape(value)}"`);
  return `<${name}${written.join("")}>${inside}</${name}>`;
}

const polyline = (points, attributes) =>
  tag("polyline", { points: points.map((point) => point.map(tenth).join(",")).join(" "), fill: "none", ...attributes });

const spot = ([cx, cy], fill) => tag("circle", { cx, cy, r: 5, fill });

/** Names with their colours, side by side above a picture. */
function legend(entries, left) {
  return entries.map(([text, colour]) => {
    const mark = spot([left + 5, 12], colour) + tag("text", { x: left + 15, y: 16 }, text);
    left += 30 + 7 * text.length;
    return mark;
  }).join("");
}

/** Two axes with their ticks, pairs of a place and a text. */
function axes({ left, top, width, height }, across, up, xLabel, yLabel) {
  const bottom = top + height;
  const marks = [
    `M${left} ${top}v${height}h${width}`,
    ...across.map(([x]) => `M${tenth(x)} ${bottom}v4`),
    ...up.map(([y]) => `M${left} ${tenth(y)}h-4`),
  ];
  return tag("path", { d: marks.join(""), fill: "none", stroke: "currentColor", "stroke-width": "0.8" })
    + tag("g", { class: "gd-x", "text-anchor": "middle" },
      across.map(([x, text]) => tag("text", { x, y: bottom + 17 }, text)).join("")
      + tag("text", { class: "gd-x-label", x: left + width / 2, y: bottom + 34 }, xLabel))
    + tag("g", { class: "gd-y", "text-anchor": "end" },
      up.map(([y, text]) => tag("text", { x: left - 7, y: y + 4 }, text)).join(""))
    + tag("text", { "text-anchor": "middle", transform: `translate(12 ${top + height / 2}) rotate(-90)` }, yLabel);
}

/** Of what is drawn inside, only what lies in the frame is seen. */
function clipped(name, { left, top, width, height }, inside) {
  const id = `gd-${name}-frame`;
  return tag("clipPath", { id }, tag("rect", { x: left, y: top, width, height }))
    + tag("g", { "clip-path": `url(#${id})` }, inside);
}

/** Multiples of 1, 2 or 5 times a power of ten, about five of them: value and text. */
function ticks(low, high) {
  const rough = (high - low) / 5;
  const power = Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * 10 ** power).find((value) => value >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) {
    const text = String(Number((k * step).toFixed(Math.min(100, Math.max(0, -power)))));
    found.push([k * step, minus(text === "-0" ? "0" : text)]);
  }
  return found;
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

  curve(xs, ys, attributes) {
    const points = xs.map((x, k) => [x, ys[k]]).filter(([x, y]) => x > 0 && y > 0);
    return polyline(points.map(([x, y]) => [this.x(x), this.y(y)]), { "stroke-width": "2", ...attributes });
  }

  axes(xLabel, yLabel) {
    const powers = ([low, high], place) => {
      const found = [];
      for (let p = low; p <= high; p += Math.ceil((high - low) / 7)) found.push([place(10 ** p), `10${raised(p)}`]);
      return found;
    };
    return axes(this.frame, powers(this.across, (v) => this.x(v)), powers(this.up, (v) => this.y(v)), xLabel, yLabel);
  }
}

// Figures

/** A control: its key, its label, the values that Python gave it, and words or names for them. */
const control = (data, key, label, more) => ({ key, label, ...data.controls[key], ...more });

/** What is chosen before a reader's hand comes. */
const first = (controls) => Object.fromEntries(controls.map(({ key, value }) => [key, value]));

/** A figure as drawn: a picture with its label, and a table of head and rows of name, cells, colour. */
function html({ picture, label, head, rows }) {
  const svg = { viewBox: "0 0 440 345", role: "img", "aria-label": label, "font-size": "12", fill: "currentColor", xmlns: "http://www.w3.org/2000/svg" };
  const lines = rows.map(([name, cells, colour]) => {
    const swatch = colour ? `<i style="background:${colour}"></i>` : "";
    return `<tr><th scope="row">${swatch}${name}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  return `<div class="gd-picture">${tag("svg", svg, picture)}</div>`
    + `<table class="gd-numbers"><thead><tr>${head.map((title) => `<th scope="col">${title}</th>`).join("")}</tr></thead>`
    + `<tbody>${lines.join("")}</tbody></table>`;
}

/** A figure before any hand has moved it, with the code that it has a reader edit. */
function still(data) {
  const { controls, draw } = gd.kinds[data.kind](data);
  return html(draw(first(controls))) + (data.code ? `<pre class="gd-code"><code>${escape(data.code)}</code></pre>` : "");
}

Object.assign(gd, {
  COLOURS, LogPlane, THEORY, axes, clipped, control, count, first, html, legend, number, percent, polyline, rowsOf, spot,
  still, tag, tenth, ticks, unit,
});
})();

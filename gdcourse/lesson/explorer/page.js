/* In the page: the controls of the figures, and what a reader's hand does with them. */
(() => {
"use strict";
const gd = globalThis.gdExplorer;

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function button(label, act) {
  const node = make("button", { type: "button" }, label);
  node.addEventListener("click", act);
  return node;
}

/** One polite voice for the page: it speaks when the reader's hand rests. */
const voice = make("div", { class: "gd-unseen", "aria-live": "polite", id: "gd-voice" });
let pause;
function say(text) {
  clearTimeout(pause);
  pause = setTimeout(() => { voice.textContent = text; }, 500);
}

// Controls: each makes its elements and a way to set it; `state` holds what is chosen

function slider({ key, label, values, words }, id, state, changed) {
  const input = make("input", { type: "range", id, min: 0, max: values.length - 1, step: 1 });
  const shown = make("output", { for: id });
  const show = () => {
    state[key] = values[input.value];
    shown.textContent = words(state[key]);
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  input.addEventListener("input", () => { show(); changed(key); });
  const node = make("div", { class: "gd-slider" }, make("label", { for: id }, label), shown, input);
  return [node, (value) => { input.value = values.indexOf(value); show(); }];
}

function choice({ key, label, values, names }, id, state, changed) {
  const input = make("select", { id }, ...names.map((name, k) => make("option", { value: k }, name)));
  input.addEventListener("change", () => { state[key] = values[input.value]; changed(key); });
  const node = make("div", { class: "gd-choice" }, make("label", { for: id }, label), input);
  return [node, (value) => { input.value = values.indexOf(value); state[key] = value; }];
}

function checkbox({ key, label }, id, state, changed) {
  const input = make("input", { type: "checkbox", id });
  input.addEventListener("change", () => { state[key] = input.checked; changed(key); });
  const node = make("label", { class: "gd-check" }, input, label);
  return [node, (value) => { input.checked = value; state[key] = value; }];
}

// A figure

/** Write what has changed of a drawn figure into the page, and leave the rest as it is. */
function update(root, drawn) {
  const svg = root.querySelector("svg");
  svg.setAttribute("aria-label", drawn.label);
  svg.innerHTML = drawn.picture;
  const fresh = make("template");
  fresh.innerHTML = gd.html({ ...drawn, picture: "" });
  const cells = [root, fresh.content].map((whole) => whole.querySelectorAll(".gd-numbers :is(th, td)"));
  cells[0].forEach((cell, i) => {
    if (cell.innerHTML !== cells[1][i].innerHTML) cell.innerHTML = cells[1][i].innerHTML;
  });
}

/** Buttons that play the steps from the first to the last. */
function player(state, last, go) {
  let playing = null;
  const play = button("Play", () => {
    if (playing) { halt(); return go(state.step); }
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return go(last);
    const stride = Math.max(1, Math.round(last / 100));
    play.textContent = "Pause";
    playing = setInterval(() => {
      const next = Math.min(last, state.step + stride);
      if (next === last) halt(); // first, so that the last step is announced
      go(next);
    }, 80);
    if (state.step === last) go(0);
  });

  function halt() {
    clearInterval(playing);
    playing = null;
    play.textContent = "Play";
  }

  const forward = button("One step", () => { halt(); go((state.step + 1) % (last + 1)); });
  return { nodes: [play, forward], halt, get playing() { return playing !== null; } };
}

/** Give a figure its controls. */
function enliven(root) {
  const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const figure = gd.kinds[data.kind](data);
  const state = {};
  const setters = {};
  const panel = make("div", { class: "gd-controls", role: "group", "aria-label": "Controls of the figure" });
  for (const control of figure.controls) {
    const kind = control.words ? slider : control.names ? choice : checkbox;
    const [node, set] = kind(control, `${root.id}-${control.key}`, state, changed);
    set(control.value);
    setters[control.key] = set;
    panel.append(node);
  }
  const last = data.steps;
  const moves = last && player(state, last, (step) => { setters.step(step); changed("step"); });
  const reset = button("Reset", () => {
    moves?.halt();
    for (const { key, value } of figure.controls) setters[key](value);
    changed("reset");
  });
  panel.append(make("div", { class: "gd-buttons" }, ...(moves?.nodes || []), reset));
  const editor = data.code && new gd.Editor(data, figure.problem, state, root.id, () => changed("step"));

  function changed(key) {
    if (key !== "step") editor?.forget();
    const drawn = figure.draw(state);
    update(root, drawn);
    if (!moves?.playing) say(drawn.spoken);
  }

  root.innerHTML = gd.html(figure.draw(state)); // as it stands there already, where Python had Node
  root.querySelector(".gd-picture").after(...[panel, editor?.panel].filter(Boolean));
  root.classList.add("gd-alive");
  root.explorer = { figure, state };
}

function start() {
  const roots = document.querySelectorAll(".gd-explorer");
  if (roots.length) document.body.append(voice);
  for (const root of roots) {
    try {
      enliven(root);
    } catch (error) { // the others still move
      console.error(`The figure ${root.id} stays still.`, error);
    }
  }
  performance.mark("gd-alive");
}

Object.assign(gd, { button, make, say });
// Once the page is parsed: DOMContentLoaded would wait for the script of the formulas.
if (document.readyState === "loading") document.addEventListener("readystatechange", start, { once: true });
else start();
})();

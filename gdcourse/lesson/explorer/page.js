/* In the page: the controls of the figures, and what a reader's hand does with them. */

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

// Controls: each tells `chosen` what a hand has chosen, and returns its element and a way to set it

function slider({ label, values, words }, id, chosen) {
  const input = make("input", { type: "range", id, min: 0, max: values.length - 1, step: 1 });
  const shown = make("output", { for: id });
  const show = () => {
    shown.textContent = WORDS[words](values[input.value], values);
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  input.addEventListener("input", () => { show(); chosen(values[input.value]); });
  const node = make("div", { class: "gd-slider" }, make("label", { for: id }, label), shown, input);
  return [node, (value) => { input.value = values.indexOf(value); show(); }];
}

function choice({ label, values, names }, id, chosen) {
  const input = make("select", { id }, ...names.map((name, k) => make("option", { value: k }, name)));
  input.addEventListener("change", () => chosen(values[input.value]));
  const node = make("div", { class: "gd-choice" }, make("label", { for: id }, label), input);
  return [node, (value) => { input.value = values.indexOf(value); }];
}

function checkbox({ label }, id, chosen) {
  const input = make("input", { type: "checkbox", id });
  input.addEventListener("change", () => chosen(input.checked));
  return [make("label", { class: "gd-check" }, input, label), (value) => { input.checked = value; }];
}

// A figure

/** Buttons that go through the steps: in silence, but for the step on which a figure comes to rest. */
function player(state, last, go) {
  let playing = null;
  const play = button("Play", () => {
    if (playing) { halt(); go(state.step); return; }
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) { go(last); return; }
    play.textContent = "Pause";
    playing = setInterval(() => {
      const next = Math.min(last, state.step + Math.max(1, Math.round(last / 100)));
      if (next === last) halt();
      go(next, next < last);
    }, 80);
    if (state.step === last) go(0, true);
  });

  function halt() {
    clearInterval(playing);
    playing = null;
    play.textContent = "Play";
  }

  const forward = button("One step", () => { halt(); go((state.step + 1) % (last + 1)); });
  return { buttons: [play, forward], halt };
}

/** Give a figure its controls. */
function enliven(root) {
  const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const figure = KINDS[data.kind](data);
  const state = firstState(data);
  const panel = make("div", { class: "gd-controls", role: "group", "aria-label": "Controls of the figure" });
  const setters = {};
  for (const [key, control] of Object.entries(data.controls)) {
    const kind = control.words ? slider : control.names ? choice : checkbox;
    const [node, set] = kind(control, `${root.id}-${key}`, (value) => { state[key] = value; changed(key); });
    set(state[key]);
    setters[key] = set;
    panel.append(node);
  }
  const steps = data.steps && player(state, data.steps, (step, silent) => {
    setters.step(state.step = step);
    changed("step", silent);
  });
  const reset = button("Reset", () => {
    steps?.halt();
    for (const [key, value] of Object.entries(firstState(data))) setters[key](state[key] = value);
    changed("reset");
  });
  panel.append(make("div", { class: "gd-buttons" }, ...(steps?.buttons || []), reset));
  const editor = data.code && new Editor(root.id, data, figure.problem, state, () => changed("step"));

  function changed(key, silent) {
    if (key !== "step") editor?.forget();
    const drawn = figure.draw(state);
    const svg = root.querySelector("svg");
    svg.setAttribute("aria-label", describe(data, drawn));
    svg.innerHTML = drawn.picture;
    root.querySelector(".gd-numbers").innerHTML = table(drawn);
    if (!silent) say(drawn.spoken);
  }

  root.innerHTML = html(data, figure.draw(state)); // what stands there already, where Python had Node
  root.querySelector(".gd-picture").after(panel, ...(editor ? [editor.panel] : []));
  root.classList.add("gd-alive");
  root.explorer = { ...figure, state };
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
}

// A figure that a cell has made anew in the page.
document.addEventListener("gd-enliven", ({ target }) => enliven(target));

// Once the page is parsed: DOMContentLoaded would wait for the script of the formulas.
if (document.readyState === "loading") document.addEventListener("readystatechange", start, { once: true });
else start();

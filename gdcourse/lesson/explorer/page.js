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
const REST = 500; // milliseconds
let pause;
function say(text) {
  clearTimeout(pause);
  pause = setTimeout(() => { voice.textContent = text; }, REST);
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

/** The choice of a state that shows something. */
function presets(states, id, chosen) {
  const input = make("select", { id }, make("option", { value: "" }, "…"), ...Object.keys(states).map((name) => make("option", {}, name)));
  input.addEventListener("change", () => { if (input.value) chosen(states[input.value]); });
  return make("div", { class: "gd-choice" }, make("label", { for: id }, "Show me"), input);
}

// A figure

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Where in the picture a finger or a mouse is. */
const inside = (svg, { clientX, clientY }) => {
  const { x, y } = new DOMPoint(clientX, clientY).matrixTransform(svg.getScreenCTM().inverse());
  return [x, y];
};

/** A button over the picture that a hand drags, and what puts it where the state is. */
function grip({ name, by, at, move, says }, svg, state, moved) {
  const node = make("button", { type: "button", class: "gd-handle" });
  const to = (point) => { move(state, point); moved(); };
  node.addEventListener("pointerdown", (event) => node.setPointerCapture(event.pointerId));
  node.addEventListener("pointermove", (event) => { if (node.hasPointerCapture(event.pointerId)) to(inside(svg, event)); });
  node.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    to(at(state).map((value, k) => value + way[k] * by[k]));
  });
  return [node, () => {
    const sides = [WIDTH, svg.viewBox.baseVal.height];
    [node.style.left, node.style.top] = at(state).map((value, k) => `${(100 * value) / sides[k]}%`);
    node.setAttribute("aria-label", `${name}: ${says(state)}. Drag it, or press the arrow keys.`);
  }];
}

/** Buttons that go through the steps: in silence, but for the step on which a figure comes to rest. */
function player(state, last, go) {
  let playing = null;
  let alone; // no hand has asked for it

  function halt() {
    clearInterval(playing);
    playing = null;
    play.textContent = "Play";
  }

  /** From the first step to the last; `unasked` stays silent to the end, unless a hand comes in. */
  function run(unasked = false) {
    alone = unasked;
    if (calm.matches) { go(last, alone); return; }
    play.textContent = "Pause";
    playing = setInterval(() => {
      const next = Math.min(last, state.step + Math.max(1, Math.round(last / 100)));
      if (next === last) halt();
      go(next, alone || next < last);
    }, 80);
    if (state.step === last) go(0, true);
  }

  const play = button("Play", () => {
    if (playing) { halt(); go(state.step); } else run();
  });
  const by = (steps) => () => { halt(); go(Math.max(0, Math.min(last, state.step + steps))); };
  const back = button("Back", by(-1));
  back.setAttribute("aria-label", "One step back");
  addEventListener("beforeprint", () => { halt(); go(last, true); });
  return { buttons: [play, back, button("One step", by(1))], halt, run, playing: () => playing !== null, join() { alone = false; } };
}

/** Goals, each with a mark once it was met. */
function targets(goals) {
  const met = new Set();
  const lines = goals.map(([text]) => make("li", {}, text));
  return [make("ul", { class: "gd-goals", "aria-label": "Goals" }, ...lines), (now) => now.filter(([, reached], k) => {
    if (!reached || met.has(k)) return false;
    met.add(k);
    lines[k].classList.add("gd-met");
    lines[k].append(make("span", { class: "gd-unseen" }, " Met."));
    return true;
  }).map(([text]) => ` Goal met: ${text}`).join("")];
}

// The address: `#figure.control=value&…`, for what differs from the first state

const address = () => [...new URLSearchParams(location.hash.slice(1))].filter(([key]) => key.includes("."));
const hash = (entries) => new URLSearchParams(entries).toString().replaceAll("%2C", ",");

/** What the address says of a figure, as far as its controls have it, or null. */
function fromAddress({ name, controls, start }) {
  const found = {};
  for (const [key, text] of address()) {
    const [figure, part] = key.split(".");
    if (figure !== name) continue;
    const values = controls[part]?.values || [true, false];
    if (controls[part]) found[part] = values.find((value) => String(value) === text) ?? controls[part].value;
    const place = text.split(",").map(Number);
    if (part === "start" && start && place.length === 2 && place.every(Number.isFinite)) found.start = place;
  }
  return Object.keys(found).length ? found : null;
}

/** Give a figure its controls. */
function enliven(root) {
  const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const figure = KINDS[data.kind](data);
  const state = firstState(data);
  let resting;
  let drawn = figure.draw(state);
  root.innerHTML = html(data, drawn); // what stands there already, where Python had Node
  const svg = root.querySelector(".gd-stage > svg");
  const panel = make("div", { class: "gd-controls", role: "group", "aria-label": "Controls of the figure" });
  const rare = make("details", { class: "gd-more" }, make("summary", {}, "More controls"));
  const setters = {};
  for (const [key, control] of Object.entries(data.controls)) {
    const kind = control.words ? slider : control.names ? choice : checkbox;
    const [node, set] = kind(control, `${root.id}-${key}`, (value) => { state[key] = value; changed(key); });
    setters[key] = set;
    (control.rare ? rare : panel).append(node);
  }
  if (data.presets) panel.prepend(presets(data.presets, `${root.id}-presets`, (values) => set({ ...firstState(data), ...values })));
  if (rare.childElementCount > 1) panel.append(rare);
  const steps = data.steps && player(state, data.steps, (step, silent) => {
    state.step = step;
    changed("step", silent);
  });
  const copy = button("Copy link", async () => {
    const link = `${location.href.split("#")[0]}#${hash(own())}`;
    await navigator.clipboard.writeText(link).then(
      () => { copy.textContent = "Copied"; },
      () => { location.hash = hash(own()); copy.textContent = "It is in the address"; },
    );
    say("The link to this state is copied.");
    setTimeout(() => { copy.textContent = "Copy link"; }, 2000);
  });
  panel.append(make("div", { class: "gd-buttons" }, ...(steps?.buttons || []), button("Reset", () => set(firstState(data))), copy));
  const [goals, reach] = targets(drawn.goals || []);
  if (drawn.goals?.length) panel.append(goals);
  const editor = data.code && new Editor(root.id, data, figure.problem, state, () => changed("own"));
  if (editor) panel.prepend(editor.panel);
  const [handle, place] = figure.handle ? grip(figure.handle, svg, state, () => changed("handle")) : [];
  if (handle) svg.after(handle);

  function set(values) {
    steps?.halt();
    Object.assign(state, values);
    changed("all");
  }

  /** What differs from the first state; while the steps run, all but the step. */
  function own() {
    const first = firstState(data);
    return Object.keys(first).filter((key) => String(state[key]) !== String(first[key]) && !(key === "step" && steps.playing()))
      .map((key) => [`${data.name}.${key}`, String(state[key])]);
  }

  function changed(key, silent) {
    if (!["step", "own"].includes(key)) {
      editor?.again();
      steps?.join();
      if (steps && !steps.playing() && (key === "handle" || state.step === 0)) state.step = data.steps;
    }
    drawn = figure.draw(state);
    svg.setAttribute("aria-label", describe(data, drawn));
    svg.innerHTML = `${drawn.picture}<g class="gd-moment"></g>`;
    root.querySelector(".gd-legend").innerHTML = legend(drawn);
    root.querySelector(".gd-numbers").innerHTML = table(drawn);
    for (const each of Object.keys(setters)) setters[each](state[each]);
    place?.();
    if (silent) return;
    say(drawn.spoken + reach(drawn.goals || []));
    clearTimeout(resting);
    resting = setTimeout(() => {
      const rest = address().filter(([other]) => !other.startsWith(`${data.name}.`));
      history.replaceState(history.state, "", `#${hash([...rest, ...own()])}`);
    }, REST);
  }

  // The mouse over a curve, and the hand on it
  const seek = (event) => drawn.seek?.(inside(svg, event)) ?? null;
  svg.addEventListener("pointermove", (event) => {
    const step = seek(event);
    svg.classList.toggle("gd-seeks", step !== null);
    if (step !== null && svg.hasPointerCapture(event.pointerId)) { state.step = step; changed("step"); }
    const mark = svg.querySelector(".gd-moment");
    if (mark) mark.innerHTML = step === null ? "" : drawn.moment(step);
  });
  svg.addEventListener("pointerdown", (event) => {
    const step = seek(event);
    if (step === null) return;
    svg.setPointerCapture(event.pointerId);
    steps.halt();
    state.step = step;
    changed("step");
  });
  svg.addEventListener("pointerleave", () => svg.querySelector(".gd-moment")?.replaceChildren());

  function restore(scroll) {
    const found = fromAddress(data);
    if (!found) return false;
    steps?.halt();
    Object.assign(state, firstState(data), found);
    if (found.start) figure.handle.move(state, figure.handle.at(state)); // into the frame
    if (scroll) root.scrollIntoView();
    return true;
  }
  addEventListener("hashchange", () => { if (restore()) changed("all", true); });

  const fresh = performance.getEntriesByType("navigation")[0]?.type === "navigate";
  const restored = restore(fresh && address()[0]?.[0].startsWith(`${data.name}.`));
  if (steps && !restored && !calm.matches) {
    state.step = 0;
    const seen = new IntersectionObserver(([entry]) => {
      if (!entry.isIntersecting) return;
      seen.disconnect();
      if (state.step === 0 && !steps.playing()) steps.run(true);
    }, { threshold: 0.6 });
    seen.observe(svg);
  }
  root.querySelector(".gd-picture").after(panel);
  root.classList.add("gd-alive");
  changed("step", true);
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

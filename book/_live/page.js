// Run, edit and reset the code cells of a page.
import { make, Outputs } from "./outputs.js";
import { loadScript, Runtime } from "./runtime.js";

const root = document.documentElement;
const article = document.querySelector(".bd-article");
const NAME = location.pathname.split("/").pop().replace(/\.html$/, "");

// What the reader has changed

const KEY = `gdcourse live ${location.pathname}`;
let kept = true;
let changes = {};
try {
  changes = JSON.parse(localStorage.getItem(KEY)) || {};
} catch {
  kept = false;
}

function keep() {
  try {
    if (Object.keys(changes).length) localStorage.setItem(KEY, JSON.stringify(changes));
    else localStorage.removeItem(KEY);
  } catch {
    kept = false;
  }
  panel.show();
}

// The tools that come with the first run or the first click into a cell

let tools = null;
function loadTools() {
  tools ||= loadScript("editor.js").then(() => globalThis.gdLiveTools);
  return tools;
}

/** One polite voice for the page, the figures' where there is one. */
function say(text) {
  let voice = document.getElementById("gd-voice");
  if (!voice) {
    voice = make("div", { class: "gd-live-unseen", "aria-live": "polite", id: "gd-voice" });
    document.body.append(voice);
  }
  voice.textContent = text;
}

function button(label, act, attributes = {}) {
  const node = make("button", { type: "button", ...attributes }, label);
  node.addEventListener("click", act);
  return node;
}

function seconds(since) {
  const took = (performance.now() - since) / 1000;
  return took < 10 ? `${took.toFixed(1)} s` : `${took.toFixed(0)} s`;
}

class Cell {
  constructor(node, number) {
    Object.assign(this, { node, number, name: `<cell ${number}>`, ran: null, editor: null });
    this.pre = node.querySelector(".cell_input pre");
    this.original = this.pre.textContent.replace(/\n$/, "");
    this.coloured = [...this.pre.childNodes];
    this.stored = node.querySelector(":scope > .cell_output");
    this.output = null;
    this.text = changes[this.key()] ?? this.original;
    this.furnish();
    this.mark(node.classList.contains("tag_runs-in-jupyter") ? "skipped" : "idle");
    if (this.state === "skipped") {
      this.bar.replaceChildren("Runs in Jupyter, not in a page.");
      return;
    }
    if (this.text !== this.original) this.pre.textContent = `${this.text}\n`;
    this.pre.addEventListener("click", (event) => this.clicked(event));
  }

  /** By what a change of this cell is kept: a cell that the book has changed is another one. */
  key() {
    let hash = 7;
    for (const character of this.original) hash = (Math.imul(hash, 31) + character.codePointAt(0)) | 0;
    return `${this.number} ${hash}`;
  }

  furnish() {
    this.runButton = button("Run", () => this.run(), { "aria-label": `Run cell ${this.number}` });
    this.editButton = button("Edit", () => this.edit(), { "aria-label": `Edit cell ${this.number}` });
    this.resetButton = button("Reset", () => this.reset(), { "aria-label": `Reset cell ${this.number}` });
    this.status = make("span", { class: "gd-live-status" });
    this.bar = make("div", { class: "gd-live-bar" }, this.runButton, this.editButton, this.resetButton, this.status);
    const input = this.node.querySelector(":scope > details, :scope > .cell_input");
    input.after(this.bar);
    // A letter that is typed here is no shortcut of the page's.
    this.pre.parentElement.addEventListener("keydown", (event) => event.stopPropagation());
    this.resetButton.hidden = this.text === this.original;
  }

  mark(state, words = "") {
    this.state = this.node.dataset.live = state;
    this.status.textContent = words;
  }

  /** A click into the code makes an editor of it; one that ends a selection does not. */
  clicked() {
    const selection = getSelection();
    if (!selection.isCollapsed) return;
    const before = document.createRange();
    before.selectNodeContents(this.pre);
    if (this.pre.contains(selection.anchorNode)) before.setEnd(selection.anchorNode, selection.anchorOffset);
    this.edit(before.toString().length);
  }

  async edit(at) {
    const { edit } = await loadTools();
    const details = this.node.querySelector(":scope > details");
    if (details) details.open = true;
    this.editor ||= edit({
      parent: this.pre.parentElement,
      text: this.text,
      label: `Code of cell ${this.number}; Shift and Enter run it`,
      at,
      changed: (text) => this.changed(text),
      run: () => this.run(),
    });
    this.pre.hidden = true;
    this.editButton.hidden = true;
    this.editor.focus();
  }

  changed(text) {
    this.text = text;
    this.pre.textContent = `${text}\n`; // what the copy button copies
    const edited = text !== this.original;
    this.resetButton.hidden = !edited;
    if (edited) changes[this.key()] = text;
    else delete changes[this.key()];
    if (this.state !== "waiting" && this.state !== "running") {
      this.mark("idle", edited ? "changed, not run" : "");
    }
    keep();
  }

  /** Bring back the code and the results of the book. */
  reset() {
    if (this.editor) this.editor.set(this.original);
    this.changed(this.original);
    this.pre.replaceChildren(...this.coloured);
    this.output?.remove();
    this.output = null;
    if (this.stored) this.stored.hidden = false;
    this.editor?.mark(null);
    say(`Cell ${this.number} is as the book has it.`);
    this.runButton.focus();
  }

  run() {
    session.run(this);
  }

  /** Run this cell alone; what it said before stays until it says something new. */
  async execute(runtime) {
    const changed = this.ran !== null && this.ran !== this.text;
    const since = performance.now();
    const source = this.text;
    const helpers = await loadTools();
    const output = make("div", { class: "cell_output docutils container" });
    const alts = source === this.original ? [...(this.stored?.querySelectorAll("img") || [])].map((image) => image.alt) : [];
    const outputs = new Outputs(output, alts, helpers);
    let placed = false;
    const place = () => {
      if (placed) return;
      placed = true;
      if (this.stored) this.stored.hidden = true;
      this.output?.remove();
      this.output = output;
      this.node.append(output);
    };
    this.editor?.mark(null);
    this.mark("running", "running …");
    const clock = setInterval(() => { this.status.textContent = `running … ${seconds(since)}`; }, 1000);
    let fault = null;
    try {
      const outcome = await runtime.run(this.name, source, (message) => {
        place();
        outputs.add(message);
        if (message.kind === "error") fault = message;
      });
      place();
      this.ran = source;
      if (fault) this.failed(fault, outcome);
      else this.mark("done", `ran in ${seconds(since)}`);
      return { outcome, changed, fault };
    } finally {
      clearInterval(clock);
    }
  }

  failed({ name, line, cell, claim }, outcome) {
    const here = line && cell === this.name;
    const where = here ? `, line ${line}` : line ? `, in ${cell.slice(1, -1)}, line ${line}` : "";
    this.mark("failed", outcome === "claim" && claim ? `a claim does not hold${where}` : `${name}${where}`);
    if (!here) return;
    if (this.editor) this.editor.mark(line);
    else this.markLine(line);
  }

  /** Mark a line of code that is not being edited. */
  markLine(line) {
    const lines = this.text.split("\n");
    const before = lines.slice(0, line - 1).join("\n") + (line > 1 ? "\n" : "");
    const marked = make("span", { class: "gd-live-fault" }, `${lines[line - 1]}`);
    this.pre.replaceChildren(before, marked, `\n${lines.slice(line).join("\n")}\n`);
  }

  /** Whether it would have to run for what stands below it. */
  get stale() {
    return this.state !== "skipped" && this.ran !== this.text;
  }

  forgetRun() {
    this.ran = null;
    if (this.state !== "skipped") this.mark("idle");
  }
}

// The session: cells run one after the other, in the order of the page

const session = {
  queue: Promise.resolve(),
  number: 0, // of the session: what waits for one that is gone does not run

  run(cell) {
    if (cell.state === "waiting" || cell.state === "running") return;
    const own = this.number;
    cell.mark("waiting", "waiting …");
    this.queue = this.queue.then(() => own === this.number && this.runUpTo(cell));
  },

  /** Run what stands above and has not run, then the cell. */
  async runUpTo(target) {
    const chain = cells.filter((cell) => cell === target || (cell.number < target.number && cell.stale));
    for (const cell of chain) cell.mark("waiting", "waiting …");
    panel.show();
    try {
      await runtime.begin();
      for (const [position, cell] of chain.entries()) {
        say(`Running cell ${cell.number}${chain.length > 1 ? `, ${position + 1} of ${chain.length}` : ""}.`);
        const { outcome, changed, fault } = await cell.execute(runtime);
        if (changed) for (const below of cells.slice(cell.number)) if (!chain.includes(below)) below.ran = null;
        if (outcome === "failed" || (outcome === "claim" && cell === target)) {
          say(`Cell ${cell.number} ${outcome === "claim" ? "breaks a claim of the page" : `failed: ${fault.name}`}.`);
        }
        if (outcome === "failed") {
          const rest = chain.slice(position + 1);
          for (const waiting of rest) waiting.mark("idle", `not run: cell ${cell.number} above failed`);
          return;
        }
      }
      if (target.state === "done") say(`Cell ${target.number} has run.`);
    } catch (error) {
      this.forget();
      if (error.message !== "stopped") {
        target.mark("idle", error.message);
        say(error.message);
      }
    }
  },

  /** What ran is gone. */
  forget() {
    this.number++;
    for (const cell of cells) cell.forgetRun();
  },

  stop() {
    runtime.end();
    this.forget();
    runtime.tell("stopped", "Stopped. What ran before is gone; Run begins a new session.");
    say("Stopped. What ran before is gone.");
  },

  restart() {
    runtime.end();
    this.forget();
    runtime.begin().then(() => say("Python has started anew."), () => {});
  },
};

// The panel: what Python does, and what stops it

const panel = {
  words: make("p", { class: "gd-live-words" }),
  bar: make("progress", { max: 1, value: 0, "aria-label": "Loading Python" }),

  furnish() {
    this.stop = button("Stop", () => session.stop());
    this.restart = button("Restart", () => session.restart());
    this.forget = button("Forget my changes", () => {
      for (const cell of cells) if (cell.text !== cell.original) cell.reset();
    });
    this.close = button("Hide", () => { this.node.hidden = true; });
    const buttons = make("div", { class: "gd-live-buttons" }, this.stop, this.restart, this.forget, this.close);
    this.node = make("section", { class: "gd-live-panel", "aria-label": "Python in this page" }, this.words, this.bar, buttons);
    this.node.hidden = true;
    document.body.append(this.node);
  },

  show() {
    if (!this.node) this.furnish();
    this.node.hidden = root.dataset.liveRuntime === "idle" && !Object.keys(changes).length;
    this.forget.hidden = !Object.keys(changes).length;
    if (!kept && Object.keys(changes).length) this.words.textContent = "This browser keeps no changes: they go with the page.";
  },
};

const runtime = new Runtime(NAME, (state, words, done) => {
  root.dataset.liveRuntime = state;
  panel.show();
  panel.words.textContent = words;
  panel.bar.hidden = state !== "loading";
  panel.bar.value = done ?? 0;
  panel.stop.hidden = state !== "ready" && state !== "loading";
  panel.restart.hidden = state !== "ready" && state !== "stopped";
});

root.dataset.liveRuntime = "idle";
const cells = [...article.querySelectorAll("div.cell")]
  .filter((node) => node.querySelector(".cell_input pre"))
  .map((node, position) => new Cell(node, position + 1));
if (cells.some((cell) => cell.text !== cell.original)) panel.show();

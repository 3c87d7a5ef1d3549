// Run, edit and reset the code cells of a page.
import { make, Outputs } from "./outputs.js";
import { loadScript, Runtime } from "./runtime.js";

const root = document.documentElement;
const article = document.querySelector(".bd-article");
const NAME = location.pathname.split("/").pop().replace(/\.html$/, "");

// What the reader has changed

const KEY = `gdcourse live ${location.pathname}`;
let kept = true;
let changes = gdKeep.readObject(KEY);

function keep() {
  kept = gdKeep.write(KEY, Object.keys(changes).length ? JSON.stringify(changes) : null);
  panel.show();
}

// The tools that come with the first run or the first click into a cell

let tools = null;
function loadTools() {
  tools ||= loadScript("editor.js").then(() => globalThis.gdLiveTools);
  return tools;
}

/** The answers that are asked for, by the number of their exercise: stub, hints and the name to deliver. */
let exercises = null;
function loadExercises() {
  exercises ||= loadScript("exercises.js").then(() => globalThis.gdLiveExercises);
  return exercises;
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

/* global EXERCISES */ // what the build has made: the number of each exercise that has a check, by its label

class Cell {
  constructor(node, number) {
    Object.assign(this, { node, number, name: `<cell ${number}>`, ran: null, editor: null });
    this.pre = node.querySelector(".cell_input pre");
    this.original = this.pre.textContent.replace(/\n$/, "");
    this.coloured = [...this.pre.childNodes];
    this.stored = node.querySelector(":scope > .cell_output");
    this.output = null;
    this.solution = node.closest(".solution");
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

  get verb() {
    return "Run";
  }

  get noun() {
    return `cell ${this.number}`;
  }

  furnish() {
    this.runButton = button(this.verb, () => this.run(), { "aria-label": `${this.verb} ${this.noun}` });
    this.editButton = button("Edit", () => this.edit(), { "aria-label": `Edit ${this.noun}` });
    this.resetButton = button("Reset", () => this.reset(), { "aria-label": `Reset ${this.noun}` });
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
      label: `Code of ${this.noun}; Shift and Enter ${this.verb.toLowerCase()} it`,
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
    say(`Back to the book's text: ${this.noun}.`);
    this.runButton.focus();
  }

  run() {
    session.run(this);
  }

  /** What runs with this cell: what stands above, has not run, and solves nothing else. */
  chain() {
    return [...this.above(), this];
  }

  above() {
    return cells.filter((cell) => cell.stale && this.isBelow(cell) && (!cell.solution || cell.solution === this.solution));
  }

  isBelow(cell) {
    return Boolean(cell.node.compareDocumentPosition(this.node) & Node.DOCUMENT_POSITION_FOLLOWING);
  }

  /** What is run, by name. */
  steps(source) {
    return [[this.name, source]];
  }

  /** What is said aloud when it has run. */
  get ended() {
    return `Cell ${this.number} has run.`;
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
      let outcome;
      for (const [name, code] of this.steps(source)) {
        outcome = await runtime.run(name, code, (message) => {
          place();
          outputs.add(message);
          if (message.kind === "error") fault = message;
        });
        if (fault) break;
      }
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

// An exercise: an answer to write under it, its check and its hints

class Answer extends Cell {
  constructor(box, exercise) {
    const pre = make("pre", {}, exercise.stub);
    const code = make("div", { class: "highlight-ipython3 notranslate" }, make("div", { class: "highlight" }, pre));
    const input = make("div", { class: "cell_input docutils container" }, code);
    const node = make("div", { class: "cell docutils container gd-live-answer" }, input);
    box.after(node);
    super(node, exercise.name);
    this.exercise = exercise;
    this.hints = make("ol", { class: "gd-live-hints" });
    this.hintButton = button("Hint 1", () => this.hint(), { "aria-label": `Hint 1 for exercise ${this.number}` });
    this.status.before(this.hintButton);
    this.bar.after(this.hints);
  }

  get verb() {
    return "Check";
  }

  get noun() {
    return `your answer to exercise ${this.number}`;
  }

  async hint() {
    const { markdown } = await loadTools();
    const item = make("li", {});
    item.innerHTML = markdown(this.exercise.hints[this.hints.children.length]);
    this.hints.append(item);
    say(item.textContent);
    const next = this.hints.children.length + 1;
    this.hintButton.textContent = `Hint ${next}`;
    this.hintButton.setAttribute("aria-label", `Hint ${next} for exercise ${this.number}`);
    if (next > this.exercise.hints.length) {
      this.runButton.focus();
      this.hintButton.remove();
    }
  }

  /** Of what stands above only the cells run that make the names that the answer lacks. */
  async chain() {
    const above = this.above();
    const sources = [...above.map((cell) => cell.text), this.text];
    const places = await runtime.run(this.name, JSON.stringify(sources), () => {}, "needs");
    const needed = places.map((place) => above[place]);
    this.leaps = needed.length > 0 && needed.length < above.length;
    return [...needed, this];
  }

  steps(source) {
    const check = `from gdcourse.lesson.checks import check\ncheck("${this.number}", ${this.exercise.deliver})`;
    return [...super.steps(source), [`<check ${this.number}>`, check]];
  }

  get ended() {
    return this.output.textContent;
  }

  async execute(runtime) {
    const ran = await super.execute(runtime);
    if (this.state === "done") {
      const right = this.output.textContent.includes(`${this.number} right: `);
      this.mark("done", right ? "right" : "not yet");
      if (right) document.dispatchEvent(new CustomEvent("gd-solved", { detail: `${NAME}/${this.number}` }));
    }
    return { ...ran, changed: false };
  }
}

const answers = [];
const solved = gdKeep.readObject("gdcourse-practice").exercises ?? {}; // in an earlier visit

/** Offer an answer under an exercise; one that the reader has begun is there. */
function offer(box, name) {
  const before = solved[`${NAME}/${name}`] ? "solved before" : "";
  const open = async () => {
    const all = await loadExercises();
    offered.remove();
    const answer = new Answer(box, all[name]);
    answer.mark("idle", before);
    answers.push(answer);
    return answer;
  };
  const start = button("Answer here", () => open().then((answer) => answer.edit()), { "aria-label": `Answer here: exercise ${name}` });
  const offered = make("div", { class: "gd-live-bar" }, start, make("span", { class: "gd-live-status" }, before));
  box.after(offered);
  if (Object.keys(changes).some((key) => key.startsWith(`${name} `))) open();
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
    panel.show();
    try {
      const chain = await target.chain();
      for (const cell of chain) cell.mark("waiting", "waiting …");
      await runtime.begin();
      for (const [position, cell] of chain.entries()) {
        say(`Running ${cell.noun}${chain.length > 1 ? `, ${position + 1} of ${chain.length}` : ""}.`);
        const { outcome, changed, fault } = await cell.execute(runtime);
        if (target.leaps) for (const each of cells) if (target.isBelow(each)) each.ran = null; // in order, all run anew
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
      if (target.state === "done") say(target.ended);
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
    for (const cell of [...cells, ...answers]) cell.forgetRun();
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

// The panel: what Python does, and what stops it; hidden it is one button, on every page until it is shown

const FOLDED = "gdcourse live panel";
const panel = {
  folded: gdKeep.read(FOLDED) !== null,
  words: make("p", { class: "gd-live-words" }),
  bar: make("progress", { max: 1, value: 0, "aria-label": "Loading Python" }),

  furnish() {
    this.stop = button("Stop", () => session.stop());
    this.restart = button("Restart", () => session.restart());
    this.forget = button("Forget my changes", () => {
      for (const cell of [...cells, ...answers]) if (cell.text !== cell.original) cell.reset();
    });
    this.close = button("Hide", () => this.fold(true));
    this.open = button("Python", () => this.fold(false), { "aria-label": "Show what Python does" });
    const buttons = make("div", { class: "gd-live-buttons" }, this.stop, this.restart, this.forget, this.close);
    this.all = make("div", {}, this.words, this.bar, buttons);
    this.node = make("section", { class: "gd-live-panel", "aria-label": "Python in this page" }, this.all, this.open);
    this.node.hidden = true;
    document.body.append(this.node);
  },

  fold(folded) {
    this.folded = folded;
    gdKeep.write(FOLDED, folded ? "hidden" : null);
    this.show();
    (folded ? this.open : this.close).focus();
  },

  show() {
    if (!this.node) this.furnish();
    this.node.hidden = root.dataset.liveRuntime === "idle" && !Object.keys(changes).length;
    this.node.classList.toggle("gd-live-folded", this.folded);
    this.all.hidden = this.folded;
    this.open.hidden = !this.folded;
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
for (const [label, name] of Object.entries(EXERCISES)) {
  const box = article.querySelector(`.exercise#${label}`);
  if (box) offer(box, name);
}
if (cells.some((cell) => cell.text !== cell.original)) panel.show();

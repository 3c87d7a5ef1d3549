/* A reader's own update rule: MicroPython in a worker, so that an endless loop can be stopped. */

const HERE = document.currentScript.src;
const LIMIT = 5000; // milliseconds that a run may take

/** Answers with a path or a fault, and with what was printed: as much as a reader reads. */
const WORKER = `
onmessage = async ({ data }) => {
  const path = [];
  const lines = [];
  const cut = (text, length) => (text.length > length ? text.slice(0, length) + "…" : text);
  const print = (line) => { if (lines.length < 21) lines.push(lines.length < 20 ? cut(line, 200) : "…"); };
  try {
    const python = await loadMicroPython({ url: data.wasm, heapsize: 8 << 20, stdout: print, stderr: print });
    postMessage({ ready: true });
    python.registerJsModule("page", { given: data.given, code: data.code, add: (a, b) => { path.push([a, b]); } });
    python.runPython(data.harness);
    postMessage({ path, lines });
  } catch (error) {
    postMessage({ fault: cut(error.message, 2000), lines });
  }
};
`;

/** The interpreter, from the script that the build of the book puts beside this one. */
let runtime = null;
function loadRuntime() {
  runtime ||= new Promise((resolve, reject) => {
    const script = make("script", { src: new URL("micropython.js", HERE).href });
    script.onload = () => {
      const { source, wasm } = globalThis.gdMicroPython;
      const code = new Blob([source, WORKER], { type: "text/javascript" });
      resolve({ url: URL.createObjectURL(code), wasm: `data:application/wasm;base64,${wasm}` });
    };
    script.onerror = () => {
      runtime = null;
      reject(new Error("This copy of the book was built without MicroPython."));
    };
    document.head.append(script);
  });
  return runtime;
}

/** What a beginner's error most often means. */
const ADVICE = [
  [/no module named/, "This small Python has no NumPy: work with lists and numbers."],
  [/unsupported types.*'list'/, "Lists have no arithmetic here. Compute entry by entry: theta[0] - learning_rate * gradient[0]."],
  [/SyntaxError|IndentationError/, "Does a line lack its colon or a bracket, or is it indented by other spaces than its neighbours?"],
];

/** An error without the lines that are not the reader's, and with advice where there is some. */
function explain(fault) {
  const lines = fault.trim().split("\n").filter((text) => !/^Traceback|File "<stdin>"/.test(text));
  const said = lines.map((text) => text.replace(/^ *File "your code", line (\d+)(?:, in (.*))?/, (_, at, name) =>
    `Line ${at} of your code${name && name !== "<module>" ? `, in ${name}` : ""}:`));
  return [...said, ...ADVICE.filter(([sign]) => sign.test(fault)).map(([, advice]) => advice)].join("\n");
}

const TESTS = [
  "The first step goes against the gradient.",
  "It is as long as the learning rate asks.",
  "All steps are right.",
];

/** Whether a path passes them, against the one that is asked for. */
function examine(path, wanted) {
  const close = (one, other) => one && one.every((value, k) => Math.abs(value - other[k]) <= 1e-9 * (1 + Math.abs(other[k])));
  const move = (thetas) => thetas[1].map((value, k) => value - thetas[0][k]);
  const [mine, its] = [path, wanted].map(move);
  const along = mine[0] * its[0] + mine[1] * its[1];
  const slant = Math.abs(mine[0] * its[1] - mine[1] * its[0]);
  return [
    along > 0 && slant <= 1e-6 * along,
    close(path[1], wanted[1]),
    wanted.every((theta, k) => close(path[k], theta) || !theta.every(Number.isFinite)),
  ];
}

class Editor {
  constructor(root, data, problem, state, redraw) {
    Object.assign(this, { data, problem, state, redraw, current: null });
    this.place = `gdcourse ${location.pathname} ${data.name}`;
    const id = `${root}-code`;
    this.code = make("textarea", { id, rows: 13, spellcheck: "false", autocapitalize: "off", wrap: "off" });
    this.numbers = make("pre", { class: "gd-lines", "aria-hidden": "true" });
    this.code.addEventListener("keydown", (event) => this.typed(event));
    this.code.addEventListener("input", () => this.changed());
    this.code.addEventListener("scroll", () => { this.numbers.scrollTop = this.code.scrollTop; });
    this.fill(this.kept() ?? data.code);
    this.output = make("pre", { class: "gd-output", tabindex: "0", "aria-label": "What the run says" });
    this.tests = make("ul", { class: "gd-goals", "aria-label": "Tests" });
    this.run = button("Run", () => this.start());
    this.stop = button("Stop", () => this.end("Stopped."));
    this.stop.disabled = true;
    const put = (label, code) => button(label, () => {
      this.end("");
      this.fill(code());
      this.changed();
      this.show(null);
    });
    const buttons = make("div", { class: "gd-buttons" }, this.run, this.stop, put("Start over", () => data.code));
    const hint = make("details", { class: "gd-more" }, make("summary", {}, "A hint, and a solution"), make("p", {}, data.hint),
      make("div", { class: "gd-buttons" }, put("Show a solution", () => data.solutions[state.level])));
    const label = make("label", { for: id }, "Your update rule, in Python (Ctrl+Enter runs it)");
    const box = make("div", { class: "gd-code" }, this.numbers, this.code);
    this.judge([]);
    this.panel = make("div", { class: "gd-editor" }, label, box, buttons, this.output, this.tests, hint);
  }

  fill(code) {
    this.code.value = code;
    this.number();
  }

  number() {
    this.numbers.textContent = this.code.value.split("\n").map((_, k) => k + 1).join("\n");
  }

  /** The text outlives the page, where the browser keeps something for it. */
  kept() {
    return gdKeep.read(this.place);
  }

  changed() {
    this.number();
    gdKeep.write(this.place, this.code.value);
  }

  /** Enter keeps the indentation of its line, and Backspace takes back a level. The tab key moves on, as everywhere. */
  typed(event) {
    const { value, selectionStart: start, selectionEnd: end } = this.code;
    const before = value.slice(value.lastIndexOf("\n", start - 1) + 1, start);
    if (event.key === "Backspace" && start === end && /^( {4})+$/.test(before)) {
      event.preventDefault();
      this.code.setRangeText("", start - 4, end, "end");
      this.changed();
    }
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) { this.start(); return; }
    const indent = before.match(/^ */)[0] + (before.trimEnd().endsWith(":") ? "    " : "");
    this.code.setRangeText(`\n${indent}`, start, end, "end");
    this.changed();
  }

  say(text) {
    this.output.textContent = text;
    if (text) say(text);
  }

  show(path) {
    this.state.own = path;
    this.redraw();
  }

  /** End the current run, however far it has come: its worker, its clock, what it would still say. */
  end(text) {
    clearTimeout(this.current?.clock);
    this.current?.worker?.terminate();
    this.current = null;
    this.stop.disabled = true;
    this.run.disabled = false;
    this.judge([]);
    this.say(text);
  }

  /** What the tests ask for, with a mark where one has been made. */
  judge(holds) {
    this.tests.replaceChildren(...TESTS.map((text, k) => make("li", { class: ["", "gd-missed", "gd-met"][k in holds ? 1 + holds[k] : 0] }, text,
      make("span", { class: "gd-unseen" }, k in holds ? (holds[k] ? " Passes." : " Fails.") : ""))));
  }

  async start() {
    this.end("");
    const run = (this.current = {}); // another may begin while this one waits for the interpreter
    this.show(null); // a run that fails leaves no numbers of the one before
    this.run.disabled = true;
    this.stop.disabled = false;
    this.say("Loading Python …");
    try {
      const { url, wasm } = await loadRuntime();
      if (this.current !== run) return;
      run.worker = new Worker(url);
      run.worker.onmessage = ({ data }) => { if (this.current === run) this.heard(data); };
      run.worker.onerror = (event) => { if (this.current === run) this.end(`The interpreter failed: ${event.message}`); };
      run.worker.postMessage({ wasm, given: this.given(), code: this.code.value, harness: this.data.harness });
    } catch (error) {
      if (this.current === run) this.end(error.message);
    }
  }

  given() {
    const { data: { scale, X, y, steps }, problem, state } = this;
    const batches = Array.from({ length: steps }, (_, t) => problem.batch(t, state.batch_size));
    return JSON.stringify({ scale, X, y, start: state.start, rate: state.learning_rate, batches });
  }

  heard({ ready, path, lines, fault }) {
    if (ready) {
      this.say("Running …");
      this.current.clock = setTimeout(() => this.end(`Stopped after ${LIMIT / 1000} seconds. Is there an endless loop?`), LIMIT);
      return;
    }
    if (fault) { this.end([explain(fault), ...lines].join("\n").trim()); return; }
    const { batch_size: b, learning_rate: rate, level: momentum, start } = this.state;
    const tests = examine([start, ...path], this.problem.path({ b, rate, momentum, start }));
    const right = tests.filter(Boolean).length;
    const verdict = right === 3 ? "All three tests pass. The rule is right." : `${right} of 3 tests pass.`;
    this.end([`Ran ${path.length} steps. ${verdict}`, ...lines].join("\n"));
    this.judge(tests);
    this.show([start, ...path]);
  }

  /** The settings have changed: what was run is run again, once the hand rests. */
  again() {
    clearTimeout(this.pause);
    if (!this.current && !this.state.own && !this.waits) return;
    this.end("The settings have changed …");
    this.state.own = null;
    this.waits = true;
    this.pause = setTimeout(() => { this.waits = false; this.start(); }, 250);
  }
}

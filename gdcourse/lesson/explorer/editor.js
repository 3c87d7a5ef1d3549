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
    python.registerJsModule("page", { given: data.given, add: (a, b) => { path.push([a, b]); } });
    python.runPython(data.code);
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

class Editor {
  constructor(root, data, problem, state, redraw) {
    Object.assign(this, { data, problem, state, redraw, current: null });
    const id = `${root}-code`;
    this.code = make("textarea", { id, rows: data.code.split("\n").length + 1, spellcheck: "false", autocapitalize: "off" });
    this.code.value = data.code;
    this.code.addEventListener("keydown", (event) => this.typed(event));
    this.output = make("pre", { class: "gd-output", tabindex: "0", "aria-label": "What the run says" });
    this.run = button("Run", () => this.start());
    this.stop = button("Stop", () => this.end("Stopped."));
    this.stop.disabled = true;
    const reset = button("Reset the code", () => {
      this.end("");
      this.code.value = data.code;
      this.show(null);
    });
    const buttons = make("div", { class: "gd-buttons" }, this.run, this.stop, reset);
    const label = make("label", { for: id }, "Your update rule, in Python (Ctrl+Enter runs it)");
    this.panel = make("div", { class: "gd-editor" }, label, this.code, buttons, this.output);
  }

  /** Enter keeps the indentation of its line. The tab key moves on, as everywhere. */
  typed(event) {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) { this.start(); return; }
    const { value, selectionStart: start, selectionEnd: end } = this.code;
    const line = value.slice(value.lastIndexOf("\n", start - 1) + 1, start);
    const indent = line.match(/^ */)[0] + (line.trimEnd().endsWith(":") ? "    " : "");
    this.code.setRangeText(`\n${indent}`, start, end, "end");
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
    this.say(text);
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
    const { data: { scale, X, y, start, steps }, problem, state } = this;
    const batches = Array.from({ length: steps }, (_, t) => problem.batch(t, state.batch_size));
    return JSON.stringify({ scale, X, y, start, rate: state.learning_rate, batches });
  }

  heard({ ready, path, lines, fault }) {
    if (ready) {
      this.say("Running …");
      this.current.clock = setTimeout(() => this.end(`Stopped after ${LIMIT / 1000} seconds. Is there an endless loop?`), LIMIT);
      return;
    }
    this.end([fault || `Ran ${path.length} steps.`, ...lines].join("\n").trim());
    if (path) this.show([this.problem.start, ...path]);
  }

  /** The settings have changed: neither a path nor a run of the old ones is right any more. */
  forget() {
    if (this.current || this.state.own) this.end("The settings have changed: run it again.");
    this.state.own = null;
  }
}

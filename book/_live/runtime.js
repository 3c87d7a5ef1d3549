// Python for the page: it is fetched at the first run, and lives in one worker.
const HERE = document.currentScript.src;

/* global PARTS, STAMP */ // what the build has made: the bytes, scripts and version of each file, and of all

/** Whether this browser can run it: the newer form of exceptions in WebAssembly, and streams. */
function able() {
  const probe = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 8, 1, 6, 0, 31, 64, 0, 11, 11];
  try {
    return WebAssembly.validate(new Uint8Array(probe)) && Boolean(DecompressionStream && Worker);
  } catch {
    return false;
  }
}

function address(name, version) {
  const url = new URL(name, HERE);
  url.search = version ? `?v=${version}` : "";
  return url.href;
}

export function loadScript(name) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address(name);
    script.onload = () => { script.remove(); resolve(); };
    script.onerror = () => { script.remove(); reject(new Error(`The file ${name} of this book is missing.`)); };
    document.head.append(script);
  });
}

/** The parts of a packed file, as they come: over http its bytes, from the disk the text of scripts. */
async function* parts(name) {
  const { scripts, version } = PARTS[name];
  if (location.protocol === "file:") {
    for (let number = 0; number < scripts; number++) {
      let part;
      globalThis.gdLivePart = (_, __, text) => { part = text; };
      await loadScript(`${name}-${number}.js`);
      yield [part, part.length * 0.75];
    }
    return;
  }
  const response = await fetch(address(`${name}.bin`, version));
  if (!response.ok) throw new Error(`The file ${name}.bin of this book is missing.`);
  const reader = response.body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    yield [value, value.length];
  }
}

export class Runtime {
  /** `changed` hears of the state: absent, idle, loading, ready or stopped, and in words. */
  constructor(page, changed) {
    Object.assign(this, { page, changed, worker: null, kept: null, ready: null, current: null });
  }

  tell(state, words = "", done = null) {
    this.state = state;
    this.changed(state, words, done);
  }

  /** Python, ready to run; it begins where there is none. */
  begin() {
    this.ready ||= this.open().catch((error) => {
      this.end();
      this.tell("absent", error.message);
      throw error;
    });
    return this.ready;
  }

  async open() {
    if (!able()) {
      throw new Error("This browser cannot run Python in a page: it lacks exceptions in WebAssembly. The stored results stay.");
    }
    this.tell("loading", "Starting …", 0);
    if (!this.blob) {
      await loadScript("worker.js");
      this.blob = URL.createObjectURL(new Blob([globalThis.gdLiveWorker], { type: "text/javascript" }));
    }
    const worker = (this.worker = new Worker(this.blob));
    const ready = new Promise((resolve, reject) => {
      this.opening = { resolve, reject };
    });
    worker.onmessage = ({ data }) => { if (this.worker === worker) this.heard(data); };
    worker.onerror = (event) => { if (this.worker === worker) this.heard({ kind: "broken", text: event.message }); };
    worker.postMessage({ act: "begin", page: this.page, stamp: STAMP, kept: this.kept });
    await ready;
    this.tell("ready", "Python is ready.");
  }

  async fetch(worker) {
    const all = Object.values(PARTS).reduce((sum, { bytes }) => sum + bytes, 0);
    const megabytes = (count) => (count / 1e6).toFixed(0);
    let come = 0;
    for (const name of Object.keys(PARTS)) {
      for await (const [data, count] of parts(name)) {
        if (this.worker !== worker) return;
        worker.postMessage({ act: "part", name, data }, data.buffer ? [data.buffer] : []);
        come += count;
        this.tell("loading", `Loading Python: ${megabytes(come)} of ${megabytes(all)} MB`, (0.8 * come) / all);
      }
      worker.postMessage({ act: "end", name });
    }
    this.tell("loading", "Starting Python …", 0.9);
  }

  heard(message) {
    if (message.kind === "wanted") {
      this.fetch(this.worker).catch((error) => this.opening.reject(error));
    } else if (message.kind === "loaded") {
      this.kept = message.parts;
    } else if (message.kind === "ready") {
      this.opening.resolve();
    } else if (message.kind === "broken") {
      const error = new Error(`Python has broken off: ${message.text}`);
      this.opening.reject(error);
      this.end(error);
      if (this.state === "ready") this.tell("stopped", `${error.message}. What ran before is gone.`);
    } else if (message.kind === "end") {
      const { resolve } = this.current;
      this.current = null;
      resolve(message.outcome);
    } else {
      this.current?.listen(message);
    }
  }

  /** Run a cell; `listen` hears what it says. Answers with its outcome, or with that of another act. */
  async run(name, source, listen, act = "run") {
    await this.begin();
    return new Promise((resolve, reject) => {
      this.current = { resolve, reject, listen };
      this.worker.postMessage({ act, name, source });
    });
  }

  /** End the session, whatever it does. */
  end(error = new Error("stopped")) {
    this.worker?.terminate();
    this.worker = this.ready = null;
    this.opening?.reject(error);
    this.current?.reject(error);
    this.current = null;
  }
}

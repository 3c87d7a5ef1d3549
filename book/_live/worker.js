// The worker in which Python runs: an endless loop in it does not stop the page.
import { ConsoleStdout, Directory, File, OpenFile, PreopenDirectory, WASI } from "@bjorn3/browser_wasi_shim";
import { keep, recall } from "./store.js";

const ENVIRONMENT = ["TMPDIR=/tmp", "HOME=/tmp", "MPLBACKEND=module://page_drawing", "MPLCONFIGDIR=/tmp",
  "NO_COLOR=1", "PYTHONTZPATH=", "PYTHONDONTWRITEBYTECODE=1"];
const MARK = "\x1e";
const WASM = { headers: { "Content-Type": "application/wasm" } };
const sinks = {};
let python = null;

/** What one file says in plain bytes; it comes packed and in parts, for which the page is asked. */
function open(name) {
  const { readable, writable } = new DecompressionStream("gzip");
  sinks[name] = writable.getWriter();
  return readable;
}

function bytes(part) {
  if (typeof part !== "string") return part;
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(part);
  return Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
}

function say(message) {
  postMessage(message);
}

/** All that Python begins with, as the page sends it: the module, compiled while it comes. */
async function receive() {
  const [first, second] = open("module").tee();
  const library = open("library");
  say({ kind: "wanted" });
  const [module, bytes, files] = await Promise.all([
    WebAssembly.compileStreaming(new Response(first, WASM)),
    new Response(second).blob(),
    new Response(library).blob(),
  ]);
  return { module, bytes, library: files };
}

/** The folders that Python is given, of the files in the library: an index, then their bytes. */
function mounts(library) {
  const length = new DataView(library).getUint32(0, true);
  const index = JSON.parse(new TextDecoder().decode(new Uint8Array(library, 4, length)));
  const folders = new Map();
  let start = 4 + length;
  for (const [mount, path, size] of index) {
    if (!folders.has(mount)) folders.set(mount, new Map());
    let folder = folders.get(mount);
    const names = path.split("/");
    const name = names.pop();
    for (const above of names) {
      if (!folder.has(above)) folder.set(above, new Directory(new Map()));
      folder = folder.get(above).contents;
    }
    folder.set(name, new File(new Uint8Array(library, start, size), { readonly: true }));
    start += size;
  }
  folders.get("/").set("tmp", new Directory(new Map()));
  return [...folders].map(([mount, contents]) => new PreopenDirectory(mount, contents));
}

/** Begin Python: from nothing, or where its memory is known, as it was when it had begun. */
async function start({ module, library, memory }) {
  const lines = (heard) => ConsoleStdout.lineBuffered(heard);
  const heard = (line) => {
    const [text, message] = line.split(MARK);
    if (text) say({ kind: "stream", name: "stdout", text: `${text}\n` });
    if (message) say(JSON.parse(message));
  };
  const complained = (line) => say({ kind: "stream", name: "stderr", text: `${line}\n` });
  const files = [
    new OpenFile(new File([])),
    lines(heard),
    lines(complained),
    ...mounts(await library.arrayBuffer()),
  ];
  const wasi = new WASI(["python"], ENVIRONMENT, files, { debug: false });
  const instance = await WebAssembly.instantiate(module, {
    wasi_snapshot_preview1: wasi.wasiImport,
    host: { call },
  });
  python = instance.exports;
  if (memory) {
    wasi.inst = instance;
    const image = new Uint8Array(await memory.arrayBuffer());
    python.memory.grow((image.length - python.memory.buffer.byteLength) >> 16);
    new Uint8Array(python.memory.buffer).set(image);
  } else {
    wasi.initialize(instance);
    const failed = turn('import sys; sys.path.insert(0, "/"); import page_kernel; page_kernel.prepare()');
    if (failed) throw new Error("it does not begin");
  }
}

/** Give Python what a script writes, as Node would: the figures of the course are drawn by one. */
function call(pointer, length, toPointer, toLength) {
  try {
    let written = "";
    const process = { stdout: { write: (text) => { written += text; } } };
    const script = new TextDecoder().decode(new Uint8Array(python.memory.buffer, pointer >>> 0, length));
    new Function("process", script)(process);
    const place = put(written);
    const view = new DataView(python.memory.buffer);
    view.setUint32(toPointer >>> 0, place.pointer, true);
    view.setUint32(toLength >>> 0, place.length, true);
    return 0;
  } catch {
    return -2;
  }
}

/** Text in the memory of Python. */
function put(text) {
  const data = new TextEncoder().encode(text);
  const pointer = python.host_alloc(data.length) >>> 0;
  new Uint8Array(python.memory.buffer).set(data, pointer);
  return { pointer, length: data.length };
}

/** Let Python run code, in the session that lasts. */
function turn(code) {
  const { pointer, length } = put(code);
  return python.turn(pointer, length);
}

function ask(act, ...texts) {
  const failed = turn(`page_kernel.${act}(${texts.map((text) => JSON.stringify(text)).join(", ")})`);
  if (failed) throw new Error("its session has failed");
}

const ACTS = {
  async begin({ page, stamp, kept }) {
    let parts = kept || (await recall(stamp));
    try {
      if (parts) await start(parts);
    } catch (error) {
      if (kept) throw error;
      parts = null; // what the browser has kept is of no use
    }
    if (!parts) {
      const { bytes, ...come } = await receive();
      await start(come);
      parts = { ...come, memory: new Blob([python.memory.buffer]) };
      await keep(stamp, { ...parts, module: bytes });
    }
    say({ kind: "loaded", parts });
    ask("start", page);
  },
  part({ name, data }) { sinks[name].write(bytes(data)); },
  end({ name }) { sinks[name].close(); },
  run({ name, source }) { ask("run", name, source); },
  needs({ source }) { ask("needs", source); },
};

onmessage = async ({ data }) => {
  try {
    await ACTS[data.act](data);
  } catch (error) {
    say({ kind: "broken", text: String(error?.message || error) });
  }
};

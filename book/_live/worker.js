// The worker in which Python runs: an endless loop in it does not stop the page.
import { ConsoleStdout, Directory, File, OpenFile, PreopenDirectory, WASI } from "@bjorn3/browser_wasi_shim";

const ENVIRONMENT = ["TMPDIR=/tmp", "HOME=/tmp", "MPLBACKEND=module://page_drawing", "MPLCONFIGDIR=/tmp",
  "NO_COLOR=1", "PYTHONTZPATH=", "PYTHONDONTWRITEBYTECODE=1"];
const MARK = "\x1e";
const sinks = {};
const streams = {};
let python = null;

/** A stream of the plain bytes of a file, which comes packed and in parts. */
function open(name) {
  const { readable, writable } = new DecompressionStream("gzip");
  sinks[name] = writable.getWriter();
  streams[name] = readable;
}

function bytes(part) {
  if (typeof part !== "string") return part;
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(part);
  return Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
}

function say(message) {
  postMessage(message);
}

/** Compile the module while it comes, and gather the library. */
async function load() {
  const headers = { "Content-Type": "application/wasm" };
  const [module, library] = await Promise.all([
    WebAssembly.compileStreaming(new Response(streams.module, { headers })),
    new Response(streams.library).arrayBuffer(),
  ]);
  say({ loaded: { module, library } });
  await start(module, library);
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

async function start(module, library) {
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
    ...mounts(library),
  ];
  const wasi = new WASI(["python"], ENVIRONMENT, files, { debug: false });
  const instance = await WebAssembly.instantiate(module, {
    wasi_snapshot_preview1: wasi.wasiImport,
    host: { call },
  });
  wasi.initialize(instance);
  python = instance.exports;
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
  async begin({ page, module, library }) {
    if (module) {
      await start(module, library);
    } else {
      open("module");
      open("library");
      await load();
    }
    const failed = turn(`import sys; sys.path.insert(0, "/"); import page_kernel; page_kernel.start(${JSON.stringify(page)})`);
    if (failed) throw new Error("its session does not begin");
  },
  part({ name, data }) { sinks[name].write(bytes(data)); },
  end({ name }) { sinks[name].close(); },
  run({ name, source }) { ask("run", name, source); },
  lacks({ source }) { ask("lacks", source); },
};

onmessage = async ({ data }) => {
  try {
    await ACTS[data.act](data);
  } catch (error) {
    say({ kind: "broken", text: String(error?.message || error) });
  }
};

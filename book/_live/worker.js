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
    new PreopenDirectory("/usr/local/lib", new Map([["python315.zip", new File(library, { readonly: true })]])),
    new PreopenDirectory("/", new Map([["tmp", new Directory(new Map())]])),
  ];
  const wasi = new WASI(["python"], ENVIRONMENT, files);
  const instance = await WebAssembly.instantiate(module, {
    wasi_snapshot_preview1: wasi.wasiImport,
    host: { call: () => -1 },
  });
  wasi.initialize(instance);
  python = instance.exports;
}

/** Let Python run code, in the session that lasts. */
function turn(code) {
  const data = new TextEncoder().encode(code);
  const pointer = python.host_alloc(data.length) >>> 0;
  new Uint8Array(python.memory.buffer).set(data, pointer);
  return python.turn(pointer, data.length);
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
    turn(`import page_kernel; page_kernel.start(${JSON.stringify(page)})`);
  },
  part({ name, data }) { sinks[name].write(bytes(data)); },
  end({ name }) { sinks[name].close(); },
  run({ name, source }) {
    turn(`page_kernel.run(${JSON.stringify(name)}, ${JSON.stringify(source)})`);
  },
};

onmessage = async ({ data }) => {
  try {
    await ACTS[data.act](data);
  } catch (error) {
    say({ kind: "broken", text: String(error?.message || error) });
  }
};

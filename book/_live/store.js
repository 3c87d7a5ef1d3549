// What the browser keeps for the next page: the module and the library unpacked, and the memory of
// a Python that has begun and has imported what pages import. Each is a Blob.
const NAMES = ["stamp", "module", "library", "memory"];

/** The store, in a transaction; nothing where the browser keeps none for this page. */
function open(mode) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("gdcourse live", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("parts");
    opening.onsuccess = () => {
      const transaction = opening.result.transaction("parts", mode);
      resolve([transaction, transaction.objectStore("parts")]);
    };
    opening.onerror = () => reject(opening.error);
  });
}

/** What was kept under this stamp, with the module compiled; null where there is nothing. */
export async function recall(stamp) {
  try {
    const [, parts] = await open("readonly");
    const found = await Promise.all(NAMES.map((name) => new Promise((resolve, reject) => {
      const asked = parts.get(name);
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(asked.error);
    })));
    const [of, bytes, library, memory] = found;
    if (of !== stamp) return null;
    const headers = { "Content-Type": "application/wasm" };
    const module = await WebAssembly.compileStreaming(new Response(bytes.stream(), { headers }));
    return { module, library, memory };
  } catch {
    return null; // it is forbidden, or broken: all is fetched again
  }
}

/** Keep what a next page needs; a browser that cannot goes on without. */
export async function keep(stamp, kept) {
  try {
    const [transaction, parts] = await open("readwrite");
    for (const [name, part] of Object.entries({ stamp, ...kept })) parts.put(part, name);
    transaction.onabort = (event) => event.stopPropagation();
    transaction.commit(); // it ends by itself: from here on, this worker may be busy
  } catch {
    // there is nothing to be done, and nothing that the reader need know
  }
}

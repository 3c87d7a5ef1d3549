// What a cell says, in the markup that the book has for stored outputs.
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function block(kind, text) {
  const pre = make("pre", {}, text);
  return make("div", { class: `output ${kind} highlight-myst-ansi notranslate` }, make("div", { class: "highlight" }, pre));
}

/** A box that says which claim of the page does not hold, and what was measured. */
function claim({ words, holds, measured }, text) {
  const box = make("div", { class: "output gd-live-claim" });
  if (words.length) {
    box.append(make("p", {}, make("strong", {}, "This claim of the page does not hold now: "), words.join(" ")));
    box.append(make("p", {}, "It is held by ", make("code", {}, holds)));
  } else {
    box.append(make("p", {}, make("strong", {}, "This does not hold: "), make("code", {}, holds)));
  }
  if (measured.length) {
    const list = make("ul", {}, ...measured.map((line) => make("li", {}, make("code", {}, line))));
    box.append(make("p", {}, "Measured:"), list);
  }
  if (!measured.length && text) box.append(block("text_plain", text));
  return box;
}

/** What an error says: its name and words first, the way to it folded. */
function fault({ name, text, trace }) {
  const way = make("details", {}, make("summary", {}, "The whole traceback"), make("pre", {}, trace));
  const line = make("p", {}, make("strong", {}, name), text ? `: ${text}` : "");
  return make("div", { class: "output gd-live-error" }, line, way);
}

export class Outputs {
  /** `alts` are the texts for pictures, in order; `tools` renders Markdown. */
  constructor(node, alts, tools) {
    Object.assign(this, { node, alts, tools, drawn: 0 });
  }

  /** Add what a message says. */
  add(message) {
    if (message.kind === "stream") this.print(message);
    else if (message.kind === "display") this.display(message.data);
    else if (message.kind === "error") this.node.append(message.claim ? claim(message.claim, message.text) : fault(message));
  }

  print({ name, text }) {
    const kind = name === "stderr" ? "stderr" : "stream";
    let last = this.node.lastElementChild;
    if (!last?.classList.contains(kind)) this.node.append((last = block(kind, "")));
    const pre = last.querySelector("pre");
    pre.append(text);
    if (text.includes("\r")) pre.textContent = pre.textContent.replace(/\r\n/g, "\n").replace(/[^\n]*\r(?=[^\n])/g, "");
  }

  display(data) {
    if (data["text/html"] !== undefined) {
      const node = make("div", { class: "output text_html" });
      node.innerHTML = data["text/html"];
      this.node.append(node);
      for (const figure of node.querySelectorAll(".gd-explorer")) {
        figure.dispatchEvent(new CustomEvent("gd-enliven", { bubbles: true }));
      }
    } else if (data["image/png"]) {
      const alt = this.alts[this.drawn++] || "A figure that this cell has drawn.";
      this.node.append(make("img", { alt, src: `data:image/png;base64,${data["image/png"]}` }));
    } else if (data["image/svg+xml"]) {
      const node = make("div", { class: "output image_svg" });
      node.innerHTML = data["image/svg+xml"];
      this.node.append(node);
    } else if (data["text/markdown"] !== undefined) {
      const node = make("div", { class: "output text_markdown" });
      node.innerHTML = this.tools.markdown(data["text/markdown"]);
      for (const table of node.querySelectorAll("table")) table.className = "table";
      this.node.append(node);
      globalThis.MathJax?.typesetPromise?.([node]);
    } else {
      this.node.append(block("text_plain", data["text/plain"]));
    }
  }
}

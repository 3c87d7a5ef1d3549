// What a page needs once its reader edits or runs: an editor with Python's colours, and Markdown.
import { history, historyKeymap, defaultKeymap } from "@codemirror/commands";
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { python, pythonLanguage } from "@codemirror/lang-python";
import { EditorState, StateEffect, StateField } from "@codemirror/state";
import { Decoration, EditorView, drawSelection, keymap } from "@codemirror/view";
import { highlightTree, tagHighlighter, tags } from "@lezer/highlight";
import { marked } from "marked";

// The classes that the theme colours, so that an editor looks as the page does.
const colours = tagHighlighter([
  { tag: tags.controlKeyword, class: "k" },
  { tag: tags.definitionKeyword, class: "k" },
  { tag: tags.moduleKeyword, class: "kn" },
  { tag: tags.operatorKeyword, class: "ow" },
  { tag: tags.keyword, class: "k" },
  { tag: [tags.bool, tags.null], class: "kc" },
  { tag: tags.string, class: "s2" },
  { tag: tags.special(tags.string), class: "s2" },
  { tag: tags.number, class: "mf" },
  { tag: tags.comment, class: "c1" },
  { tag: tags.function(tags.definition(tags.variableName)), class: "nf" },
  { tag: tags.definition(tags.className), class: "nc" },
  { tag: [tags.operator, tags.arithmeticOperator, tags.compareOperator, tags.bitwiseOperator], class: "o" },
  { tag: tags.punctuation, class: "p" },
  { tag: tags.meta, class: "nd" },
]);

const setFault = StateEffect.define();
const fault = StateField.define({
  create: () => Decoration.none,
  update(marks, { changes, effects, docChanged, state }) {
    for (const effect of effects) {
      if (!effect.is(setFault)) continue;
      if (!effect.value || effect.value > state.doc.lines) return Decoration.none;
      return Decoration.set([Decoration.line({ class: "gd-live-fault" }).range(state.doc.line(effect.value).from)]);
    }
    return docChanged ? marks.map(changes) : marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/** Make an editor in `parent`; `changed` hears its text, `run` the keys that run a cell. */
function edit({ parent, text, label, at, changed, run }) {
  const act = () => { run(); return true; };
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      selection: { anchor: Math.min(at ?? 0, text.length) },
      extensions: [
        keymap.of([{ key: "Shift-Enter", run: act }, { key: "Mod-Enter", run: act }]),
        keymap.of([...defaultKeymap, ...historyKeymap]),
        history(), drawSelection(), indentOnInput(), bracketMatching(), indentUnit.of("    "),
        python(), syntaxHighlighting(colours), fault,
        EditorView.contentAttributes.of({ "aria-label": label, autocapitalize: "off" }),
        EditorView.updateListener.of((update) => { if (update.docChanged) changed(update.state.doc.toString()); }),
      ],
    }),
  });
  return {
    focus: () => view.focus(),
    mark: (line) => view.dispatch({ effects: setFault.of(line) }),
    set: (value) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: value }, effects: setFault.of(null) }),
  };
}

const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/** Python as HTML with the page's colours. */
function coloured(text) {
  let html = "";
  let done = 0;
  highlightTree(pythonLanguage.parser.parse(text), colours, (from, to, classes) => {
    html += `${escape(text.slice(done, from))}<span class="${classes}">${escape(text.slice(from, to))}</span>`;
    done = to;
  });
  return html + escape(text.slice(done));
}

/** Maths in Markdown, in the markup that the book has for it. */
const maths = {
  name: "maths",
  level: "inline",
  start: (text) => text.indexOf("$"),
  tokenizer(text) {
    const found = /^\$([^$\n]+)\$/.exec(text);
    return found && { type: "maths", raw: found[0], text: found[1] };
  },
  renderer: ({ text }) => `<span class="math notranslate nohighlight">\\(${escape(text)}\\)</span>`,
};

marked.use({
  extensions: [maths],
  renderer: {
    code({ text, lang }) {
      const html = lang === "python" ? coloured(text) : escape(text);
      return `<div class="highlight-python notranslate"><div class="highlight"><pre>${html}\n</pre></div></div>`;
    },
  },
});

globalThis.gdLiveTools = { edit, markdown: (text) => marked.parse(text) };

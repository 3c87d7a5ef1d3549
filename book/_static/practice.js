// Questions and guesses that answer. The page holds all of it in plain boxes: this script makes
// choices of the options of a question, and a slider of the scale of a guess. What a reader chose
// is kept in this browser and goes nowhere else; the page "Your progress" shows it.
(() => {
  const KEY = "gdcourse-practice";
  const chapter = location.pathname.split("/").pop().replace(/\.html$/, "");

  // Slides ask every class anew, and their answers are not the reader's.
  const isLecture = () => document.querySelector(".reveal") !== null;

  // What an entry of each part must be, whoever has written it: a file can hold anything.
  const positive = (value) => Number.isFinite(value) && value > 0;
  const SOUND = {
    questions: (entry) => Number.isInteger(entry?.chosen) && entry.chosen > 0 && positive(entry.right),
    guesses: (entry) => positive(entry?.guess) && positive(entry.measured),
    exercises: (entry) => entry === true,
  };

  /** The parts, with those entries that can be read. */
  function pick(kept) {
    const entries = (part) => Object.entries(kept?.[part] ?? {}).filter(([, entry]) => SOUND[part](entry));
    return Object.fromEntries(Object.keys(SOUND).map((part) => [part, Object.fromEntries(entries(part))]));
  }

  /** The progress in the text of a file; an error where it is none. */
  function parse(text) {
    const given = { exercises: {}, ...JSON.parse(text) };
    const kept = pick(given);
    for (const part of Object.keys(SOUND)) {
      if (JSON.stringify(given[part]) !== JSON.stringify(kept[part])) throw new TypeError(part);
    }
    return kept;
  }

  function recall() {
    return pick(isLecture() ? {} : gdKeep.readObject(KEY));
  }

  function remember(change) {
    const kept = recall();
    change(kept);
    return !isLecture() && gdKeep.write(KEY, JSON.stringify(kept));
  }

  function make(name, properties = {}, ...children) {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  }

  // A reply has the look of a box; its first word says in words what its colour says.
  function show(reply, verdict, right, content) {
    reply.className = `gd-reply ${right ? "gd-right" : "gd-wrong"}`;
    reply.replaceChildren(make("strong", { textContent: `${verdict} ` }), ...content);
    window.MathJax?.typesetPromise?.([reply]); // the words were taken before their formulas were set
  }

  function makeQuestion(box, number) {
    const list = box.querySelector(":scope > ol");
    const folded = box.querySelector(".admonition");
    const right = Number(folded.querySelector("strong").textContent);
    const replies = [...folded.querySelectorAll("li")].map((item) => {
      const words = (item.querySelector("p") ?? item).cloneNode(true);
      words.querySelector("strong").remove();
      return words.childNodes;
    });
    const reply = make("div", { className: "gd-reply", role: "status" });
    const name = `${chapter}/${number}`;
    list.setAttribute("role", "radiogroup");
    list.setAttribute("aria-label", `Answers to question ${number}`);
    list.classList.add("gd-options");

    function choose(k, verdict = k === right ? "Right." : "Not quite.") {
      show(reply, verdict, k === right, [...replies[k - 1]].map((node) => node.cloneNode(true)));
    }

    [...list.children].forEach((item, i) => {
      item.setAttribute("role", "presentation");
      const radio = make("input", { type: "radio", name: `gd-question-${number}` });
      radio.addEventListener("change", () => {
        choose(i + 1);
        remember(({ questions }) => {
          questions[name] = { first: i + 1 === right, ...questions[name], chosen: i + 1, right };
        });
      });
      item.replaceChildren(make("label", {}, radio, make("span", {}, ...item.childNodes)));
    });
    list.after(reply);
    const before = recall().questions[name]?.chosen;
    if (before && before <= list.children.length) {
      list.children[before - 1].querySelector("input").checked = true;
      choose(before, before === right ? "Right, solved before." : undefined);
    }
  }

  const number = (text) => Number(text.replaceAll(",", ""));

  function print(value) {
    if (value >= 1e6) return value.toExponential(0).replace("e+", "e");
    return Number(value.toPrecision(2)).toLocaleString("en", { maximumSignificantDigits: 2 });
  }

  function makeGuess(box, place) {
    const scale = [...box.querySelectorAll(":scope > p")].at(-1);
    const [low, high] = [...scale.querySelectorAll("strong")].map((node) => node.textContent);
    const folded = box.querySelector(".admonition");
    const measured = folded.querySelector("strong").textContent;
    const unit = scale.lastChild.textContent.replace(/\.\s*$/, "").trim();
    const name = `${chapter}/${place}`;
    const at = (share) => number(low) * (number(high) / number(low)) ** share;
    const share = (value) => Math.log(value / number(low)) / Math.log(number(high) / number(low));
    const near = Math.min(2, at(0.1) / at(0)); // the page "Your progress" says it in words

    const slider = make("input", { type: "range", min: 0, max: 1, step: 0.005, value: 0.5 });
    slider.setAttribute("aria-label", "Your guess");
    const said = make("output");
    const button = make("button", { type: "button", textContent: "That is my guess" });
    const reply = make("div", { className: "gd-reply", role: "status" });
    let moved = false;
    const move = () => {
      const value = print(at(slider.value));
      said.textContent = `${value} ${value === "1" ? unit.replace(/s$/, "") : unit}`;
      slider.setAttribute("aria-valuetext", said.textContent);
    };

    function compare(guess) {
      const factor = Math.max(guess / number(measured), number(measured) / guess);
      const verdict = factor < near ? "Close." : `Off by a factor of ${print(factor)}.`;
      const [answer] = [...folded.querySelectorAll(":scope > p:not(.admonition-title)")];
      const words = [...answer.childNodes].map((node) => node.cloneNode(true));
      show(reply, verdict, factor < near, [`You said ${print(guess)}. Measured: `, ...words, axis(guess)]);
    }

    // A line from low to high with two marks, which the words beside it say as well.
    function axis(guess) {
      const line = make("div", { className: "gd-axis", ariaHidden: "true" });
      for (const [value, text] of [[guess, "you"], [number(measured), "measured"]]) {
        const mark = make("span", { className: `gd-mark gd-${text}`, textContent: text });
        mark.style.left = `${100 * Math.min(1, Math.max(0, share(value)))}%`;
        line.append(mark);
      }
      line.append(make("span", { className: "gd-low", textContent: low }));
      line.append(make("span", { className: "gd-high", textContent: high }));
      return line;
    }

    slider.addEventListener("input", () => { moved = true; move(); });
    button.addEventListener("click", () => {
      if (!moved) {
        reply.textContent = "Move the slider first: where it stands now is nobody's guess.";
        return;
      }
      const guess = at(slider.value);
      compare(guess);
      remember(({ guesses }) => {
        guesses[name] ??= { guess, measured: number(measured) }; // the first one is the guess
      });
    });
    move();
    scale.after(make("div", { className: "gd-slide" }, slider, said, button), reply);
    const before = recall().guesses[name]?.guess;
    if (before) {
      slider.value = share(before);
      moved = true;
      move();
      compare(before);
    }
  }

  /** Of two factors in the middle, the geometric mean. */
  function median(factors) {
    const half = factors.length / 2;
    const sorted = factors.toSorted((a, b) => a - b);
    return Math.sqrt(sorted[Math.ceil(half) - 1] * sorted[Math.floor(half)]);
  }

  // The page "Your progress": a table with a row for each chapter, "of 4" where there are four.
  function makeProgress(place) {
    const { questions, guesses, exercises } = recall();
    for (const row of place.querySelectorAll("tbody tr")) {
      const link = row.querySelector("a").getAttribute("href");
      const mine = (kept) =>
        Object.entries(kept)
          .filter(([name]) => link === `${name.split("/")[0]}.html`)
          .map(([, value]) => value);
      const answers = mine(questions);
      const factors = mine(guesses).map(({ guess, measured }) => Math.max(guess / measured, measured / guess));
      const [, right, first, off, solved] = row.cells;
      const count = (cell, done) => { cell.textContent = cell.textContent.replace(/^\d* ?of/, `${done} of`); };
      count(right, answers.filter((answer) => answer.chosen === answer.right).length);
      count(solved, mine(exercises).length);
      first.textContent = answers.filter((answer) => answer.first).length;
      off.textContent = factors.length ? print(median(factors)) : "";
    }
  }

  function addButtons(place) {
    const said = make("p", { role: "status" });
    const save = make("button", { type: "button", textContent: "Save to a file" });
    const file = make("input", { type: "file", accept: ".json,application/json", hidden: true });
    const load = make("button", { type: "button", textContent: "Load from a file" });
    const forget = make("button", { type: "button", textContent: "Forget everything" });
    save.addEventListener("click", () => {
      const text = JSON.stringify(recall(), null, 1);
      const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      make("a", { href: url, download: "gdcourse-progress.json" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    });
    load.addEventListener("click", () => {
      file.value = ""; // or the same file, once mended, would be no change
      file.click();
    });
    file.addEventListener("change", async () => {
      try {
        const loaded = parse(await file.files[0].text());
        const done = remember((kept) => Object.assign(kept, loaded));
        said.textContent = done ? "Loaded." : "This browser keeps nothing for a page, or is full.";
        makeProgress(place);
      } catch {
        said.textContent = "This file holds no progress: choose one that was saved here.";
      }
    });
    forget.addEventListener("click", () => {
      gdKeep.write(KEY, null);
      said.textContent = "Forgotten.";
      makeProgress(place);
    });
    place.append(make("div", { className: "gd-keep" }, save, load, forget, file), said);
  }

  // The page's own Python has found an answer right.
  document.addEventListener("gd-solved", ({ detail }) => {
    remember(({ exercises }) => { exercises[detail] = true; });
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".gd-question").forEach((box, i) => makeQuestion(box, i + 1));
    document.querySelectorAll(".gd-guess").forEach((box, i) => makeGuess(box, i + 1));
    const place = document.querySelector(".gd-progress");
    if (place) {
      makeProgress(place);
      addButtons(place);
    }
  });
})();

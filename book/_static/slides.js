/* Slides of a chapter. They are measured and made to fit while all are open, and then reveal.js
   shows one at a time. */
(() => {
  const [WIDTH, HEIGHT] = innerWidth < 600 ? [600, 900] : [1200, 675]; // as in slides.css
  const LIVE = ".gd-explorer, .gd-question, .gd-guess";
  const root = document.documentElement;
  const onPaper = /print-pdf|view=print/.test(location.search);
  const night = matchMedia("(prefers-color-scheme: dark)");

  // As chosen on the pages, or as the machine has it; paper is light.
  function choose() {
    const chosen = gdKeep.read("mode");
    const dark = chosen === "dark" || (chosen !== "light" && night.matches);
    root.dataset.theme = dark && !onPaper ? "dark" : "light";
  }
  choose();
  night.addEventListener("change", choose);

  function fit(slide) {
    const body = slide.querySelector(".gd-body");
    for (let size = 100; body && size > 40 && slide.scrollHeight > HEIGHT; size -= 4) {
      body.style.zoom = `${size}%`;
    }
  }

  // In a figure or a question the keys belong to it, but for the two of a presenter, and Escape.
  const inside = () => document.activeElement.closest(LIVE);
  document.addEventListener("keydown", (event) => {
    if (!inside() || !["PageDown", "PageUp", "Escape"].includes(event.key)) return;
    document.activeElement.blur();
    if (event.key === "Escape") event.stopPropagation();
  }, true);

  document.addEventListener("DOMContentLoaded", async () => {
    await window.MathJax.startup.promise;
    document.querySelectorAll(".slides > section").forEach(fit);
    for (const live of document.querySelectorAll(LIVE)) live.dataset.preventSwipe = "";
    await Reveal.initialize({
      width: WIDTH,
      height: HEIGHT,
      margin: 0.06,
      center: false,
      maxScale: 4,
      viewDistance: 1, // a figure begins to move when its slide comes
      mobileViewDistance: 1,
      hash: true,
      slideNumber: "c/t",
      transition: "none",
      scrollLayout: "compact", // on a telephone
      pdfMaxPagesPerSlide: 1,
      keyboardCondition: () => !inside(),
    });
    // The browser has scrolled to a figure that the address names, before it had a slide.
    for (const box of [document.body, Reveal.getRevealElement()]) box.scrollTo(0, 0);
  });
})();

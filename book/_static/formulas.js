/* MathJax breaks a formula to the width of the page: again when that has changed. What is wider
   even so scrolls: it has a shadow where it goes on, and the keys move it. */
(() => {
  let timer;

  const mark = () => {
    for (const formula of document.querySelectorAll('mjx-container[display="true"]')) {
      const scrolls = formula.scrollWidth > formula.clientWidth;
      formula.classList.toggle("gd-scrolls", scrolls);
      formula.toggleAttribute("tabindex", scrolls);
      if (scrolls) formula.tabIndex = 0;
    }
    document.documentElement.dataset.formulasFit = innerWidth;
  };

  const refit = async () => {
    if (document.documentElement.dataset.formulasFit === String(innerWidth)) return;
    const { METRICS } = window.MathJax?._.core.MathItem.STATE ?? {};
    await window.MathJax?.startup.document.rerenderPromise(METRICS);
    mark();
  };

  document.addEventListener("DOMContentLoaded", async () => {
    await window.MathJax?.startup?.promise; // there is none on a page without formulas
    mark();
    addEventListener("resize", () => {
      clearTimeout(timer);
      timer = setTimeout(refit, 150);
    });
  });
})();

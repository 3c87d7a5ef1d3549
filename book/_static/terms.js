/* A card with the meaning of a term of the glossary, beside its link: while the pointer or the
   focus is on either of them, until Escape. A finger's first tap shows it, a second follows. */
document.addEventListener("DOMContentLoaded", () => {
  const card = document.createElement("div");
  card.className = "gd-term";
  card.id = "gd-term";
  card.setAttribute("role", "tooltip");
  card.hidden = true;
  document.body.append(card);
  let shown, timer;

  const hide = () => {
    shown?.removeAttribute("aria-describedby");
    shown = undefined;
    card.hidden = true;
  };
  const hideSoon = () => (timer = setTimeout(hide, 250));
  const show = (link) => {
    clearTimeout(timer);
    if (shown === link) return;
    hide();
    card.innerHTML = globalThis.gdTerms[link.hash.slice(1)];
    card.hidden = false;
    window.MathJax?.typesetPromise?.([card]);
    const word = link.getClientRects()[0];
    const left = Math.min(word.left, document.documentElement.clientWidth - card.offsetWidth - 16);
    const below = word.bottom + card.offsetHeight + 8 < innerHeight;
    card.style.left = `${scrollX + Math.max(16, left)}px`;
    card.style.top = `${scrollY + (below ? word.bottom + 4 : word.top - card.offsetHeight - 4)}px`;
    link.setAttribute("aria-describedby", card.id);
    shown = link;
  };

  for (const text of document.querySelectorAll(".bd-article a > .std-term")) {
    const link = text.parentElement;
    if (!globalThis.gdTerms?.[link.hash.slice(1)]) continue;
    link.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && show(link));
    link.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hideSoon());
    link.addEventListener("focus", () => link.matches(":focus-visible") && show(link));
    link.addEventListener("blur", hideSoon);
    link.addEventListener("click", (event) => {
      if (event.pointerType === "mouse" || event.detail === 0 || shown === link) return;
      event.preventDefault();
      show(link);
    });
  }
  card.addEventListener("pointerenter", () => clearTimeout(timer));
  card.addEventListener("pointerleave", hideSoon);
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
  addEventListener("pointerdown", ({ target }) => {
    if (shown && !card.contains(target) && !shown.contains(target)) hide();
  });
});

// What a reader takes along: a notebook is saved and not shown, and on paper everything that is
// folded is open, in the colours of the light theme.
document.addEventListener("DOMContentLoaded", () => {
  for (const link of document.querySelectorAll(".btn-download-source-button")) link.download = "";
});

(() => {
  let theme;
  const opened = [];

  addEventListener("beforeprint", () => {
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    opened.push(...document.querySelectorAll("details:not([open])"));
    for (const details of opened) details.open = true;
  });

  addEventListener("afterprint", () => {
    document.documentElement.dataset.theme = theme;
    for (const details of opened.splice(0)) details.open = false;
  });
})();

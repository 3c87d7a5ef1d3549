/* Names where the theme's markup leaves them out, or says another thing than it shows. */
document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll("summary[aria-label]")) {
    summary.removeAttribute("aria-label"); // its own text, "Show code cell source", is the name
  }
  for (const arrow of document.querySelectorAll(".bd-links summary")) {
    const chapter = arrow.closest("li").querySelector("a").textContent;
    arrow.setAttribute("aria-label", `More of ${chapter}`); // the theme draws it without a word
  }
  for (const list of document.querySelectorAll(".citation-list")) {
    list.removeAttribute("role"); // its entries are no list items
  }
  for (const parameters of document.querySelectorAll(".sig > dl")) {
    parameters.setAttribute("role", "presentation"); // lines of a signature, no terms with meanings
  }
  for (const box of document.querySelectorAll(".task-list-item-checkbox")) {
    box.setAttribute("aria-label", box.closest("li").textContent.trim());
  }
});

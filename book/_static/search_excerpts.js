/* What the search shows of a page is its prose: no buttons, no letters of figures, no raw TeX. */
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const BESIDE = ".header-article-items, .prev-next-footer, .gd-explorer, .math, .cell_output, nav";
  const { htmlToText } = Search;
  Search.htmlToText = (text, anchor) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const node of page.querySelectorAll(BESIDE)) node.replaceWith(" … ");
    return htmlToText(page.documentElement.outerHTML, anchor);
  };
});

/* What the search shows of a page is its prose: no code, no buttons, no letters of figures, no raw
   TeX. Of a term it shows the meaning. */
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const BESIDE = `nav, footer, .bd-sidebar-secondary, .header-article-items, .prev-next-footer,
    #jb-print-docs-body, .gd-explorer, .cell_output, .cell_input, .highlight, details > summary,
    div.math, .headerlink`;
  const { htmlToText } = Search;
  Search.htmlToText = (text, anchor) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const node of page.querySelectorAll(BESIDE)) node.replaceWith(" ");
    for (const node of page.querySelectorAll(".math")) node.replaceWith(" … ");
    const term = anchor ? page.querySelector(`dt${anchor}`) : null;
    if (term?.closest(".glossary")) return term.nextElementSibling.textContent;
    return htmlToText(page.documentElement.outerHTML, anchor).replace(/\s+/g, " ");
  };
});

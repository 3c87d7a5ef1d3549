/* How many questions of a chapter the reader has right, beside its name in the sidebar. */
document.addEventListener("DOMContentLoaded", () => {
  const right = {};
  const { questions } = gdKeep.readObject("gdcourse-practice");
  for (const [name, kept] of Object.entries(questions ?? {})) {
    const [chapter] = name.split("/");
    if (kept.chosen === kept.right) right[chapter] = (right[chapter] ?? 0) + 1;
  }
  for (const link of document.querySelectorAll(".bd-links a")) {
    const count = right[link.pathname.split("/").pop().replace(/\.html$/, "")];
    if (!count) continue;
    const mark = document.createElement("span");
    mark.className = "gd-done";
    mark.innerHTML = ` ✓ ${count}<span class="gd-unseen"> right</span>`;
    link.append(mark);
  }
});

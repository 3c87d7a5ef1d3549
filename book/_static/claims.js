// The index of experiments: show the claims that have a word, or a published number to compare with.
document.addEventListener("DOMContentLoaded", () => {
  const claims = [...document.querySelectorAll(".gd-claims > ol > li")].map((item) => ({
    item,
    section: item.closest("section"),
    text: item.textContent.toLowerCase(),
  }));
  const form = document.createElement("form");
  form.className = "gd-filter";
  form.setAttribute("role", "search");
  form.setAttribute("aria-label", "Claims");
  form.innerHTML =
    '<label>Claims with the words <input type="search" name="words" autocomplete="off"></label>' +
    '<label><input type="checkbox" name="published"> with a published number beside ours</label>' +
    '<output aria-live="polite"></output>';
  const { words, published } = form.elements;

  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/);
    const kept = new Set();
    let shown = 0;
    for (const { item, section, text } of claims) {
      const fits = wanted.every((word) => text.includes(word));
      item.hidden = !fits || (published.checked && !item.matches(".gd-published"));
      if (item.hidden) continue;
      kept.add(section);
      shown += 1;
    }
    for (const { section } of claims) section.hidden = !kept.has(section);
    form.querySelector("output").textContent = `${shown} of ${claims.length} claims`;
  }

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.querySelector(".bd-article section > section").before(form);
  filter();
});

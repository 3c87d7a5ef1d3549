/* A picture keeps its letters legible: where the page is narrower it scrolls sideways, and fades
   where it goes on. A tap shows it large; without this script it is a link to the whole file. */
document.addEventListener("DOMContentLoaded", () => {
  const LEGIBLE = 0.62; // of its pixels: nine points, the smallest letters, are eleven pixels then
  const large = document.createElement("dialog");
  large.className = "gd-large";
  large.innerHTML = "<button autofocus>Close</button>";
  large.addEventListener("click", () => large.close());

  for (const link of document.querySelectorAll(".bd-article figure > .image-reference")) {
    const picture = link.querySelector("img");
    const scroller = document.createElement("div");
    scroller.className = "gd-scroller";
    link.replaceWith(scroller);
    scroller.append(link);

    const fit = () => {
      const legible = Math.round(LEGIBLE * picture.getAttribute("width"));
      picture.style.minWidth = scroller.clientWidth < 576 ? `${legible}px` : "";
      const hidden = scroller.scrollWidth - scroller.clientWidth;
      scroller.classList.toggle("gd-more", scroller.scrollLeft < hidden - 1);
    };
    new ResizeObserver(fit).observe(scroller);
    scroller.addEventListener("scroll", fit);

    link.addEventListener("click", (event) => {
      event.preventDefault();
      const copy = picture.cloneNode();
      copy.style.minWidth = "";
      large.replaceChildren(large.firstChild, copy);
      large.setAttribute("aria-label", link.closest("figure").innerText.split("\n")[0]);
      link.closest("figure").append(large); // where the colours of the theme hold for it
      large.showModal();
    });
  }
});

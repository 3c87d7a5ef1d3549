/* A tap shows a picture large; without this script it is a link to the whole file. One that has no
   layout for a narrow page keeps its letters legible: it scrolls there, and fades where it goes on. */
document.addEventListener("DOMContentLoaded", () => {
  const LEGIBLE = { png: 0.62, svg: 0.78 }; // of its width: nine points are eleven pixels then
  const large = document.createElement("dialog");
  large.className = "gd-large";
  large.innerHTML = "<button autofocus>Close</button>";
  large.addEventListener("click", () => large.close());

  for (const link of document.querySelectorAll(".bd-article figure > .image-reference")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const copy = [...link.querySelectorAll("img")].find((node) => node.checkVisibility()).cloneNode();
      copy.style.minWidth = "";
      large.replaceChildren(large.firstChild, copy);
      large.setAttribute("aria-label", link.closest("figure").innerText.split("\n")[0]);
      link.closest("figure").append(large); // where the colours of the theme hold for it
      large.showModal();
    });

    if (link.querySelector("source")) continue;
    const pictures = link.querySelectorAll("img");
    const scroller = document.createElement("div");
    scroller.className = "gd-scroller";
    link.replaceWith(scroller);
    scroller.append(link);

    const fit = () => {
      const legible = LEGIBLE[/svg|png/.exec(pictures[0].src)] * pictures[0].getAttribute("width");
      const least = scroller.clientWidth < 576 ? `${Math.round(legible)}px` : "";
      for (const picture of pictures) picture.style.minWidth = least;
      const hidden = scroller.scrollWidth - scroller.clientWidth;
      scroller.classList.toggle("gd-more", scroller.scrollLeft < hidden - 1);
    };
    new ResizeObserver(fit).observe(scroller);
    scroller.addEventListener("scroll", fit);
  }
});

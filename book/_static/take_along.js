// What a reader takes along: a notebook is saved and not shown, and on paper everything that is
// folded is open, in the colours of the light theme; the answers to questions stand at the end.
document.addEventListener("DOMContentLoaded", () => {
  for (const link of document.querySelectorAll(".btn-download-source-button")) link.download = "";
});

(() => {
  let theme;
  const opened = [];
  const answers = document.createElement("section");

  addEventListener("beforeprint", () => {
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    opened.push(...document.querySelectorAll("details:not([open])"));
    for (const details of opened) details.open = true;
    answers.innerHTML = "<h2>Answers</h2>";
    for (const question of document.querySelectorAll(".bd-article .gd-question")) {
      const answer = question.querySelector(".admonition");
      answer.dataset.to = question.querySelector(".admonition-title").textContent;
      answers.append(answer);
    }
    if (answers.childElementCount > 1) document.querySelector(".bd-article").append(answers);
  });

  addEventListener("afterprint", () => {
    document.documentElement.dataset.theme = theme;
    for (const details of opened.splice(0)) details.open = false;
    const questions = document.querySelectorAll(".bd-article .gd-question");
    for (const [k, answer] of [...answers.children].slice(1).entries()) questions[k].append(answer);
    answers.remove();
  });
})();

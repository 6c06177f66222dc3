// Filter the table of a shared file by words, and open the experiment that a link leads to.
const filter = document.getElementById("words");
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of document.querySelectorAll("tr[data-words]")) {
    row.hidden = !words.every((word) => row.dataset.words.toLowerCase().includes(word));
  }
});

function open() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
}
addEventListener("hashchange", open);
open();

// Choosing experiments to compare: what is chosen stays so when rows are renewed or filtered away.

const form = document.getElementById("compare");
const button = form.querySelector("[data-compare]");
const chosen = new Set();

function boxes() {
  return document.querySelectorAll('#list input[name="ids"]');
}

function show() {
  for (const box of boxes()) box.checked = chosen.has(box.value);
  button.disabled = chosen.size < 2;
  button.textContent = chosen.size ? `Compare ${chosen.size}` : "Compare";
  button.title = chosen.size < 2 ? "Choose two experiments or more" : "";
}

document.addEventListener("change", ({ target }) => {
  if (target.name !== "ids") return;
  if (target.checked) chosen.add(target.value);
  else chosen.delete(target.value);
  show();
});

// Of the chosen ones some may stand on other pages: the address is made from all.
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (chosen.size >= 2) location.assign(`/compare?ids=${[...chosen].join(",")}`);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, dialog")) return;
  if (event.key === "x") document.querySelector('.selected[data-row] input[name="ids"]')?.click();
  if (event.key === "c" && !button.disabled) form.requestSubmit();
});

document.addEventListener("lab:patched", show);
document.addEventListener("htmx:afterSettle", show);
window.addEventListener("pageshow", () => {
  for (const box of boxes()) if (box.checked) chosen.add(box.value);
  show();
});
show();

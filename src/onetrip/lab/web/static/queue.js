// The hands on the queue: buttons, drag by the handle, keys. Each sends one request; the page is
// drawn again from the lab's answer, never from what was wished.

import { post } from "./app.js";
import { reload } from "./live.js";

const section = document.getElementById("waiting");
const rows = () => [...section.querySelectorAll("tbody tr")];

async function redraw() {
  await reload(...["waiting", "paused", "queue-sum"].map((id) => document.getElementById(id)));
}

async function act(id, action) {
  if (await post(`/queue/${id}/${action}`)) await redraw();
}

async function moveBefore(id, before) {
  if (await post(`/queue/${id}/move`, { before })) await redraw();
}

/** The number of a row; of what follows the last one, which may not be shown; null at the end. */
function numberOf(row) {
  const id = row ? row.dataset.id : section.querySelector("[data-following]").dataset.following;
  return id ? Number(id) : null;
}

/** Move a row by one place. */
async function step(row, by) {
  const all = rows();
  const to = all.indexOf(row) + by;
  if (to < 0 || (to >= all.length && numberOf() === null)) return;
  const before = by < 0 ? all[to] : all[to + 1];
  const id = row.dataset.id;
  const focused = row.contains(document.activeElement);
  document.activeElement?.blur();
  await moveBefore(Number(id), numberOf(before));
  const moved = section.querySelector(`tr[data-id="${id}"]`);
  if (focused) moved?.querySelector(".grip")?.focus();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (!button || (button.dataset.confirm && !window.confirm(button.dataset.confirm))) return;
  button.blur();
  act(button.dataset.id, button.dataset.action);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, dialog")) return;
  const grip = event.target.closest(".grip");
  if (grip && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
    event.preventDefault();
    step(grip.closest("tr"), event.key === "ArrowUp" ? -1 : 1);
    return;
  }
  const row = document.querySelector("tr.selected[data-id]");
  if (!row) return;
  const paused = "paused" in row.dataset;
  if (event.key === "J" && !paused) step(row, 1);
  else if (event.key === "K" && !paused) step(row, -1);
  else if (event.key === "p" && !paused) act(row.dataset.id, "pinned" in row.dataset ? "unpin" : "pin");
  else if (event.key === "x") act(row.dataset.id, paused ? "resume" : "pause");
});

// Pointer events, not the drag and drop of HTML: fingers and pens drag too.
let dragged = null;
let target = null;

function unmark() {
  for (const row of section.querySelectorAll(".over-above, .over-below")) row.classList.remove("over-above", "over-below");
}

section.addEventListener("pointerdown", (event) => {
  const grip = event.target.closest(".grip");
  if (!grip || event.button !== 0) return;
  dragged = grip.closest("tr");
  target = null;
  grip.setPointerCapture(event.pointerId);
});

section.addEventListener("pointermove", (event) => {
  if (!dragged) return;
  dragged.classList.add("dragged");
  unmark();
  target = null;
  const over = document.elementFromPoint(event.clientX, event.clientY)?.closest("#waiting tbody tr");
  if (!over || over === dragged) return;
  const box = over.getBoundingClientRect();
  const above = event.clientY < box.top + box.height / 2;
  over.classList.add(above ? "over-above" : "over-below");
  target = { over, above };
});

function drop(wanted) {
  if (!dragged) return;
  const row = dragged;
  const aim = target;
  dragged = target = null;
  unmark();
  row.classList.remove("dragged");
  document.activeElement?.blur();
  if (!wanted || !aim) return;
  const all = rows().filter((each) => each !== row);
  const before = aim.above ? aim.over : all[all.indexOf(aim.over) + 1];
  moveBefore(Number(row.dataset.id), numberOf(before));
}

section.addEventListener("pointerup", () => drop(true));
section.addEventListener("pointercancel", () => drop(false));

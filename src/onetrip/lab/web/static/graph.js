// Move and zoom the graph. Without this script it scrolls, and every box is a link all the same.

const frame = document.getElementById("graph");
const drawing = frame?.querySelector("svg");

if (drawing) {
  const full = { width: Number(drawing.getAttribute("width")), height: Number(drawing.getAttribute("height")) };
  let scale = 1;

  /** Draw at `next` times the size; what lies under (x, y) of the frame stays there. */
  const zoom = (next, x = frame.clientWidth / 2, y = frame.clientHeight / 2) => {
    next = Math.min(2.5, Math.max(0.15, next));
    const left = (frame.scrollLeft + x) / scale;
    const top = (frame.scrollTop + y) / scale;
    scale = next;
    drawing.setAttribute("width", full.width * scale);
    drawing.setAttribute("height", full.height * scale);
    frame.scrollTo(left * scale - x, top * scale - y);
  };
  // Whole when it stays legible, else as small as legible.
  const fit = () => zoom(Math.min(1, Math.max(0.75, Math.min(frame.clientWidth / full.width, frame.clientHeight / full.height))));
  const acts = { in: () => zoom(scale * 1.25), out: () => zoom(scale / 1.25), fit };
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", acts[button.dataset.zoom]);

  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = frame.getBoundingClientRect();
    zoom(scale * Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });

  let from = null;
  let moved = false;
  frame.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch") return;
    from = { x: event.clientX, y: event.clientY, left: frame.scrollLeft, top: frame.scrollTop };
    moved = false;
  });
  window.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [x, y] = [event.clientX - from.x, event.clientY - from.y];
    if (Math.abs(x) + Math.abs(y) > 5) moved = true;
    if (!moved) return;
    frame.classList.add("moving");
    frame.scrollTo(from.left - x, from.top - y);
  });
  window.addEventListener("pointerup", () => {
    from = null;
    frame.classList.remove("moving");
  });
  // A drag that ends on a box is not a click on it, and a link is not dragged away.
  frame.addEventListener("click", (event) => {
    if (moved) event.preventDefault();
    moved = false;
  }, true);
  frame.addEventListener("dragstart", (event) => event.preventDefault());

  fit();
  drawing.querySelector(".here")?.scrollIntoView({ block: "center", inline: "center" });
}

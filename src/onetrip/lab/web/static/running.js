// The clock of what runs goes on between two events.
function span(seconds) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

setInterval(() => {
  if (document.hidden) return;
  for (const label of document.querySelectorAll("[data-elapsed]")) {
    const elapsed = Math.max(0, Date.now() / 1000 - Number(label.dataset.elapsed));
    const expected = Number(label.dataset.expected);
    let text = span(elapsed);
    if (expected > elapsed) text += ` · about ${span(expected - elapsed)} left`;
    else if (expected) text += ` · ${span(elapsed - expected)} longer than expected`;
    label.textContent = text;
    const bar = label.parentElement.querySelector("progress[max]");
    if (bar && expected) bar.value = Math.min(elapsed, expected);
  }
}, 1000);

// The frame: theme, keys, ages, and how htmx talks to the lab.

const csrf = document.querySelector('meta[name="csrf"]').content;

/** Say something that went wrong, for a few seconds. */
export function notice(text) {
  const box = document.createElement("div");
  box.className = "notice";
  box.textContent = text;
  document.getElementById("notices").append(box);
  setTimeout(() => box.remove(), 8000);
}

/** POST JSON to the lab; answers with the parsed body, or says what was refused and gives null. */
export async function post(path, body = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-csrf": csrf },
      body: JSON.stringify(body),
    });
  } catch {
    notice("The lab does not answer. Is `onetrip lab serve` still running?");
    return null;
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) notice(found.error ?? `The lab answered ${answer.status}.`);
  return answer.ok ? found : null;
}

// htmx sends forms; the lab takes JSON and the page's own token.
window.htmx?.defineExtension("onetrip", {
  onEvent(name, event) {
    if (name === "htmx:configRequest") {
      event.detail.headers["X-CSRF"] = csrf;
      if (event.detail.verb !== "get") event.detail.headers["Content-Type"] = "application/json";
    }
    if (name === "htmx:responseError") {
      const { responseText } = event.detail.xhr;
      try {
        notice(JSON.parse(responseText).error);
      } catch {
        notice(`The lab answered ${event.detail.xhr.status}.`);
      }
    }
    return true;
  },
  encodeParameters(xhr, parameters) {
    return JSON.stringify(Object.fromEntries(parameters instanceof FormData ? parameters : Object.entries(parameters)));
  },
});

const themes = ["system", "light", "dark"];
document.getElementById("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? "system";
  const next = themes[(themes.indexOf(now) + 1) % themes.length];
  if (next === "system") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem("onetrip-theme");
  } else {
    document.documentElement.dataset.theme = next;
    localStorage.setItem("onetrip-theme", next);
  }
  // Charts that draw on a canvas have to draw again.
  document.dispatchEvent(new CustomEvent("lab:theme"));
});

const units = [["d", 86400], ["h", 3600], ["min", 60]];
/** How long ago, in the words of the server's `age_text`. */
export function ageText(seconds) {
  const whole = Math.max(0, seconds);
  for (const [unit, size] of units) if (whole >= size) return `${Math.floor(whole / size)} ${unit} ago`;
  return `${Math.floor(whole)} s ago`;
}

/** Let every moment on the page tell its age now, and its date in the reader's time zone. */
export function tellAges(root = document) {
  for (const time of root.querySelectorAll("time[data-age]")) {
    const at = new Date(time.dateTime);
    const text = ageText((Date.now() - at) / 1000);
    if (time.textContent !== text) time.textContent = text;
    if (!time.title) time.title = at.toLocaleString();
  }
  for (const time of root.querySelectorAll("time[data-clock]")) {
    const at = new Date(time.dateTime);
    const today = at.toDateString() === new Date().toDateString();
    const day = today ? "" : `${at.toLocaleDateString([], { month: "short", day: "numeric" })} `;
    time.textContent = day + at.toLocaleTimeString([], { hour12: false });
    time.title = at.toLocaleString();
  }
}
tellAges();
setInterval(() => document.hidden || tellAges(), 1000);
document.addEventListener("lab:patched", (event) => tellAges(event.target));

// Rows that keys walk carry data-row; the chosen one is .selected.
function walk(step) {
  const rows = [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent);
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("selected"));
  const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
  if (at >= 0) rows[at].classList.remove("selected");
  next.classList.add("selected");
  next.scrollIntoView({ block: "nearest" });
  next.dispatchEvent(new CustomEvent("lab:selected", { bubbles: true }));
}

const keysDialog = document.getElementById("keys");
document.getElementById("help").addEventListener("click", () => keysDialog.showModal());
let awaitsView = 0;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keysDialog.open) return;
  const field = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "Escape" && field) field.blur();
  if (field) return;
  if (Date.now() - awaitsView < 1500) {
    awaitsView = 0;
    const link = document.querySelector(`nav a[data-shortcut="${CSS.escape(event.key)}"]`);
    if (link) {
      event.preventDefault();
      link.click();
    }
    return;
  }
  if (event.key === "g") awaitsView = Date.now();
  else if (event.key === "j") walk(1);
  else if (event.key === "k") walk(-1);
  else if (event.key === "/") {
    event.preventDefault();
    (document.querySelector("main input[type=search]") ?? document.getElementById("search")).focus();
  } else if (event.key === "?") keysDialog.showModal();
  else if (event.key === "Enter" && !event.target.closest("a, button, summary")) {
    document.querySelector(".selected[data-row] a[href]")?.click();
  }
});

// Before the first paint: the reader's own choice of theme, when there is one.
const chosen = localStorage.getItem("onetrip-theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;

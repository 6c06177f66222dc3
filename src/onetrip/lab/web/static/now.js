// The machine, once a second: numbers, and a line of the last minutes for each.

const section = document.querySelector("[data-samples]");
const minutes = Number(section.dataset.minutes);
const cards = new Map();

const units = ["B", "KiB", "MiB", "GiB", "TiB"];
function bytes(count) {
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${count >= 100 ? count.toFixed(0) : count.toPrecision(3)} ${units[unit]}`;
}

// What a number reads as, and the top of its line's scale.
const gauges = {
  utilisation: { text: (v) => `${Math.round(v.utilisation * 100)} %`, top: () => 1 },
  memory_bytes: {
    text: (v) => bytes(v.memory_bytes) + (v.memory_total_bytes ? ` of ${bytes(v.memory_total_bytes)}` : ""),
    top: (v) => v.memory_total_bytes,
  },
  sm_clock_mhz: { text: (v) => `${Math.round(v.sm_clock_mhz)} MHz` },
  power_w: {
    text: (v) => `${Math.round(v.power_w)} W` + (v.power_limit_w ? ` of ${Math.round(v.power_limit_w)} W` : ""),
    top: (v) => v.power_limit_w,
  },
  temperature_c: { text: (v) => `${Math.round(v.temperature_c)} °C`, top: () => 100 },
};

function colour(name) {
  // A canvas knows no custom properties; the element computes what the pair of colours is now.
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

class Card {
  constructor(element) {
    this.element = element;
    this.columns = { at: [] };
    this.plots = new Map();
    this.values = JSON.parse(element.querySelector('script[type="application/json"]').textContent);
    this.show(this.values);
    this.load();
  }

  async load() {
    const { host, device } = this.element.dataset;
    const query = new URLSearchParams({ host, device, minutes });
    const answer = await fetch(`/samples?${query}`).catch(() => null);
    if (!answer?.ok) return;
    this.columns = await answer.json();
    this.draw();
  }

  add(at, values) {
    const last = this.columns.at.at(-1);
    if (last !== undefined && at <= last) return;
    this.columns.at.push(at);
    for (const key of Object.keys(gauges)) {
      if (values[key] === undefined && !this.columns[key]) continue;
      this.columns[key] ??= this.columns.at.slice(1).map(() => null);
      this.columns[key].push(values[key] ?? null);
    }
    const since = at - minutes * 60;
    let old = 0;
    while (this.columns.at[old] < since) old += 1;
    if (old) for (const column of Object.values(this.columns)) column.splice(0, old);
    this.show(values);
    this.draw();
  }

  show(values) {
    this.values = values;
    for (const gauge of this.element.querySelectorAll(".gauge")) {
      const { key } = gauge.dataset;
      const known = values[key] !== undefined && values[key] !== null;
      gauge.querySelector("[data-value]").textContent = known ? gauges[key].text(values) : "–";
    }
    const reasons = values.throttle ?? [];
    const throttle = this.element.querySelector("[data-throttle]");
    throttle.replaceChildren(...reasons.map((reason) => {
      const badge = document.createElement("span");
      badge.className = "badge bad";
      badge.textContent = `held back: ${reason}`;
      return badge;
    }));
    const processes = (values.processes ?? []).map((process) =>
      `${process.name || "process"} ${process.pid}` + (process.memory_bytes ? ` (${bytes(process.memory_bytes)})` : ""));
    this.element.querySelector("[data-processes]").textContent = processes.join(", ");
  }

  draw() {
    if (document.hidden || !this.columns.at.length) return;
    for (const gauge of this.element.querySelectorAll(".gauge")) {
      const { key } = gauge.dataset;
      const column = this.columns[key];
      if (!column) continue;
      const spark = gauge.querySelector(".spark");
      const width = Math.floor(spark.clientWidth);
      if (width < 20) continue;
      const known = this.plots.get(key);
      if (known) {
        if (known.width !== width) known.setSize({ width, height: 28 });
        known.setData([this.columns.at, column]);
      } else this.plots.set(key, this.plot(key, spark, width, column));
    }
  }

  plot(key, spark, width, column) {
    const line = colour("--series-1");
    return new uPlot({
      width,
      height: 28,
      padding: [2, 0, 1, 0],
      legend: { show: false },
      cursor: { show: false },
      select: { show: false },
      axes: [{ show: false }, { show: false }],
      scales: {
        // The whole stretch, so that a new page does not look like a full one.
        x: { time: true, range: (_, low, high) => [high - minutes * 60, high] },
        y: { range: (_, low, high) => [0, gauges[key].top?.(this.values) || Math.max(1, high ?? 1) * 1.1] },
      },
      series: [{}, { stroke: line, width: 1.5, fill: line.replace("rgb(", "rgba(").replace(")", ", 0.13)"), points: { show: false } }],
    }, [this.columns.at, column], spark);
  }

  restyle() {
    for (const plot of this.plots.values()) plot.destroy();
    this.plots.clear();
    this.draw();
  }
}

for (const element of section.querySelectorAll(".device")) {
  cards.set(`${element.dataset.host} ${element.dataset.device}`, new Card(element));
}

document.addEventListener("lab:samples", (event) => {
  for (const sample of event.detail) {
    const card = cards.get(`${sample.host} ${sample.device}`);
    if (card) card.add(sample.at, sample.values);
    // A device that the page does not know yet, such as the first look after the start.
    else if (!cards.size) location.reload();
  }
});
document.addEventListener("lab:theme", () => cards.forEach((card) => card.restyle()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => cards.forEach((card) => card.restyle()));
addEventListener("resize", () => cards.forEach((card) => card.draw()));
document.addEventListener("visibilitychange", () => document.hidden || cards.forEach((card) => card.load()));

// Follow the lab: one stream of events, and the regions of the page that they make stale.
//
// A region is an element with an id and data-live="experiment queue": subject types or whole types
// of events ("experiment" matches "experiment.queued"), or "*". When one arrives, the region is
// fetched again from data-src (or this page's address) and patched: children with a data-key keep
// their place and are replaced only when they changed, and not while the pointer or the focus is
// in them. Scripts listen on document to "lab:events" (detail: events), "lab:samples" and, on the
// region, "lab:patched".

import { notice } from "./app.js";

const STALE_AFTER_MS = 12000;
const chip = document.getElementById("chip");
let seq = Number(document.body.dataset.seq);
let stream = null;
let heardAt = Date.now();

function connect() {
  if (stream || document.hidden) return;
  const wantsSamples = document.querySelector("[data-samples]") !== null;
  stream = new EventSource(`/events?after=${seq}${wantsSamples ? "&samples=true" : ""}`);
  heardAt = Date.now();
  stream.addEventListener("beat", heard);
  stream.addEventListener("batch", (message) => {
    heard();
    seq = Number(message.lastEventId);
    const { events, skipped } = JSON.parse(message.data);
    document.dispatchEvent(new CustomEvent("lab:events", { detail: { events, skipped } }));
    refresh(events, skipped);
  });
  stream.addEventListener("samples", (message) => {
    heard();
    document.dispatchEvent(new CustomEvent("lab:samples", { detail: JSON.parse(message.data) }));
  });
  stream.addEventListener("error", () => {
    // A refused stream is not tried again by the browser.
    if (stream?.readyState === EventSource.CLOSED) {
      disconnect();
      setTimeout(connect, 3000);
    }
    show();
  });
  show();
}

function disconnect() {
  stream?.close();
  stream = null;
  show();
}

function heard() {
  heardAt = Date.now();
  show();
}

function show() {
  const silent = Date.now() - heardAt;
  const broken = !stream || stream.readyState !== EventSource.OPEN;
  let state = "live";
  let text = "live";
  if (document.hidden) [state, text] = ["paused", "paused"];
  else if (silent > STALE_AFTER_MS || (broken && silent > 2500)) {
    [state, text] = ["stale", `stale ${Math.round(silent / 1000)} s`];
  } else if (broken) [state, text] = ["connecting", "connecting"];
  if (chip.textContent !== text) chip.textContent = text;
  chip.dataset.state = state;
}

// Hidden pages ask for nothing; on return the stream begins where it broke off.
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
window.addEventListener("pagehide", disconnect);
window.addEventListener("pageshow", connect);
setInterval(show, 1000);

const loading = new Map();

function refresh(events, skipped) {
  const stale = [...document.querySelectorAll("[data-live]")].filter((region) => {
    const wanted = region.dataset.live.split(" ");
    return skipped > 0 || wanted.includes("*") || events.some(
      (event) => wanted.includes(event.type) || wanted.includes(event.type.split(".")[0]));
  });
  reload(...stale);
}

const sourceOf = (region) => region.dataset.src || location.pathname + location.search;

/** Fetch regions again and patch them; those of one source share one request. */
export async function reload(...regions) {
  await Promise.all([...new Set(regions.map(sourceOf))].map((source) =>
    load(source, regions.filter((region) => sourceOf(region) === source).map((region) => region.id))));
}

async function load(source, ids) {
  const under = loading.get(source);
  if (under) {
    // What is under way may have left before the change: once more, for all that asked meanwhile.
    ids.forEach((id) => under.again.add(id));
    return under.done;
  }
  const entry = { again: new Set() };
  loading.set(source, entry);
  entry.done = (async () => {
    try {
      const answer = await fetch(source, { headers: { accept: "text/html" } });
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const id of ids) {
          const [mine, theirs] = [document.getElementById(id), fresh.getElementById(id)];
          if (mine && theirs) patch(mine, theirs);
        }
      } else if (answer.status === 401) {
        notice("The session has ended. Open the address that `onetrip lab serve` printed.");
      }
    } catch (error) {
      // No answer: the chip says so, and the next event or the next connection asks again.
      if (!(error instanceof TypeError)) throw error;
    }
    loading.delete(source);
    if (entry.again.size) await load(source, [...entry.again]);
  })();
  return entry.done;
}

/** Make `old` like `fresh`, leaving alone what did not change and what the reader is busy with. */
export function patch(old, fresh) {
  if (sameContent(old, fresh)) return;
  const holder = old.querySelector("[data-keyed]");
  const freshHolder = fresh.querySelector("[data-keyed]");
  if (holder && freshHolder) {
    patchKeyed(holder, freshHolder);
    // The rest of the region: heads and counts, which hold nothing that a reader points at.
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const mine = old.querySelector(`[data-part="${CSS.escape(part.dataset.part)}"]`);
      if (mine && !sameContent(mine, part)) mine.replaceWith(document.importNode(part, true));
    }
  } else if (busy(old)) {
    later(old, () => patch(old, fresh));
    return;
  } else {
    const made = document.importNode(fresh, true);
    old.replaceWith(made);
    settle(made);
    return;
  }
  settle(old);
}

function settle(region) {
  window.htmx?.process(region);
  region.dispatchEvent(new CustomEvent("lab:patched", { bubbles: true }));
}

function patchKeyed(holder, fresh) {
  const mine = new Map([...holder.children].map((child) => [child.dataset.key, child]));
  let place = holder.firstElementChild;
  for (const child of [...fresh.children]) {
    const known = mine.get(child.dataset.key);
    mine.delete(child.dataset.key);
    let node = known;
    if (!known) {
      node = document.importNode(child, true);
      node.classList.add("fresh");
    } else if (!sameContent(known, child)) {
      if (busy(known)) later(known, () => replace(known, child));
      else node = replace(known, child, place === known ? (moved) => (place = moved) : undefined);
    }
    if (node !== place) holder.insertBefore(node, place);
    else place = place.nextElementSibling;
  }
  // A list that keeps what it has shows, below, older things than the answer holds.
  if (holder.dataset.keyed !== "keep") for (const gone of mine.values()) gone.remove();
}

function replace(known, child, onPlace) {
  const node = document.importNode(child, true);
  node.classList.add("fresh");
  if (known.classList.contains("selected")) node.classList.add("selected");
  known.replaceWith(node);
  onPlace?.(node);
  window.htmx?.process(node);
  return node;
}

function busy(node) {
  return node.matches(":hover, .dragged") || node.contains(document.activeElement);
}

function later(node, act) {
  const once = () => {
    if (!node.isConnected || busy(node)) return;
    node.removeEventListener("pointerleave", once);
    node.removeEventListener("focusout", soon);
    act();
  };
  const soon = () => setTimeout(once, 0);
  node.addEventListener("pointerleave", soon);
  node.addEventListener("focusout", soon);
}

/** Whether two elements read alike; ages and marks of the moment do not count. */
function sameContent(mine, theirs) {
  return plainCopy(mine) === plainCopy(theirs);
}

function plainCopy(node) {
  const copy = node.cloneNode(true);
  for (const each of [copy, ...copy.querySelectorAll("*")]) {
    each.classList.remove("fresh", "selected", "htmx-added", "htmx-settling", "htmx-swapping");
    if (!each.classList.length) each.removeAttribute("class");
    if (each.matches("time[data-age], time[data-clock]")) {
      each.textContent = "";
      each.removeAttribute("title");
    }
  }
  return copy.outerHTML;
}

connect();

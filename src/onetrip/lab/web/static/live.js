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

const waiting = new Map();

function refresh(events, skipped) {
  for (const region of document.querySelectorAll("[data-live]")) {
    const wanted = region.dataset.live.split(" ");
    const touched = skipped > 0 || wanted.includes("*") || events.some(
      (event) => wanted.includes(event.type) || wanted.includes(event.type.split(".")[0]));
    if (touched) reload(region);
  }
}

/** Fetch a region again and patch it; calls that come meanwhile are one more. */
export async function reload(region) {
  if (waiting.has(region.id)) {
    waiting.set(region.id, "again");
    return;
  }
  waiting.set(region.id, "loading");
  try {
    const answer = await fetch(region.dataset.src || location.href, { headers: { accept: "text/html" } });
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(region.id);
      if (fresh) patch(region, fresh);
    } else if (answer.status === 401) {
      notice("The session has ended. Open the address that `onetrip lab serve` printed.");
    }
  } catch {
    // No answer: the chip says so, and the next event or the next connection asks again.
  }
  const again = waiting.get(region.id) === "again";
  waiting.delete(region.id);
  const current = document.getElementById(region.id);
  if (again && current) reload(current);
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
  for (const gone of mine.values()) gone.remove();
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
    if (each.matches("time[data-age]")) {
      each.textContent = "";
      each.removeAttribute("title");
    }
  }
  return copy.outerHTML;
}

connect();

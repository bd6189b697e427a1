// Reads the page again and puts its live parts in place of the old ones: one template, no second way to render.
"use strict";

const PERIOD_MS = 2000;
const PATIENCE_MS = 5000;

const state = document.getElementById("state");
const read = document.getElementById("read");

// The status is announced by screen readers, so it is written only when it changes; the time beside it is not.
function tell(text, isLive) {
  if (state.textContent !== text) state.textContent = text;
  document.documentElement.dataset.live = isLive;
}

async function readPage() {
  const reply = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!reply.ok) throw new Error(await reply.text());
  return new DOMParser().parseFromString(await reply.text(), "text/html");
}

function replaceLiveParts(fresh) {
  for (const part of document.querySelectorAll("[data-live][id]")) {
    const next = fresh.getElementById(part.id);
    // What has not changed stays, so that a selection in it stays too.
    if (next !== null && next.innerHTML !== part.innerHTML) part.replaceChildren(...next.childNodes);
  }
}

async function refresh() {
  try {
    replaceLiveParts(await readPage());
    const now = new Date();
    read.dateTime = now.toISOString();
    read.textContent = `· read at ${read.dateTime.slice(11, 19)} UTC`;
    tell("live", true);
  } catch (error) {
    const isAway = error instanceof TypeError || error.name === "TimeoutError";
    tell(`not live: ${isAway ? "the gateway does not answer" : error.message}`, false);
  }
  setTimeout(refresh, PERIOD_MS);
}

setTimeout(refresh, PERIOD_MS);

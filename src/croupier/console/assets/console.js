// Refreshes the counters in place; the page works without it.
"use strict";

const PERIOD_MS = 2000;

function words(name) {
  return name.replaceAll("_", " ");
}

function cell(tag, text, className) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

function fillList(id, counts) {
  const items = Object.entries(counts).flatMap(([name, number]) => [cell("dt", words(name)), cell("dd", String(number))]);
  document.getElementById(id).replaceChildren(...(items.length ? items : [cell("dt", "none"), cell("dd", "0")]));
}

function row(name, amount, className) {
  const line = document.createElement("tr");
  const head = cell("th", name);
  head.scope = "row";
  line.append(head, cell("td", amount, `amount ${className ?? ""}`));
  return line;
}

function moneyTable(asset, kinds, imbalance) {
  const table = document.createElement("table");
  table.append(cell("caption", asset));
  const body = table.createTBody();
  for (const [kind, amount] of Object.entries(kinds)) body.append(row(words(kind), amount));
  table.createTFoot().append(row("total", imbalance, imbalance === "0" ? "held" : "broken"));
  return table;
}

async function refresh() {
  const state = document.getElementById("state");
  try {
    const reply = await fetch("/live.json", { cache: "no-store" });
    if (!reply.ok) throw new Error(await reply.text());
    const live = await reply.json();
    for (const id of ["sessions", "entries", "breaks"]) fillList(id, live[id]);
    const tables = Object.entries(live.money).map(([asset, kinds]) => moneyTable(asset, kinds, live.imbalance[asset]));
    if (tables.length) document.getElementById("money-tables").replaceChildren(...tables);
    state.textContent = `live, last read ${new Date().toISOString().slice(11, 19)} UTC`;
  } catch (error) {
    state.textContent = `not live: ${error.message}`;
  }
}

setInterval(refresh, PERIOD_MS);

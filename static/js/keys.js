/* Keys that work on every page: `/` to search, `g` and a letter to go somewhere, `?` to be told.

   Law: a key that belongs to a field, a dialog or the browser is left alone. Where `g` leads is read from the rail, so that it offers what
   the rail offers. */

import { h } from "./dom.js";

/** Letter after `g` -> the path in the rail. */
const PLACES = Object.freeze({
  m: "/", s: "/sworms", n: "/nodes", p: "/processes", g: "/groups", o: "/operations", e: "/events", r: "/replicas", a: "/audit",
});

/** ms in which the letter must follow the `g`. */
const WAIT = 1500;

/** What other keys do, where they work. */
const ELSEWHERE = [
  ["/", "Find a process"],
  ["?", "Show these keys"],
  ["Esc", "Close what is open"],
  ["↑ ↓", "Move between the rows of a table, or over the map"],
  ["x", "Mark the row, or the cell of the map, one is in"],
  ["m", "On the map: hand off what is marked, or the cell one is in"],
  ["Enter", "Open it"],
];

/**
 * What a press means. `pending` is when `g` was pressed, or null. Returns {act, pending}: act is "search", "help", a path to go to, or null.
 */
export function meaning(key, pending, now) {
  if (pending !== null && now - pending <= WAIT && key in PLACES) return { act: PLACES[key], pending: null };
  if (key === "g") return { act: null, pending: now };
  if (key === "/") return { act: "search", pending: null };
  if (key === "?") return { act: "help", pending: null };
  return { act: null, pending: null };
}

/** Whether a press is somebody's writing. */
function isWriting(target) {
  return target instanceof Element && (target.isContentEditable || target.matches("input:not([type=checkbox]), textarea, select"));
}

function offered() {
  return new Map([...document.querySelectorAll(".rail li a")].map((link) => [link.getAttribute("href"), link.textContent]));
}

function help() {
  const rail = offered();
  const places = Object.entries(PLACES).filter(([, path]) => rail.has(path));
  const lines = [...ELSEWHERE, ...places.map(([letter, path]) => [`g ${letter}`, rail.get(path)])];
  const list = h("dl.keys", {}, lines.flatMap(([keys, does]) => [h("dt", {}, keys.split(" ").flatMap((key, i) => [i ? " " : null, h("kbd", {}, key)])), h("dd", {}, does)]));
  const close = h("button", { type: "submit" }, "Close");
  const dialog = h("dialog.confirm", { "aria-labelledby": "keys-title" }, h("form", { method: "dialog" }, h("h2", { id: "keys-title" }, "Keys"), list, h("div.buttons", {}, close)));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function search() {
  const field = document.getElementById("search");
  field?.focus();
  field?.select();
}

function act(what) {
  if (what === "search") search();
  else if (what === "help") help();
  else if (offered().has(what)) window.location.assign(what);
}

/** Listen on the whole page. */
export function listen() {
  let pending = null;
  document.getElementById("keys")?.addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (isWriting(event.target) || document.querySelector("dialog[open]")) return;
    const found = meaning(event.key, pending, event.timeStamp);
    pending = found.pending;
    if (found.act === null) return;
    event.preventDefault();
    act(found.act);
  });
}

/* The page of events: the history with filters, and what is added to it while one looks.

   Law: the newest stand on top. Following is a switch in the address; while it is on, the first page is read again when the stream
   tells of something, and new rows are marked for a moment, so that nothing moves unnoticed. */

import { beginning, mono, nodeLink, processLink, time } from "./cells.js";
import { follow } from "./cluster.js";
import { h, say } from "./dom.js";
import { KINDS, told } from "./history.js";
import { Follower } from "./follower.js";
import { Table } from "./table.js";
import { sworm as words } from "./twins.js";
import { clock, counted, exact, moment } from "./words.js";

const root = document.getElementById("list");

function detail(item) {
  const lines = item.detail.split("\n").filter(Boolean);
  if (lines.length < 2) return h("span.mono", {}, item.detail);
  return h("details", {}, h("summary.mono", {}, lines.at(-1).slice(0, 160)), h("pre", { tabindex: 0, role: "group", "aria-label": "Detail" }, item.detail));
}

function empty() {
  return [h("h2", {}, "Nothing has happened yet"), beginning("Whatever starts, ends, moves or fails is told here. This lets something happen:", (sworm) => words("register", sworm, "first", "examples.counters:Counter"))];
}

const live = h("button", { type: "button", "aria-pressed": "false", onclick: () => turn(!following()) }, "Follow");
const state = h("span.live", { role: "status" });

const table = new Table(root, {
  path: "/events",
  fixed: { order: "desc" },
  extra: ["follow"],
  sent: ({ follow: _, ...sent }) => sent,
  words: ["event", "events"],
  key: (item) => String(item.id),
  empty,
  tools: h("span.follow", {}, live, state),
  filters: [
    { name: "kind", label: "What", kind: "choice", choices: KINDS },
    { name: "sworm", label: "Sworm", kind: "text" },
    { name: "name", label: "Name", kind: "text" },
    { name: "node", label: "Node", kind: "choice" },
  ],
  columns: [
    { head: "When", make: (item) => time(item.at) },
    { head: "At", make: (item) => h("span.mono", { title: exact(moment(item.at)) }, clock(moment(item.at))) },
    { head: "What", make: (item) => told(item).what, rowHead: true },
    { head: "Of", make: (item) => processLink(item.sworm, item.name), kind: "name" },
    { head: "Node", make: (item) => nodeLink(item.node) },
    { head: "pid", make: (item) => mono(item.pid), rare: true },
    { head: "Detail", make: detail, kind: "wide" },
  ],
  row: (item, element) => element.classList.toggle("fresh", fresh.has(item.id)),
  shown: () => following() && follower.start(), // the filters may be others than before
});

// --- following ----------------------------------------------------------------------------------------------------------------

/** ms for which a new row is marked. */
const FRESH = 4000;

const fresh = new Set();
let arrived = 0;

const following = () => table.address.get("follow") === "1";

const follower = new Follower({
  filters: () => Object.fromEntries(["kind", "sworm", "name", "node"].map((name) => [name, table.address.get(name)]).filter(([, value]) => value)),
  came: (events) => {
    arrived += events.length;
    for (const event of events) fresh.add(event.id);
    table.remark(); // a reading that was under way may have brought them already
    if (!table.address.get("cursor")) table.read();
    window.setTimeout(() => {
      for (const event of events) fresh.delete(event.id);
      table.remark();
    }, FRESH);
    show();
  },
  state: () => {
    if (follower.state === "live") table.read(); // what happened before the stream began
    show();
  },
});

function turn(on) {
  table.address.set({ follow: on ? "1" : "" }, { step: false });
  arrived = 0;
  begin();
}

function begin() {
  live.setAttribute("aria-pressed", String(following()));
  if (following()) follower.start();
  else follower.stop();
  table.paused = following();
  show();
}

function show() {
  const words = { off: "", opening: "connecting", live: "live", lost: "the stream is lost, trying again" };
  const more = follower.state === "live" && arrived ? `, ${counted(arrived, "new event", "new events")}` : "";
  say(state, `${words[follower.state]}${more}`);
  state.dataset.state = follower.state;
}

follow(document.getElementById("cluster"), (nodes) => table.offer("node", nodes.map((node) => node.name)));
begin();

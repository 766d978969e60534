/* The live map's page: wires the stream to the model, the model to what is seen, and the hands to what is done.

   Law: composition only. */

import { request } from "./api.js";
import { copyButton, h, say, tellTimes } from "./dom.js";
import { Drag } from "./drag.js";
import { Drawer } from "./drawer.js";
import { Filter } from "./filter.js";
import { clauses, picture, present } from "./health.js";
import { Journal } from "./journal.js";
import { Keyboard } from "./keyboard.js";
import { Lately } from "./lately.js";
import { Link } from "./link.js";
import { Losses } from "./losses.js";
import { ProcessMap } from "./map.js";
import { Marks } from "./marks.js";
import { Model, partsOf } from "./model.js";
import { Moving } from "./moving.js";
import { NodePanel } from "./node_panel.js";
import { takers } from "./offer.js";
import { ProcessPanel } from "./process_panel.js";
import { Observed } from "./replica_words.js";
import { Tip } from "./tip.js";
import { Toolbar } from "./toolbar.js";
import { Twin } from "./twin.js";
import { stateWord } from "./words.js";

/** ms between two looks at what changes by time alone. */
const SECOND = 1000;
/** ms between two questions whether the replicas agree. */
const REPLICAS = 10000;

const by = (id) => document.getElementById(id);
const rights = new Set(document.body.dataset.scopes.split(" "));

const model = new Model();
const losses = new Losses();
const journal = new Journal();
const filter = new Filter();
const observed = new Observed();
let replicas = null;
let countsStale = false;
let pictured = false; // a first snapshot has been shown

// --- what was acknowledged ------------------------------------------------------------------------------------------------

function acknowledgements() {
  try {
    return new Set(JSON.parse(window.localStorage.getItem("sworm.acknowledged") ?? "[]"));
  } catch {
    return new Set();
  }
}

const acknowledgedDeaths = acknowledgements();
const death = (node) => `${node.name}.${node.incarnation}`;

function acknowledge(name) {
  const node = model.nodes.get(name);
  if (node === undefined) return;
  acknowledgedDeaths.add(death(node));
  try {
    window.localStorage.setItem("sworm.acknowledged", JSON.stringify([...acknowledgedDeaths].slice(-50)));
  } catch {
    // Without storage it holds until the page is left.
  }
  tick();
}

// --- what is seen -----------------------------------------------------------------------------------------------------------

const page = {
  model,
  marks: new Marks(),
  acknowledge,
  forgetNode: (name) => changed(model.forget(name)),
  may: (scope) => rights.has(scope),
  present: () => present(model),
  openNode: (name) => drawer.openNode(name),
};

const drawer = new Drawer(
  by("drawer"),
  { p: (sworm, name) => new ProcessPanel(page, sworm, name), n: (name) => new NodePanel(page, name) },
  { opened: (panel) => map.choose(panel?.key ?? null) },
);

const open = (key) => drawer.openProcess(...partsOf(key));
const tip = new Tip(by("tip"));
const lately = new Lately(by("lately"), journal, { open });
const twin = new Twin(by("twin"), model, filter, { open });

const moving = new Moving({ bar: by("marked"), log: by("moves") }, page, () => map.repaint());
const mayMove = rights.has("process:handoff");

function mark(key) {
  if (!mayMove) return;
  moving.toggle(key);
  speak(key);
}

const map = new ProcessMap({
  container: by("blocks"),
  overlay: by("overlay"),
  model,
  losses,
  filter,
  acknowledged: (node) => acknowledgedDeaths.has(death(node)),
  on: {
    open,
    openNode: (name) => drawer.openNode(name),
    acknowledge,
    mark,
    isMarked: (key) => moving.isMarked(key),
    hover: (key, x, y) => tip.show(key === null ? null : (model.processes.get(key) ?? null), x, y),
  },
});

new Keyboard(by("map"), map, { open, mark, move: (key) => (mayMove ? moving.propose(moving.taken(key)) : undefined), spoken: speak });
if (mayMove) {
  new Drag(map, {
    dragged: (key) => moving.taken(key),
    takes: (name) => takers(present(model)).includes(name),
    dropped: (processes, node) => moving.propose(processes, node),
  });
}

const toolbar = new Toolbar(
  { sworms: by("sworms"), legend: by("legend"), search: by("search"), matches: by("matches"), views: by("views") },
  model,
  filter,
  {
    filtered: () => {
      map.repaint();
      twin.render();
    },
    viewed: showView,
    found: () => {
      for (const process of model.processes.values()) if (filter.shows(process)) return open(process.key);
      return undefined;
    },
  },
);

function showView(view) {
  by("map").hidden = view !== "map";
  by("twin").hidden = view !== "table";
  map.show(view === "map");
  twin.render();
}

function speak(key) {
  const process = model.processes.get(key);
  const [sworm, name] = partsOf(key);
  const marked = moving.isMarked(key) ? ", marked" : "";
  say(by("spoken"), process ? `${name}, ${sworm}, ${stateWord(process.state)} on ${process.node}${marked}` : `${name}, ${sworm}, lost`);
}

function showHealth(now) {
  const found = clauses({ model, machine: link.machine, losses, acknowledged: (node) => acknowledgedDeaths.has(death(node)), replicas, now });
  const element = by("health");
  const text = found.map((clause) => clause.text).join(" · ");
  element.dataset.level = String(found[0]?.level ?? 0);
  if (element.dataset.text !== text) {
    element.dataset.text = text;
    element.replaceChildren(...found.flatMap((clause, i) => [i ? h("span.dot", {}, " · ") : "", h(`span.clause.level-${Math.min(3, clause.level)}`, {}, clause.text)]));
  }
  document.title = found[0]?.level >= 2 ? `${found[0].text} · Sworm` : "Live map · Sworm";
}

function showPicture(now) {
  const { level, badge } = picture(link.machine, now);
  const element = by("badge");
  element.dataset.state = link.machine.state;
  element.dataset.level = String(level);
  say(by("badge-text"), badge);
  by("retry").hidden = link.machine.state !== "closed" || link.machine.denied;
  by("sign-in").hidden = !link.machine.denied;
  document.body.classList.toggle("old-picture", level >= 3);
}

function showEmpty() {
  const known = link.machine.revision !== null;
  by("waiting").hidden = known;
  by("empty-nodes").hidden = !(known && map.blocks.size === 0);
  by("empty-processes").hidden = !(known && map.blocks.size > 0 && model.processes.size === 0);
}

// --- what comes ---------------------------------------------------------------------------------------------------------------

function changed(change) {
  const now = Date.now();
  losses.note(change, model, now);
  journal.note(change, model, now, !pictured);
  pictured = true;
  map.apply(change);
  drawer.panel?.refresh();
  moving.tick(now);
  countsStale = true;
  showHealth(now);
  showEmpty();
}

function address(since) {
  const url = new URL("/ws/map", window.location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("sworm", "*");
  if (since !== null) url.searchParams.set("since", since);
  return url;
}

const link = new Link(address, {
  snapshot: (message) => changed(model.snapshot(message)),
  diff: (message) => changed(model.diff(message)),
  changed: () => {
    showPicture(Date.now());
    showHealth(Date.now());
    showEmpty();
  },
});

function tick() {
  const now = Date.now();
  map.tick(now);
  showPicture(now);
  showHealth(now);
  showEmpty();
  tellTimes(now);
  drawer.panel?.refresh();
  moving.tick(now);
}

/** Counts change with every diff; people read them four times a second at most. */
function showCounts() {
  if (!countsStale) return;
  countsStale = false;
  toolbar.refresh();
  lately.render();
}

async function askReplicas() {
  if (document.visibilityState !== "visible" || link.machine.state !== "live") return;
  try {
    observed.take((await request("GET", "/replicas?limit=1000")).items);
    const there = new Set(present(model).map((node) => node.name));
    replicas = observed.agree([...new Set(observed.rows.map((row) => row.node))].filter((node) => !there.has(node)));
  } catch {
    replicas = null; // not known, so not said
  }
}

// --- begin ---------------------------------------------------------------------------------------------------------------------

for (const block of document.querySelectorAll("[data-copy]")) block.append(copyButton(block.querySelector("code").textContent, "command"));
by("retry").addEventListener("click", () => link.retry());
document.addEventListener("sworm:theme", () => map.recolour());
document.addEventListener("sworm:denied", () => link.deny());
window.setInterval(tick, SECOND);
window.setInterval(showCounts, SECOND / 4);
window.setInterval(() => twin.render(), SECOND);
window.setInterval(askReplicas, REPLICAS);
window.setTimeout(askReplicas, SECOND);
toolbar.refresh();
lately.render();
showView(toolbar.view);
drawer.fromAddress();
link.start();

/* The page of one process: what it is, what can be done, its life.

   Law: REST is the truth and is asked each second while somebody looks. An action shows requested, accepted, confirmed in place; each has
   its request and its command beside it. A name without a process keeps its page: its life is what is left of it. */

import { Action } from "./action.js";
import { listPath, processPath, request } from "./api.js";
import { groupLink, nodeLink } from "./cells.js";
import { follow } from "./cluster.js";
import { confirmed } from "./confirm.js";
import { copyButton, glyph, h, say, tellTimes, when } from "./dom.js";
import { Facts } from "./facts.js";
import { lives } from "./life.js";
import { LifeView } from "./life_view.js";
import { offerNodes, takers } from "./offer.js";
import { SendBox } from "./send_box.js";
import { sentence } from "./table.js";
import { curl, sworm as words, twins } from "./twins.js";
import { isolationWord, moment, shapeOf, stateWord } from "./words.js";

/** Target -> a message that it surely understands. Of others nothing is known; a plain function gets none. */
const EXAMPLES = { "examples.counters:Counter": '{"op": "get"}' };
/** ms between two readings, and events in one page of the life. */
const LOOK = 1000;
const EVENTS = 200;

const root = document.getElementById("process");
const rights = new Set(document.body.dataset.scopes.split(" "));
const { sworm, name } = root.dataset;
const path = processPath(sworm, name);
const key = `${sworm}/${name}`;

let item = null; // what runs now
let last = null; // what ran when it was last seen
let nodes = [];
let events = [];
let earlier = null; // cursor of what the history holds before
let grown = false;
const actions = [];

// --- what stands there ---------------------------------------------------------------------------------------------------------

const state = h("p.process-state", { role: "status" }, "Reading");
const trouble = h("p.trouble", { role: "alert", hidden: true });
const facts = new Facts();
const log = h("div.actions-log");
const target = h("select", { "aria-label": "Hand off to" });
const bar = h("div.buttons");
const scripts = h("div");
const life = new LifeView({ more: () => grow() });
const box = rights.has("process:call")
  ? new SendBox({
      title: "Call it",
      ways: [
        { verb: "Call", path: `${path}/call`, timeout: true, shown: (answer) => answer.reply, command: (message, ms) => words("call", sworm, name, message, "--timeout-ms", ms) },
        { verb: "Cast", path: `${path}/cast`, shown: () => null, said: "Taken; no reply comes." },
      ],
    })
  : null;

if (rights.has("process:handoff")) bar.append(h("span.joined", {}, h("button", { type: "button", onclick: () => handOff() }, "Hand off"), target));
if (rights.has("process:write")) {
  bar.append(h("button", { type: "button", onclick: () => restart() }, "Restart"));
  bar.append(h("button.danger", { type: "button", onclick: () => unregister() }, "Unregister"));
}
const acting = bar.children.length
  ? h("section", { "aria-label": "Actions" }, bar, log, scripts)
  : h("p.note.no-rights", {}, "You may look, not act: handing off, restarting and unregistering need the operator role. An admin can give it to you.");

bar.hidden = scripts.hidden = true; // until something is known to act on
if (box) box.element.hidden = true;
root.append(
  trouble,
  h("div.process-columns", {}, h("div.process-now", {}, state, acting, facts.element, box?.element), h("section.process-life", { "aria-labelledby": "life-title" }, h("h2", { id: "life-title" }, "Its life"), life.element)),
);
document.querySelector("h1").append(" ", copyButton(name, "name"));
scripts.append(
  twins(
    [
      ["Hand off", curl("POST", `${path}/handoff`, '{"to": null}')],
      ["", words("handoff", sworm, name)],
      ["Restart", curl("POST", `${path}/restart`, "{}")],
      ["", words("restart", sworm, name)],
      ["Unregister", curl("DELETE", path)],
      ["", words("unregister", sworm, name)],
    ],
    "These actions as requests and commands",
  ),
);

// --- what is read ----------------------------------------------------------------------------------------------------------------

async function look() {
  if (document.visibilityState !== "visible") return;
  const [now, told] = await Promise.allSettled([request("GET", path), request("GET", listPath("/events", { sworm, name, order: "desc", limit: EVENTS }))]);
  const missing = now.status === "rejected" && now.reason.status === 404;
  if (now.status === "fulfilled") item = last = now.value;
  else if (missing) item = null;
  if (told.status === "fulfilled") take(told.value);
  const failed = [now, told].find((one) => one.status === "rejected" && one.reason.status !== 404);
  trouble.hidden = !failed;
  if (failed) say(trouble, `It cannot be read: ${sentence(failed.reason.message)} What stands below is from before.`);
  else show();
}

function take({ items, next_cursor: cursor }) {
  const known = new Map((grown ? events : []).map((event) => [event.id, event]));
  for (const event of items) known.set(event.id, event);
  events = [...known.values()];
  if (!grown) earlier = cursor;
}

async function grow() {
  const page = await request("GET", listPath("/events", { sworm, name, order: "desc", limit: EVENTS, cursor: earlier }));
  grown = true;
  events = [...events, ...page.items];
  earlier = page.next_cursor;
  show();
}

// --- what is shown ---------------------------------------------------------------------------------------------------------------

function show() {
  const word = item ? `${stateWord(item.state)} on ${item.node}` : last || events.length ? "Nothing runs under this name any more" : "Nothing runs under this name, and nothing is recorded of it";
  if (state.dataset.shown !== word) {
    state.dataset.shown = word;
    state.replaceChildren(glyph(item ? shapeOf(item.state) : "unknown"), word);
  }
  bar.hidden = item === null;
  scripts.hidden = item === null;
  if (box) box.element.hidden = item === null;
  if (item) box?.suggest(EXAMPLES[item.target] ?? "");
  if (item ?? last) describe(item ?? last);
  life.show(lives(events, item), earlier !== null);
  offerTargets();
  for (const action of actions) action.tick(Date.now());
  tellTimes(Date.now());
}

function describe(known) {
  const code = (value) => ({ make: () => h("span.mono", {}, String(value)), copy: String(value) });
  facts.set("Sworm", known.sworm, { make: () => h("a", { href: `/processes?${new URLSearchParams({ sworm })}` }, known.sworm) });
  facts.set("Node", known.node, { make: () => nodeLink(known.node) });
  facts.set("pid", known.pid, code(known.pid));
  facts.set("Epoch", String(known.epoch), code(known.epoch));
  const started = moment(known.started_at);
  facts.set("Running since", started === null ? "" : String(started), { make: () => when(started) });
  facts.set("Restarts", String(known.restarts));
  facts.set("Target", known.target ?? "", code(known.target));
  facts.set("Arguments", json(known.args), { make: () => h("code", {}, json(known.args)) });
  facts.set("Keywords", json(known.kwargs), { make: () => h("code", {}, json(known.kwargs)) });
  facts.set("Isolation", isolationWord(known.isolation));
  facts.set("Groups", known.groups.join("\u0000"), { make: () => h("span", {}, known.groups.flatMap((group, i) => [i ? ", " : "", groupLink(sworm, group)])) });
  facts.set("Meta", json(known.meta), { make: () => h("code", {}, json(known.meta)) });
}

function json(value) {
  return value === null || value === undefined || Object.keys(value).length === 0 ? "" : JSON.stringify(value);
}

function offerTargets() {
  offerNodes(target, takers(nodes, item?.node), "wherever it fits");
}

// --- what is done ----------------------------------------------------------------------------------------------------------------

function start(parts) {
  const action = new Action(parts);
  actions.push(action);
  log.prepend(action.element);
  action.run().then(look);
}

function handOff() {
  const to = target.value || null;
  const from = item.node;
  start({
    title: `Hand off ${key} ${to === null ? "to wherever it fits" : `to ${to}`}`,
    ask: () => request("POST", `${path}/handoff`, { to }),
    seen: () => item !== null && (to === null ? item.node !== from : item.node === to) && item.state === "running",
    sight: () => `runs on ${item.node} as ${item.pid}`,
  });
}

async function restart() {
  const before = item.pid;
  if (!(await confirmed(`Restart ${name}`, `1 process of ${sworm} begins anew, without its state.`, { harmful: true }))) return;
  start({
    title: `Restart ${key}`,
    ask: () => request("POST", `${path}/restart`, {}),
    seen: () => item !== null && item.pid !== before && item.state === "running",
    sight: () => `runs as ${item.pid}`,
  });
}

async function unregister() {
  if (!(await confirmed(`Unregister ${name}`, `1 process of ${sworm} stops, its state is lost and its name is free.`, { harmful: true }))) return;
  start({ title: `Unregister ${key}`, ask: () => request("DELETE", path), seen: () => item === null, sight: () => "the name is free" });
}

follow(document.getElementById("cluster"), (known) => {
  nodes = known;
  offerTargets();
});
look();
window.setInterval(look, LOOK);

/* The page of groups: those of a sworm, and the members of one.

   Law: a group is there as long as it has members. Which sworm and which group is meant stands in the address. */

import { command, groupLink, mono, nodeLink, number, processLink, stateCell, time } from "./cells.js";
import { follow } from "./cluster.js";
import { h } from "./dom.js";
import { request } from "./api.js";
import { Address } from "./address.js";
import { SendBox } from "./send_box.js";
import { Table } from "./table.js";
import { curl } from "./twins.js";

const root = document.getElementById("list");
const rights = new Set(document.body.dataset.scopes.split(" "));
const address = new Address(["sworm", "group"], () => window.location.reload());
let sworm = address.get("sworm");
let sworms = null; // the names, once they are known
const group = address.get("group");

const SHOWN = 8;

function empty() {
  if (!sworm) {
    return [h("h2", {}, "No sworm is defined"), h("p", {}, "Groups belong to sworms. This makes one, with its first process:"), command("./sworm up")];
  }
  const said = group ? `Nobody is in ${group}` : `No process of ${sworm} is in a group`;
  return [
    h("h2", {}, said),
    h("p", {}, "A process joins by ", h("code", {}, "join"), " in its own code, or over REST; the group is there as soon as it has a member:"),
    command(curl("PUT", `/sworms/${sworm}/groups/${group ? encodeURIComponent(group) : "GROUP"}/members/NAME`)),
  ];
}

const GROUPS = {
  words: ["group", "groups"],
  key: (item) => item.name,
  columns: [
    { head: "Group", make: (item) => groupLink(item.sworm, item.name), rowHead: true, kind: "name" },
    { head: "Members", make: (item) => number(item.size), kind: "number" },
    { head: "Who", make: (item) => people(item), kind: "wide" },
  ],
};

const MEMBERS = {
  words: ["member", "members"],
  key: (item) => item.name,
  columns: [
    { head: "State", make: (item) => stateCell(item.state) },
    { head: "Name", make: (item) => processLink(item.sworm, item.name, true), rowHead: true, kind: "name" },
    { head: "Node", make: (item) => nodeLink(item.node) },
    { head: "pid", make: (item) => mono(item.pid), rare: true },
    { head: "In groups", make: (item) => h("span", {}, item.groups.flatMap((name, i) => [i ? ", " : "", groupLink(item.sworm, name)])), kind: "wide" },
    { head: "Since", make: (item) => time(item.started_at) },
  ],
};

function people(item) {
  const shown = item.members.slice(0, SHOWN).flatMap((name, i) => [i ? ", " : "", processLink(item.sworm, name, true)]);
  return h("span", {}, shown, item.size > SHOWN ? ` and ${item.size - SHOWN} more` : "");
}

function path() {
  if (!address.get("sworm")) return sworms === null ? undefined : null;
  const groups = `/sworms/${address.get("sworm")}/groups`;
  return group ? `${groups}/${encodeURIComponent(group)}` : groups;
}

const table = new Table(root, {
  ...(group ? MEMBERS : GROUPS),
  path,
  empty,
  sent: ({ cursor }) => (cursor ? { cursor } : {}),
  filters: [{ name: "sworm", label: "Sworm", kind: "choice", any: "choose one", scope: true }],
  tools: group ? h("a.button", { href: `/groups?${new URLSearchParams({ sworm })}` }, `All groups of ${sworm}`) : null,
});

if (group) {
  document.querySelector("h1").replaceChildren("Group ", mono(group));
  if (rights.has("process:call")) root.append(new SendBox(publishing(sworm, group)).element);
}

function publishing(sworm, group) {
  const base = `/sworms/${sworm}/groups/${encodeURIComponent(group)}`;
  return {
    title: `Speak to everybody in ${group}`,
    ways: [
      { verb: "Call all", path: `${base}/multi_call`, timeout: true, shown: (answer) => answer.replies },
      { verb: "Publish", path: `${base}/publish`, shown: () => null, said: "Sent to every member; no reply comes." },
    ],
  };
}

async function begin() {
  try {
    const { items } = await request("GET", "/sworms?limit=1000");
    sworms = items.map((item) => item.name);
    table.offer("sworm", sworms);
    if (sworm) return;
    if (items.length === 0) {
      table.read();
      return;
    }
    // The first one with processes is as good as any, and saves a choice where there is one only.
    const first = items.find((item) => item.processes > 0) ?? items[0];
    sworm = first.name;
    address.set({ sworm }, { step: false });
    table.nothing.replaceChildren();
    table.arrive();
  } catch (problem) {
    if (!sworm) table.fail(problem);
  }
}

begin();
follow(document.getElementById("cluster"));

/* The question before processes move: which, where to, and the same for scripts.

   Law: nothing moves before the button that repeats the verb with the count; it names what it will do, whichever node is chosen. */

import { h, say } from "./dom.js";
import { takers } from "./offer.js";
import { curl, sworm as command, twins } from "./twins.js";
import { counted } from "./words.js";

/** Names that are listed; more are counted. */
const LISTED = 8;

/** A process of the proposal: {sworm, name, node}. The requests that move these, one for each sworm: [{path, body, words, names}]. */
export function requests(processes, to) {
  const bySworm = new Map();
  for (const { sworm, name } of processes) bySworm.set(sworm, [...(bySworm.get(sworm) ?? []), name]);
  return [...bySworm].map(([sworm, names]) => {
    const where = to ? ["--to", to] : [];
    if (names.length === 1) {
      const path = `/sworms/${sworm}/processes/${encodeURIComponent(names[0])}/handoff`;
      return { sworm, names, path, body: { to }, words: ["handoff", sworm, ...names, ...where] };
    }
    return { sworm, names, path: `/sworms/${sworm}/migrate`, body: { names, to }, words: ["handoff", sworm, ...names, ...where] };
  });
}

/** "Hand off lobby", "Hand off 12 processes". */
function verbOf(processes) {
  return `Hand off ${processes.length === 1 ? processes[0].name : counted(processes.length, "process", "processes")}`;
}

/** The nodes that may be chosen: those that take something, and are not where everything runs already. */
function targets(processes, nodes) {
  const from = new Set(processes.map((process) => process.node));
  return takers(nodes, from.size === 1 ? [...from][0] : null);
}

/** Ask; resolves to {to} (null: wherever placement wants each), or to null when it shall not be. `to` is what is proposed. */
export function proposed(processes, nodes, to = null) {
  return new Promise((resolve) => {
    const names = targets(processes, nodes);
    const verb = verbOf(processes);
    const options = [["", "wherever placement wants it"], ...names.map((name) => [name, name])];
    const choice = h("select", { autofocus: true }, options.map(([value, word]) => h("option", { value }, word)));
    choice.value = names.includes(to) ? to : "";
    const yes = h("button.primary", { type: "submit", value: "yes" });
    const no = h("button", { type: "submit", value: "no" }, "Keep as it is");
    const same = h("div");
    const form = h(
      "form", { method: "dialog" }, h("h2", {}, `${verb}?`), h("ul.proposal-names", {}, listed(processes)),
      h("label.proposal-to", {}, "To ", choice), names.length ? null : h("p.note", {}, "No other node takes processes now."), same, h("div.buttons", {}, no, yes),
    );
    const describe = () => {
      say(yes, `${verb}${choice.value ? ` to ${choice.value}` : ""}`);
      same.replaceChildren(twins(requests(processes, choice.value || null).flatMap(forms)));
    };
    choice.addEventListener("change", describe);
    describe();
    const dialog = h("dialog.confirm", { "aria-label": verb }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? { to: choice.value || null } : null);
    });
    document.body.append(dialog);
    dialog.showModal();
    (to ? yes : choice).focus();
  });
}

function forms({ path, body, words }) {
  return [["REST", curl("POST", path, JSON.stringify(body))], ["Command", command(...words)]];
}

function listed(processes) {
  const shown = processes.slice(0, LISTED).map(({ sworm, name, node }) => h("li", {}, h("span.mono", {}, `${sworm}/${name}`), h("span.faint", {}, ` on ${node}`)));
  const more = processes.length - shown.length;
  return more > 0 ? [...shown, h("li.faint", {}, `and ${counted(more, "other", "others")}`)] : shown;
}

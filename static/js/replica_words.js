/* What the observed replicas of one sworm say together, in words.

   Law: pure. Versions are compared, never times: a copy that lacks what another has is behind it. Two that each lack something of the other
   are apart, as nodes that both write are for moments; they are split when each still lacks what the other had in the snapshot before.
   A snapshot that is much older than the newest, or of a node that is gone, says how things were, and is told so. */

import { counted, listed } from "./words.js";

/** ms by which a snapshot may be older than the newest and still be of now: three rounds of the observer. */
const OLD = 30000;

const at = (row) => Date.parse(row.observed_at);
const has = (row, origin) => row.versions[origin] ?? 0;

/** {rows, old}: those of now, and those that nobody has seen since. `gone`: names of nodes that are dead or left. */
export function current(rows, gone = []) {
  const there = rows.filter((row) => !gone.includes(row.node));
  const newest = Math.max(...(there.length ? there : rows).map(at));
  const isOld = (row) => newest - at(row) > OLD || (there.length > 0 && gone.includes(row.node));
  return { rows: rows.filter((row) => !isOld(row)), old: rows.filter(isOld) };
}

/** Origins that any of the rows knows, in order. */
export function originsOf(rows) {
  return [...new Set(rows.flatMap((row) => Object.keys(row.versions)))].sort();
}

/** Versions that `row` lacks of what `other` has, summed. */
export function lacks(row, other) {
  return Object.keys(other.versions).reduce((sum, origin) => sum + Math.max(0, has(other, origin) - has(row, origin)), 0);
}

/** Nodes with the same versions, together: [{nodes, row}], those that have most first. */
export function sides(rows) {
  const found = [];
  for (const row of rows) {
    const side = found.find((one) => lacks(row, one.row) === 0 && lacks(one.row, row) === 0);
    if (side) side.nodes.push(row.node);
    else found.push({ nodes: [row.node], row });
  }
  const sum = (side) => Object.values(side.row.versions).reduce((a, b) => a + b, 0);
  return found.sort((a, b) => sum(b) - sum(a));
}

/** Pairs of nodes with equal versions of an origin and unequal digests of it: what must never be. */
export function broken(rows) {
  const found = [];
  for (const [i, a] of rows.entries()) {
    for (const b of rows.slice(i + 1)) {
      for (const origin of Object.keys(a.versions)) {
        const [one, two] = [a.digests?.[origin], b.digests?.[origin]];
        if (a.versions[origin] === b.versions[origin] && one && two && one !== two) found.push({ nodes: [a.node, b.node], origin });
      }
    }
  }
  return found;
}

/** Whether each of two lacks what the other has; with `before`, the rows before those: what the other had even then. */
function areApart(one, other, before = null) {
  const had = (row) => (before === null ? row : before.find((earlier) => earlier.node === row.node));
  return [[one, other], [other, one]].every(([row, of]) => had(of) !== undefined && lacks(row, had(of)) > 0);
}

/**
 * {level, kind, text} about the rows of one sworm: kind is "agree", "behind", "apart", "split", "broken" or "old". `before`: the row
 * before that of each node, where it is known; `gone`: names of nodes that are dead or left.
 */
export function verdict(all, { before = [], gone = [] } = {}) {
  const { rows, old } = current(all, gone);
  const wrong = broken(rows);
  if (wrong.length) return { level: 3, kind: "broken", text: `${listed(wrong[0].nodes)} hold different entries of ${wrong[0].origin} at the same version` };
  const found = sides(rows);
  const apart = found.filter((side) => found.some((other) => other !== side && areApart(side.row, other.row)));
  const isSplit = apart.some((side) => apart.some((other) => other !== side && areApart(side.row, other.row, before)));
  const parts = apart.map((side) => listed(side.nodes)).join(" | ");
  const stale = old.length ? `; ${listed(old.map((row) => row.node))} ${old.length === 1 ? "was" : "were"} not observed since` : "";
  if (isSplit) return { level: 3, kind: "split", text: `Split: ${parts} each hold what the others lack${stale}` };
  if (apart.length) return { level: 1, kind: "apart", text: `${parts} each held what the others lacked; the next snapshot tells whether they are split${stale}` };
  if (found.length > 1) {
    const text = found.slice(1).map((side) => `${listed(side.nodes)} ${side.nodes.length === 1 ? "is" : "are"} ${counted(lacks(side.row, found[0].row), "version", "versions")} behind ${listed(found[0].nodes)}`);
    return { level: 2, kind: "behind", text: text.join(", ") + stale };
  }
  const told = rows.length === 1 ? `Only ${rows[0].node} was observed` : `${listed(rows.map((row) => row.node))} agree`;
  return old.length ? { level: 2, kind: "old", text: told + stale } : { level: 0, kind: "agree", text: told };
}

/** The rows as they were observed before: of each node and sworm the newest snapshot that is not the newest of all. */
export class Observed {
  constructor() {
    this.rows = [];
    this.before = [];
  }

  /** What was read now; the same snapshot twice is one. */
  take(rows) {
    const known = new Map(this.rows.map((row) => [placeOf(row), row]));
    const earlier = new Map(this.before.map((row) => [placeOf(row), row]));
    for (const row of rows) {
      const last = known.get(placeOf(row));
      if (last !== undefined && last.id !== row.id) earlier.set(placeOf(row), last);
    }
    this.rows = rows;
    this.before = [...earlier.values()];
  }

  /**
   * Whether the replicas agree: false when one still lacks what another had in the snapshot before, true when none lacks anything, null
   * while neither is known. `gone`: names of nodes that are dead or left.
   */
  agree(gone) {
    const said = [...new Set(this.rows.map((row) => row.sworm))].map((sworm) => this.agreeOn(sworm, gone));
    if (said.length === 0 || said.includes(false)) return said.length === 0 ? null : false;
    return said.includes(null) ? null : true;
  }

  agreeOn(sworm, gone) {
    const { rows, old } = current(this.rows.filter((row) => row.sworm === sworm), gone);
    const there = rows.filter((row) => !gone.includes(row.node));
    if (broken(there).length) return false;
    const before = this.before.filter((row) => row.sworm === sworm);
    const had = (row) => before.find((earlier) => earlier.node === row.node);
    const lagging = there.flatMap((row) => there.filter((other) => lacks(row, other) > 0).map((other) => [row, had(other)]));
    if (lagging.some(([row, then]) => then !== undefined && lacks(row, then) > 0)) return false;
    return lagging.length || old.some((row) => !gone.includes(row.node)) ? null : true;
  }
}

function placeOf({ node, sworm }) {
  return `${node}\u0000${sworm}`;
}

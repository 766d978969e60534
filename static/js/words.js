/* How numbers, times and states are said.

   Law: pure, and the only place that words them. Never more digits than are true; groups of thousands stand apart by a thin
   space; a time is relative, its exact form goes beside it (`exact`). */

const THIN = "\u202f";

/** 12345 -> "12 345", with thin spaces. */
export function count(n) {
  return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
}

/** "1 process", "312 processes". */
export function counted(n, one, many) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

const STEPS = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [48 * 3600, 3600, "h"],
  [Infinity, 86400, "days"],
];

/** A length of time in ms: "0.2 s", "4 s", "3 min", "5 h", "12 days". */
export function span(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  const [, unit, word] = STEPS.find(([below]) => seconds < below);
  return `${count(Math.floor(seconds / unit))} ${word}`;
}

/** How long ago a moment was: "4 s ago"; "just now" below one second. */
export function ago(at, now) {
  return now - at < 1000 ? "just now" : `${span(now - at)} ago`;
}

/** ms since 1970 of whatever form a time comes in (RFC 3339, ms or s since 1970); null when there is none. */
export function moment(value) {
  if (value === null || value === undefined || value === "") return null;
  if (typeof value === "number") return value < 1e11 ? value * 1000 : value;
  const parsed = Date.parse(value);
  return Number.isNaN(parsed) ? null : parsed;
}

/** Exact local time with milliseconds, for hovers and tables. */
export function exact(at) {
  const d = new Date(at);
  const two = (n) => String(n).padStart(2, "0");
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  return `${day} ${clock(at)}.${String(d.getMilliseconds()).padStart(3, "0")}`;
}

/** Local time of day: "14:02:11". */
export function clock(at) {
  const d = new Date(at);
  return [d.getHours(), d.getMinutes(), d.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
}

/** "n1", "n1 and n3", "n1, n3 and n4". */
export function listed(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** Names as people count: n2 before n10. */
export const COLLATOR = new Intl.Collator("en", { numeric: true });

/** Process states, in the order of the legend. */
export const STATES = ["running", "starting", "handing_off", "restarting", "failed"];

const STATE_WORDS = { handing_off: "handing off", moved: "handing off" };

/** A state as people read it. */
export function stateWord(state) {
  return STATE_WORDS[state] ?? (STATES.includes(state) ? state : "unknown");
}

/** The drawing of a state: those that the page does not know are hatched, never guessed. */
export function shapeOf(state) {
  if (state === "moved") return "handing_off";
  return STATES.includes(state) ? state : "unknown";
}

/** Where a worker runs, as people read it. */
export function isolationWord(isolation) {
  return isolation === "process" ? "an operating-system process of its own" : "a task in the agent";
}

/** Bytes in the largest unit that keeps at least one digit: "48 MB". */
export function bytes(n) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let i = 0;
  let value = n;
  while (value >= 1000 && i < units.length - 1) {
    value /= 1000;
    i += 1;
  }
  return `${value < 10 && i > 0 ? value.toFixed(1) : Math.round(value)} ${units[i]}`;
}

/* The same action for scripts: as a request, and as a command.

   Law: what is shown can be pasted into a shell as it stands, whatever the names in it. */

import { copyButton, h } from "./dom.js";

/** A text as one word of a shell. */
function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A request below /api/v1 as a curl command. */
export function curl(method, path, body) {
  const lines = [["curl", "-X", method, `${window.location.origin}/api/v1${path}`].map(quoted).join(" ")];
  lines.push('-H "Authorization: Bearer $SWORM_TOKEN"');
  if (body !== undefined) lines.push('-H "Content-Type: application/json"', `-d ${quoted(body)}`);
  return lines.join(" \\\n  ");
}

/** Words as a command of the command line. */
export function sworm(...words) {
  return ["./sworm", ...words.map((word) => quoted(String(word)))].join(" ");
}

/** A fold with the twins: [[what, text]]; those without a text are left out. */
export function twins(forms, summary = "The same for scripts") {
  const lines = forms.filter(([, text]) => text).map(([what, text]) => h("div.twin-line", {}, h("span.faint", {}, what), h("div.command", {}, h("code", {}, text), copyButton(text, what))));
  return h("details.twins", {}, h("summary", {}, summary), lines);
}

/* The REST API as this page uses it: with the session, and the CSRF token that the page carries.

   Law: a refusal becomes a `Problem` with the server's own words; nothing is retried here. A session that ended is told to the
   frame as `sworm:denied`. */

const BASE = "/api/v1";

/** What the server said, or why it could not be asked. */
export class Problem extends Error {
  constructor({ status = 0, code = "", title = "", detail = "" }) {
    super(detail || title || `status ${status}`);
    Object.assign(this, { status, code, title, detail });
  }
}

/** One request; resolves to the parsed answer (null for an empty one), rejects with a `Problem`. */
export async function request(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = document.body.dataset.csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(BASE + path, { method, headers, body: body && JSON.stringify(body), credentials: "same-origin" });
  } catch {
    throw new Problem({ title: "The control plane cannot be reached", detail: "The control plane cannot be reached. Nothing was asked of the cluster; try again." });
  }
  const answer = await parsed(response);
  if (response.status === 401) document.dispatchEvent(new CustomEvent("sworm:denied"));
  if (!response.ok) throw new Problem({ ...answer, status: response.status });
  return answer;
}

async function parsed(response) {
  const text = await response.text();
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    return { title: `The answer (status ${response.status}) is not JSON` };
  }
}

/** Path of a process; a name may hold any character. */
export function processPath(sworm, name) {
  return `/sworms/${sworm}/processes/${encodeURIComponent(name)}`;
}

/** Path of a list with its filters. */
export function listPath(path, filters) {
  return `${path}?${new URLSearchParams(filters)}`;
}

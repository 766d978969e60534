/* What a page shows, kept in its address: so it can be linked, reloaded, and left with the back button.

   Law: the address is the only place where it is kept; an empty value is not in it. Changing a filter begins at the first page again. */

/** Keys that choose a page of the list, and mean nothing once the list is another one. */
const PAGING = ["cursor"];

export class Address {
  /** `names` are the keys that the page knows; others in the address are left alone. `changed()` after back and forward. */
  constructor(names, changed) {
    this.names = names;
    window.addEventListener("popstate", () => changed());
  }

  /** {name: value} of what is set. */
  get values() {
    const query = new URLSearchParams(window.location.search);
    return Object.fromEntries(this.names.filter((name) => query.get(name)).map((name) => [name, query.get(name)]));
  }

  get(name) {
    return this.values[name] ?? "";
  }

  /** Set some; "" takes one away. `step`: the back button returns to what was before. */
  set(part, { step = true } = {}) {
    const url = new URL(window.location.href);
    if (!PAGING.some((name) => name in part)) for (const name of PAGING) url.searchParams.delete(name);
    for (const [name, value] of Object.entries(part)) {
      if (value) url.searchParams.set(name, value);
      else url.searchParams.delete(name);
    }
    if (url.href === window.location.href) return;
    if (step) window.history.pushState(null, "", url);
    else window.history.replaceState(null, "", url);
  }
}

/** The address of one process. */
export function processPage(sworm, name) {
  return `/process?${new URLSearchParams({ sworm, name })}`;
}

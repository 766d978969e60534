/* Marked processes, as "sworm/name", kept in the address's fragment.

   Law: the fragment is the only place where they are kept. */

/** Marks that an address can hold: beyond, a whole sworm is meant, and has a button of its own. */
const MOST = 500;

export class Marks {
  constructor() {
    this.changed = () => {};
    this.read();
    window.addEventListener("hashchange", () => {
      this.read();
      this.changed();
    });
  }

  read() {
    this.names = new Set(new URLSearchParams(window.location.hash.slice(1)).getAll("m"));
  }

  get size() {
    return this.names.size;
  }

  has(key) {
    return this.names.has(key);
  }

  toggle(key, on) {
    if (on) return this.add([key]);
    this.names.delete(key);
    return this.write();
  }

  /** Mark all of these, as far as there is room. */
  add(keys) {
    for (const key of keys) if (this.names.size < MOST) this.names.add(key);
    this.write();
  }

  clear() {
    this.names.clear();
    this.write();
  }

  write() {
    const url = new URL(window.location.href);
    url.hash = new URLSearchParams([...this.names].map((name) => ["m", name])).toString();
    window.history.replaceState(null, "", url);
    this.changed();
  }

  /** Map of sworm -> names. */
  bySworm() {
    const found = new Map();
    for (const key of this.names) {
      const cut = key.indexOf("/");
      const sworm = key.slice(0, cut);
      found.set(sworm, [...(found.get(sworm) ?? []), key.slice(cut + 1)]);
    }
    return found;
  }
}

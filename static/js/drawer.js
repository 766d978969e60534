/* The right-hand drawer: details of one process or one node, under a URL of its own.

   Law: one thing is open at a time, and the address says which (?p=sworm/name or ?n=node), so it can be linked, reloaded and
   left with the back button. What stands in it is the pages' business (process_panel.js, node_panel.js). */

import { h } from "./dom.js";

export class Drawer {
  /** `panels` makes the content: {p: (sworm, name) => panel, n: (node) => panel}; `on.opened(what)` after each change. */
  constructor(element, panels, on) {
    Object.assign(this, { element, panels, on });
    this.panel = null;
    this.returnTo = null;
    window.addEventListener("popstate", () => this.fromAddress());
    document.addEventListener("keydown", (event) => this.escaped(event));
  }

  /** Show what the address asks for. */
  fromAddress() {
    const query = new URLSearchParams(window.location.search);
    if (query.has("p")) this.show("p", ...split(query.get("p")));
    else if (query.has("n")) this.show("n", query.get("n"));
    else this.hide();
  }

  openProcess(sworm, name) {
    this.go({ p: `${sworm}/${name}` });
  }

  openNode(name) {
    this.go({ n: name });
  }

  close() {
    this.go({});
    this.returnTo?.focus({ preventScroll: true });
  }

  go(wanted) {
    const url = new URL(window.location.href);
    url.searchParams.delete("p");
    url.searchParams.delete("n");
    for (const [name, value] of Object.entries(wanted)) url.searchParams.set(name, value);
    if (url.href !== window.location.href) window.history.pushState(null, "", url);
    this.fromAddress();
  }

  show(kind, ...what) {
    if (this.element.hidden) this.returnTo = document.activeElement;
    this.panel?.closed();
    this.panel = this.panels[kind](...what);
    const close = h("button.close", { type: "button", onclick: () => this.close() }, "Close");
    this.element.replaceChildren(close, this.panel.element);
    this.element.hidden = false;
    document.body.classList.add("with-drawer");
    this.element.scrollTop = 0;
    this.element.focus({ preventScroll: true });
    this.on.opened(this.panel);
  }

  hide() {
    if (this.element.hidden) return;
    this.panel?.closed();
    this.panel = null;
    this.element.hidden = true;
    this.element.replaceChildren();
    document.body.classList.remove("with-drawer");
    this.on.opened(null);
  }

  escaped(event) {
    if (event.key !== "Escape" || this.element.hidden || document.querySelector("dialog[open]")) return;
    this.close();
  }
}

/** "sworm/name", where the name may hold slashes and the sworm may not. */
function split(path) {
  const cut = path.indexOf("/");
  return cut < 0 ? [path, ""] : [path.slice(0, cut), path.slice(cut + 1)];
}

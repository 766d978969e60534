/* The one modal: it repeats the verb with the count, and asks.

   Law: resolves to true only by the button that carries the verb. */

import { h } from "./dom.js";

/** Ask; `verb` is the button, `detail` what will be lost or moved: a sentence, or an element of more. */
export function confirmed(verb, detail, { harmful = false } = {}) {
  return new Promise((resolve) => {
    const yes = h(harmful ? "button.danger" : "button.primary", { type: "submit", value: "yes" }, verb);
    const no = h("button", { type: "submit", value: "no" }, "Keep as it is");
    const form = h("form", { method: "dialog" }, h("h2", {}, `${verb}?`), typeof detail === "string" ? h("p", {}, detail) : detail, h("div.buttons", {}, no, yes));
    const dialog = h("dialog.confirm", { "aria-label": verb }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
}

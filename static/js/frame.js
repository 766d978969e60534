/* What every page has: the theme switch, the keys, a rail that shows where one is, and word of a session that ended.

   Law: the choice is kept in the browser; "system" is the absence of a choice. Tells `sworm:theme` on the document when colours changed. */

import { listen } from "./keys.js";

const CHOICES = ["system", "light", "dark"];

function stored() {
  try {
    return window.localStorage.getItem("sworm.theme") ?? "system";
  } catch {
    return "system";
  }
}

function store(theme) {
  try {
    if (theme === "system") window.localStorage.removeItem("sworm.theme");
    else window.localStorage.setItem("sworm.theme", theme);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}

function apply(button, theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  button.textContent = `Theme: ${theme}`;
  document.dispatchEvent(new CustomEvent("sworm:theme"));
}

// At phone width the rail is a bar that scrolls: the page one is on must be in sight.
document.querySelector(".rail [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });

const button = document.getElementById("theme");
if (button) {
  let theme = CHOICES.includes(stored()) ? stored() : "system";
  apply(button, theme);
  button.addEventListener("click", () => {
    theme = CHOICES[(CHOICES.indexOf(theme) + 1) % CHOICES.length];
    store(theme);
    apply(button, theme);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(button, theme));
}

listen();

// Once REST answers 401, no button can do anything: the way back in is offered, and leads back here.
document.addEventListener("sworm:denied", () => {
  const denied = document.getElementById("denied");
  if (denied === null) return;
  const here = window.location.pathname + window.location.search;
  document.getElementById("denied-link").href = `/signin?${new URLSearchParams({ next: here })}`;
  denied.hidden = false;
});

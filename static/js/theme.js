/* Law: the one script that blocks the first paint, so that the page never flashes in the wrong theme. It decides
   nothing but `data-theme` on the root element; "system" is the absence of that attribute. */
"use strict";
(function () {
  try {
    const chosen = window.localStorage.getItem("sworm.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden; the system's theme is then what is shown.
  }
})();

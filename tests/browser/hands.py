"""Eyes and hands for the canvases of the map: which cells are painted, where one is, how it is dragged.

Law: only what a person sees and does: pixels and the pointer. Nothing asks the page's own modules.
"""

from __future__ import annotations

from playwright.sync_api import Page

#: Pixels of a node's waffle that are painted, as a number of whole cells; -1 while the node has no block.
CELLS = """(node) => {
  const canvas = document.querySelector(`.block[data-node="${node}"] canvas`);
  if (!canvas) return -1;
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  let painted = 0;
  for (let i = 3; i < pixels.length; i += 4) if (pixels[i] > 0) painted += 1;
  return painted / (14 * 14);
}"""

CENTRE = """([node, i]) => {
  const canvas = document.querySelector(`.block[data-node="${node}"] canvas`);
  const box = canvas.getBoundingClientRect();
  return [box.left + 7 + 16 * i, box.top + 7];
}"""


def wait_for_cells(page: Page, node: str, n: int) -> None:
    """Wait until a node's block shows so many cells."""
    page.wait_for_function(f"(n) => ({CELLS})('{node}') === n", arg=n)


def cell(page: Page, node: str, number: int = 0) -> tuple[float, float]:
    """Where a node's cell is, in its first row."""
    x, y = page.evaluate(CENTRE, [node, number])
    return x, y


def drag(page: Page, start: tuple[float, float], node: str) -> None:
    """Press on a cell and carry it over a node's block, without letting go."""
    box = page.locator(f".block[data-node='{node}']").bounding_box()
    assert box is not None
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + 8, start[1] + 8)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 12, steps=4)

/* The shapes of the states, as pixels.

   Law: pure: a shape is a question "is this point inside?", asked nine times a pixel, so every size has true edges and the
   smallest cells keep their shape. State is shape first, colour second: each shape is told apart in black and white. */

/** All shapes, in the order of their numbers. */
export const SHAPES = ["running", "starting", "handing_off", "restarting", "failed", "unknown"];

/** state -> (x, y, size) -> whether the point is inside; x, y in device pixels from the top left. */
const INSIDE = {
  running: () => true,
  starting: (x, y, n) => Math.min(x, y, n - x, n - y) < stroke(n),
  handing_off: (x, y, n) => x + y < n || Math.min(x, y, n - x, n - y) < stroke(n) * 0.7,
  restarting: (x, y, n) => !(x > n * 0.5 && y < n * 0.5),
  failed: (x, y, n) => Math.min(Math.abs(x - y), Math.abs(x + y - n)) < Math.max(1, n * 0.17),
  unknown: (x, y, n) => (x + y) % hatch(n) < hatch(n) / 2,
};

function stroke(n) {
  return Math.max(1, n * 0.14);
}

function hatch(n) {
  return Math.max(2, n / 3);
}

const OFFSETS = [1 / 6, 1 / 2, 5 / 6];

/** How much of a pixel (0…1) lies inside. */
function coverage(shape, px, py, n) {
  const inside = INSIDE[shape];
  let hits = 0;
  for (const dy of OFFSETS) for (const dx of OFFSETS) if (inside(px + dx, py + dy, n)) hits += 1;
  return hits / 9;
}

/** A sprite with a frame in another colour: a marked cell. The smallest cells are all frame. */
export function framed(pixels, n, [red, green, blue]) {
  const wide = n < 6 ? n : Math.max(1, Math.round(n * 0.2));
  const word = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const marked = pixels.slice();
  for (let y = 0; y < n; y += 1) for (let x = 0; x < n; x += 1) if (Math.min(x, y, n - 1 - x, n - 1 - y) < wide) marked[y * n + x] = word;
  return marked;
}

/** One cell of n × n device pixels in [red, green, blue] at an opacity 0…1, as little-endian RGBA words. */
export function sprite(shape, n, [red, green, blue], opacity = 1) {
  const pixels = new Uint32Array(n * n);
  for (let y = 0; y < n; y += 1) {
    for (let x = 0; x < n; x += 1) {
      const alpha = Math.round(255 * opacity * coverage(shape, x, y, n));
      pixels[y * n + x] = ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    }
  }
  return pixels;
}

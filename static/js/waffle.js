/* One block's cells on a canvas.

   Law: knows slots and sprites, neither processes nor nodes. A cell is copied into one pixel buffer and only what changed goes to the
   screen, once a frame, so 10 000 cells with 500 changes a second cost less than a millisecond each frame. */

export class Waffle {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.columns = 1;
    this.size = [14, 2];
    this.scale = 1;
    this.cell = 14; // device pixels
    this.pitch = 16;
    this.sprites = null;
    this.dirty = null; // [left, top, right, bottom] in device pixels
  }

  /** Cell and pitch in whole device pixels: cells stay crisp at any zoom. */
  grid(size, scale) {
    return [Math.round(size[0] * scale), Math.round((size[0] + size[1]) * scale)];
  }

  /** Fit to a width and a number of slots. True when everything must be painted again. */
  fit(width, length, size, scale, sprites) {
    const [cell, pitch] = this.grid(size, scale);
    const columns = Math.max(1, Math.floor((width * scale + pitch - cell) / pitch));
    const wide = columns * pitch - (pitch - cell);
    const high = Math.max(1, Math.ceil(length / columns) * pitch - (pitch - cell));
    const same = this.image && this.canvas.width === wide && this.canvas.height === high;
    if (same && this.sprites === sprites && this.columns === columns) return false;
    Object.assign(this, { columns, size, scale, sprites, cell, pitch });
    if (!same) this.resize(wide, high, scale);
    this.pixels.fill(0);
    this.dirty = [0, 0, wide, high];
    return true;
  }

  resize(wide, high, scale) {
    this.canvas.width = wide;
    this.canvas.height = high;
    this.canvas.style.width = `${wide / scale}px`;
    this.canvas.style.height = `${high / scale}px`;
    this.image = this.context.createImageData(wide, high);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  /** Copy a sprite (null: nothing) into a slot. A slot beyond the canvas waits for the next `fit`, which repaints all. */
  paint(slot, pixels) {
    const n = this.cell;
    const [left, top] = this.corner(slot);
    if (top + n > this.canvas.height) return;
    const wide = this.canvas.width;
    for (let y = 0; y < n; y += 1) {
      const at = (top + y) * wide + left;
      if (pixels === null) this.pixels.fill(0, at, at + n);
      else this.pixels.set(pixels.subarray(y * n, y * n + n), at);
    }
    this.touch(left, top, left + n, top + n);
  }

  touch(left, top, right, bottom) {
    const d = this.dirty;
    if (d === null) this.dirty = [left, top, right, bottom];
    else this.dirty = [Math.min(d[0], left), Math.min(d[1], top), Math.max(d[2], right), Math.max(d[3], bottom)];
  }

  /** Bring what changed to the screen. */
  flush() {
    if (this.dirty === null) return;
    const [left, top, right, bottom] = this.dirty;
    this.dirty = null;
    this.context.putImageData(this.image, 0, 0, left, top, right - left, bottom - top);
  }

  /** Top left of a slot in device pixels. */
  corner(slot) {
    return [(slot % this.columns) * this.pitch, Math.floor(slot / this.columns) * this.pitch];
  }

  /** Top left of a slot in CSS pixels, from the canvas's own corner. */
  place(slot) {
    return this.corner(slot).map((n) => n / this.scale);
  }

  /** The slot under a point in CSS pixels, gaps counted to the cell before them. */
  slotAt(x, y) {
    const column = Math.floor((x * this.scale) / this.pitch);
    if (column < 0 || column >= this.columns || y < 0) return -1;
    return Math.floor((y * this.scale) / this.pitch) * this.columns + column;
  }
}

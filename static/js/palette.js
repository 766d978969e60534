/* The colours of the states, as the style sheet gives them, and the sprites made of them.

   Law: colours live in tokens.css alone; here they are read, once per theme and cell size. */

import { SHAPES, framed, sprite } from "./sprites.js";

/** Opacity of a cell that the filter leaves out: still there, out of the way. */
const DIM = 0.16;

/** [red, green, blue] of a CSS custom property, whatever notation it has. */
function readColour(name) {
  const probe = document.createElement("span");
  probe.className = "probe";
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const numbers = window.getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
  probe.remove();
  return numbers.slice(0, 3).map(Math.round);
}

export class Palette {
  constructor() {
    this.read();
  }

  /** Read the colours again: after a change of theme. */
  read() {
    this.colours = new Map(SHAPES.map((shape) => [shape, readColour(`--state-${shape}`)]));
    this.accent = readColour("--accent");
    this.sets = new Map(); // size in device pixels -> sprites
    this.pictures = new Map();
  }

  /** {shape: pixels} for full cells, `dim` and `marked` ones, n device pixels wide. */
  sprites(n) {
    let set = this.sets.get(n);
    if (set === undefined) this.sets.set(n, (set = this.make(n)));
    return set;
  }

  make(n) {
    const set = { full: {}, dim: {}, marked: {} };
    for (const [shape, colour] of this.colours) {
      set.full[shape] = sprite(shape, n, colour);
      set.dim[shape] = sprite(shape, n, colour, DIM);
      set.marked[shape] = framed(set.full[shape], n, this.accent);
    }
    return set;
  }

  /** A sprite as something that drawImage takes. */
  picture(shape, n) {
    const name = `${shape} ${n}`;
    let canvas = this.pictures.get(name);
    if (canvas === undefined) {
      canvas = document.createElement("canvas");
      canvas.width = n;
      canvas.height = n;
      const image = new ImageData(new Uint8ClampedArray(this.sprites(n).full[shape].buffer.slice(0)), n, n);
      canvas.getContext("2d").putImageData(image, 0, 0);
      this.pictures.set(name, canvas);
    }
    return canvas;
  }

  css(shape) {
    return `rgb(${this.colours.get(shape).join(" ")})`;
  }
}

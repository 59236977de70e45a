/** The pixels of a PNG: inflated, unfiltered, brought from their depth and colors to RGBA, and laid over white. */
import { type Pixels, empty, overWhite } from "./pixels.ts";

/** How samples lie in a PNG; depth is 1, 2, 4 or 8 bits. */
export interface Samples {
  width: number;
  height: number;
  depth: number;
  colorType: number; // 0 gray, 2 RGB, 3 palette, 4 gray with opacity, 6 RGBA
  interlaced: boolean;
}

export interface Palette {
  colors: Uint8Array; // RGB, for color type 3
  opacities: Uint8Array; // of the first of them
  transparent: number[]; // for color types 0 and 2: the samples of the color that is not there
}

interface Pass {
  left: number;
  top: number;
  stepX: number;
  stepY: number;
}

const WHOLE: Pass = { left: 0, top: 0, stepX: 1, stepY: 1 };
const ADAM7: Pass[] = [
  { left: 0, top: 0, stepX: 8, stepY: 8 },
  { left: 4, top: 0, stepX: 8, stepY: 8 },
  { left: 0, top: 4, stepX: 4, stepY: 8 },
  { left: 2, top: 0, stepX: 4, stepY: 4 },
  { left: 0, top: 2, stepX: 2, stepY: 4 },
  { left: 1, top: 0, stepX: 2, stepY: 2 },
  { left: 0, top: 1, stepX: 1, stepY: 2 },
];
const CHANNELS = [1, 0, 3, 1, 2, 0, 4]; // by color type

/** RGB over white from the compressed `parts`. Throws an Error where they are damaged. */
export async function unpack(samples: Samples, palette: Palette, parts: Uint8Array<ArrayBuffer>[]): Promise<Pixels> {
  const { width, height, depth, colorType, interlaced } = samples;
  const bits = depth * CHANNELS[colorType]!;
  const passes = (interlaced ? ADAM7 : [WHOLE]).map((pass) => {
    const columns = Math.ceil((width - pass.left) / pass.stepX);
    const rows = columns > 0 ? Math.max(0, Math.ceil((height - pass.top) / pass.stepY)) : 0;
    return { ...pass, columns, rows, rowBytes: Math.ceil((columns * bits) / 8) };
  });
  const inflated = await inflate(parts, passes.reduce((sum, { rows, rowBytes }) => sum + rows * (1 + rowBytes), 0));
  const out = empty(width, height, 3);
  let at = 0;
  for (const { left, top, stepX, stepY, columns, rows, rowBytes } of passes) {
    const [rgba, rgb] = [new Uint8Array(4 * Math.max(0, columns)), new Uint8Array(3 * Math.max(0, columns))];
    let previous = new Uint8Array(rowBytes);
    for (let row = 0; row < rows; row++, at += 1 + rowBytes) {
      const line = inflated.subarray(at + 1, at + 1 + rowBytes);
      unfilter(inflated[at]!, line, previous, Math.max(1, bits >> 3));
      expand(line, samples, palette, rgba);
      overWhite(rgba, rgb, 0);
      place(rgb, out, (top + row * stepY) * width + left, stepX);
      previous = line;
    }
  }
  return out;
}

async function inflate(parts: Uint8Array<ArrayBuffer>[], size: number): Promise<Uint8Array<ArrayBuffer>> {
  const reader = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const out = new Uint8Array(size);
  let length = 0;
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    out.set(value!.subarray(0, size - length), length); // more than there are pixels is read for its checksum alone
    length = Math.min(size, length + value!.length);
  }
  if (length < size) throw new Error("pixels are missing");
  return out;
}

/** Undo a row's filter in place; `step` bytes back lies the same sample of the pixel before. */
function unfilter(filter: number, line: Uint8Array, previous: Uint8Array, step: number): void {
  if (filter > 4) throw new Error(`a row has the filter ${filter}`);
  for (let at = 0; filter && at < line.length; at++) {
    const before = at < step ? 0 : line[at - step]!;
    const above = previous[at]!;
    if (filter === 1) line[at]! += before;
    else if (filter === 2) line[at]! += above;
    else if (filter === 3) line[at]! += (before + above) >> 1;
    else line[at]! += paeth(before, above, at < step ? 0 : previous[at - step]!);
  }
}

function paeth(before: number, above: number, corner: number): number {
  const [fromBefore, fromAbove] = [Math.abs(above - corner), Math.abs(before - corner)];
  const fromCorner = Math.abs(before + above - 2 * corner);
  if (fromBefore <= fromAbove && fromBefore <= fromCorner) return before;
  return fromAbove <= fromCorner ? above : corner;
}

/** A row of samples as RGBA. */
function expand(line: Uint8Array, { depth, colorType }: Samples, { colors, opacities, transparent }: Palette, rgba: Uint8Array): void {
  const channels = CHANNELS[colorType]!;
  const most = (1 << depth) - 1;
  for (let pixel = 0, to = 0; to < rgba.length; pixel++, to += 4) {
    if (colorType === 0 || colorType === 3) {
      const bit = pixel * depth;
      const value = (line[bit >> 3]! >> (8 - depth - (bit & 7))) & most;
      const shade = (value * 255) / most;
      for (let channel = 0; channel < 3; channel++) rgba[to + channel] = colorType === 0 ? shade : (colors[3 * value + channel] ?? 0);
      rgba[to + 3] = colorType === 3 ? (opacities[value] ?? 255) : value === transparent[0] ? 0 : 255;
      continue;
    }
    const from = pixel * channels;
    const colored = channels >= 3;
    for (let channel = 0; channel < 3; channel++) rgba[to + channel] = line[colored ? from + channel : from]!;
    const hidden = transparent.length === 3 && transparent.every((value, channel) => rgba[to + channel] === value);
    rgba[to + 3] = colorType === 2 ? (hidden ? 0 : 255) : line[from + channels - 1]!;
  }
}

/** A row of RGB pixels into every `step`-th place from the pixel `at` on. */
function place(rgb: Uint8Array, out: Pixels, at: number, step: number): void {
  if (step === 1) out.data.set(rgb, 3 * at);
  else
    for (let from = 0, to = 3 * at; from < rgb.length; from += 3, to += 3 * step)
      for (let channel = 0; channel < 3; channel++) out.data[to + channel] = rgb[from + channel]!;
}

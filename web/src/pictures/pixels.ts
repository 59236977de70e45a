/** Pixels of a decoded picture, and what is done to each alone or to all without mixing any. Pure, and the same on every client. */

/** Rows of pixels from the top, each pixel's channels beside each other. */
export interface Pixels {
  width: number;
  height: number;
  channels: 1 | 3;
  data: Uint8Array;
}

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export function empty(width: number, height: number, channels: 1 | 3): Pixels {
  return { width, height, channels, data: new Uint8Array(width * height * channels) };
}

/** RGBA laid over white, written as RGB into `out` from its pixel `at` on: (c * a + 255 * (255 - a) + 127) / 255, rounded down. */
export function overWhite(rgba: ArrayLike<number>, out: Uint8Array, at: number): void {
  for (let from = 0, to = 3 * at; from < rgba.length; from += 4, to += 3) {
    const opacity = rgba[from + 3]!;
    const white = 255 * (255 - opacity) + 127;
    for (let channel = 0; channel < 3; channel++)
      out[to + channel] = opacity === 255 ? rgba[from + channel]! : ((rgba[from + channel]! * opacity + white) / 255) | 0;
  }
}

/** Whether any pixel's red, green and blue differ. */
export function isColored({ data }: Pixels): boolean {
  for (let at = 0; at < data.length; at += 3) if (data[at] !== data[at + 1] || data[at] !== data[at + 2]) return true;
  return false;
}

/** ITU-R 601 in whole numbers, as Pillow's "L". */
export function gray({ width, height, data }: Pixels): Pixels {
  const out = empty(width, height, 1);
  for (let at = 0; at < out.data.length; at++)
    out.data[at] = (data[3 * at]! * 19595 + data[3 * at + 1]! * 38470 + data[3 * at + 2]! * 7471 + 0x8000) >> 16;
  return out;
}

/** As it is to be seen, by an EXIF orientation 1 to 8. */
export function upright(pixels: Pixels, orientation: number): Pixels {
  if (orientation === 1) return pixels;
  const { width, height, channels, data } = pixels;
  const sideways = orientation >= 5;
  const out = sideways ? empty(height, width, channels) : empty(width, height, channels);
  const mirrored = [2, 3, 7, 8].includes(orientation); // the source's columns run backwards
  const flipped = [3, 4, 6, 7].includes(orientation); // its rows do
  const source = (row: number, column: number): number => {
    const [x, y] = sideways ? [row, column] : [column, row];
    return ((flipped ? height - 1 - y : y) * width + (mirrored ? width - 1 - x : x)) * channels;
  };
  const [along, down] = [source(0, 1) - source(0, 0), source(1, 0) - source(0, 0)];
  for (let row = 0, to = 0; row < out.height; row++) {
    let from = source(0, 0) + row * down;
    for (let column = 0; column < out.width; column++, from += along)
      for (let channel = 0; channel < channels; channel++) out.data[to++] = data[from + channel]!;
  }
  return out;
}

/** A part of the picture. */
export function cut(pixels: Pixels, box: Box): Pixels {
  const { width, channels, data } = pixels;
  const out = empty(box.width, box.height, channels);
  for (let row = 0; row < box.height; row++) {
    const from = ((box.top + row) * width + box.left) * channels;
    out.data.set(data.subarray(from, from + box.width * channels), row * box.width * channels);
  }
  return out;
}

/** `picture` within a black one of another size. */
export function pasted(picture: Pixels, width: number, height: number, { left, top }: Box): Pixels {
  const { channels } = picture;
  const out = empty(width, height, channels);
  for (let row = 0; row < picture.height; row++) {
    const from = row * picture.width * channels;
    out.data.set(picture.data.subarray(from, from + picture.width * channels), ((top + row) * width + left) * channels);
  }
  return out;
}

/** (channels, height, width), as models take them. */
export function planes({ width, height, channels, data }: Pixels): Uint8Array {
  const area = width * height;
  const out = new Uint8Array(channels * area);
  for (let at = 0; at < area; at++)
    for (let channel = 0; channel < channels; channel++) out[channel * area + at] = data[channels * at + channel]!;
  return out;
}

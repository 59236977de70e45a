/**
 * Scaling by a triangle filter, to the last bit as Pillow's BILINEAR (its Resample.c) does it without `reducing_gap`, rows first:
 * the triangle reaches one source pixel to either side, or as many as the scale where the picture shrinks; weights are
 * float64 sums, rounded to 22 bits; what lies outside of the picture has no weight; between the passes are 8 bits.
 */
import { type Pixels, empty } from "./pixels.ts";

const PRECISION_BITS = 22;

interface Weights {
  first: Int32Array; // of each result, the first source pixel that counts
  count: Int32Array;
  reach: number; // weights per result
  weights: Int32Array;
}

export function scale(pixels: Pixels, width: number, height: number): Pixels {
  return columns(rows(pixels, width), height);
}

function rows(pixels: Pixels, width: number): Pixels {
  if (width === pixels.width) return pixels;
  const { height, channels, data } = pixels;
  const { first, count, reach, weights } = triangle(pixels.width, width);
  const out = empty(width, height, channels);
  for (let row = 0, to = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      for (let channel = 0; channel < channels; channel++) {
        let sum = 1 << (PRECISION_BITS - 1);
        let from = (row * pixels.width + first[column]!) * channels + channel;
        const end = column * reach + count[column]!;
        for (let at = column * reach; at < end; at++, from += channels) sum += data[from]! * weights[at]!;
        out.data[to++] = Math.min(255, sum >> PRECISION_BITS);
      }
  return out;
}

function columns(pixels: Pixels, height: number): Pixels {
  if (height === pixels.height) return pixels;
  const { width, channels, data } = pixels;
  const { first, count, reach, weights } = triangle(pixels.height, height);
  const out = empty(width, height, channels);
  const stride = width * channels;
  const sums = new Int32Array(stride);
  for (let row = 0; row < height; row++) {
    sums.fill(1 << (PRECISION_BITS - 1));
    for (let at = 0; at < count[row]!; at++) {
      const weight = weights[row * reach + at]!;
      const from = (first[row]! + at) * stride;
      for (let column = 0; column < stride; column++) sums[column]! += data[from + column]! * weight;
    }
    for (let column = 0; column < stride; column++) out.data[row * stride + column] = Math.min(255, sums[column]! >> PRECISION_BITS);
  }
  return out;
}

/** The weights of each of `target` results over `size` source pixels. The order of the operations is Pillow's: so are the roundings. */
function triangle(size: number, target: number): Weights {
  const ratio = size / target;
  const support = Math.max(1, ratio);
  const inverse = 1 / support;
  const reach = 2 * Math.ceil(support) + 1;
  const [first, count] = [new Int32Array(target), new Int32Array(target)];
  const weights = new Int32Array(target * reach);
  const heights = new Float64Array(reach);
  for (let place = 0; place < target; place++) {
    const center = (place + 0.5) * ratio;
    const begin = Math.max(0, Math.trunc(center - support + 0.5));
    const length = Math.min(size, Math.trunc(center + support + 0.5)) - begin;
    let sum = 0;
    for (let at = 0; at < length; at++) {
      heights[at] = Math.max(0, 1 - Math.abs((at + begin - center + 0.5) * inverse));
      sum += heights[at]!;
    }
    for (let at = 0; at < length; at++) weights[place * reach + at] = Math.floor(0.5 + (heights[at]! / sum) * 2 ** PRECISION_BITS);
    [first[place], count[place]] = [begin, length];
  }
  return { first, count, reach, weights };
}

/** From decoded pixels to the bytes that a model takes. Every client makes the same ones: the Python `edge/sources/pictures.py`. */
import { InvalidInput } from "../core/errors.ts";
import type { Manifest } from "../core/manifest.ts";
import { type Box, type Pixels, cut, gray, isColored, pasted, planes, upright } from "./pixels.ts";
import { scale } from "./scaling.ts";

type Preprocessing = Manifest["preprocessing"];

export interface Layout {
  channels: 1 | 3;
  height: number;
  width: number;
}

/** RGB pixels as (channels, height, width). Throws InvalidInput for another size or a colored picture where `how` doesn't allow that. */
export function tensor(decoded: Pixels, orientation: number, name: string, layout: Layout, how: Preprocessing): Uint8Array {
  const turned = upright(decoded, orientation);
  const { width, height } = turned;
  if (how.fit === "exact" && (width !== layout.width || height !== layout.height))
    throw new InvalidInput(
      `the image ${name} is ${width}x${height} and the model takes ${layout.width}x${layout.height}`,
      "resize it, or ask the operator to export the model with --resize crop, pad or stretch",
    );
  if (layout.channels === 1 && !how.grayscale && isColored(turned))
    throw new InvalidInput(`the image ${name} is colored and the model takes gray ones`, "convert it to gray");
  return planes(fitted(layout.channels === 1 ? gray(turned) : turned, layout, how.fit));
}

function fitted(pixels: Pixels, { width, height }: Layout, fit: Preprocessing["fit"]): Pixels {
  if (pixels.width === width && pixels.height === height) return pixels;
  if (fit === "crop") return scale(cut(pixels, cropBox(pixels.width, pixels.height, width, height)), width, height);
  if (fit !== "pad") return scale(pixels, width, height);
  const box = padBox(pixels.width, pixels.height, width, height);
  return pasted(scale(pixels, box.width, box.height), width, height, box);
}

/** The largest centered part of a picture that has the target's proportions, in whole pixels rounded down. */
export function cropBox(width: number, height: number, targetWidth: number, targetHeight: number): Box {
  let [wide, high] = [width, height];
  if (width * targetHeight > height * targetWidth) wide = Math.max(1, Math.floor((height * targetWidth) / targetHeight));
  else high = Math.max(1, Math.floor((width * targetHeight) / targetWidth));
  return { left: (width - wide) >> 1, top: (height - high) >> 1, width: wide, height: high };
}

/** Where a picture lies that is scaled to fit within the target, centered; its shorter side rounded half up. */
export function padBox(width: number, height: number, targetWidth: number, targetHeight: number): Box {
  let [wide, high] = [targetWidth, targetHeight];
  if (width * targetHeight > height * targetWidth) high = Math.max(1, Math.floor((2 * height * targetWidth + width) / (2 * width)));
  else wide = Math.max(1, Math.floor((2 * width * targetHeight + height) / (2 * height)));
  return { left: (targetWidth - wide) >> 1, top: (targetHeight - high) >> 1, width: wide, height: high };
}

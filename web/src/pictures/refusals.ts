/** What no client takes, in the words of the Python `edge/sources/picture_files.py`, so that both refuse the same pictures. */
import { InvalidInput } from "../core/errors.ts";

const MAX_PIXELS = 100_000_000;
const MOST_PARTS = 20_000; // of a file; more than a camera ever writes
const MAX_SIDE = 65_535; // of any JPEG; up to there every client scales with the same numbers

/** Throws InvalidInput for a picture that is too large. */
export function checkSize(width: number, height: number, name: string): void {
  if (width * height > MAX_PIXELS || Math.max(width, height) > MAX_SIDE)
    throw new InvalidInput(`the image ${name} is too large (${width}x${height})`, "scale it down");
}

/** Throws InvalidInput for a file of too many parts: chunks, or segments. */
export function checkParts(count: number, name: string): void {
  if (count > MOST_PARTS) throw damaged(name, `it has more than ${MOST_PARTS} parts`);
}

export function tooDeep(name: string): InvalidInput {
  return new InvalidInput(`the image ${name} has more than 8 bits per channel`, "convert it to 8 bits");
}

export function forPrint(name: string): InvalidInput {
  return new InvalidInput(`the image ${name} is CMYK, made for print`, "convert it to RGB");
}

export function damaged(name: string, reason: string): InvalidInput {
  return new InvalidInput(`the image ${name} can't be decoded (${reason})`, "choose JPEG, PNG or WebP pictures that open elsewhere");
}

/** Pictures against the conformance vectors: the very same bytes, from pixels and from PNG files. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidInput } from "../../../web/src/core/errors.ts";
import { type Manifest, parseManifest } from "../../../web/src/core/manifest.ts";
import { fromHex } from "../../../web/src/core/signing.ts";
import { decode } from "../../../web/src/pictures/decoding.ts";
import { orientationOf } from "../../../web/src/pictures/exif.ts";
import { type Box, empty, overWhite } from "../../../web/src/pictures/pixels.ts";
import { cropBox, padBox, tensor } from "../../../web/src/pictures/tensor.ts";
import { type Vectors, bytes, vectors } from "./vectors.ts";

const document = vectors("images.json");
const manifest = JSON.parse(vectors("messages.json").cases.find(({ kind, valid }: Vectors) => kind === "Manifest" && valid).body);
const WORDS: Record<string, string> = {
  size: "and the model takes",
  colored: "is colored",
  depth: "more than 8 bits",
  print: "is CMYK",
  "too-large": "is too large",
  damaged: "can't be decoded",
};

/** As a manifest with these members says it. */
function preprocessingOf(members: object): Manifest["preprocessing"] {
  return parseManifest(JSON.stringify({ ...manifest, preprocessing: { kind: "image", ...members } })).preprocessing;
}

function refusal(reason: string): (error: unknown) => boolean {
  return (error) => error instanceof InvalidInput && error.problem.includes(WORDS[reason]!) && error.problem.includes("it");
}

test("crop boxes and pad boxes", () => {
  const edges = ({ left, top, width, height }: Box): number[] => [left, top, left + width, top + height];
  for (const { size, target, crop, pad } of document.boxes) {
    assert.deepEqual(edges(cropBox(size[0], size[1], target[0], target[1])), crop);
    assert.deepEqual(edges(padBox(size[0], size[1], target[0], target[1])), pad);
  }
});

test("orientations", () => {
  for (const { block, orientation } of document.exif) assert.equal(orientationOf(fromHex(block)), orientation, block);
});

for (const item of document.tensors)
  test(item.name, () => {
    const unit = bytes(item.rgba);
    const rgba = new Uint8Array(4 * item.width * item.height).map((_, at) => unit[at % unit.length]!);
    const pixels = empty(item.width, item.height, 3);
    overWhite(rgba, pixels.data, 0);
    const [channels, height, width] = item.shape;
    const make = (): Uint8Array => tensor(pixels, item.orientation, "it", { channels, height, width }, preprocessingOf(item.preprocessing));
    if (item.refused) assert.throws(make, refusal(item.refused));
    else assert.deepEqual(make(), bytes(item.expected));
  });

for (const item of document.files)
  test(`file: ${item.name}`, async () => {
    const decoded = decode(new Blob([new Uint8Array(bytes(item.body))]), "it");
    if (item.refused) return assert.rejects(decoded, refusal(item.refused));
    const { pixels, orientation } = await decoded;
    assert.deepEqual([pixels.width, pixels.height, orientation], [item.width, item.height, item.orientation]);
    assert.deepEqual(pixels.data, bytes(item.rgb));
  });

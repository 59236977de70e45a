/** Bundles, weights and devices' data of the vectors, opened as the page opens them, and what a round must give. */
import assert from "node:assert/strict";
import { relativeError } from "../../../web/src/core/golden.ts";
import { type Manifest, PROGRAMS, onnxFile, parseManifest, weightSpecs } from "../../../web/src/core/manifest.ts";
import { type Tensors, floats, parse, parseAs } from "../../../web/src/core/tensors.ts";
import { type Examples, exampleInput } from "../../../web/src/device/examples.ts";
import { Engine } from "../../../web/src/engine/engine.ts";
import { file } from "./vectors.ts";

const OF_WEIGHTS = 1e-5; // relative to the largest element
const OF_UPDATE = 1e-4; // an update is a small difference of weights

export interface Opened {
  manifest: Manifest;
  engine: Engine;
  weights: Tensors; // the round's global ones
  examples: Examples; // keyed by row
}

/** A model of models.json with everything that lies beside it. */
export function openModel(name: string): Promise<Opened> {
  return openFolder(`models/${name}`);
}

/** A folder with a bundle, weights and a device's data. */
export async function openFolder(folder: string): Promise<Opened> {
  const manifest = parseManifest(file(`${folder}/bundle/manifest.json`));
  const programs = new Map(PROGRAMS.map((program) => [program, file(`${folder}/bundle/${onnxFile(manifest, program).path}`)]));
  const engine = await Engine.open(manifest, programs);
  const weights = parseAs(file(`${folder}/weights.safetensors`), weightSpecs(manifest));
  return { manifest, engine, weights, examples: readExamples(`${folder}/data.safetensors`, manifest) };
}

function readExamples(name: string, manifest: Manifest): Examples {
  const { tensors } = parse(file(name));
  const labels = wholeNumbers(tensors, "y");
  const input = exampleInput(manifest);
  const rows = (tensors.get(`x.${input.name}`) ?? tensors.get(input.name))!.data;
  return { input, rows, width: rows.length / labels.length, labels, keys: [...labels.keys()] };
}

export function wholeNumbers(tensors: Tensors, name: string): Int32Array {
  return Int32Array.from(tensors.get(name)!.data as BigInt64Array, Number);
}

/** The update is the expected one, and so are the weights that it leads to. */
export function assertUpdate(weights: Tensors, expected: Tensors, update: Tensors): void {
  assert.deepEqual([...update.keys()].sort(), [...weights.keys()].sort());
  for (const name of update.keys()) {
    const [start, want, got] = [floats(weights, name), floats(expected, `update.${name}`), floats(update, name)];
    const moved = (by: Float32Array): Float32Array => start.map((value, index) => value + by[index]!);
    assert.ok(relativeError(moved(want), moved(got)) <= OF_WEIGHTS, name);
    assert.ok(relativeError(want, got) <= OF_UPDATE, name);
  }
}

/**
 * A device's own labeled data as arrays, and the overlay of labels that a re-labeling laid over them. The original
 * labels are never overwritten; a sample keeps its key, so an overlay stays right when samples come and go.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { NotEligible } from "../core/errors.ts";
import { type Manifest, PROGRAMS, type ProgramInput, inputs } from "../core/manifest.ts";
import { hex } from "../core/signing.ts";
import { type Tensor, type TypedArray, parse, toBytes } from "../core/tensors.ts";
import { classifier } from "../samples/classes.ts";
import type { Sample, Store } from "./store.ts";

export interface Examples {
  input: ProgramInput;
  rows: TypedArray; // (n, ...) flattened
  width: number; // numbers per sample
  labels: Int32Array; // (n,)
  keys: number[]; // (n,) the store's ids
}

/** What a model takes, as a text: samples of the same form fit the same models. */
export function formOf(manifest: Manifest): string {
  const input = exampleInput(manifest);
  return `${input.dtype} ${input.shape.slice(1).join("x")}`;
}

/** Why this page can't take part in a model's training, as half a sentence; empty where it can. */
export function unfit(manifest: Manifest): string {
  if (PROGRAMS.some((name) => manifest[name].files.every((file) => file.runtime !== "onnx"))) return "it has no program for browsers";
  const arrays = inputs(manifest.train_step, "x");
  if (arrays.length !== 1) return `each of its examples has ${arrays.length} parts (${arrays.map((item) => item.name).join(", ")})`;
  return ["uint8", "float32"].includes(arrays[0]!.dtype) ? "" : "its examples are neither pictures nor measured numbers";
}

/** The one input that a page can fill. Throws NotEligible for a model that takes several, or text. */
export function exampleInput(manifest: Manifest): ProgramInput {
  const reason = unfit(manifest);
  if (reason) throw new NotEligible(`this page can't prepare examples for the model: ${reason}`, "take part with another kind of device");
  return inputs(manifest.train_step, "x")[0]!;
}

/** All samples that fit the model and are one of its classes. Throws NotEligible where there is none. */
export async function load(store: Store, manifest: Manifest): Promise<Examples> {
  const input = exampleInput(manifest);
  const samples = await store.samples(formOf(manifest));
  if (!samples.length) throw new NotEligible("there is no example on this device", "add some pictures first");
  const classOf = classifier(manifest);
  const sorted = samples.filter((sample) => classOf(sample) !== undefined);
  if (!sorted.length) throw new NotEligible("the examples here are of another task's classes", "say below which of these classes they are");
  return assemble(input, sorted, Int32Array.from(sorted, (sample) => classOf(sample)!));
}

function assemble(input: ProgramInput, samples: Sample[], labels: Int32Array): Examples {
  const width = input.shape.slice(1).reduce<number>((product, size) => product * Number(size), 1);
  const rows = input.dtype === "uint8" ? new Uint8Array(samples.length * width) : new Float32Array(samples.length * width);
  samples.forEach((sample, index) => {
    if (sample.data.length !== width) throw new NotEligible("a sample has the wrong size", "remove it and add it again");
    rows.set(sample.data, index * width);
  });
  return { input, rows, width, labels, keys: samples.map((sample) => sample.id!) };
}

/** Some samples as one batch, (B, ...). */
export function batch(examples: Examples, indices: ArrayLike<number>): Tensor {
  const { width, input, rows } = examples;
  const data = rows instanceof Uint8Array ? new Uint8Array(indices.length * width) : new Float32Array(indices.length * width);
  for (let slot = 0; slot < indices.length; slot++) {
    const start = indices[slot]! * width;
    data.set(rows.subarray(start, start + width) as Float32Array, slot * width);
  }
  return { dtype: input.dtype, shape: [indices.length, ...input.shape.slice(1).map(Number)], data };
}

/** Some rows as examples of their own. */
export function take(examples: Examples, rows: number[]): Examples {
  const labels = Int32Array.from(rows, (row) => examples.labels[row]!);
  return { ...examples, rows: batch(examples, rows).data, labels, keys: rows.map((row) => examples.keys[row]!) };
}

/** A hash of every value, to notice that data changed within one assignment. Stays on the device. */
export function fingerprint(examples: Examples): string {
  const digest = sha256.create();
  const { rows, labels, keys } = examples;
  digest.update(new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength));
  digest.update(new Uint8Array(labels.buffer));
  digest.update(new Uint8Array(Float64Array.from(keys).buffer));
  return hex(digest.digest());
}

export interface Overlay {
  generation: number; // which re-labeling made it
  changed: Map<number, number>; // key -> the label to train on
}

export function overlayOf(examples: Examples, labels: Int32Array, generation: number): Overlay {
  const changed = examples.keys.flatMap((key, index): [number, number][] =>
    labels[index] === examples.labels[index] ? [] : [[key, labels[index]!]],
  );
  return { generation, changed: new Map(changed) };
}

/** The labels (n,) to train on. */
export function laid(overlay: Overlay, examples: Examples): Int32Array {
  return examples.labels.map((label, index) => overlay.changed.get(examples.keys[index]!) ?? label);
}

export function overlayToBytes(overlay: Overlay): Uint8Array {
  const column = (values: Iterable<number>): Tensor => {
    const data = BigInt64Array.from([...values].map(BigInt));
    return { dtype: "int64", shape: [data.length], data };
  };
  const tensors = new Map([
    ["keys", column(overlay.changed.keys())],
    ["relabeled", column(overlay.changed.values())],
  ]);
  return toBytes(tensors, { generation: String(overlay.generation) });
}

export function overlayFromBytes(body: Uint8Array): Overlay {
  const { tensors, metadata } = parse(body);
  const column = (name: string): number[] => Array.from(tensors.get(name)!.data as BigInt64Array, Number);
  const relabeled = column("relabeled");
  return {
    generation: Number(metadata.get("generation")),
    changed: new Map(column("keys").map((key, index) => [key, relabeled[index]!])),
  };
}

/**
 * Local evaluation: a share of the examples that is never trained on, and totals over it. Off unless the owner allows it.
 * Which samples are held out follows from their keys and the device's secret, so the choice is stable while data grow.
 */
import { blake2b } from "@noble/hashes/blake2.js";
import { type Stream, permutation } from "../core/streams.ts";
import type { Tensors } from "../core/tensors.ts";
import type { EvaluationReport } from "../core/wire.ts";
import type { Engine } from "../engine/engine.ts";
import { type Examples, take } from "../device/examples.ts";
import { type LocalRound, predict } from "../device/local-round.ts";

export interface Split {
  training: Examples; // at least one example
  heldOut: Examples;
}

export function split(examples: Examples, fraction: number, secret: Uint8Array): Split {
  const key = blake2b(secret, { dkLen: 32 });
  const held = examples.keys.map((sample) => draw(sample, key) < fraction);
  if (held.every(Boolean)) held[0] = false;
  const rows = (isHeld: boolean): number[] => held.flatMap((is, row) => (is === isHeld ? [row] : []));
  return { training: take(examples, rows(false)), heldOut: take(examples, rows(true)) };
}

/**
 * So many of the examples, in their order; undefined where there are fewer. A total over all of them would be the same in every
 * round, and known by the difference of two sums.
 */
export function drawn(examples: Examples, count: number, from: Stream): Examples | undefined {
  const held = examples.labels.length;
  return held < count ? undefined : take(examples, [...permutation(from, held).subarray(0, count)].sort((a, b) => a - b));
}

/** Totals of the global model over the hold-out. */
export async function evaluate(
  engine: Engine,
  local: LocalRound,
  weights: Tensors,
  heldOut: Examples,
  between: () => void = () => {},
): Promise<EvaluationReport> {
  return totals(await predict(engine, local, weights, heldOut, between), heldOut.labels, engine.manifest.classes);
}

/** The report of probabilities (n, C) and labels (n,). */
export function totals(probabilities: Float32Array, labels: Int32Array, classes: number): EvaluationReport {
  const report = { loss_sum: 0, correct: 0, examples: labels.length };
  labels.forEach((label, row) => {
    const line = probabilities.subarray(row * classes, (row + 1) * classes);
    report.loss_sum -= Math.log(Math.max(line[label]!, 1e-12));
    if (line.indexOf(Math.max(...line)) === label) report.correct += 1;
  });
  return report;
}

/** A number in [0, 1) of a sample's key, as 8 bytes, under the device's own key. */
function draw(sample: number, key: Uint8Array): number {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setBigUint64(0, BigInt(sample), true);
  const digest = blake2b(new Uint8Array(bytes.buffer), { key, dkLen: 8 });
  return Number(new DataView(digest.buffer, digest.byteOffset, 8).getBigUint64(0, true)) / 2 ** 64;
}

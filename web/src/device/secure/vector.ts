/** A finished update as words of 32 bits: what is hidden in a group. It is kept in place of an update's body, and never sent. */
import type { Manifest } from "../../core/manifest.ts";
import { type Stream, uniforms } from "../../core/streams.ts";
import type { Task } from "../../core/task.ts";
import { type Tensors, metadataOf, parse, toBytes } from "../../core/tensors.ts";
import type { EvaluationReport } from "../../core/wire.ts";
import { encode } from "../../secure/fixed-point.ts";
import { flattened, layoutOf, weightOf } from "../../secure/secure-task.ts";

const ENCODING = "vector";

/** The words of a change of weights as they are kept. `from`: the stream of the rounding. Throws InvalidInput for a value that isn't finite. */
export function vectorBody(
  change: Tensors,
  manifest: Manifest,
  task: Task,
  clipMillionths: number,
  examples: number,
  evaluation: EvaluationReport | undefined,
  from: Stream,
): Uint8Array {
  const blocks = flattened(change, manifest);
  const count = blocks.reduce((sum, block) => sum + block.length, 0);
  const extras = { weight: weightOf(task.aggregation, examples), ...(evaluation ? { evaluation } : {}) };
  const vector = encode(layoutOf(task, manifest, clipMillionths), blocks, extras, uniforms(from, count));
  return toBytes(new Map([["vector", { dtype: "int32", shape: [vector.length], data: vector }]]), { encoding: ENCODING });
}

/** The words (d,) of a finished update that is to be hidden; undefined for one that isn't. */
export function vectorOf(update: Uint8Array): Int32Array | undefined {
  if (metadataOf(update).get("encoding") !== ENCODING) return undefined;
  return parse(update).tensors.get("vector")!.data as Int32Array;
}

/**
 * What a task and its model mean for secure rounds: what stands where in a vector. The update's parameters in the manifest's
 * order, then its statistics in that order where the model has some, each flattened row by row; then the extras. See the
 * Python `fedrela.core.secure.secure_tasks`.
 */
import { type Manifest, type TensorSpec, statistics, weightSpecs } from "../core/manifest.ts";
import type { Task } from "../core/task.ts";
import { type Tensors, floats, size } from "../core/tensors.ts";
import { clipNorm } from "./clipping.ts";
import type { Layout } from "./fixed-point.ts";
import { LARGEST_GROUP } from "./messages.ts";

/** What a member's vector holds, and its steps, in a round of that clipping norm. Throws IntegrityError for one it can't have. */
export function layoutOf({ privacy }: Task, manifest: Manifest, clipMillionths: number): Layout {
  const norms = [clipNorm(privacy, clipMillionths), privacy.statistics_clip_norm];
  return {
    blocks: blocks(manifest).map((specs, at) => ({ size: sizeOfAll(specs), clipNorm: norms[at]! })),
    classes: manifest.classes,
    largestGroup: Math.min(2 * privacy.group_target - 1, LARGEST_GROUP),
  };
}

/** The blocks of an update, one array each. */
export function flattened(change: Tensors, manifest: Manifest): Float32Array[] {
  return blocks(manifest).map((specs) => {
    const values = new Float32Array(sizeOfAll(specs));
    let start = 0;
    for (const { name, shape } of specs) {
      values.set(floats(change, name), start);
      start += size(shape);
    }
    return values;
  });
}

/** What a device's update counts in the mean, 0 to 1: all the same, unless the task weighs by examples. */
export function weightOf({ weight_by_examples, max_examples }: Task["aggregation"], examples: number): number {
  return weight_by_examples ? Math.min(examples, max_examples) / max_examples : 1;
}

function blocks(manifest: Manifest): TensorSpec[][] {
  const counted = statistics(manifest);
  const specs = weightSpecs(manifest);
  const [parameters, rest] = [specs.filter(({ name }) => !counted.has(name)), specs.filter(({ name }) => counted.has(name))];
  return rest.length ? [parameters, rest] : [parameters];
}

function sizeOfAll(specs: TensorSpec[]): number {
  return specs.reduce((sum, { shape }) => sum + size(shape), 0);
}

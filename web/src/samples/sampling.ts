/**
 * Which samples an epoch trains on: all in random order, or as many of each class; as they are, or interpolated.
 *
 *     "shuffle", epoch     sampling "shuffle": the permutation of the n samples
 *     "sample", epoch      sampling "class-balanced": uniforms (n, 2); of K labels that are present, in ascending order,
 *                          slot i takes number floor(u_0 K), and of its members, in storage order, number floor(u_1 size)
 *     "synthesis", epoch   uniforms (n, 3) per slot; "mixup": partner floor(u_0 n) in the epoch's order, share u_1, and
 *                          the slot's own label where u_2 < u_1, else the partner's; "smote": neighbor floor(u_0 k) of
 *                          k, share 1 - u_1
 */
import { type Label, type Stream, permutation, uniforms } from "../core/streams.ts";
import { InvalidInput } from "../core/errors.ts";
import type { Task } from "../core/task.ts";
import type { Tensor } from "../core/tensors.ts";
import { type Examples, batch } from "../device/examples.ts";

const NEIGHBOURS = 5;

/** The n slots of one epoch. Slot i is share * x[row] + (1 - share) * x[partner]. */
export interface EpochPlan {
  rows: Int32Array;
  labels: Int32Array;
  partners?: Int32Array;
  shares?: Float64Array;
}

type Draw = (...purpose: Label[]) => Stream;

export function epochPlan(
  local: Pick<Task["local"], "sampling" | "synthesis">,
  labels: Int32Array,
  draw: Draw,
  epoch: number,
  neighbors: Map<number, number[]>,
): EpochPlan {
  const n = labels.length;
  const rows = local.sampling === "shuffle" ? permutation(draw("shuffle", epoch), n) : balanced(labels, uniforms(draw("sample", epoch), 2 * n));
  if (local.synthesis === "none") return { rows, labels: rows.map((row) => labels[row]!) };
  const u = uniforms(draw("synthesis", epoch), 3 * n);
  return local.synthesis === "mixup" ? mixup(rows, labels, u) : smote(rows, labels, u, neighbors);
}

/** The inputs and labels of slots `from` to `to`. Interpolated bytes are rounded to the nearest, halves up. */
export function taken(examples: Examples, plan: EpochPlan, from: number, to: number): { x: Tensor; y: Int32Array } {
  const y = plan.labels.slice(from, to);
  const x = batch(examples, plan.rows.subarray(from, to));
  if (!plan.partners || !plan.shares) return { x, y };
  if (x.dtype !== "uint8" && x.dtype !== "float32") throw new InvalidInput("these data have no in-between", "tell the operator");
  const other = batch(examples, plan.partners.subarray(from, to));
  const whole = x.dtype === "uint8";
  for (let at = 0; at < x.data.length; at++) {
    const share = plan.shares[from + Math.floor(at / examples.width)]!;
    const mixed = Number(x.data[at]) * share + Number(other.data[at]) * (1 - share);
    (x.data as Float32Array)[at] = whole ? Math.floor(mixed + 0.5) : mixed;
  }
  return { x, y };
}

/** Row -> its up to 5 nearest rows of the same label, nearest first, on a tie the lower; minority classes only. */
export function nearest(examples: Examples, labels: Int32Array): Map<number, number[]> {
  const members = byClass(labels);
  const neighbors = new Map<number, number[]>();
  const { rows, width } = examples;
  for (const own of members.values()) {
    if (own.length < 2 || own.length >= labels.length / members.size) continue;
    for (const row of own) {
      const distance = (other: number): number => {
        let sum = 0;
        for (let at = 0; at < width; at++) {
          const difference = Number(rows[other * width + at]) - Number(rows[row * width + at]);
          sum += difference * difference; // a power need not be rounded as a product is
        }
        return sum;
      };
      const ranked = own.filter((other) => other !== row).map((other) => ({ other, far: distance(other) }));
      ranked.sort((a, b) => a.far - b.far || a.other - b.other);
      neighbors.set(row, ranked.slice(0, NEIGHBOURS).map(({ other }) => other));
    }
  }
  return neighbors;
}

/** label -> its rows in storage order, by ascending label. */
function byClass(labels: Int32Array): Map<number, number[]> {
  const members = new Map<number, number[]>();
  for (const label of [...new Set(labels)].sort((a, b) => a - b)) members.set(label, []);
  labels.forEach((label, row) => members.get(label)!.push(row));
  return members;
}

function balanced(labels: Int32Array, u: Float32Array): Int32Array {
  const members = [...byClass(labels).values()];
  return Int32Array.from(labels, (_, slot) => {
    const own = members[Math.floor(u[2 * slot]! * members.length)]!;
    return own[Math.floor(u[2 * slot + 1]! * own.length)]!;
  });
}

function mixup(rows: Int32Array, labels: Int32Array, u: Float32Array): EpochPlan {
  const partners = rows.map((_, slot) => rows[Math.floor(u[3 * slot]! * rows.length)]!);
  const shares = Float64Array.from(rows, (_, slot) => u[3 * slot + 1]!);
  const mixed = rows.map((row, slot) => labels[u[3 * slot + 2]! < shares[slot]! ? row : partners[slot]!]!);
  return { rows, labels: mixed, partners, shares };
}

function smote(rows: Int32Array, labels: Int32Array, u: Float32Array, neighbors: Map<number, number[]>): EpochPlan {
  const partners = rows.slice();
  const shares = new Float64Array(rows.length).fill(1);
  const seen = new Set<number>();
  rows.forEach((row, slot) => {
    const near = neighbors.get(row);
    if (seen.has(row) && near) {
      partners[slot] = near[Math.floor(u[3 * slot]! * near.length)]!;
      shares[slot] = 1 - u[3 * slot + 1]!;
    }
    seen.add(row);
  });
  return { rows, labels: rows.map((row) => labels[row]!), partners, shares };
}

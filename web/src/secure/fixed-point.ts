/**
 * An update as whole numbers of 32 bits whose sum over a group can't overflow: see the Python
 * `fedrela.core.secure.fixed_point`. A vector is blocks of the update (parameters, and buffers such as BatchNorm's
 * statistics), then the extras. With g the binary logarithm of the largest group, rounded up, a block clipped to the L2 norm
 * C has the step s = C * 2^(g - 30), and
 *
 *     v = floor(w * x / s + u)        in float64, left to right; u uniform in [0, 1), so that v * s is unbiased
 */
import { InvalidInput } from "../core/errors.ts";
import type { EvaluationReport } from "../core/wire.ts";

const SUM_BITS = 30; // a sum's size; of the 31 beside the sign, one is left
const LARGEST_COUNT = 4095; // of anything that is counted
const LARGEST_SAMPLE_LOSS = 10;
export const EVALUATED = 32; // samples of an evaluation, drawn anew each time

/** So many elements of an update that are clipped together, to this L2 norm. */
export interface Block {
  size: number;
  clipNorm: number;
}

/** What a vector holds. `classes`: of the histogram among the extras. `largestGroup`: members of a sum at most. */
export interface Layout {
  blocks: readonly Block[];
  classes: number;
  largestGroup: number;
}

/** What travels beside an update, and is neither weighted nor clipped with it. What isn't used is zero; `weight` is 0 to 1. */
export interface Extras {
  weight: number;
  evaluation?: EvaluationReport; // over `EVALUATED` samples, or none
  histogram?: readonly number[]; // how many samples of each class
}

/** The value of one unit, for values of up to `bound`: exact, as it is `bound` times a power of two. */
export function stepOf(layout: Layout, bound: number): number {
  const groupBits = 32 - Math.clz32(layout.largestGroup - 1);
  return bound * 2 ** (groupBits - SUM_BITS);
}

/** Words of a vector. */
export function sizeOf(layout: Layout): number {
  return elements(layout) + extraKinds(layout).length;
}

/**
 * A device's vector (d,). `uniforms`: one for each element of the blocks. Each block is clipped first; extras beyond their
 * bounds are clamped. Throws InvalidInput where sizes differ from the layout's or a value isn't finite.
 */
export function encode(layout: Layout, blocks: readonly Float32Array[], extras: Extras, uniforms: Float32Array): Int32Array {
  check(layout, blocks, uniforms);
  const weight = clamped(extras.weight, 1);
  const vector = new Int32Array(sizeOf(layout));
  let start = 0;
  let clipped = 0;
  layout.blocks.forEach((block, number) => {
    const values = blocks[number]!;
    const factor = clipFactor(block, values);
    const step = stepOf(layout, block.clipNorm);
    if (number === 0 && factor < 1) clipped = 1; // of the parameters alone
    for (let at = 0; at < values.length; at++)
      vector[start + at] = Math.floor((weight * (values[at]! * factor)) / step + uniforms[start + at]!);
    start += values.length;
  });
  vector.set(extraWords(layout, extras, clipped), start);
  return vector;
}

/** By what a block is multiplied to keep its norm within bounds: at most 1. */
function clipFactor({ clipNorm }: Block, values: Float32Array): number {
  const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm > 0 ? Math.min(1, clipNorm / norm) : 1;
}

function elements(layout: Layout): number {
  return layout.blocks.reduce((sum, block) => sum + block.size, 0);
}

/** The extras' largest values and steps: weight, clipped, loss, correct and examples of the evaluation, then the histogram. */
function extraKinds(layout: Layout): { bound: number; step: number }[] {
  const loss = LARGEST_SAMPLE_LOSS * EVALUATED;
  const counted = (bound: number): { bound: number; step: number } => ({ bound, step: 1 });
  return [
    { bound: 1, step: stepOf(layout, 1) },
    counted(1),
    { bound: loss, step: stepOf(layout, loss) },
    counted(EVALUATED),
    counted(EVALUATED),
    ...Array.from({ length: layout.classes }, () => counted(LARGEST_COUNT)),
  ];
}

/** Nearest units, halves up, of values clamped to their bounds. */
function extraWords(layout: Layout, { weight, evaluation, histogram = [] }: Extras, clipped: number): number[] {
  if (histogram.length && histogram.length !== layout.classes)
    throw new InvalidInput("a histogram has other classes than the layout", "count every class");
  const { loss_sum, correct, examples } = evaluation ?? { loss_sum: 0, correct: 0, examples: 0 };
  const values = [weight, clipped, loss_sum, correct, examples, ...histogram];
  return extraKinds(layout).map(({ bound, step }, at) => Math.floor(clamped(values[at] ?? 0, bound) / step + 0.5));
}

function clamped(value: number, bound: number): number {
  return Math.min(Math.max(value, 0), bound);
}

function check(layout: Layout, blocks: readonly Float32Array[], uniforms: Float32Array): void {
  const fits = blocks.length === layout.blocks.length && layout.blocks.every((block, at) => block.size === blocks[at]!.length);
  if (!fits || uniforms.length !== elements(layout))
    throw new InvalidInput("an update doesn't fit its layout", "flatten the manifest's tensors in order");
  if (!blocks.every((values) => values.every(Number.isFinite)))
    throw new InvalidInput("an update holds a value that is not finite", "lower the learning rate");
}

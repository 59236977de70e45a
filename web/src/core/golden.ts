/**
 * Golden steps: fixed inputs, made from streams, on which every runtime must give the recorded outputs. The rules are
 * those of conformance/README.md; arithmetic is float32, evaluated left to right.
 */
import { VerificationFailed } from "./errors.ts";
import { CARRIED, type Manifest, PROGRAMS, type ProgramInput, type ProgramName, sized } from "./manifest.ts";
import { derive, uniforms } from "./streams.ts";
import { type Tensor, type Tensors, type TypedArray, size } from "./tensors.ts";

export type Run = (program: ProgramName, inputs: Tensors) => Promise<Tensors>;

const SAMPLE = 512;
const LARGEST_SLACK = 0.3; // relative: what is further off than this says nothing, whatever a golden file allows
// AdamW's epsilon is large, lest rounding decide its step where a gradient is zero but for rounding.
const HYPERPARAMETERS: Record<string, number> = { lr: 0.05, adam_epsilon: 1e-3 };
const THRESHOLD_PERCENT = 20;
const SECRET = new TextEncoder().encode("fedrela golden");
const f = Math.fround;

/**
 * Run the golden steps of some programs and throw VerificationFailed at the first output that is off by more than the
 * tolerance. What the file leaves out (a gradient that is nothing but rounding) is not expected of anybody.
 */
export async function verifyGolden(manifest: Manifest, expected: Tensors, run: Run, programs: readonly ProgramName[] = PROGRAMS): Promise<void> {
  for (const program of programs)
    if (![...expected.keys()].some((key) => key.startsWith(`${program}.`)))
      throw new VerificationFailed(`nothing of ${program} is recorded in the golden file`, "tell the operator to export the model again");
  for (const program of programs) await (program === "train_step" ? trainSteps(manifest, expected, run) : once(manifest, expected, run, program));
}

async function once(manifest: Manifest, expected: Tensors, run: Run, program: ProgramName): Promise<void> {
  const fed = goldenInputs(manifest, program, 0);
  compare(manifest, expected, program, 0, fed, await run(program, fed));
}

async function trainSteps(manifest: Manifest, expected: Tensors, run: Run): Promise<void> {
  let carried: Tensors = new Map();
  for (let step = 0; step < manifest.golden.steps; step++) {
    const fed = new Map([...goldenInputs(manifest, "train_step", step, carried.size ? CARRIED : []), ...carried]);
    const outputs = await run("train_step", fed);
    compare(manifest, expected, "train_step", step, fed, outputs);
    carried = new Map(
      manifest.train_step.inputs.filter((item) => CARRIED.includes(item.role)).map((item) => [item.name, outputs.get(`new.${item.name}`)!]),
    );
  }
}

/** The inputs of one golden step, by name, but those of some roles. */
export function goldenInputs(manifest: Manifest, program: ProgramName, step: number, without: readonly string[] = []): Tensors {
  const sizes = { B: manifest.golden.batch, N: 4 * manifest.golden.batch };
  return new Map(
    manifest[program].inputs.filter((item) => !without.includes(item.role)).map((item) => {
      const shape = sized(item.shape, sizes);
      const origin = CARRIED.includes(item.role) || item.role === "anchor" ? 0 : step;
      const u = uniforms(derive(SECRET, manifest.golden.seed, program, origin, item.name), size(shape));
      return [item.name, cast(item.dtype, shape, values(manifest, item, shape, u))];
    }),
  );
}

/**
 * max |actual - expected|, less the slack, / (max |expected - before| + 0.01 max |expected|). Infinite where anything is
 * not finite, on either side, or the sizes differ.
 */
export function relativeError(expected: ArrayLike<number>, actual: ArrayLike<number>, before?: ArrayLike<number>, slack = 0): number {
  if (expected.length !== actual.length) return Infinity;
  let off = 0;
  let moved = 0;
  let largest = 0;
  for (let index = 0; index < expected.length; index++) {
    const want = expected[index]!;
    off = Math.max(off, Math.abs(actual[index]! - want)); // a NaN stays
    moved = Math.max(moved, Math.abs(want - (before?.[index] ?? 0)));
    largest = Math.max(largest, Math.abs(want));
  }
  if (![off, moved, largest, slack].every(Number.isFinite)) return Infinity;
  const scale = Math.max(moved + 0.01 * largest, 1e-12);
  return Math.max(off - Math.min(slack, LARGEST_SLACK * scale), 0) / scale;
}

function compare(manifest: Manifest, expected: Tensors, program: ProgramName, step: number, fed: Tensors, outputs: Tensors): void {
  const prefix = `${program}.${step}.`;
  for (const [key, want] of expected) {
    if (!key.startsWith(prefix)) continue;
    const name = key.slice(prefix.length);
    const got = outputs.get(name);
    const start = name.startsWith("new.") ? fed.get(name.slice(4)) : undefined;
    const slack = Number(expected.get(`slack.${key}`)?.data[0] ?? 0);
    const error = got ? relativeError(numbers(want.data), sample(got), start && sample(start), slack) : Infinity;
    if (!(error <= manifest.golden.tolerance))
      throw new VerificationFailed(
        `golden output ${key} is off by ${error.toPrecision(2)} (allowed: ${manifest.golden.tolerance})`,
        "this browser computes this model wrongly; use another browser or device",
      );
  }
}

/** The recorded elements of an output. */
function sample(tensor: Tensor): number[] {
  const all = numbers(tensor.data);
  if (all.length <= SAMPLE) return all;
  return Array.from({ length: SAMPLE }, (_, index) => all[Math.floor((index * all.length) / SAMPLE)]!);
}

function numbers(data: TypedArray): number[] {
  return Array.from(data as ArrayLike<number | bigint>, Number);
}

/** The rule of the table for one input. */
function values(manifest: Manifest, item: ProgramInput, shape: number[], u: Float32Array): Float32Array {
  const classes = manifest.classes;
  switch (item.role) {
    case "parameter":
    case "anchor": {
      if (shape.length < 2) return u.map((v) => v + 0.5);
      const bound = f(Math.sqrt(3 / size(shape.slice(1))));
      return u.map((v) => f(v * f(2 * bound)) - bound);
    }
    case "buffer":
      return u.map((v) => v + 0.5);
    case "optimizer":
      return u.map(() => 0);
    case "x": {
      const limit = item.dtype === "uint8" ? 256 : item.dtype === "float32" ? 0 : manifest.golden.token_limit;
      return limit ? u.map((v) => Math.floor(f(v * limit))) : u.map((v) => f(v * 2) - 1);
    }
    case "y":
      return u.map((v) => Math.floor(f(v * classes)));
    case "labels":
      return u.map((v) => Math.floor(f(f(v * v) * classes)));
    case "weight":
      return u.map((_, index) => (index === u.length - 1 ? 0 : 1));
    case "hyperparameter":
      return u.fill(HYPERPARAMETERS[item.name] ?? manifest.hyperparameters?.get(item.name) ?? 0);
    case "random":
      return u;
    case "uniforms":
      return u.map((v) => v * f(0.1));
    case "class_prior":
      return shares(u.map((v) => v + f(0.1)), u.length);
    case "probabilities":
      return shares(u.map((v) => v + f(0.01)), shape[1]!);
    case "threshold_percent":
      return u.fill(THRESHOLD_PERCENT);
  }
}

/** Each row divided by its sum. */
function shares(positive: Float32Array, row: number): Float32Array {
  for (let start = 0; start < positive.length; start += row) {
    const part = positive.subarray(start, start + row);
    const sum = f(part.reduce((total, value) => total + value, 0));
    for (let index = 0; index < row; index++) part[index] = part[index]! / sum;
  }
  return positive;
}

function cast(dtype: string, shape: number[], data: Float32Array): Tensor {
  if (dtype === "int64") return { dtype, shape, data: BigInt64Array.from(data, (value) => BigInt(value)) };
  if (dtype === "int32") return { dtype, shape, data: Int32Array.from(data) };
  if (dtype === "uint8") return { dtype, shape, data: Uint8Array.from(data) };
  return { dtype: "float32", shape, data };
}

/**
 * One local round: re-label when due, train for some epochs, give the change of weights. No storage, no clock.
 *
 * Every random number comes from derive(device secret, "fedrela/v1", task seed, round, purpose...):
 *
 *     "shuffle", epoch                          the permutation of the n samples in that epoch (from 0)
 *     "train", step, input name                 uniforms for that random input; step counts from 0 through the client round
 *     "relabel-pass", pass, batch index, name   uniforms for a random input of `predict`
 *     "relabel-draw"                            uniforms (n, C) of the re-labeling
 *     "encode"                                  the update's encoding
 *     "evaluate"                                secure rounds: which of the samples held out are evaluated
 */
import { InvalidInput } from "../core/errors.ts";
import { goldenInputs } from "../core/golden.ts";
import { type Manifest, type ProgramInput, inputs, sized } from "../core/manifest.ts";
import { type Label, type Stream, derive, uniforms } from "../core/streams.ts";
import { type Task, generation, lrFactor } from "../core/task.ts";
import { type Tensor, type Tensors, float32, floats, size } from "../core/tensors.ts";
import type { Engine, State, StepTotals } from "../engine/engine.ts";
import { type Examples, batch } from "./examples.ts";
import { epochPlan, nearest, taken } from "../samples/sampling.ts";

const PREDICT_BATCH = 256;

export interface LocalRound {
  task: Task;
  round: number;
  secret: Uint8Array;
}

export interface Step {
  number: number; // finished steps, from 1
  total: number;
  totals: StepTotals;
  state: State;
}

export function stream(local: LocalRound, ...purpose: Label[]): Stream {
  return derive(local.secret, "fedrela/v1", local.task.seed, local.round, ...purpose);
}

export function generationOf(local: LocalRound): number {
  return generation(local.task, local.round);
}

export function stepCount(task: Task, samples: number): number {
  const needed = Math.ceil(samples / task.local.batch_size) * task.local.epochs;
  return task.local.max_steps ? Math.min(needed, task.local.max_steps) : needed;
}

/** New labels (n,) from the global model's probabilities, averaged over the task's passes. */
export async function relabel(
  engine: Engine,
  local: LocalRound,
  weights: Tensors,
  examples: Examples,
  between: () => void = () => {},
): Promise<Int32Array> {
  const { classes } = engine.manifest;
  const n = examples.labels.length;
  const probabilities = float32([n, classes], await predict(engine, local, weights, examples, between));
  const drawn = float32([n, classes], uniforms(stream(local, "relabel-draw"), n * classes));
  const byRole: Record<string, Tensor> = {
    probabilities,
    labels: int64(examples.labels),
    uniforms: drawn,
    threshold_percent: scalar(local.task.relabel.threshold_percent),
  };
  const fed = new Map(engine.manifest.relabel.inputs.map((item) => [item.name, byRole[item.role]!]));
  const outputs = await engine.run("relabel", fed);
  return Int32Array.from(outputs.get("new_labels")!.data as BigInt64Array, Number);
}

/** Whether a global model predicts numbers on the golden inputs; nobody could train one that doesn't. */
export async function isUsable(engine: Engine, weights: Tensors): Promise<boolean> {
  const fed = new Map([...weights, ...goldenInputs(engine.manifest, "predict", 0, ["parameter", "buffer"])]);
  return floats(await engine.run("predict", fed), "probabilities").every(Number.isFinite);
}

/**
 * Probabilities (n, C): the mean over the passes, summed in float64, rounded to float32 once. `between` is called before each
 * batch, and may throw. Throws InvalidInput for a prediction that is no number: no label and no total follows from one.
 */
export async function predict(
  engine: Engine,
  local: LocalRound,
  weights: Tensors,
  examples: Examples,
  between: () => void = () => {},
): Promise<Float32Array> {
  const { predict: program, classes } = engine.manifest;
  const randoms = inputs(program, "random");
  const passes = randoms.length ? local.task.relabel.passes : 1;
  const n = examples.labels.length;
  const total = new Float64Array(n * classes);
  for (let pass = 0; pass < passes; pass++)
    for (let start = 0, index = 0; start < n; start += PREDICT_BATCH, index++) {
      between();
      const rows = Array.from({ length: Math.min(PREDICT_BATCH, n - start) }, (_, slot) => start + slot);
      const fed = new Map(weights).set(examples.input.name, batch(examples, rows));
      for (const item of randoms) fed.set(item.name, drawn(item, rows.length, stream(local, "relabel-pass", pass, index, item.name)));
      const probabilities = floats(await engine.run("predict", fed), "probabilities");
      for (let at = 0; at < probabilities.length; at++) total[start * classes + at] = total[start * classes + at]! + probabilities[at]!;
    }
  if (!total.every(Number.isFinite))
    throw new InvalidInput("the global model's predictions on these examples are not finite", "look for values that are far larger than the others");
  return Float32Array.from(total, (sum) => sum / passes);
}

/** Train from `state`, in which `done` steps are already; the caller may stop between any two steps. */
export async function* train(
  engine: Engine,
  local: LocalRound,
  weights: Tensors,
  examples: Examples,
  labels: Int32Array,
  state: State,
  done: number,
): AsyncGenerator<Step> {
  const { manifest } = engine;
  const training = local.task.local;
  const fixed = fixedInputs(manifest, local, weights, labels);
  const randoms = inputs(manifest.train_step, "random");
  const perEpoch = Math.ceil(labels.length / training.batch_size);
  const total = stepCount(local.task, labels.length);
  const neighbors = training.synthesis === "smote" ? nearest(examples, labels) : new Map();
  const role = (name: "y" | "weight"): string => inputs(manifest.train_step, name)[0]!.name;
  let plan = epochPlan(training, labels, (...purpose) => stream(local, ...purpose), Math.floor(done / perEpoch), neighbors);
  let planned = Math.floor(done / perEpoch);
  for (let number = done; number < total; number++) {
    const epoch = Math.floor(number / perEpoch);
    if (epoch !== planned) {
      plan = epochPlan(training, labels, (...purpose) => stream(local, ...purpose), epoch, neighbors);
      planned = epoch;
    }
    const from = (number % perEpoch) * training.batch_size;
    const { x, y } = taken(examples, plan, from, Math.min(from + training.batch_size, labels.length));
    const fed: Tensors = new Map(fixed);
    fed.set(examples.input.name, x);
    fed.set(role("y"), int64(y));
    fed.set(role("weight"), float32([y.length], new Float32Array(y.length).fill(1)));
    for (const item of randoms) fed.set(item.name, drawn(item, y.length, stream(local, "train", number, item.name)));
    const step = await engine.trainStep(state, fed);
    state = step.state;
    yield { number: number + 1, total, totals: step.totals, state };
  }
}

/** The update: local minus global weights, in manifest order. */
export function change(state: State, weights: Tensors): Tensors {
  return new Map(
    [...weights].map(([name, { shape }]) => {
      const before = floats(weights, name);
      return [name, float32(shape, floats(state, name).map((value, index) => value - before[index]!))];
    }),
  );
}

/** Inputs that stay the same through a client round: hyperparameters, class shares, anchors. */
function fixedInputs(manifest: Manifest, local: LocalRound, weights: Tensors, labels: Int32Array): Tensors {
  const fed: Tensors = new Map();
  for (const [name, value] of hyperparameters(manifest, local)) fed.set(name, scalar(value));
  for (const item of inputs(manifest.train_step, "class_prior")) fed.set(item.name, classPrior(labels, manifest.classes));
  for (const item of inputs(manifest.train_step, "anchor")) fed.set(item.name, weights.get(item.name.replace(/^anchor\./, ""))!);
  return fed;
}

/** The task's values over the manifest's defaults; `lr` times the task's factor for this round. */
export function hyperparameters(manifest: Manifest, local: LocalRound): Map<string, number> {
  const names = inputs(manifest.train_step, "hyperparameter").map((item) => item.name);
  const { hyperparameters: own } = local.task.local;
  for (const name of own.keys())
    if (!names.includes(name)) throw new InvalidInput(`the program takes no hyperparameter '${name}'`, "tell the operator");
  return new Map(
    names.map((name) => {
      const value = own.get(name) ?? manifest.hyperparameters?.get(name);
      if (value === undefined) throw new InvalidInput(`nothing sets the hyperparameter '${name}'`, "tell the operator");
      return [name, name === "lr" ? value * lrFactor(local.task, local.round) : value];
    }),
  );
}

/** The shares (C,) of the labels that are trained on. They feed the loss and go nowhere else. */
function classPrior(labels: Int32Array, classes: number): Tensor {
  const counts = new Float64Array(classes);
  for (const label of labels) counts[label] = counts[label]! + 1;
  return float32([classes], Float32Array.from(counts, (count) => count / labels.length));
}

function drawn(item: ProgramInput, batchSize: number, from: Stream): Tensor {
  const shape = sized(item.shape, { B: batchSize });
  return float32(shape, uniforms(from, size(shape)));
}

function scalar(value: number): Tensor {
  return float32([], Float32Array.of(value));
}

function int64(values: Int32Array): Tensor {
  return { dtype: "int64", shape: [values.length], data: BigInt64Array.from(values, BigInt) };
}

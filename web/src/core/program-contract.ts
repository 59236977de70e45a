/**
 * What the three programs of a bundle must take and give, so that they can be run without looking twice. See the Python
 * `fedrela.core.protocol.program_contract`: a hostile manifest must end as an error of ours, never as a runtime's crash.
 */
import { CARRIED, PROGRAMS, type Program, type ProgramInput, type ProgramName, type Role, type Shape, inputs } from "./programs.ts";
import { refuse } from "./shape.ts";
import { LARGEST_DIMENSION, MOST_ELEMENTS } from "./tensors.ts";

type Programs = Record<ProgramName, Program>;

const ANCHOR = "anchor.";
// The sums over a batch that a training step gives besides, all () float32.
const TOTALS = ["loss_sum", "correct_sum", "weight_sum"];

// How many inputs of each role a program takes, at least and at most.
type Counts = Partial<Record<Role, readonly [number, number]>>;
const ANY = [0, 10_000] as const;
const SOME = [1, 10_000] as const;
const ONE = [1, 1] as const;
const COUNTS: Record<ProgramName, Counts> = {
  train_step: {
    parameter: SOME,
    buffer: ANY,
    optimizer: ANY,
    anchor: ANY,
    x: SOME,
    y: ONE,
    weight: ONE,
    hyperparameter: ANY,
    random: ANY,
    class_prior: [0, 1],
  },
  predict: { parameter: ANY, buffer: ANY, x: SOME, random: ANY },
  relabel: { probabilities: ONE, labels: ONE, uniforms: ONE, threshold_percent: ONE },
};

// The shapes that follow from a role.
const SHAPES: Partial<Record<Role, (classes: number) => Shape>> = {
  y: () => ["B"],
  weight: () => ["B"],
  hyperparameter: () => [],
  class_prior: (classes) => [classes],
  probabilities: (classes) => ["N", classes],
  labels: () => ["N"],
  uniforms: (classes) => ["N", classes],
  threshold_percent: () => [],
};

// What the first dimension may be called, where it may have a name at all.
const FREE: Partial<Record<Role, string>> = { x: "B", y: "B", weight: "B", random: "B", probabilities: "N", labels: "N", uniforms: "N" };

/** Throws InvalidInput unless the programs fit each other and the number of classes. */
export function checkPrograms(programs: Programs, classes: number): void {
  const { train_step, predict } = programs;
  const outputs = {
    train_step: [...inputs(train_step, ...CARRIED).map((item) => `new.${item.name}`), ...TOTALS],
    predict: ["probabilities"],
    relabel: ["new_labels", "flip_rate"],
  };
  for (const name of PROGRAMS) {
    const program = programs[name];
    checkInputs(name, program, classes);
    require(distinct(program.files.map((file) => file.runtime)), `${name} has two files for one runtime`);
    require(same(program.outputs, outputs[name]), `${name} gives other outputs than it must`);
  }
  checkAnchors(train_step);
  checkPredict(train_step, predict);
}

/** Each input alone, and how many there are of each role. */
function checkInputs(name: ProgramName, program: Program, classes: number): void {
  require(distinct(program.inputs.map((item) => item.name)), `${name} has two inputs of one name`);
  const counts = COUNTS[name];
  for (const [role, [least, most]] of Object.entries(counts) as [Role, readonly [number, number]][]) {
    const count = inputs(program, role).length;
    require(least <= count && count <= most, `${name} takes ${count} inputs of the role ${role}`);
  }
  for (const item of program.inputs) {
    const { role, shape, dtype } = item;
    const what = `${name}: '${item.name.slice(0, 100)}'`;
    require(role in counts, `${name} takes an input of the role ${role}`);
    checkDimensions(what, item);
    const expected = SHAPES[role]?.(classes);
    require(!expected || same(shape, expected), `${what} has another shape`);
    const only = role === "y" || role === "labels" ? "int64" : "float32";
    require(role === "x" || dtype === only, `${what} is ${dtype} and must be ${only}`);
  }
}

/** Whole numbers from 1, and "B" or "N" as the first dimension where the role allows it. */
function checkDimensions(what: string, { role, shape }: ProgramInput): void {
  let elements = 1;
  shape.forEach((dimension, axis) => {
    const named = typeof dimension === "string";
    const fits = named ? axis === 0 && dimension === FREE[role] : dimension >= 1 && dimension <= LARGEST_DIMENSION;
    require(fits, `${what} has the dimension ${String(dimension).slice(0, 20)}`);
    if (!named) elements *= dimension;
  });
  require(elements <= MOST_ELEMENTS, `${what} is too large`);
  require(role !== "x" || shape[0] === "B", `${what} has no batch dimension`);
}

/** Every anchor is the global value of a parameter. */
function checkAnchors(trainStep: Program): void {
  const parameters = new Map(inputs(trainStep, "parameter").map((item) => [ANCHOR + item.name, item.shape]));
  for (const { name, shape } of inputs(trainStep, "anchor")) {
    const expected = parameters.get(name);
    require(expected !== undefined && same(shape, expected), `train_step: '${name.slice(0, 100)}' is the anchor of no parameter`);
  }
}

/** Predict runs on what train_step learns, and on the same examples. */
function checkPredict(trainStep: Program, predict: Program): void {
  const weights = new Map(inputs(trainStep, "parameter", "buffer").map((item) => [item.name, item]));
  for (const item of inputs(predict, "parameter", "buffer"))
    require(equal(item, weights.get(item.name)), `predict: '${item.name.slice(0, 100)}' is no weight of train_step`);
  const [trained, predicted] = [inputs(trainStep, "x"), inputs(predict, "x")];
  const alike = trained.length === predicted.length && trained.every((item, index) => equal(item, predicted[index]));
  require(alike, "predict and train_step take different examples");
}

function equal(a: ProgramInput, b: ProgramInput | undefined): boolean {
  return b !== undefined && a.name === b.name && a.role === b.role && a.dtype === b.dtype && same(a.shape, b.shape);
}

function same(a: readonly (string | number)[], b: readonly (string | number)[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

function distinct(names: readonly string[]): boolean {
  return new Set(names).size === names.length;
}

function require(condition: boolean, problem: string): void {
  if (!condition) refuse(problem, "export the model again");
}

/** The manifest of a bundle: what every program takes and gives, with hashes and sizes. See the Python `fedrela.core.manifest`. */
import { NotEligible, InvalidInput } from "./errors.ts";
import { characters, exactly, features, listOf, natural, realAbove, sha256, tableOf, wholeFrom } from "./limits.ts";
import { checkPrograms } from "./program-contract.ts";
import { type ProgramFile, type ProgramName, type Shape, LARGEST_FILE, fileName, inputs, program } from "./programs.ts";
import { type Read, type Typed, bool, choice, list, nullable, object, read, real, require_, section, text, withDefault } from "./shape.ts";

export { CARRIED, PROGRAMS, inputs } from "./programs.ts";
export type { Program, ProgramFile, ProgramInput, ProgramName, Role, Shape } from "./programs.ts";

const written = object({
  kind: withDefault(choice("image", "tabular", "tokens", "raw"), "raw"),
  resize: withDefault(bool, false),
  grayscale: withDefault(bool, false),
  columns: withDefault(listOf(text, 0, 10_000), []),
  fit: withDefault(choice("exact", "stretch", "crop", "pad"), "exact"),
});
// Bundles made before there was `fit` say `resize`.
const preprocessing: Read<Omit<Typed<typeof written>, "resize">> = (value, path) => {
  const { resize, ...rest } = written(value, path);
  const fit = resize && value instanceof Map && !value.has("fit") ? "stretch" : rest.fit;
  return { ...rest, fit };
};
const golden = object({
  path: fileName,
  sha256,
  size_bytes: wholeFrom(1, LARGEST_FILE),
  seed: withDefault(natural, 0),
  steps: withDefault(wholeFrom(1, 1024), 3),
  batch: withDefault(wholeFrom(1, 1024), 8),
  token_limit: withDefault(wholeFrom(0, 2 ** 31 - 1), 0),
  tolerance: withDefault(realAbove(0, 1e-3), 1e-4),
});
const fields = object({
  name: characters(1, 200),
  classes: wholeFrom(2, 1_000_000),
  train_step: program,
  predict: program,
  relabel: program,
  golden,
  loss: withDefault(text, "cross-entropy"),
  optimizer: withDefault(text, "sgd"),
  hyperparameters: withDefault(nullable(tableOf(real, 100)), null),
  class_names: withDefault(list(characters(1, 200)), []),
  preprocessing: section(preprocessing),
  schema_version: withDefault(exactly(1, "reload this page to update it"), 1),
  requires: withDefault(features, []),
  lowest_values: withDefault(tableOf(real, 10_000), new Map()),
});

export type Manifest = Typed<typeof fields>;
export interface TensorSpec {
  name: string;
  shape: number[];
  dtype: string;
}

/** Read a manifest. Throws InvalidInput for whatever no device could use, before any runtime sees it. */
export function parseManifest(body: Uint8Array | string): Manifest {
  const manifest = read(fields, body);
  const { classes, class_names, hyperparameters, train_step, predict, relabel } = manifest;
  require_(new Set(class_names).size === class_names.length, "two classes have one name", "give each its own");
  require_(
    class_names.length === 0 || class_names.length === classes,
    `${class_names.length} class names for ${classes} classes`,
    "name every class once",
  );
  checkPrograms({ train_step, predict, relabel }, classes);
  const taken = new Set(inputs(train_step, "hyperparameter").map((item) => item.name));
  for (const name of hyperparameters?.keys() ?? [])
    require_(taken.has(name), `hyperparameter '${name}' is no input of train_step`, "export the model again");
  const counted = statistics(manifest);
  for (const name of manifest.lowest_values.keys())
    require_(counted.has(name), `'${name}' has a lowest value and is no statistic`, "export the model again");
  return manifest;
}

/** Those of the weights that training counts and no gradient moves, such as BatchNorm's running variance: they travel whole. */
export function statistics(manifest: Manifest): ReadonlySet<string> {
  return new Set(inputs(manifest.train_step, "buffer").map((item) => item.name));
}

/** The tensors that travel: parameters and buffers, in train_step's order. */
export function weightSpecs(manifest: Manifest): TensorSpec[] {
  return inputs(manifest.train_step, "parameter", "buffer").map((item) => ({
    name: item.name,
    shape: sized(item.shape, {}),
    dtype: item.dtype,
  }));
}

/** The shape with "B" and "N" filled in. Throws InvalidInput for a dimension that `sizes` doesn't name. */
export function sized(shape: Shape, sizes: Record<string, number>): number[] {
  return shape.map((dimension) => {
    const size = typeof dimension === "string" ? sizes[dimension] : dimension;
    if (size === undefined || size < 0) throw new InvalidInput(`the dimension ${dimension} has no size`, "export again");
    return size;
  });
}

/** The ONNX file of a program. Throws InvalidInput where the model was exported for other runtimes only. */
export function onnxFile(manifest: Manifest, name: ProgramName): ProgramFile {
  const file = manifest[name].files.find((item) => item.runtime === "onnx");
  if (!file) throw new NotEligible("this model has no program for browsers", "ask the operator to export it as ONNX");
  return file;
}

/** The manifest of a bundle: what every program takes and gives, with hashes and sizes. See the Python `fedrela.core.bundle`. */
import { InvalidInput, NotEligible } from "./errors.ts";
import { type Typed, bool, choice, either, list, nullable, object, read, real, require_, section, table, text, whole, withDefault } from "./shape.ts";

export const CARRIED: readonly Role[] = ["parameter", "buffer", "optimizer"];
export const PROGRAMS = ["train_step", "predict", "relabel"] as const;

const role = choice(
  "parameter",
  "buffer",
  "optimizer",
  "anchor",
  "x",
  "y",
  "weight",
  "hyperparameter",
  "random",
  "class_prior",
  "probabilities",
  "labels",
  "uniforms",
  "threshold_percent",
);
const shape = list(either(whole, text));
const input = object({ name: text, role, shape, dtype: withDefault(text, "float32") });
const file = object({
  runtime: choice("onnx", "executorch"),
  path: text,
  sha256: text,
  size_bytes: whole,
  min_runtime_version: text,
  max_batch: withDefault(whole, 0),
});
const program = object({ inputs: list(input), outputs: list(text), files: list(file) });
const preprocessing = object({
  kind: withDefault(choice("image", "tabular", "tokens", "raw"), "raw"),
  resize: withDefault(bool, false),
  grayscale: withDefault(bool, false),
  columns: withDefault(list(text), []),
});
const golden = object({
  path: text,
  sha256: text,
  size_bytes: whole,
  seed: withDefault(whole, 0),
  steps: withDefault(whole, 3),
  batch: withDefault(whole, 8),
  token_limit: withDefault(whole, 0),
  tolerance: withDefault(real, 1e-4),
});
const fields = object({
  name: text,
  classes: whole,
  train_step: program,
  predict: program,
  relabel: program,
  golden,
  loss: withDefault(text, "cross-entropy"),
  optimizer: withDefault(text, "sgd"),
  hyperparameters: withDefault(nullable(table(real)), null),
  class_names: withDefault(list(text), []),
  preprocessing: section(preprocessing),
  schema_version: withDefault(whole, 1),
});

export type Role = Typed<typeof role>;
export type Shape = Typed<typeof shape>;
export type ProgramInput = Typed<typeof input>;
export type ProgramFile = Typed<typeof file>;
export type Program = Typed<typeof program>;
export type Manifest = Typed<typeof fields>;
export type ProgramName = (typeof PROGRAMS)[number];
export interface TensorSpec {
  name: string;
  shape: number[];
  dtype: string;
}

/** Read a manifest. Throws InvalidInput; a path that leaves the bundle's folder is refused. */
export function parseManifest(body: Uint8Array | string): Manifest {
  const manifest = read(fields, body);
  const { schema_version, classes, class_names } = manifest;
  require_(schema_version === 1, `the manifest has schema version ${schema_version}, this page reads 1`, "reload the page");
  require_(classes >= 2, `the manifest names ${classes} classes`, "export with at least 2 classes");
  require_(
    class_names.length === 0 || class_names.length === classes,
    `${class_names.length} class names for ${classes} classes`,
    "name every class once",
  );
  for (const path of paths(manifest))
    require_(path !== "" && path !== "." && path !== ".." && !path.includes("/"), `the manifest names the path '${path}'`, "use plain file names");
  for (const name of PROGRAMS)
    require_(manifest[name].files.length > 0, `program ${name} has no file`, "export it for at least one runtime");
  return manifest;
}

/** The inputs that have one of `roles`, in order. */
export function inputs(program: Program, ...roles: Role[]): ProgramInput[] {
  return program.inputs.filter((item) => roles.includes(item.role));
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

function paths(manifest: Manifest): string[] {
  return [manifest.golden.path, ...PROGRAMS.flatMap((name) => manifest[name].files.map((item) => item.path))];
}

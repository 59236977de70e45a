/** What a program takes and gives: its inputs by role, its outputs by name, and its file for each runtime. See the Python `fedrela.core.protocol.programs`. */
import { characters, listOf, matching, sha256, versionOrNone, wholeFrom } from "./limits.ts";
import { MOST_DIMENSIONS } from "./tensors.ts";
import { type Typed, choice, either, list, object, text, whole, withDefault } from "./shape.ts";

export const CARRIED: readonly Role[] = ["parameter", "buffer", "optimizer"];
export const PROGRAMS = ["train_step", "predict", "relabel"] as const;

// A plain file name: no separator, no control character, neither "." nor "..".
const PATH_PATTERN = "(\\.{3}[^/\\\\\\x00-\\x1f\\x7f]*|\\.{0,2}[^./\\\\\\x00-\\x1f\\x7f][^/\\\\\\x00-\\x1f\\x7f]*)";

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
export const LARGEST_FILE = 2 ** 31 - 1; // bytes: what a protobuf or a flatbuffer can hold
export const fileName = characters(1, 200, matching(PATH_PATTERN, "a plain file name"));
const shape = listOf(either(whole, text), 0, MOST_DIMENSIONS);
const dtype = choice("float32", "float16", "int8", "uint8", "int32", "int64", "bool");
const input = object({ name: characters(1, 500), role, shape, dtype: withDefault(dtype, "float32") });
const file = object({
  runtime: choice("onnx", "executorch"),
  path: fileName,
  sha256,
  size_bytes: wholeFrom(1, LARGEST_FILE),
  min_runtime_version: versionOrNone,
  max_batch: withDefault(wholeFrom(0, 1_000_000), 0),
});
export const program = object({ inputs: listOf(input, 1, 10_000), outputs: list(text), files: listOf(file, 1, 2) });

export type Role = Typed<typeof role>;
export type Shape = Typed<typeof shape>;
export type ProgramInput = Typed<typeof input>;
export type ProgramFile = Typed<typeof file>;
export type Program = Typed<typeof program>;
export type ProgramName = (typeof PROGRAMS)[number];

/** The inputs that have one of `roles`, in order. */
export function inputs(program: Program, ...roles: Role[]): ProgramInput[] {
  return program.inputs.filter((item) => roles.includes(item.role));
}

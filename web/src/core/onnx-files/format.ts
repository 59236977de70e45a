/**
 * The part of onnx.proto that a program may use: the fields by number, each with the wire types that it may have. What isn't
 * here is refused. See the Python `fedrela.core.onnx_files.format`.
 */
import { DELIMITED, FIXED32, FIXED64, VARINT } from "./fields.ts";

/** A message of onnx.proto: what an error calls it, and its fields. */
export interface Part {
  name: string;
  fields: ReadonlyMap<number, readonly [name: string, wires: readonly number[]]>;
}

const message = [DELIMITED] as const;
const whole = [VARINT] as const;
const wholes = [VARINT, DELIMITED] as const;
const real = [FIXED32] as const;
const reals = [FIXED32, DELIMITED] as const;
const doubles = [FIXED64, DELIMITED] as const;

export const MODEL: Part = {
  name: "model",
  fields: new Map([
    [1, ["ir_version", whole]],
    [2, ["producer_name", message]],
    [3, ["producer_version", message]],
    [4, ["domain", message]],
    [5, ["model_version", whole]],
    [6, ["doc_string", message]],
    [7, ["graph", message]],
    [8, ["opset_import", message]],
    [14, ["metadata_props", message]],
  ]),
};
export const OPSET: Part = {
  name: "opset",
  fields: new Map([
    [1, ["domain", message]],
    [2, ["version", whole]],
  ]),
};
export const GRAPH: Part = {
  name: "graph",
  fields: new Map([
    [1, ["node", message]],
    [2, ["name", message]],
    [5, ["initializer", message]],
    [10, ["doc_string", message]],
    [11, ["input", message]],
    [12, ["output", message]],
    [13, ["value_info", message]],
  ]),
};
export const NODE: Part = {
  name: "operator",
  fields: new Map([
    [1, ["input", message]],
    [2, ["output", message]],
    [3, ["name", message]],
    [4, ["op_type", message]],
    [5, ["attribute", message]],
    [6, ["doc_string", message]],
    [7, ["domain", message]],
  ]),
};
export const ATTRIBUTE: Part = {
  name: "attribute",
  fields: new Map([
    [1, ["name", message]],
    [2, ["f", real]],
    [3, ["i", whole]],
    [4, ["s", message]],
    [5, ["t", message]],
    [6, ["g", message]],
    [7, ["floats", reals]],
    [8, ["ints", wholes]],
    [9, ["strings", message]],
    [10, ["tensors", message]],
    [11, ["graphs", message]],
    [13, ["doc_string", message]],
    [20, ["type", whole]],
  ]),
};
export const TENSOR: Part = {
  name: "tensor",
  fields: new Map([
    [1, ["dims", wholes]],
    [2, ["data_type", whole]],
    [4, ["float_data", reals]],
    [5, ["int32_data", wholes]],
    [7, ["int64_data", wholes]],
    [8, ["name", message]],
    [9, ["raw_data", message]],
    [10, ["double_data", doubles]],
    [11, ["uint64_data", wholes]],
    [12, ["doc_string", message]],
  ]),
};

/** TensorProto.DataType -> bytes of an element. No texts, no complex numbers, nothing below a byte. */
export const ITEM_BYTES: ReadonlyMap<number, number> = new Map([
  [1, 4],
  [2, 1],
  [3, 1],
  [4, 2],
  [5, 2],
  [6, 4],
  [7, 8],
  [9, 1],
  [10, 2],
  [11, 8],
  [12, 4],
  [13, 8],
  [16, 2],
]);
export const INT64 = 7;

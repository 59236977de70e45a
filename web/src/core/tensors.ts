/** Named arrays, and safetensors bytes: what weights, updates, overlays and golden outputs are. */
import { InvalidInput } from "./errors.ts";
import { type Json, parseJson } from "./json.ts";
import type { TensorSpec } from "./manifest.ts";

export type TypedArray = Float32Array | Int8Array | Uint8Array | Uint16Array | Int32Array | BigInt64Array;
export interface Tensor {
  dtype: string;
  shape: readonly number[];
  data: TypedArray;
}
export type Tensors = Map<string, Tensor>;

// Of any tensor, whether a program takes it or a file holds it.
export const MOST_DIMENSIONS = 16;
export const LARGEST_DIMENSION = 2 ** 31 - 1;
export const MOST_ELEMENTS = 2 ** 40;

interface Layout {
  dtype: string;
  bytes: number;
  make: (body: ArrayBuffer) => TypedArray;
}

// In the order in which a file holds its tensors. float16 is held as its bits, bool as bytes.
const LAYOUTS: Record<string, Layout> = {
  I64: { dtype: "int64", bytes: 8, make: (body) => new BigInt64Array(body) },
  F32: { dtype: "float32", bytes: 4, make: (body) => new Float32Array(body) },
  I32: { dtype: "int32", bytes: 4, make: (body) => new Int32Array(body) },
  F16: { dtype: "float16", bytes: 2, make: (body) => new Uint16Array(body) },
  I8: { dtype: "int8", bytes: 1, make: (body) => new Int8Array(body) },
  U8: { dtype: "uint8", bytes: 1, make: (body) => new Uint8Array(body) },
  BOOL: { dtype: "bool", bytes: 1, make: (body) => new Uint8Array(body) },
};
const ORDER = Object.keys(LAYOUTS);
const NAMES = Object.fromEntries(Object.entries(LAYOUTS).map(([name, layout]) => [layout.dtype, name]));

export function float32(shape: readonly number[], data: Float32Array): Tensor {
  return { dtype: "float32", shape, data };
}

export function size(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** The float32 values of a tensor. Throws InvalidInput for another dtype. */
export function floats(tensors: Tensors, name: string): Float32Array {
  const tensor = tensors.get(name);
  if (!(tensor?.data instanceof Float32Array)) throw new InvalidInput(`tensor '${name}' is not there as float32`, "fetch it again");
  return tensor.data;
}

/** A deep copy. */
export function copy(tensors: Tensors): Tensors {
  return new Map([...tensors].map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]));
}

/** Serialize: `__metadata__` first with sorted keys, then tensors by dtype and by name. */
export function toBytes(tensors: Tensors, metadata: Record<string, string> = {}): Uint8Array {
  const rank = (tensor: Tensor): number => ORDER.indexOf(NAMES[tensor.dtype]!);
  const ordered = [...tensors].sort(([a, x], [b, y]) => rank(x) - rank(y) || (a < b ? -1 : 1));
  const head = headOf(ordered, metadata);
  const body = new Uint8Array(ordered.reduce((end, [, { data }]) => end + data.byteLength, head.length));
  body.set(head);
  let at = head.length;
  for (const [, { data }] of ordered) {
    body.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return body;
}

/** What stands before the tensors' data, a multiple of 8 bytes. */
export function headOf(ordered: readonly [string, Omit<Tensor, "data">][], metadata: Record<string, string>): Uint8Array {
  const header: Record<string, unknown> = Object.create(null);
  if (Object.keys(metadata).length) header.__metadata__ = Object.fromEntries(Object.entries(metadata).sort());
  let end = 0;
  for (const [name, { dtype, shape }] of ordered) {
    const start = end;
    end += size(shape) * LAYOUTS[NAMES[dtype]!]!.bytes;
    header[name] = { dtype: NAMES[dtype], shape, data_offsets: [start, end] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const head = new Uint8Array(8 + headerBytes).fill(32, 8);
  new DataView(head.buffer).setBigUint64(0, BigInt(headerBytes), true);
  head.set(json, 8);
  return head;
}

/** Parse safetensors bytes. Throws InvalidInput if they are truncated, overlong or malformed. */
export function parse(body: Uint8Array): { tensors: Tensors; metadata: Map<string, string> } {
  const { header, start } = readHeader(body);
  const metadata = readMetadata(header.get("__metadata__") ?? null);
  header.delete("__metadata__");
  const entries = [...header].map(([name, value]) => readEntry(name, value));
  entries.sort((a, b) => a.from - b.from || a.to - b.to);
  const tensors: Tensors = new Map();
  let expected = 0;
  for (const { name, layout, shape, from, to } of entries) {
    if (from !== expected || to - from !== size(shape) * layout.bytes) throw malformed(`tensor '${name}' lies elsewhere`);
    expected = to;
    if (start + to > body.length) throw malformed("the data are cut");
    tensors.set(name, { dtype: layout.dtype, shape, data: layout.make(body.slice(start + from, start + to).buffer) });
  }
  if (start + expected !== body.length) throw malformed("something follows the data");
  return { tensors, metadata };
}

/** The metadata of safetensors bytes alone. Throws InvalidInput. */
export function metadataOf(body: Uint8Array): Map<string, string> {
  return readMetadata(readHeader(body).header.get("__metadata__") ?? null);
}

/** Throw InvalidInput unless `tensors` has exactly the names, shapes and dtypes of `specs`, all values finite. */
export function check(tensors: Tensors, specs: readonly TensorSpec[]): void {
  const names = new Set(specs.map((spec) => spec.name));
  if (names.size !== tensors.size || ![...tensors.keys()].every((name) => names.has(name)))
    throw new InvalidInput("tensor names differ from the manifest", "fetch the file again");
  for (const spec of specs) {
    const tensor = tensors.get(spec.name)!;
    if (tensor.dtype !== spec.dtype) throw new InvalidInput(`tensor '${spec.name}' is ${tensor.dtype}`, `send it as ${spec.dtype}`);
    if (tensor.shape.length !== spec.shape.length || tensor.shape.some((dimension, axis) => dimension !== spec.shape[axis]))
      throw new InvalidInput(`tensor '${spec.name}' has shape ${tensor.shape}`, `send it with shape ${spec.shape}`);
    if (!finite(tensor)) throw new InvalidInput(`tensor '${spec.name}' holds a value that is not finite`, "leave the diverged sample out");
  }
}

/** Parse and check; the result is in the order of `specs`. */
export function parseAs(body: Uint8Array, specs: readonly TensorSpec[]): Tensors {
  const { tensors } = parse(body);
  check(tensors, specs);
  return new Map(specs.map((spec) => [spec.name, tensors.get(spec.name)!]));
}

function finite({ dtype, data }: Tensor): boolean {
  if (dtype === "float32") return (data as Float32Array).every(Number.isFinite);
  return dtype !== "float16" || (data as Uint16Array).every((bits) => (bits & 0x7c00) !== 0x7c00);
}

function readHeader(body: Uint8Array): { header: Map<string, Json>; start: number } {
  if (body.length < 8) throw malformed("it is too short");
  const length = new DataView(body.buffer, body.byteOffset).getBigUint64(0, true);
  if (length > BigInt(body.length - 8)) throw malformed("its header is cut");
  const start = 8 + Number(length);
  const header = parseJson(body.subarray(8, start), true);
  if (!(header instanceof Map)) throw malformed("its header is not a table");
  return { header, start };
}

function readMetadata(value: Json): Map<string, string> {
  if (value === null) return new Map();
  if (!(value instanceof Map) || [...value.values()].some((item) => typeof item !== "string")) throw malformed("its metadata are not texts");
  return value as Map<string, string>;
}

function readEntry(name: string, value: Json): { name: string; layout: Layout; shape: number[]; from: number; to: number } {
  if (!(value instanceof Map) || value.size !== 3) throw malformed(`tensor '${name}' has no description of three members`);
  const code = value.get("dtype");
  const layout = typeof code === "string" && Object.hasOwn(LAYOUTS, code) ? LAYOUTS[code] : undefined;
  if (!layout) throw malformed(`tensor '${name}' has a dtype that never travels`);
  const shape = naturals(value.get("shape"));
  const elements = size(shape.filter((dimension) => dimension > 0));
  if (shape.length > MOST_DIMENSIONS || shape.some((dimension) => dimension > LARGEST_DIMENSION) || elements > MOST_ELEMENTS)
    throw malformed(`tensor '${name}' is too large`);
  const offsets = naturals(value.get("data_offsets"));
  if (offsets.length !== 2 || offsets[0]! > offsets[1]!) throw malformed(`tensor '${name}' has wrong offsets`);
  return { name, layout, shape, from: offsets[0]!, to: offsets[1]! };
}

function naturals(value: Json | undefined): number[] {
  if (!Array.isArray(value)) throw malformed("a list of numbers is missing");
  return value.map((item) => {
    if (typeof item !== "bigint" || item < 0n || item > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed("a number is out of range");
    return Number(item);
  });
}

function malformed(what: string): InvalidInput {
  return new InvalidInput(`the bytes are not a well-formed safetensors file (${what})`, "fetch the file again, whole");
}

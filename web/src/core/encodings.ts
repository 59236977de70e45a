/**
 * How an update travels up: float32, float16, int8 with a scale per tensor, or the top k of each tensor. See the Python
 * `fedrela.core.encodings` for the layout; int8 rounds stochastically, top-k hands what it dropped to the next round. Statistics
 * are whole in every encoding, and owe nothing.
 */
import { InvalidInput } from "./errors.ts";
import { type Stream, uniforms } from "./streams.ts";
import type { Encoding } from "./task.ts";
import { type Tensors, float32, floats, size, toBytes } from "./tensors.ts";
import { PROTOCOL } from "./wire.ts";

export interface Encoded {
  body: Uint8Array;
  residual: Tensors; // what top-k dropped; else empty
}

/** The update body. `change` is in manifest order. Throws InvalidInput where a value is not finite in the encoding. */
export function encode(
  change: Tensors,
  encoding: Encoding,
  examples: number,
  stream: Stream,
  topKFraction: number,
  statistics: ReadonlySet<string>,
  residual?: Tensors,
): Encoded {
  for (const name of change.keys()) requireFinite(floats(change, name), name);
  const metadata = { encoding, examples: String(examples), protocol: String(PROTOCOL) };
  const whole = [...change].filter(([name]) => statistics.has(name));
  const parameters: Tensors = new Map([...change].filter(([name]) => !statistics.has(name)));
  const body = (encoded: Tensors): Uint8Array => toBytes(new Map([...encoded, ...whole]), metadata);
  if (encoding === "top-k") {
    const { encoded, dropped } = topK(residual?.size ? add(parameters, residual) : parameters, topKFraction);
    return { body: body(encoded), residual: dropped };
  }
  const encoded = encoding === "int8" ? int8(parameters, stream) : encoding === "float16" ? float16(parameters) : parameters;
  return { body: body(encoded), residual: new Map() };
}

/** The bits of the float16 nearest to `value`, ties to even; infinite where it is too large. */
export function halfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  const exponent = magnitude < 2 ** -14 ? -14 : Math.floor(Math.log2(magnitude));
  const adjusted = 2 ** exponent > magnitude && exponent > -14 ? exponent - 1 : exponent;
  const steps = roundHalfEven(magnitude / 2 ** (adjusted - 10)); // exact: a power of two
  return sign | (magnitude < 2 ** -14 ? steps : ((adjusted + 14) << 10) + steps);
}

function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

function float16(change: Tensors): Tensors {
  return new Map(
    [...change.keys()].map((name) => {
      const bits = Uint16Array.from(floats(change, name), halfBits);
      if (bits.some((each) => (each & 0x7c00) === 0x7c00)) throw notFinite(name);
      return [name, { dtype: "float16", shape: change.get(name)!.shape, data: bits }];
    }),
  );
}

function int8(change: Tensors, stream: Stream): Tensors {
  const total = [...change.values()].reduce((sum, tensor) => sum + tensor.data.length, 0);
  const drawn = uniforms(stream, total);
  const encoded: Tensors = new Map();
  let start = 0;
  for (const [name, { shape }] of change) {
    const values = floats(change, name);
    const scale = Math.fround(values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 127);
    const steps = new Int8Array(values.length);
    if (scale > 0)
      for (let index = 0; index < values.length; index++) {
        const step = Math.floor(Math.fround(Math.fround(values[index]! / scale) + drawn[start + index]!));
        steps[index] = Math.min(Math.max(step, -127), 127);
      }
    start += values.length;
    encoded.set(name, { dtype: "int8", shape, data: steps });
    encoded.set(`${name}.scale`, float32([], Float32Array.of(scale)));
  }
  return encoded;
}

function topK(change: Tensors, fraction: number): { encoded: Tensors; dropped: Tensors } {
  const encoded: Tensors = new Map();
  const dropped: Tensors = new Map();
  for (const [name, { shape }] of change) {
    const values = floats(change, name);
    const keep = Math.min(Math.max(Math.ceil(fraction * size(shape)), 1), values.length);
    const byMagnitude = Int32Array.from(values, (_, index) => index).sort(
      (a, b) => Math.abs(values[b]!) - Math.abs(values[a]!) || a - b,
    );
    const indices = byMagnitude.slice(0, keep).sort();
    const rest = values.slice();
    for (const index of indices) rest[index] = 0;
    encoded.set(`${name}.indices`, { dtype: "int32", shape: [keep], data: indices });
    encoded.set(`${name}.values`, float32([keep], Float32Array.from(indices, (index) => values[index]!)));
    dropped.set(name, float32(shape, rest));
  }
  return { encoded, dropped };
}

function add(left: Tensors, right: Tensors): Tensors {
  return new Map(
    [...left].map(([name, { shape }]) => {
      const other = floats(right, name);
      return [name, float32(shape, floats(left, name).map((value, index) => value + other[index]!))];
    }),
  );
}

function requireFinite(values: Float32Array, name: string): void {
  if (!values.every(Number.isFinite)) throw notFinite(name);
}

function notFinite(name: string): InvalidInput {
  return new InvalidInput(`tensor '${name}' holds a value that is not finite`, "lower the learning rate or leave the diverged sample out");
}

/** Reads a protobuf message field by field: what a page needs of an ONNX file. Nothing is copied. */
import { InvalidInput } from "../errors.ts";

export const VARINT = 0; // wire types
export const FIXED64 = 1;
export const DELIMITED = 2;
export const FIXED32 = 5;

export interface Field {
  number: number;
  wire: number;
  value: number; // of a varint; beyond 2^53 only roughly
  exact: bigint; // of a varint
  content: Uint8Array; // of a length-delimited field
}

const EMPTY = new Uint8Array();

/** Every field of a protobuf message. Throws InvalidInput for what is none. */
export function* fields(message: Uint8Array): Generator<Field> {
  let at = 0;
  while (at < message.length) {
    const key = readVarint(message, at);
    at = key.next;
    const wire = Number(key.value & 7n);
    let exact = 0n;
    let content: Uint8Array = EMPTY;
    if (wire === VARINT) ({ value: exact, next: at } = readVarint(message, at));
    else if (wire === DELIMITED) {
      const length = readVarint(message, at);
      if (length.value > BigInt(message.length - length.next)) throw cut();
      at = length.next + Number(length.value);
      content = message.subarray(length.next, at);
    } else if (wire === FIXED64) at += 8;
    else if (wire === FIXED32) at += 4;
    else throw new InvalidInput("the program is not an ONNX file", "tell the operator to export the model again");
    if (at > message.length) throw cut();
    yield { number: Number(key.value >> 3n), wire, value: Number(exact), exact, content };
  }
}

/** The numbers of a packed field. */
export function* varints(content: Uint8Array): Generator<bigint> {
  let at = 0;
  while (at < content.length) {
    const { value, next } = readVarint(content, at);
    yield value;
    at = next;
  }
}

function readVarint(message: Uint8Array, start: number): { value: bigint; next: number } {
  let value = 0n;
  let small = 0;
  for (let at = start, shift = 0; at < message.length && shift < 64; at++, shift += 7) {
    const byte = message[at]!;
    if (shift < 28) small |= (byte & 0x7f) << shift;
    else value |= BigInt(byte & 0x7f) << BigInt(shift);
    if (byte < 0x80) return { value: value | BigInt(small), next: at + 1 };
  }
  throw cut();
}

function cut(): InvalidInput {
  return new InvalidInput("the program's file is cut short", "fetch it again");
}

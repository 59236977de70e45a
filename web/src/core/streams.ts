/**
 * Random numbers that are the same in every language: Philox4x32-10 keyed by HMAC-SHA256 of a secret and labels.
 *
 * Source: Salmon, Moraes, Dror, Shaw, SC'11. conformance/README.md says how a stream gives words, uniforms and
 * permutations.
 */
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";

export interface Stream {
  key: readonly [number, number];
  nonce: readonly [number, number];
}
export type Label = string | number | bigint;

const ROUNDS = 10;

/** The stream of `secret` for `labels`; a number counts as its decimal text. */
export function derive(secret: Uint8Array, ...labels: Label[]): Stream {
  const encoder = new TextEncoder();
  const mac = hmac.create(sha256, secret);
  for (const label of labels) {
    const text = encoder.encode(String(label));
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, text.length, true);
    mac.update(length).update(text);
  }
  const digest = mac.digest();
  const view = new DataView(digest.buffer, digest.byteOffset);
  const word = (index: number): number => view.getUint32(4 * index, true);
  return { key: [word(0), word(1)], nonce: [word(2), word(3)] };
}

/** Philox4x32-10 of one counter: four words, written to `out` from `at`. */
export function philox(counter: readonly [number, number, number, number], key: readonly [number, number], out: Uint32Array, at: number): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(c0, 0xd2511f53);
    const low0 = Math.imul(c0, 0xd2511f53);
    const high1 = multiplyHigh(c2, 0xcd9e8d57);
    const low1 = Math.imul(c2, 0xcd9e8d57);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  out[at] = c0;
  out[at + 1] = c1;
  out[at + 2] = c2;
  out[at + 3] = c3;
}

/** The first `count` words of a stream. */
export function words(stream: Stream, count: number): Uint32Array {
  const blocks = Math.ceil(count / 4);
  const out = new Uint32Array(4 * blocks);
  for (let block = 0; block < blocks; block++)
    philox([block >>> 0, Math.floor(block / 2 ** 32), stream.nonce[0], stream.nonce[1]], stream.key, out, 4 * block);
  return out.subarray(0, count);
}

/** `count` numbers in [0, 1) from the start of a stream; arrays take them in row-major order. */
export function uniforms(stream: Stream, count: number): Float32Array {
  const out = new Float32Array(count);
  const drawn = words(stream, count);
  for (let index = 0; index < count; index++) out[index] = (drawn[index]! >>> 8) * 2 ** -24;
  return out;
}

/** A uniformly random order of 0..n-1. */
export function permutation(stream: Stream, n: number): Int32Array {
  const drawn = words(stream, 2 * n);
  const order = Int32Array.from({ length: n }, (_, index) => index);
  return order.sort(
    (a, b) => drawn[2 * a + 1]! - drawn[2 * b + 1]! || drawn[2 * a]! - drawn[2 * b]! || a - b,
  );
}

/** The upper 32 bits of the product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle % 0x10000);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) | 0;
}

/**
 * Pads: words that hide a vector. A pair's pad is added by the lower and subtracted by the higher index, so it cancels in the
 * sum. A pad is ChaCha20's keystream read as little-endian words of 32 bits; sums wrap around.
 */
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import * as ciphers from "./ciphers.ts";

export interface Pads {
  ownSeed: Uint8Array;
  maskKey: Uint8Array; // the private one
  index: number;
  others: ReadonlyMap<number, Uint8Array>; // public mask keys of the other senders, by index
  session: Uint8Array;
}

/** The key of the pad that two members share. Throws GroupRefused for a public key of small order. */
export function pairKey(maskKey: Uint8Array, otherPublicKey: Uint8Array, session: Uint8Array): Uint8Array {
  return ciphers.deriveKey(ciphers.agree(maskKey, otherPublicKey), concatBytes(utf8ToBytes("pair"), session));
}

/** The key of the pad that one member adds. */
export function ownKey(ownSeed: Uint8Array, session: Uint8Array): Uint8Array {
  return ciphers.deriveKey(ownSeed, concatBytes(utf8ToBytes("own"), session));
}

/** A member's vector (d,) as it leaves the device. */
export function mask(vector: Int32Array, { ownSeed, maskKey, index, others, session }: Pads): Int32Array {
  const words = vector.slice();
  apply(words, ownKey(ownSeed, session), 1);
  for (const [other, publicKey] of others) apply(words, pairKey(maskKey, publicKey, session), index < other ? 1 : -1);
  return words;
}

/** Add a pad to `words` (d,), in place, or take it off. */
export function apply(words: Int32Array, key: Uint8Array, sign: 1 | -1): void {
  let start = 0;
  for (const strip of ciphers.keystream(key, words.byteLength)) {
    const pad = new Int32Array(strip.buffer, 0, strip.length / 4);
    if (sign === 1) for (let at = 0; at < pad.length; at++) words[start + at] = (words[start + at]! + pad[at]!) | 0;
    else for (let at = 0; at < pad.length; at++) words[start + at] = (words[start + at]! - pad[at]!) | 0;
    start += pad.length;
  }
}

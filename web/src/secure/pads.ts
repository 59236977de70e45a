/**
 * Pads: words that hide a vector. A pair's pad is added by the lower and subtracted by the higher index, so it cancels in the
 * sum. A pad is ChaCha20's keystream read as little-endian words of 32 bits; sums wrap around.
 */
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import * as ciphers from "./ciphers.ts";
import { applyKeystream } from "./keystream.ts";

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

/** Hide a member's vector (d,), in place. */
export function mask(words: Int32Array, { ownSeed, maskKey, index, others, session }: Pads): void {
  apply(words, ownKey(ownSeed, session), 1);
  for (const [other, publicKey] of others) apply(words, pairKey(maskKey, publicKey, session), index < other ? 1 : -1);
}

/** Add a pad to `words` (d,), in place, or take it off. */
export function apply(words: Int32Array, key: Uint8Array, sign: 1 | -1): void {
  applyKeystream(words, key, sign);
}

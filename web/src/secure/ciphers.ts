/**
 * The boundary to the noble libraries: the four primitives of secure aggregation, on bytes. See the Python
 * `fedrela.core.secure.ciphers`. All keys are 32 bytes. X25519: RFC 7748; HKDF-SHA256: RFC 5869; ChaCha20 and
 * ChaCha20-Poly1305: RFC 8439, always with nonce 0, so that a key must never encrypt twice.
 */
import { chacha20, chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { GroupRefused } from "../core/errors.ts";

export const KEY_BYTES = 32;
export const TAG_BYTES = 16;

const SALT = new TextEncoder().encode("fedrela/v1/secure");
const NONCE = new Uint8Array(12);
const BLOCK_BYTES = 64; // of ChaCha20
const STRIP_BYTES = 65_536; // of a keystream at a time: a pad takes no memory of its own, and stays in the processor's cache
const ZEROS = new Uint8Array(STRIP_BYTES);
// A private key that changes no public key: -1 modulo the order of the base point (RFC 7748, section 4.1), and a multiple of 8
// like every private key.
const MINUS_ONE = littleEndian(5n * (2n ** 252n + 27742317777372353535851937790883648493n) - 1n);

/** The X25519 public key of 32 random bytes. */
export function publicKey(privateKey: Uint8Array): Uint8Array {
  return x25519.getPublicKey(privateKey);
}

/** The X25519 secret that both sides compute. Throws GroupRefused for a public key of small order: everybody would know it. */
export function agree(privateKey: Uint8Array, otherPublicKey: Uint8Array): Uint8Array {
  try {
    return x25519.getSharedSecret(privateKey, otherPublicKey);
  } catch {
    throw new GroupRefused("a member's key gives away every secret made with it", "nothing more is sent; tell the operator");
  }
}

/**
 * Throws GroupRefused for a key that belongs to no private key. X25519 takes any 32 bytes, and some agree on the same secrets
 * as another member's key without being equal to it: written in another way, or with a point of small order added. Two such
 * members would have one pad with a third, added and taken off. Minus a point has the point's own coordinate, and eight times
 * a point has no part of small order, so that of all keys only those of private keys stay as they are.
 */
export function checkAgreementKey(key: Uint8Array): void {
  const same = agree(MINUS_ONE, key);
  if (same.some((byte, at) => byte !== key[at]))
    throw new GroupRefused(
      "a member's key is no private key's, but may be another member's in disguise",
      "nothing more is sent; tell the operator",
    );
}

function littleEndian(number: bigint): Uint8Array {
  return Uint8Array.from({ length: KEY_BYTES }, (_, at) => Number((number >> BigInt(8 * at)) & 255n));
}

/** HKDF-SHA256 of `secret`, for the purpose that `info` names; 32 bytes. */
export function deriveKey(secret: Uint8Array, info: Uint8Array): Uint8Array {
  return hkdf(sha256, secret, SALT, info, KEY_BYTES);
}

/**
 * The first `size` bytes of ChaCha20's keystream from counter 0 on, in strips. A strip is overwritten by the next one; all but
 * the last are a multiple of 4 bytes long.
 */
export function* keystream(key: Uint8Array, size: number): Generator<Uint8Array> {
  const strip = new Uint8Array(Math.min(size, STRIP_BYTES));
  for (let start = 0; start < size; start += STRIP_BYTES) {
    const length = Math.min(STRIP_BYTES, size - start);
    yield chacha20(key, NONCE, ZEROS.subarray(0, length), strip.subarray(0, length), start / BLOCK_BYTES);
  }
}

/** ChaCha20-Poly1305 of `plaintext`, `TAG_BYTES` longer. `key` must not seal anything else, ever. */
export function seal(key: Uint8Array, plaintext: Uint8Array): Uint8Array {
  return chacha20poly1305(key, NONCE).encrypt(plaintext);
}

/** What was sealed; undefined where a byte was changed or the key is another. */
export function unseal(key: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  try {
    return chacha20poly1305(key, NONCE).decrypt(sealed);
  } catch {
    return undefined;
  }
}

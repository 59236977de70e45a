/** Content hashes and Ed25519 signatures (RFC 8032). Keys, hashes and signatures travel as lower-case hexadecimal. */
import * as ed25519 from "@noble/ed25519";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { IntegrityError } from "./errors.ts";

ed25519.hashes.sha512 = sha512;

export { bytesToHex as hex, hexToBytes as fromHex };

/** The SHA-256 of `body`: the name of a blob. */
export function hash(body: Uint8Array): string {
  return bytesToHex(sha256(body));
}

/** A public key in 32 hexadecimal digits, for links and for people: the beginning of its SHA-256. */
export function fingerprint(publicKey: string): string {
  return hash(hexToBytes(publicKey)).slice(0, 32);
}

/** Throw IntegrityError unless the hash of `body` is `expected`. */
export function checkHash(body: Uint8Array, expected: string, name: string): void {
  if (hash(body) !== expected)
    throw new IntegrityError(`${name} does not match its hash ${expected.slice(0, 12)}`, "fetch it again; the bytes were damaged or forged");
}

/** Throw IntegrityError unless `signature` over `message` was made by the owner of `publicKey`. */
export function verify(publicKey: string, message: Uint8Array, signature: string): void {
  if (!isSigned(publicKey, message, signature))
    throw new IntegrityError("a signature does not match the pinned key", "do not use these bytes; enroll again if the key changed");
}

/** Whether `signature` over `message` was made by the owner of `publicKey`. */
export function isSigned(publicKey: string, message: Uint8Array, signature: string): boolean {
  try {
    return ed25519.verify(hexToBytes(signature), message, hexToBytes(publicKey), { zip215: false });
  } catch {
    return false; // a key or signature that is not even of the right form
  }
}

/** The signature of `message`. */
export function sign(privateKey: string, message: Uint8Array): string {
  return bytesToHex(ed25519.sign(message, hexToBytes(privateKey)));
}

/** The public half of a private key. */
export function publicKeyOf(privateKey: string): string {
  return bytesToHex(ed25519.getPublicKey(hexToBytes(privateKey)));
}

/** A new device key: its private and public half. */
export function generateKey(): { privateKey: string; publicKey: string } {
  const secret = crypto.getRandomValues(new Uint8Array(32));
  return { privateKey: bytesToHex(secret), publicKey: bytesToHex(ed25519.getPublicKey(secret)) };
}

/**
 * Shamir's secret sharing, byte by byte over GF(2^8): any t shares give the secret back, t - 1 say nothing about it. A
 * device splits; only a coordinator combines.
 */
import { multiply } from "./field.ts";

/**
 * The shares of members 1 to `members`, each as long as the secret. `coefficients`: threshold - 1 times as many uniformly
 * random bytes as the secret has, the first block for x, the next for x^2; used once, and kept secret.
 */
export function split(secret: Uint8Array, threshold: number, members: number, coefficients: Uint8Array): Uint8Array[] {
  const rows = [secret];
  for (let power = 1; power < threshold; power++) rows.push(coefficients.subarray((power - 1) * secret.length, power * secret.length));
  return Array.from({ length: members }, (_, index) => valueAt(rows, index + 1));
}

/** The polynomials' values at x, by Horner's rule. */
function valueAt(rows: Uint8Array[], x: number): Uint8Array {
  return rows.reduceRight((value, row) => value.map((byte, at) => multiply(byte, x) ^ row[at]!), new Uint8Array(rows[0]!.length));
}

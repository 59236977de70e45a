/**
 * The field GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1 (0x11B), as in AES (FIPS 197, section 4). Addition is
 * exclusive or; multiplication adds logarithms to the base 3, which generates every element but 0 (2 doesn't).
 */
const ELEMENTS = 256;
const ORDER = 255; // of the multiplicative group
const POLYNOMIAL = 0x11b;

const POWERS = new Uint8Array(2 * ORDER); // 3^0, 3^1, ... twice over
const LOGARITHMS = new Uint8Array(ELEMENTS); // that of 0 is never used

for (let exponent = 0, element = 1; exponent < ORDER; exponent++) {
  POWERS[exponent] = POWERS[exponent + ORDER] = element;
  LOGARITHMS[element] = exponent;
  const doubled = element << 1;
  element ^= doubled >= ELEMENTS ? doubled ^ POLYNOMIAL : doubled;
}

/** The product of two elements. */
export function multiply(left: number, right: number): number {
  return left && right ? POWERS[LOGARITHMS[left]! + LOGARITHMS[right]!]! : 0;
}

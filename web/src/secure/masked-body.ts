/** The body of a masked upload: safetensors with one I32 tensor, `masked`, and in its metadata who masked for whom. */
import { hash } from "../core/signing.ts";
import { headOf } from "../core/tensors.ts";
import { PROTOCOL } from "../core/wire.ts";

/** The metadata beside `protocol` and `encoding`; `signature` is over `maskedStatement`. */
export interface Header {
  session: string;
  senders_sha256: string;
  signature: string;
}

/** The hash of masked words as they travel: little-endian. */
export function wordsHash(words: Int32Array): string {
  return hash(new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
}

const TO_COME: Header = { session: "0".repeat(64), senders_sha256: "0".repeat(64), signature: "0".repeat(128) }; // as long as every header

/** How long the body of so many words is. */
export function bodyBytes(size: number): number {
  return headBytes(size, TO_COME).length + 4 * size;
}

/** A body to be, and its words (d,), all zero, for what is to be masked there: its header, of one length always, comes last. */
export function blankBody(size: number): { body: Uint8Array; words: Int32Array } {
  const head = headBytes(size, TO_COME);
  const body = new Uint8Array(head.length + 4 * size);
  return { body, words: new Int32Array(body.buffer, head.length, size) };
}

/** Put the header into a body whose words are masked; the same words and header give the same bytes. */
export function complete(body: Uint8Array, size: number, header: Header): void {
  body.set(headBytes(size, header));
}

function headBytes(size: number, header: Header): Uint8Array {
  return headOf([["masked", { dtype: "int32", shape: [size] }]], { protocol: String(PROTOCOL), encoding: "masked", ...header });
}

/** The body of a masked upload: safetensors with one I32 tensor, `masked`, and in its metadata who masked for whom. */
import { hash } from "../core/signing.ts";
import { toBytes } from "../core/tensors.ts";
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

/** The body; the same words and header give the same bytes. */
export function maskedBody(words: Int32Array, header: Header): Uint8Array {
  const masked = { dtype: "int32", shape: [words.length], data: words };
  return toBytes(new Map([["masked", masked]]), { protocol: String(PROTOCOL), encoding: "masked", ...header });
}

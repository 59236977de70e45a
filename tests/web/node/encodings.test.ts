/** Update encodings against the conformance vectors: the very same bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encode, halfBits } from "../../../web/src/core/encodings.ts";
import { InvalidInput } from "../../../web/src/core/errors.ts";
import { fromHex } from "../../../web/src/core/signing.ts";
import { derive } from "../../../web/src/core/streams.ts";
import { float32, parse, parseAs, toBytes } from "../../../web/src/core/tensors.ts";
import { bytes, vectors } from "./vectors.ts";

const document = vectors("encodings.json");
const specs = document.specs.map((spec: object) => ({ ...spec, dtype: "float32" }));
const statistics: ReadonlySet<string> = new Set(document.statistics);
const stream = derive(fromHex(document.stream.secret), ...document.stream.labels);

for (const item of document.encode)
  test(`${item.encoding}, ${item.examples} examples${item.residual_before ? ", with a residual" : ""}`, () => {
    const change = parseAs(bytes(item.change), specs);
    const before = item.residual_before ? parse(bytes(item.residual_before)).tensors : undefined;
    const { body, residual } = encode(change, item.encoding, item.examples, stream, document.top_k_fraction, statistics, before);
    assert.deepEqual(body, bytes(item.body));
    assert.deepEqual(residual.size ? toBytes(residual) : new Uint8Array(), bytes(item.residual));
  });

test("float16 rounds to nearest, ties to even", () => {
  const cases: [number, number][] = [
    [0, 0], [-0, 0x8000], [1, 0x3c00], [-2, 0xc000], [65504, 0x7bff], [65519.99, 0x7bff], [65520, 0x7c00],
    [2 ** -24, 1], [2 ** -25, 0], [2 ** -25 * 1.01, 1], [2 ** -14, 0x0400], [1 + 2 ** -11, 0x3c00], [1 + 3 * 2 ** -11, 0x3c02],
    [2 - 2 ** -11, 0x4000],
  ];
  for (const [value, bits] of cases) assert.equal(halfBits(value), bits, String(value));
});

test("a value that float16 can't hold is refused", () => {
  const change = new Map([["w", float32([1], Float32Array.of(1e6))]]);
  assert.throws(() => encode(change, "float16", 1, stream, 0.1, new Set()), InvalidInput);
});

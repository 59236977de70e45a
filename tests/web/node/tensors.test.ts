/** safetensors: good, malformed and unfit files against the conformance vectors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidInput } from "../../../web/src/core/errors.ts";
import { parse, parseAs, toBytes } from "../../../web/src/core/tensors.ts";
import { bytes, vectors } from "./vectors.ts";

const document = vectors("safetensors.json");

function half(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const magnitude = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
  return bits & 0x8000 ? -magnitude : magnitude;
}

for (const good of document.good)
  test(`reads: ${good.name}`, () => {
    const body = bytes(good.base64);
    const { tensors, metadata } = parse(body);
    assert.deepEqual(Object.fromEntries(metadata), good.metadata);
    assert.deepEqual([...tensors.keys()].sort(), Object.keys(good.tensors).sort());
    for (const [name, tensor] of tensors) {
      const want = good.tensors[name];
      assert.equal(tensor.dtype, want.dtype);
      assert.deepEqual(tensor.shape, want.shape);
      const values = Array.from(tensor.data as ArrayLike<number | bigint>, Number);
      assert.deepEqual(tensor.dtype === "float16" ? values.map(half) : values, want.values.map(Number));
    }
    const again = parse(toBytes(tensors, Object.fromEntries(metadata)));
    assert.deepEqual(new Set(again.tensors), new Set(tensors));
    assert.deepEqual(again.metadata, metadata);
  });

for (const { name, base64 } of document.malformed)
  test(`refuses: ${name}`, () => {
    assert.throws(() => parse(bytes(base64)), InvalidInput);
  });

test("what fits is read in the order of the specs", () => {
  const { specs, fitting } = document.unfit;
  assert.deepEqual([...parseAs(bytes(fitting), specs).keys()], ["w", "b"]);
});

for (const { name, base64 } of document.unfit.files)
  test(`does not fit: ${name}`, () => {
    assert.throws(() => parseAs(bytes(base64), document.unfit.specs), InvalidInput);
  });

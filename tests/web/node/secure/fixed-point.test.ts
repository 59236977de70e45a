/** Updates as whole numbers: the very words of the conformance vectors. Sums are decoded by coordinators alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidInput } from "../../../../web/src/core/errors.ts";
import { type Extras, type Layout, encode, sizeOf } from "../../../../web/src/secure/fixed-point.ts";
import { type Vectors, vectors } from "../vectors.ts";

const document = vectors("secure/fixed_point.json");

function layoutOf(name: string): Layout {
  const { blocks, classes, largest_group } = document.layouts[name];
  return { blocks: blocks.map(({ size, clip_norm }: Vectors) => ({ size, clipNorm: clip_norm })), classes, largestGroup: largest_group };
}

function extrasOf({ weight, eval_loss, eval_correct, eval_examples, histogram }: Vectors): Extras {
  return { weight, evaluation: { loss_sum: eval_loss, correct: eval_correct, examples: eval_examples }, histogram };
}

for (const { name, layout, blocks, extras, uniforms, vector } of document.encode)
  test(`a vector: ${name}`, () => {
    const floats = blocks.map((block: number[]) => Float32Array.from(block));
    const words = encode(layoutOf(layout), floats, extrasOf(extras), Float32Array.from(uniforms));
    assert.deepEqual([...words], vector);
    assert.equal(words.length, sizeOf(layoutOf(layout)));
  });

test("what doesn't fit, or is no number, is refused", () => {
  const layout = layoutOf("one block");
  const encoded = (block: number[], histogram: number[] = []) => () =>
    encode(layout, [Float32Array.from(block)], { weight: 1, histogram }, new Float32Array(2));
  for (const wrong of [encoded([1]), encoded([1, 2, 3]), encoded([1, Number.NaN]), encoded([Infinity, 0]), encoded([1, 2], [1])])
    assert.throws(wrong, InvalidInput);
});

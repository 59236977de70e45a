/** The hold-out against the conformance vectors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex } from "../../../../web/src/core/signing.ts";
import type { Examples } from "../../../../web/src/device/examples.ts";
import { split, totals } from "../../../../web/src/samples/holdout.ts";
import { vectors } from "../vectors.ts";

const document = vectors("holdout.json");

for (const { secret, fraction, keys, held } of document.split)
  test(`split: ${fraction} of ${keys.length}`, () => {
    const input = { name: "x", role: "x", shape: ["B", 1], dtype: "float32" } as Examples["input"];
    const examples = { input, rows: Float32Array.from(keys), width: 1, labels: Int32Array.from(keys, () => 0), keys };
    const { training, heldOut } = split(examples, fraction, fromHex(secret));
    assert.deepEqual(heldOut.keys, held);
    assert.deepEqual(Array.from(heldOut.rows as Float32Array), Array.from(Float32Array.from(held)));
    assert.deepEqual([...training.keys, ...heldOut.keys].sort(), [...keys].sort());
  });

for (const { probabilities, labels, classes, ...want } of document.totals)
  test(`totals of ${labels.length}`, () => {
    const report = totals(Float32Array.from(probabilities), Int32Array.from(labels), classes);
    assert.deepEqual([report.correct, report.examples], [want.correct, want.examples]);
    assert.ok(Math.abs(report.loss_sum - want.loss_sum) <= 1e-9 * want.loss_sum);
  });

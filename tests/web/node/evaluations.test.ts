/** Totals of the global model over a hold-out: the streams and the passes of a re-labeling, in every round. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex } from "../../../web/src/core/signing.ts";
import { parseTask } from "../../../web/src/core/task.ts";
import { evaluate, split } from "../../../web/src/samples/holdout.ts";
import { vectors } from "./vectors.ts";
import { openFolder } from "./whole-round.ts";

const { engine, weights, examples } = await openFolder("rounds");

for (const { secret, fraction, round, task, held, loss_sum, correct, examples: count } of vectors("rounds/evaluations.json"))
  test(`round ${round}: ${task}`, async () => {
    const local = { task: parseTask(task), round, secret: fromHex(secret) };
    const { heldOut } = split(examples, fraction, local.secret);
    assert.deepEqual(heldOut.keys, held);
    const report = await evaluate(engine, local, weights, heldOut);
    assert.deepEqual([report.correct, report.examples], [correct, count]);
    assert.ok(Math.abs(report.loss_sum - loss_sum) <= 1e-5 * loss_sum, `${report.loss_sum}`);
  });

/** JSON messages, tasks and manifests: accepted and refused exactly as the conformance vectors say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidInput } from "../../../web/src/core/errors.ts";
import { parseManifest } from "../../../web/src/core/manifest.ts";
import { generation, lrFactor, parseTask, startRound } from "../../../web/src/core/task.ts";
import { parseCheckInResponse, parseEnrollResponse, parseProblem, parseUpdateReceipt } from "../../../web/src/core/wire.ts";
import { vectors } from "./vectors.ts";

const readers: Record<string, (body: Uint8Array) => unknown> = {
  CheckInResponse: parseCheckInResponse,
  EnrolResponse: parseEnrollResponse,
  UpdateReceipt: parseUpdateReceipt,
  Problem: parseProblem,
  Task: parseTask,
  Manifest: parseManifest,
};

for (const { kind, name, body, valid } of vectors("messages.json").cases)
  test(`${kind}, ${name}: ${valid ? "accepted" : "refused"}`, () => {
    const parse = (): unknown => readers[kind]!(new TextEncoder().encode(body));
    if (valid) parse();
    else assert.throws(parse, InvalidInput);
  });

test("the re-label generation of a round", () => {
  const task = parseTask('{"name":"t","rounds":20,"relabel":{"start":0.8,"period":2,"lr_scale":0.5}}');
  assert.equal(startRound(task), 17);
  assert.deepEqual([16, 17, 18, 19, 20].map((round) => generation(task, round)), [0, 1, 1, 2, 2]);
  assert.deepEqual([16, 17].map((round) => lrFactor(task, round)), [1, 0.5]);
});

test("a key named __proto__ is an unknown key", () => {
  assert.throws(() => parseTask('{"name":"t","rounds":2,"__proto__":{}}'), InvalidInput);
});

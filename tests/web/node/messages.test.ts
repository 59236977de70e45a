/** JSON messages, tasks and manifests: accepted and refused exactly as the conformance vectors say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { READERS } from "../../../web/conformance/readers.ts";
import { InvalidInput, NotEligible } from "../../../web/src/core/errors.ts";
import { parseManifest } from "../../../web/src/core/manifest.ts";
import { generation, lrFactor, parseTask, startRound } from "../../../web/src/core/task.ts";
import { checkFeatures, knownReason, parseCheckInResponse } from "../../../web/src/core/wire.ts";
import { type Vectors, bytes, vectors } from "./vectors.ts";

for (const { kind, name, body, base64, valid } of [...vectors("messages.json").cases, ...vectors("secure/messages.json").cases])
  test(`${kind}, ${name}: ${valid ? "accepted" : "refused"}`, () => {
    const parse = (): unknown => READERS[kind]!(base64 === undefined ? new TextEncoder().encode(body) : bytes(base64));
    if (valid) parse();
    else assert.throws(parse, InvalidInput);
  });

test("the re-label generation of a round", () => {
  const task = parseTask('{"name":"t","rounds":20,"relabel":{"start":0.8,"period":2,"lr_scale":0.5}}');
  assert.equal(startRound(task), 17);
  assert.deepEqual([16, 17, 18, 19, 20].map((round) => generation(task, round)), [0, 1, 1, 2, 2]);
  assert.deepEqual([16, 17].map((round) => lrFactor(task, round)), [1, 0.5]);
});

test("what the learning rate is multiplied by in a round, to the bit", () => {
  for (const { task, factors } of vectors("learning-rates.json").cases) {
    const read = parseTask(JSON.stringify(task));
    for (const [round, factor] of factors) assert.equal(lrFactor(read, round), factor, `${JSON.stringify(task)}, round ${round}`);
  }
});

test("a member that nobody knows is ignored, whatever its name", () => {
  const task = parseTask('{"name":"t","rounds":2,"__proto__":{"population":"x"},"toString":1,"local":{"later":[{}]}}');
  assert.equal(task.population, "default");
  assert.equal(task.local.epochs, 5);
});

test("a seed that no reader of JSON keeps exactly is a text", () => {
  const seed = "9".repeat(100);
  assert.equal(parseTask(`{"name":"t","rounds":2,"seed":"${seed}"}`).seed, BigInt(seed));
  assert.equal(parseTask('{"name":"t","rounds":2,"seed":"12"}').seed, 12n);
});

test("a reason to wait that this page doesn't know means: later", () => {
  const reason = (word: string): string => knownReason(parseCheckInResponse(`{"wait":{"retry_after_seconds":1,"reason":"${word}"}}`).wait!);
  assert.deepEqual(["paused", "full-moon", "later"].map(reason), ["paused", "later", "later"]);
});

test("a task that needs what this page can't do is read, and not taken part in", () => {
  const task = parseTask('{"name":"t","rounds":2,"requires":["secure-sum"]}');
  assert.throws(() => checkFeatures(task), NotEligible);
  checkFeatures(parseTask('{"name":"t","rounds":2}'));
});

test("how a picture of another size is made to fit, also in bundles that know only of resizing", () => {
  const good = vectors("messages.json").cases.find((item: Vectors) => item.kind === "Manifest" && item.valid);
  const fit = (preprocessing: unknown): string => parseManifest(JSON.stringify({ ...JSON.parse(good.body), preprocessing })).preprocessing.fit;
  assert.equal(fit({ kind: "image" }), "exact");
  assert.equal(fit({ kind: "image", resize: true }), "stretch");
  assert.equal(fit({ kind: "image", resize: true, fit: "exact" }), "exact");
  assert.equal(fit({ kind: "image", fit: "pad" }), "pad");
});

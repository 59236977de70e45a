/** Whole rounds on WebAssembly: the same overlay, and the same weights within 1e-5, as the Python device gives. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { IntegrityError, VerificationFailed } from "../../../web/src/core/errors.ts";
import { relativeError, verifyGolden } from "../../../web/src/core/golden.ts";
import { PROGRAMS, type ProgramName, onnxFile, parseManifest, weightSpecs } from "../../../web/src/core/manifest.ts";
import { checkHash, fromHex } from "../../../web/src/core/signing.ts";
import { parseTask } from "../../../web/src/core/task.ts";
import { type Tensors, floats, parse, parseAs } from "../../../web/src/core/tensors.ts";
import { Engine } from "../../../web/src/engine/engine.ts";
import type { Examples } from "../../../web/src/device/examples.ts";
import { type LocalRound, change, generationOf, relabel, train } from "../../../web/src/device/local-round.ts";
import { file, vectors } from "./vectors.ts";

const OF_WEIGHTS = 1e-5; // relative to the largest element
const OF_UPDATE = 1e-4; // an update is a small difference of weights
const manifest = parseManifest(file("rounds/bundle/manifest.json"));
const programs = new Map<ProgramName, Uint8Array>(
  PROGRAMS.map((name) => [name, file(`rounds/bundle/${onnxFile(manifest, name).path}`)]),
);
const engine = await Engine.open(manifest, programs);
const weights = parseAs(file("rounds/weights.safetensors"), weightSpecs(manifest));
const examples = readExamples();

function readExamples(): Examples {
  const { tensors } = parse(file("rounds/data.safetensors"));
  const labels = Int32Array.from(tensors.get("y")!.data as BigInt64Array, Number);
  const input = manifest.train_step.inputs.find((item) => item.role === "x")!;
  return { input, rows: tensors.get("x")!.data, width: 64, labels, keys: [...labels.keys()] };
}

async function trained(local: LocalRound, labels: Int32Array, kill = 0): Promise<Tensors> {
  let state = engine.start(weights);
  let done = 0;
  for await (const step of train(engine, local, weights, examples, labels, state, 0)) {
    ({ state, number: done } = step);
    if (done === kill) break;
  }
  if (kill) for await (const step of train(engine, local, weights, examples, labels, state, done)) ({ state } = step);
  return change(state, weights);
}

test("every file has the hash that the manifest gives it", () => {
  for (const [name, body] of programs) checkHash(body, onnxFile(manifest, name).sha256, name);
  const damaged = programs.get("predict")!.slice();
  damaged[100] = damaged[100]! ^ 1;
  assert.throws(() => checkHash(damaged, onnxFile(manifest, "predict").sha256, "predict"), IntegrityError);
});

test("the golden steps pass, and fail where a number is off", async () => {
  const expected = parse(file("rounds/bundle/golden.safetensors")).tensors;
  await verifyGolden(manifest, expected, (program, fed) => engine.run(program, fed));
  const key = [...expected.keys()].find((name) => /^train_step\.2\.new\..*weight$/.test(name))!;
  const spoilt = floats(expected, key);
  spoilt[0] = spoilt[0]! + 0.1;
  await assert.rejects(verifyGolden(manifest, expected, (program, fed) => engine.run(program, fed)), VerificationFailed);
});

for (const item of vectors("rounds/cases.json"))
  test(`whole round: ${item.name}`, async () => {
    const local: LocalRound = { task: parseTask(item.task), round: item.round, secret: fromHex(item.secret) };
    const expected = parse(file(`rounds/${item.name}.safetensors`)).tensors;
    const labels = generationOf(local) ? await relabel(engine, local, weights, examples) : examples.labels;
    assert.deepEqual([...labels], Array.from(expected.get("labels")!.data as BigInt64Array, Number));
    const update = await trained(local, labels);
    for (const name of update.keys()) {
      const [start, want, got] = [floats(weights, name), floats(expected, `update.${name}`), floats(update, name)];
      const moved = (by: Float32Array): Float32Array => start.map((value, index) => value + by[index]!);
      assert.ok(relativeError(moved(want), moved(got)) <= OF_WEIGHTS, name);
      assert.ok(relativeError(want, got) <= OF_UPDATE, name);
    }
  });

test("a round that is resumed gives the same bits", async () => {
  const item = vectors("rounds/cases.json")[0];
  const local: LocalRound = { task: parseTask(item.task), round: item.round, secret: fromHex(item.secret) };
  const whole = await trained(local, examples.labels);
  const resumed = await trained(local, examples.labels, 7);
  for (const name of whole.keys()) assert.deepEqual(floats(resumed, name), floats(whole, name));
});

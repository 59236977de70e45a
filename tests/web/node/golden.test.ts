/** Golden steps of AdamW, batch statistics and dropout; what the file leaves out is not expected. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { VerificationFailed } from "../../../web/src/core/errors.ts";
import { goldenInputs, relativeError, verifyGolden } from "../../../web/src/core/golden.ts";
import { PROGRAMS, type ProgramName, onnxFile, parseManifest } from "../../../web/src/core/manifest.ts";
import { floats, parse } from "../../../web/src/core/tensors.ts";
import { Engine } from "../../../web/src/engine/engine.ts";
import { file, vectors } from "./vectors.ts";

const manifest = parseManifest(file("golden/manifest.json"));
const programs = new Map<ProgramName, Uint8Array>(PROGRAMS.map((name) => [name, file(`golden/${onnxFile(manifest, name).path}`)]));
const engine = await Engine.open(manifest, programs);
const recorded = () => parse(file("golden/golden.safetensors")).tensors;

test("golden steps pass where an output is nothing but rounding", async () => {
  assert.ok(manifest.train_step.outputs.some((name) => !recorded().has(`train_step.0.${name}`)));
  await verifyGolden(manifest, recorded(), (program, fed) => engine.run(program, fed));
});

test("AdamW's epsilon is the golden one, not the model's", () => {
  assert.equal(floats(goldenInputs(manifest, "train_step", 0), "adam_epsilon")[0], Math.fround(1e-3));
});

test("only the programs that are asked for are run", async () => {
  const ran: string[] = [];
  await verifyGolden(manifest, recorded(), (program, fed) => (ran.push(program), engine.run(program, fed)), ["train_step"]);
  assert.deepEqual(ran, ["train_step", "train_step", "train_step"]);
});

test("an output that a client does not give fails", async () => {
  const lacking = async (program: ProgramName, fed: Parameters<Engine["run"]>[1]) => {
    const outputs = await engine.run(program, fed);
    outputs.delete("loss_sum");
    return outputs;
  };
  await assert.rejects(verifyGolden(manifest, recorded(), lacking), VerificationFailed);
});

test("a golden file that says nothing of a program fails", async () => {
  const rest = new Map([...recorded()].filter(([key]) => !key.startsWith("relabel.")));
  await assert.rejects(verifyGolden(manifest, rest, (program, fed) => engine.run(program, fed)), VerificationFailed);
});

test("slack is taken off the error of its output alone", async () => {
  const key = "train_step.0.loss_sum";
  const shifted = (slack: number) => {
    const expected = recorded();
    const loss = floats(expected, key)[0]!;
    expected.set(key, { ...expected.get(key)!, data: Float32Array.of(loss + 0.5) });
    return slack ? expected.set(`slack.${key}`, { dtype: "float32", shape: [], data: Float32Array.of(slack) }) : expected;
  };
  const run = (program: ProgramName, fed: Parameters<Engine["run"]>[1]) => engine.run(program, fed);
  await assert.rejects(verifyGolden(manifest, shifted(0), run), VerificationFailed);
  await assert.rejects(verifyGolden(manifest, shifted(0.4), run), VerificationFailed);
  await verifyGolden(manifest, shifted(0.5), run);
});

for (const { name, expected, actual, before, slack, error } of vectors("golden-errors.json").cases)
  test(`an output's error: ${name}`, () => {
    const found = relativeError(expected.map(Number), actual.map(Number), before?.map(Number), Number(slack));
    const want = Number(error);
    assert.ok(found === want || Math.abs(found - want) <= 1e-12 * want, `${found}, not ${want}`);
  });

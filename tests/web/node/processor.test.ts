/** Which processor trains: the golden steps decide first, then the time; and what a lost device costs: nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { VerificationFailed } from "../../../web/src/core/errors.ts";
import { goldenInputs } from "../../../web/src/core/golden.ts";
import { CARRIED, PROGRAMS, type ProgramName, onnxFile, parseManifest } from "../../../web/src/core/manifest.ts";
import { type Tensors, floats } from "../../../web/src/core/tensors.ts";
import { Engine } from "../../../web/src/engine/engine.ts";
import { type Gpu, GpuFailed, GpuSilent } from "../../../web/src/engine/gpu.ts";
import { type Choice, MOST_SETBACKS, afterLoss, choose, undecided } from "../../../web/src/engine/processor.ts";
import { processorSentence } from "../../../web/src/page/words.ts";
import { file } from "./vectors.ts";

const manifest = parseManifest(file("golden/manifest.json"));
const programs = new Map<ProgramName, Uint8Array>(PROGRAMS.map((name) => [name, file(`golden/${onnxFile(manifest, name).path}`)]));
const engine = await Engine.open(manifest, programs);
const golden = goldenInputs(manifest, "train_step", 0);
const carried = manifest.train_step.inputs.filter((item) => CARRIED.includes(item.role)).map((item) => item.name);
const state = new Map([...golden].filter(([name]) => carried.includes(name)));
const fed = new Map([...golden].filter(([name]) => !carried.includes(name)));

/** A contest whose steps take given times; the first of each processor takes ten times as long. */
function contest(webgpuMs: number, wasmMs: number, golden: () => Promise<void> = async () => {}) {
  let now = 0;
  const counts = { webgpu: 0, wasm: 0 };
  const step = (name: "webgpu" | "wasm", ms: number) => async () => {
    now += counts[name]++ ? ms : 10 * ms;
  };
  return { golden, webgpuStep: step("webgpu", webgpuMs), wasmStep: step("wasm", wasmMs), nowMs: () => now, counts };
}

/** A graphics processor that answers as it is told to. */
function gpu(run: (fed: Tensors) => Promise<Tensors>): Gpu & { closed: number } {
  const gpu = { run, closed: 0, close: () => void gpu.closed++ };
  return gpu as unknown as Gpu & { closed: number };
}

const rejecting = (error: Error) => async () => {
  throw error;
};

test("a graphics processor that is right and faster trains", async () => {
  assert.deepEqual(await choose(contest(2, 10)), { processor: "webgpu", why: "faster", wasmMs: 10, webgpuMs: 2, setbacks: 0 });
});

test("one that is slower does not, nor one that is hardly faster", async () => {
  assert.deepEqual(await choose(contest(70, 1)), { processor: "wasm", why: "slower", wasmMs: 1, webgpuMs: 70, setbacks: 0 });
  assert.equal((await choose(contest(9.5, 10))).processor, "wasm");
});

test("one that fails the golden steps is never timed, however fast", async () => {
  const wrong = contest(1, 100, rejecting(new VerificationFailed("off", "")));
  assert.deepEqual(await choose(wrong), { processor: "wasm", why: "wrong", problem: "off", setbacks: 0 });
  assert.deepEqual(wrong.counts, { webgpu: 0, wasm: 0 });
});

test("one that fails at its work is left alone; other faults are not hidden", async () => {
  assert.equal((await choose(contest(1, 9, rejecting(new GpuFailed("gone"))))).why, "failed");
  assert.equal((await choose(contest(1, 9, rejecting(new GpuSilent("late"))))).why, "slower");
  assert.equal((await choose({ ...contest(1, 9), webgpuStep: rejecting(new GpuFailed("gone")) })).why, "failed");
  await assert.rejects(choose({ ...contest(1, 9), wasmStep: rejecting(new RangeError("a fault of ours")) }), RangeError);
});

test("a trial that was cut off is repeated, but not for ever; a decision stands", () => {
  const unfinished = (setbacks: number): Choice => ({ processor: "wasm", why: "unfinished", setbacks });
  assert.ok(undecided(undefined));
  assert.ok(undecided(unfinished(MOST_SETBACKS - 1)));
  assert.ok(!undecided(unfinished(MOST_SETBACKS)));
  assert.ok(!undecided({ processor: "wasm", why: "slower", setbacks: 0 }));
});

test("after losing its device several times a graphics processor is not used again", () => {
  let choice: Choice = { processor: "webgpu", why: "faster", wasmMs: 10, webgpuMs: 2, setbacks: 0 };
  for (let count = 1; count < MOST_SETBACKS; count++) {
    choice = afterLoss(choice);
    assert.equal(choice.processor, "webgpu");
  }
  choice = afterLoss(choice);
  assert.deepEqual([choice.processor, choice.why], ["wasm", "lost"]);
});

test("a step that the graphics processor fails at is done again on WebAssembly, from the same state", async () => {
  const want = await engine.trainStep(state, fed);
  const short = async (inputs: Tensors): Promise<Tensors> => {
    const outputs = await engine.run("train_step", inputs); // out of memory, a device gives zeros
    return new Map([...outputs].map(([name, { dtype, shape }]) => [name, { dtype, shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }]));
  };
  for (const run of [rejecting(new GpuFailed("the device was lost")), short]) {
    const broken = gpu(run);
    let losses = 0;
    engine.accelerate(broken, async () => void losses++);
    const got = await engine.trainStep(state, fed);
    assert.deepEqual(got.totals, want.totals);
    for (const name of state.keys()) assert.deepEqual(floats(got.state, name), floats(want.state, name));
    assert.deepEqual([losses, broken.closed, engine.accelerated], [1, 1, false]);
  }
});

test("a step that the graphics processor does is taken from it", async () => {
  let steps = 0;
  engine.accelerate(gpu(async (inputs) => (steps++, engine.run("train_step", inputs))));
  const got = await engine.trainStep(state, fed);
  engine.accelerate(undefined);
  assert.equal(steps, 1);
  assert.deepEqual(got, await engine.trainStep(state, fed));
});

test("the owner reads one plain line", () => {
  const line = (choice: Choice): string => processorSentence(choice, 2);
  assert.match(line({ processor: "webgpu", why: "faster", wasmMs: 95, webgpuMs: 4.25, setbacks: 0 }), /graphics processor.*\(4\.3 ms a step, the processor 95 ms\)/);
  for (const why of ["none", "slower", "wrong", "failed", "lost", "unfinished", "later"] as const)
    assert.match(line({ processor: "wasm", why, setbacks: 0 }), /^Training runs on the processor, by WebAssembly with 2 threads\. .+\.$/);
});

/** What survives a kill, grown data and a lost update: the page's own work over a store in memory, by the vectors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidInput } from "../../../web/src/core/errors.ts";
import { relativeError } from "../../../web/src/core/golden.ts";
import { CARRIED, inputs } from "../../../web/src/core/manifest.ts";
import { parseTask } from "../../../web/src/core/task.ts";
import { type Tensors, float32, floats, parse } from "../../../web/src/core/tensors.ts";
import type { Assignment } from "../../../web/src/core/wire.ts";
import { wordOf } from "../../../web/src/samples/classes.ts";
import { type Examples, formOf, laid, load, overlayFromBytes, overlayOf, overlayToBytes } from "../../../web/src/device/examples.ts";
import { generationOf, isUsable, predict } from "../../../web/src/device/local-round.ts";
import type { Sample, Store } from "../../../web/src/device/store.ts";
import { AssignmentFailed, type AssignmentRecord, taskKey } from "../../../web/src/device/held.ts";
import { type Progress, RoundWork, type World } from "../../../web/src/device/work.ts";
import { fromHex } from "../../../web/src/core/signing.ts";
import { MemoryStore } from "./memory-store.ts";
import { file, vectors } from "./vectors.ts";
import { assertUpdate, openModel, wholeNumbers } from "./whole-round.ts";

const OF_UPDATE = 1e-4;
const document = vectors("assignments/assignments.json");
const { manifest, engine, weights, examples } = await openModel(document.model);
const cases = vectors("models/models.json").find((model: any) => model.name === document.model).cases;
const expected = (name: string): Tensors => parse(file(`assignments/${name}`)).tensors;

interface Data {
  rows: number[];
  labels?: [number, number][];
  values?: [number, number, number][];
}

function samples({ rows, labels = [], values = [] }: Data): Sample[] {
  const own = new Map(labels);
  return rows.map((row) => {
    const data = examples.rows.slice(row * examples.width, (row + 1) * examples.width) as Uint8Array;
    for (const [changed, element, value] of values) if (changed === row) data[element] = value;
    return { id: row, words: [wordOf(manifest, own.get(row) ?? examples.labels[row]!)], form: formOf(manifest), data };
  });
}

class Killed extends Error {}

interface Round {
  task: string;
  round: number;
  secret: string;
}

/** The work of an assignment, from whatever the store holds; killed in the step after `killedAfter`, whose state is kept. */
async function work(store: MemoryStore, { task, round, secret }: Round, steps: number[] = [], killedAfter = 0, start = weights): Promise<Uint8Array | undefined> {
  const assignment = { task_id: "task", round, compute_lease_seconds: 1000, upload_lease_seconds: 1000 } as Assignment;
  const record: AssignmentRecord = (await store.getJson("assignment/assignment")) || { assignment: "{}", receivedAt: Date.now() / 1000, fingerprint: "" };
  const tell = (progress: Progress): void => {
    if (progress.kind !== "step") return;
    steps.push(progress.step);
    if (killedAfter && progress.step === killedAfter) running.saveSoon();
    if (killedAfter && progress.step === killedAfter + 1) throw new Killed();
  };
  const owner = { rule: { min_battery_percent: 0, require_unmetered_network: false, min_free_disk_bytes: 0, hours: "" }, holdoutFraction: 0, onlyHidden: false, allowEvaluation: false };
  const world: World = { stopped: () => false, conditions: () => ({}), owner: () => owner, tell, chosen: () => {} };
  const job = { assignment, task: parseTask(task), engine, weights: start };
  const running = new RoundWork(job, record, secret, store as unknown as Store, world, async () => {});
  return running.update();
}

function assertClose(want: Tensors, got: Tensors, names: Iterable<string> = want.keys()): void {
  for (const name of names) assert.ok(relativeError(floats(want, name), floats(got, name)) <= OF_UPDATE, name);
}

test("a global model that predicts no numbers is neither trained nor asked for labels", async () => {
  const broken: Tensors = new Map(weights);
  for (const { name, shape } of inputs(manifest.train_step, "parameter"))
    broken.set(name, float32(shape.map(Number), floats(weights, name).map(() => 3e38)));
  assert.equal(await isUsable(engine, weights), true);
  const round: Round = cases.find((item: any) => item.name === "relabeling");
  const store = new MemoryStore();
  store.held = samples({ rows: examples.keys });
  const unusable = (fault: unknown): boolean => fault instanceof AssignmentFailed && fault.code === "model-unusable";
  await assert.rejects(work(store, round, [], 0, broken), unusable);
  assert.equal(store.bytes.size, 0);
  const local = { task: parseTask(round.task), round: round.round, secret: fromHex(round.secret) };
  await assert.rejects(predict(engine, local, broken, examples), InvalidInput);
});

for (const kill of document.kills)
  test(`${kill.case}, killed after ${kill.killed_after}`, async () => {
    const round: Round = cases.find((item: any) => item.name === kill.case);
    const store = new MemoryStore();
    store.held = samples({ rows: examples.keys });
    for (const step of kill.killed_after) await assert.rejects(work(store, round, [], step), Killed);
    const kept = parse(store.bytes.get("assignment/snapshot")!);
    const done = kill.killed_after.at(-1);
    assert.equal(Number(kept.metadata.get("steps")), done);
    const state = expected(kill.state);
    assert.deepEqual([...kept.tensors.keys()].sort(), inputs(manifest.train_step, ...CARRIED).map(({ name }) => name).sort());
    assertClose(state, kept.tensors);
    const steps: number[] = [];
    const resumed = await work(store, round, steps);
    assert.deepEqual(steps, Array.from({ length: kill.steps - done }, (_, index) => done + index + 1));
    const fresh = new MemoryStore();
    fresh.held = store.held;
    assert.deepEqual(resumed, await work(fresh, round));
    assertUpdate(weights, parse(file(`models/${document.model}/${kill.case}.safetensors`)).tensors, parse(resumed!).tensors);
  });

for (const change of document.changes)
  test(`changed in between: ${change.name}`, async () => {
    const store = new MemoryStore();
    store.held = samples(change.before);
    await assert.rejects(work(store, change, [], change.killed_after), Killed);
    store.held = samples(change.after);
    const steps: number[] = [];
    const update = await work(store, change, steps);
    assert.equal(steps[0], change.starts_over ? 1 : change.killed_after + 1);
    assertUpdate(weights, expected(change.expected), parse(update!).tensors);
  });

for (const { name, made, kept, later, train_on } of document.overlays)
  test(`overlay: ${name}`, () => {
    const overlay = overlayOf(ofLabels(made), Int32Array.from(made.relabeled), 1);
    assert.deepEqual([...overlay.changed], kept);
    assert.deepEqual([...laid(overlayFromBytes(overlayToBytes(overlay)), ofLabels(later))], train_on);
  });

function ofLabels({ keys, labels }: { keys: number[]; labels: number[] }): Examples {
  return { input: examples.input, rows: new Uint8Array(labels.length), width: 1, labels: Int32Array.from(labels), keys };
}

for (const { name, rounds, ...shared } of document.growing)
  test(`data: ${name}`, async () => {
    const store = new MemoryStore();
    for (const item of rounds) {
      const round: Round = { ...shared, round: item.round };
      store.held = samples(item.data);
      const update = await work(store, round);
      assert.equal(generationOf({ task: parseTask(round.task), round: item.round, secret: fromHex(round.secret) }), item.generation);
      const overlay = overlayFromBytes(store.bytes.get(`overlays/${taskKey({ task_id: "task" } as Assignment)}`)!);
      assert.equal(overlay.generation, item.generation);
      const labels = laid(overlay, await load(store as unknown as Store, manifest));
      assert.deepEqual(labels, wholeNumbers(expected(item.expected), "labels"));
      assertUpdate(weights, expected(item.expected), parse(update!).tensors);
      store.endAssignment();
    }
  });

test("what an update dropped is owed from its receipt on", async () => {
  const { assignments, ...shared } = document.top_k;
  const store = new MemoryStore();
  store.held = samples({ rows: examples.keys });
  const owed = `residuals/${taskKey({ task_id: "task" } as Assignment)}`;
  for (const item of assignments) {
    const update = parse((await work(store, { ...shared, round: item.round }))!);
    const want = parse(file(`assignments/${item.update}`));
    assert.deepEqual(update.metadata, want.metadata);
    for (const [name, { data }] of want.tensors) if (name.endsWith(".indices")) assert.deepEqual(update.tensors.get(name)!.data, data);
    assertClose(want.tensors, update.tensors, [...want.tensors.keys()].filter((name) => !name.endsWith(".indices")));
    // The receipt itself is `client.ts`'s, which needs a browser's fetch: this is what it does with the store.
    if (item.ends.includes("receipt")) await store.put(owed, (await store.get("assignment/residual"))!);
    store.endAssignment();
    assert.equal(store.bytes.has(owed), Boolean(item.residual));
    if (item.residual) assertClose(expected(item.residual), parse(store.bytes.get(owed)!).tensors);
  }
});

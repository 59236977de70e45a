/** A page's turn in a group: its coordinator is the vectors' session, its store lies in memory, its tab is killed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GroupRefused, Refused } from "../../../../web/src/core/errors.ts";
import { hash, publicKeyOf } from "../../../../web/src/core/signing.ts";
import { type Task, parseTask } from "../../../../web/src/core/task.ts";
import type { Api } from "../../../../web/src/device/api.ts";
import { SESSION } from "../../../../web/src/device/secure/kept.ts";
import { type Ending, type Turn, takePart } from "../../../../web/src/device/secure/turn.ts";
import type { Progress } from "../../../../web/src/device/work.ts";
import { offer } from "../../../../web/src/secure/member.ts";
import { type SecureStep, parseStep } from "../../../../web/src/secure/messages.ts";
import { MemoryStore } from "../memory-store.ts";
import { type Vectors, vectors } from "../vectors.ts";

const session = vectors("secure/session.json");
const values = session.members[session.member - 1];
const vector = Int32Array.from(values.vector);
const identity = { private_key: values.identity_private_key, population: values.population };
const assignment = { assignment_id: values.assignment_id, task_id: "t", ...session.work };
const TASK = parseTask('{"name":"t","rounds":9,"privacy":{"secure":"peers","group_target":8,"group_minimum":5}}');

const step = (name: string, content: object): SecureStep => parseStep(JSON.stringify({ step: name, ...content }));
const STEPS = [
  step("share", { roster: session.roster }),
  step("mask", { inbox: values.inbox }),
  step("agree", { survivors: session.told_survivors }),
  step("reveal", { agreements: session.told_agreements }),
  step("done", { reason: "summed" }),
];
const SENT = ["keys", "shares", "update", "agreement", "reveal"];

class Killed extends Error {}

/** A coordinator that says `steps`, the next one when the last was answered, and takes down what it is sent. */
class Coordinator {
  readonly sent: [what: string, body: unknown][] = [];
  asked = 0;
  at = 0;

  constructor(
    readonly steps: SecureStep[] = STEPS,
    readonly killedAt = -1, // the message after which, before its answer, the tab is killed
  ) {}

  secure = async (_: unknown, kind: string, message: object): Promise<void> => this.take(kind, message);
  update = async (_: unknown, body: Uint8Array): Promise<void> => this.take("update", hash(body));

  secureStep = async (): Promise<SecureStep> => {
    this.asked += 1;
    return this.steps[this.at]!;
  };

  private take(what: string, body: unknown): void {
    this.sent.push([what, body]);
    if (what !== "keys" && this.steps[this.at]!.step !== "wait") this.at += 1;
    if (this.sent.length === this.killedAt) throw new Killed();
  }
}

function storeWithKeys(): MemoryStore {
  const { assignment_id: assignmentId, population, secrets } = values;
  const terms = { assignmentId, work: session.work, population, identityKey: publicKeyOf(identity.private_key), smallestGroup: 5 };
  const store = new MemoryStore();
  store.bytes.set(SESSION, new TextEncoder().encode(JSON.stringify(offer(terms, secrets, identity.private_key))));
  return store;
}

interface Setting {
  told?: Progress[];
  stopped?: () => boolean;
  task?: Task;
}

function play(store: MemoryStore, api: Coordinator, { told = [], stopped = () => false, task = TASK }: Setting = {}): Promise<Ending | undefined> {
  const world = { stopped, tell: (progress: Progress): void => void told.push(progress) };
  return takePart({ api: api as unknown as Api, store, identity, world, assignment, task } as unknown as Turn, vector);
}

test("a turn sends what the vectors say, each message once", async () => {
  const [store, api] = [storeWithKeys(), new Coordinator()];
  assert.deepEqual(await play(store, api), { step: "done", reason: "summed" });
  assert.deepEqual(api.sent.map(([what]) => what), SENT);
  const bodies = Object.fromEntries(api.sent);
  for (const what of ["shares", "agreement", "reveal"]) assert.deepEqual(bodies[what], values[what]);
  assert.equal(JSON.parse(new TextDecoder().decode(store.bytes.get(SESSION))).wordsSha, values.proof.words_sha256);
});

test("a tab that is killed as any message is sent goes on, and sends the same bytes", async () => {
  const whole = new Coordinator();
  await play(storeWithKeys(), whole);
  for (let killedAt = 1; killedAt <= SENT.length; killedAt++) {
    const [store, first] = [storeWithKeys(), new Coordinator(STEPS, killedAt)];
    await assert.rejects(play(store, first), Killed);
    const second = new Coordinator();
    second.at = Math.max(0, killedAt - 2); // the message may not have arrived: its step comes again
    await play(store, second);
    const messages = new Map([...whole.sent, ...first.sent, ...second.sent].map(([what, body]) => [JSON.stringify([what, body]), what]));
    assert.deepEqual([...messages.values()].sort(), [...SENT].sort(), `killed at ${killedAt}`);
  }
});

const otherRoster = { ...session.roster, threshold: session.roster.threshold + 1 };
const LIES: [name: string, steps: SecureStep[], sent: string[]][] = [
  ...session.refusals.flatMap(({ name, step: at, message }: Vectors): [string, SecureStep[], string[]][] => {
    const [number, content] = { share: [0, "roster"], mask: [1, "inbox"], agree: [2, "survivors"], reveal: [3, "agreements"] }[at as string] as [number, string];
    const isReadable = (): boolean => {
      try {
        return Boolean(step(at, { [content]: message }));
      } catch {
        return false; // refused as it is read
      }
    };
    return isReadable() ? [[name, [...STEPS.slice(0, number), step(at, { [content]: message })], SENT.slice(0, number + 1)]] : [];
  }),
  ["a second roster", [STEPS[0]!, step("share", { roster: otherRoster })], SENT.slice(0, 2)],
  ["survivors before the inbox", [STEPS[0]!, STEPS[2]!], SENT.slice(0, 2)],
];

for (const [name, steps, sent] of LIES)
  test(`after a lie nothing more is sent: ${name}`, async () => {
    const api = new Coordinator(steps);
    await assert.rejects(play(storeWithKeys(), api), GroupRefused);
    assert.deepEqual(api.sent.map(([what]) => what), sent);
  });

test("a group smaller than the signed task's is refused", async () => {
  const [task, api] = [parseTask('{"name":"t","rounds":9,"privacy":{"secure":"peers"}}'), new Coordinator()];
  await assert.rejects(play(new MemoryStore(), api, { task }), /fewer than the task's 14/);
  assert.deepEqual(api.sent.map(([what]) => what), ["keys"]);
});

test("a device masks once for a round, and twice at most from the same weights", async () => {
  const store = storeWithKeys();
  await play(store, new Coordinator());
  store.bytes.set(SESSION, storeWithKeys().bytes.get(SESSION)!);
  const api = new Coordinator();
  await assert.rejects(play(store, api), GroupRefused);
  assert.deepEqual(api.sent.map(([what]) => what), SENT.slice(0, 2));
});

test("a group that broke up before masking is followed by new keys", async () => {
  const api = new Coordinator([step("again", { reason: "too few" }), step("closed", { reason: "too late" })]);
  const next = api.secureStep;
  api.secureStep = async () => {
    const said = await next();
    api.at = 1;
    return said;
  };
  const store = storeWithKeys();
  assert.deepEqual(await play(store, api), { step: "closed", reason: "too late" });
  const [former, later] = api.sent.map(([, body]) => body as { mask_key: string });
  assert.equal(api.sent.length, 2);
  assert.notEqual(former!.mask_key, later!.mask_key);
  assert.equal(JSON.parse(new TextDecoder().decode(store.bytes.get(SESSION))).keys.mask_key, later!.mask_key);
});

test("a turn waits as it is told, says so, and stops when its owner wants it", async () => {
  const api = new Coordinator([step("wait", { retry_after_seconds: 0.05 })]);
  const told: Progress[] = [];
  assert.equal(await play(storeWithKeys(), api, { told, stopped: () => api.asked === 3 }), undefined);
  assert.deepEqual(told.map(({ kind }) => kind), ["grouping", "grouping", "grouping"]);
  assert.deepEqual(api.sent.map(([what]) => what), ["keys"]);
});

test("a group that has gone on meanwhile is asked for its step", async () => {
  const api = new Coordinator([STEPS[0]!, step("closed", { reason: "too late for this group" })]);
  api.secure = async (_, kind, message) => {
    api.sent.push([kind, message]);
    if (kind !== "shares") return;
    api.at = 1;
    throw new Refused("not now", "ask for this session's step", "out-of-turn", 409);
  };
  assert.equal((await play(storeWithKeys(), api))!.step, "closed");
});

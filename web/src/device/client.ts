/**
 * The device's half of the walk: go on with an interrupted turn or check in, fetch, train, upload. Everything that is
 * needed to go on after the tab is killed is kept first, and going on gives the same bits. Read `runOnce` first.
 */
import { encode } from "../core/encodings.ts";
import {
  FedRelaError,
  IntegrityError,
  InvalidInput,
  NotEligible,
  Refused,
  StorageFull,
  Unavailable,
  VerificationFailed,
} from "../core/errors.ts";
import { CARRIED, inputs, weightSpecs } from "../core/manifest.ts";
import { fromHex, hash } from "../core/signing.ts";
import { type Tensors, parse, parseAs, toBytes } from "../core/tensors.ts";
import { type Assignment, type FailureCode, type Wait, parseAssignment } from "../core/wire.ts";
import type { Api } from "./api.ts";
import { type Conditions, type Rule, reasons } from "./eligibility.ts";
import { RUNTIME_VERSION, type State } from "./engine.ts";
import { type Examples, fingerprint, laid, load, overlayFromBytes, overlayOf, overlayToBytes } from "./examples.ts";
import { CLIENT_VERSION } from "./version.ts";
import { Fetcher, type Job } from "./fetch.ts";
import type { Identity } from "./identity.ts";
import type { Store } from "./store.ts";
import { type Turn, change, generationOf, relabel, stream, train } from "./training.ts";

const CHECKPOINT_STEPS = 20;
const PAUSE_SECONDS = 5;
const TURN_KEYS = ["turn/assignment", "turn/snapshot", "turn/update", "turn/residual"];

export type Progress =
  | { kind: "checking-in" | "preparing" | "relabeling" | "uploading"; round: number; rounds: number }
  | { kind: "step"; round: number; rounds: number; step: number; steps: number; loss: number }
  | { kind: "held"; why: string[] };

export type Outcome =
  | { kind: "uploaded"; round: number; duplicate: boolean }
  | { kind: "waiting"; reason: Wait["reason"] | "not-eligible"; seconds: number }
  | { kind: "dropped"; code: string; problem: string; remedy: string }
  | { kind: "stopped" };

export interface Totals {
  rounds: number;
  sentBytes: number;
  receivedBytes: number;
}

interface TurnRecord {
  assignment: string; // its JSON
  receivedAt: number; // seconds
  fingerprint: string;
}

class TurnFailed extends Error {
  constructor(
    readonly code: FailureCode,
    readonly problem: string,
    readonly remedy: string,
  ) {
    super(problem);
  }
}

export class Client {
  private readonly fetcher: Fetcher;
  private saveNow = false;

  constructor(
    private readonly api: Api,
    private readonly store: Store,
    private readonly identity: Identity,
    private readonly world: {
      stopped: () => boolean;
      conditions: () => Conditions;
      owner: () => Rule;
      tell: (progress: Progress) => void;
    },
  ) {
    api.token = identity.device_token;
    this.fetcher = new Fetcher(api, store, identity.coordinator_public_key);
  }

  /** Keep the training state at the next batch boundary: the tab may be killed soon. */
  saveSoon(): void {
    this.saveNow = true;
  }

  /**
   * One turn. Throws Unavailable where the coordinator can't be reached and StorageFull (the turn is kept), Refused where
   * it no longer knows this device, InvalidInput where there is nothing to train on.
   */
  async runOnce(): Promise<Outcome> {
    const { assignment, record, wait } = (await this.resumed()) ?? (await this.checkIn());
    if (!assignment || !record) return wait!;
    try {
      const update = await this.update(assignment, record);
      return update ? await this.upload(assignment, record, update) : { kind: "stopped" };
    } catch (error) {
      if (error instanceof Unavailable || error instanceof StorageFull) throw error;
      if (error instanceof Refused && error.status === 401) throw error;
      return this.drop(assignment, error);
    } finally {
      await this.addTotals({});
    }
  }

  async totals(): Promise<Totals> {
    return (await this.store.getJson<Totals>("totals")) ?? { rounds: 0, sentBytes: 0, receivedBytes: 0 };
  }

  /** The turn that was under way when the tab was closed, unless its lease has run out. */
  private async resumed(): Promise<{ assignment: Assignment; record: TurnRecord; wait?: Outcome } | undefined> {
    const record = await this.store.getJson<TurnRecord>("turn/assignment");
    if (!record) return undefined;
    const assignment = parseAssignment(record.assignment);
    if (seconds() <= uploadUntil(assignment, record)) return { assignment, record };
    await this.drop(assignment, new TurnFailed("timed-out", "the time for this round ran out", "the next round is tried"));
    return undefined;
  }

  private async checkIn(): Promise<{ assignment?: Assignment; record?: TurnRecord; wait?: Outcome }> {
    const held = reasons(this.world.conditions(), this.world.owner());
    if (held.length) {
      this.world.tell({ kind: "held", why: held });
      return { wait: { kind: "waiting", reason: "not-eligible", seconds: PAUSE_SECONDS } };
    }
    this.world.tell({ kind: "checking-in", round: 0, rounds: 0 });
    const answer = await this.api.checkIn(this.identity.population, CLIENT_VERSION, `onnx ${RUNTIME_VERSION}`);
    if (answer.wait) return { wait: { kind: "waiting", reason: answer.wait.reason, seconds: answer.wait.retry_after_seconds } };
    const assignment = answer.assignment!;
    const record = { assignment: JSON.stringify(assignment), receivedAt: seconds(), fingerprint: "" };
    await this.store.delete(...TURN_KEYS);
    await this.store.putJson("turn/assignment", record);
    return { assignment, record };
  }

  /** The finished update's body, kept before anything is sent; undefined where the owner stopped it. */
  private async update(assignment: Assignment, record: TurnRecord): Promise<Uint8Array | undefined> {
    const finished = await this.store.get("turn/update");
    if (finished) return finished;
    this.world.tell({ kind: "preparing", round: assignment.round, rounds: 0 });
    const job = await this.fetcher.job(assignment);
    const turn: Turn = { task: job.task, round: assignment.round, secret: fromHex(this.identity.secret) };
    const examples = await load(this.store, job.engine.manifest);
    if (examples.labels.length < job.task.eligibility.min_examples)
      throw new TurnFailed("not-eligible", `this task wants at least ${job.task.eligibility.min_examples} examples`, "add some more");
    const labels = await this.labels(job, turn, examples);
    const state = await this.train(job, turn, record, examples, labels);
    return state && this.encode(job, turn, state, examples.labels.length);
  }

  /** The labels to train on; re-labels first where this round's generation is new to the device. */
  private async labels(job: Job, turn: Turn, examples: Examples): Promise<Int32Array> {
    const wanted = generationOf(turn);
    if (!wanted) return examples.labels;
    const key = `overlays/${taskKey(job.assignment)}`;
    const kept = await this.store.get(key);
    let overlay = kept && overlayFromBytes(kept);
    if (overlay?.generation !== wanted) {
      this.world.tell({ kind: "relabeling", round: turn.round, rounds: turn.task.rounds });
      overlay = overlayOf(examples, await relabel(job.engine, turn, job.weights, examples), wanted);
      await this.store.put(key, overlayToBytes(overlay));
    }
    return laid(overlay, examples);
  }

  private async train(job: Job, turn: Turn, record: TurnRecord, examples: Examples, labels: Int32Array): Promise<State | undefined> {
    let { state, done } = await this.begin(job, record, examples);
    if (!(await this.wait(job, record))) return undefined;
    for await (const step of train(job.engine, turn, job.weights, examples, labels, state, done)) {
      ({ state, number: done } = step);
      if (!Number.isFinite(step.totals.lossSum)) throw new InvalidInput("the loss is no longer finite", "lower the learning rate");
      const loss = step.totals.lossSum / Math.max(step.totals.weightSum, 1e-12);
      this.world.tell({ kind: "step", round: turn.round, rounds: turn.task.rounds, step: done, steps: step.total, loss });
      if (seconds() > trainUntil(job.assignment, record))
        throw new TurnFailed("timed-out", "the time for this round ran out", "the next round is tried");
      if (done === step.total) break;
      const held = this.obstacles(job);
      const stopping = this.world.stopped();
      if (done % CHECKPOINT_STEPS === 0 || stopping || held.length || this.saveNow) await this.keep(state, done);
      if (stopping || (held.length && !(await this.wait(job, record)))) return undefined;
    }
    return state;
  }

  /** A fresh state, or the kept one if it was trained on these very data; and the steps done. */
  private async begin(job: Job, record: TurnRecord, examples: Examples): Promise<{ state: State; done: number }> {
    const print = fingerprint(examples);
    const fresh = { state: job.engine.start(job.weights), done: 0 };
    if (record.fingerprint !== print) {
      record.fingerprint = print;
      await this.store.delete("turn/snapshot");
      await this.store.putJson("turn/assignment", record);
      return fresh;
    }
    const body = await this.store.get("turn/snapshot");
    if (!body) return fresh;
    const specs = inputs(job.engine.manifest.train_step, ...CARRIED).map(({ name, shape, dtype }) => ({ name, shape: shape.map(Number), dtype }));
    return { state: parseAs(body, specs), done: Number(parse(body).metadata.get("steps")) };
  }

  private async keep(state: State, done: number): Promise<void> {
    this.saveNow = false;
    await this.store.put("turn/snapshot", toBytes(state, { steps: String(done) }));
  }

  private obstacles(job: Job): string[] {
    const now = this.world.conditions();
    return [...new Set([...reasons(now, job.task.eligibility), ...reasons(now, this.world.owner())])];
  }

  /** Wait until nothing stands in the way; false where the owner stopped it. The lease is no longer than it was. */
  private async wait(job: Job, record: TurnRecord): Promise<boolean> {
    for (;;) {
      const held = this.obstacles(job);
      if (!held.length) return true;
      this.world.tell({ kind: "held", why: held });
      if (this.world.stopped()) return false;
      if (seconds() > trainUntil(job.assignment, record)) throw new TurnFailed("not-eligible", held.join(" "), "the next round is tried");
      await new Promise((resolve) => setTimeout(resolve, 1000 * PAUSE_SECONDS));
    }
  }

  private async encode(job: Job, turn: Turn, state: State, examples: number): Promise<Uint8Array> {
    const { encoding, top_k_fraction: fraction } = turn.task.aggregation;
    const kept = encoding === "top-k" ? await this.store.get(`residuals/${taskKey(job.assignment)}`) : undefined;
    const residual: Tensors | undefined = kept && parseAs(kept, weightSpecs(job.engine.manifest));
    const encoded = encode(change(state, job.weights), encoding, examples, stream(turn, "encode"), fraction, residual);
    if (encoded.residual.size) await this.store.put("turn/residual", toBytes(encoded.residual));
    await this.store.put("turn/update", encoded.body);
    await this.store.delete("turn/snapshot");
    return encoded.body;
  }

  private async upload(assignment: Assignment, record: TurnRecord, update: Uint8Array): Promise<Outcome> {
    if (seconds() > uploadUntil(assignment, record))
      throw new TurnFailed("timed-out", "the time for this round ran out", "the next round is tried");
    this.world.tell({ kind: "uploading", round: assignment.round, rounds: 0 });
    const receipt = await this.api.update(assignment, update);
    const owed = await this.store.get("turn/residual");
    if (owed) await this.store.put(`residuals/${taskKey(assignment)}`, owed);
    await this.store.delete(...TURN_KEYS);
    await this.addTotals({ rounds: 1 });
    return { kind: "uploaded", round: assignment.round, duplicate: receipt.duplicate };
  }

  /** Give a turn up and say why by its code. The report may fail: the lease runs out by itself. */
  private async drop(assignment: Assignment, fault: unknown): Promise<Outcome> {
    await this.store.delete(...TURN_KEYS);
    const told = fault instanceof FedRelaError || fault instanceof TurnFailed ? fault : { problem: String(fault), remedy: "try again" };
    if (fault instanceof Refused) return { kind: "dropped", code: fault.code, problem: told.problem, remedy: told.remedy };
    const code = failureCode(fault);
    try {
      await this.api.failure(assignment, code);
    } catch (error) {
      if (!(error instanceof FedRelaError)) throw error;
    }
    return { kind: "dropped", code, problem: told.problem, remedy: told.remedy };
  }

  private async addTotals(more: { rounds?: number }): Promise<void> {
    const { api } = this;
    const totals = await this.totals();
    const sum = {
      rounds: totals.rounds + (more.rounds ?? 0),
      sentBytes: totals.sentBytes + api.sentBytes,
      receivedBytes: totals.receivedBytes + api.receivedBytes,
    };
    api.sentBytes = api.receivedBytes = 0;
    await this.store.putJson("totals", sum);
  }
}

/** What the coordinator is told of a failure: its code, and nothing else. */
export function failureCode(fault: unknown): FailureCode {
  if (fault instanceof TurnFailed) return fault.code;
  if (fault instanceof IntegrityError) return "integrity-failed";
  if (fault instanceof VerificationFailed) return "self-test-failed";
  if (fault instanceof NotEligible) return "not-eligible";
  return "training-failed";
}

function seconds(): number {
  return Date.now() / 1000;
}

function trainUntil(assignment: Assignment, record: TurnRecord): number {
  return record.receivedAt + assignment.compute_lease_seconds;
}

function uploadUntil(assignment: Assignment, record: TurnRecord): number {
  return trainUntil(assignment, record) + assignment.upload_lease_seconds;
}

function taskKey(assignment: Assignment): string {
  return hash(new TextEncoder().encode(assignment.task_id)).slice(0, 32);
}

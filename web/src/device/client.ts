/**
 * The device's half of the walk: go on with an interrupted assignment or check in, fetch, train, upload. Read `runOnce` first;
 * the work of a round is in `work.ts`.
 */
import { FedRelaError, IntegrityError, Refused, StorageFull, Unavailable } from "../core/errors.ts";
import { type Assignment, type WaitReason, knownReason, parseAssignment } from "../core/wire.ts";
import { hex } from "../core/signing.ts";
import { Acceleration } from "../engine/acceleration.ts";
import { Admission, isSame } from "./admission.ts";
import type { Api } from "./api.ts";
import { reasons } from "./eligibility.ts";
import { RUNTIME_VERSION } from "../engine/engine.ts";
import { failureCode } from "./faults.ts";
import { Fetcher } from "./fetch.ts";
import type { Identity } from "./identity.ts";
import type { Store } from "./store.ts";
import { CLIENT } from "./version.ts";
import { PAUSE_SECONDS, AssignmentFailed, type AssignmentRecord, RoundWork, type World, lateFailure, seconds, taskKey, uploadUntil } from "./work.ts";

const ASSIGNMENT_KEYS = ["assignment/assignment", "assignment/snapshot", "assignment/update", "assignment/residual", "assignment/evaluated"];

export type Outcome =
  | { kind: "uploaded"; round: number; duplicate: boolean }
  | { kind: "waiting"; reason: WaitReason | "not-eligible"; seconds: number }
  | { kind: "dropped"; code: string; problem: string; remedy: string }
  | { kind: "stopped" };

export interface Totals {
  rounds: number;
  sentBytes: number;
  receivedBytes: number;
}

interface Held {
  assignment: Assignment;
  record: AssignmentRecord;
}

export class Client {
  private readonly admission: Admission;
  private readonly fetcher: Fetcher;
  private work: RoundWork | undefined;

  constructor(
    private readonly api: Api,
    private readonly store: Store,
    private readonly identity: Identity,
    private readonly world: World,
  ) {
    api.transport.device = identity;
    this.admission = new Admission(api, store, identity);
    const acceleration = new Acceleration(store, world.stopped, world.chosen);
    this.fetcher = new Fetcher(api, store, identity.publishers ?? [], acceleration);
  }

  /** Keep the training state at the next batch boundary: the tab may be killed soon. */
  saveSoon(): void {
    this.work?.saveSoon();
  }

  /**
   * One assignment. Throws Unavailable where the coordinator can't be reached and StorageFull (it is kept then), Refused
   * where it no longer knows this device.
   */
  async runOnce(): Promise<Outcome> {
    const held = (await this.resumed()) ?? (await this.checkIn());
    if ("kind" in held) return held;
    try {
      const update = await this.update(held);
      return update ? await this.upload(held, update) : { kind: "stopped" };
    } catch (error) {
      if (error instanceof Unavailable || error instanceof StorageFull) throw error;
      if (error instanceof Refused && error.status === 401) throw error;
      return this.drop(held.assignment, error);
    } finally {
      this.work = undefined;
      await this.addTotals({});
    }
  }

  /** Release the runtime's memory; no assignment may be under way. */
  async close(): Promise<void> {
    await this.fetcher.close();
  }

  async totals(): Promise<Totals> {
    return (await this.store.getJson<Totals>("totals")) ?? { rounds: 0, sentBytes: 0, receivedBytes: 0 };
  }

  private async held(): Promise<Held | undefined> {
    const record = await this.store.getJson<AssignmentRecord>("assignment/assignment");
    return record && { assignment: parseAssignment(record.assignment), record };
  }

  /** The assignment that was under way when the tab was closed, unless its lease has run out by this device's clock. */
  private async resumed(): Promise<Held | undefined> {
    const held = await this.held();
    return held && seconds() <= uploadUntil(held.assignment, held.record) ? held : undefined;
  }

  /** The coordinator decides on leases: where it still counts on the assignment that this device holds, that one goes on. */
  private async checkIn(): Promise<Held | Outcome> {
    const obstacles = reasons(this.world.conditions(), this.world.owner().rule);
    if (obstacles.length) {
      this.world.tell({ kind: "held", why: obstacles });
      return { kind: "waiting", reason: "not-eligible", seconds: PAUSE_SECONDS };
    }
    this.world.tell({ kind: "checking-in", round: 0, rounds: 0 });
    const nonce = hex(crypto.getRandomValues(new Uint8Array(16)));
    const answer = await this.api.checkIn(this.identity.population, CLIENT, `onnx ${RUNTIME_VERSION}`, nonce);
    if (answer.assignment) {
      try {
        await this.admission.admit(answer.assignment, nonce);
      } catch (error) {
        if (error instanceof IntegrityError) return this.drop(answer.assignment, error);
        throw error;
      }
    }
    const held = await this.held();
    const goesOn = held && answer.assignment && isSame(held.assignment, answer.assignment);
    if (!goesOn) await this.store.delete(...ASSIGNMENT_KEYS);
    if (answer.wait) return { kind: "waiting", reason: knownReason(answer.wait), seconds: answer.wait.retry_after_seconds };
    const assignment = answer.assignment!;
    const record = { assignment: JSON.stringify(assignment), receivedAt: seconds(), fingerprint: goesOn ? held.record.fingerprint : "" };
    await this.store.putJson("assignment/assignment", record);
    return { assignment, record };
  }

  private async update({ assignment, record }: Held): Promise<Uint8Array | undefined> {
    const finished = await this.store.get("assignment/update");
    if (finished) return finished;
    this.world.tell({ kind: "preparing", round: assignment.round, rounds: 0 });
    const job = await this.fetcher.job(assignment);
    this.work = new RoundWork(job, record, this.identity.secret, this.store, this.world, (report) => this.api.evaluation(assignment, report));
    return this.work.update();
  }

  private async upload({ assignment, record }: Held, update: Uint8Array): Promise<Outcome> {
    if (seconds() > uploadUntil(assignment, record)) throw lateFailure();
    this.world.tell({ kind: "uploading", round: assignment.round, rounds: 0 });
    const receipt = await this.api.update(assignment, update);
    const owed = await this.store.get("assignment/residual");
    if (owed) await this.store.put(`residuals/${taskKey(assignment)}`, owed);
    await this.store.delete(...ASSIGNMENT_KEYS);
    await this.addTotals({ rounds: 1 });
    return { kind: "uploaded", round: assignment.round, duplicate: receipt.duplicate };
  }

  /** Give an assignment up and say why by its code. The report may fail: the lease runs out by itself. */
  private async drop(assignment: Assignment, fault: unknown): Promise<Outcome> {
    await this.store.delete(...ASSIGNMENT_KEYS);
    const failure = fault instanceof FedRelaError || fault instanceof AssignmentFailed ? fault : { problem: String(fault), remedy: "try again" };
    if (fault instanceof Refused) return { kind: "dropped", code: fault.code, problem: failure.problem, remedy: failure.remedy };
    const code = failureCode(fault);
    try {
      await this.api.failure(assignment, code);
    } catch (error) {
      if (!(error instanceof FedRelaError)) throw error;
    }
    return { kind: "dropped", code, problem: failure.problem, remedy: failure.remedy };
  }

  private async addTotals(more: { rounds?: number }): Promise<void> {
    const { transport } = this.api;
    const totals = await this.totals();
    const sum = {
      rounds: totals.rounds + (more.rounds ?? 0),
      sentBytes: totals.sentBytes + transport.sentBytes,
      receivedBytes: totals.receivedBytes + transport.receivedBytes,
    };
    transport.sentBytes = transport.receivedBytes = 0;
    await this.store.putJson("totals", sum);
  }
}

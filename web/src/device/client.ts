/**
 * The device's half of the walk: go on with an interrupted assignment or check in, fetch, train, upload. Read `runOnce` first;
 * the work of a round is in `work.ts`.
 */
import { FedRelaError, GroupRefused, IntegrityError, Refused, StorageFull, Unavailable } from "../core/errors.ts";
import { type Assignment, type WaitReason, knownReason, parseAssignment } from "../core/wire.ts";
import { hex } from "../core/signing.ts";
import { Acceleration } from "../engine/acceleration.ts";
import { account } from "./account.ts";
import { Admission, isSame } from "./admission.ts";
import type { Api } from "./api.ts";
import { reasons } from "./eligibility.ts";
import { RUNTIME_VERSION } from "../engine/engine.ts";
import { failureCode } from "./faults.ts";
import { Fetcher } from "./fetch.ts";
import { AssignmentFailed, type AssignmentRecord, lateFailure, seconds, sessionUntil, taskKey, uploadUntil } from "./held.ts";
import type { Identity } from "./identity.ts";
import { SESSION } from "./secure/kept.ts";
import { takePart } from "./secure/turn.ts";
import { vectorOf } from "./secure/vector.ts";
import type { Store } from "./store.ts";
import { CLIENT } from "./version.ts";
import { PAUSE_SECONDS, RoundWork, type World } from "./work.ts";

const ASSIGNMENT_KEYS = ["assignment", "snapshot", "update", "residual", "evaluated"].map((name) => `assignment/${name}`).concat(SESSION);

export type Outcome =
  | { kind: "uploaded"; round: number; duplicate: boolean }
  | { kind: "summed"; round: number } // in a group's sum, and by itself nowhere
  | { kind: "waiting"; reason: WaitReason | "not-eligible"; seconds: number }
  | { kind: "dropped"; code: string; problem: string; remedy: string }
  | { kind: "stopped" };

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
    try {
      return await this.once();
    } finally {
      this.work = undefined;
      await account(this.store, this.api.transport);
    }
  }

  private async once(): Promise<Outcome> {
    const held = (await this.resumed()) ?? (await this.checkIn());
    if ("kind" in held) return held;
    try {
      const update = await this.update(held);
      if (!update) return { kind: "stopped" };
      const vector = vectorOf(update);
      return vector ? await this.hide(held, vector) : await this.upload(held, update);
    } catch (error) {
      if (error instanceof Unavailable || error instanceof StorageFull) throw error;
      if (error instanceof Refused && error.status === 401) throw error;
      return this.drop(held.assignment, error);
    }
  }

  /** Release the runtime's memory; no assignment may be under way. */
  async close(): Promise<void> {
    await this.fetcher.close();
  }

  private async held(): Promise<Held | undefined> {
    const record = await this.store.getJson<AssignmentRecord>("assignment/assignment");
    return record && { assignment: parseAssignment(record.assignment), record };
  }

  /** The assignment that was under way when the tab was closed, unless its lease has run out by this device's clock. */
  private async resumed(): Promise<Held | undefined> {
    const held = await this.held();
    if (!held) return undefined;
    const until = (await this.store.get(SESSION)) ? sessionUntil(held.record) : uploadUntil(held.assignment, held.record);
    return seconds() <= until ? held : undefined;
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
    if (this.world.owner().onlyHidden) await this.requireHidden(assignment);
    const finished = await this.store.get("assignment/update");
    if (finished) return finished;
    this.world.tell({ kind: "preparing", round: assignment.round, rounds: 0 });
    const job = await this.fetcher.job(assignment);
    this.work = new RoundWork(job, record, this.identity.secret, this.store, this.world, (report) => this.api.evaluation(assignment, report));
    return this.work.update();
  }

  /** Throws AssignmentFailed for a task that doesn't hide a device's change. */
  private async requireHidden(assignment: Assignment): Promise<void> {
    const { privacy } = await this.fetcher.task(assignment);
    if (privacy.secure === "none")
      throw new AssignmentFailed("not-eligible", "this task doesn't hide your change, and you want it hidden", "allow it under “When to train”, or wait for another task; then press Start", "choice");
  }

  private async upload({ assignment, record }: Held, update: Uint8Array): Promise<Outcome> {
    if (seconds() > uploadUntil(assignment, record)) throw lateFailure();
    this.world.tell({ kind: "uploading", round: assignment.round, rounds: 0 });
    const receipt = await this.api.update(assignment, update);
    const owed = await this.store.get("assignment/residual");
    if (owed) await this.store.put(`residuals/${taskKey(assignment)}`, owed);
    await this.store.delete(...ASSIGNMENT_KEYS);
    await account(this.store, this.api.transport, 1);
    return { kind: "uploaded", round: assignment.round, duplicate: receipt.duplicate };
  }

  /** Take part in a group that adds the update to others'; the coordinator learns their sum alone. */
  private async hide({ assignment }: Held, vector: Int32Array): Promise<Outcome> {
    const { api, store, identity, world } = this;
    const task = await this.fetcher.task(assignment);
    const ending = await takePart({ api, store, identity, world, assignment, task }, vector);
    if (!ending) return { kind: "stopped" };
    await store.delete(...ASSIGNMENT_KEYS);
    if (ending.step === "closed") return { kind: "dropped", code: "group-closed", problem: ending.reason, remedy: "the next round is tried" };
    await account(store, api.transport, 1);
    return { kind: "summed", round: assignment.round };
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
    const shown = fault instanceof GroupRefused ? "group-refused" : fault instanceof AssignmentFailed ? fault.shown : code;
    return { kind: "dropped", code: shown, problem: failure.problem, remedy: failure.remedy };
  }
}

/**
 * A client round: data, overlay, training with checkpoints and pauses, the finished body. Everything that is needed
 * to go on after the tab is killed is kept, and going on gives the same bits.
 */
import { encode } from "../core/encodings.ts";
import { InvalidInput } from "../core/errors.ts";
import { CARRIED, inputs, statistics } from "../core/manifest.ts";
import { fromHex } from "../core/signing.ts";
import { type Tensors, parse, parseAs, toBytes } from "../core/tensors.ts";
import type { EvaluationReport } from "../core/wire.ts";
import { type Conditions, type Rule, reasons } from "./eligibility.ts";
import type { State } from "../engine/engine.ts";
import { type Examples, fingerprint, laid, load, overlayFromBytes, overlayOf, overlayToBytes } from "./examples.ts";
import type { Job } from "./fetch.ts";
import { AssignmentFailed, type AssignmentRecord, lateFailure, seconds, taskKey, trainUntil } from "./held.ts";
import { type Split, drawn, evaluate, split } from "../samples/holdout.ts";
import { EVALUATED } from "../secure/fixed-point.ts";
import type { Choice } from "../engine/processor.ts";
import { vectorBody } from "./secure/vector.ts";
import type { Store } from "./store.ts";
import { type LocalRound, change, generationOf, isUsable, relabel, stream, train } from "./local-round.ts";

const CHECKPOINT_STEPS = 20;
export const PAUSE_SECONDS = 5;

export type Progress =
  | { kind: "checking-in" | "preparing" | "relabeling" | "grouping" | "uploading"; round: number; rounds: number }
  | { kind: "step"; round: number; rounds: number; step: number; steps: number; loss: number }
  | { kind: "held"; why: string[] };

/** The owner's choices. Both they and the task's conditions must hold before a device trains. */
export interface Owner {
  rule: Rule;
  holdoutFraction: number; // of the examples, never trained on
  onlyHidden: boolean; // take part only where the coordinator can't read this device's change
  allowEvaluation: boolean; // may totals over the hold-out be reported where a task asks
}

/** What a device asks of the page that it lives in. */
export interface World {
  stopped: () => boolean;
  conditions: () => Conditions;
  owner: () => Owner;
  tell: (progress: Progress) => void;
  chosen: (choice: Choice) => void; // the processor that trains
}

export class RoundWork {
  private readonly local: LocalRound;
  private saveNow = false;

  constructor(
    private readonly job: Job,
    private readonly record: AssignmentRecord,
    secret: string,
    private readonly store: Store,
    private readonly world: World,
    private readonly send: (report: EvaluationReport) => Promise<void>,
  ) {
    this.local = { task: job.task, round: job.assignment.round, secret: fromHex(secret) };
  }

  /** Keep the training state at the next batch boundary: the tab may be killed soon. */
  saveSoon(): void {
    this.saveNow = true;
  }

  /** The finished update's body, kept before anything is sent; undefined where the owner stopped it. */
  async update(): Promise<Uint8Array | undefined> {
    if (!(await isUsable(this.job.engine, this.job.weights)))
      throw new AssignmentFailed("model-unusable", "the global model predicts values that are not finite", "the operator was told");
    const { training, heldOut } = this.divided(await load(this.store, this.job.engine.manifest));
    const least = this.job.task.eligibility.min_examples;
    if (training.labels.length < least)
      throw new AssignmentFailed("not-eligible", `this task wants at least ${least} examples`, "add some more");
    const secure = this.job.task.privacy.secure === "peers";
    if (!secure) await this.reportEvaluation(heldOut);
    if (!(await this.waitUntilAllowed())) return undefined;
    const state = await this.train(training, await this.labels(training));
    if (!state) return undefined;
    const count = training.labels.length;
    return this.finish(secure ? await this.vector(state, count, heldOut) : await this.encode(state, count));
  }

  private divided(examples: Examples): Split {
    return split(examples, this.world.owner().holdoutFraction, this.local.secret);
  }

  /** Totals over the hold-out, once a client round, if the task asks and the owner allows. */
  private async reportEvaluation(heldOut: Examples): Promise<void> {
    if (!this.mayEvaluate() || !heldOut.labels.length || (await this.store.get("assignment/evaluated"))) return;
    await this.send(await evaluate(this.job.engine, this.local, this.job.weights, heldOut, this.inTime));
    await this.store.put("assignment/evaluated", new TextEncoder().encode("sent"));
  }

  private mayEvaluate(): boolean {
    return this.job.task.local_evaluation && this.world.owner().allowEvaluation;
  }

  /** The labels to train on; re-labels first where this round's generation is new to the device. */
  private async labels(examples: Examples): Promise<Int32Array> {
    const { job, local, store } = this;
    const generation = generationOf(local);
    if (!generation) return examples.labels;
    const key = `overlays/${taskKey(job.assignment)}`;
    const body = await store.get(key);
    let overlay = body && overlayFromBytes(body);
    if (overlay?.generation !== generation) {
      this.world.tell({ kind: "relabeling", round: local.round, rounds: local.task.rounds });
      overlay = overlayOf(examples, await relabel(job.engine, local, job.weights, examples, this.inTime), generation);
      await store.put(key, overlayToBytes(overlay));
    }
    return laid(overlay, examples);
  }

  /** Throws AssignmentFailed once the lease is over. */
  private readonly inTime = (): void => {
    if (seconds() > trainUntil(this.job.assignment, this.record)) throw lateFailure();
  };

  private async train(examples: Examples, labels: Int32Array): Promise<State | undefined> {
    const { job, local } = this;
    let { state, done } = await this.begin(examples);
    for await (const step of train(job.engine, local, job.weights, examples, labels, state, done)) {
      ({ state, number: done } = step);
      if (!Number.isFinite(step.totals.lossSum)) throw new InvalidInput("the loss is no longer finite", "lower the learning rate");
      const loss = step.totals.lossSum / Math.max(step.totals.weightSum, 1e-12);
      this.world.tell({ kind: "step", round: local.round, rounds: local.task.rounds, step: done, steps: step.total, loss });
      this.inTime();
      if (done === step.total) break;
      const held = this.obstacles();
      const stopping = this.world.stopped();
      if (done % CHECKPOINT_STEPS === 0 || stopping || held.length || this.saveNow) await this.keep(state, done);
      if (stopping || (held.length && !(await this.waitUntilAllowed()))) return undefined;
    }
    return state;
  }

  /** A fresh state, or the kept one if it was trained on these very data; and the steps done. */
  private async begin(examples: Examples): Promise<{ state: State; done: number }> {
    const { job, record, store } = this;
    const print = fingerprint(examples);
    const fresh = { state: job.engine.start(job.weights), done: 0 };
    if (record.fingerprint !== print) {
      record.fingerprint = print;
      await store.delete("assignment/snapshot");
      await store.putJson("assignment/assignment", record);
      return fresh;
    }
    const body = await store.get("assignment/snapshot");
    if (!body) return fresh;
    const specs = inputs(job.engine.manifest.train_step, ...CARRIED).map(({ name, shape, dtype }) => ({ name, shape: shape.map(Number), dtype }));
    return { state: parseAs(body, specs), done: Number(parse(body).metadata.get("steps")) };
  }

  private async keep(state: State, done: number): Promise<void> {
    this.saveNow = false;
    await this.store.put("assignment/snapshot", toBytes(state, { steps: String(done) }));
  }

  private obstacles(): string[] {
    const now = this.world.conditions();
    return [...new Set([...reasons(now, this.job.task.eligibility), ...reasons(now, this.world.owner().rule)])];
  }

  /** Wait until nothing stands in the way; false where the owner stopped it. The lease is no longer than it was. */
  private async waitUntilAllowed(): Promise<boolean> {
    for (;;) {
      const held = this.obstacles();
      if (!held.length) return true;
      this.world.tell({ kind: "held", why: held });
      if (this.world.stopped()) return false;
      if (seconds() > trainUntil(this.job.assignment, this.record))
        throw new AssignmentFailed("not-eligible", held.join(" "), "the next round is tried", "conditions");
      await new Promise((resolve) => setTimeout(resolve, 1000 * PAUSE_SECONDS));
    }
  }

  private async encode(state: State, examples: number): Promise<Uint8Array> {
    const { job, local, store } = this;
    const { encoding, top_k_fraction: fraction } = local.task.aggregation;
    const owed = encoding === "top-k" ? await store.get(`residuals/${taskKey(job.assignment)}`) : undefined;
    const whole = statistics(job.engine.manifest);
    const residual: Tensors | undefined = owed && new Map([...parse(owed).tensors].filter(([name]) => !whole.has(name)));
    const encoded = encode(change(state, job.weights), encoding, examples, stream(local, "encode"), fraction, whole, residual);
    if (encoded.residual.size) await store.put("assignment/residual", toBytes(encoded.residual));
    return encoded.body;
  }

  /** The update as the words that are hidden in a group, with what travels beside them. */
  private async vector(state: State, examples: number, heldOut: Examples): Promise<Uint8Array> {
    const { job, local } = this;
    const few = this.mayEvaluate() ? drawn(heldOut, EVALUATED, stream(local, "evaluate")) : undefined;
    const evaluation = few && (await evaluate(job.engine, local, job.weights, few, this.inTime));
    const { assignment, engine, task } = job;
    const changed = change(state, job.weights);
    return vectorBody(changed, engine.manifest, task, assignment.clip_millionths, examples, evaluation, stream(local, "encode"));
  }

  /** Keep what training gave; it takes the place of the training state. */
  private async finish(update: Uint8Array): Promise<Uint8Array> {
    await this.store.put("assignment/update", update);
    await this.store.delete("assignment/snapshot");
    return update;
  }
}

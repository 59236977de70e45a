/**
 * From an assignment to something that can be trained: fetched, verified, opened, self-tested. Nothing is loaded before
 * it is verified: every file by the hash that the assignment or the manifest gives it, the runtime by the golden steps. The
 * assignment itself was verified when it came: see `admission.ts`.
 */
import { IntegrityError, InvalidInput, VerificationFailed } from "../core/errors.ts";
import { verifyGolden } from "../core/golden.ts";
import { MOST_BYTES } from "../core/json.ts";
import { type Manifest, PROGRAMS, onnxFile, parseManifest, weightSpecs } from "../core/manifest.ts";
import { checkSeal } from "../core/seals.ts";
import { checkHash, hash } from "../core/signing.ts";
import { type Task, parseTask } from "../core/task.ts";
import { type Tensors, parse, parseAs, size } from "../core/tensors.ts";
import { type Assignment, checkFeatures } from "../core/wire.ts";
import { clipNorm } from "../secure/clipping.ts";
import type { Acceleration } from "../engine/acceleration.ts";
import type { Api } from "./api.ts";
import { Engine, RUNTIME_VERSION, threads } from "../engine/engine.ts";
import { keep } from "./kept.ts";
import type { Store } from "./store.ts";

const TASK_BYTES = 1_000_000;
const MAX_BYTES = 300_000_000;
const HEADER_BYTES_PER_TENSOR = 1024;

export interface Job {
  assignment: Assignment;
  task: Task;
  engine: Engine;
  weights: Tensors;
}

export class Fetcher {
  private opened: { manifestSha: string; engine: Engine } | undefined;

  constructor(
    private readonly api: Api,
    private readonly store: Store,
    private readonly publishers: readonly string[], // fingerprints; none: joined when coordinators vouched for programs
    private readonly acceleration: Acceleration,
  ) {}

  /** Release the runtime's memory. */
  async close(): Promise<void> {
    await this.opened?.engine.close();
    this.opened = undefined;
  }

  async job(assignment: Assignment): Promise<Job> {
    if (this.publishers.length) checkSeal(assignment.seal, assignment.manifest_sha256, this.publishers);
    const task = await this.task(assignment);
    checkFeatures(task);
    const engine = await this.engine(assignment);
    await this.accelerate(engine, assignment, task);
    const weights = parseAs(await this.checkpoint(assignment, engine.manifest), weightSpecs(engine.manifest));
    return { assignment, task, engine, weights };
  }

  /** What an assignment's round depends on. Throws IntegrityError where that task can't have this assignment. */
  async task(assignment: Assignment): Promise<Task> {
    const task = parseTask(await this.blob(assignment.task_sha256, TASK_BYTES));
    clipNorm(task.privacy, assignment.clip_millionths);
    return task;
  }

  /** The engine of a bundle, open and self-tested; its programs are fetched once and kept for a while. */
  private async engine(assignment: Assignment): Promise<Engine> {
    const manifestSha = assignment.manifest_sha256;
    if (this.opened?.manifestSha === manifestSha) {
      await keep(this.store, assignment, this.opened.engine.manifest);
      return this.opened.engine;
    }
    await this.close();
    const manifest = parseManifest(await this.blob(manifestSha, MOST_BYTES));
    checkFeatures(manifest);
    await keep(this.store, assignment, manifest);
    const programs = new Map();
    for (const name of PROGRAMS) {
      const file = onnxFile(manifest, name);
      programs.set(name, await this.blob(file.sha256, file.size_bytes));
    }
    const engine = await Engine.open(manifest, programs);
    await this.test(manifestSha, engine);
    this.opened = { manifestSha, engine };
    return engine;
  }

  /** Run the golden steps, once per bundle, runtime version and number of threads. */
  private async test(manifestSha: string, engine: Engine): Promise<void> {
    const key = `self-tests/${manifestSha}-${RUNTIME_VERSION}-${threads()}-${navigator.userAgent}`;
    if (await this.store.get(key)) return;
    await verifyGolden(engine.manifest, await this.golden(engine.manifest), (program, fed) => engine.run(program, fed));
    await this.store.put(key, new TextEncoder().encode("passed"));
  }

  private async golden({ golden }: Manifest): Promise<Tensors> {
    const body = await this.blob(golden.sha256, golden.size_bytes);
    try {
      return parse(body).tensors;
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      throw new VerificationFailed(`the golden outputs can't be compared: ${error.problem}`, "tell the operator to export the model again");
    }
  }

  private async accelerate(engine: Engine, assignment: Assignment, task: Task): Promise<void> {
    const file = onnxFile(engine.manifest, "train_step");
    await this.acceleration.settle(engine, {
      sha: assignment.manifest_sha256,
      program: await this.blob(file.sha256, file.size_bytes),
      batch: task.local.batch_size,
      expected: () => this.golden(engine.manifest),
      leaseSeconds: assignment.compute_lease_seconds,
    });
  }

  /** The global weights' bytes: downloaded each round, and only those of the newest round kept. */
  private async checkpoint(assignment: Assignment, manifest: Manifest): Promise<Uint8Array> {
    const { checkpoint_sha256: sha, checkpoint_bytes: bytes } = assignment;
    const most = weightSpecs(manifest).reduce((sum, spec) => sum + 4 * size(spec.shape) + HEADER_BYTES_PER_TENSOR + spec.name.length, HEADER_BYTES_PER_TENSOR);
    if (bytes > most)
      throw new IntegrityError(`the weights are announced with ${bytes} bytes, the model needs ${most} at most`, "nothing was loaded; tell the operator");
    const stored = await this.cached(`checkpoint/${sha}`, sha);
    if (stored) return stored;
    const body = await this.api.blob(sha, bytes, this.store);
    await this.store.delete(...(await this.store.keys("checkpoint/")));
    await this.store.put(`checkpoint/${sha}`, body);
    return body;
  }

  private async blob(sha: string, limitBytes: number): Promise<Uint8Array> {
    if (limitBytes > MAX_BYTES)
      throw new IntegrityError(`a file of ${limitBytes} bytes is announced, this page takes ${MAX_BYTES} at most`, "take part with another kind of device");
    const stored = await this.cached(`blobs/${sha}`, sha);
    if (stored) return stored;
    const body = await this.api.blob(sha, limitBytes, this.store);
    checkHash(body, sha, "a file");
    await this.store.put(`blobs/${sha}`, body);
    return body;
  }

  /** A kept blob whose bytes still match their hash. */
  private async cached(key: string, sha: string): Promise<Uint8Array | undefined> {
    const body = await this.store.get(key);
    if (body && hash(body) !== sha) {
      await this.store.delete(key);
      return undefined;
    }
    return body;
  }
}

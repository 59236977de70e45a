/**
 * Gives an engine the graphics processor where that is right and faster on this very device. It is found out once per
 * program, batch size, browser and processor, before a round, and kept; WebAssembly is what everything falls back to.
 */
import { goldenInputs, verifyGolden } from "../core/golden.ts";
import type { Tensors } from "../core/tensors.ts";
import { type Engine, RUNTIME_VERSION, threads } from "./engine.ts";
import { Gpu, GpuFailed, GpuSilent, gpuName } from "./gpu.ts";
import { type Choice, afterLoss, choose, undecided } from "./processor.ts";
import type { Store } from "../device/store.ts";

const TRIAL_SECONDS = 90; // what is good takes a few, most of them for shaders
const WATCH_MS = 500;
const LEAST_LEASE_SECONDS = 3 * TRIAL_SECONDS; // a round with less time is not spent on a trial

/** What a trial needs. */
export interface Candidate {
  sha: string; // of the manifest
  program: Uint8Array; // train_step's, verified
  batch: number; // of the task
  expected: () => Promise<Tensors>; // the golden outputs
  leaseSeconds: number;
}

/** The owner paused while the trial was under way. */
class Interrupted extends Error {}

export class Acceleration {
  private name: Promise<string | undefined> | undefined; // asked for once
  private inUse = ""; // the key of the choice that the engine's graphics processor was opened for

  constructor(
    private readonly store: Store,
    private readonly stopped: () => boolean,
    private readonly tell: (choice: Choice) => void,
  ) {}

  /** Let the engine train on the better processor from now on. Never throws for want of a graphics processor. */
  async settle(engine: Engine, candidate: Candidate): Promise<void> {
    const name = await (this.name ??= gpuName());
    if (!name) return this.tell({ processor: "wasm", why: "none", setbacks: 0 });
    const key = `processors/${candidate.sha}-${candidate.batch}-${RUNTIME_VERSION}-${threads()}-${name}-${navigator.userAgent}`;
    if (engine.accelerated && this.inUse === key) return;
    engine.accelerate(undefined);
    this.inUse = key;
    let choice = await this.store.getJson<Choice>(key);
    if (undecided(choice)) choice = await this.tried(engine, candidate, key, choice?.setbacks ?? 0);
    if (choice?.processor === "webgpu" && !engine.accelerated) choice = await this.reopened(engine, candidate, key, choice);
    this.tell(choice ?? { processor: "wasm", why: "later", setbacks: 0 });
  }

  /** The outcome of a trial, kept; undefined where there is no time for one now. Written first as it would be after a crash. */
  private async tried(engine: Engine, candidate: Candidate, key: string, setbacks: number): Promise<Choice | undefined> {
    if (candidate.leaseSeconds < LEAST_LEASE_SECONDS) return undefined;
    await this.store.putJson(key, { processor: "wasm", why: "unfinished", setbacks: setbacks + 1 } satisfies Choice);
    try {
      const choice = await this.trial(engine, candidate, key);
      await this.store.putJson(key, choice);
      return choice;
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      await this.store.delete(key);
      return undefined;
    }
  }

  private async trial(engine: Engine, candidate: Candidate, key: string): Promise<Choice> {
    const { manifest } = engine;
    let gpu: Gpu | undefined;
    let choice: Choice | undefined;
    const step = goldenInputs({ ...manifest, golden: { ...manifest.golden, batch: candidate.batch } }, "train_step", 0);
    const contest = {
      golden: async () => {
        gpu = await Gpu.open(candidate.program);
        await verifyGolden(manifest, await candidate.expected(), (_, fed) => gpu!.run(fed), ["train_step"]);
      },
      webgpuStep: () => gpu!.run(step),
      wasmStep: () => engine.run("train_step", step),
      nowMs: () => performance.now(),
    };
    const until = performance.now() + 1000 * TRIAL_SECONDS;
    let paused = false;
    const watch = setInterval(() => {
      paused ||= this.stopped();
      if (paused || performance.now() > until) gpu?.close(new GpuSilent("the trial was ended"));
    }, WATCH_MS);
    try {
      const decided = await choose(contest);
      if (paused) throw new Interrupted();
      choice = decided;
      return choice;
    } finally {
      clearInterval(watch);
      if (choice?.processor === "webgpu") this.hand(engine, gpu!, key, choice);
      else gpu?.close();
    }
  }

  /** The kept choice is the graphics processor: it did pass the golden steps here. */
  private async reopened(engine: Engine, candidate: Candidate, key: string, choice: Choice): Promise<Choice> {
    try {
      this.hand(engine, await Gpu.open(candidate.program), key, choice);
      return choice;
    } catch (error) {
      if (!(error instanceof GpuFailed)) throw error;
      return { ...choice, processor: "wasm", why: "failed" }; // for now; it is opened again for the next round
    }
  }

  private hand(engine: Engine, gpu: Gpu, key: string, choice: Choice): void {
    engine.accelerate(gpu, async () => {
      await this.store.putJson(key, afterLoss(choice));
      this.tell({ ...choice, processor: "wasm", why: "lost" });
    });
  }
}

/** The training program on the graphics processor, seen from the device's worker; `gpu-worker.ts` is the other side. */
import { within } from "../core/deadline.ts";
import type { Tensors } from "../core/tensors.ts";

const ADAPTER_SECONDS = 5;
const OPENING_SECONDS = 45; // its runtime may have to be fetched
const FIRST_STEP_SECONDS = 120; // it compiles the shaders
const STEP_SECONDS = 30;

export type Question = { program: Uint8Array } | { fed: Tensors };
export type Answer = { outputs: Tensors } | { failed: string };

/** The graphics processor is gone, errs or stays silent. What was to be computed on it can be computed elsewhere. */
export class GpuFailed extends Error {}

/** It may still be at work, but nobody waits any longer. */
export class GpuSilent extends GpuFailed {}

/** A name for the graphics processor that this browser offers; undefined where it offers none that the runtime can use. */
export async function gpuName(): Promise<string | undefined> {
  if (!("Suspending" in WebAssembly) || !navigator.gpu) return undefined;
  const late = (): Error => new GpuSilent("it does not answer");
  const adapter = await within(ADAPTER_SECONDS, navigator.gpu.requestAdapter(), late).catch(() => null);
  return adapter ? [adapter.info.vendor, adapter.info.architecture].filter(Boolean).join(" ") || "unnamed" : undefined;
}

export class Gpu {
  private broken: GpuFailed | undefined;
  private patience = FIRST_STEP_SECONDS;
  private answered: (outputs: Tensors) => void = () => {};
  private refused: (error: GpuFailed) => void = () => {};

  private constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => ("failed" in data ? this.fail(new GpuFailed(data.failed)) : this.answered(data.outputs));
    worker.onerror = (event) => this.fail(new GpuFailed(event.message || "it did not start"));
  }

  /** Open a verified program. Throws GpuFailed. */
  static async open(program: Uint8Array): Promise<Gpu> {
    const gpu = new Gpu(new Worker(new URL("./gpu-worker.ts", import.meta.url), { type: "module" }));
    try {
      await gpu.ask({ program }, OPENING_SECONDS);
    } catch (error) {
      gpu.close();
      throw error;
    }
    return gpu;
  }

  /** One step, outputs by name. What is fed stays with the caller, who can compute it elsewhere after a GpuFailed. */
  async run(fed: Tensors): Promise<Tensors> {
    const outputs = await this.ask({ fed }, this.patience);
    this.patience = STEP_SECONDS;
    return outputs;
  }

  /** End it, with all of its memory; whoever still waits for it gets the reason. */
  close(reason = new GpuFailed("it was closed")): void {
    this.fail(reason);
    this.worker.terminate();
  }

  private fail(reason: GpuFailed): void {
    this.broken ??= reason;
    this.refused(this.broken);
  }

  private async ask(question: Question, seconds: number): Promise<Tensors> {
    if (this.broken) throw this.broken;
    const outputs = new Promise<Tensors>((resolve, reject) => ([this.answered, this.refused] = [resolve, reject]));
    this.worker.postMessage(question);
    return within(seconds, outputs, () => new GpuSilent("it does not answer"));
  }
}

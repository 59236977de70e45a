/**
 * The three programs of a bundle on onnxruntime-web (WebAssembly, SIMD, threads where the page is isolated). Training steps
 * may run on the graphics processor; re-labels come from WebAssembly alone, so that ties fall as on every other device.
 */
import * as ort from "onnxruntime-web";
import { InvalidInput, NotEligible } from "../core/errors.ts";
import { type Manifest, PROGRAMS, type ProgramName, inputs, onnxFile } from "../core/manifest.ts";
import { checkProgram } from "../core/onnx-files/rules.ts";
import { type Tensor, type Tensors, type TypedArray, float32, floats } from "../core/tensors.ts";
import { type Gpu, GpuFailed } from "./gpu.ts";

export const RUNTIME_VERSION = ort.env.versions.web ?? ort.env.versions.common;

/** Where the runtime lies, and how many threads it may use; more than one needs a cross-origin isolated page. */
export function configure(paths: { mjs: string; wasm: string }, threads: number): void {
  ort.env.wasm.wasmPaths = paths;
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? threads : 1;
  ort.env.logLevel = "error";
}

/** How many threads the runtime uses. */
export function threads(): number {
  return ort.env.wasm.numThreads ?? 1;
}

/** A training state by input name: parameters, buffers, optimizer. */
export type State = Tensors;

export interface StepTotals {
  lossSum: number;
  correctSum: number;
  weightSum: number;
}

export class Engine {
  private gpu: Gpu | undefined;
  private lost: () => Promise<void> = async () => {};

  private constructor(
    readonly manifest: Manifest,
    private readonly sessions: Map<ProgramName, ort.InferenceSession>,
  ) {}

  /** Open verified programs. Throws InvalidInput where this runtime is too old or can't load one. */
  static async open(manifest: Manifest, programs: Map<ProgramName, Uint8Array>): Promise<Engine> {
    const sessions = new Map<ProgramName, ort.InferenceSession>();
    for (const name of PROGRAMS) {
      requireVersion(onnxFile(manifest, name).min_runtime_version);
      try {
        checkProgram(programs.get(name)!, name); // before the runtime sees it
        const options = { executionProviders: ["wasm"], graphOptimizationLevel: "extended" as const };
        sessions.set(name, await ort.InferenceSession.create(programs.get(name)!, options));
      } catch (error) {
        throw new NotEligible(`this browser can't load program ${name} (${error instanceof InvalidInput ? error.problem : String(error).slice(0, 200)})`, "update the browser");
      }
    }
    return new Engine(manifest, sessions);
  }

  /** Parameters and buffers from `weights`, optimizer zero. */
  start(weights: Tensors): State {
    const state = new Map(weights);
    for (const item of inputs(this.manifest.train_step, "optimizer")) {
      const shape = item.shape.map(Number);
      state.set(item.name, float32(shape, new Float32Array(shape.reduce((product, size) => product * size, 1))));
    }
    return state;
  }

  /** Train on a graphics processor from now on, until it fails and `lost` is told; on WebAssembly again without one. */
  accelerate(gpu: Gpu | undefined, lost: () => Promise<void> = async () => {}): void {
    this.gpu?.close();
    [this.gpu, this.lost] = [gpu, lost];
  }

  get accelerated(): boolean {
    return this.gpu !== undefined;
  }

  /**
   * One step: the new state, and the totals of the batch. `fed` is everything but the state. A step that the graphics
   * processor fails at is done again here, from the same state, so nothing is lost.
   */
  async trainStep(state: State, fed: Tensors): Promise<{ state: State; totals: StepTotals }> {
    const feeds = new Map([...fed, ...state]);
    const outputs = (await this.onGpu(feeds)) ?? (await this.run("train_step", feeds));
    const next = new Map([...state.keys()].map((name) => [name, outputs.get(`new.${name}`)!]));
    const scalar = (name: string): number => Number(outputs.get(name)!.data[0]);
    const totals = { lossSum: scalar("loss_sum"), correctSum: scalar("correct_sum"), weightSum: scalar("weight_sum") };
    return { state: next, totals };
  }

  /** The step on the graphics processor; undefined where there is none, or none any more. */
  private async onGpu(feeds: Tensors): Promise<Tensors | undefined> {
    if (!this.gpu) return undefined;
    try {
      const outputs = await this.gpu.run(feeds);
      if (this.plausible(feeds, outputs)) return outputs;
    } catch (error) {
      if (!(error instanceof GpuFailed)) throw error;
    }
    const { lost } = this;
    this.accelerate(undefined);
    await lost();
    return undefined;
  }

  /** A graphics processor short of memory gives zeros and no error: the batch's weight and a finite loss tell. */
  private plausible(feeds: Tensors, outputs: Tensors): boolean {
    const fed = floats(feeds, inputs(this.manifest.train_step, "weight")[0]!.name).reduce((sum, weight) => sum + weight, 0);
    const [seen, loss] = [floats(outputs, "weight_sum")[0]!, floats(outputs, "loss_sum")[0]!];
    return Number.isFinite(loss) && Math.abs(seen - fed) <= 1e-3 * fed;
  }

  /** One program on raw inputs, outputs by name. */
  async run(program: ProgramName, fed: Tensors): Promise<Tensors> {
    const feeds: Record<string, ort.Tensor> = {};
    for (const { name } of this.manifest[program].inputs) {
      const tensor = fed.get(name);
      if (!tensor) throw new InvalidInput(`nothing feeds the input '${name}'`, "tell the operator of this task");
      feeds[name] = new ort.Tensor(tensor.dtype as "float32", tensor.data as Float32Array, tensor.shape);
    }
    const results = await this.sessions.get(program)!.run(feeds);
    return new Map(this.manifest[program].outputs.map((name) => [name, fromOrt(results[name]!)]));
  }

  async close(): Promise<void> {
    this.accelerate(undefined);
    for (const session of this.sessions.values()) await session.release();
  }
}

/** CPU tensors of this runtime own a copy of their data, so nothing needs to be disposed. */
function fromOrt(tensor: ort.Tensor): Tensor {
  return { dtype: tensor.type, shape: tensor.dims, data: tensor.data as TypedArray };
}

function requireVersion(minimum: string): void {
  // The numbers that a version begins with: of "1.4.1+cpu.2" they are 1, 4, 1.
  const number = (version: string): number[] => (/^\d+(\.\d+)*/.exec(version)?.[0] ?? "0").split(".").map(Number);
  const [have, want] = [number(RUNTIME_VERSION), number(minimum)];
  for (let index = 0; index < want.length; index++) {
    const difference = (have[index] ?? 0) - want[index]!;
    if (difference > 0) return;
    if (difference < 0) throw new NotEligible(`this page runs ONNX programs up to ${RUNTIME_VERSION}`, "reload the page to update it");
  }
}

/**
 * The training program on the graphics processor (WebGPU), in a worker of its own: what hangs, fails or fills the memory
 * in there ends with it. One question at a time. The runtime that it loads is fetched only where there is a graphics
 * processor to try.
 */
import * as ort from "onnxruntime-web/jspi";
import moduleUrl from "onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url";
import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url";
import type { Tensors, TypedArray } from "../core/tensors.ts";
import type { Answer, Question } from "./gpu.ts";

// What the runtime's shaders ask for, as large as this device has it.
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
] as const;
const scope = self as unknown as DedicatedWorkerGlobalScope;
const absolute = (url: string): string => new URL(url, import.meta.url).href;

let session: ort.InferenceSession | undefined;

const answer = (reply: Answer): void => scope.postMessage(reply);
const failed = (error: unknown): void => answer({ failed: String(error).slice(0, 300) });

scope.onmessage = ({ data: question }: MessageEvent<Question>) => {
  ("program" in question ? open(question.program) : run(question.fed)).then(answer, failed);
};

async function open(program: Uint8Array): Promise<Answer> {
  ort.env.wasm.wasmPaths = { mjs: absolute(moduleUrl), wasm: absolute(wasmUrl) };
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const device = await ownDevice();
  const options: ort.InferenceSession.SessionOptions = {
    executionProviders: [{ name: "webgpu", device } as ort.InferenceSession.WebGpuExecutionProviderOption],
    graphOptimizationLevel: "extended",
    logSeverityLevel: 3,
  };
  session = await ort.InferenceSession.create(program, options);
  return { outputs: new Map() };
}

/** A device whose loss and whose errors are heard: without that, what follows an error is computed on zeros. */
async function ownDevice(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("there is no graphics processor");
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  const device = await adapter.requestDevice({ requiredLimits });
  device.onuncapturederror = ({ error }) => failed(error.message);
  void device.lost.then(({ message }) => failed(`the device was lost: ${message}`));
  return device;
}

async function run(fed: Tensors): Promise<Answer> {
  const feeds: Record<string, ort.Tensor> = {};
  for (const [name, { dtype, data, shape }] of fed) feeds[name] = new ort.Tensor(dtype as "float32", data as Float32Array, shape);
  const results = await session!.run(feeds);
  const outputs = new Map(
    Object.entries(results).map(([name, tensor]) => [name, { dtype: tensor.type, shape: [...tensor.dims], data: tensor.data as TypedArray }]),
  );
  return { outputs };
}

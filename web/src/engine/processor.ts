/** Which processor runs the training program: the graphics processor only where it is right and faster. Pure logic. */
import { VerificationFailed } from "../core/errors.ts";
import { GpuFailed, GpuSilent } from "./gpu.ts";

export const MOST_SETBACKS = 3;
const MEASURED_STEPS = 3;
const WORTHWHILE = 0.9; // of the other's time: what differs less than that is noise

export interface Choice {
  processor: "wasm" | "webgpu";
  why: "none" | "faster" | "slower" | "wrong" | "failed" | "lost" | "unfinished" | "later";
  wasmMs?: number; // a step's time
  webgpuMs?: number;
  problem?: string; // of one that is wrong or fails; for whoever looks into it
  setbacks: number; // trials that were cut off, and losses of the device
}

/** Two processors and what can be asked of them. A step on either is the same step. */
export interface Contest {
  golden: () => Promise<void>; // on the graphics processor; throws VerificationFailed
  webgpuStep: () => Promise<unknown>; // throws GpuFailed, as `golden` may
  wasmStep: () => Promise<unknown>;
  nowMs: () => number;
}

/** The golden steps decide whether the graphics processor may be used at all, a stopwatch whether it is worth it. */
export async function choose(contest: Contest): Promise<Choice> {
  try {
    await contest.golden();
    const webgpuMs = await fastest(contest.webgpuStep, contest.nowMs);
    const wasmMs = await fastest(contest.wasmStep, contest.nowMs);
    const faster = webgpuMs < WORTHWHILE * wasmMs;
    return { processor: faster ? "webgpu" : "wasm", why: faster ? "faster" : "slower", wasmMs, webgpuMs, setbacks: 0 };
  } catch (error) {
    if (error instanceof VerificationFailed) return { processor: "wasm", why: "wrong", problem: error.problem, setbacks: 0 };
    if (error instanceof GpuSilent) return { processor: "wasm", why: "slower", setbacks: 0 };
    if (error instanceof GpuFailed) return { processor: "wasm", why: "failed", problem: error.message, setbacks: 0 };
    throw error;
  }
}

/** Whether there is something to find out: never tried, or cut off, but not again and again. */
export function undecided(choice: Choice | undefined): boolean {
  return !choice || (choice.why === "unfinished" && choice.setbacks < MOST_SETBACKS);
}

/** The choice after the device was lost; it is tried again in the next round, but not for ever. */
export function afterLoss(choice: Choice): Choice {
  const setbacks = choice.setbacks + 1;
  return setbacks < MOST_SETBACKS ? { ...choice, setbacks } : { ...choice, processor: "wasm", why: "lost", setbacks };
}

/** The shortest of some steps, after one that prepares what later steps reuse. */
async function fastest(step: () => Promise<unknown>, nowMs: () => number): Promise<number> {
  await step();
  let shortest = Infinity;
  for (let count = 0; count < MEASURED_STEPS; count++) {
    const start = nowMs();
    await step();
    shortest = Math.min(shortest, nowMs() - start);
  }
  return shortest;
}

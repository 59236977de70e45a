/** Every failure and every wait as a sentence that a layperson understands, with what happened to their data. */
import type { InvalidInput } from "../core/errors.ts";
import type { Outcome } from "../device/client.ts";
import type { Fault } from "../device/protocol.ts";
import type { Choice } from "../engine/processor.ts";
import type { SortedOut } from "../samples/duplicates.ts";
import type { Progress } from "../device/work.ts";

const NOT_NOW = ["not-eligible", "choice", "conditions"]; // nothing is broken: see `AssignmentFailed`
const NAMED = 5; // refused pictures; more in one sentence nobody reads

/** What went wrong, for the owner of the device. */
export function sentence(fault: Fault): string {
  if (fault.code === "bad-enrollment-token")
    return "This link has expired or has been used up. Ask the person who sent it for a new one. Nothing was sent from this device.";
  if (fault.code === "unauthenticated")
    return "The operator has removed this device, so it takes no further part. Nothing more is sent. You can delete everything below.";
  if (fault.kind === "IntegrityError" && fault.problem.includes("link's"))
    return "Somebody answered who is not the operator that your link names, so this device has not joined. Nothing of yours was sent.";
  if (fault.kind === "IntegrityError" && fault.problem.includes("signature"))
    return "The work that arrived was not signed by the operator you joined. It was thrown away: nothing of it was run, and nothing of yours was sent.";
  if (fault.kind === "GroupRefused")
    return `${capital(fault.problem)}. So this device has left the group of this round: it sends nothing more of it, and its keys are deleted. Tell the operator.`;
  if (fault.kind === "IntegrityError")
    return "A file arrived damaged or changed on its way. It was thrown away: nothing of it was run, and nothing of yours was sent.";
  if (fault.kind === "VerificationFailed")
    return "This browser computes the model wrongly, so it must not train it. Try another browser. Nothing of yours was sent.";
  if (fault.kind === "StorageFull")
    return "This browser has no more room for the page. Free some space on this device, then try again. Nothing was lost.";
  if (fault.kind === "Unavailable")
    return "The operator's server can't be reached. Check your connection; the page tries again by itself. Nothing was lost.";
  if (fault.kind === "BrowserSilent") return `This browser does not answer: ${fault.problem}. What helps: ${fault.remedy}. Nothing was lost.`;
  if (fault.kind === "NotEligible") return `${capital(fault.problem)}: ${fault.remedy}. Nothing of yours was sent.`;
  return `Something went wrong: ${fault.problem}. What helps: ${fault.remedy}. Your pictures are safe on this device.`;
}

/** What became of examples that could be read; empty where there was none. */
export function addedSentence({ fresh, repeated, elsewhere }: SortedOut): string {
  const parts: string[] = [];
  if (fresh.length) parts.push(fresh.length === 1 ? "Added one example." : `Added ${fresh.length} examples.`);
  if (repeated) parts.push(repeated === 1 ? "One is in this class already, and was not added again." : `${repeated} are in their class already, and were not added again.`);
  if (elsewhere) parts.push(elsewhere === 1 ? "The same picture is in another class, too: remove it where it is wrong." : `${elsewhere} of them are in another class, too: remove them where they are wrong.`);
  return parts.join(" ");
}

/** Pictures that could not be added, each by its name; empty where there is none. The others were added. */
export function refusedSentence(refused: InvalidInput[]): string {
  if (!refused.length) return "";
  const reasons = refused.slice(0, NAMED).map(({ problem, remedy }) => `${capital(problem)}: ${remedy}.`);
  if (refused.length > NAMED) reasons.push(`So it is with ${refused.length - NAMED} more.`);
  return `${refused.length === 1 ? "One picture was" : `${refused.length} pictures were`} not added. ${reasons.join(" ")}`;
}

/** An assignment that was given up: the same sentences, by its code. */
export function droppedSentence(outcome: Extract<Outcome, { kind: "dropped" }>): string {
  const kinds: Record<string, string> = {
    "integrity-failed": "IntegrityError",
    "self-test-failed": "VerificationFailed",
    "group-refused": "GroupRefused",
  };
  if (outcome.code === "group-closed")
    return "The group of this round ended without this device. What it sent stays hidden, and its keys are deleted. It takes part in the next round.";
  if (["round-closed", "lease-expired", "timed-out", "out-of-turn"].includes(outcome.code))
    return "This round ended before your device was done. It takes part in the next one.";
  if (outcome.code === "norm-too-large")
    return "On this device the model changed far more than on all others, so the change was not used. It takes part in the next round.";
  if (outcome.code === "model-unusable")
    return "The model that arrived is broken: it predicts no numbers. The operator was told. Nothing of yours was sent.";
  const kind = kinds[outcome.code] ?? (NOT_NOW.includes(outcome.code) ? "NotEligible" : "Error");
  return sentence({ kind, code: outcome.code, problem: outcome.problem, remedy: outcome.remedy });
}

/** What the device is doing. */
export function progressSentence(progress: Progress): string {
  if (progress.kind === "held") return progress.why.join(" ");
  const { round } = progress;
  if (progress.kind === "step") return `Training, round ${round} of ${progress.rounds}: step ${progress.step} of ${progress.steps}`;
  return {
    "checking-in": "Asking for work…",
    preparing: `Getting ready for round ${round}…`,
    relabeling: `Round ${round}: looking for examples that are more like a rarer class…`,
    grouping: `Round ${round}: waiting for other devices, to hide the change among theirs…`,
    uploading: `Round ${round}: sending the change…`,
  }[progress.kind];
}

/** What does the arithmetic, and why. */
export function processorSentence(choice: Choice, threads: number): string {
  const times = choice.webgpuMs === undefined ? "" : ` (${milliseconds(choice.webgpuMs)} a step, the processor ${milliseconds(choice.wasmMs!)})`;
  if (choice.processor === "webgpu") return `Training runs on the graphics processor, by WebGPU${times}.`;
  const why = {
    none: "This browser offers no graphics processor for it.",
    slower: `The graphics processor was tried and is slower${times}.`,
    wrong: "The graphics processor was tried and computes this model wrongly.",
    failed: "The graphics processor was tried and does not work.",
    lost: "The graphics processor stopped, and the processor went on from the same step.",
    unfinished: "The graphics processor was tried, and this page was closed each time.",
    later: "The graphics processor is tried in a later round.",
    faster: "",
  }[choice.why];
  return `Training runs on the processor, by WebAssembly with ${threads === 1 ? "one thread" : `${threads} threads`}. ${why}`;
}

function milliseconds(time: number): string {
  return `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`;
}

/** Why the device waits. */
export function waitSentence(outcome: Extract<Outcome, { kind: "waiting" }>): string {
  const reasons: Record<typeof outcome.reason, string> = {
    "no-task": "There is nothing to do right now. The page asks again by itself.",
    "round-full": "Enough devices are at work on this round. Yours is asked for the next one.",
    reported: "Your device has done its part of this round, which is not over yet.",
    "too-soon": `Your device was given work lately, and is left alone for a while. The page asks again ${timeText(outcome.seconds)}.`,
    "not-selected": "This round goes on without your device. It is asked again for the next one.",
    "set-aside": "This task goes on without your device: groups that it was in spoiled the model too often. Other tasks may want it.",
    version: "This page is too old for the task. Reload it.",
    runtime: "This task has no program for browsers.",
    paused: "The operator has paused the task. The page asks again by itself.",
    finished: "The task is finished. Thank you. The page asks for another one by itself.",
    later: "The operator's server has nothing for your device right now. The page asks again by itself.",
    "not-eligible": "Training waits until your conditions are met.",
  };
  return reasons[outcome.reason];
}

/** When something happens, in so many seconds. */
export function timeText(seconds: number): string {
  if (seconds < 90) return seconds < 1.5 ? "in a second" : `in ${Math.round(seconds)} seconds`;
  if (seconds < 5400) return `in about ${Math.round(seconds / 60)} minutes`;
  return seconds < 172_800 ? `in about ${Math.round(seconds / 3600)} hours` : `in about ${Math.round(seconds / 86_400)} days`;
}

/** What the page does while it trains nothing, and what begins that. `began`: whether it has trained before. */
export function standingSentence(now: { examples: number; open: boolean; paused: boolean; began: boolean }): string {
  const button = now.paused ? "Continue" : "Start";
  if (!now.examples) return now.open ? `Add some examples, then press ${button}.` : `When a task begins, add some examples; then press ${button}.`;
  if (now.paused) return "Paused. What is done so far is kept. Press Continue to go on.";
  return now.began ? "Stopped. Press Start to go on." : "Press Start to train.";
}

/** The end of it; `toldCoordinator` and `deleted`: whether the server knows, and whether not even an empty store is left. */
export function goneSentence(declined: boolean, toldCoordinator: boolean, deleted: boolean): string {
  const left = deleted ? "" : " Only an empty store is left, with nothing in it, as something in this browser has it open.";
  if (declined) return `You have not joined, and this page keeps nothing in this browser.${left} If you change your mind, open the link again.`;
  const server = toldCoordinator
    ? "The operator's server has forgotten this device. Thank you."
    : "The operator's server could not be told; it will notice that this device is gone.";
  return `Everything was deleted from this browser.${left} ${server}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

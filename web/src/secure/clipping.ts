/**
 * The norm to which devices clip their parameters follows what they have, from round to round: see the Python
 * `fedrela.core.secure.clipping`. It travels in whole millionths, and is part of what members sign.
 */
import { IntegrityError } from "../core/errors.ts";
import { MOST_MILLIONTHS } from "../core/limits.ts";
import type { Task } from "../core/task.ts";

const MILLION = 1_000_000;
const FARTHEST = 1024; // times the task's own

type Privacy = Task["privacy"];

/** That of a task's first round, in millionths; 0: the task's own, in every round. */
export function firstClip(privacy: Privacy): number {
  return isAdaptive(privacy) ? own(privacy) : 0;
}

/** A round's as a number. Throws IntegrityError for one that a round of this task can't have. */
export function clipNorm(privacy: Privacy, millionths: number): number {
  if (!isAdaptive(privacy)) {
    if (millionths) throw refused("has a clipping norm of its own, and the task says one for all rounds");
    return privacy.clip_norm;
  }
  const lowest = Math.max(Math.floor(own(privacy) / FARTHEST), 1);
  const highest = Math.min(own(privacy) * FARTHEST, MOST_MILLIONTHS);
  if (!(lowest <= millionths && millionths <= highest)) throw refused(`clips to ${millionths} millionths, beyond ${lowest} to ${highest}`);
  return millionths / MILLION;
}

function isAdaptive({ secure, clipped_share }: Privacy): boolean {
  return secure === "peers" && clipped_share > 0;
}

/** The nearest, halves up, and at least one. */
function own({ clip_norm }: Privacy): number {
  return Math.max(Math.floor(clip_norm * MILLION + 0.5), 1);
}

function refused(problem: string): IntegrityError {
  return new IntegrityError(`the assignment ${problem}`, "nothing was sent; tell the operator");
}

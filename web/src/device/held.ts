/** An assignment under way: what the store holds of it, until when it may be worked on, and why it can't be finished. */
import { hash } from "../core/signing.ts";
import type { Assignment, FailureCode } from "../core/wire.ts";

const LONGEST_LEASE_SECONDS = 7 * 86_400; // a task may promise more: no device is held for longer without asking again

/** What the store holds of an assignment under way. */
export interface AssignmentRecord {
  assignment: string; // its JSON
  receivedAt: number; // seconds
  fingerprint: string;
}

/** An assignment can't be finished; `code` is what the coordinator is told, `shown` what this device's owner is. */
export class AssignmentFailed extends Error {
  constructor(
    readonly code: FailureCode,
    readonly problem: string,
    readonly remedy: string,
    readonly shown: string = code,
  ) {
    super(problem);
  }
}

export function seconds(): number {
  return Date.now() / 1000;
}

export function trainUntil(assignment: Assignment, record: AssignmentRecord): number {
  return record.receivedAt + Math.min(assignment.compute_lease_seconds, LONGEST_LEASE_SECONDS);
}

export function uploadUntil(assignment: Assignment, record: AssignmentRecord): number {
  return trainUntil(assignment, record) + Math.min(assignment.upload_lease_seconds, LONGEST_LEASE_SECONDS);
}

export function lateFailure(): AssignmentFailed {
  return new AssignmentFailed("timed-out", "the time for this round ran out", "the next round is tried");
}

/** A group's time is the coordinator's to tell: what waits for one is kept until nobody can still wait for it. */
export function sessionUntil(record: AssignmentRecord): number {
  return record.receivedAt + LONGEST_LEASE_SECONDS;
}

/** A task's name in the store. */
export function taskKey(assignment: Assignment): string {
  return hash(new TextEncoder().encode(assignment.task_id)).slice(0, 32);
}

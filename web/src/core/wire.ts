/**
 * The HTTP messages that a device reads and writes. See the Python `fedrela.core.wire`; every error is an RFC 9457 problem.
 * What they hold can be used as it is in a URL or a header: that is part of reading them.
 */
import { NotEligible } from "./errors.ts";
import {
  MOST_MILLIONTHS,
  characters,
  exactly,
  id,
  limited,
  matching,
  plainName,
  positive,
  publicKey,
  realFrom,
  sha256,
  token,
  wholeFrom,
} from "./limits.ts";
import { seal } from "./seals.ts";
import { type Typed, bool, nullable, object, read, text, whole, withDefault } from "./shape.ts";

export const PROTOCOL = 1;
export const UPLOAD_TOKEN_HEADER = "Fedrela-Upload-Token";
export const TENSORS_TYPE = "application/vnd.safetensors";

export type FailureCode =
  | "not-eligible"
  | "training-failed"
  | "self-test-failed"
  | "timed-out"
  | "integrity-failed"
  | "model-unusable";

/** A learning rate that falls over the rounds. */
export const LR_SCHEDULE = "lr-schedule";
/** What this version understands beyond the base of the protocol. A task or manifest that needs another takes no part of it. */
export const FEATURES: readonly string[] = [LR_SCHEDULE, "secure-1"];

const protocol = withDefault(exactly(PROTOCOL, "reload this page to update it"), PROTOCOL);
const leaseSeconds = realFrom(0, 2 ** 32);
const retrySeconds = realFrom(0, 1e9);

const enrollResponse = object({
  device_id: id,
  device_token: token,
  coordinator_public_key: publicKey,
  population: plainName,
  protocol,
});
const assignment = object({
  assignment_id: id,
  task_id: matching("[A-Za-z0-9._-]{1,200}", "1 to 200 letters, digits, '-', '_' and '.'"),
  round: positive,
  task_sha256: sha256,
  manifest_sha256: sha256,
  checkpoint_sha256: sha256,
  checkpoint_bytes: positive,
  compute_lease_seconds: leaseSeconds,
  upload_lease_seconds: leaseSeconds,
  upload_token: token,
  epoch: withDefault(positive, 1),
  clip_millionths: withDefault(wholeFrom(0, MOST_MILLIONTHS), 0), // see `clipping.ts`; 0: what the task says
  signature: withDefault(characters(0, 200), ""),
  seal: withDefault(nullable(seal), null), // of the publisher who vouches for the programs; early versions sent none
});
const wait = object({ retry_after_seconds: retrySeconds, reason: characters(1, 100) });
const checkInResponse = object({
  assignment: withDefault(nullable(assignment), null),
  wait: withDefault(nullable(wait), null),
  protocol,
});
const oneOfTwo = limited(
  checkInResponse,
  ({ assignment, wait }) => (assignment === null) !== (wait === null),
  "let it be exactly one of assignment and wait",
);
const updateReceipt = object({ round: positive, duplicate: withDefault(bool, false), protocol });
const problem = object({
  title: text,
  status: whole,
  code: text,
  detail: text,
  remedy: text,
  type: withDefault(text, "about:blank"),
  retry_after_seconds: withDefault(retrySeconds, 0),
});

/** Why a coordinator has nothing for a device now. One that this page doesn't know means: come back later. */
const WAIT_REASONS = [
  "no-task", "round-full", "reported", "too-soon", "not-selected", "set-aside", "version", "runtime", "paused", "finished",
] as const;
export type WaitReason = (typeof WAIT_REASONS)[number] | "later";

export type EnrollResponse = Typed<typeof enrollResponse>;
export type Assignment = Typed<typeof assignment>;
export type Wait = Typed<typeof wait>;
export type CheckInResponse = Typed<typeof checkInResponse>;
export type UpdateReceipt = Typed<typeof updateReceipt>;
export type Problem = Typed<typeof problem>;

/** Totals of the global model over a hold-out: cross-entropy in nats, correct answers, examples. Nothing per class. */
export interface EvaluationReport {
  loss_sum: number;
  correct: number;
  examples: number;
}

/** The bodies of the requests, so that the page can say how large they are before anything is sent. */
export const enrollRequest = (token: string, publicKey: string, coordinator: string, signature: string, certificate?: object): Uint8Array =>
  json({ enrollment_token: token, public_key: publicKey, coordinator, signature, ...(certificate ? { certificate } : {}), protocol: PROTOCOL });
export const checkInRequest = (population: string, client: string, runtime: string, nonce: string): Uint8Array =>
  json({ population, client, runtimes: [runtime], nonce, features: FEATURES, protocol: PROTOCOL });
export const evaluationReport = (report: EvaluationReport): Uint8Array => json({ ...report, protocol: PROTOCOL });
export const failureReport = (code: FailureCode): Uint8Array => json({ code, protocol: PROTOCOL });

type Body = Uint8Array | string;
export const parseEnrollResponse = (body: Body): EnrollResponse => read(enrollResponse, body);
export const parseCheckInResponse = (body: Body): CheckInResponse => read(oneOfTwo, body);
export const parseUpdateReceipt = (body: Body): UpdateReceipt => read(updateReceipt, body);
export const parseProblem = (body: Body): Problem => read(problem, body);
export const parseAssignment = (body: Body): Assignment => read(assignment, body);

/** The reason, as far as this page knows it. */
export function knownReason({ reason }: Wait): WaitReason {
  return WAIT_REASONS.find((known) => known === reason) ?? "later";
}

/** The first of the features that a task or a manifest `requires` and this page doesn't understand. */
export function unknownFeature(...items: readonly { requires: readonly string[] }[]): string | undefined {
  return items.flatMap((item) => item.requires).find((name) => !FEATURES.includes(name));
}

/** Throws NotEligible where there is one: this page takes no part. */
export function checkFeatures(...items: readonly { requires: readonly string[] }[]): void {
  const unknown = unknownFeature(...items);
  if (unknown !== undefined) throw new NotEligible(`the task needs "${unknown}", which this page can't do`, "reload this page to update it");
}

function json(message: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

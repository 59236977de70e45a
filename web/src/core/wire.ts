/** The HTTP messages that a device reads and writes. See the Python `fedrela.core.wire`; every error is an RFC 9457 problem. */
import { InvalidInput } from "./errors.ts";
import { type Typed, bool, choice, nullable, object, read, real, text, whole, withDefault } from "./shape.ts";

export const PROTOCOL = 1;
export const UPLOAD_TOKEN_HEADER = "Fedrela-Upload-Token";
export const TENSORS_TYPE = "application/vnd.safetensors";

export type FailureCode = "not-eligible" | "training-failed" | "self-test-failed" | "timed-out" | "integrity-failed";

const enrollResponse = object({
  device_id: text,
  device_token: text,
  coordinator_public_key: text,
  population: text,
  protocol: withDefault(whole, PROTOCOL),
});
const assignment = object({
  assignment_id: text,
  task_id: text,
  round: whole,
  task_sha256: text,
  manifest_sha256: text,
  checkpoint_sha256: text,
  checkpoint_bytes: whole,
  compute_lease_seconds: real,
  upload_lease_seconds: real,
  upload_token: text,
  signature: withDefault(text, ""),
});
const wait = object({
  retry_after_seconds: real,
  reason: choice("no-task", "round-full", "too-soon", "not-selected", "version", "runtime", "paused", "finished"),
});
const checkInResponse = object({
  assignment: withDefault(nullable(assignment), null),
  wait: withDefault(nullable(wait), null),
  protocol: withDefault(whole, PROTOCOL),
});
const updateReceipt = object({
  round: whole,
  duplicate: withDefault(bool, false),
  protocol: withDefault(whole, PROTOCOL),
});
const problem = object({
  title: text,
  status: whole,
  code: text,
  detail: text,
  remedy: text,
  type: withDefault(text, "about:blank"),
  retry_after_seconds: withDefault(real, 0),
});

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
export const enrollRequest = (token: string, publicKey: string): Uint8Array =>
  json({ enrolment_token: token, public_key: publicKey, protocol: PROTOCOL });
export const checkInRequest = (population: string, clientVersion: string, runtime: string): Uint8Array =>
  json({ population, client_version: clientVersion, runtimes: [runtime], protocol: PROTOCOL });
export const evaluationReport = (report: EvaluationReport): Uint8Array => json({ ...report, protocol: PROTOCOL });
export const failureReport = (code: FailureCode): Uint8Array => json({ code, protocol: PROTOCOL });

type Body = Uint8Array | string;
export const parseEnrollResponse = (body: Body): EnrollResponse => versioned(read(enrollResponse, body));
export const parseCheckInResponse = (body: Body): CheckInResponse => versioned(read(checkInResponse, body));
export const parseUpdateReceipt = (body: Body): UpdateReceipt => versioned(read(updateReceipt, body));
export const parseProblem = (body: Body): Problem => read(problem, body);
export const parseAssignment = (body: Body): Assignment => read(assignment, body);

/** The bytes that the coordinator's key signs: what the device is going to run, on which weights. */
export function assignmentMessage(
  item: Pick<Assignment, "task_id" | "round" | "task_sha256" | "manifest_sha256" | "checkpoint_sha256">,
): Uint8Array {
  const parts = [item.task_id, String(item.round), item.task_sha256, item.manifest_sha256, item.checkpoint_sha256];
  return new TextEncoder().encode(["fedrela/v1/assignment", ...parts, ""].join("\n"));
}

function json(message: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

function versioned<T extends { protocol: number }>(message: T): T {
  if (message.protocol !== PROTOCOL)
    throw new InvalidInput(`protocol version ${message.protocol} is not ${PROTOCOL}`, "reload this page to update it");
  return message;
}

/** The coordinator's calls, one method each. Only the page's own origin is ever asked. */
import { type KeyChain, parseKeyChain } from "../core/key-chain.ts";
import type { Link } from "../core/links.ts";
import {
  type Assignment,
  type CheckInResponse,
  type EnrollResponse,
  type EvaluationReport,
  type FailureCode,
  TENSORS_TYPE,
  UPLOAD_TOKEN_HEADER,
  type UpdateReceipt,
  checkInRequest,
  enrollRequest,
  evaluationReport,
  failureReport,
  parseCheckInResponse,
  parseEnrollResponse,
  parseUpdateReceipt,
} from "../core/wire.ts";
import { type Certificate, type SecureMessage, type SecureStep, parseStep, secureMessage } from "../secure/messages.ts";
import { download } from "./download.ts";
import type { Store } from "./store.ts";
import type { Transport } from "./transport.ts";

const JSON_TYPE = { "Content-Type": "application/json" };

export class Api {
  constructor(readonly transport: Transport) {}

  /** Exchange an enrollment token for a device token; `signature` proves that the key is this device's, `certificate` its fleet. */
  async enroll(link: Link, publicKey: string, signature: string, certificate?: Certificate): Promise<EnrollResponse> {
    return this.post("/v1/devices", enrollRequest(link.token, publicKey, link.coordinator, signature, certificate), parseEnrollResponse);
  }

  /** How the coordinator came by its present key. */
  async keys(): Promise<KeyChain> {
    return this.transport.call({ method: "GET", path: "/v1/keys" }, parseKeyChain);
  }

  /** Offer to work. The answer is exactly one of assignment and wait. */
  async checkIn(population: string, client: string, runtime: string, nonce: string): Promise<CheckInResponse> {
    return this.post("/v1/check-ins", checkInRequest(population, client, runtime, nonce), parseCheckInResponse);
  }

  /** Download a blob, going on from what is kept of it. Throws IntegrityError if it never matches its name. */
  async blob(sha: string, limitBytes: number, partial: Store): Promise<Uint8Array> {
    return download(this.transport, sha, limitBytes, partial);
  }

  /** Upload an update. The same body may be sent any number of times and counts once. */
  async update(assignment: Assignment, body: Uint8Array): Promise<UpdateReceipt> {
    const headers = { "Content-Type": TENSORS_TYPE, [UPLOAD_TOKEN_HEADER]: assignment.upload_token };
    const path = `/v1/assignments/${assignment.assignment_id}/update`;
    return this.transport.call({ method: "PUT", path, body, headers }, parseUpdateReceipt);
  }

  /** A message of a group's session. The same one may be sent any number of times. */
  async secure(assignment: Assignment, kind: "keys" | "shares" | "agreement" | "reveal", message: SecureMessage): Promise<void> {
    const path = `/v1/assignments/${assignment.assignment_id}/secure/${kind}`;
    await this.transport.call({ method: "PUT", path, body: secureMessage(message), headers: JSON_TYPE }, nothing);
  }

  /** What this device is to do next in its group. */
  async secureStep(assignment: Assignment): Promise<SecureStep> {
    return this.transport.call({ method: "GET", path: `/v1/assignments/${assignment.assignment_id}/secure` }, parseStep);
  }

  /** Totals over the hold-out: only if the task asks and the owner allows. */
  async evaluation(assignment: Assignment, report: EvaluationReport): Promise<void> {
    await this.post(`/v1/assignments/${assignment.assignment_id}/evaluation`, evaluationReport(report), nothing);
  }

  /** Give the slot back. */
  async failure(assignment: Assignment, code: FailureCode): Promise<void> {
    await this.post(`/v1/assignments/${assignment.assignment_id}/failure`, failureReport(code), nothing);
  }

  /** Tell the coordinator to forget this device. */
  async leave(): Promise<void> {
    await this.transport.call({ method: "DELETE", path: "/v1/devices/self" }, nothing);
  }

  private async post<T>(path: string, body: Uint8Array, parse: (answer: Uint8Array) => T): Promise<T> {
    return this.transport.call({ method: "POST", path, body, headers: JSON_TYPE }, parse);
  }
}

function nothing(): void {}

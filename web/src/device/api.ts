/**
 * The HTTP calls of a device. Whatever may be repeated safely is repeated, with backoff and jitter: lost connections,
 * truncated answers, 408, 425, 429 and 5xx. Any other refusal is raised with the coordinator's code. Only the page's own
 * origin is ever asked.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { FedRelaError, IntegrityError, InvalidInput, Refused, Unavailable } from "../core/errors.ts";
import { hash } from "../core/signing.ts";
import {
  type Assignment,
  type CheckInResponse,
  type EnrolResponse,
  type FailureCode,
  type Problem,
  TENSORS_TYPE,
  UPLOAD_TOKEN_HEADER,
  type UpdateReceipt,
  checkInRequest,
  enrolRequest,
  failureReport,
  parseCheckInResponse,
  parseEnrolResponse,
  parseProblem,
  parseUpdateReceipt,
} from "../core/wire.ts";
import type { Store } from "./store.ts";

const TRANSIENT = [408, 425, 429, 500, 502, 503, 504];
const ATTEMPTS = 4; // within a call; the worker's loop tries again for as long as the page is open
const BASE_SECONDS = 0.5;
const CAP_SECONDS = 30;
const ANSWER_BYTES = 1_000_000;
const CHUNK_BYTES = 262_144;
const DAMAGED = 3;

interface Call {
  method: string;
  path: string;
  body?: Uint8Array;
  headers?: Record<string, string>;
  alsoTransient?: number[];
}

class TryAgain extends Error {
  constructor(
    problem: string,
    readonly afterSeconds = 0,
  ) {
    super(problem);
  }
}

export class Api {
  sentBytes = 0;
  receivedBytes = 0;

  constructor(
    readonly base: string,
    public token = "",
    private readonly stopped: () => boolean = () => false,
  ) {}

  /** Exchange an enrolment token for a device token. */
  async enrol(enrolmentToken: string, publicKey: string): Promise<EnrolResponse> {
    return parseEnrolResponse(await this.post("/v1/devices", enrolRequest(enrolmentToken, publicKey)));
  }

  /** Offer to work. Throws InvalidInput for an answer that is not exactly one of assignment and wait. */
  async checkIn(population: string, clientVersion: string, runtime: string): Promise<CheckInResponse> {
    const answer = parseCheckInResponse(await this.post("/v1/check-ins", checkInRequest(population, clientVersion, runtime)));
    if ((answer.assignment === null) === (answer.wait === null))
      throw new InvalidInput("the coordinator's answer is not exactly one of assignment and wait", "update the coordinator");
    if (answer.assignment) checkAssignment(answer.assignment);
    return answer;
  }

  /** Upload an update. The same body may be sent any number of times and counts once. */
  async update(assignment: Assignment, body: Uint8Array): Promise<UpdateReceipt> {
    const digest = btoa(String.fromCharCode(...sha256(body)));
    const headers = {
      "Content-Type": TENSORS_TYPE,
      "Content-Digest": `sha-256=:${digest}:`, // RFC 9530
      [UPLOAD_TOKEN_HEADER]: assignment.upload_token,
    };
    const path = `/v1/assignments/${assignment.assignment_id}/update`;
    return parseUpdateReceipt(await this.call({ method: "PUT", path, body, headers, alsoTransient: [400, 422] }));
  }

  /** Give the slot back. */
  async failure(assignment: Assignment, code: FailureCode): Promise<void> {
    await this.post(`/v1/assignments/${assignment.assignment_id}/failure`, failureReport(code));
  }

  /** Tell the coordinator to forget this device. */
  async leave(): Promise<void> {
    await this.call({ method: "DELETE", path: "/v1/devices/self" });
  }

  /** Download a blob, going on from what is kept of it. Throws IntegrityError if it never matches its name. */
  async blob(sha: string, limitBytes: number, partial: Store): Promise<Uint8Array> {
    const key = `partial/${sha}`;
    let wrong = 0;
    const body = await this.again(async () => {
      const got = await this.ranged(sha, key, limitBytes, partial);
      if (hash(got) === sha) return got;
      await partial.delete(key);
      wrong += 1;
      if (wrong < DAMAGED) throw new TryAgain("a download was damaged");
      throw new IntegrityError(`the file ${sha.slice(0, 12)} does not match its hash`, "nothing was loaded; tell the operator that a stored file is damaged");
    });
    await partial.delete(key);
    return body;
  }

  private async ranged(sha: string, key: string, limitBytes: number, partial: Store): Promise<Uint8Array> {
    const have = (await partial.get(key)) ?? new Uint8Array();
    const headers: Record<string, string> = have.length ? { Range: `bytes=${have.length}-` } : {};
    const response = await this.request({ method: "GET", path: `/v1/blobs/${sha}`, headers });
    if (response.status === 416 && have.length) {
      await partial.delete(key);
      throw new TryAgain("the coordinator has less of the file than this device");
    }
    await this.raiseForStatus(response, []);
    const goingOn = response.status === 206 && (response.headers.get("Content-Range") ?? "").startsWith(`bytes ${have.length}-`);
    if (response.status === 206 && !goingOn) {
      await partial.delete(key);
      throw new TryAgain("the coordinator sent another range than asked for");
    }
    const collected = new Collected(goingOn ? have : new Uint8Array());
    let saved = collected.length;
    try {
      for await (const chunk of this.chunks(response)) {
        collected.add(chunk);
        if (collected.length > limitBytes)
          throw new IntegrityError(`the file ${sha.slice(0, 12)} is longer than announced`, "nothing was loaded; tell the operator");
        if (collected.length - saved >= 8 * CHUNK_BYTES) {
          saved = collected.length;
          await partial.put(key, collected.whole());
        }
      }
    } catch (error) {
      if (error instanceof TryAgain) await partial.put(key, collected.whole());
      else await partial.delete(key);
      throw error;
    }
    return collected.whole();
  }

  private async post(path: string, body: Uint8Array): Promise<Uint8Array> {
    return this.call({ method: "POST", path, body, headers: { "Content-Type": "application/json" } });
  }

  private async call(call: Call): Promise<Uint8Array> {
    return this.again(async () => {
      const response = await this.request(call);
      await this.raiseForStatus(response, call.alsoTransient ?? []);
      return this.shortAnswer(response);
    });
  }

  private async again<T>(attempt: () => Promise<T>): Promise<T> {
    for (let number = 0; ; number++) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof TryAgain)) throw error;
        if (number + 1 >= ATTEMPTS || this.stopped())
          throw new Unavailable(`the coordinator can't be reached (${error.message})`, "nothing is lost, and the page tries again later");
        const backoff = Math.min(CAP_SECONDS, BASE_SECONDS * 2 ** number) * (0.5 + 0.5 * Math.random());
        await new Promise((resolve) => setTimeout(resolve, 1000 * Math.max(error.afterSeconds, backoff)));
      }
    }
  }

  private async request({ method, path, body, headers }: Call): Promise<Response> {
    const all: Record<string, string> = { ...headers };
    if (this.token) all.Authorization = `Bearer ${this.token}`;
    this.sentBytes += body?.length ?? 0;
    try {
      return await fetch(this.base + path, {
        method,
        headers: all,
        ...(body ? { body: body as Uint8Array<ArrayBuffer> } : {}),
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        referrerPolicy: "no-referrer",
      });
    } catch (error) {
      throw new TryAgain(String(error).slice(0, 120));
    }
  }

  private async raiseForStatus(response: Response, alsoTransient: number[]): Promise<void> {
    if (response.ok) return;
    const problem = readProblem(await this.shortAnswer(response), response.status);
    if (TRANSIENT.includes(response.status) || alsoTransient.includes(response.status)) {
      const after = Number(response.headers.get("Retry-After") ?? problem.retry_after_seconds);
      throw new TryAgain(`HTTP ${response.status}: ${problem.detail}`, Math.min(Number.isFinite(after) ? after : 0, 600));
    }
    throw new Refused(problem.detail, problem.remedy, problem.code, response.status, problem.retry_after_seconds);
  }

  private async shortAnswer(response: Response): Promise<Uint8Array> {
    const collected = new Collected();
    for await (const chunk of this.chunks(response)) {
      collected.add(chunk);
      if (collected.length > ANSWER_BYTES) throw new InvalidInput("the coordinator's answer is too long", "tell the operator");
    }
    return collected.whole();
  }

  private async *chunks(response: Response): AsyncGenerator<Uint8Array> {
    const reader = response.body?.getReader();
    for (;;) {
      let part: ReadableStreamReadResult<Uint8Array> | undefined;
      try {
        part = await reader?.read();
      } catch (error) {
        throw new TryAgain(String(error).slice(0, 120));
      }
      if (!part || part.done) return;
      this.receivedBytes += part.value.length;
      yield part.value;
    }
  }
}

/** Bytes that arrive in parts. */
class Collected {
  length = 0;
  private parts: Uint8Array[] = [];

  constructor(start: Uint8Array = new Uint8Array()) {
    this.add(start);
  }

  add(part: Uint8Array): void {
    this.parts.push(part);
    this.length += part.length;
  }

  whole(): Uint8Array {
    const whole = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      whole.set(part, at);
      at += part.length;
    }
    this.parts = [whole];
    return whole;
  }
}

function readProblem(body: Uint8Array, status: number): Problem {
  try {
    return parseProblem(body);
  } catch (error) {
    if (!(error instanceof FedRelaError)) throw error;
    const detail = `the coordinator answered with HTTP ${status}`;
    return { title: "", status, code: "unexpected", detail, remedy: "try again later", type: "about:blank", retry_after_seconds: 0 };
  }
}

/** Throws InvalidInput for an assignment that could not be used safely in a URL or a header. */
function checkAssignment(item: Assignment): void {
  const hashes = [item.task_sha256, item.manifest_sha256, item.checkpoint_sha256];
  const sound =
    hashes.every((name) => /^[0-9a-f]{64}$/.test(name)) &&
    /^[\x21-\x7e]{1,512}$/.test(item.upload_token) &&
    /^[A-Za-z0-9_-]{1,128}$/.test(item.assignment_id) &&
    item.round >= 1 &&
    item.checkpoint_bytes >= 1 &&
    item.task_id.length > 0;
  if (!sound) throw new InvalidInput("the coordinator's assignment is malformed", "tell the operator");
}

/**
 * HTTP as a device needs it. Whatever may be repeated safely is repeated, with backoff and jitter: lost connections,
 * truncated or silent answers, answers that don't parse, 408, 425, 429 and 5xx; and 400 and 422, because our bodies are
 * checked before they leave, so that a malformed one was damaged on its way. Any other refusal is raised with the
 * coordinator's code; one without a problem document, or a redirect, comes from somebody else: nobody is there then.
 */
import { within } from "../core/deadline.ts";
import { FedRelaError, InvalidInput, Refused, Unavailable } from "../core/errors.ts";
import { contentDigest, signedHeaders } from "../core/signed-requests.ts";
import { type Problem, parseProblem } from "../core/wire.ts";

const SUCCESS = [200, 201, 204, 206];
const TRANSIENT = [408, 425, 429, 500, 502, 503, 504];
const DAMAGED = [400, 422];
const ATTEMPTS = 4; // within a call; the worker's loop tries again for as long as the page is open
const BASE_SECONDS = 0.5;
const CAP_SECONDS = 30;
const SILENCE_SECONDS = 60; // until an answer begins, and between two parts of it
const SLOWEST_BYTES_PER_SECOND = 4000; // of an upload, whose progress a browser doesn't tell
const ANSWER_BYTES = 1_000_000;
const LONGEST_WISH_SECONDS = 300; // a coordinator can't ask for a longer pause between two attempts

export interface Call {
  method: string;
  path: string;
  body?: Uint8Array;
  headers?: Record<string, string>;
}

/** What a device shows with every request: its token, and its key's signature. */
export interface Credentials {
  device_token: string;
  private_key: string;
}

/** One request that was made, whether or not an answer came. `at`: milliseconds since 1970; `bytes`: of its body. */
export interface SentRequest {
  at: number;
  method: string;
  path: string;
  bytes: number;
}

export function credentialHeaders(device: Credentials, method: string, path: string, body?: Uint8Array): Record<string, string> {
  return { Authorization: `Bearer ${device.device_token}`, ...signedHeaders(device.private_key, method, path, body) };
}

/** An attempt that failed in a way that may pass. `lasting`: what it means where it doesn't. */
export class TryAgain extends Error {
  constructor(
    problem: string,
    readonly afterSeconds = 0,
    readonly lasting?: FedRelaError,
  ) {
    super(problem);
  }
}

export class Transport {
  sentBytes = 0;
  receivedBytes = 0;
  requests: SentRequest[] = [];

  constructor(
    readonly base: string,
    public device: Credentials | undefined = undefined,
    private readonly stopped: () => boolean = () => false,
  ) {}

  /** One call, repeated until its answer parses. Throws Refused or Unavailable. */
  async call<T>(call: Call, parse: (body: Uint8Array) => T): Promise<T> {
    return this.again(async () => {
      const response = await this.request(call);
      await this.raiseForStatus(response);
      return parsed(parse, await this.shortAnswer(response));
    });
  }

  /** Until an attempt does not throw TryAgain. Throws Unavailable after the last one. */
  async again<T>(attempt: () => Promise<T>): Promise<T> {
    for (let number = 0; ; number++) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof TryAgain)) throw error;
        if (number + 1 >= ATTEMPTS || this.stopped())
          throw error.lasting ?? new Unavailable(`the coordinator can't be reached (${error.message})`, "nothing is lost, and the page tries again later");
        const backoff = Math.min(CAP_SECONDS, BASE_SECONDS * 2 ** number) * (0.5 + 0.5 * Math.random());
        await new Promise((resolve) => setTimeout(resolve, 1000 * Math.max(error.afterSeconds, backoff)));
      }
    }
  }

  /** One request; the answer's headers are there. Throws TryAgain. */
  async request({ method, path, body, headers }: Call): Promise<Response> {
    const all: Record<string, string> = { ...headers };
    if (this.device) Object.assign(all, credentialHeaders(this.device, method, path, body));
    else if (body) all["Content-Digest"] = contentDigest(body);
    this.sentBytes += body?.length ?? 0;
    this.requests.push({ at: Date.now(), method, path, bytes: body?.length ?? 0 });
    const seconds = SILENCE_SECONDS + (body?.length ?? 0) / SLOWEST_BYTES_PER_SECOND;
    const line = new AbortController();
    const timer = setTimeout(() => line.abort(new Error("no answer came")), 1000 * seconds);
    try {
      return await fetch(this.base + path, {
        method,
        headers: all,
        ...(body ? { body: body as Uint8Array<ArrayBuffer> } : {}),
        signal: line.signal,
        cache: "no-store",
        credentials: "omit",
        redirect: "manual",
        referrerPolicy: "no-referrer",
      });
    } catch (error) {
      throw new TryAgain(String(error).slice(0, 120));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Nothing for a success. Throws TryAgain; Refused, with what the problem document says; Unavailable for a stranger. */
  async raiseForStatus(response: Response): Promise<void> {
    const { status } = response;
    if (SUCCESS.includes(status)) return;
    if (response.type === "opaqueredirect") throw stranger("a redirect");
    const problem = readProblem(await this.shortAnswer(response));
    const refused = problem ? new Refused(problem.detail, problem.remedy, problem.code, status) : stranger(`HTTP ${status}`);
    const after = wishSeconds(response, problem);
    if (TRANSIENT.includes(status)) throw new TryAgain(`HTTP ${status}: ${problem?.detail ?? ""}`, after);
    if (DAMAGED.includes(status)) throw new TryAgain(`HTTP ${status}`, after, refused);
    throw refused;
  }

  /** The parts of an answer as they arrive. Throws TryAgain where the line is cut or falls silent. */
  async *chunks(response: Response): AsyncGenerator<Uint8Array> {
    const reader = response.body?.getReader();
    if (!reader) return;
    try {
      for (;;) {
        const part = await within(SILENCE_SECONDS, reader.read(), () => new Error("the answer stopped in the middle"));
        if (part.done) return;
        this.receivedBytes += part.value.length;
        yield part.value;
      }
    } catch (error) {
      throw new TryAgain(String(error).slice(0, 120));
    } finally {
      void reader.cancel().catch(() => undefined); // of an answer that was read to its end: no effect
    }
  }

  private async shortAnswer(response: Response): Promise<Uint8Array> {
    const collected = new Collected();
    for await (const chunk of this.chunks(response)) {
      collected.add(chunk);
      if (collected.length > ANSWER_BYTES) throw new TryAgain("the answer is too long");
    }
    return collected.whole();
  }
}

/** Bytes that arrive in parts. */
export class Collected {
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

/** What an answer says. Throws TryAgain for one that doesn't parse. */
function parsed<T>(parse: (body: Uint8Array) => T, body: Uint8Array): T {
  try {
    return parse(body);
  } catch (error) {
    if (error instanceof InvalidInput) throw new TryAgain(error.problem);
    throw error;
  }
}

/** The problem document; undefined where the answer is none. */
function readProblem(body: Uint8Array): Problem | undefined {
  try {
    return parseProblem(body);
  } catch (error) {
    if (error instanceof InvalidInput) return undefined;
    throw error;
  }
}

function stranger(what: string): Unavailable {
  return new Unavailable(`somebody else answers with ${what}`, "nothing is lost, and the page tries again later");
}

/** Seconds that the coordinator asks to wait, within limits. */
function wishSeconds(response: Response, problem: Problem | undefined): number {
  const header = response.headers.get("Retry-After") ?? "";
  const wish = /^[0-9]{1,6}$/.test(header) ? Number(header) : (problem?.retry_after_seconds ?? 0);
  return Math.min(Math.max(wish, 0), LONGEST_WISH_SECONDS);
}

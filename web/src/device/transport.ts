/**
 * HTTP as a device needs it. Whatever may be repeated safely is repeated, with backoff and jitter: lost connections,
 * truncated or silent answers, 408, 425, 429 and 5xx. Any other refusal is raised with the coordinator's code.
 */
import { within } from "../core/deadline.ts";
import { FedRelaError, InvalidInput, Refused, Unavailable } from "../core/errors.ts";
import { type Problem, parseProblem } from "../core/wire.ts";

const TRANSIENT = [408, 425, 429, 500, 502, 503, 504];
const ATTEMPTS = 4; // within a call; the worker's loop tries again for as long as the page is open
const BASE_SECONDS = 0.5;
const CAP_SECONDS = 30;
const SILENCE_SECONDS = 60; // until an answer begins, and between two parts of it
const SLOWEST_BYTES_PER_SECOND = 4000; // of an upload, whose progress a browser doesn't tell
const ANSWER_BYTES = 1_000_000;

export interface Call {
  method: string;
  path: string;
  body?: Uint8Array;
  headers?: Record<string, string>;
  alsoTransient?: number[];
}

/** An attempt that failed in a way that may pass. */
export class TryAgain extends Error {
  constructor(
    problem: string,
    readonly afterSeconds = 0,
  ) {
    super(problem);
  }
}

export class Transport {
  sentBytes = 0;
  receivedBytes = 0;

  constructor(
    readonly base: string,
    public token = "",
    private readonly stopped: () => boolean = () => false,
  ) {}

  /** One call with its repetitions; the answer's body. Throws Refused or Unavailable. */
  async call(call: Call): Promise<Uint8Array> {
    return this.again(async () => {
      const response = await this.request(call);
      await this.raiseForStatus(response, call.alsoTransient ?? []);
      return this.shortAnswer(response);
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
          throw new Unavailable(`the coordinator can't be reached (${error.message})`, "nothing is lost, and the page tries again later");
        const backoff = Math.min(CAP_SECONDS, BASE_SECONDS * 2 ** number) * (0.5 + 0.5 * Math.random());
        await new Promise((resolve) => setTimeout(resolve, 1000 * Math.max(error.afterSeconds, backoff)));
      }
    }
  }

  /** One request; the answer's headers are there. Throws TryAgain. */
  async request({ method, path, body, headers }: Call): Promise<Response> {
    const all: Record<string, string> = { ...headers };
    if (this.token) all.Authorization = `Bearer ${this.token}`;
    this.sentBytes += body?.length ?? 0;
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
        redirect: "error",
        referrerPolicy: "no-referrer",
      });
    } catch (error) {
      throw new TryAgain(String(error).slice(0, 120));
    } finally {
      clearTimeout(timer);
    }
  }

  async raiseForStatus(response: Response, alsoTransient: number[]): Promise<void> {
    if (response.ok) return;
    const problem = readProblem(await this.shortAnswer(response), response.status);
    if (TRANSIENT.includes(response.status) || alsoTransient.includes(response.status)) {
      const after = Number(response.headers.get("Retry-After") ?? problem.retry_after_seconds);
      throw new TryAgain(`HTTP ${response.status}: ${problem.detail}`, Math.min(Number.isFinite(after) ? after : 0, 600));
    }
    throw new Refused(problem.detail, problem.remedy, problem.code, response.status, problem.retry_after_seconds);
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
      if (collected.length > ANSWER_BYTES) throw new InvalidInput("the coordinator's answer is too long", "tell the operator");
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

function readProblem(body: Uint8Array, status: number): Problem {
  try {
    return parseProblem(body);
  } catch (error) {
    if (!(error instanceof FedRelaError)) throw error;
    const detail = `the coordinator answered with HTTP ${status}`;
    return { title: "", status, code: "unexpected", detail, remedy: "try again later", type: "about:blank", retry_after_seconds: 0 };
  }
}

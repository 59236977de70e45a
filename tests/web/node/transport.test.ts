/** What `tests/web/test_http_cases.py` can't wait for in a browser: pauses, and what becomes of a fault that lasts. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { InvalidInput, Refused, Unavailable } from "../../../web/src/core/errors.ts";
import { Transport } from "../../../web/src/device/transport.ts";

const PROBLEM = JSON.stringify({ title: "No", status: 0, code: "busy", detail: "not now", remedy: "wait" });
const call = { method: "POST", path: "/v1/check-ins", body: new Uint8Array() };

/** A transport whose answers are these, in turn; the last one again and again. Its clock stands still until it is moved. */
function scripted(t: TestContext, ...answers: (() => Response)[]): { transport: Transport; asked: () => number } {
  let asked = 0;
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.mock.method(Math, "random", () => 0.5);
  t.mock.method(globalThis, "fetch", async () => answers[Math.min(asked++, answers.length - 1)]!());
  return { transport: new Transport("http://c"), asked: () => asked };
}

const refusal = (status: number, headers: Record<string, string> = {}, body = PROBLEM) => () => new Response(body, { status, headers });
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The pause before the second request, in seconds, to a tenth of one. */
async function pause(t: TestContext, wish: string): Promise<number> {
  const { transport, asked } = scripted(t, refusal(429, { "Retry-After": wish }), () => new Response("{}"));
  const done = transport.call(call, (body) => body.length);
  let tenths = 0;
  for (await settled(); asked() < 2 && tenths < 10_000; tenths++) {
    t.mock.timers.tick(100);
    await settled();
  }
  assert.equal(await done, 2);
  return tenths / 10;
}

/** The error of a call whose fault lasts, and how often it was tried. */
async function lasting(t: TestContext, answer: () => Response, parse: (body: Uint8Array) => unknown = () => 0): Promise<[unknown, number]> {
  const { transport, asked } = scripted(t, answer);
  let ended: unknown;
  void transport.call(call, parse).catch((error: unknown) => (ended = error));
  for (let ticks = 0; ticks < 100 && !ended; ticks++) {
    await settled();
    t.mock.timers.tick(1000);
  }
  return [ended, asked()];
}

for (const [wish, seconds] of [["7", 7], ["86400", 300], ["9999999", 0.4], ["Fri, 31 Dec 2099 23:59:59 GMT", 0.4], ["-1", 0.4], ["1.5", 0.4]] as const)
  test(`Retry-After: ${wish}`, async (t) => assert.equal(await pause(t, wish), seconds));

test("a lasting outage, an answer that never parses or is too long: nobody is there", async (t) => {
  const refuse = (): never => {
    throw new InvalidInput("no answer", "none");
  };
  for (const [answer, parse] of [
    [refusal(503), undefined],
    [() => new Response("<html>"), refuse],
    [() => new Response(" ".repeat(1_000_001)), undefined],
    [refusal(422, {}, "<html>"), undefined],
  ] as const) {
    const [error, asked] = await lasting(t, answer, parse);
    assert.ok(error instanceof Unavailable);
    assert.equal(asked, 4);
    t.mock.reset();
    t.mock.timers.reset();
  }
});

test("a body that the coordinator never takes is refused at last", async (t) => {
  const [error, asked] = await lasting(t, refusal(422));
  assert.ok(error instanceof Refused && error.code === "busy" && error.status === 422);
  assert.equal(asked, 4);
});

test("a refusal with a problem document is the coordinator's, one without is a stranger's; neither is repeated", async (t) => {
  const [ours, first] = await lasting(t, refusal(401));
  assert.ok(ours instanceof Refused && ours.status === 401);
  t.mock.reset();
  t.mock.timers.reset();
  const [theirs, second] = await lasting(t, refusal(401, {}, "<html>"));
  assert.ok(theirs instanceof Unavailable);
  assert.deepEqual([first, second], [1, 1]);
});

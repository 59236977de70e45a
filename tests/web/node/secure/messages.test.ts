/** The steps of a secure round as they are read, and the ledger of what was masked. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GroupRefused, InvalidInput } from "../../../../web/src/core/errors.ts";
import { EMPTY, entered } from "../../../../web/src/secure/ledger.ts";
import { parseInbox, parseStep } from "../../../../web/src/secure/messages.ts";
import { vectors } from "../vectors.ts";

const { roster, told_survivors, told_agreements, members } = vectors("secure/session.json");
const step = (value: object) => () => parseStep(JSON.stringify(value));

test("a step holds what it needs, and nothing else", () => {
  const good = [
    { step: "wait", retry_after_seconds: 0.5 },
    { step: "share", roster },
    { step: "mask", inbox: members[1].inbox },
    { step: "agree", survivors: told_survivors },
    { step: "reveal", agreements: told_agreements },
    { step: "done", reason: "summed" },
    { step: "again", reason: "too few" },
    { step: "closed", reason: "too late", of_tomorrow: 1 },
  ];
  for (const value of good) assert.equal(step(value)().step, value.step);
  for (const value of good) {
    assert.throws(step({ step: value.step }), InvalidInput);
    if (value.step !== "wait") assert.throws(step({ ...value, retry_after_seconds: 1 }), InvalidInput);
    if (!("reason" in value)) assert.throws(step({ ...value, reason: "why" }), InvalidInput);
  }
  assert.throws(step({ step: "sing", reason: "why" }), InvalidInput);
});

test("members come in ascending order, each once", () => {
  const { session, sealed } = members[1].inbox;
  const inbox = (boxes: unknown[]) => () => parseInbox(JSON.stringify({ session, sealed: boxes }));
  assert.equal(inbox(sealed)().sealed.length, sealed.length);
  assert.throws(inbox([...sealed].reverse()), InvalidInput);
  assert.throws(inbox([sealed[0], sealed[0]]), InvalidInput);
  assert.throws(inbox([{ ...sealed[0], index: 65 }]), InvalidInput);
  assert.throws(inbox([{ ...sealed[0], box: sealed[0].box.slice(2) }]), InvalidInput);
});

test("a device masks once for a round, and twice at most from one checkpoint", () => {
  const once = entered(EMPTY, "t-1", 3, "aa");
  for (const round of [2, 3]) assert.throws(() => entered(once, "t-1", round, "bb"), GroupRefused);
  const twice = entered(once, "t-1", 4, "aa");
  for (const task of ["t-1", "t-2"]) assert.throws(() => entered(twice, task, 5, "aa"), GroupRefused);
  assert.equal(entered(twice, "t-1", 5, "bb").rounds["t-1"], 5);
});

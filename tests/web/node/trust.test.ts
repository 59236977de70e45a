/** Links name the coordinator's key; rounds and epochs never go back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { IntegrityError, InvalidInput } from "../../../web/src/core/errors.ts";
import { parseFragment } from "../../../web/src/core/links.ts";
import type { Assignment } from "../../../web/src/core/wire.ts";
import { type Trust, admitted } from "../../../web/src/device/trust.ts";

const ONE = "0f".repeat(16);
const TWO = "1e".repeat(16);
const NOTHING: Trust = { epoch: 0, rounds: [] };
const ASSIGNMENT: Assignment = {
  assignment_id: "a",
  task_id: "t",
  round: 3,
  task_sha256: "1".repeat(64),
  manifest_sha256: "2".repeat(64),
  checkpoint_sha256: "3".repeat(64),
  checkpoint_bytes: 4,
  compute_lease_seconds: 300,
  upload_lease_seconds: 60,
  upload_token: "u",
  epoch: 2,
  clip_millionths: 0,
  signature: "",
  seal: null,
};

test("what a link's fragment says", () => {
  assert.deepEqual(parseFragment(`abc_-1.${ONE}`), { token: "abc_-1", coordinator: ONE, publishers: [] });
  assert.deepEqual(parseFragment(`t.${ONE}.${TWO}`), { token: "t", coordinator: ONE, publishers: [TWO] });
});

for (const fragment of ["", "token", `.${ONE}`, `t.${ONE.slice(1)}`, `t.${ONE.toUpperCase()}`, `t.${ONE}.`, `a b.${ONE}`])
  test(`no link's fragment: "${fragment}"`, () => {
    assert.throws(() => parseFragment(fragment), InvalidInput);
  });

const refused: Record<string, Partial<Assignment>> = {
  "an older round": { round: 2 },
  "the same round from other weights": { checkpoint_sha256: "9".repeat(64) },
  "the same round with another clipping norm": { clip_millionths: 64_000_000 },
  "a lower epoch": { epoch: 1, round: 9 },
};
for (const [name, changes] of Object.entries(refused))
  test(`${name} is refused`, () => {
    const trust = admitted(NOTHING, ASSIGNMENT);
    assert.throws(() => admitted(trust, { ...ASSIGNMENT, ...changes }), IntegrityError);
  });

const accepted: Record<string, Partial<Assignment>> = {
  "the same round again": { assignment_id: "b", compute_lease_seconds: 1 },
  "a newer round": { round: 4 },
  "an older round of another task": { task_id: "u", round: 1 },
  "an older round in a new epoch": { epoch: 3, round: 1 },
};
for (const [name, changes] of Object.entries(accepted))
  test(`${name} is accepted`, () => {
    const trust = admitted(admitted(NOTHING, ASSIGNMENT), { ...ASSIGNMENT, ...changes });
    assert.equal(trust.epoch, changes.epoch ?? 2);
  });

test("an epoch that is over doesn't come again", () => {
  const next = admitted(admitted(NOTHING, ASSIGNMENT), { ...ASSIGNMENT, epoch: 3, round: 1 });
  assert.throws(() => admitted(next, ASSIGNMENT), IntegrityError);
});

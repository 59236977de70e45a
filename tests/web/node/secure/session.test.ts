/** A whole session of ten with two losses: every message of every member, the sum, and what a member refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FedRelaError, GroupRefused } from "../../../../web/src/core/errors.ts";
import { fromHex, publicKeyOf } from "../../../../web/src/core/signing.ts";
import { parse } from "../../../../web/src/core/tensors.ts";
import { type Member, agree, mask, offer, reveal, share } from "../../../../web/src/secure/member.ts";
import { parseAgreements, parseInbox, parseRoster, parseSurvivors } from "../../../../web/src/secure/messages.ts";
import { apply, ownKey, pairKey } from "../../../../web/src/secure/pads.ts";
import { type Vectors, vectors } from "../vectors.ts";

const session = vectors("secure/session.json");
const read = <T>(parser: (body: string) => T, message: unknown): T => parser(JSON.stringify(message));
const roster = read(parseRoster, session.roster);
const survivors = read(parseSurvivors, session.told_survivors);
const agreements = read(parseAgreements, session.told_agreements);

function offered({ assignment_id, population, identity_private_key, secrets }: Vectors): Member {
  const identityKey = publicKeyOf(identity_private_key);
  const terms = { assignmentId: assignment_id, work: session.work, population, identityKey, smallestGroup: 5 };
  return offer(terms, secrets, identity_private_key);
}

/** A member as a tab that was killed finds it again. */
function restored(member: Member): Member {
  return JSON.parse(JSON.stringify(member)) as Member;
}

for (const values of session.members)
  test(`member ${values.index} says what the vectors say, killed after every step or not`, () => {
    let member = offered(values);
    const key = values.identity_private_key;
    assert.deepEqual(member.keys, roster.members[values.index - 1]!.keys);
    if (values.shares === null) return;
    const shared = share(restored(member), roster);
    assert.deepEqual(shared.shares, values.shares);
    assert.deepEqual(share(restored(shared.member), roster).shares, values.shares);
    if (values.inbox === null) return;
    const [inbox, vector] = [read(parseInbox, values.inbox), Int32Array.from(values.vector)];
    const masked = mask(restored(shared.member), inbox, vector, key);
    assert.deepEqual([...new Uint32Array(parse(masked.body).tensors.get("masked")!.data.buffer)], values.masked);
    assert.deepEqual(masked.proof, values.proof);
    assert.deepEqual(mask(restored(masked.member), inbox, vector, key).body, masked.body);
    const agreed = agree(restored(masked.member), survivors, key);
    assert.deepEqual(agreed.agreement, values.agreement);
    const revealed = reveal(restored(agreed.member), agreements);
    assert.deepEqual(revealed.revealed, values.reveal);
    const fewer = { ...agreements, agreements: [] };
    assert.deepEqual(reveal(restored(revealed.member), fewer).revealed, values.reveal);
  });

test("the survivors' words without their own pads and those of the vanished are the sum", () => {
  const total = new Int32Array(session.sum.length);
  const name = fromHex(session.session);
  const survived = session.members.filter(({ index }: Vectors) => session.survivors.includes(index));
  const vanished = session.members.filter(({ shares, masked }: Vectors) => shares && !masked);
  for (const { masked, secrets } of survived) {
    masked.forEach((word: number, at: number) => (total[at] = (total[at]! + word) | 0));
    apply(total, ownKey(fromHex(secrets.own_seed), name), -1);
  }
  for (const gone of vanished)
    for (const { index } of survived) {
      const other = fromHex(roster.members[index - 1]!.keys.mask_key);
      apply(total, pairKey(fromHex(gone.secrets.mask_key), other, name), gone.index < index ? 1 : -1);
    }
  assert.deepEqual([...total], session.sum);
});

const liedTo = session.members[session.member - 1];
const vector = Int32Array.from(liedTo.vector);
const toldBefore = { roster, inbox: read(parseInbox, liedTo.inbox), survivors };
const STEPS: Record<string, (member: Member, message: unknown) => unknown> = {
  share: (member, message) => share(member, read(parseRoster, message)),
  mask: (member, message) => mask(member, read(parseInbox, message), vector, liedTo.identity_private_key),
  agree: (member, message) => agree(member, read(parseSurvivors, message), liedTo.identity_private_key),
  reveal: (member, message) => reveal(member, read(parseAgreements, message)),
};

/** Member `session.member`, after the true messages of the steps before. */
function before(step: string): Member {
  const history = Object.entries(toldBefore).slice(0, Object.keys(STEPS).indexOf(step));
  return { ...offered(liedTo), ...Object.fromEntries(history) };
}

for (const { name, step, message } of session.refusals)
  test(`a member refuses to ${step}: ${name}`, () => {
    assert.throws(() => STEPS[step]!(before(step), message), FedRelaError);
  });

test("a second roster, inbox, vector or list of survivors ends a session", () => {
  const key = liedTo.identity_private_key;
  const other = { ...roster, threshold: roster.threshold + 1 };
  assert.throws(() => share(before("mask"), other), GroupRefused);
  const masked = mask(before("mask"), toldBefore.inbox, vector, key).member;
  assert.throws(() => mask(masked, { ...toldBefore.inbox, sealed: toldBefore.inbox.sealed.slice(1) }, vector, key), GroupRefused);
  assert.throws(() => mask(masked, toldBefore.inbox, vector.map((word) => word + 1), key), GroupRefused);
  const agreed = agree(masked, survivors, key).member;
  assert.throws(() => agree(agreed, { ...survivors, proofs: survivors.proofs.slice(1) }, key), GroupRefused);
});

test("a step that comes before the one it needs is refused", () => {
  for (const step of ["mask", "agree", "reveal"]) {
    const told = { mask: toldBefore.inbox, agree: survivors, reveal: agreements }[step];
    assert.throws(() => STEPS[step]!(before("share"), told), GroupRefused);
  }
});

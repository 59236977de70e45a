/** Ciphers, shares, boxes, statements and certificates of secure aggregation against the conformance vectors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GroupRefused, IntegrityError, InvalidInput } from "../../../../web/src/core/errors.ts";
import { parseFragment } from "../../../../web/src/core/links.ts";
import { fingerprint, fromHex, hex, publicKeyOf, sign, verify } from "../../../../web/src/core/signing.ts";
import { agree, checkAgreementKey, deriveKey, keystream } from "../../../../web/src/secure/ciphers.ts";
import { multiply } from "../../../../web/src/secure/field.ts";
import { certify, checkCertificate, readPart } from "../../../../web/src/secure/fleet.ts";
import { apply, ownKey, pairKey } from "../../../../web/src/secure/pads.ts";
import { seal, unseal } from "../../../../web/src/secure/sealing.ts";
import { split } from "../../../../web/src/secure/shamir.ts";
import * as statements from "../../../../web/src/secure/statements.ts";
import { vectors } from "../vectors.ts";

const primitives = vectors("secure/primitives.json");
const sharing = vectors("secure/sharing.json");
const signed = vectors("secure/statements.json");

test("X25519, and keys of small order", () => {
  for (const { private_key, public_key, secret } of primitives.x25519) {
    const [own, other] = [fromHex(private_key), fromHex(public_key)];
    if (secret !== null) assert.equal(hex(agree(own, other)), secret);
    else for (const refuse of [() => agree(own, other), () => checkAgreementKey(other)]) assert.throws(refuse, GroupRefused);
  }
});

test("keys of private keys are taken, and no others", () => {
  assert.ok(primitives.agreement_keys.length > 18);
  for (const { key, taken } of primitives.agreement_keys)
    if (taken) checkAgreementKey(fromHex(key));
    else assert.throws(() => checkAgreementKey(fromHex(key)), GroupRefused);
});

test("HKDF", () => {
  for (const { secret, info, key } of primitives.hkdf) assert.equal(hex(deriveKey(fromHex(secret), fromHex(info))), key);
});

test("pads, added and taken off, of any length", () => {
  for (const { key, words } of primitives.pads) {
    const padded = new Int32Array(words.length);
    apply(padded, fromHex(key), 1);
    assert.deepEqual([...new Uint32Array(padded.buffer)], words);
    apply(padded, fromHex(key), -1);
    assert.ok(padded.every((word) => word === 0));
  }
});

test("a pad is the library's keystream, of any length, in the middle of a larger array, added or taken off", () => {
  const key = fromHex("5e".repeat(32));
  const bytes: number[] = [];
  for (const strip of keystream(key, 4 * 20_011)) bytes.push(...strip);
  const expected = new Int32Array(Uint8Array.from(bytes).buffer);
  for (const length of [0, 1, 15, 16, 17, 31, 4096, 20_011])
    for (const sign of [1, -1] as const) {
      const around = new Int32Array(length + 6).fill(-7);
      apply(around.subarray(3, 3 + length), key, sign);
      const words = Array.from({ length }, (_, at) => (-7 + sign * expected[at]!) | 0);
      assert.deepEqual([...around], [-7, -7, -7, ...words, -7, -7, -7]);
    }
});

test("a pad goes on from one strip to the next", () => {
  const long = new Int32Array(40_000);
  const [short, key] = [long.slice(0, 20_000), fromHex("07".repeat(32))];
  for (const words of [long, short]) apply(words, key, 1);
  assert.deepEqual(long.subarray(0, 20_000), short);
  assert.notDeepEqual(long.subarray(0, 16_384), long.subarray(16_384, 32_768));
});

test("the keys of a pair and of oneself", () => {
  const { pair_key, own_key } = primitives;
  assert.equal(hex(pairKey(fromHex(pair_key.mask_key), fromHex(pair_key.public_key), fromHex(pair_key.session))), pair_key.key);
  assert.equal(hex(ownKey(fromHex(own_key.own_seed), fromHex(own_key.session))), own_key.key);
});

test("a box opens for its receiver alone", () => {
  const { box, session, sender, receiver, ...item } = primitives.box;
  const address = { session: fromHex(session), sender, receiver };
  const shares = { ownSeed: fromHex(item.own_seed_share), maskKey: fromHex(item.mask_key_share) };
  assert.equal(hex(seal(agree(fromHex(item.seal_key), fromHex(item.receiver_public_key)), address, shares)), box);
  const open = (to: number, body: string) => unseal(agree(fromHex(item.receiver_seal_key), fromHex(item.sender_public_key)), { ...address, receiver: to }, fromHex(body));
  assert.deepEqual(open(receiver, box), shares);
  assert.equal(open(receiver + 1, box), undefined);
  assert.equal(open(receiver, box.replace(/^./, box.startsWith("0") ? "1" : "0")), undefined);
});

test("shares over GF(2^8)", () => {
  for (const { left, right, product } of sharing.products) assert.equal(multiply(left, right), product);
  for (const { secret, threshold, coefficients, shares } of sharing.split)
    assert.deepEqual(split(fromHex(secret), threshold, shares.length, fromHex(coefficients)).map(hex), shares);
  for (const [members, threshold] of sharing.thresholds) assert.equal(statements.threshold(members), threshold);
});

test("what is signed and hashed", () => {
  const { commitment, senders, masked, survivors } = signed;
  for (const { work, assignment_id, identity_key, keys, message } of signed.keys) {
    const statement = statements.keysStatement(work, assignment_id, keys.mask_key, keys.seal_key);
    assert.equal(hex(statement), message);
    verify(identity_key, statement, keys.signature);
  }
  assert.equal(statements.commitment(fromHex(commitment.session), fromHex(commitment.own_seed)), commitment.commitment);
  assert.equal(statements.sendersHash(senders.indices), senders.sha256);
  assert.equal(hex(statements.maskedStatement(masked.session, masked.senders_sha256, masked.words_sha256)), masked.message);
  assert.equal(hex(statements.survivorsStatement(survivors.session, survivors.survivors, survivors.senders_sha256)), survivors.message);
});

for (const { name, certificate, identity_key, population, pinned, valid } of signed.certificates)
  test(`a certificate: ${name}`, () => {
    const check = (): void => checkCertificate(certificate, identity_key, population, pinned);
    if (valid) check();
    else assert.throws(check, GroupRefused);
  });

test("a device certifies itself with what its link holds", () => {
  const [population, identityKey, seeds] = ["fleet.1", publicKeyOf("03".repeat(32)), ["01", "02"].map((byte) => byte.repeat(32))] as const;
  const [fleetKey, tokenKey] = seeds.map(publicKeyOf) as [string, string];
  const word = sign(seeds[0]!, statements.fleetTokenStatement(population, tokenKey));
  const pinned = `token.${"0".repeat(32)}.${"1".repeat(32)}`;
  const { fleet = "", ...others } = parseFragment(`${pinned}.fleet-${fleetKey}-${seeds[1]}-${word}-${population}`);
  assert.deepEqual(others, parseFragment(pinned));
  checkCertificate(certify(readPart(fleet), identityKey), identityKey, population, fingerprint(fleetKey));
  assert.throws(() => readPart(fleet.replace(word, sign(seeds[1]!, new Uint8Array()))), IntegrityError);
  for (const wrong of [`${pinned}.fleet-${fleetKey}`, `${pinned}.${fleet}.`.replace("fleet-", "fleet"), `${pinned}.${fleet}!`])
    assert.throws(() => parseFragment(wrong), InvalidInput);
});

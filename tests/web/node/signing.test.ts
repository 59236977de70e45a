/** Hashes, Ed25519 and the signed messages against the conformance vectors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { IntegrityError } from "../../../web/src/core/errors.ts";
import { newestKey } from "../../../web/src/core/key-chain.ts";
import { checkSeal, sealMessage } from "../../../web/src/core/seals.ts";
import { signedHeaders } from "../../../web/src/core/signed-requests.ts";
import { checkHash, fingerprint, fromHex, hash, hex, verify } from "../../../web/src/core/signing.ts";
import { assignmentStatement, enrollmentStatement } from "../../../web/src/core/statements.ts";
import { vectors } from "./vectors.ts";

const document = vectors("signing.json");

test("sha256", () => {
  for (const { message, sha256 } of document.sha256) assert.equal(hash(fromHex(message)), sha256);
  assert.throws(() => checkHash(new Uint8Array(1), hash(new Uint8Array(2)), "x"), IntegrityError);
});

for (const { name, public_key, message, signature, valid } of document.ed25519)
  test(`ed25519: ${name ?? "good"}`, () => {
    const check = (): void => verify(public_key, fromHex(message), signature);
    if (valid) check();
    else assert.throws(check, IntegrityError);
  });

test("a seal is by a pinned publisher, over that very manifest", () => {
  const { message, fingerprint, ...sealed } = document.seal;
  assert.equal(hex(sealMessage(sealed.manifest_sha256, sealed.weights_sha256)), message);
  checkSeal(sealed, sealed.manifest_sha256, ["0".repeat(32), fingerprint]);
  assert.throws(() => checkSeal(null, sealed.manifest_sha256, [fingerprint]), IntegrityError);
  assert.throws(() => checkSeal(sealed, sealed.manifest_sha256, []), IntegrityError);
  assert.throws(() => checkSeal(sealed, sealed.weights_sha256, [fingerprint]), IntegrityError);
  assert.throws(() => checkSeal({ ...sealed, weights_sha256: sealed.manifest_sha256 }, sealed.manifest_sha256, [fingerprint]), IntegrityError);
});

test("what is signed of an assignment", () => {
  for (const { message, public_key, signature, device_id, population, nonce, assignment } of document.assignments) {
    const statement = assignmentStatement(assignment, device_id, population, nonce);
    assert.equal(hex(statement), message);
    verify(public_key, statement, signature);
  }
});

test("what is signed of an enrollment", () => {
  const { message, public_key, signature, enrollment_token, coordinator, coordinator_key } = document.enrollment;
  const statement = enrollmentStatement(enrollment_token, public_key, coordinator);
  assert.equal(fingerprint(coordinator_key), coordinator);
  assert.equal(hex(statement), message);
  verify(public_key, statement, signature);
});

for (const { private_key, method, path, body, headers } of document.requests)
  test(`signed request: ${method} ${path}`, () => {
    assert.deepEqual(signedHeaders(private_key, method, path, fromHex(body)), headers);
  });

for (const { name, rotations, pinned, newest } of document.key_chains)
  test(`key chain: ${name}`, () => {
    if (newest === null) assert.throws(() => newestKey({ rotations }, pinned), IntegrityError);
    else assert.equal(newestKey({ rotations }, pinned), newest);
  });

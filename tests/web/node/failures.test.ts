/** Each fault of failures.json has its code; those that need a coordinator are played in `tests/web/test_http_cases.py`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { IntegrityError, InvalidInput, NotEligible, VerificationFailed } from "../../../web/src/core/errors.ts";
import { verifyGolden } from "../../../web/src/core/golden.ts";
import { onnxFile, parseManifest } from "../../../web/src/core/manifest.ts";
import { checkSeal } from "../../../web/src/core/seals.ts";
import { checkHash, verify } from "../../../web/src/core/signing.ts";
import { parseTask } from "../../../web/src/core/task.ts";
import { parseAs } from "../../../web/src/core/tensors.ts";
import { checkFeatures } from "../../../web/src/core/wire.ts";
import { failureCode } from "../../../web/src/device/faults.ts";
import { AssignmentFailed, lateFailure } from "../../../web/src/device/held.ts";
import { Engine } from "../../../web/src/engine/engine.ts";
import { file, vectors } from "./vectors.ts";

const manifest = parseManifest(file("rounds/bundle/manifest.json"));
const none = new Uint8Array();
const raise = (error: Error) => (): never => {
  throw error;
};
const paused = raise(new AssignmentFailed("not-eligible", "paused", "none"));
const bad = new TextEncoder().encode("no program");
const elsewhere = { ...manifest, predict: { ...manifest.predict, files: [] } };
const newer = { ...manifest, train_step: { ...manifest.train_step, files: manifest.train_step.files.map((item) => ({ ...item, min_runtime_version: "999.0" })) } };

const faults: Record<string, () => unknown> = {
  "the pinned key did not sign the assignment": () => verify("00".repeat(32), none, "00".repeat(64)),
  "no publisher that the link names has signed the program": () => checkSeal(null, "00".repeat(32), ["00".repeat(16)]),
  "a blob does not match its hash, three times": () => checkHash(none, "00".repeat(32), "a blob"),
  "a blob is longer than announced": raise(new IntegrityError("too long", "none")),
  "a task is longer than 1 000 000 bytes, a manifest than 16 000 000": raise(new IntegrityError("too long", "none")),
  "more bytes are announced than the model needs or this device takes": raise(new IntegrityError("too long", "none")),
  "the golden steps give other outputs": raise(new VerificationFailed("off", "none")),
  "the golden outputs can't be compared": () => verifyGolden(manifest, new Map(), async () => new Map()),
  "the bundle has no program for a runtime of this device": () => onnxFile(elsewhere, "predict"),
  "the programs need a newer runtime": () => Engine.open(newer, new Map()),
  "the runtime can't load a program": () => Engine.open(manifest, new Map([["train_step", bad], ["predict", bad], ["relabel", bad]])),
  "the task requires a feature that this client doesn't know": () => checkFeatures({ requires: ["telepathy"] }),
  "the manifest requires a feature that this client doesn't know": () => checkFeatures({ requires: ["telepathy"] }),
  "this device holds fewer examples than the task asks for": paused,
  "the local data can't be used, or fed to this model": raise(new NotEligible("no pictures", "none")),
  "the lease ended while training was paused": paused,
  "the global model predicts values that are not finite": raise(new AssignmentFailed("model-unusable", "no numbers", "none")),
  "the lease ended while training": raise(lateFailure()),
  "the lease ended before the upload": raise(lateFailure()),
  "the task is malformed": () => parseTask("{"),
  "a value of the task is beyond its limits": () => parseTask('{"name":"a","rounds":0}'),
  "the manifest is malformed or breaks a rule": () => parseManifest("{}"),
  "the weights are malformed or not those of the manifest": () => parseAs(none, []),
  "predictions on the local data are not finite": raise(new InvalidInput("not finite", "none")),
  "the loss is no longer finite": raise(new Error("not finite")),
  "a program fails while it runs": raise(new Error("of the runtime")),
  "there is not enough memory": raise(new RangeError("out of memory")),
};

for (const { fault, code } of vectors("failures.json").faults)
  test(`${fault}: ${code}`, async () => {
    const caught = await Promise.resolve().then(faults[fault]!).then(() => assert.fail("nothing was thrown"), (error: unknown) => error);
    assert.equal(failureCode(caught), code);
  });

/** Clipping norms: what a device takes and what it refuses, as the conformance vectors say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { IntegrityError } from "../../../../web/src/core/errors.ts";
import { parseTask } from "../../../../web/src/core/task.ts";
import { clipNorm, firstClip } from "../../../../web/src/secure/clipping.ts";
import { vectors } from "../vectors.ts";

const { norms } = vectors("secure/clipping.json");

for (const { name, privacy, clip_millionths, norm } of norms)
  test(`a clipping norm: ${name}`, () => {
    const task = parseTask(JSON.stringify({ name: "a", rounds: 1, privacy }));
    if (norm === null) assert.throws(() => clipNorm(task.privacy, clip_millionths), IntegrityError);
    else assert.equal(clipNorm(task.privacy, clip_millionths), norm);
    clipNorm(task.privacy, firstClip(task.privacy)); // is one that it can have
  });

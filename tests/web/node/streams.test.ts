/** Philox, derivation, words, uniforms and permutations against the conformance vectors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Label, derive, permutation, philox, uniforms, words } from "../../../web/src/core/streams.ts";
import { fromHex } from "../../../web/src/core/signing.ts";
import { vectors } from "./vectors.ts";

const document = vectors("streams.json");

test("philox gives the published answers", () => {
  for (const { counter, key, output } of document.philox4x32_10) {
    const number = (hex: string): number => Number.parseInt(hex, 16);
    const out = new Uint32Array(4);
    philox(counter.map(number), key.map(number), out, 0);
    assert.deepEqual([...out], output.map(number));
  }
});

test("derive", () => {
  for (const { secret, labels, key, nonce } of document.derive)
    assert.deepEqual(derive(fromHex(secret), ...(labels as Label[])), { key, nonce });
});

test("words", () => {
  for (const { key, nonce, count, words: want } of document.words)
    assert.deepEqual([...words({ key, nonce }, count)], want);
});

test("uniforms are exact", () => {
  for (const { key, nonce, numerators } of document.uniforms)
    assert.deepEqual([...uniforms({ key, nonce }, numerators.length)].map((u) => u * 2 ** 24), numerators);
});

test("permutation", () => {
  for (const { key, nonce, n, permutation: want } of document.permutation)
    assert.deepEqual([...permutation({ key, nonce }, n)], want);
});

/** A sample is what its owner called it: never the class that happens to stand at the same place of another model. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Manifest, parseManifest } from "../../../../web/src/core/manifest.ts";
import { asClass, classifier, saidOf, wordOf } from "../../../../web/src/samples/classes.ts";
import { formOf, load } from "../../../../web/src/device/examples.ts";
import type { Sample, Store } from "../../../../web/src/device/store.ts";
import { file } from "../vectors.ts";

const plain = parseManifest(file("rounds/bundle/manifest.json"));
const width = plain.train_step.inputs.find((item) => item.role === "x")!.shape.slice(1).reduce<number>((all, each) => all * Number(each), 1);
const named = (...class_names: string[]): Manifest => ({ ...plain, classes: class_names.length, class_names });
const pets = named("cat", "dog", "café");
const sorted = (manifest: Manifest, number: number): Sample => ({ words: [wordOf(manifest, number)], form: formOf(plain), data: new Uint8Array(width) });
const holding = (...held: Sample[]): Store => ({ samples: async () => held.map((sample, id) => ({ id, ...sample })) }) as unknown as Store;

test("a sample is found by its word, wherever another model has it", () => {
  const elsewhere = named("mouse", "cafe\u0301", "cat");
  assert.equal(classifier(pets)(sorted(pets, 0)), 0);
  assert.equal(classifier(elsewhere)(sorted(pets, 0)), 2);
  assert.equal(classifier(elsewhere)(sorted(pets, 2)), 1); // the same word in another spelling of its accent
});

test("a place in another model's order is no class, with names and without", () => {
  assert.equal(classifier(named("ant", "bee", "wasp"))(sorted(pets, 1)), undefined);
  assert.equal(classifier({ ...plain, name: "another model" })(sorted(plain, 1)), undefined);
  assert.equal(classifier(pets)(sorted(plain, 1)), undefined);
  assert.equal(classifier(pets)({ label: 1, form: formOf(plain), data: new Uint8Array(width) }), undefined);
});

test("what does not fit is left out until its owner says what it is, and then fits both tasks", async () => {
  const insects = named("ant", "bee");
  const [dog, bee] = [sorted(pets, 1), sorted(insects, 1)];
  await assert.rejects(load(holding(dog), insects), /another task's classes/);
  assert.deepEqual((await load(holding(dog, bee), insects)).keys, [1]);
  const asked = asClass(dog, insects, 0);
  assert.deepEqual([...(await load(holding(asked, bee), insects)).labels], [0, 1]);
  assert.equal(classifier(pets)(asked), 1);
  assert.equal(classifier(insects)(asClass(asked, insects, 1)), 1); // said anew: the earlier word goes
  assert.equal(saidOf(asked), "“dog” or “ant”");
});

test("two words that are two classes of one model are a question", () => {
  assert.equal(classifier(named("dog", "ant", "cat"))(asClass(sorted(pets, 1), named("ant", "bee"), 0)), undefined);
});

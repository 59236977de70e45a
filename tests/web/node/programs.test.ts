/** ONNX files that a page refuses before its runtime sees them, and those that it takes, as the conformance vectors say. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { InvalidInput } from "../../../web/src/core/errors.ts";
import { ATTRIBUTES, OPSETS } from "../../../web/src/core/onnx-files/operators.ts";
import { MOST_DEPTH, MOST_FIELDS, MOST_OPERATORS, MOST_PASSES, checkProgram } from "../../../web/src/core/onnx-files/rules.ts";
import { bytes, file, vectors } from "./vectors.ts";

const document = vectors("programs.json");

for (const { name, valid, base64 } of document.cases)
  test(`${valid ? "takes" : "refuses"}: ${name}`, () => {
    const check = (): void => checkProgram(bytes(base64), "p");
    if (valid) check();
    else assert.throws(check, InvalidInput);
  });

test("the lists and limits are those of the vectors", () => {
  assert.deepEqual(Object.fromEntries([...ATTRIBUTES].map(([name, attributes]) => [name, [...attributes].sort()])), document.operators);
  assert.deepEqual([...OPSETS], document.opsets);
  const limits = { operators: MOST_OPERATORS, fields: MOST_FIELDS, graphs_within_graphs: MOST_DEPTH, passes: MOST_PASSES };
  assert.deepEqual(limits, document.limits);
});

test("every program of the vectors is taken", () => {
  const folder = path.resolve(process.cwd(), "../conformance/vectors");
  const programs = readdirSync(folder, { recursive: true, encoding: "utf-8" }).filter((name) => name.endsWith(".onnx"));
  assert.ok(programs.length > 10);
  for (const name of programs) checkProgram(file(name), name);
});

test("millions of fields are refused, and not looked through", () => {
  const graph = new Uint8Array(16_000_000).fill(0);
  for (let at = 0; at < graph.length; at += 2) graph[at] = 0x12; // the graph's name, empty, again and again
  const head = [0x3a, 0x80, 0xc8, 0xd0, 0x07]; // field 7 of 16 000 000 bytes
  const whole = new Uint8Array(head.length + graph.length + 4);
  whole.set(head);
  whole.set(graph, head.length);
  whole.set([0x42, 0x02, 0x10, 0x12], head.length + graph.length);
  assert.throws(() => checkProgram(whole, "p"), /more fields/);
});

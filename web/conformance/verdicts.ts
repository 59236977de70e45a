/**
 * The page's verdicts on bodies, for `python -m fedrela.conformance.differential`: a line of JSON for every case on the
 * standard input, `{"kind": "Task", "body": base64}`; a line for each on the standard output: "accepted", "refused", or
 * "foreign: " and what happened.
 *
 *     cd web && npx tsc -p tsconfig.test.json && cd ..
 *     python -m fedrela.conformance.differential --client "page=node web/.test-build/web/conformance/verdicts.js"
 */
import { createInterface } from "node:readline";
import { FedRelaError } from "../src/core/errors.ts";
import { READERS } from "./readers.ts";

function verdict(line: string): string {
  const { kind, body } = JSON.parse(line) as { kind: string; body: string };
  try {
    READERS[kind]!(new Uint8Array(Buffer.from(body, "base64")));
    return "accepted";
  } catch (error) {
    return error instanceof FedRelaError ? "refused" : `foreign: ${String(error).replaceAll("\n", " ").slice(0, 80)}`;
  }
}

createInterface({ input: process.stdin }).on("line", (line) => process.stdout.write(`${verdict(line)}\n`));

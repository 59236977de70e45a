/** The conformance vectors, read from the repository. */
import { readFileSync } from "node:fs";
import path from "node:path";

const FOLDER = path.resolve(process.cwd(), "../conformance/vectors");

export type Vectors = any;

export function vectors(name: string): Vectors {
  return JSON.parse(readFileSync(path.join(FOLDER, name), "utf-8"));
}

export function file(name: string): Uint8Array {
  return new Uint8Array(readFileSync(path.join(FOLDER, name)));
}

export function bytes(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, "base64"));
}

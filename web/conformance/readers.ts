/** The page's reader of each kind of body, by its name in the conformance vectors. */
import { parseManifest } from "../src/core/manifest.ts";
import { checkProgram } from "../src/core/onnx-files/rules.ts";
import { parseTask } from "../src/core/task.ts";
import { parse as parseTensors } from "../src/core/tensors.ts";
import { parseCheckInResponse, parseEnrollResponse, parseProblem, parseUpdateReceipt } from "../src/core/wire.ts";
import { parseStep } from "../src/secure/messages.ts";

export const READERS: Record<string, (body: Uint8Array) => unknown> = {
  CheckInResponse: parseCheckInResponse,
  EnrollResponse: parseEnrollResponse,
  UpdateReceipt: parseUpdateReceipt,
  Problem: parseProblem,
  SecureStep: parseStep,
  Task: parseTask,
  Manifest: parseManifest,
  Safetensors: parseTensors,
  Program: (body) => checkProgram(body, "p"),
};

/** What keys sign, as bytes. See the Python `fedrela.core.protocol.statements`. */
import { fingerprint } from "./signing.ts";
import type { Assignment } from "./wire.ts";

/** An assignment as it is signed: all but its upload token, a secret, and bound to the check-in that it answers. */
export function assignmentStatement(item: Unsigned, deviceId: string, population: string, nonce: string): Uint8Array {
  return lines(
    "fedrela/v1/assignment",
    deviceId,
    population,
    nonce,
    String(item.epoch),
    item.assignment_id,
    ...work(item),
    milliseconds(item.compute_lease_seconds),
    milliseconds(item.upload_lease_seconds),
  );
}

type Unsigned = Omit<Assignment, "signature">;

/** What an assignment asks for, whoever does it and for how long: task, round, program, weights, a clipping norm if it has one. */
export function work(item: Unsigned): string[] {
  const clip = item.clip_millionths ? [String(item.clip_millionths)] : [];
  const program = [item.task_id, String(item.round), item.task_sha256, item.manifest_sha256];
  return [...program, item.checkpoint_sha256, String(item.checkpoint_bytes), ...clip];
}

/** A proof that whoever enrolls holds the private half of `publicKey`. `coordinator`: the link's fingerprint. */
export function enrollmentStatement(token: string, publicKey: string, coordinator: string): Uint8Array {
  return lines("fedrela/v1/enrollment", token, publicKey, coordinator);
}

/** That `publicKey` takes the place of `formerKey`. */
export function keyRotationStatement(formerKey: string, publicKey: string): Uint8Array {
  return lines("fedrela/v1/key-rotation", fingerprint(formerKey), publicKey);
}

/** The nearest whole number, halves up: the same in every language. */
function milliseconds(seconds: number): string {
  return String(Math.floor(1000 * seconds + 0.5));
}

/** Lines of text as bytes, each ended by a line feed. */
export function lines(...parts: string[]): Uint8Array {
  return new TextEncoder().encode([...parts, ""].join("\n"));
}

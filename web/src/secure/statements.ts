/**
 * What members sign and hash, as bytes: lines of text, the first of which says what it is, each ended by a line feed. See the
 * Python `fedrela.core.secure.statements`.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { hash, hex } from "../core/signing.ts";
import { lines } from "../core/statements.ts";
import type { Roster } from "./messages.ts";

/** What a member has trained: all members of a group the same, but for their assignments' names. No clipping norm: the task's own. */
export interface Work {
  task_sha256: string;
  manifest_sha256: string;
  checkpoint_sha256: string;
  round: number;
  clip_millionths?: number;
}

/** How many shares give a secret back: two thirds of the group and one more, so that no two lists can both pass. */
export function threshold(members: number): number {
  return Math.floor((2 * members) / 3) + 1;
}

/** Signed by a member's identity key: these keys are mine, for this work. */
export function keysStatement(work: Work, assignmentId: string, maskKey: string, sealKey: string): Uint8Array {
  const { task_sha256, manifest_sha256, checkpoint_sha256, round, clip_millionths } = work;
  const clip = clip_millionths ? [String(clip_millionths)] : [];
  const trained = [task_sha256, manifest_sha256, checkpoint_sha256, String(round), ...clip];
  return lines("fedrela/v1/secure-keys", assignmentId, ...trained, maskKey, sealKey);
}

/** The session's name, 32 bytes: a hash of all that the members must agree on before they send anything secret. */
export function sessionName(roster: Roster, work: Work): Uint8Array {
  const digest = sha256.create().update(lines("fedrela/v1/secure-session", String(roster.threshold)));
  for (const { index, identity_key, assignment_id, keys } of roster.members)
    digest.update(lines(String(index), identity_key)).update(keysStatement(work, assignment_id, keys.mask_key, keys.seal_key));
  return digest.digest();
}

/** What tells a rebuilt own seed from a wrong one. */
export function commitment(session: Uint8Array, ownSeed: Uint8Array): string {
  return hash(concatBytes(utf8ToBytes("fedrela/v1/secure-own\n"), session, ownSeed));
}

/** The hash of who has sent shares, and so of whose pads are in a masked body. `senders`: ascending. */
export function sendersHash(senders: readonly number[]): string {
  return hash(Uint8Array.from(senders));
}

/** Signed by a member: I masked these words for the senders of that hash. */
export function maskedStatement(session: string, sendersSha: string, wordsSha: string): Uint8Array {
  return lines("fedrela/v1/secure-masked", session, sendersSha, wordsSha);
}

/** Signed by a member: I was told that these survived of those senders, and nothing else. `indices`: ascending. */
export function survivorsStatement(session: string, indices: readonly number[], sendersSha: string): Uint8Array {
  return lines("fedrela/v1/secure-survivors", session, hex(Uint8Array.from(indices)), sendersSha);
}

/** Signed by a fleet's key: devices that this token's key names belong to the fleet. */
export function fleetTokenStatement(population: string, tokenKey: string): Uint8Array {
  return lines("fedrela/v1/fleet-token", population, tokenKey);
}

/** Signed by a token's key: this device belongs to the fleet. */
export function fleetDeviceStatement(population: string, identityKey: string): Uint8Array {
  return lines("fedrela/v1/fleet-device", population, identityKey);
}

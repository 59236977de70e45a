/**
 * What a device keeps of secure rounds: the session, kept before each send, so that a tab that was killed sends the same bytes;
 * and, for as long as it is enrolled, which rounds it has masked for.
 */
import { hex } from "../../core/signing.ts";
import type { Assignment } from "../../core/wire.ts";
import { KEY_BYTES } from "../../secure/ciphers.ts";
import { EMPTY, type Ledger, entered } from "../../secure/ledger.ts";
import type { Member, Secrets } from "../../secure/member.ts";
import { taskKey } from "../held.ts";
import { type Store, jsonBytes } from "../store.ts";

export const SESSION = "assignment/secure";
const MASKED = "masked"; // the ledger

/** New secrets from the system's randomness. */
export function drawnSecrets(): Secrets {
  const draw = (): string => hex(crypto.getRandomValues(new Uint8Array(KEY_BYTES)));
  return { mask_key: draw(), seal_key: draw(), own_seed: draw(), polynomials: draw() };
}

export async function keptSession(store: Store): Promise<Member | undefined> {
  return store.getJson<Member>(SESSION);
}

export async function keepSession(store: Store, member: Member): Promise<void> {
  await store.putJson(SESSION, member);
}

/** Keep a session that masks for the first time, and that this round is masked for, both or neither. Throws GroupRefused for one too many. */
export async function keepMasked(store: Store, member: Member, assignment: Assignment): Promise<void> {
  const ledger = (await store.getJson<Ledger>(MASKED)) ?? EMPTY;
  const next = entered(ledger, taskKey(assignment), assignment.round, assignment.checkpoint_sha256);
  await store.putAll([
    [SESSION, jsonBytes(member)],
    [MASKED, jsonBytes(next)],
  ]);
}

/**
 * Which assignments a device takes: signed by the pinned key, for this device and this check-in, of no older round. Waits
 * and receipts are not signed: whoever can forge them can as well answer nothing.
 */
import { IntegrityError, Refused } from "../core/errors.ts";
import { newestKey } from "../core/key-chain.ts";
import { fingerprint, verify } from "../core/signing.ts";
import { assignmentStatement, work } from "../core/statements.ts";
import type { Assignment } from "../core/wire.ts";
import type { Api } from "./api.ts";
import type { Identity } from "./identity.ts";
import type { Store } from "./store.ts";
import { admitted, loadTrust, saveTrust } from "./trust.ts";

export class Admission {
  constructor(
    private readonly api: Api,
    private readonly store: Store,
    private identity: Identity,
  ) {}

  /**
   * Accept the answer to the check-in of that nonce; older rounds are refused from now on. Throws IntegrityError where it is
   * forged, another's, or older than what was accepted before.
   */
  async admit(assignment: Assignment, nonce: string): Promise<void> {
    const statement = assignmentStatement(assignment, this.identity.device_id, this.identity.population, nonce);
    try {
      verify(this.identity.coordinator_public_key, statement, assignment.signature);
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error;
      await this.followKey(statement, assignment.signature, error);
    }
    await saveTrust(this.store, admitted(await loadTrust(this.store), assignment));
  }

  /** Pin the key that the pinned one names as its successor, if that has signed; throw `fault` otherwise. */
  private async followKey(statement: Uint8Array, signature: string, fault: IntegrityError): Promise<void> {
    const key = await followedKey(this.api, fingerprint(this.identity.coordinator_public_key), fault);
    verify(key, statement, signature);
    this.identity = { ...this.identity, coordinator_public_key: key };
    await this.store.putJson("identity", this.identity);
  }
}

/** The key that the one of the fingerprint `pinned` leads to. Throws `fault` where the coordinator shows no way there. */
export async function followedKey(api: Api, pinned: string, fault: IntegrityError): Promise<string> {
  try {
    return newestKey(await api.keys(), pinned);
  } catch (error) {
    throw error instanceof IntegrityError || error instanceof Refused ? fault : error;
  }
}

/** Whether both are the same assignment, on the same programs and weights; leases may differ. */
export function isSame(held: Assignment, offered: Assignment): boolean {
  return held.assignment_id === offered.assignment_id && work(held).join("\n") === work(offered).join("\n");
}

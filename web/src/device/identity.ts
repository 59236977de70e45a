/** Who this device is: made at enrollment, kept in this browser, shown to nobody but the coordinator. */
import { IntegrityError } from "../core/errors.ts";
import type { Link } from "../core/links.ts";
import { fingerprint, generateKey, hex, sign } from "../core/signing.ts";
import { enrollmentStatement } from "../core/statements.ts";
import { certify, readPart } from "../secure/fleet.ts";
import { followedKey } from "./admission.ts";
import type { Api } from "./api.ts";
import type { Store } from "./store.ts";

export interface Identity {
  device_id: string;
  device_token: string;
  coordinator_public_key: string;
  population: string;
  private_key: string;
  fleet?: string; // the fingerprint of the fleet's key that the link named; empty or absent: none
  publishers?: string[]; // fingerprints of keys that may sign programs; early versions pinned none
  secret: string; // 32 bytes, hexadecimal: drives the random draws, never leaves the device
}

/**
 * Enroll with a link, if the coordinator holds the key that it names. The device's own key is kept before anything is sent,
 * so that an enrollment that was cut off can be repeated. Throws IntegrityError, with nothing kept of the answer, where
 * another key answers.
 */
export async function enroll(api: Api, store: Store, link: Link): Promise<Identity> {
  const key = generateKey();
  const begun = (await store.getJson<Identity & { public_key: string }>("identity")) ?? {
    ...{ device_id: "", device_token: "", coordinator_public_key: "", population: "" },
    private_key: key.privateKey,
    public_key: key.publicKey,
    secret: hex(crypto.getRandomValues(new Uint8Array(32))),
  };
  await store.putJson("identity", begun);
  const membership = link.fleet ? readPart(link.fleet) : undefined;
  const proof = sign(begun.private_key, enrollmentStatement(link.token, begun.public_key, link.coordinator));
  const certificate = membership && certify(membership, begun.public_key);
  const { protocol: _, ...answer } = await api.enroll(link, begun.public_key, proof, certificate);
  await checkPinned(api, answer.coordinator_public_key, link.coordinator);
  if (membership && membership.population !== answer.population)
    throw new IntegrityError("the operator's population is another one than the link's", "nothing was kept; ask for a new link");
  const fleet = membership ? fingerprint(membership.endorsed.fleet_key) : "";
  const identity = { ...begun, ...answer, publishers: link.publishers, fleet };
  await store.putJson("identity", identity);
  return identity;
}

/** Throw IntegrityError unless a key is the one that a link names, or follows it. */
async function checkPinned(api: Api, publicKey: string, pinned: string): Promise<void> {
  if (fingerprint(publicKey) === pinned) return;
  const fault = new IntegrityError(
    "the coordinator's key is another one than the link's",
    "somebody may be on the way between you: nothing was kept; ask the operator",
  );
  if ((await followedKey(api, pinned, fault)) !== publicKey) throw fault;
}

/** Who this device is; undefined before it has enrolled. */
export async function loadIdentity(store: Store): Promise<Identity | undefined> {
  const identity = await store.getJson<Identity>("identity");
  return identity?.device_id ? identity : undefined;
}

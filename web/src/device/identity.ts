/** Who this device is: made at enrollment, kept in this browser, shown to nobody but the coordinator. */
import { generateKey, hex } from "../core/signing.ts";
import type { Api } from "./api.ts";
import type { Store } from "./store.ts";

export interface Identity {
  device_id: string;
  device_token: string;
  coordinator_public_key: string;
  population: string;
  private_key: string;
  secret: string; // 32 bytes, hexadecimal: drives the random draws, never leaves the device
}

/**
 * Enroll with the token of a link. The device's own key is kept before anything is sent, so that an enrollment that was cut
 * off can be repeated.
 */
export async function enroll(api: Api, store: Store, token: string): Promise<Identity> {
  const key = generateKey();
  const begun = (await store.getJson<Identity & { public_key: string }>("identity")) ?? {
    ...{ device_id: "", device_token: "", coordinator_public_key: "", population: "" },
    private_key: key.privateKey,
    public_key: key.publicKey,
    secret: hex(crypto.getRandomValues(new Uint8Array(32))),
  };
  await store.putJson("identity", begun);
  const { protocol: _, ...answer } = await api.enroll(token, begun.public_key);
  const identity = { ...begun, ...answer };
  await store.putJson("identity", identity);
  return identity;
}

/** Who this device is; undefined before it has enrolled. */
export async function loadIdentity(store: Store): Promise<Identity | undefined> {
  const identity = await store.getJson<Identity>("identity");
  return identity?.device_id ? identity : undefined;
}

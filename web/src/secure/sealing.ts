/**
 * What one member gives another through the coordinator: a share of its own seed and one of its mask key, sealed. The key is
 * made for one session and one direction, so it seals one box only.
 */
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import * as ciphers from "./ciphers.ts";

/** In which session a box goes from whom to whom; members are numbered from 1. */
export interface Address {
  session: Uint8Array;
  sender: number;
  receiver: number;
}

/** One member's shares of another member's two secrets, 32 bytes each. */
export interface Shares {
  ownSeed: Uint8Array;
  maskKey: Uint8Array;
}

/** A box that only the receiver opens. `agreed`: by the two members' seal keys (`ciphers.agree`), the same for both directions. */
export function seal(agreed: Uint8Array, address: Address, shares: Shares): Uint8Array {
  return ciphers.seal(boxKey(agreed, address), concatBytes(shares.ownSeed, shares.maskKey));
}

/** The shares in a box; undefined where it is not for this receiver. */
export function unseal(agreed: Uint8Array, address: Address, box: Uint8Array): Shares | undefined {
  const opened = ciphers.unseal(boxKey(agreed, address), box);
  return opened && { ownSeed: opened.subarray(0, ciphers.KEY_BYTES), maskKey: opened.subarray(ciphers.KEY_BYTES) };
}

function boxKey(agreed: Uint8Array, { session, sender, receiver }: Address): Uint8Array {
  return ciphers.deriveKey(agreed, concatBytes(utf8ToBytes("seal"), session, Uint8Array.of(sender, receiver)));
}

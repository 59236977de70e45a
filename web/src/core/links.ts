/**
 * What follows the `#` of an enrollment link, and what a device trusts because of it:
 * TOKEN.COORDINATOR[.PUBLISHER...][.FLEET]. See the Python `fedrela.core.protocol.links`. A page takes the address from its own origin.
 */
import { InvalidInput } from "./errors.ts";

export interface Link {
  token: string;
  coordinator: string; // the fingerprint of the key that signs assignments
  publishers: string[]; // those of keys that may sign programs
  fleet?: string; // what it says of a fleet, see `secure/fleet.ts`
}

export const FLEET = "fleet-([0-9a-f]{64})-([0-9a-f]{64})-([0-9a-f]{128})-([A-Za-z0-9._-]{1,100})";
const FRAGMENT = new RegExp(`^([!-\\-/-~]{1,512})((?:\\.[0-9a-f]{32}){1,17})(?:\\.(${FLEET}))?$`);

/** Throws InvalidInput for what is no link's fragment, or names no coordinator's key. */
export function parseFragment(fragment: string): Link {
  const [, token, pinned, fleet] = FRAGMENT.exec(fragment) ?? [];
  if (token === undefined || pinned === undefined)
    throw new InvalidInput("this is not a whole link, or an old one", "ask the person who sent it for a new one, and open the whole of it");
  const [coordinator, ...publishers] = pinned.slice(1).split(".");
  return { token, coordinator: coordinator!, publishers, ...(fleet ? { fleet } : {}) };
}

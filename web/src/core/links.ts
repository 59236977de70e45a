/**
 * What follows the `#` of an enrollment link, and what a device trusts because of it: TOKEN.COORDINATOR[.PUBLISHER...].
 * See the Python `fedrela.core.protocol.links`. A page takes the address from its own origin.
 */
import { InvalidInput } from "./errors.ts";

export interface Link {
  token: string;
  coordinator: string; // the fingerprint of the key that signs assignments
  publishers: string[]; // those of keys that may sign programs
}

const FRAGMENT = /^[!-\-/-~]{1,512}(?:\.[0-9a-f]{32}){1,17}$/;

/** Throws InvalidInput for what is no link's fragment, or names no coordinator's key. */
export function parseFragment(fragment: string): Link {
  const [token, coordinator, ...publishers] = fragment.split(".");
  if (!FRAGMENT.test(fragment) || token === undefined || coordinator === undefined)
    throw new InvalidInput("this is not a whole link, or an old one", "ask the person who sent it for a new one, and open the whole of it");
  return { token, coordinator, publishers };
}

/** How a coordinator's key is followed by another: each signs its successor. See the Python `fedrela.core.protocol.key_chain`. */
import { IntegrityError } from "./errors.ts";
import { characters, exactly, listOf, publicKey } from "./limits.ts";
import { type Typed, object, read, withDefault } from "./shape.ts";
import { fingerprint, verify } from "./signing.ts";
import { keyRotationStatement } from "./statements.ts";
import { PROTOCOL } from "./wire.ts";

const LONGEST = 100;
const rotation = object({ former_key: publicKey, public_key: publicKey, signature: characters(0, 200) });
const keyChain = object({
  rotations: withDefault(listOf(rotation, 0, LONGEST), []),
  protocol: withDefault(exactly(PROTOCOL, "reload this page to update it"), PROTOCOL),
});

export type KeyChain = Typed<typeof keyChain>;
export const parseKeyChain = (body: Uint8Array | string): KeyChain => read(keyChain, body);

/** The key that a chain leads to from the one of the fingerprint `pinned` on. Throws IntegrityError where it leads nowhere. */
export function newestKey({ rotations }: Pick<KeyChain, "rotations">, pinned: string): string {
  const start = rotations.findIndex((item) => fingerprint(item.former_key) === pinned);
  let formerKey = rotations[start]?.former_key;
  if (formerKey === undefined) throw broken();
  for (const item of rotations.slice(start)) {
    if (item.former_key !== formerKey) throw broken();
    verify(formerKey, keyRotationStatement(formerKey, item.public_key), item.signature);
    formerKey = item.public_key;
  }
  return formerKey;
}

function broken(): IntegrityError {
  return new IntegrityError(
    "the coordinator's signature is by another key than the pinned one, which names no successor",
    "somebody may be on the way between you; ask the operator",
  );
}

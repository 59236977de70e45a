/**
 * A seal: the publisher's signature over a bundle. It says who vouches for a program; a coordinator only hands it on. See
 * the Python `fedrela.core.protocol.seals`.
 */
import { IntegrityError } from "./errors.ts";
import { publicKey, sha256, signature } from "./limits.ts";
import { type Typed, object } from "./shape.ts";
import { fingerprint, verify } from "./signing.ts";

export const seal = object({ manifest_sha256: sha256, weights_sha256: sha256, public_key: publicKey, signature });
export type Seal = Typed<typeof seal>;

const REMEDY = "nothing was loaded; ask the operator, and join again by a link that names the publisher you trust";

/** The signed bytes. */
export function sealMessage(manifestSha: string, weightsSha: string): Uint8Array {
  return new TextEncoder().encode(`fedrela/v1/bundle\n${manifestSha}\n${weightsSha}\n`);
}

/** Throws IntegrityError unless one of `publishers`, by fingerprint, has sealed that manifest. */
export function checkSeal(sealed: Seal | null, manifestSha: string, publishers: readonly string[]): void {
  if (!sealed) throw new IntegrityError("no publisher has signed the program", REMEDY);
  if (sealed.manifest_sha256 !== manifestSha) throw new IntegrityError("the publisher's signature is over another program", REMEDY);
  const publisher = fingerprint(sealed.public_key);
  if (!publishers.includes(publisher))
    throw new IntegrityError(`the program's publisher ${publisher} is not among the publishers of this device's link`, REMEDY);
  verify(sealed.public_key, sealMessage(sealed.manifest_sha256, sealed.weights_sha256), sealed.signature);
}
